//! A key log that somebody else writes: followed across rotation, truncation and half lines.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::daemon::keys::fifo::nonblocking;
use crate::daemon::keys::lines::Lines;

/// Of a file that is there already, so much of its end is read: what is older has no connection
/// any more, and a log of years is not worth reading through.
const TAIL_BYTES: u64 = 1 << 20;
/// Bytes that one look reads: what they bring is in memory at once.
const LOOK_BYTES_MAX: usize = 1 << 20;
/// The last bytes that were read, by which a file is known again: they hold half a secret.
const MARK_BYTES: usize = 64;
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

    /// Reads what is new. `take` is given each whole line. Whether there may be more.
    pub fn look(&mut self, take: &mut impl FnMut(&[u8])) -> bool {
        let mut room = LOOK_BYTES_MAX;
        let refused = self.follow(&mut room, take).err();
        self.state = refused.unwrap_or(LogState::Followed);
        room == 0
    }

    /// Reads no more than `room` bytes and takes them from it.
    fn follow(&mut self, room: &mut usize, take: &mut impl FnMut(&[u8])) -> Result<(), LogState> {
        let found = fs::metadata(&self.path);
        let identity = found.as_ref().ok().map(identity);
        if self.open.as_ref().map(|open| open.identity) != identity {
            // It has another name now, or none: what cannot be read of it any more is lost.
            let _lost = self.read_rest(room, take);
            if *room == 0 {
                return Ok(());
            }
            self.open = None;
        }
        if let Err(refused) = readable(&found?) {
            self.open = None;
            return Err(refused);
        }
        if self.open.is_none() {
            self.begin()?;
        }
        Ok(self.read_rest(room, take)?)
    }

    fn begin(&mut self) -> Result<(), LogState> {
        // What has taken the file's place meanwhile must not make the thread wait.
        let mut options = OpenOptions::new();
        let options = options.read(true).custom_flags(nonblocking());
        let file = options.open(&self.path)?;
        let found = file.metadata()?;
        readable(&found)?;
        let identity = identity(&found);
        let open = self.open.insert(Open {
            file,
            identity,
            read: 0,
            mark: Vec::new(),
        });
        open.begin(found.len(), &mut self.lines);
        Ok(())
    }

    fn read_rest(&mut self, room: &mut usize, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
        match &mut self.open {
            Some(open) => open.read_rest(&mut self.lines, room, take),
            None => Ok(()),
        }
    }
}

impl From<io::Error> for LogState {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            _ => Self::Unreadable(error.to_string()),
        }
    }
}

/// Device and inode.
fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

fn readable(found: &Metadata) -> Result<(), LogState> {
    if !found.is_file() {
        return Err(LogState::Unreadable("it is no file".into()));
    }
    match found.mode() & OTHERS {
        0 => Ok(()),
        _ => Err(LogState::Exposed),
    }
}

/// The file that has the name, or had it when last looked at.
#[derive(Debug)]
struct Open {
    file: File,
    identity: (u64, u64),
    /// How far it was read.
    read: u64,
    /// The bytes before that place.
    mark: Vec<u8>,
}

impl Open {
    /// From its beginning, or from the first whole line of its end.
    fn begin(&mut self, length: u64, lines: &mut Lines) {
        self.read = length.saturating_sub(TAIL_BYTES);
        self.mark.clear();
        lines.forget();
        if self.read > 0 {
            lines.skip_rest_of_line();
        }
    }

    /// Up to the present end.
    fn read_rest(
        &mut self,
        lines: &mut Lines,
        room: &mut usize,
        take: &mut impl FnMut(&[u8]),
    ) -> io::Result<()> {
        if !self.has_its_past()? {
            self.begin(self.file.metadata()?.len(), lines);
        }
        let mut bytes = [0; 8192];
        while *room > 0 {
            let at_most = bytes.len().min(*room);
            let wanted = bytes.get_mut(..at_most).unwrap_or_default();
            let count = read_at(&self.file, wanted, self.read)?;
            let Some(new) = bytes.get(..count).filter(|new| !new.is_empty()) else {
                return Ok(());
            };
            self.read += count as u64;
            *room -= count.min(*room);
            self.remember(new);
            lines.push(new, take);
        }
        Ok(())
    }

    /// Not so when somebody emptied it, whatever was written to it since.
    fn has_its_past(&self) -> io::Result<bool> {
        let mut past = [0; MARK_BYTES];
        let past = past.get_mut(..self.mark.len()).unwrap_or_default();
        let from = self.read - past.len() as u64;
        let count = read_at(&self.file, past, from)?;
        let whole = self.file.metadata()?.len() >= self.read;
        Ok(whole && past.get(..count) == Some(self.mark.as_slice()))
    }

    fn remember(&mut self, new: &[u8]) {
        self.mark.extend(new.iter().rev().take(MARK_BYTES).rev());
        let before = self.mark.len().saturating_sub(MARK_BYTES);
        self.mark.drain(..before);
    }
}

fn read_at(file: &File, bytes: &mut [u8], from: u64) -> io::Result<usize> {
    loop {
        match file.read_at(bytes, from) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{OpenOptions, Permissions};
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use proptest::prelude::*;

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

    #[test]
    fn a_log_that_is_written_anew_and_longer_is_read_from_its_beginning() {
        let mut desk = Desk::new();
        desk.write("a\nhal");
        desk.look();
        fs::write(desk.path(), "b\nc\nd\ne\n").unwrap();
        assert_eq!(desk.look(), ["b", "c", "d", "e"]);
    }

    #[test]
    fn a_log_that_grew_much_is_read_in_several_looks() {
        let mut desk = Desk::new();
        desk.write("");
        assert!(desk.look().is_empty());
        let lines = LOOK_BYTES_MAX / 32 * 5 / 2;
        desk.write(&"0123456789abcdef 0123456789abcd\n".repeat(lines));
        let mut count = 0;
        let mut look = || desk.log.look(&mut |_| count += 1);
        assert_eq!([look(), look(), look(), look()], [true, true, false, false]);
        assert_eq!(count, lines);
    }

    #[test]
    fn a_long_log_that_is_renamed_is_read_to_its_end_before_its_successor() {
        let mut desk = Desk::new();
        desk.write("");
        desk.look();
        desk.write(&"x\n".repeat(LOOK_BYTES_MAX / 2 + 10));
        fs::rename(desk.path(), desk.folder.path().join("keys.log.1")).unwrap();
        desk.write("y\n");
        assert_eq!(desk.look().len(), LOOK_BYTES_MAX / 2);
        let rest = desk.look();
        assert_eq!((rest.len(), rest[10].as_str()), (11, "y"));
    }

    /// What may happen to a log between two looks.
    #[derive(Clone, Debug)]
    enum Act {
        /// So many bytes more of numbered lines.
        Append(usize),
        Rename,
        Remove,
        /// Emptied where it is, and so many bytes written at once.
        Rewrite(usize),
        Look,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            4 => (0..90usize).prop_map(Act::Append),
            1 => Just(Act::Rename),
            1 => Just(Act::Remove),
            1 => (0..90usize).prop_map(Act::Rewrite),
            3 => Just(Act::Look),
        ];
        proptest::collection::vec(act, 0..40)
    }

    /// Knows what a follower cannot: which contents a file has had, each of them once.
    #[derive(Default)]
    struct Model {
        contents: Vec<String>,
        /// The one under the log's name, and whether it lies in another file than those before.
        named: Option<usize>,
        /// The file that was open at the last look, as the contents it has now, and how many of
        /// its lines were read.
        open: Option<(usize, usize)>,
    }

    impl Model {
        fn create(&mut self) -> &mut String {
            let at = *self.named.get_or_insert(self.contents.len());
            if at == self.contents.len() {
                self.contents.push(String::new());
            }
            &mut self.contents[at]
        }

        fn rewrite(&mut self, text: &str) {
            let is_open = self.open.is_some_and(|(at, _)| Some(at) == self.named);
            self.named = None;
            self.create().push_str(text);
            if is_open {
                self.open = self.named.map(|at| (at, 0));
            }
        }

        fn look(&mut self) -> Vec<String> {
            let mut read = self.read_open();
            if self.open.map(|(at, _)| at) != self.named {
                self.open = self.named.map(|at| (at, 0));
                read.extend(self.read_open());
            }
            read
        }

        fn read_open(&mut self) -> Vec<String> {
            let Some((at, read)) = &mut self.open else {
                return Vec::new();
            };
            let whole = self.contents[*at].matches('\n').count();
            let lines = self.contents[*at].lines().take(whole).skip(*read);
            let lines = lines.map(str::to_owned).collect();
            *read = whole;
            lines
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn whatever_happens_to_a_log_it_is_read_as_by_one_who_knows_what_happened(acts in acts()) {
            let (mut desk, mut model) = (Desk::new(), Model::default());
            let text: String = (0..1000).map(|number| format!("line {number}\n")).collect();
            let (mut written, mut renamed) = (0, 0);
            for act in acts {
                match act {
                    Act::Append(count) => {
                        let new = &text[written..written + count];
                        written += count;
                        desk.write(new);
                        model.create().push_str(new);
                    }
                    Act::Rename if model.named.take().is_some() => {
                        renamed += 1;
                        let name = format!("keys.log.{renamed}");
                        fs::rename(desk.path(), desk.folder.path().join(name)).unwrap();
                    }
                    Act::Remove if model.named.take().is_some() => {
                        fs::remove_file(desk.path()).unwrap();
                    }
                    Act::Rewrite(count) if model.named.is_some() => {
                        // From a line's beginning, as one who writes a file anew does.
                        written += text[written..].find('\n').unwrap() + 1;
                        let new = &text[written..written + count];
                        written += count;
                        fs::write(desk.path(), new).unwrap();
                        model.rewrite(new);
                    }
                    Act::Look => prop_assert_eq!(desk.look(), model.look()),
                    Act::Rename | Act::Remove | Act::Rewrite(_) => {}
                }
            }
            prop_assert_eq!(desk.look(), model.look());
        }
    }
}
