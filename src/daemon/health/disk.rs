//! Room on the data directory's disk.

use std::path::Path;

use rustix::fs::statvfs;

use crate::config::units::bytes_text;
use crate::daemon::health::remark;
use crate::daemon::status::Remark;

/// Bytes of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// That this process may fill.
    pub free: u64,
    /// All of it.
    pub size: u64,
}

impl Room {
    /// Looks at the file system of a directory.
    pub fn look(directory: &Path) -> Option<Self> {
        let found = statvfs(directory).ok()?;
        Some(Self {
            free: found.f_bavail.saturating_mul(found.f_frsize),
            size: found.f_blocks.saturating_mul(found.f_frsize),
        })
    }
}

pub(super) fn fault(room: Room) -> Option<Remark> {
    (room.free < FREE_MIN.min(room.size / 20)).then(|| {
        remark(
            "disk_low",
            &format!(
                "only {} are left on the disk of the log",
                bytes_text(room.free >> 20 << 20)
            ),
            "make room: sudo journalctl --vacuum-size=50M, sudo apt clean",
        )
    })
}

/// The store's own log grows to 40 MiB under a flood.
const FREE_MIN: u64 = 64 << 20;
