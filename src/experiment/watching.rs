//! When the tap was really watching: "not visited" is claimed for that time only.

use std::time::Duration;

use crate::engine::frame::Timestamp;
use crate::store::{CoverageRecord, Minute, StoreError, TapStore};

/// Spans of time in which the capture was up, its wire was seen and nothing was dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watching {
    /// In order, without overlap, each from before its end.
    spans: Vec<(Timestamp, Timestamp)>,
}

impl Watching {
    /// Reads from a store what the tap noted of itself; of several, one that was watching is enough.
    ///
    /// # Errors
    /// A database cannot be read.
    pub fn read(stores: &[TapStore]) -> Result<Self, StoreError> {
        let mut watched = Vec::new();
        for store in stores {
            let records = store.reader.minutes()?;
            let spans = records.iter().flat_map(CoverageRecord::spans);
            let seeing = spans.filter(|span| span.minute != Minute::Blind);
            watched.extend(seeing.map(|span| (span.from, span.to)));
        }
        Ok(Self::new(watched))
    }

    /// Out of spans in any order, which may overlap or touch.
    pub fn new(mut spans: Vec<(Timestamp, Timestamp)>) -> Self {
        spans.retain(|(from, until)| from < until);
        spans.sort();
        let mut joined: Vec<(Timestamp, Timestamp)> = Vec::with_capacity(spans.len());
        for (from, until) in spans {
            match joined.last_mut() {
                Some((_, end)) if from <= *end => *end = until.max(*end),
                _ => joined.push((from, until)),
            }
        }
        Self { spans: joined }
    }

    /// The same with what a running tap has not written down yet.
    #[must_use]
    pub fn and(self, present: &CoverageRecord) -> Self {
        let new = present.spans().into_iter();
        let new = new.filter(|span| span.minute != Minute::Blind);
        let new = new.map(|span| (span.from, span.to));
        Self::new(self.spans.into_iter().chain(new).collect())
    }

    /// The spans.
    pub fn spans(&self) -> &[(Timestamp, Timestamp)] {
        &self.spans
    }

    /// How much of the time between `from` and `until` was watched, and how long that time is.
    pub fn within(&self, from: Timestamp, until: Timestamp) -> Watched {
        let inside = self.spans.iter().map(|(start, end)| {
            let (start, end) = ((*start).max(from), (*end).min(until));
            end.since(start.min(end))
        });
        Watched {
            watched: inside.sum(),
            of: until.since(from.min(until)),
        }
    }
}

/// A part of a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// How long the tap was watching.
    pub watched: Duration,
    /// Out of how long.
    pub of: Duration,
}

impl Watched {
    /// The part in percent, rounded down: 100 means all of it.
    pub fn percent(self) -> u64 {
        let whole = self.of.as_millis();
        let part = (self.watched.as_millis() * 100).checked_div(whole);
        u64::try_from(part.unwrap_or(0)).unwrap_or(100).min(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs_nanos(1_000_000 + seconds, 0)
    }

    #[test]
    fn spans_that_overlap_count_once() {
        let watching = Watching::new(vec![
            (at(50), at(60)),
            (at(0), at(20)),
            (at(10), at(30)),
            (at(30), at(40)),
            (at(70), at(70)),
        ]);
        assert_eq!(watching.spans(), [(at(0), at(40)), (at(50), at(60))]);
        let watched = watching.within(at(0), at(100));
        assert_eq!(watched.watched, Duration::from_secs(50));
        assert_eq!(watched.percent(), 50);
    }

    #[test]
    fn only_what_lies_within_counts() {
        let watching = Watching::new(vec![(at(0), at(100))]);
        assert_eq!(watching.within(at(90), at(110)).percent(), 50);
        assert_eq!(watching.within(at(200), at(300)).percent(), 0);
        assert_eq!(watching.within(at(20), at(30)).percent(), 100);
        assert_eq!(watching.within(at(30), at(20)).of, Duration::ZERO);
    }

    #[test]
    fn all_but_a_little_is_not_all() {
        let watching = Watching::new(vec![(at(0), at(999))]);
        assert_eq!(watching.within(at(0), at(1000)).percent(), 99);
    }

    #[test]
    fn what_a_running_tap_knows_is_added_but_for_its_blind_minutes() {
        let text = |second| at(second).to_string();
        let present = CoverageRecord {
            time: text(240),
            from: text(60),
            to: text(240),
            minutes: "+-.".into(),
            boot: "b".into(),
            uptime_from: 60,
            uptime_to: 240,
            synchronised: None,
            wrong: Default::default(),
        };
        let watching = Watching::new(vec![(at(0), at(60))]).and(&present);
        assert_eq!(watching.spans(), [(at(0), at(120)), (at(180), at(240))]);
    }
}
