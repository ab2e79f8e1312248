//! What the lights did, as the program recorded it.

use std::fs;
use std::path::Path;

/// One change of a light's level.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Nanoseconds since 1970.
    pub time: u64,
    pub role: String,
    pub on: bool,
}

/// The file that `CANARYTAP_LED_RECORD` names.
pub struct Recording;

impl Recording {
    /// All whole lines; the last one may just be written.
    pub fn read(path: &Path) -> Vec<Change> {
        let text = fs::read_to_string(path).unwrap_or_default();
        let whole = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        whole.map(change).collect()
    }
}

/// `1367342912.104512345 alert on`
fn change(line: &str) -> Change {
    let words: Vec<_> = line.split_whitespace().collect();
    let (seconds, nanos) = words[0].split_once('.').unwrap();
    Change {
        time: seconds.parse::<u64>().unwrap() * 1_000_000_000 + nanos.parse::<u64>().unwrap(),
        role: words[1].to_owned(),
        on: words[2] == "on",
    }
}

/// The first time after `since` that the light of `role` came on.
pub fn first_on(changes: &[Change], role: &str, since: u64) -> Option<u64> {
    let lit = |change: &&Change| change.role == role && change.on && change.time >= since;
    changes.iter().find(lit).map(|change| change.time)
}

/// Whether the last change of every light made it dark.
pub fn all_dark(changes: &[Change]) -> bool {
    let last = |role: &str| changes.iter().rev().find(|change| change.role == role);
    let roles = ["alert", "armed", "activity"];
    roles
        .iter()
        .all(|role| last(role).is_none_or(|change| !change.on))
}
