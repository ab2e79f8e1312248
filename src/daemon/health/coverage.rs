//! Minute by minute: was the tap looking, and was there anything to see?

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::engine::frame::Timestamp;
use crate::store::{CoverageRecord, Minute};

/// A moment, by the clock that may be set and by the one that only runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The system's clock.
    pub wall: Timestamp,
    /// Time since the machine's boot, sleep included.
    pub uptime: Duration,
    /// Whether the clock is set from the network, where somebody says.
    pub synchronised: Option<bool>,
}

/// Keeps the account of the present hour.
#[derive(Debug)]
pub struct Tracker {
    boot: String,
    open: Option<Open>,
    /// The engine's events at the last look, whichever account that was in.
    events: u64,
}

#[derive(Debug)]
struct Open {
    from: Moment,
    minutes: Vec<Minute>,
    wrong: BTreeMap<String, u64>,
    now: Now,
    looked: Duration,
    /// The engine's events at the last look.
    events: u64,
}

/// The minute that is not over.
#[derive(Debug, Default)]
struct Now {
    seen: bool,
    wrong: BTreeSet<String>,
}

impl Tracker {
    /// Nothing is covered yet. `boot` names this boot of the machine.
    pub fn new(boot: String) -> Self {
        Self {
            boot,
            open: None,
            events: 0,
        }
    }

    /// What names this boot.
    pub fn boot(&self) -> &str {
        &self.boot
    }

    /// Takes what is wrong at a moment, how long it was before anybody could know, and how many
    /// events there were; gives back what is to be written down.
    pub fn look<'a>(
        &mut self,
        at: Moment,
        wrong: impl Iterator<Item = &'a str>,
        silent_for: Duration,
        events: u64,
    ) -> Option<CoverageRecord> {
        let stepped = self.open.as_ref().is_some_and(|open| open.stepped(at));
        let full = (self.open.as_ref()).is_some_and(|open| open.age(at) >= HOUR);
        let ended = self.open.as_ref().filter(|_| full && !stepped);
        let next = ended.and_then(|open| open.next(at));
        let record = (stepped || full).then(|| self.end(at, events)).flatten();
        let before = std::mem::replace(&mut self.events, events);
        let begin = || next.unwrap_or_else(|| Open::begin(at, before));
        let open = self.open.get_or_insert_with(begin);
        open.look(at, wrong, silent_for, events);
        record
    }

    /// Ends the present account, after so many events: the daemon stops, or its hour is over.
    pub fn end(&mut self, at: Moment, events: u64) -> Option<CoverageRecord> {
        let mut open = self.open.take()?;
        open.see(events);
        let age = open.age(at).min(HOUR);
        open.finish_minutes(age);
        if open.minutes.len() < MINUTES && !open.is_at_minute(age) {
            open.finish_minute();
        }
        (age >= Duration::from_secs(1)).then(|| open.record(&self.boot, age))
    }

    /// The present account, up to its last whole minute.
    pub fn present(&self) -> Option<CoverageRecord> {
        let open = self.open.as_ref()?;
        let age = MINUTE * u32::try_from(open.minutes.len()).ok()?;
        (!age.is_zero()).then(|| open.record(&self.boot, age))
    }
}

impl Open {
    fn begin(from: Moment, events: u64) -> Self {
        Self {
            from,
            minutes: Vec::with_capacity(MINUTES),
            wrong: BTreeMap::new(),
            now: Now::default(),
            looked: from.uptime,
            events,
        }
    }

    /// The account of the hour after this one, which begins where this one ends; None after a time
    /// in which nobody looked.
    fn next(&self, at: Moment) -> Option<Self> {
        let late = self.age(at).saturating_sub(HOUR) > LOOK_MAX;
        let from = Moment {
            wall: self.from.wall.plus(HOUR),
            uptime: self.from.uptime + HOUR,
            ..self.from
        };
        let mut next = Self::begin(from, self.events);
        next.looked = self.looked;
        (!late).then_some(next)
    }

    fn age(&self, at: Moment) -> Duration {
        at.uptime.saturating_sub(self.from.uptime)
    }

    /// Whether the clock was set since it began: then no time of the record would be right.
    fn stepped(&self, at: Moment) -> bool {
        let expected = self.from.wall.plus(self.age(at));
        let off = expected.since(at.wall).max(at.wall.since(expected));
        off > STEP_MIN || self.from.synchronised != at.synchronised
    }

    fn is_at_minute(&self, age: Duration) -> bool {
        age.as_secs() / 60 == self.minutes.len() as u64 && age.as_secs() % 60 == 0
    }

    fn look<'a>(
        &mut self,
        at: Moment,
        wrong: impl Iterator<Item = &'a str>,
        silent_for: Duration,
        events: u64,
    ) {
        let slept = at.uptime.saturating_sub(self.looked) > LOOK_MAX;
        if slept {
            self.now.wrong.insert(STUCK.into());
        }
        self.finish_minutes(self.age(at));
        if slept {
            self.now.wrong.insert(STUCK.into());
        }
        self.see(events);
        self.now.wrong.extend(wrong.map(str::to_owned));
        if !silent_for.is_zero() {
            self.blind_since(self.age(at).saturating_sub(silent_for));
        }
        self.looked = at.uptime;
    }

    /// Watched hosts were spoken with, if there are more events than before.
    fn see(&mut self, events: u64) {
        self.now.seen |= events != self.events;
        self.events = events;
    }

    /// Ends each minute that is over at this age. Those that nobody looked at are blind.
    fn finish_minutes(&mut self, age: Duration) {
        let over = usize::try_from(age.as_secs() / 60).unwrap_or(MINUTES);
        while self.minutes.len() < over.min(MINUTES) {
            self.finish_minute();
            if self.minutes.len() < over.min(MINUTES) {
                self.now.wrong.insert(STUCK.into());
            }
        }
    }

    fn finish_minute(&mut self) {
        let now = std::mem::take(&mut self.now);
        let minute = match (now.wrong.is_empty(), now.seen) {
            (false, _) => Minute::Blind,
            (true, true) => Minute::Seen,
            (true, false) => Minute::Quiet,
        };
        self.minutes.push(minute);
        for fault in now.wrong {
            *self.wrong.entry(fault).or_default() += 1;
        }
    }

    /// A silence is known only when it has lasted: what looked quiet was blind.
    fn blind_since(&mut self, age: Duration) {
        let first = usize::try_from(age.as_secs() / 60).unwrap_or(MINUTES);
        for minute in self.minutes.iter_mut().skip(first) {
            if *minute == Minute::Quiet {
                *minute = Minute::Blind;
            }
        }
    }

    fn record(&self, boot: &str, age: Duration) -> CoverageRecord {
        let to = self.from.wall.plus(age).to_string();
        CoverageRecord {
            time: to.clone(),
            from: self.from.wall.to_string(),
            to,
            minutes: self.minutes.iter().map(|minute| minute.sign()).collect(),
            boot: boot.to_owned(),
            uptime_from: self.from.uptime.as_secs(),
            uptime_to: (self.from.uptime + age).as_secs(),
            synchronised: self.from.synchronised,
            wrong: self.wrong.clone(),
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const MINUTES: usize = 60;
const HOUR: Duration = Duration::from_secs(3600);
/// A clock is slewed by less.
const STEP_MIN: Duration = Duration::from_secs(2);
/// Longer between two looks, and nobody knows what was in between: the machine slept, or hung.
const LOOK_MAX: Duration = Duration::from_secs(25);
/// What that is called.
const STUCK: &str = "daemon_stuck";

#[cfg(test)]
mod tests {
    use super::*;

    struct Run {
        tracker: Tracker,
        second: u64,
        step: u64,
        events: u64,
        records: Vec<CoverageRecord>,
    }

    impl Run {
        fn new() -> Self {
            Self {
                tracker: Tracker::new("b".into()),
                second: 0,
                step: 0,
                events: 0,
                records: Vec::new(),
            }
        }

        fn at(&self) -> Moment {
            Moment {
                wall: Timestamp::from_secs_nanos(1_700_000_000 + self.second + self.step, 0),
                uptime: Duration::from_secs(100 + self.second),
                synchronised: None,
            }
        }

        fn pass(&mut self, seconds: u64, wrong: &[&str], busy: bool) {
            for _ in 0..seconds {
                self.events += u64::from(busy);
                let wrong = wrong.iter().copied();
                let record = self
                    .tracker
                    .look(self.at(), wrong, Duration::ZERO, self.events);
                self.records.extend(record);
                self.second += 1;
            }
        }
    }

    #[test]
    fn an_hour_is_a_record_with_a_sign_for_each_minute() {
        let mut run = Run::new();
        run.pass(600, &[], true);
        run.pass(600, &[], false);
        run.pass(90, &["link_down"], false);
        run.pass(2311, &[], true);
        assert_eq!(run.records.len(), 1);
        let record = &run.records[0];
        let expected = format!("{}{}--{}", "+".repeat(10), ".".repeat(10), "+".repeat(38));
        assert_eq!(record.minutes, expected);
        assert_eq!(record.wrong, BTreeMap::from([("link_down".into(), 2)]));
        assert_eq!((record.uptime_from, record.uptime_to), (100, 3700));
        assert_eq!(record.spans().len(), 60);
    }

    #[test]
    fn what_was_begun_is_told_at_a_stop_with_its_short_last_minute() {
        let mut run = Run::new();
        run.pass(150, &[], true);
        let record = run.tracker.end(run.at(), run.events).unwrap();
        assert_eq!(record.minutes, "+++");
        assert_eq!(record.uptime_to - record.uptime_from, 150);
        assert_eq!(run.tracker.end(run.at(), run.events), None);
    }

    #[test]
    fn what_came_before_the_first_look_or_after_the_last_was_seen() {
        for (early, late) in [(3, 3), (0, 3)] {
            let mut run = Run::new();
            run.events = early;
            run.pass(5, &[], false);
            let record = run.tracker.end(run.at(), late).unwrap();
            assert_eq!(record.minutes, "+");
        }
    }

    #[test]
    fn a_clock_that_is_set_begins_another_record_and_the_first_keeps_its_time() {
        let mut run = Run::new();
        run.pass(120, &[], true);
        run.step = 50_000;
        run.pass(60, &[], true);
        assert_eq!(run.records.len(), 1);
        let spans = run.records[0].spans();
        assert_eq!(spans[1].to.since(spans[0].from), Duration::from_secs(120));
        let rest = run.tracker.end(run.at(), run.events).unwrap();
        assert_eq!(rest.uptime_from, run.records[0].uptime_to);
        assert_eq!(rest.minutes, "+");
    }

    #[test]
    fn a_machine_that_slept_saw_nothing_meanwhile() {
        let mut run = Run::new();
        run.pass(90, &[], true);
        run.second += 600;
        run.pass(120, &[], true);
        let record = run.tracker.end(run.at(), run.events).unwrap();
        assert_eq!(record.minutes, format!("+{}++", "-".repeat(11)));
        assert_eq!(record.wrong["daemon_stuck"], 11);
    }

    #[test]
    fn a_silence_that_is_found_late_was_one_from_its_beginning() {
        let mut run = Run::new();
        run.pass(60, &[], true);
        run.pass(240, &[], false);
        let silent = Duration::from_secs(150);
        let events = run.events;
        let wrong = ["mirror_silent"].into_iter();
        run.tracker.look(run.at(), wrong, silent, events);
        let record = run.tracker.end(run.at(), run.events).unwrap();
        assert_eq!(record.minutes, "+.---");
    }

    #[test]
    fn an_hour_begins_where_the_one_before_it_ended_however_seldom_it_was_looked() {
        let mut run = Run::new();
        for _ in 0..400 {
            run.pass(1, &[], true);
            run.second += 22;
        }
        assert_eq!(run.records.len(), 2);
        assert_eq!(run.records[0].to, run.records[1].from);
        assert_eq!(run.records[1].minutes, "+".repeat(60));
        run.second += 7200;
        let woke = run.at().wall.to_string();
        for _ in 0..170 {
            run.pass(1, &[], true);
            run.second += 22;
        }
        assert_eq!(run.records[3].from, woke);
    }

    #[test]
    fn the_present_account_is_told_up_to_its_last_whole_minute() {
        let mut run = Run::new();
        run.pass(59, &[], true);
        assert_eq!(run.tracker.present(), None);
        run.pass(100, &[], true);
        assert_eq!(run.tracker.present().unwrap().minutes, "++");
    }

    #[test]
    fn a_week_is_no_more_than_an_hourly_record_each() {
        let mut run = Run::new();
        run.pass(7 * 24 * 3600 + 1, &[], true);
        assert_eq!(run.records.len(), 7 * 24);
        assert!(
            run.records
                .iter()
                .all(|record| record.minutes == "+".repeat(60))
        );
        for pair in run.records.windows(2) {
            assert_eq!(pair[0].to, pair[1].from);
        }
    }
}
