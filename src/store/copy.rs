//! A copy of another store, kept where its owner cannot reach: each link is checked as it comes,
//! and what stands here once is never taken back.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::store::walk::Walk;
use crate::store::{
    Ack, Broken, Flood, Head, Row, StoreError, StoredCanary, canaries, files, outgoing, requests,
    schema, spans,
};

/// The one writer of a copy. What reads stores reads copies too; nothing else writes to them.
#[derive(Debug)]
pub struct StoreCopy {
    path: PathBuf,
    connection: Connection,
    /// Bytes that requests may take up; the oldest go first.
    requests_max_bytes: u64,
}

/// Why rows were not taken. Nothing of them is kept then.
#[derive(Debug)]
pub enum CopyError {
    /// The copy cannot be written.
    Store(StoreError),
    /// A link does not hold.
    Broken(Broken),
    /// A row stands where none may come any more.
    Order {
        /// Its number.
        seq: u64,
    },
}

impl From<StoreError> for CopyError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Broken(broken) => broken.fmt(f),
            Self::Order { seq } => write!(f, "row {seq} came out of order"),
        }
    }
}

impl std::error::Error for CopyError {}

impl StoreCopy {
    /// Opens the copy in `directory`; makes it where it is missing.
    ///
    /// # Errors
    /// As [`Store::open`](crate::store::Store::open); [`StoreError::NoCopy`] when a store of this
    /// machine's own lies there.
    pub fn open(directory: &Path, requests_max_bytes: u64) -> Result<Self, StoreError> {
        let path = files::prepare(directory)?;
        let connection = schema::open_copy_for_writing(&path)?;
        files::sync_directory(directory)?; // the log that SQLite keeps beside the database
        Ok(Self {
            path,
            connection,
            requests_max_bytes,
        })
    }

    /// The newest request's `seq`; 0 where there is none.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn last_request(&self) -> Result<u64, StoreError> {
        requests::newest(&self.connection)
            .map(|newest| newest.map_or(0, |(seq, _)| seq))
            .map_err(|error| self.wrong(error))
    }

    /// The newest link whose number is no larger than `seq`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn link_up_to(&self, seq: u64) -> Result<Option<Head>, StoreError> {
        outgoing::link_up_to(&self.connection, seq).map_err(|error| self.wrong(error))
    }

    /// Adds links behind those that are here, and requests behind those, all or none: each link
    /// must hold on to the one before it. They are on disk when this returns.
    ///
    /// # Errors
    /// See [`CopyError`]; nothing is changed then.
    pub fn add(&mut self, rows: &[Row]) -> Result<(), CopyError> {
        let head = self.link_up_to(u64::MAX)?;
        let mut last_request = self.last_request()?;
        let before = head.as_ref().map_or(0, |head| head.seq).max(last_request);
        let mut walk = Walk::after(head);
        self.recall(&mut walk)?;
        for row in rows {
            match row {
                Row::Visit { seq, record, hash } if *seq <= spans::SEQ_MAX => {
                    walk.step(*seq, record, hash).map_err(CopyError::Broken)?;
                }
                Row::Request { seq, .. } if *seq > last_request && *seq <= spans::SEQ_MAX => {
                    last_request = *seq;
                }
                Row::Visit { seq, .. } | Row::Request { seq, .. } => {
                    return Err(CopyError::Order { seq: *seq });
                }
            }
        }
        let requests_max_bytes = self.requests_max_bytes;
        self.write(|transaction| {
            for row in rows {
                insert(transaction, row)?;
            }
            spans::note_of(transaction, before, rows.iter().map(Row::seq))?;
            requests::prune(transaction, requests_max_bytes)?;
            Ok(())
        })
        .map_err(CopyError::Store)
    }

    /// Requests from `first` on that have no status: the first and the last of them.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn without_status(&self, first: u64) -> Result<Option<(u64, u64)>, StoreError> {
        self.connection
            .query_row(
                "SELECT min(seq), max(seq) FROM requests WHERE seq >= ?1 AND status IS NULL",
                [first],
                |row| Ok(row.get::<_, Option<u64>>(0)?.zip(row.get(1)?)),
            )
            .map_err(|error| self.wrong(error))
    }

    /// Adds statuses of requests that came without.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn set_statuses(&mut self, statuses: &[(u64, u16)]) -> Result<(), StoreError> {
        self.write(|transaction| {
            statuses
                .iter()
                .filter(|(seq, _)| *seq <= spans::SEQ_MAX)
                .try_for_each(|(seq, status)| requests::set_status(transaction, *seq, *status))
        })
    }

    /// Minted canaries that are here.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn minted(&self) -> Result<u64, StoreError> {
        self.connection
            .query_row(
                "SELECT count(*) FROM canaries WHERE created <> ''",
                [],
                |row| row.get(0),
            )
            .map_err(|error| self.wrong(error))
    }

    /// Adds minted canaries; one that is here already stays as it is.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn add_canaries(&mut self, new: &[StoredCanary]) -> Result<(), StoreError> {
        self.write(|transaction| {
            new.iter()
                .try_for_each(|canary| canaries::copy(transaction, canary))
        })
    }

    /// Takes over what changes: canaries of the configuration (they have no date), what was
    /// acknowledged, what folds now.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn refresh(
        &mut self,
        configured: &[StoredCanary],
        acks: &[Ack],
        floods: &[Flood],
    ) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction.execute("DELETE FROM canaries WHERE created = ''", [])?;
            for canary in configured {
                canaries::copy(transaction, canary)?;
            }
            acks.iter().try_for_each(|ack| put_ack(transaction, ack))?;
            transaction.execute("DELETE FROM floods", [])?;
            floods
                .iter()
                .try_for_each(|flood| put_flood(transaction, flood))
        })
    }

    /// The SHA-256 of a kept file, as a detail of its visit says; None: it is not complete yet.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn digest_of(&self, file: &str) -> Result<Option<String>, StoreError> {
        outgoing::digest_of(&self.connection, file).map_err(|error| self.wrong(error))
    }

    /// Notes that the packets of all links up to `seq` were asked for.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn has_packets_up_to(&mut self, seq: u64) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO meta VALUES ('packets', ?1)")?
                .execute([seq])
                .map(drop)
        })
    }

    /// The last link may say something of the next.
    fn recall(&self, walk: &mut Walk) -> Result<(), StoreError> {
        let Some(seq) = walk.head.as_ref().map(|head| head.seq) else {
            return Ok(());
        };
        let record: Option<String> = self
            .connection
            .query_row("SELECT record FROM visits WHERE seq = ?1", [seq], |row| {
                row.get(0)
            })
            .optional()
            .map_err(|error| self.wrong(error))?;
        let before = self.link_up_to(seq.saturating_sub(1))?;
        walk.recall(&record.unwrap_or_default(), before.map(|head| head.seq));
        Ok(())
    }

    fn write(
        &mut self,
        what: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let write = |connection: &mut Connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            what(&transaction)?;
            transaction.commit()
        };
        write(&mut self.connection).map_err(|error| StoreError::sqlite(&self.path, error))
    }

    fn wrong(&self, error: rusqlite::Error) -> StoreError {
        StoreError::sqlite(&self.path, error)
    }
}

fn insert(transaction: &Transaction<'_>, row: &Row) -> rusqlite::Result<()> {
    match row {
        Row::Visit { seq, record, hash } => transaction
            .prepare_cached("INSERT INTO visits (seq, record, hash) VALUES (?1, ?2, ?3)")?
            .execute(params![seq, record, hash])
            .map(drop),
        Row::Request {
            seq,
            time,
            status,
            record,
        } => {
            let total = requests::newest(transaction)?.map_or(0, |(_, total)| total);
            requests::insert_at(transaction, *seq, *time, *status, record, total).map(drop)
        }
    }
}

fn put_ack(transaction: &Transaction<'_>, ack: &Ack) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO acks (seq, time, through) VALUES (?1, ?2, ?3)")?
        .execute(params![ack.seq, ack.time, ack.through])?;
    Ok(())
}

fn put_flood(transaction: &Transaction<'_>, flood: &Flood) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO floods
             (canary, client, alert, began, visits, count, acknowledged, touched, method, record)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            flood.canary,
            flood.client,
            flood.alert,
            flood.began,
            flood.visits,
            flood.count,
            flood.acknowledged,
            flood.touched,
            flood.method,
            flood.record,
        ])?;
    Ok(())
}
