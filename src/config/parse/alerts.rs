//! `[[alert]]`

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;
use toml::de::DeValue;
use ureq::http::{HeaderName, HeaderValue, Uri};

use crate::config::alerts::{AlertConfig, Carrier, Login, Secret, Server, SinkConfig, WebhookBody};
use crate::config::parse::values::{choice, words};
use crate::config::raw::{Document, Section};

pub(super) fn alerts(top: &mut Section<'_>, doc: &mut Document<'_>) -> Vec<AlertConfig> {
    let mut lines = HashMap::new();
    let sections = top.sections("alert", doc);
    sections
        .into_iter()
        .filter_map(|section| alert(section, &mut lines, doc))
        .collect()
}

#[derive(Clone, Copy)]
enum Kind {
    Command,
    Webhook,
    Mqtt,
    Syslog,
    Email,
}

const KINDS: [(&str, Kind); 5] = [
    ("command", Kind::Command),
    ("webhook", Kind::Webhook),
    ("mqtt", Kind::Mqtt),
    ("syslog", Kind::Syslog),
    ("email", Kind::Email),
];

fn alert(
    mut section: Section<'_>,
    lines: &mut HashMap<String, usize>,
    doc: &mut Document<'_>,
) -> Option<AlertConfig> {
    let rule = "must be one of: command, webhook, mqtt, syslog, email";
    section.require("kind", rule, doc);
    let kind = choice(&mut section, "kind", &KINDS, doc)?;
    let sink = match kind {
        Kind::Command => command(&mut section, doc),
        Kind::Webhook => webhook(&mut section, doc),
        Kind::Mqtt => mqtt(&mut section, doc),
        Kind::Syslog => syslog(&mut section, doc),
        Kind::Email => email(&mut section, doc),
    };
    let ca = match kind {
        Kind::Command => None,
        _ => absolute(&mut section, "ca", doc),
    };
    let name = words(&mut section, "name", doc);
    let line = section.line;
    section.refuse_unknown(doc);
    let sink = sink?;
    let name = name.unwrap_or_else(|| sink.kind().to_owned());
    if let Some(first) = lines.insert(name.clone(), line) {
        let rule = format!(
            "the [[alert]] of line {first} is called {name:?} too: give each a name of its own"
        );
        doc.missing("alert.name", Some(line), rule);
    }
    Some(AlertConfig { name, sink, ca })
}

fn command(section: &mut Section<'_>, doc: &mut Document<'_>) -> Option<SinkConfig> {
    let rule = "must be a list: the program by its absolute path, then its arguments";
    section.require("command", rule, doc);
    let texts = section.texts("command", doc);
    let timeout = section.integer("timeout", 1..=300, doc);
    let timeout = timeout.map_or(COMMAND_SECONDS, |(seconds, _)| seconds.unsigned_abs());
    let texts = texts?;
    match texts.first() {
        Some((program, _)) if program.starts_with('/') => {}
        Some((_, entry)) => {
            doc.wrong(
                "alert.command",
                *entry,
                "the program must be an absolute path",
            );
            return None;
        }
        None => {
            doc.missing("alert.command", Some(section.line), rule);
            return None;
        }
    }
    Some(SinkConfig::Command {
        command: texts.into_iter().map(|(text, _)| text.to_owned()).collect(),
        timeout: Duration::from_secs(timeout),
    })
}

const BODIES: [(&str, WebhookBody); 4] = [
    ("event", WebhookBody::Event),
    ("ntfy", WebhookBody::Ntfy),
    ("gotify", WebhookBody::Gotify),
    ("slack", WebhookBody::Slack),
];

fn webhook(section: &mut Section<'_>, doc: &mut Document<'_>) -> Option<SinkConfig> {
    let url = section.required_string("url", "must be the URL to post to", doc);
    let body = choice(section, "body", &BODIES, doc).unwrap_or_default();
    let headers = headers(section, doc);
    let token = secret(section, "token_file", doc);
    let (url, entry) = url?;
    let parsed: Option<Uri> = url.parse().ok();
    let fine = parsed.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri
                .authority()
                .is_some_and(|one| !one.as_str().contains('@'))
    });
    if !fine {
        let rule = "must be a URL such as \"https://ntfy.example.org/topic\"; a password goes into token_file";
        doc.wrong("alert.url", entry, rule);
        return None;
    }
    Some(SinkConfig::Webhook {
        url: url.to_owned(),
        body,
        headers,
        token,
    })
}

fn headers(section: &mut Section<'_>, doc: &mut Document<'_>) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for (text, entry) in section.texts("headers", doc).unwrap_or_default() {
        let split = text.split_once(':');
        let header = split.map(|(name, value)| (name.trim(), value.trim()));
        match header {
            Some((name, value))
                if HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok() =>
            {
                headers.push((name.to_owned(), value.to_owned()));
            }
            _ => doc.wrong(
                "alert.headers",
                entry,
                "must be a header field such as \"X-Priority: 5\"",
            ),
        }
    }
    headers
}

fn mqtt(section: &mut Section<'_>, doc: &mut Document<'_>) -> Option<SinkConfig> {
    let schemes = [("mqtts", Carrier::Tls, 8883), ("mqtt", Carrier::Tcp, 1883)];
    let server = server(section, &schemes, doc);
    let login = login(section, doc);
    let first = topic(section, "topic", doc);
    let discovery = section.string("discovery", doc);
    let discovery = match discovery {
        None => Some("homeassistant".to_owned()),
        Some(("", _)) => None,
        Some(_) => topic(section, "discovery", doc),
    };
    Some(SinkConfig::Mqtt {
        server: server?,
        login,
        topic: first.unwrap_or_else(|| "canarytap".into()),
        discovery,
    })
}

/// A topic name (MQTT 3.1.1 §4.7): without wildcards.
fn topic(section: &mut Section<'_>, key: &'static str, doc: &mut Document<'_>) -> Option<String> {
    let (text, entry) = section.string(key, doc)?;
    let fine = !text.is_empty()
        && text.len() <= 200
        && !text.contains(['+', '#', '\0'])
        && !text.chars().any(char::is_control)
        && !text.starts_with(['/', '$'])
        && !text.ends_with('/');
    if !fine {
        let rule = "must be a topic such as \"home/canarytap\", without + and #";
        doc.wrong(&section.path(key), entry, rule);
        return None;
    }
    Some(text.to_owned())
}

fn syslog(section: &mut Section<'_>, doc: &mut Document<'_>) -> Option<SinkConfig> {
    let schemes = [
        ("tls", Carrier::Tls, 6514),
        ("tcp", Carrier::Tcp, 601),
        ("udp", Carrier::Udp, 514),
    ];
    Some(SinkConfig::Syslog {
        server: server(section, &schemes, doc)?,
    })
}

fn email(section: &mut Section<'_>, doc: &mut Document<'_>) -> Option<SinkConfig> {
    let schemes = [
        ("smtps", Carrier::Tls, 465),
        ("smtp+starttls", Carrier::StartTls, 587),
        ("smtp", Carrier::Tcp, 25),
    ];
    let server = server(section, &schemes, doc);
    let login = login(section, doc);
    let rule = "must be an address such as \"tap@example.org\"";
    let from = section.required_string("from", rule, doc);
    section.require("to", "must be a list of addresses", doc);
    let to = section.texts("to", doc).unwrap_or_default();
    let mut recipients = Vec::new();
    for (text, entry) in from.iter().chain(&to) {
        match text.parse::<Mailbox>() {
            Ok(_) => recipients.push((*text).to_owned()),
            Err(_) => doc.wrong("alert.to", *entry, rule),
        }
    }
    let (from, _) = from?;
    if recipients.len() != to.len() + 1 || to.is_empty() {
        return None;
    }
    recipients.remove(0);
    Some(SinkConfig::Email {
        server: server?,
        login,
        from: from.to_owned(),
        to: recipients,
    })
}

// ── parts ──

fn server(
    section: &mut Section<'_>,
    schemes: &[(&'static str, Carrier, u16)],
    doc: &mut Document<'_>,
) -> Option<Server> {
    let names: Vec<String> = schemes
        .iter()
        .map(|(name, _, port)| format!("\"{name}://HOST:{port}\""))
        .collect();
    let rule = format!("must be one of: {}", names.join(", "));
    let (text, entry) = section.required_string("url", &rule, doc)?;
    let found = text.split_once("://").and_then(|(scheme, place)| {
        let (_, carrier, port) = schemes.iter().find(|(name, ..)| *name == scheme)?;
        let (host, port) = host_and_port(place.trim_end_matches('/'), *port)?;
        Some(Server {
            url: text.to_owned(),
            carrier: *carrier,
            host,
            port,
        })
    });
    if found.is_none() {
        doc.wrong("alert.url", entry, rule);
    }
    found
}

/// `host`, `host:port`, `[2001:db8::1]:port`.
fn host_and_port(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (
                address,
                port.strip_prefix(':').or(port.is_empty().then_some("")),
            )
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, Some("")),
        },
    };
    let name = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '.' | '-' | '_' | ':');
    let port = match port? {
        "" => default,
        port => port.parse().ok().filter(|port| *port > 0)?,
    };
    (!host.is_empty() && host.len() <= 253 && host.chars().all(name))
        .then(|| (host.to_owned(), port))
}

fn login(section: &mut Section<'_>, doc: &mut Document<'_>) -> Option<Login> {
    let user = words(section, "user", doc);
    let password = secret(section, "password_file", doc);
    match (user, password) {
        (Some(user), Some(password)) => Some(Login { user, password }),
        (None, None) => None,
        (Some(_), None) => {
            let rule = "user needs password_file, and the other way round";
            doc.missing("alert.password_file", Some(section.line), rule);
            None
        }
        (None, Some(_)) => {
            let rule = "password_file needs user, and the other way round";
            doc.missing("alert.user", Some(section.line), rule);
            None
        }
    }
}

/// A file by its absolute path, or the name of a credential.
fn secret(section: &mut Section<'_>, key: &'static str, doc: &mut Document<'_>) -> Option<Secret> {
    let (text, entry) = section.string(key, doc)?;
    if text.starts_with('/') {
        return Some(Secret::File(PathBuf::from(text)));
    }
    let is_name = !text.is_empty()
        && text.len() < 256
        && text
            .chars()
            .all(|sign| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_' | '.'))
        && !text.starts_with('.');
    if !is_name {
        let rule = "must be the absolute path of a file, or the name of a credential of the service (LoadCredential=NAME:FILE)";
        doc.wrong(&section.path(key), entry, rule);
        return None;
    }
    Some(Secret::Credential(text.to_owned()))
}

fn absolute(
    section: &mut Section<'_>,
    key: &'static str,
    doc: &mut Document<'_>,
) -> Option<PathBuf> {
    let entry = section.take(key)?;
    match entry.value.get_ref() {
        DeValue::String(text) if text.starts_with('/') => Some(PathBuf::from(&**text)),
        _ => {
            doc.wrong(
                &section.path(key),
                entry,
                "must be an absolute path in quotes",
            );
            None
        }
    }
}

const COMMAND_SECONDS: u64 = 10;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn parsed(text: &str) -> Result<Vec<AlertConfig>, String> {
        Config::parse(text, Path::new("c.toml"))
            .map(|config| config.alerts)
            .map_err(|errors| errors.to_string())
    }

    #[test]
    fn each_kind_has_its_keys() {
        let alerts = parsed(
            r#"
            [[alert]]
            kind = "command"
            command = ["/usr/bin/logger", "-t", "canary"]
            [[alert]]
            kind = "webhook"
            url = "https://ntfy.example.org/secret?x=1"
            body = "ntfy"
            headers = ["Priority: 5"]
            token_file = "ntfy"
            [[alert]]
            kind = "mqtt"
            url = "mqtts://broker.example.org"
            user = "tap"
            password_file = "/etc/canarytap/mqtt"
            [[alert]]
            kind = "syslog"
            url = "udp://[fd00::5]:5514"
            [[alert]]
            kind = "email"
            url = "smtp+starttls://mail.example.org"
            from = "tap@example.org"
            to = ["Anna <anna@example.org>"]
            "#,
        )
        .unwrap();
        let kinds: Vec<&str> = alerts.iter().map(|alert| alert.sink.kind()).collect();
        assert_eq!(kinds, ["command", "webhook", "mqtt", "syslog", "email"]);
        assert_eq!(alerts[1].sink.place(), "https://ntfy.example.org/…");
        let SinkConfig::Syslog { server } = &alerts[3].sink else {
            panic!("{alerts:?}");
        };
        assert_eq!((server.host.as_str(), server.port), ("fd00::5", 5514));
        let SinkConfig::Mqtt { server, .. } = &alerts[2].sink else {
            panic!("{alerts:?}");
        };
        assert_eq!((server.carrier, server.port), (Carrier::Tls, 8883));
    }

    #[test]
    fn each_mistake_is_named_with_its_line_and_rule() {
        let cases = [
            ("kind = \"sms\"", "alert.kind"),
            ("url = \"https://x.example\"", "alert.kind"),
            (
                "kind = \"command\"\ncommand = [\"logger\"]",
                "absolute path",
            ),
            ("kind = \"command\"\ncommand = []", "must be a list"),
            (
                "kind = \"webhook\"\nurl = \"ftp://x.example/\"",
                "must be a URL",
            ),
            (
                "kind = \"webhook\"\nurl = \"https://me:pw@x.example/\"",
                "token_file",
            ),
            (
                "kind = \"webhook\"\nurl = \"https://x.example/\"\nheaders = [\"X\\r\\nY: 1\"]",
                "header field",
            ),
            (
                "kind = \"mqtt\"\nurl = \"http://x.example\"",
                "mqtts://HOST:8883",
            ),
            (
                "kind = \"mqtt\"\nurl = \"mqtt://x.example\"\ntopic = \"a/#\"",
                "without + and #",
            ),
            (
                "kind = \"mqtt\"\nurl = \"mqtt://x.example\"\nuser = \"a\"",
                "password_file",
            ),
            (
                "kind = \"syslog\"\nurl = \"udp://x.example:0\"",
                "udp://HOST:514",
            ),
            (
                "kind = \"syslog\"\nurl = \"udp://x example\"",
                "udp://HOST:514",
            ),
            (
                "kind = \"email\"\nurl = \"smtp://x.example\"\nfrom = \"a@b.example\"\nto = [\"nobody\"]",
                "must be an address",
            ),
            (
                "kind = \"email\"\nurl = \"smtp://x.example\"\nfrom = \"a@b.example\\r\\nBcc: c@d.example\"\nto = [\"a@b.example\"]",
                "must be an address",
            ),
            (
                "kind = \"syslog\"\nurl = \"udp://x.example\"\ntoken_file = \"x\"",
                "unknown key",
            ),
            (
                "kind = \"webhook\"\nurl = \"https://x.example\"\ntoken_file = \"../x\"",
                "name of a credential",
            ),
        ];
        for (text, words) in cases {
            let error = parsed(&format!("[[alert]]\n{text}\n")).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
            assert!(error.contains("c.toml:"), "{error}");
        }
    }

    #[test]
    fn two_of_a_name_are_refused() {
        let one = "[[alert]]\nkind = \"syslog\"\nurl = \"udp://x.example\"\n";
        let error = parsed(&one.repeat(2)).unwrap_err();
        assert!(error.contains("name of its own"), "{error}");
    }
}
