//! A damaged database is set aside under a dated name, and what can be read of it goes into a new
//! one: links of the chain byte for byte.
//!
//! Links are found by SQLite, and where that fails by their bytes alone, wherever they stand in
//! the file: a record whose SHA-256 stands behind it is one, whatever became of the pages around
//! it. Where links were lost between others, a record of kind `salvage` stands in their place, and
//! names the next one, so that the chain can be followed (see [`walk`](super::walk)); another one
//! at the end names the file and what was wrong with it. Numbers that were given are not given
//! again.
//!
//! The new database is whole before the old one is moved. A power cut in between is mended by the
//! next start.

use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OpenFlags, params, params_from_iter};
use serde_json::json;

use crate::engine::frame::Timestamp;
use crate::store::canonical::{self, Fields};
use crate::store::walk::SALVAGE;
use crate::store::{DATABASE, Head, StoreError, chain, files, schema, spans};

/// What became of a damaged database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salvage {
    /// Where it lies now.
    pub aside: PathBuf,
    /// What was wrong with it.
    pub reason: String,
    /// Links of the chain that were found in it.
    pub links: u64,
    /// Places where links are missing between others.
    pub holes: u64,
}

/// Sets the database in `directory` aside and fills a new one. `given` is the newest `seq` that is
/// known to have been given.
pub(super) fn salvage(
    directory: &Path,
    reason: &str,
    given: u64,
    now: Timestamp,
) -> Result<Salvage, StoreError> {
    let old = directory.join(DATABASE);
    let new = directory.join(SALVAGED);
    let aside = free_name(directory, now);
    let wrong = |error| StoreError::sqlite(&new, error);
    for ending in ["", "-wal", "-shm"] {
        remove(&beside(&new, ending))?; // of one that a power cut ended
    }
    files::make_file(&new)?;
    let mut connection = schema::open_for_writing(&new)?;
    connection.execute_batch(FILLING).map_err(wrong)?;
    fill(&mut connection, &old).map_err(wrong)?;
    let file = aside.file_name().unwrap_or_default().to_string_lossy();
    let notes = Notes {
        file: &file,
        reason,
        time: &now.to_string(),
    };
    let (links, holes) = bind(&mut connection, &notes, given).map_err(wrong)?;
    drop(connection);
    sync(&new)?;
    swap(directory, &aside)?;
    Ok(Salvage {
        aside,
        reason: reason.to_owned(),
        links,
        holes,
    })
}

/// Ends what a power cut broke off: the old database is moved, and the new one not in its place.
pub(super) fn finish(directory: &Path) -> Result<(), StoreError> {
    let (old, new) = (directory.join(DATABASE), directory.join(SALVAGED));
    if old.exists() || !new.exists() {
        return Ok(());
    }
    match newest_aside(directory) {
        Some(aside) => swap(directory, &aside),
        None => Ok(()),
    }
}

/// Databases that were set aside, in the order of their dates.
pub(super) fn set_aside(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(ASIDE) && !name.ends_with("-wal") && !name.ends_with("-shm")
        })
        .collect();
    found.sort();
    found
}

fn newest_aside(directory: &Path) -> Option<PathBuf> {
    set_aside(directory).pop()
}

/// The log goes with its database.
fn swap(directory: &Path, aside: &Path) -> Result<(), StoreError> {
    let (old, new) = (directory.join(DATABASE), directory.join(SALVAGED));
    for ending in ["", "-wal", "-shm"] {
        let (from, to) = (beside(&old, ending), beside(aside, ending));
        if from.exists() {
            fs::rename(&from, &to).map_err(|error| StoreError::io(&from, "move", error))?;
        }
    }
    files::sync_directory(directory)?;
    fs::rename(&new, &old).map_err(|error| StoreError::io(&new, "move", error))?;
    files::sync_directory(directory)
}

/// A dated name that nothing has yet.
fn free_name(directory: &Path, now: Timestamp) -> PathBuf {
    let date: String = now
        .to_string()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .take(15) // to the second
        .collect();
    let mut path = directory.join(format!("{ASIDE}{date}Z"));
    let mut number = 1;
    while path.exists() {
        number += 1;
        path = directory.join(format!("{ASIDE}{date}Z.{number}"));
    }
    path
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io(path, "remove", error))
        }
        _ => Ok(()),
    }
}

fn sync(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| StoreError::io(path, "sync", error))
}

/// Takes over what can be read.
fn fill(new: &mut Connection, old: &Path) -> rusqlite::Result<()> {
    let transaction = new.transaction()?;
    transaction.execute_batch(CANDIDATES)?;
    let whole = match open_old(old) {
        Ok(source) => {
            for table in tables(&transaction)? {
                take_table(&transaction, &source, &table)?;
            }
            take_links(&transaction, &source)?
        }
        Err(_) => false,
    };
    if !whole {
        for path in [old.to_path_buf(), beside(old, "-wal")] {
            carve(&transaction, &path)?;
        }
    }
    choose(&transaction)?;
    let numbers: Vec<u64> = transaction
        .prepare("SELECT DISTINCT seq / 1024 FROM (SELECT seq FROM visits UNION ALL SELECT seq FROM requests)")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let seqs = numbers.into_iter().map(|number| number * 1024);
    spans::note_of(&transaction, 0, seqs)?;
    transaction.execute_batch("DROP TABLE candidates")?;
    transaction.commit()
}

/// For reading, with its log; nothing is carried over from that into the database.
fn open_old(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// Tables beside the chain whose rows say something by themselves.
fn tables(new: &Connection) -> rusqlite::Result<Vec<String>> {
    new.prepare(
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
         AND name NOT IN ('visits', 'spans', 'meta', 'candidates')",
    )?
    .query_map([], |row| row.get(0))?
    .collect()
}

/// Rows up to the first that cannot be read, and from the last back to it.
fn take_table(new: &Connection, source: &Connection, table: &str) -> rusqlite::Result<()> {
    let columns = columns_of_both(new, source, table)?;
    if columns.is_empty() {
        return Ok(());
    }
    let marks = vec!["?"; columns.len()].join(", ");
    let columns = columns.join(", ");
    let mut insert = new.prepare(&format!(
        "INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})"
    ))?;
    for order in ["", " ORDER BY rowid DESC"] {
        let Ok(mut select) = source.prepare(&format!("SELECT {columns} FROM {table}{order}"))
        else {
            continue; // not there, or it has no such order
        };
        let width = select.column_count();
        let Ok(mut rows) = select.query([]) else {
            continue;
        };
        let whole = loop {
            match rows.next() {
                Ok(Some(row)) => {
                    let values: rusqlite::Result<Vec<SqlValue>> =
                        (0..width).map(|column| row.get(column)).collect();
                    // A row that breaks a rule of the table is none.
                    let _refused =
                        values.and_then(|values| insert.execute(params_from_iter(values)));
                }
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        if whole {
            break;
        }
    }
    Ok(())
}

fn columns_of_both(
    new: &Connection,
    source: &Connection,
    table: &str,
) -> rusqlite::Result<Vec<String>> {
    let columns = |connection: &Connection| -> rusqlite::Result<Vec<String>> {
        connection
            .prepare("SELECT name FROM pragma_table_info(?1)")?
            .query_map([table], |row| row.get(0))?
            .collect()
    };
    let old = columns(source).unwrap_or_default();
    let mut both = columns(new)?;
    both.retain(|column| old.contains(column));
    Ok(both)
}

/// Links that SQLite finds. Whether it found all that there are.
fn take_links(new: &Connection, source: &Connection) -> rusqlite::Result<bool> {
    let mut whole = true;
    for order in ["ORDER BY seq", "ORDER BY seq DESC"] {
        let Ok(mut select) = source.prepare(&format!("SELECT record, hash FROM visits {order}"))
        else {
            return Ok(false);
        };
        let Ok(mut rows) = select.query([]) else {
            return Ok(false);
        };
        loop {
            match rows.next() {
                Ok(Some(row)) => {
                    let found = row
                        .get(0)
                        .and_then(|record: String| Ok((record, row.get::<_, String>(1)?)));
                    whole &= match found {
                        Ok((record, hash)) => take_link(new, &record, &hash)?,
                        Err(_) => false,
                    };
                }
                Ok(None) if whole => return Ok(true),
                Ok(None) => break,
                Err(_) => {
                    whole = false;
                    break;
                }
            }
        }
    }
    Ok(false)
}

/// Number and predecessor of a link; None: it is none, or its hash is not that of its bytes.
fn link_of(record: &str, hash: &str) -> Option<(u64, String)> {
    if chain::sha256_hex(record.as_bytes()) != hash {
        return None;
    }
    let fields = serde_json::from_str::<Fields>(record).ok()?;
    let seq = fields.get("seq").and_then(serde_json::Value::as_u64)?;
    let prev = fields.get("prev").and_then(serde_json::Value::as_str)?;
    (seq <= spans::SEQ_MAX).then(|| (seq, prev.to_owned()))
}

/// Takes what is a link. Whether it is one.
fn take_link(new: &Connection, record: &str, hash: &str) -> rusqlite::Result<bool> {
    let Some((seq, _)) = link_of(record, hash) else {
        return Ok(false);
    };
    new.prepare_cached("INSERT OR IGNORE INTO visits (seq, record, hash) VALUES (?1, ?2, ?3)")?
        .execute(params![seq, record, hash])?;
    Ok(true)
}

/// Notes what may be a link that SQLite did not find.
fn candidate(new: &Connection, record: &str, hash: &str) -> rusqlite::Result<()> {
    let Some((seq, prev)) = link_of(record, hash) else {
        return Ok(());
    };
    let known: bool = new
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM visits WHERE seq = ?1)")?
        .query_row([seq], |row| row.get(0))?;
    if known {
        return Ok(());
    }
    new.prepare_cached("INSERT OR IGNORE INTO candidates VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![seq, hash, prev, record])?;
    Ok(())
}

/// Finds links by their bytes: a record ends with a brace, and its hash stands right behind it.
/// One that is so long that SQLite had to part it is not found.
fn carve(new: &Connection, path: &Path) -> rusqlite::Result<()> {
    let Ok(mut file) = File::open(path) else {
        return Ok(());
    };
    let mut window = Vec::new();
    let mut offset = 0;
    loop {
        window.resize(WINDOW_BYTES, 0);
        let length = match read_window(&mut file, offset, &mut window) {
            0 => return Ok(()),
            length => length,
        };
        window.truncate(length);
        for (record, hash) in links_in(&window) {
            candidate(new, record, hash)?;
        }
        if length < WINDOW_BYTES {
            return Ok(());
        }
        offset += (WINDOW_BYTES - LINK_BYTES_MAX - HASH_BYTES) as u64; // what lies across two
    }
}

/// What cannot be read counts as nothing there: the card may have given up on that place.
fn read_window(file: &mut File, offset: u64, window: &mut [u8]) -> usize {
    let mut length = 0;
    for sector in window.chunks_mut(SECTOR_BYTES) {
        let place = offset + length as u64;
        let read = file
            .seek(SeekFrom::Start(place))
            .and_then(|_| read_full(file, sector));
        match read {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(_) => {
                sector.fill(0);
                length += sector.len();
            }
        }
    }
    // A card that cannot be read at all has an end all the same.
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    length.min(usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX))
}

fn read_full(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

/// Every record with its hash behind it, of which the hash has still to be compared.
fn links_in(window: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    let ends = memchr::memchr_iter(b'}', window).filter_map(|brace| {
        let hash = window.get(brace + 1..brace + 1 + HASH_BYTES)?;
        let plain = hash
            .iter()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte));
        Some((brace + 1, std::str::from_utf8(hash).ok().filter(|_| plain)?))
    });
    ends.flat_map(|(end, hash)| {
        let from = end.saturating_sub(LINK_BYTES_MAX);
        let head = window.get(from..end).unwrap_or_default();
        memchr::memmem::rfind_iter(head, b"{\"")
            .filter_map(move |start| Some((std::str::from_utf8(head.get(start..)?).ok()?, hash)))
            .find(move |(record, hash)| chain::sha256_hex(record.as_bytes()) == *hash)
    })
}

/// Of several records with one number, which the bytes of a file may hold, that one which the next
/// link names.
fn choose(new: &Connection) -> rusqlite::Result<()> {
    let mut select =
        new.prepare("SELECT seq, hash, prev, record FROM candidates ORDER BY seq DESC, rowid")?;
    let mut insert =
        new.prepare("INSERT OR REPLACE INTO visits (seq, record, hash) VALUES (?1, ?2, ?3)")?;
    let mut rows = select.query([])?;
    let (mut last, mut named, mut fits) = (None, None, false);
    let mut next: Option<String> = None;
    while let Some(row) = rows.next()? {
        let (seq, hash, prev): (u64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let is_first = last != Some(seq);
        if is_first {
            (named, fits) = (next.take(), false);
        }
        let is_named = named.as_ref() == Some(&hash);
        if is_first || (is_named && !fits) {
            let record: String = row.get(3)?;
            insert.execute(params![seq, record, hash])?;
            next = Some(prev);
            fits = is_named;
        }
        last = Some(seq);
    }
    Ok(())
}

/// What the records of a salvage say.
struct Notes<'a> {
    file: &'a str,
    reason: &'a str,
    time: &'a str,
}

impl Notes<'_> {
    fn fields(&self, more: serde_json::Value) -> rusqlite::Result<Fields> {
        let mut fields = canonical::fields(&more).map_err(unwritable)?;
        fields.insert("kind".into(), SALVAGE.into());
        fields.insert("file".into(), self.file.into());
        fields.insert("time".into(), self.time.into());
        Ok(fields)
    }
}

/// Puts a record into each hole, and one at the end. Gives how many links and holes there are.
fn bind(new: &mut Connection, notes: &Notes<'_>, given: u64) -> rusqlite::Result<(u64, u64)> {
    let transaction = new.transaction()?;
    let mut head: Option<Head> = None;
    let (mut links, mut holes, mut after) = (0, 0, 0);
    loop {
        let page: Vec<(u64, String, String)> = transaction
            .prepare_cached(
                "SELECT seq, record, hash FROM visits WHERE seq > ?1 ORDER BY seq LIMIT 256",
            )?
            .query_map([after], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let Some(last) = page.last().map(|(seq, _, _)| *seq) else {
            break;
        };
        after = last;
        for (seq, record, hash) in page {
            let prev = prev_of(&record);
            let before = head
                .as_ref()
                .map_or(chain::GENESIS, |head| head.hash.as_str());
            if prev != before {
                let after = head.as_ref().map_or(0, |head| head.seq);
                if let Some(free) = free_number(&transaction, after, seq)? {
                    let next = json!({"next": {"seq": seq, "prev": prev}});
                    put(&transaction, free, before, notes.fields(next)?)?;
                    holes += 1;
                }
            }
            links += 1;
            head = Some(Head { seq, hash });
        }
    }
    let newest: u64 = transaction.query_row(
        "SELECT max(ifnull((SELECT max(seq) FROM visits), 0),
                    ifnull((SELECT max(seq) FROM requests), 0))",
        [],
        |row| row.get(0),
    )?;
    let before = head.map_or(chain::GENESIS.to_owned(), |head| head.hash);
    let end = json!({"reason": notes.reason, "links": links, "holes": holes});
    let seq = newest.max(given).min(spans::SEQ_MAX - 1) + 1;
    put(&transaction, seq, &before, notes.fields(end)?)?;
    transaction.commit()?;
    Ok((links, holes))
}

fn put(new: &Connection, seq: u64, prev: &str, mut fields: Fields) -> rusqlite::Result<()> {
    fields.insert("seq".into(), seq.into());
    let link = chain::link(fields, prev).map_err(unwritable)?;
    new.prepare_cached("INSERT INTO visits (seq, record, hash) VALUES (?1, ?2, ?3)")?
        .execute(params![seq, link.record, link.hash])?;
    Ok(())
}

/// The largest number between two links that no request has: one of those that were lost.
fn free_number(new: &Connection, after: u64, before: u64) -> rusqlite::Result<Option<u64>> {
    let mut taken = new
        .prepare_cached("SELECT seq FROM requests WHERE seq > ?1 AND seq < ?2 ORDER BY seq DESC")?;
    let mut rows = taken.query([after, before])?;
    let mut free = before - 1;
    while let Some(row) = rows.next()? {
        if row.get::<_, u64>(0)? != free {
            break;
        }
        free -= 1;
    }
    Ok((free > after).then_some(free))
}

fn prev_of(record: &str) -> String {
    let fields = serde_json::from_str::<Fields>(record).unwrap_or_default();
    let prev = fields.get("prev").and_then(serde_json::Value::as_str);
    prev.unwrap_or_default().to_owned()
}

fn unwritable(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

/// Name of the new database until it is whole.
const SALVAGED: &str = "events.db.salvaged";
/// How the name of one that was set aside begins.
const ASIDE: &str = "events.db.damaged-";

/// What is half filled is thrown away by the next try: it needs no log of its own.
const FILLING: &str = "PRAGMA journal_mode = off; PRAGMA synchronous = off;";

/// In the file, not in memory: there may be as many as there are visits.
const CANDIDATES: &str = "
    CREATE TABLE candidates (
        seq INTEGER NOT NULL,
        hash TEXT NOT NULL UNIQUE,
        prev TEXT NOT NULL,
        record TEXT NOT NULL
    );
    CREATE INDEX candidates_by_seq ON candidates (seq);
";

/// A hash in hexadecimal digits.
const HASH_BYTES: usize = 64;
/// A longer record does not lie in one page.
const LINK_BYTES_MAX: usize = 8 << 10;
/// Bytes of a file that are looked at together.
const WINDOW_BYTES: usize = 1 << 20;
/// What a card gives or refuses as one.
const SECTOR_BYTES: usize = 4096;
