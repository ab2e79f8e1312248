//! A configuration's text, changed as the answers say and nowhere else: comments, order and
//! settings of the owner's own stay.

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value, value};

/// What was answered; what was not stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    /// `capture.interface`.
    pub(super) interface: Option<String>,
    /// The name of a `[[host]]`.
    pub(super) host: Option<String>,
    /// URL and channel of a new `[[canary]]`.
    pub(super) canary: Option<(String, String)>,
    /// By role, `button` among them: its pin, or none.
    pub(super) pins: Vec<(&'static str, Option<u8>)>,
}

/// The role that is no light.
pub(super) const BUTTON: &str = "button";

/// The text with the answers in it.
///
/// # Errors
/// When it is no TOML, or written in a form that cannot be edited.
pub(super) fn edited(text: &str, answers: &Answers) -> Result<String, String> {
    let before = parsed(text)?;
    let mut doc = parsed(&uncommented(text, &before, answers))?;
    if let Some(interface) = &answers.interface {
        set(table(&mut doc, "capture")?, "interface", interface.as_str());
    }
    if let Some(host) = answers
        .host
        .as_ref()
        .filter(|host| !has(&doc, "host", "name", host))
    {
        let mut new = Table::new();
        set(&mut new, "name", host.as_str());
        new.insert("addresses", value(Array::new()));
        tables(&mut doc, "host")?.push(new);
    }
    if let Some((url, channel)) = answers
        .canary
        .as_ref()
        .filter(|(url, _)| !has(&doc, "canary", "url", url))
    {
        let mut new = Table::new();
        set(&mut new, "url", url.as_str());
        set(&mut new, "channel", channel.as_str());
        tables(&mut doc, "canary")?.push(new);
    }
    for (role, pin) in &answers.pins {
        set_pin(table(&mut doc, "led")?, role, *pin)?;
    }
    Ok(doc.to_string())
}

fn parsed(text: &str) -> Result<DocumentMut, String> {
    text.parse()
        .map_err(|error| format!("this is no TOML: {error}"))
}

/// Examples of the file as it is installed stand where their values belong: they become these.
fn uncommented(text: &str, doc: &DocumentMut, answers: &Answers) -> String {
    let mut text = text.to_owned();
    let named = doc
        .get("capture")
        .is_some_and(|capture| capture.get("interface").is_some());
    if let Some(interface) = answers.interface.as_ref().filter(|_| !named) {
        let line = format!("interface = {}\n", quoted(interface));
        text = text.replacen(EXAMPLE_INTERFACE, &line, 1);
    }
    if let Some(host) = answers.host.as_ref().filter(|_| doc.get("host").is_none()) {
        let lines = format!("[[host]]\nname = {}\n", quoted(host));
        text = text.replacen(EXAMPLE_HOST, &lines, 1);
    }
    if let Some((url, channel)) = answers
        .canary
        .as_ref()
        .filter(|_| doc.get("canary").is_none())
    {
        let lines = format!(
            "[[canary]]\nurl = {}\nchannel = {}\n",
            quoted(url),
            quoted(channel)
        );
        text = text.replacen(EXAMPLE_CANARY, &lines, 1);
    }
    text
}

/// As they stand in `config/canarytap.toml`.
const EXAMPLE_INTERFACE: &str = "#interface = \"eth1\"\n";
const EXAMPLE_HOST: &str = "#[[host]]\n#name = \"www.example.org\"\n";
const EXAMPLE_CANARY: &str = "#[[canary]]\n\
    #url = \"https://www.example.org/x/login.html?user=tbtest&password=geheim\"\n\
    #channel = \"skype\"\n";

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Sets a value; comments above it and behind it stay.
fn set(table: &mut Table, key: &str, new: impl Into<Value>) {
    let mut new = new.into();
    let Some(old) = table.get_mut(key) else {
        table.insert(key, Item::Value(new));
        return;
    };
    if let Some(value) = old.as_value() {
        *new.decor_mut() = value.decor().clone();
    }
    *old = Item::Value(new);
}

fn set_pin(led: &mut Table, role: &'static str, pin: Option<u8>) -> Result<(), String> {
    match (role, pin) {
        (BUTTON, Some(pin)) => set(table(led, BUTTON)?, "pin", i64::from(pin)),
        (BUTTON, None) => drop(led.remove(BUTTON)),
        (role, pin) => set_light(tables(led, "light")?, role, pin),
    }
    Ok(())
}

/// The first light of a role is the one that was asked about; without a pin all of them go.
fn set_light(lights: &mut ArrayOfTables, role: &str, pin: Option<u8>) {
    let is_it = |light: &Table| light.get("role").and_then(Item::as_str) == Some(role);
    let Some(pin) = pin else {
        return lights.retain(|light| !is_it(light));
    };
    if let Some(light) = lights.iter_mut().find(|light| is_it(light)) {
        return set(light, "pin", i64::from(pin));
    }
    let mut new = Table::new();
    set(&mut new, "role", role);
    set(&mut new, "pin", i64::from(pin));
    lights.push(new);
}

fn table<'a>(parent: &'a mut Table, key: &str) -> Result<&'a mut Table, String> {
    let item = parent
        .entry(key)
        .or_insert_with(|| Item::Table(Table::new()));
    item.as_table_mut()
        .ok_or_else(|| format!("{key} is written on one line: write it as a table, [{key}]"))
}

fn tables<'a>(parent: &'a mut Table, key: &str) -> Result<&'a mut ArrayOfTables, String> {
    let item = parent
        .entry(key)
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    item.as_array_of_tables_mut()
        .ok_or_else(|| format!("{key} is written on one line: write it as tables, [[{key}]]"))
}

fn has(doc: &DocumentMut, tables: &str, key: &str, wanted: &str) -> bool {
    let tables = doc.get(tables).and_then(Item::as_array_of_tables);
    tables
        .into_iter()
        .flatten()
        .any(|table| table.get(key).and_then(Item::as_str) == Some(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use crate::config::{Config, LightRole};

    const EXAMPLE: &str = include_str!("../../../config/canarytap.toml");

    fn answers() -> Answers {
        Answers {
            interface: Some("eth7".into()),
            host: Some("home.example.net".into()),
            canary: Some((
                "https://home.example.net/a?id=1".into(),
                "mail \"to\" Bert".into(),
            )),
            pins: vec![("alert", Some(5)), ("activity", None), (BUTTON, Some(6))],
        }
    }

    fn config(text: &str) -> Config {
        Config::parse(text, Path::new("test")).unwrap()
    }

    #[test]
    fn in_the_example_the_answers_stand_where_the_examples_stood() {
        let text = edited(EXAMPLE, &answers()).unwrap();
        let config = config(&text);
        assert_eq!(config.capture.interface.as_deref(), Some("eth7"));
        assert_eq!(config.hosts.len(), 1);
        assert_eq!(config.canaries.len(), 1);
        let pins: Vec<_> = config
            .led
            .lights
            .iter()
            .map(|light| (light.role, light.pin))
            .collect();
        assert_eq!(pins, [(LightRole::Alert, 5), (LightRole::Armed, 22)]);
        assert_eq!(config.led.button.map(|button| button.pin), Some(6));
        // Nothing was put at the end of the file, and no comment went.
        assert!(text.contains("shows it; \"any\" for all of them.\ninterface = \"eth7\"\n"));
        assert!(text.contains("pin = 5\n") && text.contains("# blinks until"));
        assert!(!text.contains("#[[host]]") && !text.contains("#[[canary]]"));
    }

    #[test]
    fn the_same_answers_again_change_nothing() {
        let once = edited(EXAMPLE, &answers()).unwrap();
        assert_eq!(edited(&once, &answers()).unwrap(), once);
    }

    #[test]
    fn no_answers_change_nothing() {
        assert_eq!(edited(EXAMPLE, &Answers::default()).unwrap(), EXAMPLE);
    }

    #[test]
    fn what_the_owner_wrote_stays_and_new_things_are_added() {
        let own = "# mine\n[capture]\ninterface = \"eth1\" # the blue cable\nports = [8080]\n\n\
                   [[host]]\nname = \"old.example.org\"\n";
        let text = edited(own, &answers()).unwrap();
        assert!(
            text.starts_with("# mine\n[capture]\ninterface = \"eth7\" # the blue cable\nports"),
            "{text}"
        );
        let config = config(&text);
        assert_eq!(config.hosts.len(), 2);
        assert_eq!(config.led.lights.len(), 1);
    }

    #[test]
    fn an_empty_file_is_filled() {
        let config = config(&edited("", &answers()).unwrap());
        assert_eq!(config.capture.interface.as_deref(), Some("eth7"));
        assert_eq!(config.canaries.len(), 1);
    }

    #[test]
    fn a_form_that_cannot_be_edited_is_named() {
        let error = edited("capture = { ports = [80] }\n", &answers()).unwrap_err();
        assert!(error.contains("[capture]"), "{error}");
        assert!(
            edited("capture", &answers())
                .unwrap_err()
                .contains("no TOML")
        );
    }
}
