//! What the tap notes of itself: faults that came and went, and the minutes that it really saw.
//! Rows of the chain as visits are, so that "nobody came" can be held against them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::frame::Timestamp;

/// A fault began or ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthRecord {
    /// When it did: RFC 3339, UTC, six decimals.
    pub time: String,
    /// Always false: it is a line of the log that is no visit.
    pub alert: bool,
    /// The fault's name.
    pub fault: String,
    /// `begins`, `ends`.
    pub state: String,
    /// What was wrong, in words.
    pub text: String,
    /// Of an end: when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Of an end: how often it came and went in between, when that was more than once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Which boot of the machine this was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// Microseconds from that boot to `time`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_micros: Option<u64>,
    /// The same to `since`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_uptime_micros: Option<u64>,
    /// Whether the clock was synchronised, where somebody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synchronised: Option<bool>,
}

/// `kind` of a [`HealthRecord`].
pub const HEALTH: &str = "health";
/// `kind` of a [`CoverageRecord`].
pub const COVERAGE: &str = "coverage";

/// Up to an hour, minute by minute: was the tap looking, and was there anything to see?
///
/// One stands in the chain for each hour, for what was begun when the daemon stops, and for what
/// came before a clock that stepped. A daemon that was killed leaves none: that time is not
/// covered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageRecord {
    /// As `to`.
    pub time: String,
    /// When its first minute began, by the clock as it was then.
    pub from: String,
    /// When its last minute ended; that one may be short.
    pub to: String,
    /// One sign for each minute: see [`Minute`].
    pub minutes: String,
    /// Which boot of the machine this was, and seconds since it at `from` and `to`. By these the
    /// times can be put right when the clock was set later only.
    pub boot: String,
    /// Seconds from the boot to `from`.
    pub uptime_from: u64,
    /// Seconds from the boot to `to`.
    pub uptime_to: u64,
    /// Whether the clock was set from the network, where somebody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synchronised: Option<bool>,
    /// What was wrong, and in how many of the minutes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub wrong: BTreeMap<String, u64>,
}

/// What one minute was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Minute {
    /// `+`: all was well, and traffic of the watched hosts was seen.
    Seen,
    /// `.`: all was well, and nobody spoke with the watched hosts.
    Quiet,
    /// `-`: something was wrong: a visit may have been missed.
    Blind,
}

impl Minute {
    /// Its sign in a record.
    pub const fn sign(self) -> char {
        match self {
            Self::Seen => '+',
            Self::Quiet => '.',
            Self::Blind => '-',
        }
    }

    /// What a sign means. One that is not known is no promise.
    pub const fn of(sign: char) -> Self {
        match sign {
            '+' => Self::Seen,
            '.' => Self::Quiet,
            _ => Self::Blind,
        }
    }
}

impl CoverageRecord {
    /// Its minutes, with the time at which each began and ended.
    pub fn spans(&self) -> Vec<Span> {
        let (Some(from), Some(to)) = (parse(&self.from), parse(&self.to)) else {
            return Vec::new();
        };
        let signs = self.minutes.chars().take(MINUTES_MAX);
        let spans = signs.zip(0u32..).map(|(sign, number)| Span {
            from: from.plus(MINUTE * number).min(to),
            to: from.plus(MINUTE * (number + 1)).min(to),
            minute: Minute::of(sign),
        });
        spans.filter(|span| span.from < span.to).collect()
    }
}

/// A piece of time that was the same throughout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Its begin.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// What it was.
    pub minute: Minute,
}

/// How far a span of time was covered. What no record speaks for was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Time in which all was well and traffic of the watched hosts was seen.
    pub seen: Duration,
    /// Time in which all was well and nobody spoke with them.
    pub quiet: Duration,
    /// Time in which a visit may have been missed.
    pub blind: Duration,
    /// The pieces of that, in order; beyond [`BLIND_SPANS_MAX`] the last stands for all that
    /// follow.
    pub blind_spans: Vec<(Timestamp, Timestamp)>,
    /// What was wrong in the records that were looked at, and in how many of their minutes.
    pub wrong: BTreeMap<String, u64>,
}

impl Coverage {
    /// Looks at the time between `from` and `to` through `records`, which may lie anywhere, in
    /// any order, and overlap where a clock was set back: then the better one counts.
    pub fn of(records: &[CoverageRecord], from: Timestamp, to: Timestamp) -> Self {
        let mut coverage = Self::default();
        let mut spans = Vec::new();
        for record in records {
            let before = spans.len();
            let within = record.spans().into_iter().filter_map(|span| {
                let span = Span {
                    from: span.from.max(from),
                    to: span.to.min(to),
                    ..span
                };
                (span.from < span.to).then_some(span)
            });
            spans.extend(within);
            if spans.len() > before {
                for (fault, minutes) in &record.wrong {
                    *coverage.wrong.entry(fault.clone()).or_default() += minutes;
                }
            }
        }
        coverage.add_up(&mut spans, from, to);
        coverage
    }

    /// Time that was covered.
    pub fn covered(&self) -> Duration {
        self.seen + self.quiet
    }

    fn add_up(&mut self, spans: &mut [Span], from: Timestamp, to: Timestamp) {
        spans.sort_unstable();
        self.seen = union(spans, |minute| minute == Minute::Seen).0;
        let (covered, pieces) = union(spans, |minute| minute != Minute::Blind);
        self.quiet = covered.saturating_sub(self.seen);
        let mut at = from;
        for (begin, end) in pieces {
            self.note_blind(at, begin);
            at = end;
        }
        self.note_blind(at, to);
    }

    fn note_blind(&mut self, from: Timestamp, to: Timestamp) {
        if from >= to {
            return;
        }
        self.blind += to.since(from);
        let full = self.blind_spans.len() >= BLIND_SPANS_MAX;
        match self.blind_spans.last_mut() {
            Some(last) if full => last.1 = to,
            _ => self.blind_spans.push((from, to)),
        }
    }
}

/// The time that sorted spans cover together, and its pieces.
fn union(
    spans: &[Span],
    counts: impl Fn(Minute) -> bool,
) -> (Duration, Vec<(Timestamp, Timestamp)>) {
    let mut pieces: Vec<(Timestamp, Timestamp)> = Vec::new();
    for span in spans.iter().filter(|span| counts(span.minute)) {
        match pieces.last_mut() {
            Some(last) if span.from <= last.1 => last.1 = last.1.max(span.to),
            _ => pieces.push((span.from, span.to)),
        }
    }
    let total = pieces.iter().map(|(from, to)| to.since(*from)).sum();
    (total, pieces)
}

fn parse(time: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(Timestamp::from_nanos(
        u64::try_from(time.as_nanosecond()).ok()?,
    ))
}

const MINUTE: Duration = Duration::from_secs(60);
/// A record is an hour long.
const MINUTES_MAX: usize = 61;
/// Pieces that are told apart: more of them than anybody reads.
pub const BLIND_SPANS_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Minutes after an hour, as a record says them.
    fn text(minute: u64) -> String {
        at(minute).to_string()
    }

    fn at(minute: u64) -> Timestamp {
        Timestamp::from_secs_nanos(1_700_000_000 + minute * 60, 0)
    }

    fn record(from: u64, minutes: &str) -> CoverageRecord {
        CoverageRecord {
            from: text(from),
            to: text(from + minutes.len() as u64),
            minutes: minutes.into(),
            ..CoverageRecord::default()
        }
    }

    const fn minutes(count: u64) -> Duration {
        Duration::from_secs(count * 60)
    }

    #[test]
    fn what_no_record_speaks_for_was_not_covered() {
        let records = [record(0, "++.+"), record(10, "..-.")];
        let coverage = Coverage::of(&records, at(0), at(20));
        assert_eq!(coverage.seen, minutes(3));
        assert_eq!(coverage.quiet, minutes(4));
        assert_eq!(coverage.blind, minutes(13));
        assert_eq!(
            coverage.blind_spans,
            [(at(4), at(10)), (at(12), at(13)), (at(14), at(20))]
        );
    }

    #[test]
    fn only_the_time_that_is_asked_for_counts() {
        let coverage = Coverage::of(&[record(0, "++++----")], at(3), at(5));
        assert_eq!(coverage.covered(), minutes(1));
        assert_eq!(coverage.blind_spans, [(at(4), at(5))]);
    }

    #[test]
    fn where_a_clock_was_set_back_the_better_record_counts_once() {
        let records = [record(5, "--.."), record(0, "++++++++")];
        let coverage = Coverage::of(&records, at(0), at(9));
        assert_eq!(coverage.seen, minutes(8));
        assert_eq!(coverage.quiet, minutes(1));
        assert_eq!(coverage.blind, Duration::ZERO);
    }

    #[test]
    fn a_last_minute_may_be_short_and_a_strange_sign_promises_nothing() {
        let mut short = record(0, "+?+");
        short.to = Timestamp::from_secs_nanos(1_700_000_000 + 150, 0).to_string();
        let coverage = Coverage::of(&[short], at(0), at(3));
        assert_eq!(coverage.seen, Duration::from_secs(90));
        assert_eq!(coverage.blind, Duration::from_secs(90));
    }

    #[test]
    fn a_record_that_makes_no_sense_covers_nothing() {
        let mut backwards = record(9, "+++");
        backwards.to = text(2);
        let mut garbled = record(0, "+++");
        garbled.from = "yesterday".into();
        let coverage = Coverage::of(&[backwards, garbled], at(0), at(9));
        assert_eq!(coverage.covered(), Duration::ZERO);
        assert_eq!(coverage.blind_spans, [(at(0), at(9))]);
    }
}
