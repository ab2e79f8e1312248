//! One alert, in the forms that sinks ask for.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::store::EventRecord;

/// One alert, ready to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The store's number; 0 for a test.
    pub seq: u64,
    /// When the request was seen.
    pub time: String,
    /// The event as one JSON object on one line, as `log --format jsonl` prints it. Fields that
    /// only a visitor who wants to annoy makes so long are cut.
    pub json: String,
    /// One line for a subject or a notification's title.
    pub title: String,
    /// One line: what was asked for by whom.
    pub text: String,
    /// Whether it is no alert, but `alert test`.
    pub test: bool,
}

impl Message {
    /// Of an alert from the store.
    pub fn of(event: &EventRecord) -> Self {
        let event = bounded(event);
        Self {
            seq: event.seq.unwrap_or_default(),
            time: event.time.clone(),
            // A record of texts and numbers: it serialises.
            json: serde_json::to_string(&event).unwrap_or_default(),
            title: title(&event),
            text: text(&event),
            test: false,
        }
    }

    /// Says that it is none.
    pub fn test(time: &str) -> Self {
        let event = EventRecord {
            channel: Some("canarytap alert test".into()),
            ..EventRecord::plain(time, "test")
        };
        Self {
            seq: 0,
            time: time.to_owned(),
            json: serde_json::to_string(&event).unwrap_or_default(),
            title: "canarytap: this is a test".into(),
            text: "canarytap alert test: alerts arrive here; nobody has opened a link".into(),
            test: true,
        }
    }
}

/// `canarytap: a link given to skype was opened (login link)`
fn title(event: &EventRecord) -> String {
    let channel = event.channel.as_deref().unwrap_or("somebody");
    let label = event.label.as_deref().map(|label| format!(" ({label})"));
    printable(
        &format!(
            "canarytap: a link given to {channel} was opened{}",
            label.unwrap_or_default()
        ),
        TITLE_MAX,
    )
}

/// `alert 41: HEAD https://www.example.org/x from 203.0.113.7 at 2013-04-30T17:28:32Z`
fn text(event: &EventRecord) -> String {
    let method = event.method.as_deref().unwrap_or("TLS hello");
    let host = event.host.as_deref().or(event.sni.as_deref());
    let times = event.count.map(|count| format!(" {count} times"));
    let client = event.client.map(|client| client.to_string());
    let line = format!(
        "alert {}: {method} {}://{}{}{} from {} at {}",
        event.seq.unwrap_or_default(),
        event.scheme.as_deref().unwrap_or("http"),
        host.unwrap_or("?"),
        event.target.as_deref().unwrap_or_default(),
        times.unwrap_or_default(),
        client.as_deref().unwrap_or("several clients"),
        event.time,
    );
    printable(&line, TEXT_MAX)
}

/// What a visitor wrote may neither end a line nor turn or hide text, in whatever shows it.
fn printable(text: &str, max: usize) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        if shown.len() >= max {
            shown.push('…');
            break;
        }
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            _ => {
                // Writing to a string cannot fail.
                let _infallible = write!(shown, "{}", character.escape_debug());
            }
        }
    }
    shown
}

/// Long fields cut, so that every medium carries the rest.
fn bounded(event: &EventRecord) -> EventRecord {
    let mut event = event.clone();
    let fields = [
        &mut event.target,
        &mut event.host,
        &mut event.user_agent,
        &mut event.referer,
        &mut event.forwarded_for,
        &mut event.sni,
        &mut event.alpn,
        &mut event.method,
    ];
    let mut cut = false;
    for field in fields.into_iter().flatten() {
        if field.len() > FIELD_MAX {
            let mut end = FIELD_MAX;
            while !field.is_char_boundary(end) {
                end -= 1;
            }
            field.truncate(end);
            field.push('…');
            cut = true;
        }
    }
    let truncated = Cow::Borrowed("truncated");
    if cut && !event.flags.contains(&truncated) {
        event.flags.push(truncated);
    }
    event
}

/// Bytes of one field. Eight of them still fit into the datagram of a syslog.
const FIELD_MAX: usize = 1024;
const TITLE_MAX: usize = 200;
const TEXT_MAX: usize = 600;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::outbound) fn event(seq: u64) -> EventRecord {
        let text = r#"{"time":"2013-04-30T17:28:32.104512Z","kind":"visit","alert":true,"canary":"k7f3q2m9","channel":"skype","label":"login link","match":"url","origin":"outside","client":"65.52.100.214","src":"65.52.100.214","src_port":50112,"dst":"192.168.1.10","dst_port":80,"scheme":"http","method":"HEAD","host":"www.example.org","target":"/x/login.html","version":"HTTP/1.1"}"#;
        EventRecord {
            seq: Some(seq),
            ..serde_json::from_str(text).unwrap()
        }
    }

    #[test]
    fn it_says_which_link_was_opened_by_whom() {
        let message = Message::of(&event(41));
        assert_eq!(
            message.title,
            "canarytap: a link given to skype was opened (login link)"
        );
        assert_eq!(
            message.text,
            "alert 41: HEAD http://www.example.org/x/login.html from 65.52.100.214 at 2013-04-30T17:28:32.104512Z"
        );
        assert!(message.json.starts_with("{\"seq\":41,"), "{}", message.json);
    }

    #[test]
    fn a_visitor_can_neither_end_a_line_nor_fill_a_datagram() {
        let mut hostile = event(1);
        hostile.target = Some(format!(
            "/\r\nBcc: x@y.example\u{202e}{}",
            "é".repeat(60_000)
        ));
        hostile.user_agent = Some("\u{1b}[2J".repeat(20_000));
        hostile.label = Some("a\nb".into());
        let message = Message::of(&hostile);
        for text in [&message.title, &message.text, &message.json] {
            assert!(!text.contains(['\r', '\n', '\u{1b}']), "{text}");
            assert!(text.len() < 8192, "{}", text.len());
        }
        assert!(message.json.contains("truncated"));
        assert!(message.text.contains(r"\r\nBcc"), "{}", message.text);
    }

    #[test]
    fn a_test_says_that_it_is_one() {
        let message = Message::test("2013-04-30T17:28:32.104512Z");
        assert!(
            message.json.contains("\"kind\":\"test\",\"alert\":false"),
            "{}",
            message.json
        );
        assert!(message.title.contains("test"));
    }
}
