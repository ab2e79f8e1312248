//! Faults as records of the log: one when a fault begins and one when it ended for good, so that
//! a flapping cable fills no card.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::daemon::clock::micros_of;
use crate::daemon::health::Moment;
use crate::daemon::status::Remark;
use crate::store::HealthRecord;

/// What is to be told of faults that came and went.
#[derive(Debug, Default)]
pub struct Chronicle {
    troubles: BTreeMap<String, Trouble>,
    /// When a fault was last told to have ended, and how long that was waited for.
    ended: BTreeMap<String, (Instant, Duration)>,
    looked: Option<Instant>,
}

#[derive(Debug)]
struct Trouble {
    text: String,
    began: Moment,
    /// For how long it was there, all in all.
    lasted: Duration,
    /// Since when it is gone.
    gone: Option<(Instant, Moment)>,
    /// How often it came.
    times: u64,
    told: bool,
    /// For how long it has to be gone to have ended.
    settle: Duration,
}

impl Chronicle {
    /// Takes the faults of this moment; what is to be written down now.
    pub fn note(&mut self, faults: &[Remark], now: Instant, at: Moment) -> Vec<HealthRecord> {
        let looked = self.looked.replace(now).unwrap_or(now);
        let passed = now.duration_since(looked).min(LOOK_MAX);
        for fault in faults {
            self.is_there(fault, passed, now, at);
        }
        let mut records = Vec::new();
        for (name, trouble) in &mut self.troubles {
            if !faults.iter().any(|fault| fault.name == *name) {
                trouble.gone.get_or_insert((now, at));
            }
            if !trouble.told && trouble.lasted >= LASTING {
                trouble.told = true;
                records.push(trouble.begins(name));
            }
        }
        self.end(now, &mut records);
        records
    }

    fn is_there(&mut self, fault: &Remark, passed: Duration, now: Instant, at: Moment) {
        let Some(trouble) = self.troubles.get_mut(&fault.name) else {
            let settle = self.settle(&fault.name, now);
            let trouble = Trouble {
                text: fault.text.clone(),
                began: at,
                lasted: Duration::ZERO,
                gone: None,
                times: 1,
                told: false,
                settle,
            };
            self.troubles.insert(fault.name.clone(), trouble);
            return;
        };
        trouble.text.clone_from(&fault.text);
        match trouble.gone.take() {
            Some(_) => trouble.times += 1,
            None => trouble.lasted += passed,
        }
    }

    /// One that came again on the same day has to stay away for twice as long.
    fn settle(&self, name: &str, now: Instant) -> Duration {
        let last = self.ended.get(name);
        let again = last.filter(|(at, _)| now.duration_since(*at) < DAY);
        again.map_or(SETTLE_MIN, |(_, settle)| (*settle * 2).min(SETTLE_MAX))
    }

    fn end(&mut self, now: Instant, records: &mut Vec<HealthRecord>) {
        let ended = &mut self.ended;
        self.troubles.retain(|name, trouble| {
            let Some((since, at)) = trouble.gone else {
                return true;
            };
            if now.duration_since(since) < trouble.settle {
                return true;
            }
            if trouble.told {
                records.push(trouble.ends(name, at));
                ended.insert(name.clone(), (now, trouble.settle));
            }
            false
        });
    }
}

impl Trouble {
    fn begins(&self, name: &str) -> HealthRecord {
        HealthRecord {
            state: "begins".into(),
            ..self.record(name, self.began)
        }
    }

    fn ends(&self, name: &str, at: Moment) -> HealthRecord {
        HealthRecord {
            state: "ends".into(),
            since: Some(self.began.wall.to_string()),
            since_uptime_micros: Some(micros_of(self.began.uptime)),
            times: (self.times > 1).then_some(self.times),
            ..self.record(name, at)
        }
    }

    fn record(&self, name: &str, at: Moment) -> HealthRecord {
        HealthRecord {
            time: at.wall.to_string(),
            fault: name.to_owned(),
            text: self.text.clone(),
            uptime_micros: Some(micros_of(at.uptime)),
            synchronised: at.synchronised,
            ..HealthRecord::default()
        }
    }
}

/// A look that comes later than this says nothing about the time in between.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// What was there for less time is no line of the log.
const LASTING: Duration = Duration::from_secs(10);
const SETTLE_MIN: Duration = Duration::from_secs(60);
/// One that never rests makes no more than two dozen pairs a day.
const SETTLE_MAX: Duration = Duration::from_secs(2 * 3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::frame::Timestamp;

    struct Run {
        chronicle: Chronicle,
        start: Instant,
        second: u64,
        told: Vec<HealthRecord>,
    }

    impl Run {
        fn new() -> Self {
            Self {
                chronicle: Chronicle::default(),
                start: Instant::now(),
                second: 0,
                told: Vec::new(),
            }
        }

        fn pass(&mut self, seconds: u64, fault: Option<&str>) {
            for _ in 0..seconds {
                self.second += 1;
                let faults: Vec<Remark> = fault
                    .map(|name| Remark {
                        name: name.into(),
                        text: "why".into(),
                        ..Remark::default()
                    })
                    .into_iter()
                    .collect();
                let told = self.chronicle.note(
                    &faults,
                    self.start + Duration::from_secs(self.second),
                    Moment {
                        wall: Timestamp::from_secs_nanos(1_700_000_000 + self.second, 0),
                        uptime: Duration::from_secs(self.second),
                        synchronised: None,
                    },
                );
                self.told.extend(told);
            }
        }

        fn states(&self) -> Vec<&str> {
            self.told.iter().map(|one| one.state.as_str()).collect()
        }
    }

    #[test]
    fn a_fault_is_told_once_with_the_time_at_which_it_began_and_once_when_it_is_over() {
        let mut run = Run::new();
        run.pass(100, None);
        run.pass(300, Some("link_down"));
        run.pass(300, None);
        assert_eq!(run.states(), ["begins", "ends"]);
        let second =
            |seconds: u64| Timestamp::from_secs_nanos(1_700_000_000 + seconds, 0).to_string();
        assert_eq!(run.told[0].time, second(101));
        assert_eq!(run.told[1].time, second(401));
        assert_eq!(run.told[1].since, Some(second(101)));
        assert_eq!(run.told[1].times, None);
    }

    #[test]
    fn what_is_over_in_a_moment_is_no_line() {
        let mut run = Run::new();
        run.pass(9, Some("mirror_silent"));
        run.pass(3600, None);
        assert!(run.told.is_empty());
    }

    #[test]
    fn a_cable_that_flaps_all_day_makes_few_lines_that_say_how_often() {
        let mut run = Run::new();
        for _ in 0..24 * 3600 / 100 {
            run.pass(50, Some("link_down"));
            run.pass(50, None);
        }
        assert_eq!(run.states(), ["begins"]);
        run.pass(3600, None);
        assert_eq!(run.states(), ["begins", "ends"]);
        assert_eq!(run.told[1].times, Some(864));
    }

    #[test]
    fn one_that_comes_again_has_to_rest_for_longer() {
        let mut run = Run::new();
        for _ in 0..3 * 24 * 3600 / 600 {
            run.pass(300, Some("link_down"));
            run.pass(300, None);
        }
        assert!(run.told.len() < 20, "{}", run.told.len());
    }
}
