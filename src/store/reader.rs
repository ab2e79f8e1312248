//! The read side, for commands: works while the daemon runs and when it does not, and from a
//! directory that takes no writes.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use serde::de::DeserializeOwned;

use crate::engine::frame::Timestamp;
use crate::store::dates::{self, Dates, Part};
use crate::store::learned::Learned;
use crate::store::query::Prepared;
use crate::store::schema::key;
use crate::store::{
    Ack, COVERAGE, Coverage, CoverageRecord, EventQuery, EventRecord, Flood, Head, Row, StoreError,
    StoredCanary, Unacknowledged, Verification, Visits, acks, canaries, files, floods, outgoing,
    records, schema, spans, verify,
};

/// Looks on while the store is written by others.
#[derive(Debug)]
pub struct StoreReader {
    path: PathBuf,
    connection: Connection,
}

/// Rows that were passed over because their record makes no sense: somebody else wrote there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// How many.
    pub count: u64,
    /// `seq` of the first.
    pub first: u64,
}

/// How often something happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rhythm {
    /// Events.
    pub events: u64,
    /// The longest time between two of them.
    pub longest_gap: Duration,
}

impl StoreReader {
    /// Opens the store in `directory` for reading.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is none; no permission, damaged, of a newer version.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        Self::open_by(directory, schema::open_for_reading)
    }

    /// The same without a trace: not even the files beside the database are made or written that
    /// readers and writers find each other by.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`StoreError::Unfinished`] too when the database was not closed
    /// and nobody has it open.
    pub fn open_untouched(directory: &Path) -> Result<Self, StoreError> {
        Self::open_by(directory, schema::open_untouched)
    }

    fn open_by(
        directory: &Path,
        open: impl FnOnce(&Path) -> Result<Option<Connection>, StoreError>,
    ) -> Result<Self, StoreError> {
        let path = files::find(directory)?;
        match open(&path)? {
            Some(connection) => Ok(Self { path, connection }),
            None => Err(StoreError::Missing {
                directory: directory.to_path_buf(),
            }),
        }
    }

    /// Gives `visit` each event that `query` asks for, in the order of `seq`, what was learned
    /// of it later joined to it, until it breaks. Memory stays flat, and nothing is locked while
    /// `visit` works, however long it takes.
    ///
    /// # Errors
    /// The database cannot be read, or `visit` failed.
    pub fn for_each<E: From<StoreError>>(
        &self,
        query: &EventQuery,
        mut visit: impl FnMut(EventRecord) -> Result<ControlFlow<()>, E>,
    ) -> Result<Unreadable, E> {
        let dates = self.read(Dates::read)?;
        let (prepared, timeless) = (Prepared::new(query), Prepared::new(&query.at_any_time()));
        let mut unreadable = Unreadable::default();
        for (range, is_window) in self.parts(query, &dates)? {
            let prepared = if is_window { &timeless } else { &prepared };
            let mut first = range.0;
            loop {
                let page = self.page(prepared, (first, range.1))?;
                for row in &page {
                    match self.record(row, &dates)? {
                        Some(record) if is_window && !query.covers(&record) => {}
                        Some(record) => {
                            if visit(record)?.is_break() {
                                return Ok(unreadable);
                            }
                        }
                        None => unreadable.add(row.seq),
                    }
                }
                match page.last() {
                    Some(last) if page.len() == PAGE_ROWS => first = last.seq + 1,
                    _ => break,
                }
            }
        }
        Ok(unreadable)
    }

    /// Folds that may still grow, as far as `query` asks for them: they have no number yet, so
    /// that none lies after one that is given.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn open_folds(&self, query: &EventQuery) -> Result<Vec<EventRecord>, StoreError> {
        if query.after > 0 {
            return Ok(Vec::new());
        }
        let folds = self.read(floods::open)?;
        let dates = self.read(Dates::read)?;
        let folds = folds.into_iter().filter_map(|fields| {
            let mut fold: EventRecord = serde_json::from_value(fields.into()).ok()?;
            fold.open = Some(true);
            dates.put_right(&mut fold);
            Some(fold)
        });
        Ok(folds.filter(|fold| query.takes(fold)).collect())
    }

    /// Whether the chain holds, from its beginning to its end, and still has the links that were
    /// `remembered` elsewhere. Memory stays flat.
    ///
    /// # Errors
    /// The database cannot be read at all.
    pub fn verify(&self, remembered: &[Head]) -> Result<Verification, StoreError> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        self.read(|connection| verify::verify(connection, directory, remembered))
    }

    /// What SQLite finds wrong with the database, having read all of it; None when nothing is.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn damage(&self) -> Result<Option<String>, StoreError> {
        self.read(verify::complaint)
    }

    /// The newest `seq` of all; 0 in an empty store.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn last_seq(&self) -> Result<u64, StoreError> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT max(ifnull((SELECT max(seq) FROM visits), 0),
                                ifnull((SELECT max(seq) FROM requests), 0))",
                )?
                .query_row([], |row| row.get(0))
        })
    }

    /// A number that changes when somebody has written. Cheap.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn data_version(&self) -> Result<i64, StoreError> {
        self.read(|connection| {
            connection.pragma_query_value(None, "data_version", |row| row.get(0))
        })
    }

    /// What waits to be acknowledged, if anything does.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn unacknowledged(&self) -> Result<Option<Unacknowledged>, StoreError> {
        self.read(acks::unacknowledged)
    }

    /// The `seq` of alerts that wait to be acknowledged, newest first, at most `limit`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn waiting(&self, limit: usize) -> Result<Vec<u64>, StoreError> {
        self.read(|connection| acks::waiting(connection, limit))
    }

    /// How many alerts have a larger number than this. Cheap.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn alerts_after(&self, seq: u64) -> Result<u64, StoreError> {
        self.read(|connection| {
            connection
                .prepare_cached(ALERTS_AFTER)?
                .query_row([seq], |row| row.get(0))
        })
    }

    /// Something that changes when canaries are minted or taken away. Cheap.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn canaries_version(&self) -> Result<(u64, Option<String>), StoreError> {
        self.read(canaries::version)
    }

    /// How often each canary was visited that ever was.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn visits(&self) -> Result<HashMap<String, Visits>, StoreError> {
        let dates = self.read(Dates::read)?;
        let mut visits = self.read(|connection| canaries::visits(connection, &dates))?;
        for fold in self.open_folds(&EventQuery::default())? {
            if let Some(canary) = &fold.canary {
                visits.entry(canary.clone()).or_default().add(&fold);
            }
        }
        Ok(visits)
    }

    /// The canaries that were minted, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn canaries(&self) -> Result<Vec<StoredCanary>, StoreError> {
        self.read(canaries::all)
    }

    /// How often something happened since a time, as far as the newest entries tell.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn rhythm(&self, since: Timestamp) -> Result<Rhythm, StoreError> {
        let query = EventQuery {
            since: Some(since),
            after: self.last_seq()?.saturating_sub(RHYTHM_ENTRIES),
            ..EventQuery::default()
        };
        let mut rhythm = Rhythm::default();
        let mut last: Option<jiff::Timestamp> = None;
        self.for_each(&query, |event| {
            let time: Option<jiff::Timestamp> = event.time.parse().ok();
            let Some(time) = time.filter(|_| event.fault.is_none()) else {
                return Ok::<_, StoreError>(ControlFlow::Continue(()));
            };
            rhythm.events += 1;
            let gap = last.map_or(Duration::ZERO, |last| {
                time.duration_since(last).unsigned_abs()
            });
            rhythm.longest_gap = rhythm.longest_gap.max(gap);
            last = Some(time);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(rhythm)
    }

    /// The records of another kind than events, in the order of `seq`, from `first` on. What
    /// cannot be read as such a record is passed over; [`verify`](Self::verify) names it.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn records<T: DeserializeOwned>(
        &self,
        kind: &str,
        first: u64,
    ) -> Result<Vec<(u64, T)>, StoreError> {
        self.read(|connection| records::of_kind(connection, kind, first))
    }

    /// What is known of clocks that were set later.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn dates(&self) -> Result<Dates, StoreError> {
        self.read(Dates::read)
    }

    /// How far the time between `from` and `to` was covered: only for what was can be said that
    /// nobody came.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn coverage(&self, from: Timestamp, to: Timestamp) -> Result<Coverage, StoreError> {
        Ok(Coverage::of(&self.minutes()?, from, to))
    }

    /// Which minutes were covered, each at the time at which it really was.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn minutes(&self) -> Result<Vec<CoverageRecord>, StoreError> {
        let records: Vec<(u64, CoverageRecord)> = self.records(COVERAGE, 0)?;
        let dates = self.read(Dates::read)?;
        let records = records.into_iter().map(|(_, mut record)| {
            dates.put_right_minutes(&mut record);
            record
        });
        Ok(records.collect())
    }

    /// Links after one number and requests after another as they stand there, in the order of
    /// `seq`: at most so many, and not many more bytes than that.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn rows(
        &self,
        after: (u64, u64),
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.read(|connection| outgoing::rows(connection, after, rows_max, bytes_max))
    }

    /// The newest link whose number is no larger than `seq`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn link_up_to(&self, seq: u64) -> Result<Option<Head>, StoreError> {
        self.read(|connection| outgoing::link_up_to(connection, seq))
    }

    /// The details of a visit as they stand in the chain, with their numbers, in order.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn details_of(&self, seq: u64) -> Result<Vec<(u64, String)>, StoreError> {
        self.read(|connection| {
            connection
                .prepare_cached(DETAILS_OF)?
                .query_map([seq], |row| Ok((row.get(1)?, row.get(0)?)))?
                .collect()
        })
    }

    /// Statuses of requests from `first` to `last` that have one, in the order of `seq`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn statuses(
        &self,
        first: u64,
        last: u64,
        limit: usize,
    ) -> Result<Vec<(u64, u16)>, StoreError> {
        self.read(|connection| outgoing::statuses(connection, first, last, limit))
    }

    /// Minted canaries from the one with this number on, counted from 0 in the order of their
    /// making.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn canaries_from(&self, from: u64, limit: usize) -> Result<Vec<StoredCanary>, StoreError> {
        self.read(|connection| outgoing::canaries(connection, from, limit))
    }

    /// Acknowledgements after `seq` that still say something.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn acks(&self, after: u64, limit: usize) -> Result<Vec<Ack>, StoreError> {
        self.read(|connection| outgoing::acks(connection, after, limit))
    }

    /// Visits that are folding now, the newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn floods(&self, limit: usize) -> Result<Vec<Flood>, StoreError> {
        self.read(|connection| outgoing::floods(connection, limit))
    }

    /// Where to look, and whether times there may have to be put right.
    fn parts(&self, query: &EventQuery, dates: &Dates) -> Result<Vec<Part>, StoreError> {
        self.read(|connection| {
            let ranges = spans::ranges(connection, query.after, query.since, query.until)?;
            let windows = match query.has_bounds() && !dates.is_empty() {
                true => dates.windows(connection)?,
                false => Vec::new(),
            };
            Ok(dates::part(&ranges, &windows, query.after))
        })
    }

    fn page(&self, prepared: &Prepared, range: (u64, u64)) -> Result<Vec<Found>, StoreError> {
        self.read(|connection| {
            connection
                .prepare_cached(&prepared.sql)?
                .query_map(&prepared.bind(&range, &PAGE_ROWS)[..], |row| {
                    Ok(Found {
                        seq: row.get(0)?,
                        record: row.get(1)?,
                        status: row.get(2)?,
                    })
                })?
                .collect()
        })
    }

    /// The event in a row; none when it makes no sense.
    fn record(&self, row: &Found, dates: &Dates) -> Result<Option<EventRecord>, StoreError> {
        let Ok(mut record) = serde_json::from_str::<EventRecord>(&row.record) else {
            return Ok(None);
        };
        record.seq = Some(row.seq);
        record.status = row.status.or(record.status);
        dates.put_right(&mut record);
        if record.is_visit() {
            self.join_details(&mut record, row.seq)?;
        }
        Ok(Some(record))
    }

    fn join_details(&self, record: &mut EventRecord, seq: u64) -> Result<(), StoreError> {
        for (_, detail) in &self.details_of(seq)? {
            if let Ok(learned) = serde_json::from_str::<Learned>(detail) {
                learned.join(record);
            }
        }
        Ok(())
    }

    fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        query(&self.connection).map_err(|error| StoreError::sqlite(&self.path, error))
    }
}

impl Unreadable {
    fn add(&mut self, seq: u64) {
        if self.count == 0 {
            self.first = seq;
        }
        self.count += 1;
    }
}

struct Found {
    seq: u64,
    record: String,
    /// Of a request; a visit's stands in its details.
    status: Option<u16>,
}

const DETAILS_OF: &str = concat!(
    "SELECT record, seq FROM visits WHERE ",
    key!("of"),
    " = ?1 ORDER BY seq"
);

const ALERTS_AFTER: &str = concat!(
    "SELECT count(*) FROM visits WHERE ",
    key!("alert"),
    " = 1 AND seq > ?1"
);

/// Entries that are looked at for what is usual: a start must not take long for them.
const RHYTHM_ENTRIES: u64 = 2000;

/// Rows that are fetched at once: a reader that pauses between pages (`log | less`) holds no
/// snapshot, which would keep the log from being emptied and let it grow.
const PAGE_ROWS: usize = 256;
