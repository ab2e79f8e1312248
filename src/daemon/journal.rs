//! Messages of the daemon: one line each on standard error, with a priority where systemd reads.

use std::env;
use std::sync::OnceLock;

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
    let journal = *JOURNAL.get_or_init(|| env::var_os("JOURNAL_STREAM").is_some());
    let line = if journal {
        format!("<{}>{message}", priority as u8)
    } else {
        format!("canarytap: {message}")
    };
    // Nobody is left to tell when standard error itself is gone.
    let _gone = crate::led::tell(&line);
}
