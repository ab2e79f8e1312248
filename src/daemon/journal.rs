//! Messages of the daemon: on standard error, with a priority where systemd reads.

use std::sync::OnceLock;

use crate::alert::is_read_by_systemd;
use crate::led::tell;

/// How much a message matters, by the numbers of syslog (RFC 5424 §6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Something failed.
    Error = 3,
    /// Something is not as it should be.
    Warning = 4,
    /// Something happened.
    Info = 6,
}

/// Says a message.
pub fn say(priority: Priority, message: &str) {
    static JOURNAL: OnceLock<bool> = OnceLock::new();
    let journal = *JOURNAL.get_or_init(is_read_by_systemd);
    // Nobody is left to tell when standard error itself is gone.
    let _gone = tell(&text(priority, message, journal));
}

/// For the journal each line is an entry with a priority of its own (sd-daemon(3)).
fn text(priority: Priority, message: &str, journal: bool) -> String {
    if !journal {
        return format!("canarytap: {message}");
    }
    let lines: Vec<String> = message
        .lines()
        .map(|line| format!("<{}>{line}", priority as u8))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_priority_in_the_journal_and_none_elsewhere() {
        assert_eq!(text(Priority::Error, "a\nb", true), "<3>a\n<3>b");
        assert_eq!(text(Priority::Error, "a\nb", false), "canarytap: a\nb");
    }
}
