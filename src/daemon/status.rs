//! What the daemon says of itself in a small file, for `status` and for people.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::daemon::clock;
use crate::engine::frame::Timestamp;
use crate::store::CoverageRecord;

/// Name of the file in the run directory.
const FILE: &str = "status.json";
/// Under this name it is written before it takes the other's place.
const FILE_NEW: &str = "status.json.new";
/// The group reads it.
const MODE: u32 = 0o660;
/// It is written at least so often: an older one means that nobody writes it.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// The daemon's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub started: String,
    /// When this was written.
    pub updated: String,
    /// The same by the time since the boot, which nobody sets.
    #[serde(default)]
    pub updated_uptime_micros: Option<u64>,
    /// Whether nothing is wrong.
    pub healthy: bool,
    /// What is wrong.
    pub faults: Vec<Remark>,
    /// What is not as it should be, but costs nothing.
    pub warnings: Vec<Remark>,
    /// The capture.
    pub capture: CaptureStatus,
    /// The engine's counters.
    pub counters: BTreeMap<String, u64>,
    /// The store.
    pub store: StoreStatus,
    /// Secrets of TLS connections.
    #[serde(default)]
    pub keys: KeysStatus,
    /// The lights.
    pub lights: LightsStatus,
    /// Alerts that wait to be acknowledged.
    pub unacknowledged: u64,
    /// Time of the newest event since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event: Option<String>,
    /// `seq` of the newest alert since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_alert: Option<u64>,
    /// Whether the clock is set from the network, where somebody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_synchronised: Option<bool>,
    /// The present hour, up to its last whole minute: it is no record yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<CoverageRecord>,
    /// Whether the kernel confines the daemon to its files: `full`, `partial` or `none`.
    #[serde(default)]
    pub landlock: String,
    /// Who else is told of alerts. The daemon knows nothing of them: `status` adds them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<SinkStatus>,
}

/// How far a sink has got with the alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkStatus {
    /// Its name.
    pub name: String,
    /// `webhook` and its like.
    pub kind: String,
    /// Alerts that wait for it.
    pub waiting: u64,
    /// Alerts that it took.
    pub delivered: u64,
    /// Alerts that it refused for good.
    pub refused: u64,
    /// Why it takes none at present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_time: Option<String>,
}

/// Something wrong, with its cure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// A name for scripts.
    pub name: String,
    /// What is wrong, in words.
    pub text: String,
    /// What to do.
    pub cure: String,
}

/// The capture's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureStatus {
    /// The interface.
    pub interface: String,
    /// Whether it is there and up.
    pub link_up: bool,
    /// Packets that passed the filter.
    pub received: u64,
    /// Packets that the kernel dropped because the ring was full.
    pub dropped_kernel: u64,
    /// Packets that the interface dropped.
    pub dropped_interface: u64,
    /// Frames on the interface, whatever the filter says of them.
    pub frames_on_interface: u64,
    /// Flows in the table.
    pub flows: usize,
    /// Bytes of flows and buffers.
    pub heap_bytes: usize,
    /// Canaries that are watched.
    pub canaries: usize,
}

/// The store's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStatus {
    /// Its directory.
    pub directory: PathBuf,
    /// Newest number on disk.
    pub last_seq: u64,
    /// Entries that wait to be written.
    pub pending: usize,
    /// Background requests dropped on the way.
    pub dropped_requests: u64,
    /// Visits dropped on the way.
    pub dropped_visits: u64,
    /// Statuses of either, dropped on the way.
    #[serde(default)]
    pub dropped_details: u64,
    /// Packets of visits dropped on their way to a file.
    #[serde(default)]
    pub dropped_packets: u64,
    /// Bytes that visits take up.
    #[serde(default)]
    pub visits_bytes: u64,
    /// Bytes that they may take up.
    #[serde(default)]
    pub visits_max_bytes: u64,
    /// Bytes that the daemon has written to disks since it started, in whole pages, where the
    /// kernel counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_bytes: Option<u64>,
    /// The same in the last 24 hours, as far as it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_bytes_day: Option<u64>,
    /// Why it fails, while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// The state of what follows key logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysStatus {
    /// The logs that are followed.
    pub logs: Vec<KeyLogStatus>,
    /// Secrets that came from them and from `canarytap keys`.
    pub secrets: u64,
    /// Lines that are none of a key log.
    pub refused: u64,
    /// Secrets that wait for their connections.
    #[serde(default)]
    pub waiting: usize,
}

/// One key log's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLogStatus {
    /// Where it lies.
    pub path: PathBuf,
    /// `followed`, `missing`, `exposed`, or why it cannot be read.
    pub state: String,
}

/// The lights' state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LightsStatus {
    /// Who moves them.
    pub driver: String,
    /// `dark`, `armed` or `fault`.
    pub armed: String,
    /// `dark`, `head`, `get` or `other`.
    pub alert: String,
}

impl Status {
    /// Reads what the daemon wrote last.
    ///
    /// # Errors
    /// When there is nothing, or nothing that can be read.
    pub fn read(run_directory: &Path) -> io::Result<Self> {
        let text = fs::read(run_directory.join(FILE))?;
        Ok(serde_json::from_slice(&text)?)
    }

    fn write(&self, run_directory: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        let new = run_directory.join(FILE_NEW);
        fs::write(&new, text)?;
        fs::set_permissions(&new, Permissions::from_mode(MODE))?; // whatever the umask is
        fs::rename(new, run_directory.join(FILE))
    }

    /// How long ago it was written, by a clock that nobody sets where it says so; None: it does not.
    pub fn age(&self, now: Timestamp, uptime: Duration) -> Option<Duration> {
        if let Some(micros) = self.updated_uptime_micros {
            return Some(uptime.saturating_sub(Duration::from_micros(micros)));
        }
        let updated: jiff::Timestamp = self.updated.parse().ok()?;
        let written = u64::try_from(updated.as_nanosecond()).ok()?;
        Some(now.since(Timestamp::from_nanos(written)))
    }
}

/// The file, as the daemon keeps it.
#[derive(Debug)]
pub struct StatusFile {
    run_directory: PathBuf,
    /// When it was last written, and what.
    written: Option<(Instant, Status)>,
}

impl StatusFile {
    /// Nothing is written yet.
    pub fn new(run_directory: PathBuf) -> Self {
        Self {
            run_directory,
            written: None,
        }
    }

    /// Writes, whole or not at all: when something changed, and as a sign of life.
    ///
    /// # Errors
    /// What the file system says.
    pub fn keep(&mut self, mut status: Status, now: Instant) -> io::Result<()> {
        if let Some((at, before)) = &self.written {
            status.updated.clone_from(&before.updated);
            status.updated_uptime_micros = before.updated_uptime_micros;
            if status == *before && now.duration_since(*at) < HEARTBEAT {
                return Ok(());
            }
        }
        status.updated = clock::now().to_string();
        status.updated_uptime_micros = Some(clock::micros_of(clock::uptime()));
        status.write(&self.run_directory)?;
        self.written = Some((now, status));
        Ok(())
    }

    /// Takes it away: nobody runs any more.
    ///
    /// # Errors
    /// What the file system says.
    pub fn remove(self) -> io::Result<()> {
        match self.written {
            Some(_) => fs::remove_file(self.run_directory.join(FILE)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_when_something_changed_and_as_a_sign_of_life() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = StatusFile::new(folder.path().to_owned());
        let start = Instant::now();
        let mut keep = |unacknowledged, seconds| {
            // Gone unless it is written again.
            let _first = fs::remove_file(folder.path().join(FILE));
            let status = Status {
                unacknowledged,
                ..Status::default()
            };
            let now = start + Duration::from_secs(seconds);
            file.keep(status, now).unwrap();
            Status::read(folder.path())
                .ok()
                .map(|status| status.unacknowledged)
        };
        assert_eq!(keep(1, 0), Some(1));
        assert_eq!(keep(1, 1), None);
        assert_eq!(keep(2, 2), Some(2));
        assert_eq!(keep(2, 6), None);
        assert_eq!(keep(2, 7), Some(2));
    }

    #[test]
    fn at_the_end_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = StatusFile::new(folder.path().to_owned());
        file.keep(Status::default(), Instant::now()).unwrap();
        file.remove().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
