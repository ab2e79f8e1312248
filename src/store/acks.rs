//! Which alerts were acknowledged. A row of `acks` with `through` speaks for every alert up to
//! its `seq`, so that acknowledging all costs one row.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::engine::frame::Timestamp;
use crate::store::StoreError;
use crate::store::schema::key;

/// What is to be acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// Every alert up to now.
    All,
    /// These.
    Seqs(Vec<u64>),
}

/// What was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Alerts that waited and do so no more.
    pub newly: u64,
    /// Alerts that still wait.
    pub left: u64,
}

/// Alerts that wait to be acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unacknowledged {
    /// How many.
    pub count: u64,
    /// The newest one's `seq`; of a flood that still folds, the one before it.
    pub newest: u64,
    /// The newest one's method; none when only its hello was read.
    pub method: Option<String>,
}

/// All or nothing.
pub(super) fn acknowledge(
    connection: &mut Connection,
    path: &Path,
    which: &Acknowledge,
    at: Timestamp,
) -> Result<Acknowledged, StoreError> {
    let wrong = |error| StoreError::sqlite(path, error);
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(wrong)?;
    let before = count(&transaction).map_err(wrong)?;
    match which {
        Acknowledge::All => {
            through_newest(&transaction, at).map_err(wrong)?;
            transaction.execute(FLOODS_SEEN, []).map_err(wrong)?;
        }
        Acknowledge::Seqs(seqs) => {
            refuse_others(&transaction, path, seqs)?;
            each(&transaction, seqs, at).map_err(wrong)?;
        }
    }
    let left = count(&transaction).map_err(wrong)?;
    transaction.commit().map_err(wrong)?;
    Ok(Acknowledged {
        newly: before.saturating_sub(left),
        left,
    })
}

/// What waits, if anything does.
pub(super) fn unacknowledged(connection: &Connection) -> rusqlite::Result<Option<Unacknowledged>> {
    let count = count(connection)?;
    let newest = |query: &str| -> rusqlite::Result<Option<(u64, Option<String>)>> {
        connection
            .prepare_cached(query)?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
    };
    let (stored, folding) = (newest(NEWEST_WAITING)?, newest(NEWEST_FOLDING)?);
    let newest = match (stored, folding) {
        (Some(stored), Some(folding)) if stored.0 > folding.0 => Some(stored),
        (stored, folding) => folding.or(stored),
    };
    Ok(newest.map(|(newest, method)| Unacknowledged {
        count,
        newest,
        method,
    }))
}

/// The `seq` of alerts that wait, newest first.
pub(super) fn waiting(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<u64>> {
    connection
        .prepare_cached(WAITING)?
        .query_map([limit], |row| row.get(0))?
        .collect()
}

fn count(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(COUNT_WAITING)?
        .query_row([], |row| row.get(0))
}

fn through_newest(transaction: &Transaction<'_>, at: Timestamp) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(THROUGH_NEWEST)?
        .execute([at.to_string()])?;
    Ok(())
}

fn each(transaction: &Transaction<'_>, seqs: &[u64], at: Timestamp) -> rusqlite::Result<()> {
    seqs.iter()
        .try_for_each(|seq| note(transaction, *seq, &at.to_string()))
}

/// Acknowledges the alert `seq`.
pub(super) fn note(transaction: &Transaction<'_>, seq: u64, time: &str) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR IGNORE INTO acks (seq, time, through) VALUES (?1, ?2, 0)")?
        .execute(params![seq, time])?;
    Ok(())
}

fn refuse_others(
    transaction: &Transaction<'_>,
    path: &Path,
    seqs: &[u64],
) -> Result<(), StoreError> {
    let (mut unknown, mut not_alerts) = (Vec::new(), Vec::new());
    for seq in seqs {
        match is_alert(transaction, *seq).map_err(|error| StoreError::sqlite(path, error))? {
            None => unknown.push(*seq),
            Some(false) => not_alerts.push(*seq),
            Some(true) => {}
        }
    }
    if unknown.is_empty() && not_alerts.is_empty() {
        return Ok(());
    }
    Err(StoreError::CannotAcknowledge {
        unknown,
        not_alerts,
    })
}

fn is_alert(transaction: &Transaction<'_>, seq: u64) -> rusqlite::Result<Option<bool>> {
    let Ok(seq) = i64::try_from(seq) else {
        return Ok(None);
    };
    transaction
        .prepare_cached(IS_ALERT)?
        .query_row([seq], |row| row.get(0))
        .optional()
}

macro_rules! waiting {
    () => {
        concat!(
            " FROM visits WHERE ",
            key!("alert"),
            " = 1 AND seq > (SELECT coalesce(max(seq), 0) FROM acks WHERE through = 1)
              AND NOT EXISTS (SELECT 1 FROM acks WHERE acks.seq = visits.seq)"
        )
    };
}

/// A flood that still folds counts as one.
const COUNT_WAITING: &str = concat!(
    "SELECT (SELECT count(*)",
    waiting!(),
    ") + (SELECT count(*) FROM floods WHERE alert = 1 AND count > acknowledged)"
);

const NEWEST_FOLDING: &str = "SELECT touched, method FROM floods
    WHERE alert = 1 AND count > acknowledged ORDER BY touched DESC LIMIT 1";

const FLOODS_SEEN: &str = "UPDATE floods SET acknowledged = count WHERE alert = 1";

const NEWEST_WAITING: &str = concat!(
    "SELECT seq, ",
    key!("method"),
    waiting!(),
    " ORDER BY seq DESC LIMIT 1"
);

const WAITING: &str = concat!("SELECT seq", waiting!(), " ORDER BY seq DESC LIMIT ?1");

const THROUGH_NEWEST: &str = concat!(
    "INSERT INTO acks (seq, time, through) SELECT max(seq), ?1, 1 FROM visits WHERE ",
    key!("alert"),
    " = 1 HAVING max(seq) IS NOT NULL
     ON CONFLICT (seq) DO UPDATE SET through = 1"
);

const IS_ALERT: &str = concat!(
    "SELECT ifnull(",
    key!("alert"),
    ", 0) FROM visits WHERE seq = ?1
     UNION ALL SELECT 0 FROM requests WHERE seq = ?1"
);
