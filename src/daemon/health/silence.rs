//! A wire that falls silent, judged against what is usual on it.

use std::time::{Duration, Instant};

use crate::daemon::health::remark;
use crate::daemon::status::Remark;
use crate::daemon::tap::TapReport;

/// Frames on the interface, whatever the kernel's filter says of them: a home network is never
/// still for long, and where it is at night, that is learned.
#[derive(Debug)]
pub(super) struct Silence {
    /// None before the first look: it counts since the boot.
    frames: Option<u64>,
    changed: Instant,
    /// Whether a frame came since the interface was opened.
    began: bool,
    /// The longest silence that ended by itself, today and yesterday.
    usual: [Duration; 2],
    /// Whether one that looks like an outage has come today.
    outage: bool,
    turned: Instant,
}

impl Silence {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            frames: None,
            changed: now,
            began: false,
            usual: [Duration::ZERO; 2],
            outage: false,
            turned: now,
        }
    }

    /// How long nothing came, if that is unusual. Of an interface that is not open nothing is
    /// expected, and nothing learned.
    pub(super) fn judge(
        &mut self,
        tap: &TapReport,
        is_open: bool,
        now: Instant,
    ) -> Option<Duration> {
        // `any` has no counter of its own: then the filter's count stands in, which is still
        // whenever nobody visits.
        let frames = tap.link.map_or(tap.stats.received, |link| link.received);
        let silent = now.duration_since(self.changed);
        let before = self.frames.replace(frames);
        if before != Some(frames) || !is_open {
            if is_open && self.began {
                self.learn(silent);
            }
            self.began = is_open && before.is_some();
            self.changed = now;
            return None;
        }
        if now.duration_since(self.turned) >= DAY {
            self.usual = [Duration::ZERO, self.usual[0]];
            self.outage = false;
            self.turned = now;
        }
        (silent >= self.patience(tap)).then_some(silent)
    }

    /// A long silence may have been an outage, and after that the next one must not be waited for
    /// longer: it is a habit of the network's if it comes twice a day.
    fn learn(&mut self, silent: Duration) {
        if silent > OUTAGE && !self.outage {
            self.outage = true;
            return;
        }
        let [today, _] = &mut self.usual;
        *today = (*today).max(silent);
    }

    fn patience(&self, tap: &TapReport) -> Duration {
        if tap.link.is_none() {
            return PATIENCE_MAX;
        }
        if !self.began {
            return PATIENCE_FIRST;
        }
        let [today, yesterday] = self.usual;
        (today.max(yesterday) * 2).clamp(PATIENCE_MIN, PATIENCE_MAX)
    }
}

pub(super) fn remark_of(silent: Duration) -> Remark {
    remark(
        "mirror_silent",
        // To ten seconds, so that the status file is not written for each.
        &format!(
            "no frame has come in for {} seconds",
            silent.as_secs() / 10 * 10
        ),
        "check the cable and the switch's mirror port",
    )
}

/// At the start, of a wire of which nothing is known.
const PATIENCE_FIRST: Duration = Duration::from_secs(60);
/// A mirror that is cut has to be named within half a minute where it was never still.
const PATIENCE_MIN: Duration = Duration::from_secs(25);
/// No home network is silent for so long.
const PATIENCE_MAX: Duration = Duration::from_secs(600);
/// What is longer is learned the second time only.
const OUTAGE: Duration = Duration::from_secs(120);
const DAY: Duration = Duration::from_secs(24 * 3600);
