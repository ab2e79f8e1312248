//! The one writer: batches of events and details, each in one transaction.

mod batch;
mod tail;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use serde::Serialize;

use crate::engine::event::EventId;
use crate::engine::frame::Timestamp;
use crate::store::{
    Acknowledge, Acknowledged, Incoming, Salvage, StoreError, StoreOptions, StoredCanary,
    Unacknowledged, acks, canaries, evidence, files, floods, requests, salvage, schema,
};
use batch::{Places, Writing, is_chained};
use tail::{Tail, append_fold, append_records, visits_bytes};

/// The one writer of a data directory. It blocks: give it a thread of its own.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    connection: Connection,
    options: StoreOptions,
    /// Events that may still be given details, and where they stand.
    unsettled: Places,
    /// What SQLite's counter of other connections' commits said last.
    data_version: i64,
    /// Pages that the log may reach before a commit carries them over to the database.
    checkpoint_pages: u32,
    /// What is wrong with a database that could not be salvaged yet.
    damage: Option<String>,
}

/// What a commit brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Each event of the batch, in order, with its `seq`; none: it is one of a flood, and folded.
    pub events: Vec<(EventId, Option<u64>)>,
    /// Details of events that are not known any more (a bound was reached): not kept.
    pub details_lost: u64,
    /// Background requests that had to go because of the cap.
    pub requests_pruned: u64,
    /// Visits whose files of packets had to go because of the bounds.
    pub evidence_pruned: Vec<u64>,
}

impl Store {
    /// Opens the store in `directory`; makes directory and store where they are missing.
    ///
    /// # Errors
    /// No permission, a damaged database, one of a newer version, a full disk.
    pub fn open(directory: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        salvage::finish(directory)?;
        let path = files::prepare(directory)?;
        let store = Self::over(path, options)?;
        files::sync_directory(directory)?; // the log that SQLite keeps beside the database
        Ok(store)
    }

    /// The same, but what is damaged is set aside under a dated name, and a new database is made of
    /// what can be read of it.
    ///
    /// # Errors
    /// As [`open`](Self::open); the disk has no room for a second database.
    pub fn open_or_salvage(
        directory: &Path,
        options: StoreOptions,
        now: Timestamp,
    ) -> Result<(Self, Option<Salvage>), StoreError> {
        let error = match Self::open(directory, options) {
            Ok(store) => return Ok((store, None)),
            Err(error) => error,
        };
        let Some(reason) = error.damage() else {
            return Err(error);
        };
        let salvaged = salvage::salvage(directory, &reason, 0, now)?;
        Ok((Self::open(directory, options)?, Some(salvaged)))
    }

    /// Sets the database aside because it is damaged, and goes on with a new one that is made of
    /// what can be read of it. `given` is the newest `seq` that is known to have been given.
    ///
    /// # Errors
    /// The disk has no room for a second database. Nothing can be written then, and this can be
    /// tried again.
    pub fn salvage(
        &mut self,
        reason: &str,
        given: u64,
        now: Timestamp,
    ) -> Result<Salvage, StoreError> {
        self.damage = Some(reason.to_owned());
        self.let_go()?;
        let directory = self.path.parent().unwrap_or(&self.path).to_path_buf();
        let salvaged = salvage::salvage(&directory, reason, given, now)?;
        self.connection = schema::open_for_writing(&self.path)?;
        files::sync_directory(&directory)?;
        self.checkpoint_pages = 0;
        self.damage = None;
        evidence::shelve_again(&self.connection, &directory).map_err(|error| self.wrong(error))?;
        self.changed()?;
        Ok(salvaged)
    }

    /// Closes the database without carrying its log over: damaged as it is, it stays as it is.
    fn let_go(&mut self) -> Result<(), StoreError> {
        let nothing = Connection::open_in_memory().map_err(|error| self.wrong(error))?;
        let damaged = std::mem::replace(&mut self.connection, nothing);
        // SQLite would only do more than is wanted.
        let _unset = damaged.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        Ok(())
    }

    /// Opens the store in `directory` only if it is there: for commands that add to it.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`StoreError::Missing`].
    pub fn open_existing(directory: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        Self::over(files::find(directory)?, options)
    }

    fn over(path: PathBuf, options: StoreOptions) -> Result<Self, StoreError> {
        let connection = schema::open_for_writing(&path)?;
        let mut store = Self {
            path,
            connection,
            options,
            unsettled: BTreeMap::new(),
            data_version: 0,
            checkpoint_pages: 0,
            damage: None,
        };
        store.changed()?;
        Ok(store)
    }

    /// Writes all of `batch` in one transaction, which is on disk when this returns. Each event
    /// is given its `seq`, in order.
    ///
    /// # Errors
    /// Nothing of the batch is kept then, and it can be tried again.
    pub fn commit(&mut self, batch: &[Incoming]) -> Result<Committed, StoreError> {
        if let Some(reason) = &self.damage {
            return Err(StoreError::Damaged {
                path: self.path.clone(),
                reason: reason.clone(),
            });
        }
        let (committed, placed) = self
            .write(batch)
            .map_err(|error| StoreError::sqlite(&self.path, error))?;
        self.unsettled.extend(placed);
        evidence::delete_files(&self.directory(), &committed.evidence_pruned);
        self.forget(batch);
        Ok(committed)
    }

    /// Acknowledges alerts, all or none of those that are asked for.
    ///
    /// # Errors
    /// [`StoreError::CannotAcknowledge`] when one of them is no alert; nothing is changed then.
    pub fn acknowledge(
        &mut self,
        which: &Acknowledge,
        at: Timestamp,
    ) -> Result<Acknowledged, StoreError> {
        acks::acknowledge(&mut self.connection, &self.path, which, at)
    }

    /// What waits to be acknowledged, if anything does.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn unacknowledged(&self) -> Result<Option<Unacknowledged>, StoreError> {
        acks::unacknowledged(&self.connection).map_err(|error| self.wrong(error))
    }

    /// Whether somebody else (`ack`, `mint`) has written since this was last asked. Cheap.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn changed(&mut self) -> Result<bool, StoreError> {
        let version = data_version(&self.connection).map_err(|error| self.wrong(error))?;
        let before = std::mem::replace(&mut self.data_version, version);
        Ok(before != version)
    }

    /// Moves folds whose hour was over at `now` into the chain; with None every fold, because
    /// nothing will come any more. Cheap when there is none.
    ///
    /// # Errors
    /// Nothing is changed then.
    pub fn close_floods(&mut self, now: Option<Timestamp>) -> Result<(), StoreError> {
        self.write_folds(now)
            .map_err(|error| StoreError::sqlite(&self.path, error))
    }

    /// Bytes that visits take up.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn visits_bytes(&self) -> Result<u64, StoreError> {
        visits_bytes(&self.connection).map_err(|error| self.wrong(error))
    }

    /// The canaries that were minted, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn canaries(&self) -> Result<Vec<StoredCanary>, StoreError> {
        canaries::all(&self.connection).map_err(|error| self.wrong(error))
    }

    /// Adds canaries, all or none.
    ///
    /// # Errors
    /// An id that is there already, or the database cannot be written.
    pub fn add_canaries(&mut self, new: &[StoredCanary]) -> Result<(), StoreError> {
        self.in_transaction(|transaction| canaries::insert(transaction, new))
    }

    /// Adds canaries together with a record of another kind that speaks of them.
    ///
    /// # Errors
    /// As those of both; nothing is changed then.
    pub fn add_canaries_with(
        &mut self,
        new: &[StoredCanary],
        kind: &str,
        record: &impl Serialize,
    ) -> Result<u64, StoreError> {
        self.in_transaction(|transaction| {
            canaries::insert(transaction, new)?;
            let numbers = append_records(transaction, kind, &[record])?;
            Ok(numbers.first().copied().unwrap_or_default())
        })
    }

    /// Appends records of another kind than events to the chain, all or none, and gives back
    /// their `seq`. Each is an object without fractions; `kind`, `seq` and `prev` are put in.
    /// Any process may call it: it waits for the writer's transaction, which takes milliseconds.
    ///
    /// # Errors
    /// Nothing is changed then.
    pub fn add_records(
        &mut self,
        kind: &str,
        records: &[impl Serialize],
    ) -> Result<Vec<u64>, StoreError> {
        self.in_transaction(|transaction| append_records(transaction, kind, records))
    }

    fn in_transaction<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let connection = &mut self.connection;
        connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|transaction| {
                let done = work(&transaction)?;
                transaction.commit()?;
                Ok(done)
            })
            .map_err(|error| StoreError::sqlite(&self.path, error))
    }

    /// Takes a canary away that was made for a moment. What the log says of it stays.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn remove_canary(&mut self, id: &str) -> Result<(), StoreError> {
        let removed = self
            .connection
            .execute("DELETE FROM canaries WHERE id = ?1", [id]);
        removed.map(drop).map_err(|error| self.wrong(error))
    }

    /// Completes what an earlier run left of files of packets: what is whole of them is kept, and
    /// what was to be deleted is. How many were completed.
    ///
    /// # Errors
    /// The database cannot be read or written.
    pub fn recover_evidence(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let directory = self.directory();
        evidence::shelve_again(&self.connection, &directory).map_err(|error| self.wrong(error))?;
        let found = evidence::recover(&self.connection, &directory, now);
        let details = found.map_err(|error| self.wrong(error))?;
        let batch: Vec<Incoming> = details.into_iter().map(Incoming::Evidence).collect();
        if !batch.is_empty() {
            // The name of a file that nobody finished may never have reached the disk.
            files::sync_directory(&evidence::folder(&directory))?;
            files::sync_directory(&directory)?;
            self.commit(&batch)?;
        }
        Ok(batch.len() as u64)
    }

    fn directory(&self) -> PathBuf {
        self.path.parent().unwrap_or(Path::new(".")).to_path_buf()
    }

    fn wrong(&self, error: rusqlite::Error) -> StoreError {
        StoreError::sqlite(&self.path, error)
    }

    fn write(&mut self, batch: &[Incoming]) -> rusqlite::Result<(Committed, Places)> {
        self.allow_log(batch)?;
        let mut writing = Writing::new(batch, &self.unsettled, self.options.visits_max_bytes);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let before = Tail::read(&transaction)?;
        let mut tail = before.clone();
        for incoming in batch {
            writing.take(&transaction, &mut tail, incoming)?;
        }
        writing.prune_evidence(&transaction, &mut tail, batch, &self.options)?;
        tail.note(&transaction, &before)?;
        if tail.bytes_total > before.bytes_total {
            let pruned = requests::prune(&transaction, self.options.requests_max_bytes)?;
            writing.committed.requests_pruned = pruned as u64;
        }
        transaction.commit()?;
        Ok((writing.committed, writing.placed))
    }

    fn write_folds(&mut self, now: Option<Timestamp>) -> rusqlite::Result<()> {
        if !floods::any_over(&self.connection, now)? {
            return Ok(());
        }
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let before = Tail::read(&transaction)?;
        let mut tail = before.clone();
        for fold in floods::take_over(&transaction, now)? {
            append_fold(&transaction, &mut tail, fold)?;
        }
        tail.note(&transaction, &before)?;
        transaction.commit()
    }

    /// Carrying the log over to the database takes long on a card: a visit, whose light waits,
    /// leaves that to the next batch without one, within bounds.
    fn allow_log(&mut self, batch: &[Incoming]) -> rusqlite::Result<()> {
        let hurry = batch
            .iter()
            .any(|incoming| matches!(incoming, Incoming::Event(event) if is_chained(event)));
        let pages = if hurry {
            CHECKPOINT_PAGES_HURRY
        } else {
            CHECKPOINT_PAGES
        };
        if self.checkpoint_pages != pages {
            self.connection
                .pragma_update(None, "wal_autocheckpoint", pages)?;
            self.checkpoint_pages = pages;
        }
        Ok(())
    }

    fn forget(&mut self, batch: &[Incoming]) {
        for incoming in batch {
            if let Incoming::Settled(id) = incoming {
                self.unsettled.remove(id);
            }
        }
        while self.unsettled.len() > UNSETTLED_MAX {
            self.unsettled.pop_first();
        }
    }
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "data_version", |row| row.get(0))
}

/// Pages of 4 KiB in the log before a commit without a visit empties it: SQLite's own default.
const CHECKPOINT_PAGES: u32 = 1000;
/// The same for a commit with a visit: 32 MiB.
const CHECKPOINT_PAGES_HURRY: u32 = 8000;

/// Events that wait for details at once; beyond, the oldest are forgotten and their details lost.
/// As many as a busy home has open requests in an hour, at 50 bytes each.
const UNSETTLED_MAX: usize = 65_536;

#[cfg(test)]
mod tests;
