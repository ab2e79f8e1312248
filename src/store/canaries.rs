//! Minted canaries, and how often each was visited.

use std::collections::HashMap;

use rusqlite::{Connection, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::engine::canary::{Canary, NormalizedUrl, UrlError};
use crate::store::EventRecord;
use crate::store::dates::Dates;
use crate::store::schema::key;

/// A canary as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCanary {
    /// Lower-case letters and digits.
    pub id: String,
    /// The URL as it was given away.
    pub url: String,
    /// The channel that it was given to.
    pub channel: String,
    /// The owner's words for it.
    pub label: Option<String>,
    /// A string that stands in its URL and nowhere else.
    pub token: Option<String>,
    /// Whether it was given to nobody.
    pub control: bool,
    /// When it was made, RFC 3339.
    pub created: String,
}

impl StoredCanary {
    /// The canary as the engine looks for it.
    ///
    /// # Errors
    /// Its URL is none (only when somebody else wrote it).
    pub fn to_canary(&self) -> Result<Canary, UrlError> {
        Ok(Canary {
            id: self.id.clone(),
            channel: self.channel.clone(),
            label: self.label.clone(),
            written: self.url.clone(),
            url: NormalizedUrl::parse(&self.url)?,
            token: self.token.clone(),
            control: self.control,
        })
    }
}

/// The visits to one canary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visits {
    /// How many, with those that were folded.
    pub count: u64,
    /// How many of them alerted.
    pub alerts: u64,
    /// Time of the first, RFC 3339.
    pub first: Option<String>,
    /// Time of the last, RFC 3339.
    pub last: Option<String>,
}

impl Visits {
    /// Counts those in that another tap saw.
    pub fn join(&mut self, other: Self) {
        self.count += other.count;
        self.alerts += other.alerts;
        let firsts = [self.first.take(), other.first];
        self.first = firsts.into_iter().flatten().min();
        self.last = self.last.take().max(other.last);
    }

    /// Counts one more record in.
    pub(super) fn add(&mut self, record: &EventRecord) {
        self.count += record.visits();
        self.alerts += u64::from(record.alert) * record.visits();
        let first = record.first.as_ref().unwrap_or(&record.time);
        if self.first.as_ref().is_none_or(|known| first < known) {
            self.first = Some(first.clone());
        }
        if self.last.as_ref() < Some(&record.time) {
            self.last = Some(record.time.clone());
        }
    }
}

/// The visits in the chain, by canary.
pub(super) fn visits(
    connection: &Connection,
    dates: &Dates,
) -> rusqlite::Result<HashMap<String, Visits>> {
    if dates.is_empty() {
        return sums(connection, VISITS);
    }
    let mut visits = sums(connection, VISITS_DATED)?;
    let mut statement = connection.prepare_cached(VISITS_UNSURE)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let record: String = row.get(0)?;
        let Ok(mut record) = serde_json::from_str::<EventRecord>(&record) else {
            continue;
        };
        dates.put_right(&mut record);
        if let Some(canary) = &record.canary {
            visits.entry(canary.clone()).or_default().add(&record);
        }
    }
    Ok(visits)
}

fn sums(connection: &Connection, query: &str) -> rusqlite::Result<HashMap<String, Visits>> {
    connection
        .prepare_cached(query)?
        .query_map([], |row| {
            let visits = Visits {
                count: row.get(1)?,
                alerts: row.get(2)?,
                first: row.get(3)?,
                last: row.get(4)?,
            };
            Ok((row.get(0)?, visits))
        })?
        .collect()
}

macro_rules! visits_where {
    ($($condition:expr),*) => {
        concat!(
            "SELECT ",
            key!("canary"),
            ", sum(ifnull(",
            key!("count"),
            ", 1)), sum(ifnull(",
            key!("alert"),
            ", 0) * ifnull(",
            key!("count"),
            ", 1)), min(ifnull(",
            key!("first"),
            ", ",
            key!("time"),
            ")), max(",
            key!("time"),
            ") FROM visits WHERE ",
            key!("canary"),
            " IS NOT NULL ",
            $($condition,)*
            " GROUP BY 1"
        )
    };
}

/// Whether the clock was known to be right, or nobody can say what it was.
macro_rules! is_sure {
    () => {
        concat!(
            "(ifnull(",
            key!("synchronised"),
            ", 0) = 1 OR ",
            key!("boot"),
            " IS NULL)"
        )
    };
}

const VISITS: &str = visits_where!();
const VISITS_DATED: &str = visits_where!(" AND ", is_sure!());
const VISITS_UNSURE: &str = concat!(
    "SELECT record FROM visits WHERE ",
    key!("canary"),
    " IS NOT NULL AND NOT ",
    is_sure!()
);

/// What changes when canaries are added or taken away: how many there are, and the newest one's
/// id. Not its place, which the next one gets when it is taken away.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<(u64, Option<String>)> {
    connection
        .prepare_cached(
            "SELECT (SELECT count(*) FROM canaries),
                    (SELECT id FROM canaries ORDER BY rowid DESC LIMIT 1)",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// All of them, in the order in which they were made.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<StoredCanary>> {
    connection
        .prepare_cached(
            "SELECT id, url, channel, label, token, control, created FROM canaries ORDER BY rowid",
        )?
        .query_map([], read)?
        .collect()
}

/// A row with the columns in the order of [`all`].
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<StoredCanary> {
    Ok(StoredCanary {
        id: row.get(0)?,
        url: row.get(1)?,
        channel: row.get(2)?,
        label: row.get(3)?,
        token: row.get(4)?,
        control: row.get(5)?,
        created: row.get(6)?,
    })
}

/// Adds them, within a transaction.
pub(super) fn insert(transaction: &Transaction<'_>, new: &[StoredCanary]) -> rusqlite::Result<()> {
    for canary in new {
        put(transaction, INSERT, canary)?;
    }
    Ok(())
}

/// Adds one to a copy, where it may be already.
pub(super) fn copy(transaction: &Transaction<'_>, canary: &StoredCanary) -> rusqlite::Result<()> {
    put(transaction, INSERT_NEW, canary)
}

fn put(
    transaction: &Transaction<'_>,
    statement: &str,
    canary: &StoredCanary,
) -> rusqlite::Result<()> {
    transaction.prepare_cached(statement)?.execute(params![
        canary.id,
        canary.url,
        canary.channel,
        canary.label,
        canary.token,
        canary.control,
        canary.created,
    ])?;
    Ok(())
}

const INSERT: &str = "INSERT INTO canaries (id, url, channel, label, token, control, created)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const INSERT_NEW: &str =
    "INSERT OR IGNORE INTO canaries (id, url, channel, label, token, control, created)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
