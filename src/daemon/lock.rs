//! One daemon for each run directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::store::make_for_group;

/// Name of the file in the run directory.
const FILE: &str = "daemon.lock";
/// Who only asks whether it is held holds it for a moment: so often it is tried again, after so
/// long.
const TRIES: u32 = 20;
const WAIT: Duration = Duration::from_millis(10);

/// Held as long as the daemon runs; the kernel lets go of it however the daemon ends.
#[derive(Debug)]
pub struct DaemonLock {
    _file: File,
}

impl DaemonLock {
    /// Takes the lock; None when another daemon holds it. Makes the directory when it is missing.
    ///
    /// # Errors
    /// What the file system says.
    pub fn take(run_directory: &Path) -> io::Result<Option<Self>> {
        if !run_directory.is_dir() {
            make_for_group(run_directory)?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .read(true)
            .mode(0o660)
            .open(run_directory.join(FILE))?;
        for _ in 0..TRIES {
            if try_lock(&file)? {
                // Whatever the umask is, the group looks at it. One that somebody else made stays.
                let _of_another = file.set_permissions(fs::Permissions::from_mode(0o660));
                file.set_len(0)?;
                writeln!(file, "{}", std::process::id())?;
                return Ok(Some(Self { _file: file }));
            }
            thread::sleep(WAIT);
        }
        Ok(None)
    }

    /// The process that holds the lock, as far as it said.
    pub fn holder(run_directory: &Path) -> Option<u32> {
        let text = fs::read_to_string(run_directory.join(FILE)).ok()?;
        text.trim().parse().ok()
    }

    /// Whether a daemon holds the lock.
    ///
    /// # Errors
    /// What the file system says.
    pub fn is_held(run_directory: &Path) -> io::Result<bool> {
        match File::open(run_directory.join(FILE)) {
            Ok(file) => Ok(!try_lock(&file)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn try_lock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_refused_until_the_first_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        assert!(!DaemonLock::is_held(&run).unwrap());
        let first = DaemonLock::take(&run).unwrap();
        assert!(first.is_some());
        assert!(DaemonLock::take(&run).unwrap().is_none());
        assert!(DaemonLock::is_held(&run).unwrap());
        assert_eq!(DaemonLock::holder(&run), Some(std::process::id()));
        drop(first);
        assert!(DaemonLock::take(&run).unwrap().is_some());
    }
    #[test]
    fn who_only_asks_keeps_no_daemon_from_starting() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().to_owned();
        drop(DaemonLock::take(&run).unwrap());
        let asked = File::open(run.join(FILE)).unwrap();
        assert!(try_lock(&asked).unwrap());
        let asking = thread::spawn(move || {
            thread::sleep(WAIT);
            drop(asked);
        });
        assert!(DaemonLock::take(&run).unwrap().is_some());
        asking.join().unwrap();
    }
}
