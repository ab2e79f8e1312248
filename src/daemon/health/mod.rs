//! What is wrong, out of what the threads report: the armed light and `status` say it, the log
//! keeps it.

use std::time::{Duration, Instant};

use crate::daemon::keeper::KeeperReport;
use crate::daemon::keys::KeysReport;
use crate::daemon::status::Remark;
use crate::daemon::tap::TapReport;
use crate::led::LedError;

pub use chronicle::Chronicle;
pub use coverage::{Moment, Tracker};
pub use disk::Room;
pub use hosts::Habit;
pub use playback::Playback;

mod chronicle;
mod coverage;
mod disk;
mod hosts;
mod keeping;
mod keys;
mod playback;
mod recent;
mod silence;
mod wire;

/// A thread that looks up every second, and does not for so long, hangs.
pub const HANGING: Duration = Duration::from_secs(10);

/// Remembers what single reports do not show.
#[derive(Debug)]
pub struct Health {
    silence: silence::Silence,
    wire: wire::Wire,
    hosts: hosts::HostsSilence,
    keys: keys::KeysSilence,
    events: recent::Losses,
}

/// What every part reports.
#[derive(Clone, Copy, Debug)]
pub struct Reports<'a> {
    /// The capture thread.
    pub tap: &'a TapReport,
    /// The keeper.
    pub keeper: &'a KeeperReport,
    /// The follower of key logs.
    pub keys: &'a KeysReport,
    /// Why the lights fail, if they do.
    pub light: Option<&'a LedError>,
    /// Room on the data directory's disk, where that is known.
    pub room: Option<Room>,
    /// What costs something by choice.
    pub set_up: SetUp,
}

/// What is wrong, and what is not as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The armed light shows these.
    pub faults: Vec<Remark>,
    /// Shown by `status` only.
    pub warnings: Vec<Remark>,
    /// How long the wire has been silent, when that is a fault.
    pub silent_for: Duration,
}

/// What costs something by choice, or cannot be helped from here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetUp {
    /// Whether the clock is set from the network, where somebody says.
    pub clock_synchronised: Option<bool>,
    /// Whether the kernel drops a server's bulk data.
    pub heads_only: bool,
}

impl Verdict {
    /// Names of the faults during which a visit may be missed.
    pub fn blinding(&self) -> impl Iterator<Item = &str> {
        let names = self.faults.iter().map(|fault| fault.name.as_str());
        names.filter(|name| !HARMLESS.contains(name))
    }
}

/// Faults that keep no visit from being seen and kept.
const HARMLESS: [&str; 9] = [
    "store_salvaged",
    "frames_doubled",
    "hosts_silent",
    "light_failing",
    "disk_low",
    "visits_cap",
    "key_log_missing",
    "key_log_exposed",
    "key_log_unreadable",
];

impl Health {
    /// Nothing is known yet but what the store says was usual.
    pub fn new(habit: Habit, now: Instant) -> Self {
        Self {
            silence: silence::Silence::new(now),
            wire: wire::Wire::new(now),
            hosts: hosts::HostsSilence::new(habit, now),
            keys: keys::KeysSilence::default(),
            events: recent::Losses::default(),
        }
    }

    /// Judges the present reports.
    pub fn judge(&mut self, reports: &Reports<'_>, now: Instant) -> Verdict {
        let Reports { tap, keeper, .. } = *reports;
        let mut faults: Vec<Remark> = capture_fault(tap).into_iter().collect();
        let is_open = faults.is_empty();
        let silent_for = self.silence.judge(tap, is_open, now);
        faults.extend(silent_for.map(silence::remark_of));
        faults.extend(self.wire.judge(tap, reports.set_up.heads_only, now));
        faults.extend(self.hosts.judge(&tap.counters, now));
        faults.extend(self.keys.judge(&tap.counters));
        faults.extend(keeping::dropped_events(&mut self.events, keeper, now));
        faults.extend(hanging("capture", tap.looked, now));
        faults.extend(hanging("keeper", keeper.looked, now));
        faults.extend(keeper.fault.as_deref().map(keeping::store_fault));
        faults.extend(keeping::salvage_fault(keeper, now));
        faults.extend(keeping::visits_fault(keeper));
        faults.extend(reports.room.and_then(disk::fault));
        faults.extend(reports.light.map(light_fault));
        let verdict = Verdict {
            faults,
            warnings: warnings(reports.set_up)
                .into_iter()
                .chain(keeping::set_aside_warning(keeper))
                .collect(),
            silent_for: silent_for.unwrap_or_default(),
        };
        verdict.with_keys(reports.keys)
    }
}

fn warnings(set_up: SetUp) -> Vec<Remark> {
    let clock = (set_up.clock_synchronised == Some(false)).then(|| {
        remark(
            "clock_unsynced",
            "the clock is not set from the network: times in the log may be wrong",
            "let the tap reach a time server (timedatectl shows which)",
        )
    });
    let heads = set_up.heads_only.then(|| {
        remark(
            "responses_heads",
            "the kernel drops the server's bulk data: lost packets, and answers that are not \
             mirrored, go unnoticed",
            "write responses = \"all\" under [capture] unless the tap cannot keep up",
        )
    });
    clock.into_iter().chain(heads).collect()
}

fn capture_fault(tap: &TapReport) -> Option<Remark> {
    if let Some(fault) = &tap.fault {
        return Some(remark(
            "capture_lost",
            fault,
            "check that the interface exists and is up (ip link); it is tried again every second",
        ));
    }
    let down = tap.link.is_some_and(|link| !link.up);
    down.then(|| {
        remark(
            "link_down",
            "the interface is down or has no cable",
            "plug the cable in, or: sudo ip link set INTERFACE up",
        )
    })
}

/// A thread that does not come back: a disk that takes half a minute for a write, or an error of
/// ours.
fn hanging(thread: &str, looked: Option<Instant>, now: Instant) -> Option<Remark> {
    let silent = now.saturating_duration_since(looked?);
    (silent >= HANGING).then(|| {
        remark(
            &format!("{thread}_hangs"),
            &format!(
                "the {thread} thread has done nothing for {} s",
                silent.as_secs()
            ),
            "check the disk (df, dmesg); else: sudo systemctl restart canarytap",
        )
    })
}

fn light_fault(error: &LedError) -> Remark {
    remark(
        "light_failing",
        &error.to_string(),
        "check the wiring and `canarytap led test`",
    )
}

fn remark(name: &str, text: &str, cure: &str) -> Remark {
    Remark {
        name: name.to_owned(),
        text: text.to_owned(),
        cure: cure.to_owned(),
    }
}

#[cfg(test)]
mod endurance;
#[cfg(test)]
mod tests;
