//! The pipe by which `canarytap keys` hands lines to the daemon.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::daemon::keys::lines::Lines;

/// Name of the pipe in the run directory.
const FILE: &str = "keys";
/// The daemon reads, the group only hands in.
const MODE: u32 = 0o620;
/// Bytes that one look reads: what they bring is in memory at once, and orders wait for its end.
const LOOK_BYTES_MAX: usize = 1 << 20;

/// The daemon's end. The pipe is gone when it is dropped.
#[derive(Debug)]
pub struct Fifo {
    path: PathBuf,
    /// Open for writing too, so that it never ends when a writer goes.
    pipe: File,
    lines: Lines,
}

impl Fifo {
    /// Makes the pipe; one that an earlier daemon left is replaced.
    ///
    /// # Errors
    /// What the file system says.
    pub fn make(run_directory: &Path) -> io::Result<Self> {
        let path = run_directory.join(FILE);
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.file_type().is_fifo() => {
                return Err(io::Error::other(format!(
                    "{} is there and is no pipe",
                    path.display()
                )));
            }
            Ok(_) => fs::remove_file(&path)?,
            Err(_) => {}
        }
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(MODE), 0)?;
        fs::set_permissions(&path, Permissions::from_mode(MODE))?; // whatever the umask is
        let pipe = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nonblocking())
            .open(&path)?;
        Ok(Self {
            path,
            pipe,
            lines: Lines::default(),
        })
    }

    /// Takes what was handed in, up to [`LOOK_BYTES_MAX`]: writers may be as fast as this. What
    /// is left shows itself in the next wait.
    pub fn look(&mut self, take: &mut impl FnMut(&[u8])) {
        let mut bytes = [0; 4096];
        for _ in 0..LOOK_BYTES_MAX / bytes.len() {
            // It fails only when nothing is there.
            let Ok(count) = rustix::io::read(&self.pipe, &mut bytes) else {
                return;
            };
            self.lines
                .push(bytes.get(..count).unwrap_or_default(), take);
        }
    }

    /// Lines that were too long.
    pub const fn overlong(&self) -> u64 {
        self.lines.overlong()
    }
}

impl AsFd for Fifo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        // A pipe that stays is replaced by the next daemon.
        let _stays = fs::remove_file(&self.path);
    }
}

/// A writer's end.
#[derive(Debug)]
pub struct FifoWriter(File);

impl FifoWriter {
    /// Opens the pipe of a running daemon.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when there is none, also when nobody reads it; no permission.
    pub fn open(run_directory: &Path) -> io::Result<Self> {
        let opened = OpenOptions::new()
            .write(true)
            .custom_flags(nonblocking())
            .open(run_directory.join(FILE));
        match opened {
            Ok(file) if file.metadata()?.file_type().is_fifo() => Ok(Self(file)),
            Ok(_) => Err(io::ErrorKind::NotFound.into()),
            Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => {
                Err(io::ErrorKind::NotFound.into())
            }
            Err(error) => Err(error),
        }
    }

    /// Hands in one line, with its line feed, in one piece; waits while the pipe is full.
    ///
    /// # Errors
    /// The daemon has gone.
    pub fn write(&self, line: &[u8]) -> io::Result<()> {
        loop {
            match rustix::io::write(&self.0, line) {
                Ok(_) => return Ok(()), // all or nothing, up to PIPE_BUF
                Err(Errno::AGAIN) => self.wait()?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn wait(&self) -> io::Result<()> {
        let mut waiting = [PollFd::new(&self.0, PollFlags::OUT)];
        let at_most = Timespec::try_from(FULL_WAIT).ok();
        match poll(&mut waiting, at_most.as_ref()) {
            Ok(0) => Err(io::Error::other("the daemon takes nothing")),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The daemon empties its pipe within milliseconds.
const FULL_WAIT: Duration = Duration::from_secs(10);

/// Calls on what may be no file never wait.
pub(super) fn nonblocking() -> i32 {
    OFlags::NONBLOCK.bits() as i32 // O_NONBLOCK is a small number everywhere
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(fifo: &mut Fifo) -> Vec<String> {
        let mut lines = Vec::new();
        fifo.look(&mut |line| lines.push(String::from_utf8(line.to_vec()).unwrap()));
        lines
    }

    #[test]
    fn lines_go_through_however_many_write() {
        let folder = tempfile::tempdir().unwrap();
        let mut fifo = Fifo::make(folder.path()).unwrap();
        let writers = [0, 1].map(|_| FifoWriter::open(folder.path()).unwrap());
        writers[0].write(b"a\n").unwrap();
        writers[1].write(b"b\n").unwrap();
        assert_eq!(look(&mut fifo), ["a", "b"]);
        drop(writers);
        assert!(look(&mut fifo).is_empty());
        FifoWriter::open(folder.path())
            .unwrap()
            .write(b"c\n")
            .unwrap();
        assert_eq!(look(&mut fifo), ["c"]);
    }

    #[test]
    fn the_group_may_hand_in_and_nobody_else_read() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = Fifo::make(folder.path()).unwrap();
        let mode = fs::metadata(folder.path().join(FILE))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o7777, 0o620);
        drop(fifo);
        assert!(!folder.path().join(FILE).exists());
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let open = || FifoWriter::open(folder.path()).unwrap_err().kind();
        assert_eq!(open(), io::ErrorKind::NotFound);
        let mode = Mode::from_raw_mode(MODE);
        let path = folder.path().join(FILE);
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, mode, 0).unwrap();
        assert_eq!(open(), io::ErrorKind::NotFound);
        drop(Fifo::make(folder.path()).unwrap()); // replaces it
    }

    #[test]
    fn something_else_under_its_name_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), b"mine").unwrap();
        assert!(Fifo::make(folder.path()).is_err());
        assert_eq!(fs::read(folder.path().join(FILE)).unwrap(), b"mine");
    }
}
