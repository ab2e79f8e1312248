//! What is wrong with key logs.

use std::path::Path;

use crate::config::{HIDDEN_FROM_THE_SERVICE, is_hidden_from_the_service};
use crate::daemon::health::{Verdict, remark};
use crate::daemon::keys::{KeysReport, LogState};
use crate::daemon::status::Remark;
use crate::engine::counters::Counters;

impl Verdict {
    /// Adds what is wrong with key logs.
    #[must_use]
    pub fn with_keys(mut self, keys: &KeysReport) -> Self {
        for (log, state) in &keys.logs {
            let path = log.display();
            match state {
                LogState::Followed => {}
                LogState::Missing => self.warnings.push(remark(
                    "key_log_missing",
                    &format!("the key log {path} is not there"),
                    &cure_of_missing(log),
                )),
                LogState::Exposed => self.faults.push(remark(
                    "key_log_exposed",
                    &format!("the key log {path} can be read by everybody, so that it is not"),
                    &format!("sudo chmod o-rwx {path}"),
                )),
                LogState::Unreadable(error) => self.faults.push(remark(
                    "key_log_unreadable",
                    &format!("the key log {path} cannot be read: {error}"),
                    &cure_of_unreadable(log),
                )),
            }
        }
        self
    }
}

/// Secrets that came once, and come no more though connections do.
#[derive(Debug, Default)]
pub(super) struct KeysSilence {
    secrets: u64,
    /// Connections without a key when the last secret came.
    without: u64,
}

impl KeysSilence {
    pub(super) fn judge(&mut self, counters: &Counters) -> Option<Remark> {
        if counters.secrets != self.secrets {
            self.secrets = counters.secrets;
            self.without = counters.tls_no_key;
        }
        let without = counters.tls_no_key.saturating_sub(self.without);
        (self.secrets > 0 && without >= WITHOUT_MIN).then(|| {
            remark(
                "keys_silent",
                &format!(
                    "{without} encrypted connections to watched hosts came since the last secret, and no key for any of them: their requests cannot be read"
                ),
                "check that the web server still writes its key log (SSLKEYLOGFILE) and that what hands it over runs (systemctl status tls-keys)",
            )
        })
    }
}

/// Fewer may be visitors who gave up during the handshake.
const WITHOUT_MIN: u64 = 3;

fn cure_of_missing(log: &Path) -> String {
    cure_of_hidden(log).unwrap_or_else(|| {
        "it is followed as soon as it comes; or take it out of tls.key_log".to_owned()
    })
}

fn cure_of_unreadable(log: &Path) -> String {
    let path = log.display();
    cure_of_hidden(log).unwrap_or_else(|| {
        format!(
            "sudo chgrp canarytap {path} && sudo chmod g+r {path}; its folders have to let the \
             group in too (namei -l {path})"
        )
    })
}

/// Where the unit of the service lets it see nothing, no right to a file helps.
fn cure_of_hidden(log: &Path) -> Option<String> {
    is_hidden_from_the_service(log).then(|| {
        format!(
            "the service sees nothing below {}: let the log be written elsewhere, or hand it \
             over: tail -F {} | canarytap keys",
            HIDDEN_FROM_THE_SERVICE.join(", "),
            log.display()
        )
    })
}
