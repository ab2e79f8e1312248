//! Which files there are, and which goes first when there are too many.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use crate::store::evidence::{Evidence, EvidenceDetail, EvidenceOptions, file_name, folder};

/// Notes a file that a detail names.
pub(in crate::store) fn note(
    transaction: &Connection,
    detail: &EvidenceDetail,
) -> rusqlite::Result<()> {
    if !detail.evidence.is_kept() {
        return Ok(());
    }
    // By another name it takes no room of its own.
    let bytes = match detail.shared_with {
        Some(_) => 0,
        None => detail.evidence.bytes.unwrap_or_default(),
    };
    let shared = detail.shared_with.unwrap_or(detail.of);
    put(transaction, detail.of, bytes, shared)
}

/// Puts a visit's file on the shelf: what it takes up, and whose it was first.
pub(super) fn put(
    transaction: &Connection,
    seq: u64,
    bytes: u64,
    shared: u64,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO evidence VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![seq, canary_of(transaction, seq)?, bytes, shared])?;
    Ok(())
}

/// Whether a visit's file is on the shelf.
pub(super) fn is_noted(connection: &Connection, seq: u64) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM evidence WHERE seq = ?1")?
        .exists([seq])
}

/// Takes files off the shelf until the rest keeps within the bounds: the visits to say it of. The
/// canary whose files take up most loses its oldest first, but for that of its first visit, which
/// goes when nothing else of it is left.
pub(in crate::store) fn make_room(
    transaction: &Connection,
    options: &EvidenceOptions,
) -> rusqlite::Result<Vec<u64>> {
    let mut pruned = Vec::new();
    loop {
        let (files, bytes): (u64, u64) = transaction
            .prepare_cached("SELECT count(*), ifnull(sum(bytes), 0) FROM evidence")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if files <= options.files_max && bytes <= options.total_max_bytes {
            return Ok(pruned);
        }
        let by_bytes = bytes > options.total_max_bytes;
        let Some(first) = first_to_go(transaction, by_bytes)? else {
            return Ok(pruned);
        };
        let mut names =
            transaction.prepare_cached("DELETE FROM evidence WHERE shared = ?1 RETURNING seq")?;
        let names = names.query_map([first], |row| row.get(0))?;
        for name in names {
            pruned.push(name?);
        }
    }
}

/// What a detail says of a file that is about to be deleted.
pub(in crate::store) fn pruned(of: u64) -> Evidence {
    Evidence::without_file(Evidence::PRUNED, file_name(of))
}

/// Deletes files that the chain says are pruned. One that cannot be deleted now is deleted at the
/// next start.
pub(in crate::store) fn delete_files(directory: &Path, visits: &[u64]) {
    for seq in visits {
        let _later = fs::remove_file(folder(directory).join(file_name(*seq)));
    }
}

fn first_to_go(connection: &Connection, by_bytes: bool) -> rusqlite::Result<Option<u64>> {
    let largest = match by_bytes {
        true => "sum(bytes)",
        false => "count(*)",
    };
    connection
        .prepare_cached(&format!(
            "WITH largest AS (
                SELECT canary, min(shared) AS first FROM evidence
                GROUP BY canary ORDER BY {largest} DESC, canary LIMIT 1
            )
            SELECT shared FROM evidence JOIN largest USING (canary)
            ORDER BY shared = first, shared LIMIT 1"
        ))?
        .query_row([], |row| row.get(0))
        .optional()
}

fn canary_of(connection: &Connection, seq: u64) -> rusqlite::Result<String> {
    let canary: Option<Option<String>> = connection
        .prepare_cached(
            "SELECT iif(json_valid(record), json_extract(record, '$.canary'), NULL)
             FROM visits WHERE seq = ?1",
        )?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    Ok(canary.flatten().unwrap_or_default())
}
