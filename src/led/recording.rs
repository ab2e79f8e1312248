//! Every change of a light's level with its time, in a file: a diagnostic beside any driver.
//!
//! One line a change, written once the driver has moved the pin: UTC in seconds since 1970 with
//! nine decimals, the role, the level.
//!
//! ```text
//! 1367342912.104512345 alert on
//! 1367342912.804633001 alert off
//! ```

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::config::LightRole;
use crate::led::{LedError, role_name};

/// Appends to one file.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    file: File,
}

impl Recording {
    /// Opens `path`, or makes it.
    ///
    /// # Errors
    /// [`LedError::Record`].
    pub fn open(path: &Path) -> Result<Self, LedError> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map(|file| Self {
                path: path.to_owned(),
                file,
            })
            .map_err(|error| refused(path, &error))
    }

    /// Notes that the lights of `role` have this level now.
    ///
    /// # Errors
    /// [`LedError::Record`].
    pub fn note(&mut self, role: LightRole, on: bool) -> Result<(), LedError> {
        // The wall clock, which elsewhere only the daemon reads: a recording is compared with
        // the time stamps of packets, and nothing is decided by it.
        let line = line(wall_clock(), role, on);
        self.file
            .write_all(line.as_bytes()) // in one piece: readers may look while it grows
            .map_err(|error| refused(&self.path, &error))
    }
}

fn line(time: Duration, role: LightRole, on: bool) -> String {
    let level = if on { "on" } else { "off" };
    let (seconds, nanos) = (time.as_secs(), time.subsec_nanos());
    format!("{seconds}.{nanos:09} {} {level}\n", role_name(role))
}

/// Since 1970; zero before that.
fn wall_clock() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

fn refused(path: &Path, error: &std::io::Error) -> LedError {
    LedError::Record {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_nine_decimals() {
        let time = Duration::new(1_367_342_912, 104_512);
        assert_eq!(
            line(time, LightRole::Alert, true),
            "1367342912.000104512 alert on\n"
        );
    }

    #[test]
    fn a_recording_goes_on_where_an_earlier_one_ended() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lights");
        for on in [true, false] {
            let mut recording = Recording::open(&path).unwrap();
            recording.note(LightRole::Armed, on).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let ends: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(_, end)| end)
            .collect();
        assert_eq!(ends, ["armed on", "armed off"]);
    }

    #[test]
    fn a_recording_that_cannot_be_made_is_named() {
        let error = Recording::open(Path::new("/nonexistent/lights")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/lights"), "{error}");
    }
}
