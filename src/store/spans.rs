//! For each run of 1,024 `seq` its earliest and latest time, so that a search by time skips what
//! lies elsewhere. Times need not grow with `seq`: a clock that stepped makes a span wide, never
//! wrong.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use crate::engine::frame::Timestamp;
use crate::store::schema::key;

/// How many `seq` make a span.
const SPAN: u64 = 1024;

/// Notes the times of each span that `before..=now`, the newest `seq` before and after a batch,
/// has filled.
pub(super) fn note(transaction: &Connection, before: u64, now: u64) -> rusqlite::Result<()> {
    for number in (before + 1) / SPAN..(now + 1) / SPAN {
        if let Some((earliest, latest)) = times(transaction, number)? {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO spans VALUES (?1, ?2, ?3)")?
                .execute(params![number, earliest, latest])?;
        }
    }
    Ok(())
}

/// The same where rows come with numbers that need not follow each other: spans are noted that
/// the newest row lies beyond. `before` is the newest `seq` before these rows.
pub(super) fn note_of(
    transaction: &Connection,
    before: u64,
    seqs: impl Iterator<Item = u64>,
) -> rusqlite::Result<()> {
    let numbers: BTreeSet<u64> = seqs.chain([before]).map(|seq| seq / SPAN).collect();
    let Some(newest) = numbers.last().copied() else {
        return Ok(());
    };
    for number in numbers {
        if number < newest {
            note(
                transaction,
                (number * SPAN).saturating_sub(1),
                number * SPAN + SPAN - 1,
            )?;
        }
    }
    Ok(())
}

/// The ranges of `seq` after `after` in which an event between `since` and `until` may lie.
pub(super) fn ranges(
    connection: &Connection,
    after: u64,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) -> rusqlite::Result<Vec<(u64, u64)>> {
    let mut ranges = Vec::new();
    if after >= SEQ_MAX {
        return Ok(ranges);
    }
    let mut start = after.saturating_add(1);
    if since.is_some() || until.is_some() {
        let mut skipped = connection.prepare_cached(
            "SELECT number FROM spans WHERE number >= ?1 AND (latest < ?2 OR earliest > ?3)
             ORDER BY number",
        )?;
        let since = since.map_or(i64::MIN, micros);
        let until = until.map_or(i64::MAX, micros);
        let mut rows = skipped.query(params![start / SPAN, since, until])?;
        while let Some(row) = rows.next()? {
            let number: u64 = row.get(0)?;
            if number * SPAN > start {
                ranges.push((start, number * SPAN - 1));
            }
            start = start.max((number + 1) * SPAN);
        }
    }
    ranges.push((start, SEQ_MAX));
    Ok(ranges)
}

/// Microseconds since the Unix epoch; what SQLite keeps of a time.
pub(super) fn micros(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanos() / 1000).unwrap_or(i64::MAX)
}

fn times(connection: &Connection, number: u64) -> rusqlite::Result<Option<(i64, i64)>> {
    let (first, last) = (number * SPAN, number * SPAN + SPAN - 1);
    let of_requests: Option<(i64, i64)> = connection
        .prepare_cached("SELECT min(time), max(time) FROM requests WHERE seq BETWEEN ?1 AND ?2")?
        .query_row(params![first, last], |row| {
            Ok(row.get::<_, Option<i64>>(0)?.zip(row.get(1)?))
        })?;
    let of_visits: Option<(String, String)> = connection
        .prepare_cached(TIMES_OF_VISITS)?
        .query_row(params![first, last], |row| {
            Ok(row.get::<_, Option<String>>(0)?.zip(row.get(1)?))
        })
        .optional()?
        .flatten();
    let of_visits = of_visits.and_then(|(earliest, latest)| parse(&earliest).zip(parse(&latest)));
    Ok(match (of_requests, of_visits) {
        (Some(left), Some(right)) => Some((left.0.min(right.0), left.1.max(right.1))),
        (left, right) => left.or(right),
    })
}

fn parse(time: &str) -> Option<i64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(time.as_microsecond())
}

/// The largest `seq` that SQLite can hold.
pub(super) const SEQ_MAX: u64 = i64::MAX.unsigned_abs();

const TIMES_OF_VISITS: &str = concat!(
    "SELECT min(",
    key!("time"),
    "), max(",
    key!("time"),
    ") FROM visits WHERE seq BETWEEN ?1 AND ?2"
);
