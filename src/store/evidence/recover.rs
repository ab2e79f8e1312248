//! After a start: files that nobody finished, and files that should be gone.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use crate::engine::frame::Timestamp;
use crate::store::evidence::{
    Evidence, EvidenceDetail, delete_files, digest_of, file_name, folder, numbers_in, pcapng, shelf,
};
use crate::store::schema::key;

/// What is to be said of files that a crash or a power cut left unfinished: what is whole of them
/// is kept. Files that were to be deleted are. A file that belongs to no visit stays as it is.
pub(in crate::store) fn recover(
    connection: &Connection,
    directory: &Path,
    now: Timestamp,
) -> rusqlite::Result<Vec<EvidenceDetail>> {
    let Ok(numbers) = numbers_in(&folder(directory)) else {
        return Ok(Vec::new()); // nothing can be said of what cannot be read
    };
    let mut details = Vec::new();
    for seq in numbers {
        match said_of(connection, seq)? {
            Said::Kept => {}
            Said::Gone => delete_files(directory, &[seq]),
            Said::Nothing => {
                let finished = finish(&folder(directory).join(file_name(seq)));
                let evidence = finished
                    .unwrap_or_else(|_| Evidence::without_file(Evidence::LOST, file_name(seq)));
                details.push(EvidenceDetail {
                    of: seq,
                    time: now,
                    evidence,
                    shared_with: None,
                });
            }
            Said::NoVisit => {}
        }
    }
    Ok(details)
}

/// Notes files anew that the chain says are kept, and of which the database knows nothing any more:
/// it was damaged, and made anew from what could be read. How many.
pub(in crate::store) fn shelve_again(
    connection: &Connection,
    directory: &Path,
) -> rusqlite::Result<u64> {
    let Ok(mut numbers) = numbers_in(&folder(directory)) else {
        return Ok(0); // nothing can be said of what cannot be read
    };
    numbers.sort_unstable();
    let (mut owners, mut noted) = (HashMap::new(), 0);
    for seq in numbers {
        let Ok(file) = fs::metadata(folder(directory).join(file_name(seq))) else {
            continue;
        };
        // Visits on one connection have one file, by several names.
        let owner = *owners.entry(file.ino()).or_insert(seq);
        let is_kept = matches!(said_of(connection, seq)?, Said::Kept);
        if is_kept && !shelf::is_noted(connection, seq)? {
            let bytes = if owner == seq { file.len() } else { 0 };
            shelf::put(connection, seq, bytes, owner)?;
            noted += 1;
        }
    }
    Ok(noted)
}

enum Said {
    Kept,
    Gone,
    Nothing,
    NoVisit,
}

fn said_of(connection: &Connection, seq: u64) -> rusqlite::Result<Said> {
    let state: Option<String> = connection
        .prepare_cached(STATE)?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    let is_visit = connection
        .prepare_cached("SELECT 1 FROM visits WHERE seq = ?1")?
        .exists([seq])?;
    Ok(match state.as_deref() {
        Some(Evidence::KEPT) => Said::Kept,
        Some(_) => Said::Gone,
        None if is_visit => Said::Nothing,
        None => Said::NoVisit,
    })
}

/// Cuts a file behind its last whole block, and puts it on disk.
fn finish(path: &Path) -> io::Result<Evidence> {
    let bytes = fs::read(path)?;
    let whole = pcapng::whole_blocks(&bytes);
    let kept = bytes.get(..whole).unwrap_or_default();
    let frames = pcapng::packets_in(kept);
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(whole as u64)?;
    file.sync_all()?;
    let (sha256, length) = digest_of(path)?;
    let name = path.file_name().unwrap_or_default();
    Ok(Evidence {
        sha256: Some(sha256),
        bytes: Some(length),
        frames: Some(frames),
        ended: Some("interrupted".into()),
        ..Evidence::without_file(Evidence::KEPT, name.to_string_lossy().into_owned())
    })
}

/// What was said last of a visit's packets.
const STATE: &str = concat!(
    "SELECT ",
    key!("evidence.state"),
    " FROM visits WHERE ",
    key!("of"),
    " = ?1 AND ",
    key!("evidence.state"),
    " IS NOT NULL ORDER BY seq DESC LIMIT 1"
);
