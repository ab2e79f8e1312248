//! What can go wrong with a store, and how to mend it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi::{
    SQLITE_IOERR_CORRUPTFS, SQLITE_IOERR_DATA, SQLITE_IOERR_READ, SQLITE_IOERR_SHORT_READ,
};

use crate::store::files;

/// The group whose members use every command without root.
pub const GROUP: &str = "canarytap";

/// Why a store could not be opened, read or written. Its text says how to mend it.
#[derive(Debug)]
pub enum StoreError {
    /// There is no store in this directory.
    Missing {
        /// The data directory.
        directory: PathBuf,
    },
    /// Copies of several taps' stores lie there, and one is asked for.
    Several {
        /// Their directory.
        directory: PathBuf,
        /// Their names.
        taps: Vec<String>,
    },
    /// This user may not read or write it.
    Forbidden {
        /// What may not be used.
        path: PathBuf,
    },
    /// The file system, the directory or the file takes no writes.
    ReadOnly {
        /// The database.
        path: PathBuf,
    },
    /// Its newest events stand in the log beside it, which cannot be read where nothing can be
    /// written.
    Unfinished {
        /// The database.
        path: PathBuf,
    },
    /// A newer canarytap made it.
    Newer {
        /// The database.
        path: PathBuf,
        /// Version of its schema.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// Its bytes do not hold together, or it is some other file.
    Damaged {
        /// The database.
        path: PathBuf,
        /// What SQLite or the reader said.
        reason: String,
    },
    /// It is a database of something else.
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// Another process held the lock for longer than the store waits.
    Busy {
        /// The database.
        path: PathBuf,
    },
    /// The disk is full.
    Full {
        /// The database.
        path: PathBuf,
    },
    /// It is a copy of another store: whoever wrote to it would part it from that.
    Copy {
        /// The database.
        path: PathBuf,
    },
    /// It is no copy of another store, but one of its own.
    NoCopy {
        /// The database.
        path: PathBuf,
    },
    /// The file system refused.
    Io {
        /// What was touched.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// SQLite refused for another reason.
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
    /// Some of what was to be acknowledged cannot be; nothing was changed.
    CannotAcknowledge {
        /// Not in the store.
        unknown: Vec<u64>,
        /// There, but no alerts.
        not_alerts: Vec<u64>,
    },
}

impl StoreError {
    /// The error behind what SQLite said about the database at `path`.
    pub(super) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::ReadOnly) => Self::ReadOnly { path },
            Some(ErrorCode::PermissionDenied) => Self::Forbidden { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged {
                path,
                reason: source.to_string(),
            },
            _ => Self::Sqlite { path, source },
        }
    }

    /// The error behind what the file system said.
    pub(crate) fn io(path: &Path, action: &'static str, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Forbidden { path },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Io {
                path,
                action,
                source,
            },
        }
    }

    /// Whether trying again soon may help: another process was in the way.
    pub const fn is_busy(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }

    /// What is wrong with a database whose bytes do not hold together, or are not all given back by
    /// the disk; None: nothing is, as far as this error says.
    pub fn damage(&self) -> Option<String> {
        match self {
            Self::Damaged { reason, .. } => Some(reason.clone()),
            Self::Sqlite { path, source } if is_unread(source) => {
                // What failed once and does not again is no reason to set anything aside.
                let place = files::first_unread(path)?;
                Some(format!("the disk gives nothing back from byte {place} on"))
            }
            _ => None,
        }
    }
}

/// Whether the disk did not give back what SQLite wanted to read.
fn is_unread(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(
        code,
        Some(
            SQLITE_IOERR_READ
                | SQLITE_IOERR_SHORT_READ
                | SQLITE_IOERR_DATA
                | SQLITE_IOERR_CORRUPTFS
        )
    )
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { directory } => write!(
                f,
                "there is no event store in {}: `canarytap run` makes it; name another directory with --data",
                directory.display()
            ),
            Self::Several { directory, taps } => write!(
                f,
                "{} holds the copies of taps ({}): name one with --data {}/NAME",
                directory.display(),
                taps.join(", "),
                directory.display()
            ),
            Self::Forbidden { path } => write!(
                f,
                "no permission to use {}: members of group {GROUP} have it; \
                 `sudo adduser USER {GROUP}`, then log in again",
                path.display()
            ),
            Self::ReadOnly { path } => write!(
                f,
                "{} cannot be written: the file system or the file is read-only",
                path.display()
            ),
            Self::Unfinished { path } => write!(
                f,
                "{} was not closed, and here nothing can be written, so that its newest events \
                 cannot be read: copy the whole directory to where you may write, and use --data",
                path.display()
            ),
            Self::Newer { path, found, known } => write!(
                f,
                "{} was made by a newer canarytap (schema {found}, this one knows {known}): \
                 install that version; nothing was changed",
                path.display()
            ),
            Self::Damaged { path, reason } => write!(
                f,
                "{} is damaged or no event store ({reason}): move it aside and keep it; \
                 `canarytap run` begins a new one",
                path.display()
            ),
            Self::Foreign { path } => write!(
                f,
                "{} is a database of something else: name another directory; nothing was changed",
                path.display()
            ),
            Self::Busy { path } => write!(
                f,
                "{} is held by another process for too long: try again",
                path.display()
            ),
            Self::Full { path } => write!(
                f,
                "no room left on the disk of {}: make room; nothing was changed",
                path.display()
            ),
            Self::Copy { path } => write!(
                f,
                "{} is a copy that `canarytap pull` keeps, for reading only: do this on the tap",
                path.display()
            ),
            Self::NoCopy { path } => write!(
                f,
                "{} is no copy that `canarytap pull` made, but a tap's own store: name another \
                 place with --store or --name; nothing was changed",
                path.display()
            ),
            Self::Io {
                path,
                action,
                source,
            } => write!(f, "cannot {action} {}: {source}", path.display()),
            Self::Sqlite { path, source } => write!(f, "{}: {source}", path.display()),
            Self::CannotAcknowledge {
                unknown,
                not_alerts,
            } => cannot_acknowledge(f, unknown, not_alerts),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Sqlite { source, .. } => Some(source),
            _ => None,
        }
    }
}

fn cannot_acknowledge(
    f: &mut fmt::Formatter<'_>,
    unknown: &[u64],
    not_alerts: &[u64],
) -> fmt::Result {
    f.write_str("nothing was acknowledged:")?;
    let mut separator = " ";
    if !unknown.is_empty() {
        write!(f, "{separator}there is no event {}", list(unknown))?;
        separator = "; ";
    }
    if !not_alerts.is_empty() {
        write!(f, "{separator}no alert: {}", list(not_alerts))?;
    }
    f.write_str(" (`canarytap log --alerts` shows the alerts)")
}

fn list(seqs: &[u64]) -> String {
    let words: Vec<String> = seqs.iter().map(u64::to_string).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_store_says_where_it_was_sought_and_who_makes_it() {
        let text = StoreError::Missing {
            directory: "/data".into(),
        }
        .to_string();
        assert!(text.contains("/data") && text.contains("canarytap run"));
    }

    #[test]
    fn no_permission_names_the_group_and_the_command() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let text = StoreError::io(Path::new("/data"), "open", denied).to_string();
        assert!(text.contains("sudo adduser USER canarytap"));
    }

    #[test]
    fn every_event_that_cannot_be_acknowledged_is_named() {
        let text = StoreError::CannotAcknowledge {
            unknown: vec![7, 9],
            not_alerts: vec![3],
        }
        .to_string();
        assert!(text.contains("no event 7, 9; no alert: 3"));
    }
}
