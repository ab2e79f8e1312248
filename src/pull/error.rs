//! Why a pull did not come to its end. Whatever it is, nothing that was kept before is changed.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::store::{CopyError, Head, StoreError};

/// Why a pull did not come to its end.
#[derive(Debug)]
pub enum PullError {
    /// The other side is none, or ended too early.
    Connection(io::Error),
    /// It said something that it should not.
    Protocol(String),
    /// It gave no answer, for a reason of its own.
    Refused(String),
    /// It speaks another version.
    Version(u32),
    /// Its history is not the one that was pulled before.
    Rewritten {
        /// Number of the first link that differs.
        first: u64,
        /// What was pulled there.
        kept: Option<Head>,
        /// What the tap shows there now.
        shown: Option<Head>,
    },
    /// Its history ends before what was pulled.
    Shortened {
        /// The newest link that was ever seen.
        remembered: Head,
        /// The newest one that the tap shows now.
        shown: Option<Head>,
    },
    /// What it sends does not hold together.
    Rows(CopyError),
    /// The copy lacks a link that was remembered: somebody changed it here.
    CopyChanged {
        /// The copy's directory.
        directory: PathBuf,
        /// The link.
        remembered: Head,
    },
    /// The copy takes up more room than it may.
    TooLarge {
        /// How many bytes it may.
        limit: u64,
    },
    /// Another pull into the same copy runs.
    Running(PathBuf),
    /// The copy cannot be used.
    Store(StoreError),
    /// A file of the copy cannot be used.
    File(PathBuf, io::Error),
}

impl From<StoreError> for PullError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<CopyError> for PullError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Store(error) => Self::Store(error),
            other => Self::Rows(other),
        }
    }
}

impl fmt::Display for PullError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => write!(
                f,
                "the connection broke off: {error}; what came is kept, and the next pull goes on \
                 from there"
            ),
            Self::Protocol(what) => write!(
                f,
                "the other side does not speak as `canarytap serve-pull` does: {what}"
            ),
            Self::Refused(why) => write!(f, "the tap says: {why}"),
            Self::Version(version) => write!(
                f,
                "the tap speaks version {version} of the protocol, which this program does not: \
                 install the same version on both"
            ),
            Self::Rewritten { first, kept, shown } => write!(
                f,
                "REFUSED: the tap's history was rewritten from record {first} on: {} was pulled, \
                 and now it shows {}. {NOTHING_CHANGED}",
                named(kept.as_ref()),
                named(shown.as_ref())
            ),
            Self::Shortened { remembered, shown } => write!(
                f,
                "REFUSED: the tap's history was shortened: {} was pulled, and now it ends with {}. \
                 {NOTHING_CHANGED}",
                named(Some(remembered)),
                named(shown.as_ref())
            ),
            Self::Rows(error) => write!(
                f,
                "REFUSED: what the tap sends does not hold together: {error}. What came before is \
                 kept"
            ),
            Self::CopyChanged {
                directory,
                remembered,
            } => write!(
                f,
                "REFUSED: the copy in {} lacks {}, which was pulled before: it was changed here. \
                 Move the directory aside to pull all of it again",
                directory.display(),
                named(Some(remembered))
            ),
            Self::TooLarge { limit } => write!(
                f,
                "the copy takes up more than {} MiB: look at what fills it, and raise --limit",
                limit >> 20
            ),
            Self::Running(path) => write!(
                f,
                "another pull runs (it holds {}): wait for its end",
                path.display()
            ),
            Self::Store(error) => error.fmt(f),
            Self::File(path, error) => write!(f, "cannot use {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for PullError {}

fn named(link: Option<&Head>) -> String {
    match link {
        Some(head) => head.to_string(),
        None => "nothing".into(),
    }
}

/// What to do about a history that is not the one that was.
const NOTHING_CHANGED: &str = "Nothing was changed here. Look at the tap before you believe \
    it; if it began anew for a reason that you know, pull with --anew, which sets the old copy \
    aside";
