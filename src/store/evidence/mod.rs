//! Packets kept: `evidence/SEQ.pcapng`, one file for each visit's connection.
//!
//! The file is written while the connection goes on. When it is complete it is synced, and a
//! `detail` of the visit names it with its SHA-256, so that the chain holds the file too. Visits on
//! one connection share one file under several names (hard links). What is deleted because of the
//! bounds gets a detail that says so, before it goes: a file that is missing without one was taken
//! away by somebody else.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use crate::config::EvidenceConfig as EvidenceOptions;
use crate::engine::frame::Timestamp;

pub use pcapng::{Counts, Interface};
pub use writer::{EvidenceWriter, Numbered, Numbers, Step};

mod pcapng;
mod recover;
mod shelf;
mod writer;

pub(super) use recover::{recover, shelve_again};
pub(super) use shelf::{delete_files, make_room, note, pruned};

/// Name of the folder of kept packets in the data directory.
pub const EVIDENCE: &str = "evidence";

/// What a detail says of a visit's packets, under the key `evidence`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// `kept`, `pruned` (deleted because of a bound) or `lost` (it could not be written).
    pub state: Cow<'static, str>,
    /// Name of the file in the folder `evidence`.
    pub file: String,
    /// SHA-256 of its bytes, lower-case hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// How many bytes it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How many frames it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<u64>,
    /// Why it ends where it ends: `closed`, `reset`, `idle`, `stopped`, and cut off: `size`,
    /// `crowded`, `interrupted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Cow<'static, str>>,
    /// Frames of the connection that were seen and are not in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<u64>,
    /// True where the first frames that were seen of the connection are not in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_missed: Option<bool>,
}

/// A detail about a visit's packets, on its way into the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceDetail {
    /// `seq` of the visit.
    pub of: u64,
    /// Time of the last frame.
    pub time: Timestamp,
    /// What is said.
    pub evidence: Evidence,
    /// The visit whose file this is by another name.
    pub shared_with: Option<u64>,
}

impl Evidence {
    const KEPT: &'static str = "kept";
    const PRUNED: &'static str = "pruned";
    const LOST: &'static str = "lost";

    fn without_file(state: &'static str, file: String) -> Self {
        Self {
            state: state.into(),
            file,
            sha256: None,
            bytes: None,
            frames: None,
            ended: None,
            missed: None,
            start_missed: None,
        }
    }

    /// Whether the file is there, as far as canarytap is concerned.
    pub fn is_kept(&self) -> bool {
        self.state == Self::KEPT
    }
}

/// The name of a visit's file.
fn file_name(seq: u64) -> String {
    format!("{seq}.pcapng")
}

/// The folder of kept packets below a data directory.
pub fn folder(directory: &Path) -> PathBuf {
    directory.join(EVIDENCE)
}

/// SHA-256 of a file, lower-case hex, and its length.
///
/// # Errors
/// It cannot be read.
pub fn digest_of(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let mut digest = writer::Digest::default();
    let length = io::copy(&mut file, &mut digest)?;
    Ok((digest.finish(), length))
}

/// The numbers of the visits that have a file.
fn numbers_in(folder: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".pcapng"));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
