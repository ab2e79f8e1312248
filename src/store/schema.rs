//! Tables and indexes, their version, and how a connection is set up.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use rustix::fs::{Access, AtFlags, CWD};

use crate::store::StoreError;

/// A key of a record of `visits`, as an SQL expression: NULL where the record lacks it, or was
/// tampered with so that it is JSON no more. Indexes and queries must use the very same text.
macro_rules! key {
    ($name:literal) => {
        concat!(
            "iif(json_valid(record),json_extract(record,'$.",
            $name,
            "'),NULL)"
        )
    };
}
pub(super) use key;

/// The condition under which a record's kind is indexed.
macro_rules! other_kinds {
    () => {
        concat!(key!("kind"), " NOT IN ('visit', 'hello', 'detail')")
    };
}
pub(super) use other_kinds;

/// Opens the database for writing, with its tables made or brought up to date.
pub(super) fn open_for_writing(path: &Path) -> Result<Connection, StoreError> {
    let connection = open_any_for_writing(path)?;
    match is_copy(&connection).map_err(|error| StoreError::sqlite(path, error))? {
        false => Ok(connection),
        true => Err(StoreError::Copy {
            path: path.to_path_buf(),
        }),
    }
}

/// The same of a copy of another store; an empty database becomes one.
pub(super) fn open_copy_for_writing(path: &Path) -> Result<Connection, StoreError> {
    let connection = open_any_for_writing(path)?;
    let wrong = |error| StoreError::sqlite(path, error);
    connection
        .execute_batch(BECOME_COPY)
        .and_then(|()| is_copy(&connection))
        .map_err(wrong)?
        .then_some(connection)
        .ok_or_else(|| StoreError::NoCopy {
            path: path.to_path_buf(),
        })
}

fn is_copy(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM meta WHERE key = 'copy')",
        [],
        |row| row.get(0),
    )
}

fn open_any_for_writing(path: &Path) -> Result<Connection, StoreError> {
    may_write(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection =
        Connection::open_with_flags(path, flags).map_err(|error| cannot_open(path, error))?;
    let wrong = |error| StoreError::sqlite(path, error);
    connection.busy_timeout(BUSY_WAIT).map_err(wrong)?;
    refuse_strangers(&connection, path)?;
    connection
        .pragma_update(None, "journal_mode", "wal")
        .and_then(|()| connection.execute_batch(WRITER_PRAGMAS))
        .map_err(wrong)?;
    migrate(&mut connection).map_err(wrong)?;
    Ok(connection)
}

/// Opens the database for reading only. `None`: it has no tables yet.
pub(super) fn open_for_reading(path: &Path) -> Result<Option<Connection>, StoreError> {
    made_readable(connect_read_only(path)?, path)
}

/// The same without a trace. SQLite makes the log and its index where they are missing, and takes
/// part in the index where it is there, unless it is told not to.
pub(super) fn open_untouched(path: &Path) -> Result<Option<Connection>, StoreError> {
    may_use(path, Access::READ_OK)?;
    let has_log = beside(path, "-wal").exists() && beside(path, "-shm").exists();
    let query = match (has_log, log_is_empty(path)) {
        (true, _) => "?readonly_shm=1",
        (false, true) => "?immutable=1",
        (false, false) => {
            return Err(StoreError::Unfinished {
                path: path.to_path_buf(),
            });
        }
    };
    let connection = read_only(path, query).map_err(|error| StoreError::sqlite(path, error))?;
    made_readable(connection, path)
}

fn made_readable(connection: Connection, path: &Path) -> Result<Option<Connection>, StoreError> {
    refuse_strangers(&connection, path)?;
    let wrong = |error| StoreError::sqlite(path, error);
    let version = user_version(&connection).map_err(wrong)?;
    if version == 1 {
        // An older store cannot be brought up to date by who only reads: it had no floods.
        let empty = format!("PRAGMA temp_store = MEMORY; CREATE TEMP TABLE {FLOODS}");
        connection.execute_batch(&empty).map_err(wrong)?;
    }
    Ok((version > 0).then_some(connection))
}

/// A clean database in a folder that takes no writes has no log beside it and can get none:
/// SQLite reads it only when told that nothing changes.
fn connect_read_only(path: &Path) -> Result<Connection, StoreError> {
    let error = match read_only(path, "") {
        Err(error) if takes_no_writes(&error) => error,
        other => return other.map_err(|error| cannot_open(path, error)),
    };
    may_use(path, Access::READ_OK)?;
    match (may_write(path), log_is_empty(path)) {
        (Ok(()), _) => Err(StoreError::sqlite(path, error)),
        (Err(_), true) => read_only(path, "?immutable=1").map_err(|error| cannot_open(path, error)),
        (Err(_), false) => Err(StoreError::Unfinished {
            path: path.to_path_buf(),
        }),
    }
}

fn read_only(path: &Path, query: &str) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri(path, query), flags)?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

fn takes_no_writes(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)
    )
}

fn log_is_empty(path: &Path) -> bool {
    std::fs::metadata(beside(path, "-wal")).map_or(true, |found| found.len() == 0)
}

/// The file beside the database whose name ends so.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Every byte of the path stands for itself, whatever a URI would make of it.
fn uri(path: &Path, query: &str) -> OsString {
    let mut text = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                text.push(char::from(*byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text.push_str(query);
    text.into()
}

/// What the file system says is plainer than SQLite's "unable to open database file".
fn cannot_open(path: &Path, error: rusqlite::Error) -> StoreError {
    if error.sqlite_error_code() != Some(ErrorCode::CannotOpen) {
        return StoreError::sqlite(path, error);
    }
    let folder = path.parent().unwrap_or(path);
    let refused = may_use(path, Access::READ_OK).and_then(|()| may_use(folder, Access::WRITE_OK));
    refused
        .err()
        .unwrap_or_else(|| StoreError::sqlite(path, error))
}

/// SQLite opens what it may not write for reading, and fails at the first write only.
fn may_write(path: &Path) -> Result<(), StoreError> {
    may_use(path, Access::READ_OK | Access::WRITE_OK)?;
    may_use(path.parent().unwrap_or(path), Access::WRITE_OK)
}

/// Asked without opening: closing a file drops every lock that this process has on it.
fn may_use(path: &Path, access: Access) -> Result<(), StoreError> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    rustix::fs::accessat(CWD, path, access, AtFlags::EACCESS)
        .map_err(|errno| StoreError::io(path, "use", errno.into()))
}

/// A newer schema, or a database of something else, is not touched.
fn refuse_strangers(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let wrong = |error| StoreError::sqlite(path, error);
    let found = user_version(connection).map_err(wrong)?;
    if found > VERSION {
        return Err(StoreError::Newer {
            path: path.to_path_buf(),
            found,
            known: VERSION,
        });
    }
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(wrong)?;
    if found == 0 && tables > 0 {
        return Err(StoreError::Foreign {
            path: path.to_path_buf(),
        });
    }
    Ok(())
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    if user_version(connection)? == VERSION {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Asked again under the lock: two processes may open a new store at once.
    let found = user_version(&transaction)?;
    if found < 1 {
        transaction.execute_batch(TABLES_1)?;
    }
    if found < 2 {
        transaction.execute_batch(&format!("CREATE TABLE {FLOODS}; {FLOODS_INDEX}"))?;
    }
    if found < 3 {
        transaction.execute_batch(TABLES_3)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

fn user_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// How long one process waits for another's write. The daemon writes for milliseconds at a time.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// Nothing but an empty database can become a copy of another.
const BECOME_COPY: &str = "
    INSERT OR IGNORE INTO meta (key, value) SELECT 'copy', 1
    WHERE NOT EXISTS (SELECT 1 FROM visits) AND NOT EXISTS (SELECT 1 FROM requests)
      AND NOT EXISTS (SELECT 1 FROM canaries)
";

/// Version of the schema, kept in `PRAGMA user_version`.
const VERSION: i64 = 3;

/// A commit is on disk when it returns. A log of up to 8 MiB is kept for reuse after a checkpoint.
const WRITER_PRAGMAS: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA temp_store = MEMORY;
    PRAGMA journal_size_limit = 8388608;
";

/// Visits that fold, by canary and client (empty: anyone) and by whether they alert. `began` is
/// the time of the hour's first visit in microseconds, `visits` how many have records of their
/// own, `count` how many were folded and `acknowledged` how many of these; `touched` is the
/// newest `seq` when one last was, `method` its method, `record` what they have in common.
const FLOODS: &str = "
    floods (
        canary TEXT NOT NULL,
        client TEXT NOT NULL,
        alert INTEGER NOT NULL,
        began INTEGER NOT NULL,
        visits INTEGER NOT NULL,
        count INTEGER NOT NULL DEFAULT 0,
        acknowledged INTEGER NOT NULL DEFAULT 0,
        touched INTEGER,
        method TEXT,
        record TEXT,
        PRIMARY KEY (canary, client, alert)
    ) WITHOUT ROWID
";
const FLOODS_INDEX: &str = "CREATE INDEX floods_by_began ON floods (began);";

/// Records that are neither visits nor details of them, by kind. Files of packets: their visit, its
/// canary, what they take up, and the visit whose file it was first.
const TABLES_3: &str = concat!(
    "CREATE INDEX IF NOT EXISTS visits_by_kind ON visits (",
    key!("kind"),
    ", seq) WHERE ",
    other_kinds!(),
    ";
    CREATE TABLE IF NOT EXISTS evidence (
        seq INTEGER PRIMARY KEY,
        canary TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        shared INTEGER NOT NULL
    );
    CREATE INDEX IF NOT EXISTS evidence_by_shared ON evidence (shared);
    CREATE INDEX IF NOT EXISTS evidence_by_canary ON evidence (canary, shared);"
);

/// `requests.time`, `spans.earliest` and `spans.latest` are microseconds since the Unix epoch.
/// `requests.bytes_total` sums the sizes of all requests ever written up to this one: what two
/// rows differ by is what stands between them, so that nothing must be added up to know the size.
/// The indexes on `visits` hold what its records say and can be made anew from them.
const TABLES_1: &str = concat!(
    "
    CREATE TABLE visits (
        seq INTEGER PRIMARY KEY,
        record TEXT NOT NULL,
        hash TEXT NOT NULL
    );
    CREATE INDEX visits_by_canary ON visits (",
    key!("canary"),
    ") WHERE ",
    key!("canary"),
    " IS NOT NULL;
    CREATE INDEX visits_by_channel ON visits (",
    key!("channel"),
    ") WHERE ",
    key!("channel"),
    " IS NOT NULL;
    CREATE INDEX visits_by_of ON visits (",
    key!("of"),
    ") WHERE ",
    key!("of"),
    " IS NOT NULL;
    CREATE INDEX visits_that_alert ON visits (seq) WHERE ",
    key!("alert"),
    " = 1;
    CREATE TABLE requests (
        seq INTEGER PRIMARY KEY,
        time INTEGER NOT NULL,
        bytes_total INTEGER NOT NULL,
        status INTEGER,
        record TEXT NOT NULL
    );
    CREATE TABLE acks (
        seq INTEGER PRIMARY KEY,
        time TEXT NOT NULL,
        through INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE canaries (
        id TEXT PRIMARY KEY NOT NULL,
        url TEXT NOT NULL,
        channel TEXT NOT NULL,
        label TEXT,
        token TEXT,
        control INTEGER NOT NULL DEFAULT 0,
        created TEXT NOT NULL
    );
    CREATE TABLE spans (
        number INTEGER PRIMARY KEY,
        earliest INTEGER NOT NULL,
        latest INTEGER NOT NULL
    );
    CREATE TABLE meta (
        key TEXT PRIMARY KEY NOT NULL,
        value
    ) WITHOUT ROWID;
"
);
