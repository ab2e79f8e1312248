//! What a copy of this store is made from: read in pages, each a moment's snapshot, so that
//! nothing is locked while somebody far away takes it in.

use rusqlite::{Connection, OptionalExtension, params};

use crate::store::schema::key;
use crate::store::spans::SEQ_MAX;
use crate::store::{Ack, Flood, Head, Row, StoredCanary, canaries as minted};

/// Links after one number and requests after another, in the order of `seq`: at most so many, and
/// not many more bytes than that.
pub(super) fn rows(
    connection: &Connection,
    after: (u64, u64),
    rows_max: usize,
    bytes_max: usize,
) -> rusqlite::Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(ROWS)?;
    let after = (after.0.min(SEQ_MAX), after.1.min(SEQ_MAX));
    let mut found = statement.query(params![after.0, after.1, rows_max])?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        let row = read(row)?;
        bytes += row.bytes();
        rows.push(row);
        if bytes >= bytes_max {
            break;
        }
    }
    Ok(rows)
}

/// Somebody else may have written what is no text there: it arrives as nothing, and is refused
/// there for that.
fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let (seq, record) = (row.get(0)?, row.get(1).unwrap_or_default());
    Ok(match row.get::<_, Option<i64>>(3)? {
        None => Row::Visit {
            seq,
            record,
            hash: row.get(2).unwrap_or_default(),
        },
        Some(time) => Row::Request {
            seq,
            time,
            status: row.get(4).unwrap_or_default(),
            record,
        },
    })
}

/// The newest link whose number is no larger than `seq`.
pub(super) fn link_up_to(connection: &Connection, seq: u64) -> rusqlite::Result<Option<Head>> {
    connection
        .prepare_cached("SELECT seq, hash FROM visits WHERE seq <= ?1 ORDER BY seq DESC LIMIT 1")?
        .query_row([seq.min(SEQ_MAX)], |row| {
            Ok(Head {
                seq: row.get(0)?,
                hash: row.get(1).unwrap_or_default(),
            })
        })
        .optional()
}

/// Statuses of requests from `first` to `last` that have one, in the order of `seq`.
pub(super) fn statuses(
    connection: &Connection,
    first: u64,
    last: u64,
    limit: usize,
) -> rusqlite::Result<Vec<(u64, u16)>> {
    connection
        .prepare_cached(
            "SELECT seq, status FROM requests WHERE seq BETWEEN ?1 AND ?2 AND status IS NOT NULL
             ORDER BY seq LIMIT ?3",
        )?
        .query_map(
            params![first.min(SEQ_MAX), last.min(SEQ_MAX), limit],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .collect()
}

/// Minted canaries from the one with this number on, counted from 0 in the order of their making.
pub(super) fn canaries(
    connection: &Connection,
    from: u64,
    limit: usize,
) -> rusqlite::Result<Vec<StoredCanary>> {
    connection
        .prepare_cached(
            "SELECT id, url, channel, label, token, control, created FROM canaries
             ORDER BY rowid LIMIT ?2 OFFSET ?1",
        )?
        .query_map(params![from.min(SEQ_MAX), limit], minted::read)?
        .collect()
}

/// Acknowledgements after `seq` that still say something: none of an alert that a later one
/// speaks for.
pub(super) fn acks(
    connection: &Connection,
    after: u64,
    limit: usize,
) -> rusqlite::Result<Vec<Ack>> {
    connection
        .prepare_cached(
            "SELECT seq, time, through FROM acks
             WHERE seq > ?1 AND seq >= (SELECT ifnull(max(seq), 0) FROM acks WHERE through = 1)
             ORDER BY seq LIMIT ?2",
        )?
        .query_map(params![after.min(SEQ_MAX), limit], |row| {
            Ok(Ack {
                seq: row.get(0)?,
                time: row.get(1)?,
                through: row.get(2)?,
            })
        })?
        .collect()
}

/// Visits that are folding now.
pub(super) fn floods(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<Flood>> {
    connection
        .prepare_cached(
            "SELECT canary, client, alert, began, visits, count, acknowledged, touched, method,
             record FROM floods WHERE count > 0 ORDER BY touched DESC LIMIT ?1",
        )?
        .query_map([limit], |row| {
            Ok(Flood {
                canary: row.get(0)?,
                client: row.get(1)?,
                alert: row.get(2)?,
                began: row.get(3)?,
                visits: row.get(4)?,
                count: row.get(5)?,
                acknowledged: row.get(6)?,
                touched: row.get(7)?,
                method: row.get(8)?,
                record: row.get(9)?,
            })
        })?
        .collect()
}

/// The SHA-256 of a kept file, as a detail of its visit says. The file's name begins with the
/// visit's `seq`.
pub(super) fn digest_of(connection: &Connection, file: &str) -> rusqlite::Result<Option<String>> {
    let digits = file.split(|c: char| !c.is_ascii_digit()).next();
    let Some(of) = digits.and_then(|digits| digits.parse::<i64>().ok()) else {
        return Ok(None);
    };
    connection
        .prepare_cached(DIGEST_OF)?
        .query_row(params![of, file], |row| row.get(0))
        .optional()
}

const DIGEST_OF: &str = concat!(
    "SELECT ",
    key!("evidence.sha256"),
    " FROM visits WHERE ",
    key!("of"),
    " = ?1 AND ",
    key!("evidence.file"),
    " = ?2 ORDER BY seq DESC LIMIT 1"
);

const ROWS: &str = "
    SELECT seq, record, hash, NULL AS time, NULL AS status FROM visits WHERE seq > ?1
    UNION ALL SELECT seq, record, NULL, time, status FROM requests WHERE seq > ?2
    ORDER BY seq LIMIT ?3
";
