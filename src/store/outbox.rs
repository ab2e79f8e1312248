//! How far each sink has got with the alerts, in a database of its own: who tells others of
//! alerts writes here and nowhere else, so that nothing from a network comes near the log.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use crate::engine::frame::Timestamp;
use crate::store::{StoreError, make_for_group};

/// The progress of every sink.
#[derive(Debug)]
pub struct Outbox {
    path: PathBuf,
    connection: Connection,
}

/// How far one sink has got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Its name.
    pub name: String,
    /// `seq` of the newest alert that it has, or had to pass over.
    pub after: u64,
    /// Alerts that it took.
    pub delivered: u64,
    /// Alerts that it refused for good.
    pub refused: u64,
    /// When it took the last one.
    pub delivered_time: Option<String>,
    /// Why it takes none at present.
    pub error: Option<String>,
    /// Since when.
    pub error_time: Option<String>,
}

impl Outbox {
    /// Opens it in `directory`; makes both where they are missing.
    ///
    /// # Errors
    /// No permission, a full disk, or a file that is something else.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        if !directory.is_dir() {
            make_for_group(directory).map_err(|error| StoreError::io(directory, "make", error))?;
        }
        let path = directory.join(FILE);
        if !path.exists() {
            // SQLite gives what it makes beside it the same mode; the group asks for `status`.
            fs::write(&path, b"")
                .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o660)))
                .map_err(|error| StoreError::io(&path, "make", error))?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags);
        let connection = connection.map_err(|error| StoreError::sqlite(&path, error))?;
        connection
            .busy_timeout(BUSY_WAIT)
            .and_then(|()| connection.execute_batch(TABLES))
            .map_err(|error| StoreError::sqlite(&path, error))?;
        Ok(Self { path, connection })
    }

    /// Reads the progress of every sink, where there is any.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn look(directory: &Path) -> Result<Vec<Progress>, StoreError> {
        let path = directory.join(FILE);
        if !path.exists() {
            return Ok(Vec::new());
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let wrong = |error| StoreError::sqlite(&path, error);
        let connection = Connection::open_with_flags(&path, flags).map_err(wrong)?;
        connection.busy_timeout(BUSY_WAIT).map_err(wrong)?;
        let mut statement = connection.prepare(ALL).map_err(wrong)?;
        let rows = statement.query_map([], Progress::read).map_err(wrong)?;
        rows.collect::<rusqlite::Result<_>>().map_err(wrong)
    }

    /// A sink's progress. One that is new begins behind the alert `newest`.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn begin(&self, name: &str, newest: u64) -> Result<Progress, StoreError> {
        let begun = || {
            self.connection.execute(
                "INSERT OR IGNORE INTO sinks (name, after) VALUES (?1, ?2)",
                params![name, newest],
            )?;
            self.connection
                .query_row(&format!("{ALL} WHERE name = ?1"), [name], Progress::read)
        };
        begun().map_err(|error| self.wrong(error))
    }

    /// The store was replaced, and counts from its start again.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn rewind(&self, name: &str) -> Result<(), StoreError> {
        self.execute("UPDATE sinks SET after = 0 WHERE name = ?1", params![name])
    }

    /// A sink has taken the alert `seq`.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn delivered(&self, name: &str, seq: u64, at: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE sinks SET after = ?2, delivered = delivered + 1, delivered_time = ?3,
                 error = NULL, error_time = NULL WHERE name = ?1",
            params![name, seq, at.to_string()],
        )
    }

    /// A sink will never take the alert `seq`.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn refused(
        &self,
        name: &str,
        seq: u64,
        why: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let at = at.to_string();
        self.execute(
            "INSERT INTO refusals (sink, seq, time, reason) VALUES (?1, ?2, ?3, ?4)",
            params![name, seq, at, why],
        )?;
        self.execute(
            "UPDATE sinks SET after = ?2, refused = refused + 1, error = NULL, error_time = NULL
             WHERE name = ?1",
            params![name, seq],
        )
    }

    /// A sink takes nothing at present.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn failed(&self, name: &str, why: &str, at: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE sinks SET error = ?2, error_time = coalesce(error_time, ?3) WHERE name = ?1",
            params![name, why, at.to_string()],
        )
    }

    /// Whether a sink refused an alert, and why it said so.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn refusal(&self, name: &str, seq: u64) -> Result<Option<String>, StoreError> {
        self.connection
            .query_row(
                "SELECT reason FROM refusals WHERE sink = ?1 AND seq = ?2",
                params![name, seq],
                |row| row.get(0),
            )
            .optional()
            .map_err(|error| self.wrong(error))
    }

    fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<(), StoreError> {
        let done = self.connection.execute(sql, parameters);
        done.map(drop).map_err(|error| self.wrong(error))
    }

    fn wrong(&self, error: rusqlite::Error) -> StoreError {
        StoreError::sqlite(&self.path, error)
    }
}

impl Progress {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            name: row.get(0)?,
            after: row.get(1)?,
            delivered: row.get(2)?,
            refused: row.get(3)?,
            delivered_time: row.get(4)?,
            error: row.get(5)?,
            error_time: row.get(6)?,
        })
    }
}

/// Name of the database.
const FILE: &str = "sinks.db";
const BUSY_WAIT: Duration = Duration::from_secs(5);

const ALL: &str = "SELECT name, after, delivered, refused, delivered_time, error, error_time
    FROM sinks";

/// An alert that was told just before a power cut may be told once more: that is better than a
/// sync of the card for each.
const TABLES: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA journal_size_limit = 1048576;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS sinks (
        name TEXT PRIMARY KEY NOT NULL,
        after INTEGER NOT NULL,
        delivered INTEGER NOT NULL DEFAULT 0,
        refused INTEGER NOT NULL DEFAULT 0,
        delivered_time TEXT,
        error TEXT,
        error_time TEXT
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS refusals (
        sink TEXT NOT NULL,
        seq INTEGER NOT NULL,
        time TEXT NOT NULL,
        reason TEXT NOT NULL
    );
";

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs_nanos(1_700_000_000, 0);

    #[test]
    fn progress_is_kept_for_each_sink_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("alert");
        assert_eq!(Outbox::look(&directory).unwrap(), []);
        let outbox = Outbox::open(&directory).unwrap();
        assert_eq!(outbox.begin("phone", 41).unwrap().after, 41);
        outbox.begin("mail", 41).unwrap();
        outbox.delivered("phone", 42, NOW).unwrap();
        outbox.failed("mail", "no route", NOW).unwrap();
        drop(outbox);
        let outbox = Outbox::open(&directory).unwrap();
        let phone = outbox.begin("phone", 99).unwrap();
        assert_eq!((phone.after, phone.delivered), (42, 1));
        let all = Outbox::look(&directory).unwrap();
        assert_eq!(all[0].error.as_deref(), Some("no route"));
        outbox.delivered("mail", 42, NOW).unwrap();
        assert_eq!(Outbox::look(&directory).unwrap()[0].error, None);
    }

    #[test]
    fn what_a_sink_refused_is_passed_over_and_kept_in_mind() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(folder.path()).unwrap();
        outbox.begin("phone", 0).unwrap();
        outbox.refused("phone", 7, "too long", NOW).unwrap();
        let phone = outbox.begin("phone", 0).unwrap();
        assert_eq!((phone.after, phone.refused), (7, 1));
        assert_eq!(
            outbox.refusal("phone", 7).unwrap().as_deref(),
            Some("too long")
        );
    }
}
