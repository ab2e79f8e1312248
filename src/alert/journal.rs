//! One line on standard error for each alert: what `journalctl` shows.

use std::env;
use std::fmt::Write as _;
use std::io::stderr;

use rustix::fs::fstat;

use crate::alert::{Alert, AlertSink};
use crate::engine::event::Event;
use crate::led::tell;

/// Writes to standard error.
#[derive(Clone, Copy, Debug)]
pub struct Journal {
    /// Whether systemd's journal reads there and understands a priority (sd-daemon(3)).
    prioritised: bool,
}

impl Journal {
    /// For this process's standard error.
    pub fn of_this_process() -> Self {
        Self {
            prioritised: is_read_by_systemd(),
        }
    }
}

impl AlertSink for Journal {
    fn alert(&mut self, alert: &Alert<'_>) {
        let priority = if self.prioritised { "<4>" } else { "" };
        let line = format!("{priority}{}", line(alert));
        // The light and the store have it; nobody is left to be told of a lost standard error.
        let _gone = tell(&line);
    }
}

/// Whether systemd's journal reads standard error.
pub fn is_read_by_systemd() -> bool {
    is_standard_error(&env::var("JOURNAL_STREAM").unwrap_or_default())
}

/// Whether `journal`, device and inode with a colon between them, is where standard error goes.
fn is_standard_error(journal: &str) -> bool {
    fstat(stderr()).is_ok_and(|stat| journal == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// `alert 41: HEAD https://www.example.org/x from 203.0.113.7 (skype)`
fn line(alert: &Alert<'_>) -> String {
    let event = alert.event;
    let number = match alert.seq {
        Some(seq) => format!("alert {seq}"),
        None => "alert, not stored".into(),
    };
    let method = event.method.as_deref().unwrap_or("TLS hello");
    let channel = event.channel.as_deref().unwrap_or("no channel");
    format!(
        "{number}: {} {} from {} ({})",
        printable(method),
        printable(&url(event)),
        event.client,
        printable(channel)
    )
}

fn url(event: &Event) -> String {
    let host = event.host.as_deref().or(event.sni.as_deref());
    let target = event.target.as_deref().unwrap_or("");
    format!("{}://{}{target}", event.scheme, host.unwrap_or("?"))
}

/// What a visitor wrote, so that it cannot drive a terminal, end the line or fill the journal.
fn printable(text: &str) -> String {
    let mut shown = String::new();
    let mut characters = text.chars();
    for character in characters.by_ref().take(CHARACTERS_MAX) {
        match character {
            '"' | '\'' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    let left = characters.count();
    if left > 0 {
        // Writing to a string cannot fail.
        let _infallible = write!(shown, "… ({left} more)");
    }
    shown
}

/// Characters of one field that are shown: a canary's URL is shorter, a hostile one is not.
const CHARACTERS_MAX: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::tests::visit;

    fn shown(seq: Option<u64>, event: &Event) -> String {
        line(&Alert { seq, event })
    }

    #[test]
    fn a_line_says_what_was_asked_by_whom_and_which_channel_leaked() {
        assert_eq!(
            shown(Some(41), &visit(Some("HEAD"))),
            "alert 41: HEAD https://www.example.org/x?y=1 from 203.0.113.7 (skype)"
        );
    }

    #[test]
    fn an_alert_that_is_on_no_disk_says_so() {
        assert!(shown(None, &visit(Some("GET"))).starts_with("alert, not stored: GET "));
    }

    #[test]
    fn a_visit_known_by_its_hello_alone_shows_the_name_it_asked_for() {
        let event = Event {
            host: None,
            target: None,
            sni: Some("www.example.org".into()),
            ..visit(None)
        };
        assert_eq!(
            shown(Some(1), &event),
            "alert 1: TLS hello https://www.example.org from 203.0.113.7 (skype)"
        );
    }

    #[test]
    fn a_visitor_can_neither_drive_a_terminal_nor_forge_a_line() {
        let event = Event {
            target: Some("/\u{202e}\u{2028}\x1b[2J\n<0>x\\u{7}'\"ä".into()),
            ..visit(Some("GET"))
        };
        let line = shown(Some(1), &event);
        assert!(
            line.contains(r#"/\u{202e}\u{2028}\u{1b}[2J\n<0>x\\u{7}'"ä from"#),
            "{line}"
        );
    }

    #[test]
    fn a_long_target_is_cut() {
        let event = Event {
            target: Some("/".repeat(60_000)),
            ..visit(Some("GET"))
        };
        let line = shown(Some(1), &event);
        assert!(line.len() < 600 && line.contains("more)"), "{line}");
    }

    #[test]
    fn only_the_journal_gets_a_priority() {
        assert!(!is_standard_error(""));
        assert!(!is_standard_error("0:0"));
        let stat = fstat(stderr()).unwrap();
        assert!(is_standard_error(&format!(
            "{}:{}",
            stat.st_dev, stat.st_ino
        )));
    }
}
