//! What is wrong, out of what the threads report: the armed light and `status` say it.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::config::{HIDDEN_FROM_THE_SERVICE, is_hidden_from_the_service};
use crate::daemon::keeper::KeeperReport;
use crate::daemon::keys::{KeysReport, LogState};
use crate::daemon::status::Remark;
use crate::daemon::tap::TapReport;
use crate::led::LedError;

/// No frame at all for so long is no home network.
const SILENCE: Duration = Duration::from_secs(60);
/// A thread that looks up every second, and does not for so long, hangs.
pub const HANGING: Duration = Duration::from_secs(10);
/// A drop is shown for so long.
const DROPS_SHOWN: Duration = Duration::from_secs(60);

/// Remembers what single reports do not show.
#[derive(Debug)]
pub struct Health {
    frames: u64,
    frames_changed: Instant,
    packets: Losses,
    events: Losses,
}

/// A count that ought to stay, and when it last did not.
#[derive(Clone, Copy, Debug, Default)]
struct Losses {
    count: u64,
    changed: Option<Instant>,
}

impl Losses {
    /// Whether some were lost in the last minute.
    fn are_recent(&mut self, count: u64, now: Instant) -> bool {
        if count > self.count {
            self.count = count;
            self.changed = Some(now);
        }
        self.changed
            .is_some_and(|at| now.duration_since(at) < DROPS_SHOWN)
    }
}

/// What is wrong, and what is not as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The armed light shows these.
    pub faults: Vec<Remark>,
    /// Shown by `status` only.
    pub warnings: Vec<Remark>,
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

impl Health {
    /// Nothing is known yet.
    pub fn new(now: Instant) -> Self {
        Self {
            frames: 0,
            frames_changed: now,
            packets: Losses::default(),
            events: Losses::default(),
        }
    }

    /// Judges the present reports.
    pub fn judge(
        &mut self,
        tap: &TapReport,
        keeper: &KeeperReport,
        light: Option<&LedError>,
        set_up: SetUp,
        now: Instant,
    ) -> Verdict {
        let mut faults = Vec::new();
        faults.extend(capture_fault(tap));
        if faults.is_empty() {
            faults.extend(self.silence(tap, now));
        }
        faults.extend(self.dropped_packets(tap, now));
        faults.extend(self.dropped_events(keeper, now));
        faults.extend(hanging("capture", tap.looked, now));
        faults.extend(hanging("keeper", keeper.looked, now));
        faults.extend(keeper.fault.as_deref().map(store_fault));
        faults.extend(visits_fault(keeper));
        faults.extend(light.map(light_fault));
        let warnings = warnings(set_up);
        Verdict { faults, warnings }
    }

    fn silence(&mut self, tap: &TapReport, now: Instant) -> Option<Remark> {
        // `any` has no counter of its own: then the filter's count stands in.
        let frames = tap.link.map_or(tap.stats.received, |link| link.received);
        if frames != self.frames {
            self.frames = frames;
            self.frames_changed = now;
        }
        (now.duration_since(self.frames_changed) >= SILENCE).then(|| {
            remark(
                "mirror_silent",
                "no frame came in for a minute",
                "check the cable and the switch's mirror port",
            )
        })
    }

    fn dropped_packets(&mut self, tap: &TapReport, now: Instant) -> Option<Remark> {
        let (kernel, interface) = (tap.stats.dropped_kernel, tap.stats.dropped_interface);
        self.packets.are_recent(kernel + interface, now).then(|| {
            remark(
                "drops",
                &format!(
                    "packets were dropped in the last minute (since the start {kernel} by the kernel, {interface} by the interface)"
                ),
                "enlarge capture.buffer, or narrow the filter with host.addresses",
            )
        })
    }

    fn dropped_events(&mut self, keeper: &KeeperReport, now: Instant) -> Option<Remark> {
        let dropped = keeper.dropped;
        self.events.are_recent(dropped.total(), now).then(|| {
            remark(
                "events_dropped",
                &format!(
                    "events were dropped in the last minute (since the start {} requests, {} visits, {} statuses): the disk was too slow for them",
                    dropped.requests, dropped.visits, dropped.details
                ),
                "a flood of requests passes by itself; else give the data directory a faster disk",
            )
        })
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
            "the kernel drops the server's bulk data: lost packets may go unnoticed",
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

fn store_fault(fault: &str) -> Remark {
    remark(
        "store_failing",
        fault,
        "check the disk (df, dmesg); visits are held in memory and written when it works again",
    )
}

/// Told from four fifths of the cap on, while there is room to do something about it.
fn visits_fault(keeper: &KeeperReport) -> Option<Remark> {
    let (bytes, max) = (keeper.visits_bytes, keeper.visits_max_bytes);
    (max > 0 && bytes >= max / 5 * 4).then(|| {
        remark(
            "visits_cap",
            &format!(
                "visits take up {} of {} MiB; beyond that they are only counted",
                bytes >> 20,
                max >> 20
            ),
            "raise store.visits_max and restart; no visit was or will be deleted",
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

fn remark(name: &str, text: &str, cure: &str) -> Remark {
    Remark {
        name: name.to_owned(),
        text: text.to_owned(),
        cure: cure.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::LinkState;

    fn tap(received: u64, up: bool) -> TapReport {
        TapReport {
            link: Some(LinkState {
                index: 3,
                up,
                received,
                ..LinkState::default()
            }),
            ..TapReport::default()
        }
    }

    fn names(verdict: &Verdict) -> Vec<&str> {
        verdict
            .faults
            .iter()
            .map(|fault| fault.name.as_str())
            .collect()
    }

    #[test]
    fn a_minute_without_a_frame_is_a_fault_and_the_next_frame_ends_it() {
        let start = Instant::now();
        let mut health = Health::new(start);
        let keeper = KeeperReport::default();
        let mut at = |seconds, frames| {
            let now = start + Duration::from_secs(seconds);
            let verdict = health.judge(&tap(frames, true), &keeper, None, SetUp::default(), now);
            names(&verdict).join(" ")
        };
        assert_eq!(at(1, 5), "");
        assert_eq!(at(60, 5), "");
        assert_eq!(at(61, 5), "mirror_silent");
        assert_eq!(at(62, 6), "");
    }

    #[test]
    fn drops_are_shown_for_a_minute() {
        let start = Instant::now();
        let mut health = Health::new(start);
        let mut report = tap(1, true);
        report.stats.dropped_kernel = 7;
        let keeper = KeeperReport::default();
        let first = health.judge(&report, &keeper, None, SetUp::default(), start);
        assert_eq!(names(&first), ["drops"]);
        report.link = tap(2, true).link;
        let later = start + Duration::from_secs(61);
        let later = health.judge(&report, &keeper, None, SetUp::default(), later);
        assert!(later.faults.is_empty());
    }

    #[test]
    fn a_link_that_is_down_is_named() {
        let now = Instant::now();
        let verdict = Health::new(now).judge(
            &tap(1, false),
            &KeeperReport::default(),
            None,
            SetUp::default(),
            now,
        );
        assert_eq!(names(&verdict), ["link_down"]);
    }

    #[test]
    fn each_trouble_with_a_key_log_names_its_cure() {
        let keys = |path: &str, state| KeysReport {
            logs: vec![(path.into(), state)],
            ..KeysReport::default()
        };
        let denied = || LogState::Unreadable("Permission denied".into());
        for (path, state, name, cure) in [
            (
                "/var/log/tls/keys.log",
                LogState::Exposed,
                "key_log_exposed",
                "sudo chmod o-rwx /var/log/tls/keys.log",
            ),
            (
                "/var/log/tls/keys.log",
                denied(),
                "key_log_unreadable",
                "sudo chgrp canarytap /var/log/tls/keys.log",
            ),
            (
                "/home/me/keys.log",
                denied(),
                "key_log_unreadable",
                "tail -F /home/me/keys.log | canarytap keys",
            ),
            (
                "/tmp/keys.log",
                LogState::Missing,
                "key_log_missing",
                "the service sees nothing below /home",
            ),
        ] {
            let is_missing = state == LogState::Missing;
            let verdict = Verdict::default().with_keys(&keys(path, state));
            assert_eq!(verdict.warnings.len(), usize::from(is_missing));
            let remarks: Vec<_> = verdict.faults.iter().chain(&verdict.warnings).collect();
            assert_eq!((remarks.len(), remarks[0].name.as_str()), (1, name));
            assert!(remarks[0].cure.contains(cure), "{}", remarks[0].cure);
        }
        let verdict = Verdict::default().with_keys(&keys("/k", LogState::Followed));
        assert!(verdict.faults.is_empty() && verdict.warnings.is_empty());
    }

    #[test]
    fn a_clock_that_is_not_set_and_heads_alone_are_warnings_only() {
        let now = Instant::now();
        let keeper = KeeperReport::default();
        let set_up = SetUp {
            clock_synchronised: Some(false),
            heads_only: true,
        };
        let verdict = Health::new(now).judge(&tap(1, true), &keeper, None, set_up, now);
        assert!(verdict.faults.is_empty());
        assert_eq!(verdict.warnings.len(), 2);
    }

    #[test]
    fn dropped_events_are_no_dropped_packets() {
        let now = Instant::now();
        let mut keeper = KeeperReport::default();
        keeper.dropped.details = 1;
        let verdict = Health::new(now).judge(&tap(1, true), &keeper, None, SetUp::default(), now);
        assert_eq!(names(&verdict), ["events_dropped"]);
    }

    #[test]
    fn a_thread_that_does_not_come_back_is_named() {
        let start = Instant::now();
        let keeper = KeeperReport {
            looked: Some(start),
            ..KeeperReport::default()
        };
        let mut report = tap(1, true);
        report.looked = Some(start);
        let mut health = Health::new(start);
        let mut at = |seconds| {
            let now = start + Duration::from_secs(seconds);
            let verdict = health.judge(&report, &keeper, None, SetUp::default(), now);
            names(&verdict).join(" ")
        };
        assert_eq!(at(9), "");
        assert_eq!(at(10), "capture_hangs keeper_hangs");
    }
}
