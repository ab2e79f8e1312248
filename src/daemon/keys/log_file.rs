//! A key log that somebody else writes: followed across rotation, truncation and half lines.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::daemon::keys::lines::Lines;

/// Of a file that is there already, so much of its end is read: what is older has no connection
/// any more, and a log of years is not worth reading through.
const TAIL_BYTES: u64 = 1 << 20;
/// Bits of a mode by which anybody may read or write.
const OTHERS: u32 = 0o006;

/// A key log, followed.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    open: Option<Open>,
    state: LogState,
    lines: Lines,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    /// How far it was read.
    read: u64,
}

/// How a key log is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogState {
    /// It is not there (yet).
    #[default]
    Missing,
    /// It is read.
    Followed,
    /// Others may read it: it is not, until that is mended.
    Exposed,
    /// It cannot be read: what the file system says.
    Unreadable(String),
}

impl LogFile {
    /// A log that nobody looked at yet.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            open: None,
            state: LogState::default(),
            lines: Lines::default(),
        }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it was when last looked at.
    pub const fn state(&self) -> &LogState {
        &self.state
    }

    /// Lines that were too long.
    pub const fn overlong(&self) -> u64 {
        self.lines.overlong()
    }

    /// Reads what is new. `take` is given each whole line.
    pub fn look(&mut self, take: &mut impl FnMut(&[u8])) {
        self.state = match self.follow(take) {
            Ok(state) => state,
            Err(error) if error.kind() == io::ErrorKind::NotFound => LogState::Missing,
            Err(error) => LogState::Unreadable(error.to_string()),
        };
    }

    fn follow(&mut self, take: &mut impl FnMut(&[u8])) -> io::Result<LogState> {
        let found = fs::metadata(&self.path);
        let identity = found.as_ref().ok().map(|found| (found.dev(), found.ino()));
        if self.open.as_ref().map(|open| open.identity) != identity {
            self.read_rest(take)?;
            self.open = None;
        }
        let found = found?;
        if !found.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        if found.mode() & OTHERS != 0 {
            self.open = None;
            return Ok(LogState::Exposed);
        }
        if self.open.is_none() {
            self.begin()?;
        }
        self.read_rest(take)?;
        Ok(LogState::Followed)
    }

    fn begin(&mut self) -> io::Result<()> {
        let mut file = File::open(&self.path)?;
        let found = file.metadata()?;
        let start = found.len().saturating_sub(TAIL_BYTES);
        self.lines.forget();
        if start > 0 {
            self.lines.skip_rest_of_line();
        }
        file.seek(SeekFrom::Start(start))?;
        self.open = Some(Open {
            file,
            identity: (found.dev(), found.ino()),
            read: start,
        });
        Ok(())
    }

    /// Everything up to the present end.
    fn read_rest(&mut self, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        if open.file.metadata()?.len() < open.read {
            open.file.seek(SeekFrom::Start(0))?; // somebody emptied it
            open.read = 0;
            self.lines.forget();
        }
        let mut bytes = [0; 8192];
        loop {
            match open.file.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    open.read += count as u64;
                    self.lines
                        .push(bytes.get(..count).unwrap_or_default(), take);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{OpenOptions, Permissions};
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    struct Desk {
        folder: tempfile::TempDir,
        log: LogFile,
    }

    impl Desk {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let log = LogFile::new(folder.path().join("keys.log"));
            Self { folder, log }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("keys.log")
        }

        fn write(&self, text: &str) {
            let mut file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(self.path())
                .unwrap();
            file.set_permissions(Permissions::from_mode(0o640)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn look(&mut self) -> Vec<String> {
            let mut lines = Vec::new();
            self.log
                .look(&mut |line| lines.push(String::from_utf8(line.to_vec()).unwrap()));
            lines
        }
    }

    #[test]
    fn what_is_appended_is_read_once() {
        let mut desk = Desk::new();
        assert!(desk.look().is_empty());
        assert_eq!(desk.log.state(), &LogState::Missing);
        desk.write("a\nb\nhal");
        assert_eq!(desk.look(), ["a", "b"]);
        assert_eq!(desk.log.state(), &LogState::Followed);
        assert!(desk.look().is_empty());
        desk.write("f\n");
        assert_eq!(desk.look(), ["half"]);
    }

    #[test]
    fn a_log_that_is_renamed_is_read_to_its_end_and_its_successor_from_its_beginning() {
        let mut desk = Desk::new();
        desk.write("a\n");
        desk.look();
        desk.write("b\n");
        fs::rename(desk.path(), desk.folder.path().join("keys.log.1")).unwrap();
        desk.write("c\n");
        assert_eq!(desk.look(), ["b", "c"]);
    }

    #[test]
    fn a_log_that_is_emptied_is_read_from_its_beginning() {
        let mut desk = Desk::new();
        desk.write("a\nb\nhal");
        desk.look();
        OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(desk.path())
            .unwrap();
        desk.write("c\n");
        assert_eq!(desk.look(), ["c"]);
    }

    #[test]
    fn a_log_that_is_deleted_is_waited_for() {
        let mut desk = Desk::new();
        desk.write("a\n");
        desk.look();
        desk.write("b\n");
        fs::remove_file(desk.path()).unwrap();
        assert_eq!(desk.look(), ["b"]);
        assert_eq!(desk.log.state(), &LogState::Missing);
        desk.write("c\n");
        assert_eq!(desk.look(), ["c"]);
    }

    #[test]
    fn a_log_that_others_may_read_is_not_read_until_that_is_mended() {
        let mut desk = Desk::new();
        desk.write("a\n");
        fs::set_permissions(desk.path(), Permissions::from_mode(0o644)).unwrap();
        assert!(desk.look().is_empty());
        assert_eq!(desk.log.state(), &LogState::Exposed);
        fs::set_permissions(desk.path(), Permissions::from_mode(0o640)).unwrap();
        assert_eq!(desk.look(), ["a"]);
    }

    #[test]
    fn of_a_long_log_the_end_is_read_from_a_whole_line_on() {
        let mut desk = Desk::new();
        desk.write(&"0123456789abcdef 0123456789abcd\n".repeat(40_000));
        let lines = desk.look();
        assert!(lines.len() as u64 <= TAIL_BYTES / 32, "{}", lines.len());
        assert!(lines.len() as u64 >= TAIL_BYTES / 32 - 1);
        assert!(lines.iter().all(|line| line.len() == 31));
    }

    #[test]
    fn a_folder_is_no_log() {
        let mut desk = Desk::new();
        fs::create_dir(desk.path()).unwrap();
        assert!(desk.look().is_empty());
        assert!(matches!(desk.log.state(), LogState::Unreadable(_)));
    }
}
