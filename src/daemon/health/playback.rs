//! Health and coverage of a capture that is read from a file: the judgement is the daemon's, the
//! clock is that of the frames.

use std::time::{Duration, Instant};

use crate::daemon::health::coverage::{Moment, Tracker};
use crate::daemon::health::{Chronicle, Habit, Health, Reports, SetUp};
use crate::daemon::keeper::KeeperReport;
use crate::daemon::keys::KeysReport;
use crate::daemon::tap::TapReport;
use crate::engine::counters::Counters;
use crate::engine::frame::Timestamp;
use crate::store::{CoverageRecord, HealthRecord};

/// Keeps the account of what a capture file covers.
#[derive(Debug)]
pub struct Playback {
    health: Health,
    chronicle: Chronicle,
    tracker: Tracker,
    tap: TapReport,
    keeper: KeeperReport,
    keys: KeysReport,
    /// The last frame's time; none before the first.
    last: Option<Timestamp>,
    /// When it was last looked.
    looked: Timestamp,
    /// Time since the first frame, gaps left out: it never goes backwards.
    passed: Duration,
    began: Instant,
    hours: Vec<CoverageRecord>,
    faults: Vec<HealthRecord>,
}

impl Playback {
    /// Nothing was read yet. `now` is where its own time begins, whenever that is.
    pub fn new(now: Instant) -> Self {
        Self {
            health: Health::new(Habit::default(), now),
            chronicle: Chronicle::default(),
            tracker: Tracker::new(BOOT.into()),
            tap: TapReport::default(),
            keeper: KeeperReport::default(),
            keys: KeysReport::default(),
            last: None,
            looked: Timestamp::default(),
            passed: Duration::ZERO,
            began: now,
            hours: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// A frame of this time comes next; `counters` are those of all before it.
    pub fn on_frame(&mut self, time: Timestamp, counters: &Counters) {
        let before = self.last.replace(time);
        if before.is_some_and(|last| seconds(last) == seconds(time)) {
            return;
        }
        self.tap.counters.clone_from(counters);
        self.tap.stats.received = counters.frames;
        let Some(last) = before else {
            return self.begin(time);
        };
        self.look(last);
        // The capture was not up, or another file begins: nothing is known of the time between.
        if time < last || time.since(last) >= GAP_MAX {
            self.close();
            return self.begin(time);
        }
        while time.since(self.looked) > STEP {
            self.look(self.looked.plus(STEP));
        }
    }

    /// The last frame was read.
    pub fn finish(&mut self, counters: &Counters) {
        if let Some(last) = self.last.take() {
            self.tap.counters.clone_from(counters);
            self.tap.stats.received = counters.frames;
            self.look(last);
            self.close();
        }
    }

    /// How many notes wait to be written down.
    pub fn notes(&self) -> usize {
        self.hours.len() + self.faults.len()
    }

    /// What is to be written down, and was not asked for yet.
    pub fn take_notes(&mut self) -> (Vec<CoverageRecord>, Vec<HealthRecord>) {
        (
            std::mem::take(&mut self.hours),
            std::mem::take(&mut self.faults),
        )
    }

    fn begin(&mut self, at: Timestamp) {
        self.looked = at;
        self.look(at);
    }

    fn look(&mut self, at: Timestamp) {
        self.passed += at.since(self.looked);
        self.looked = at.max(self.looked);
        let now = self.began + self.passed;
        let reports = Reports {
            tap: &self.tap,
            keeper: &self.keeper,
            keys: &self.keys,
            light: None,
            room: None,
            set_up: SetUp::default(),
        };
        let verdict = self.health.judge(&reports, now);
        let at = Moment {
            wall: at,
            ..self.moment()
        };
        let faults = self.chronicle.note(&verdict.faults, now, at);
        self.faults.extend(faults);
        let events = self.tap.counters.events;
        let silent = verdict.silent_for;
        let hour = (self.tracker).look(self.moment(), verdict.blinding(), silent, events);
        self.hours.extend(hour);
    }

    fn close(&mut self) {
        self.hours
            .extend(self.tracker.end(self.moment(), self.tap.counters.events));
    }

    fn moment(&self) -> Moment {
        Moment {
            wall: self.looked,
            uptime: self.passed,
            synchronised: None,
        }
    }
}

const fn seconds(time: Timestamp) -> u64 {
    time.as_nanos() / 1_000_000_000
}

/// What stands for the boot in such a record.
const BOOT: &str = "replay";
/// Shorter than what the account takes for a machine that slept.
const STEP: Duration = Duration::from_secs(20);
/// What the daemon takes for silence at the latest.
const GAP_MAX: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Minute;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_secs_nanos(1_700_000_000 + second, 0)
    }

    /// Frames at these seconds, of which each `event` is a request for a watched host.
    fn played(seconds: &[(u64, bool)]) -> (Vec<CoverageRecord>, Vec<HealthRecord>) {
        let mut playback = Playback::new(Instant::now());
        let mut counters = Counters::default();
        for (second, event) in seconds {
            playback.on_frame(at(*second), &counters);
            counters.frames += 1;
            counters.events += u64::from(*event);
        }
        playback.finish(&counters);
        playback.take_notes()
    }

    #[test]
    fn minutes_are_those_of_the_frames() {
        let frames: Vec<(u64, bool)> = (0..=300).map(|n| (n * 30, n == 3)).collect();
        let (hours, faults) = played(&frames);
        let minutes: Vec<&str> = hours.iter().map(|hour| hour.minutes.as_str()).collect();
        let first = format!(".+{}", ".".repeat(58));
        assert_eq!(minutes, [&first, &".".repeat(60), &".".repeat(30)]);
        assert_eq!(hours[1].from, at(3600).to_string());
        assert!(faults.is_empty(), "{faults:?}");
    }

    #[test]
    fn of_a_long_gap_nothing_is_claimed_however_long_it_is() {
        let century = 3_000_000_000;
        let (hours, _) = played(&[(0, true), (90, true), (century, true), (century + 60, true)]);
        let spans: Vec<_> = hours.iter().flat_map(CoverageRecord::spans).collect();
        assert_eq!(spans.len(), 3, "{hours:?}");
        assert!(spans.iter().all(|span| span.minute == Minute::Seen));
        assert_eq!(spans[1].to, at(90));
        assert_eq!(spans[2].from, at(century));
    }

    #[test]
    fn an_earlier_file_begins_an_account_of_its_own() {
        let (hours, _) = played(&[(5000, true), (5060, true), (0, true), (60, true)]);
        let froms: Vec<&str> = hours.iter().map(|hour| hour.from.as_str()).collect();
        assert_eq!(froms, [at(5000).to_string(), at(0).to_string()]);
    }

    #[test]
    fn minutes_in_which_packets_were_missing_are_blind() {
        let mut playback = Playback::new(Instant::now());
        let mut counters = Counters::default();
        for second in 0..240 {
            playback.on_frame(at(second), &counters);
            counters.frames += 1;
            counters.gaps_acknowledged += u64::from(second < 30);
        }
        playback.finish(&counters);
        let (hours, faults) = playback.take_notes();
        assert!(hours[0].minutes.starts_with('-'), "{hours:?}");
        assert!(hours[0].minutes.ends_with('.'), "{hours:?}");
        assert!(!faults.is_empty());
    }
}
