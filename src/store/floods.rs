//! Floods: beyond [`VISITS_AN_HOUR`] visits of one client to one canary in an hour, further ones
//! fold into one record, so that nobody who holds a URL can fill the card.
//!
//! What is folding stands in the table `floods`, in the same transactions as the visits
//! themselves, and enters the chain as one record of kind `fold` when its hour is over. Until
//! then readers see it there.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde_json::Value;

use crate::engine::event::Event;
use crate::engine::frame::Timestamp;
use crate::store::canonical::{self, Fields};
use crate::store::spans::micros;

/// Visits of one client to one canary that have records of their own in an hour.
pub const VISITS_AN_HOUR: u64 = 100;

/// What becomes of a visit.
#[derive(Debug)]
pub(super) enum Admission {
    /// It has a record of its own; ahead of it stands what was folded in an hour that is over.
    Own(Option<Fold>),
    /// It is one of many, and counted with them.
    Folded,
}

/// A fold whose hour is over.
#[derive(Debug)]
pub(super) struct Fold {
    /// Its record.
    pub(super) fields: Fields,
    /// Whether all of it was acknowledged while it grew.
    pub(super) acknowledged: bool,
}

/// Counts one visit, whose record would be `fields`. With `full`, there is room for no more
/// records: every visit folds, whoever the client is. `seq` is the newest one given.
pub(super) fn admit(
    transaction: &Transaction<'_>,
    event: &Event,
    fields: &Fields,
    full: bool,
    seq: u64,
) -> rusqlite::Result<Admission> {
    let client = if full {
        String::new()
    } else {
        event.client.to_string()
    };
    let key = Key {
        canary: event.canary.as_deref().unwrap_or_default(),
        client: &client,
        alert: event.alert,
    };
    let hour = key.find(transaction)?;
    let over = hour.as_ref().is_some_and(|hour| hour.is_over(event.time));
    let visits = hour.as_ref().map_or(0, |hour| hour.visits);
    if !over && (full || visits >= VISITS_AN_HOUR) {
        let hour = hour.unwrap_or_else(|| Hour::beginning(event.time));
        key.fold(transaction, &hour, fields, seq)?;
        return Ok(Admission::Folded);
    }
    if over || hour.is_none() {
        key.begin(transaction, event.time)?;
    } else {
        key.count_visit(transaction)?;
    }
    Ok(Admission::Own(hour.filter(|_| over).and_then(Hour::fold)))
}

/// Takes every fold out whose hour was over at `now`; None: every one.
pub(super) fn take_over(
    transaction: &Transaction<'_>,
    now: Option<Timestamp>,
) -> rusqlite::Result<Vec<Fold>> {
    let within = within_an_hour_of(now);
    let folds = transaction
        .prepare_cached(
            "SELECT began, visits, count, acknowledged, record FROM floods
             WHERE began <= ?1 OR began >= ?2 ORDER BY began",
        )?
        .query_map(within, Hour::read)?
        .filter_map(|hour| hour.map(Hour::fold).transpose())
        .collect::<rusqlite::Result<Vec<Fold>>>()?;
    transaction
        .prepare_cached("DELETE FROM floods WHERE began <= ?1 OR began >= ?2")?
        .execute(within)?;
    Ok(folds)
}

/// Whether an hour was over at `now`. Cheap.
pub(super) fn any_over(connection: &Connection, now: Option<Timestamp>) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM floods WHERE began <= ?1 OR began >= ?2)")?
        .query_row(within_an_hour_of(now), |row| row.get(0))
}

/// Hours that began between these two are not over. One that begins far ahead was begun by a clock
/// that has been set back since.
fn within_an_hour_of(now: Option<Timestamp>) -> [i64; 2] {
    now.map_or([i64::MAX, i64::MAX], |now| {
        let now = micros(now);
        [
            now.saturating_sub(HOUR_MICROS),
            now.saturating_add(HOUR_MICROS),
        ]
    })
}

/// The records of folds whose hour is not over.
pub(super) fn open(connection: &Connection) -> rusqlite::Result<Vec<Fields>> {
    connection
        .prepare_cached(
            "SELECT began, visits, count, acknowledged, record FROM floods
             WHERE count > 0 ORDER BY touched",
        )?
        .query_map([], Hour::read)?
        .filter_map(|hour| hour.map(Hour::fold).transpose())
        .map(|fold| fold.map(|fold| fold.fields))
        .collect()
}

/// Whose visits are counted together.
struct Key<'a> {
    canary: &'a str,
    /// The address; empty: anyone's.
    client: &'a str,
    alert: bool,
}

impl Key<'_> {
    fn find(&self, transaction: &Transaction<'_>) -> rusqlite::Result<Option<Hour>> {
        transaction
            .prepare_cached(
                "SELECT began, visits, count, acknowledged, record FROM floods
                 WHERE canary = ?1 AND client = ?2 AND alert = ?3",
            )?
            .query_row(params![self.canary, self.client, self.alert], Hour::read)
            .optional()
    }

    /// An hour begins, with a visit that has a record of its own.
    fn begin(&self, transaction: &Transaction<'_>, time: Timestamp) -> rusqlite::Result<()> {
        transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO floods (canary, client, alert, began, visits)
                 VALUES (?1, ?2, ?3, ?4, 1)",
            )?
            .execute(params![self.canary, self.client, self.alert, micros(time)])?;
        Ok(())
    }

    fn count_visit(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        transaction
            .prepare_cached(
                "UPDATE floods SET visits = visits + 1
                 WHERE canary = ?1 AND client = ?2 AND alert = ?3",
            )?
            .execute(params![self.canary, self.client, self.alert])?;
        Ok(())
    }

    fn fold(
        &self,
        transaction: &Transaction<'_>,
        hour: &Hour,
        fields: &Fields,
        seq: u64,
    ) -> rusqlite::Result<()> {
        let record = canonical::write(&common(hour.record.as_ref(), fields)).map_err(unwritable)?;
        transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO floods
                 (canary, client, alert, began, visits, count, acknowledged, touched, method, record)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                self.canary,
                self.client,
                self.alert,
                hour.began,
                hour.visits,
                hour.count + 1,
                hour.acknowledged,
                seq,
                fields.get("method").and_then(Value::as_str),
                record,
            ])?;
        Ok(())
    }
}

/// One client's visits to one canary, since the first of an hour.
#[derive(Debug)]
struct Hour {
    /// Microseconds since the Unix epoch.
    began: i64,
    /// Visits with records of their own.
    visits: u64,
    /// Those that were folded.
    count: u64,
    /// How many of these were acknowledged.
    acknowledged: u64,
    /// What all that were folded have in common.
    record: Option<Fields>,
}

impl Hour {
    fn beginning(time: Timestamp) -> Self {
        Self {
            began: micros(time),
            visits: 0,
            count: 0,
            acknowledged: 0,
            record: None,
        }
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let record: Option<String> = row.get(4)?;
        Ok(Self {
            began: row.get(0)?,
            visits: row.get(1)?,
            count: row.get(2)?,
            acknowledged: row.get(3)?,
            // What somebody else wrote there is not passed on.
            record: record.and_then(|record| serde_json::from_str(&record).ok()),
        })
    }

    /// A clock that steps far back ends an hour too.
    fn is_over(&self, time: Timestamp) -> bool {
        micros(time).abs_diff(self.began) >= HOUR_MICROS.unsigned_abs()
    }

    fn fold(self) -> Option<Fold> {
        let mut fields = self.record.filter(|_| self.count > 0)?;
        if let Some(last) = fields.get("last").cloned() {
            fields.insert("time".into(), last);
        }
        fields.insert("kind".into(), "fold".into());
        fields.insert("count".into(), self.count.into());
        Some(Fold {
            fields,
            acknowledged: self.acknowledged >= self.count,
        })
    }
}

/// What a further visit leaves of what all have in common; `first` and `last` are the times of
/// the first and the last of them.
fn common(before: Option<&Fields>, visit: &Fields) -> Fields {
    let time = visit.get("time").cloned().unwrap_or_default();
    let mut common = match before {
        Some(before) => before.clone(),
        None => {
            let mut common = visit.clone();
            common.insert("first".into(), time.clone());
            if let Some(uptime) = visit.get(UPTIME) {
                common.insert(FIRST_UPTIME.into(), uptime.clone());
            }
            common
        }
    };
    let of_first = |key: &str| key == "first" || key == FIRST_UPTIME;
    common.retain(|key, value| of_first(key) || visit.get(key) == Some(value));
    for own in ["time", "seq", "kind"] {
        common.remove(own);
    }
    common.insert("last".into(), time);
    if let Some(uptime) = visit.get(UPTIME) {
        common.insert(UPTIME.into(), uptime.clone());
    }
    common
}

fn unwritable(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

const HOUR_MICROS: i64 = 3600 * 1_000_000;
const UPTIME: &str = "uptime_micros";
const FIRST_UPTIME: &str = "first_uptime_micros";
