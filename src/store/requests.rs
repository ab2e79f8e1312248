//! Background requests: outside the chain, with a cap on their size, the oldest first to go.

use rusqlite::{Connection, OptionalExtension, params};

use crate::engine::frame::Timestamp;
use crate::store::spans::micros;

/// Writes one request. `bytes_total` is that of the request before it.
pub(super) fn insert(
    transaction: &Connection,
    seq: u64,
    time: Timestamp,
    status: Option<u16>,
    record: &str,
    bytes_total: u64,
) -> rusqlite::Result<u64> {
    insert_at(transaction, seq, micros(time), status, record, bytes_total)
}

/// The same with a time in microseconds since the Unix epoch.
pub(super) fn insert_at(
    transaction: &Connection,
    seq: u64,
    time: i64,
    status: Option<u16>,
    record: &str,
    bytes_total: u64,
) -> rusqlite::Result<u64> {
    let total = bytes_total + record.len() as u64 + ROW_OVERHEAD_BYTES;
    transaction
        .prepare_cached("INSERT INTO requests VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![seq, time, total, status, record])?;
    Ok(total)
}

/// Adds the status of a request that stands there already, unless it has gone.
pub(super) fn set_status(transaction: &Connection, seq: u64, status: u16) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE requests SET status = ?2 WHERE seq = ?1")?
        .execute(params![seq, status])?;
    Ok(())
}

/// `seq` and `bytes_total` of the newest request.
pub(super) fn newest(connection: &Connection) -> rusqlite::Result<Option<(u64, u64)>> {
    end(
        connection,
        "SELECT seq, bytes_total FROM requests ORDER BY seq DESC LIMIT 1",
    )
}

/// Takes the oldest requests away when all together are over `max_bytes`, a share of the cap at
/// once so that not every commit has to, and a bounded number at once so that none takes long.
/// The newest always stays: its `seq` is never given again.
pub(super) fn prune(transaction: &Connection, max_bytes: u64) -> rusqlite::Result<usize> {
    let oldest = end(
        transaction,
        "SELECT seq, bytes_total FROM requests ORDER BY seq LIMIT 1",
    )?;
    let (Some((_, from)), Some((newest, to))) = (oldest, newest(transaction)?) else {
        return Ok(0);
    };
    if to - from.min(to) <= max_bytes {
        return Ok(0);
    }
    let keep = max_bytes - max_bytes / PRUNED_SHARE;
    let cut: Option<u64> = transaction
        .prepare_cached(
            "SELECT max(seq) FROM (SELECT seq, bytes_total FROM requests ORDER BY seq LIMIT ?1)
             WHERE bytes_total < ?2",
        )?
        .query_row(
            params![PRUNED_AT_ONCE_MAX, to.saturating_sub(keep)],
            |row| row.get(0),
        )?;
    let cut = cut.unwrap_or(0).min(newest - 1);
    transaction
        .prepare_cached("DELETE FROM requests WHERE seq <= ?1")?
        .execute([cut])
}

fn end(connection: &Connection, query: &str) -> rusqlite::Result<Option<(u64, u64)>> {
    connection
        .prepare_cached(query)?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// What SQLite adds to a record: row header, integers, and unused room in its pages.
const ROW_OVERHEAD_BYTES: u64 = 48;

/// One part in so many of the cap goes at once.
const PRUNED_SHARE: u64 = 64;

/// Rows that go in one commit at most: some ten milliseconds on a Pi. More than a batch brings,
/// so that a lowered cap is reached in the end.
const PRUNED_AT_ONCE_MAX: usize = 4096;
