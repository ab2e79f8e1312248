//! Does the chain hold? Read as a stranger would: by the bytes of its records alone.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::store::walk::{Lost, Walk};
use rusqlite::{Connection, OptionalExtension};

use crate::store::evidence::{self, Evidence};
use crate::store::schema::key;

/// A link that somebody remembered: the number of a record and its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// `seq` of the record.
    pub seq: u64,
    /// SHA-256 of its bytes, lower-case hex.
    pub hash: String,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl FromStr for Head {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        text.split_once(':')
            .and_then(|(seq, hash)| {
                let good = hash.len() == 64 && hash.bytes().all(hexadecimal);
                Some(Self {
                    seq: seq.parse().ok()?,
                    hash: good.then(|| hash.to_owned())?,
                })
            })
            .ok_or(
                "give it as `canarytap verify` prints it: a number, a colon, 64 hexadecimal digits",
            )
    }
}

/// What a look at the whole chain came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Records that hold, up to the first that does not.
    pub records: u64,
    /// The last of them: what to remember elsewhere.
    pub head: Option<Head>,
    /// Places where a damaged database lost records, as records in their place say.
    pub lost: Vec<Lost>,
    /// Files of packets that are as their visits' details say.
    pub files: u64,
    /// Files that were deleted because of the bounds, as the chain says.
    pub files_pruned: u64,
    /// Files that a copy is still to get: the pull that should have brought them broke off.
    pub files_awaited: u64,
    /// What does not hold, and where.
    pub broken: Option<Broken>,
}

/// The first thing that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The database itself: what SQLite says of it.
    Database(String),
    /// A record's bytes are not those that were hashed.
    Hash {
        /// Where.
        seq: u64,
    },
    /// A record is no canonical JSON object (RFC 8785).
    Form {
        /// Where.
        seq: u64,
    },
    /// A record says another number than its row.
    Number {
        /// The row's.
        seq: u64,
    },
    /// A record names another predecessor than the one that stands before it.
    Link {
        /// Where.
        seq: u64,
        /// The one before it, or none.
        before: Option<u64>,
    },
    /// A visit's file of packets is not there, and the chain does not say that it was deleted.
    FileMissing {
        /// The visit's number.
        of: u64,
        /// The file's name.
        file: String,
    },
    /// A visit's file of packets is not the one whose hash the chain has.
    FileChanged {
        /// The visit's number.
        of: u64,
        /// The file's name.
        file: String,
    },
    /// A visit's file of packets cannot be read.
    FileUnreadable {
        /// The visit's number.
        of: u64,
        /// The file's name.
        file: String,
        /// Why.
        reason: String,
    },
    /// A link that was remembered is not there.
    Forgotten {
        /// Its number.
        seq: u64,
    },
    /// A link that was remembered is there with another hash.
    Rewritten {
        /// Its number.
        seq: u64,
    },
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(what) => write!(f, "the database is damaged: {what}"),
            Self::Hash { seq } => write!(
                f,
                "record {seq} was changed: its hash is not that of its bytes"
            ),
            Self::Form { seq } => write!(f, "record {seq} is no canonical JSON object"),
            Self::Number { seq } => write!(f, "record {seq} says another number than its row"),
            Self::Link {
                seq,
                before: Some(before),
            } => write!(
                f,
                "record {seq} does not follow record {before}: one was changed, deleted, swapped \
                 or put between them"
            ),
            Self::Link { seq, before: None } => write!(
                f,
                "record {seq} is the first here and names one before it: the beginning is gone"
            ),
            Self::FileMissing { of, file } => write!(
                f,
                "the packets of visit {of} are gone: there is no {file}, and the chain does not \
                 say that it was deleted"
            ),
            Self::FileChanged { of, file } => write!(
                f,
                "the packets of visit {of} were changed: {file} has not the hash that the chain \
                 has"
            ),
            Self::FileUnreadable { of, file, reason } => write!(
                f,
                "the packets of visit {of} cannot be checked: {file} cannot be read: {reason}"
            ),
            Self::Forgotten { seq } => write!(
                f,
                "record {seq}, which was remembered, is gone: the end was cut off"
            ),
            Self::Rewritten { seq } => write!(
                f,
                "record {seq} is not the one that was remembered: the history was rewritten"
            ),
        }
    }
}

/// Looks at everything, with flat memory; stops at the first thing that does not hold.
pub(super) fn verify(
    connection: &Connection,
    directory: &Path,
    remembered: &[Head],
) -> rusqlite::Result<Verification> {
    if let Some(complaint) = complaint(connection)? {
        return Ok(Verification {
            broken: Some(Broken::Database(complaint)),
            ..Verification::default()
        });
    }
    let mut verification = chain_of(connection, directory)?;
    if verification.broken.is_none() {
        verification.broken = remembered
            .iter()
            .map(|head| against(connection, head))
            .find_map(Result::transpose)
            .transpose()?;
    }
    Ok(verification)
}

/// What SQLite finds wrong with its own structures; None when nothing is.
pub(super) fn complaint(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let first: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    let lines = first.lines().filter(|line| !line.starts_with("***")); // the database's name
    Ok((first != "ok").then(|| lines.collect::<Vec<_>>().join("; ")))
}

fn chain_of(connection: &Connection, directory: &Path) -> rusqlite::Result<Verification> {
    let mut walk = Walk::default();
    let mut verification = Verification::default();
    let pulled_up_to = packets_pulled_up_to(connection)?;
    let mut broken = None;
    let mut statement = connection.prepare("SELECT seq, record, hash FROM visits ORDER BY seq")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        // Somebody else may have written what is no text there.
        let (seq, record, hash) = (
            row.get::<_, u64>(0)?,
            row.get::<_, String>(1).unwrap_or_default(),
            row.get::<_, String>(2).unwrap_or_default(),
        );
        broken = walk.step(seq, &record, &hash).err();
        if broken.is_none() && record.contains("\"evidence\":") {
            broken = packets(connection, directory, &record, &mut verification)?;
            if matches!(broken, Some(Broken::FileMissing { .. })) && seq > pulled_up_to {
                verification.files_awaited += 1;
                broken = None;
            }
        }
        if broken.is_some() {
            break;
        }
    }
    Ok(Verification {
        records: walk.records,
        head: walk.head,
        lost: walk.lost,
        broken,
        ..verification
    })
}

/// The last link whose packets were pulled; in a store that is no copy none is waited for.
fn packets_pulled_up_to(connection: &Connection) -> rusqlite::Result<u64> {
    let query = "SELECT coalesce((SELECT value FROM meta WHERE key = 'packets'), 0)
         FROM meta WHERE key = 'copy'";
    let seq = connection
        .query_row(query, [], |row| row.get(0))
        .optional()?;
    Ok(seq.unwrap_or(u64::MAX))
}

/// A detail that names a file of packets.
#[derive(Deserialize)]
struct PacketsDetail {
    kind: String,
    of: u64,
    evidence: Evidence,
}

/// Whether the packets that a record names are there, unless a later one says that they went.
fn packets(
    connection: &Connection,
    directory: &Path,
    record: &str,
    verification: &mut Verification,
) -> rusqlite::Result<Option<Broken>> {
    let detail: Option<PacketsDetail> = serde_json::from_str(record).ok();
    let detail = detail.filter(|detail| detail.kind == "detail" && detail.evidence.is_kept());
    let Some(PacketsDetail { of, evidence, .. }) = detail else {
        return Ok(None);
    };
    if connection.prepare_cached(PRUNED_LATER)?.exists([of])? {
        verification.files_pruned += 1;
        return Ok(None);
    }
    let file = evidence.file;
    Ok(
        match evidence::digest_of(&evidence::folder(directory).join(&file)) {
            Ok((sha256, _)) if Some(&sha256) == evidence.sha256.as_ref() => {
                verification.files += 1;
                None
            }
            Ok(_) => Some(Broken::FileChanged { of, file }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Some(Broken::FileMissing { of, file })
            }
            Err(error) => Some(Broken::FileUnreadable {
                of,
                file,
                reason: error.to_string(),
            }),
        },
    )
}

const PRUNED_LATER: &str = concat!(
    "SELECT 1 FROM visits WHERE ",
    key!("of"),
    " = ?1 AND ",
    key!("evidence.state"),
    " = 'pruned'"
);

fn against(connection: &Connection, head: &Head) -> rusqlite::Result<Option<Broken>> {
    let found: Option<String> = connection
        .prepare_cached("SELECT hash FROM visits WHERE seq = ?1")?
        .query_row([head.seq], |row| row.get(0))
        .optional()?;
    let seq = head.seq;
    Ok(match found {
        None => Some(Broken::Forgotten { seq }),
        Some(hash) if hash != head.hash => Some(Broken::Rewritten { seq }),
        Some(_) => None,
    })
}
