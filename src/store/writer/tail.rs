//! The ends of the tables, and how a record is put there.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Serialize;
use serde_json::Value;

use crate::store::canonical::{self, Fields};
use crate::store::{acks, chain, floods, requests, spans};

/// The ends of both tables. Read anew for each batch: another process may have written.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    /// The newest `seq` of all.
    pub(super) seq: u64,
    /// Hash of the newest row of `visits`.
    hash: String,
    /// `bytes_total` of the newest request.
    pub(super) bytes_total: u64,
    /// Bytes that visits take up.
    pub(super) visits_bytes: u64,
}

impl Tail {
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let visit: Option<(u64, String)> = connection
            .prepare_cached("SELECT seq, hash FROM visits ORDER BY seq DESC LIMIT 1")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (visit, hash) = visit.unwrap_or((0, chain::GENESIS.into()));
        let (request, bytes_total) = requests::newest(connection)?.unwrap_or_default();
        Ok(Self {
            seq: visit.max(request),
            hash,
            bytes_total,
            visits_bytes: visits_bytes(connection)?,
        })
    }

    /// Notes what a batch has changed, but for the rows themselves.
    pub(super) fn note(
        &self,
        transaction: &Transaction<'_>,
        before: &Self,
    ) -> rusqlite::Result<()> {
        if self.visits_bytes != before.visits_bytes {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO meta VALUES ('visits_bytes', ?1)")?
                .execute([self.visits_bytes])?;
        }
        spans::note(transaction, before.seq, self.seq)
    }
}

/// Gives a record its `seq` and puts it at the end of the chain.
pub(super) fn append(
    transaction: &Transaction<'_>,
    tail: &mut Tail,
    mut fields: Fields,
) -> rusqlite::Result<()> {
    tail.seq += 1;
    fields.insert("seq".into(), Value::from(tail.seq));
    let link = chain::link(fields, &tail.hash).map_err(unwritable)?;
    transaction
        .prepare_cached("INSERT INTO visits (seq, record, hash) VALUES (?1, ?2, ?3)")?
        .execute(params![tail.seq, link.record, link.hash])?;
    tail.visits_bytes += link.record.len() as u64 + VISIT_OVERHEAD_BYTES;
    tail.hash = link.hash;
    Ok(())
}

/// Puts records of another kind than events at the end of the chain; their `seq`.
pub(super) fn append_records(
    transaction: &Transaction<'_>,
    kind: &str,
    records: &[impl Serialize],
) -> rusqlite::Result<Vec<u64>> {
    let before = Tail::read(transaction)?;
    let mut tail = before.clone();
    let mut numbers = Vec::with_capacity(records.len());
    for record in records {
        let mut fields = canonical::fields(record).map_err(unwritable)?;
        fields.insert("kind".into(), Value::from(kind));
        append(transaction, &mut tail, fields)?;
        numbers.push(tail.seq);
    }
    tail.note(transaction, &before)?;
    Ok(numbers)
}

pub(super) fn append_fold(
    transaction: &Transaction<'_>,
    tail: &mut Tail,
    fold: floods::Fold,
) -> rusqlite::Result<()> {
    let time = fold.fields.get("time").cloned().unwrap_or_default();
    append(transaction, tail, fold.fields)?;
    if fold.acknowledged {
        acks::note(transaction, tail.seq, time.as_str().unwrap_or_default())?;
    }
    Ok(())
}

/// What visits take up is noted with each batch; an older store is added up once.
pub(super) fn visits_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let noted: Option<u64> = connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'visits_bytes'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    if let Some(noted) = noted {
        return Ok(noted);
    }
    connection.query_row(
        "SELECT ifnull(sum(length(record) + ?1), 0) FROM visits",
        [VISIT_OVERHEAD_BYTES],
        |row| row.get(0),
    )
}

pub(super) fn unwritable(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

/// What a row of `visits` takes beside its record: its hash, its place in the indexes, and unused
/// room in pages.
const VISIT_OVERHEAD_BYTES: u64 = 200;
