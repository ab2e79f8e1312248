//! True times: a machine without a battery-backed clock starts with a wrong one, so each event
//! says how long the machine had run by then, and a record of kind `clock` says later what time
//! it was when. Readers put the two together; what was written stays.

use std::collections::HashMap;
use std::mem;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::engine::frame::Timestamp;
use crate::store::{COVERAGE, CoverageRecord, EventRecord, records};

/// `kind` of a [`ClockRecord`].
pub const CLOCK: &str = "clock";

/// The clock was set or stepped, became synchronised or ceased to be, or was not synchronised when
/// the daemon started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockRecord {
    /// What the clock says from now on: RFC 3339, UTC, six decimals.
    pub time: String,
    /// Which boot of the machine this is.
    pub boot: String,
    /// Microseconds since that boot, sleep included.
    pub uptime_micros: u64,
    /// What has to be added to such a number to make it microseconds since the Unix epoch, by the
    /// clock as it is from now on.
    pub offset_micros: i64,
    /// How far the clock was set forward, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_micros: Option<i64>,
    /// Whether it is synchronised, where somebody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synchronised: Option<bool>,
}

/// What is known of clocks that were set.
#[derive(Debug, Default)]
pub struct Dates {
    /// By boot, in the order of `seq`.
    boots: HashMap<String, Vec<(u64, ClockRecord)>>,
}

impl Dates {
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut dates = Self::default();
        for (seq, record) in records::of_kind::<ClockRecord>(connection, CLOCK, 0)? {
            let of_boot = dates.boots.entry(record.boot.clone()).or_default();
            of_boot.push((seq, record));
        }
        Ok(dates)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.boots.is_empty()
    }

    /// Gives an event the time at which it really was, where its clock was set later only.
    pub(super) fn put_right(&self, event: &mut EventRecord) {
        let Some(boot) = self.of(event.boot.as_deref(), event.synchronised) else {
            return;
        };
        if let Some(time) = boot.date(event.uptime_micros, &event.time) {
            event.last = event.last.take().map(|_| time.clone());
            event.clock_said = Some(mem::replace(&mut event.time, time));
        }
        for (text, uptime) in [
            (&mut event.first, event.first_uptime_micros),
            (&mut event.since, event.since_uptime_micros),
        ] {
            let right = text.as_ref().and_then(|text| boot.date(uptime, text));
            *text = right.or_else(|| text.take());
        }
    }

    /// When it really was, so long after a boot, that the clock said `said`; None: then.
    pub fn date(&self, boot: &str, uptime_micros: u64, said: &str) -> Option<String> {
        self.of(Some(boot), None)?.date(Some(uptime_micros), said)
    }

    /// The same for the minutes of a record.
    pub(super) fn put_right_minutes(&self, record: &mut CoverageRecord) {
        let Some(boot) = self.of(Some(&record.boot), record.synchronised) else {
            return;
        };
        let uptime = |seconds: u64| seconds.checked_mul(1_000_000);
        // Whole seconds since the boot: not exact enough to move what is right by less.
        let far = |one: &str, other: &str| {
            let (one, other) = (micros_of(one), micros_of(other));
            one.zip(other)
                .is_some_and(|(one, other)| one.abs_diff(other) > 1_000_000)
        };
        let dated = boot.date(uptime(record.uptime_from), &record.from);
        let ended = boot.date(uptime(record.uptime_to), &record.to);
        if let (Some(from), Some(to)) = (dated, ended) {
            if far(&from, &record.from) {
                (record.from, record.to, record.time) = (from, to.clone(), to);
            }
        }
    }

    fn of(&self, boot: Option<&str>, synchronised: Option<bool>) -> Option<Boot<'_>> {
        let unsure = synchronised != Some(true);
        let records = self.boots.get(boot?).filter(|_| unsure)?;
        Some(Boot(records))
    }

    /// The ranges of `seq` in which times may have to be put right, in order: from what was last
    /// said of another boot to the newest record of this one.
    pub(super) fn windows(&self, connection: &Connection) -> rusqlite::Result<Vec<(u64, u64)>> {
        let coverage = records::of_kind::<CoverageRecord>(connection, COVERAGE, 0)?;
        let coverage = coverage.iter().map(|(seq, record)| (*seq, &record.boot));
        let clocks = self.boots.values().flatten();
        let mut said: Vec<(u64, &String)> = coverage
            .chain(clocks.map(|(seq, record)| (*seq, &record.boot)))
            .collect();
        said.sort_unstable();
        let mut windows: Vec<(u64, u64)> = Vec::new();
        for (boot, records) in &self.boots {
            let (Some((first, _)), Some((newest, _))) = (records.first(), records.last()) else {
                continue;
            };
            let before = said
                .iter()
                .rev()
                .find(|(seq, of)| seq < first && *of != boot);
            windows.push((before.map_or(0, |(seq, _)| *seq), *newest));
        }
        windows.sort_unstable();
        Ok(windows)
    }
}

/// What is known of the clock of one boot.
struct Boot<'a>(&'a [(u64, ClockRecord)]);

impl Boot<'_> {
    /// When it was, so long after the boot; None where it was when the clock said.
    fn date(&self, uptime_micros: Option<u64>, said: &str) -> Option<String> {
        let uptime = uptime_micros?;
        let offset = self.offset(uptime)?;
        let micros = u64::try_from(i64::try_from(uptime).ok()?.checked_add(offset)?).ok()?;
        let differs = micros_of(said)?.abs_diff(micros) >= TOLERANCE_MICROS;
        let time = Timestamp::from_nanos(micros.checked_mul(1000)?);
        differs.then(|| time.to_string())
    }

    /// The first synchronised clock after it; while there is none, the last that somebody set.
    fn offset(&self, uptime: u64) -> Option<i64> {
        let records = self.0.iter().map(|(_, record)| record);
        let mut later = records.filter(|record| record.uptime_micros >= uptime);
        let synchronised = later
            .clone()
            .find(|record| record.synchronised == Some(true));
        let found = synchronised.or_else(|| later.next_back());
        found.map(|record| record.offset_micros)
    }
}

/// A range of `seq` to look at, and whether times there may have to be put right.
pub(super) type Part = ((u64, u64), bool);

/// Parts of `ranges` in which times stand as they are, and windows in which they may not: in
/// order, each with whether it is such a window. Nothing lies before `after`.
pub(super) fn part(ranges: &[(u64, u64)], windows: &[(u64, u64)], after: u64) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut done = after;
    for (low, high) in windows {
        let first = (*low).max(done.saturating_add(1));
        if first <= *high {
            parts.push(((first, *high), true));
            done = *high;
        }
    }
    let within: Vec<(u64, u64)> = parts.iter().map(|(range, _)| *range).collect();
    for (first, last) in ranges {
        let mut first = *first;
        for (low, high) in &within {
            if *high < first || low > last {
                continue;
            }
            if *low > first {
                parts.push(((first, low - 1), false));
            }
            first = first.max(high + 1);
        }
        if first <= *last {
            parts.push(((first, *last), false));
        }
    }
    parts.sort_unstable();
    parts
}

fn micros_of(time: &str) -> Option<u64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    u64::try_from(time.as_microsecond()).ok()
}

/// Two ways to write the same moment differ by less.
const TOLERANCE_MICROS: u64 = 1000;

#[cfg(test)]
mod tests;
