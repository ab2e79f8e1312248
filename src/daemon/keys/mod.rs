//! Secrets of TLS connections, read live: key logs are followed, and `canarytap keys` hands lines
//! in through a pipe. They are held in memory only.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify;
use rustix::io::Errno;

use crate::engine::app::tls::keylog::{KeyLogEntry, KeyLogError};

pub use fifo::{Fifo, FifoWriter};
pub use lines::{LINE_BYTES_MAX, Lines};
use log_file::LogFile;
pub use log_file::LogState;

mod fifo;
mod lines;
mod log_file;

/// How often logs are looked at though no change was told: a folder that is not there yet, or a
/// file system that tells nothing, shows itself in no other way.
const LOOK: Duration = Duration::from_secs(10);
/// A burst of lines is taken together: the capture is called less often, and a page that loads
/// opens its connections within this time.
const SETTLE: Duration = Duration::from_millis(5);

/// What came from logs and pipe, as others see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysReport {
    /// Each log that is followed, and how it is.
    pub logs: Vec<(PathBuf, LogState)>,
    /// Secrets that were handed on.
    pub secrets: u64,
    /// Lines that are none of a key log, or too long.
    pub refused: u64,
}

/// The running follower.
#[derive(Debug)]
pub struct KeyReader {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    orders: Mutex<Orders>,
    report: Mutex<KeysReport>,
    waker: OwnedFd,
}

#[derive(Debug, Default)]
struct Orders {
    logs: Option<Vec<PathBuf>>,
    stop: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl KeyReader {
    /// Makes the pipe in the run directory and begins to follow `logs`. Secrets go to `hand_on`,
    /// many at once.
    ///
    /// # Errors
    /// The pipe cannot be made, or the system gives no descriptor or thread.
    pub fn start(
        run_directory: &Path,
        logs: Vec<PathBuf>,
        hand_on: impl FnMut(Vec<KeyLogEntry>) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            orders: Mutex::default(),
            report: Mutex::default(),
            waker: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
        });
        let mut worker = Worker {
            fifo: Fifo::make(run_directory)?,
            changes: inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?,
            logs: Vec::new(),
            secrets: 0,
            malformed: 0,
            shared: Arc::clone(&shared),
            hand_on,
        };
        worker.take_over(logs);
        worker.look(); // so that how the logs are is known from the start
        let thread = thread::Builder::new()
            .name("keys".into())
            .spawn(move || worker.run())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Follows these logs from now on; what was read of those that stay is not read again.
    pub fn set_logs(&self, logs: Vec<PathBuf>) {
        self.order(|orders| orders.logs = Some(logs));
    }

    /// How it is.
    pub fn report(&self) -> KeysReport {
        lock(&self.shared.report).clone()
    }

    /// Stops following, and takes the pipe away.
    ///
    /// # Errors
    /// When the thread panicked.
    pub fn stop(&mut self) -> io::Result<()> {
        self.order(|orders| orders.stop = true);
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(_)) => Err(io::Error::other("the key reader panicked")),
            _ => Ok(()),
        }
    }

    fn order(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut lock(&self.shared.orders));
        // It fails only when the count is full, and then the thread wakes all the same.
        let _full = rustix::io::write(&self.shared.waker, &1u64.to_ne_bytes());
    }
}

struct Worker<F> {
    fifo: Fifo,
    /// Tells of changes in the folders of the logs.
    changes: OwnedFd,
    logs: Vec<LogFile>,
    secrets: u64,
    malformed: u64,
    shared: Arc<Shared>,
    hand_on: F,
}

impl<F: FnMut(Vec<KeyLogEntry>)> Worker<F> {
    fn run(mut self) {
        loop {
            let more = self.look();
            match self.wait(more) {
                Ok(true) => thread::sleep(SETTLE),
                Ok(false) => {}
                Err(_) => thread::sleep(LOOK), // nothing can be waited for: look on all the same
            }
            let orders = std::mem::take(&mut *lock(&self.shared.orders));
            if orders.stop {
                return;
            }
            if let Some(logs) = orders.logs {
                self.take_over(logs);
            }
        }
    }

    fn take_over(&mut self, paths: Vec<PathBuf>) {
        let mut before = std::mem::take(&mut self.logs);
        for path in paths {
            let known = before.iter().position(|log| log.path() == path);
            let log = known.map(|at| before.swap_remove(at));
            self.logs.push(log.unwrap_or_else(|| LogFile::new(path)));
        }
    }

    /// Reads what is new, and hands it on. Whether there may be more in a log.
    fn look(&mut self) -> bool {
        self.watch();
        let mut found = Found::default();
        let mut more = false;
        for log in &mut self.logs {
            more |= log.look(&mut |line| found.take(line));
        }
        self.fifo.look(&mut |line| found.take(line));
        self.secrets += found.secrets.len() as u64;
        self.malformed += found.malformed;
        if !found.secrets.is_empty() {
            (self.hand_on)(found.secrets);
        }
        self.tell();
        more
    }

    /// Asking again for what is watched costs little, and finds what is new. Logs before they are
    /// read: what comes after that is told.
    fn watch(&self) {
        for log in &self.logs {
            // One that is not there, or may not be read, is told of by its folder.
            let _none = inotify::add_watch(&self.changes, log.path(), growth());
            let real = std::fs::canonicalize(log.path()).ok();
            for path in real.as_deref().into_iter().chain([log.path()]) {
                // Of a folder that is not there yet, the one above it tells when it comes.
                let mut folders = path.ancestors().skip(1);
                folders
                    .find(|folder| inotify::add_watch(&self.changes, *folder, changes()).is_ok());
            }
        }
    }

    fn tell(&self) {
        let overlong = self.logs.iter().map(LogFile::overlong).sum::<u64>();
        let mut report = lock(&self.shared.report);
        report.logs = self
            .logs
            .iter()
            .map(|log| (log.path().to_owned(), log.state().clone()))
            .collect();
        report.secrets = self.secrets;
        report.refused = self.malformed + overlong + self.fifo.overlong();
    }

    /// Until something changes; not at all when there is more to read. Whether something has.
    fn wait(&self, more: bool) -> io::Result<bool> {
        let mut waiting = [
            PollFd::from_borrowed_fd(self.fifo.as_fd(), PollFlags::IN),
            PollFd::new(&self.changes, PollFlags::IN),
            PollFd::new(&self.shared.waker, PollFlags::IN),
        ];
        let at_most = match (more, self.logs.is_empty()) {
            (true, _) => Timespec::try_from(Duration::ZERO).ok(),
            (false, true) => None, // nothing but the pipe and orders
            (false, false) => Timespec::try_from(LOOK).ok(),
        };
        let changed = match poll(&mut waiting, at_most.as_ref()) {
            Ok(count) => count > 0,
            Err(Errno::INTR) => false,
            Err(error) => return Err(error.into()),
        };
        self.forget_calls();
        Ok(changed)
    }

    /// What changed does not matter: everything is looked at.
    fn forget_calls(&self) {
        let mut bytes = [0; 4096];
        while rustix::io::read(&self.changes, &mut bytes).is_ok_and(|count| count > 0) {}
        // It fails only when nobody called.
        let _empty = rustix::io::read(&self.shared.waker, bytes.get_mut(..8).unwrap_or_default());
    }
}

/// Of a log itself. Its folder does not tell of this: others write there too.
fn growth() -> inotify::WatchFlags {
    inotify::WatchFlags::MODIFY
}

/// Of a log's folder.
fn changes() -> inotify::WatchFlags {
    use inotify::WatchFlags as Flags;
    Flags::ATTRIB | Flags::CREATE | Flags::DELETE | Flags::MOVED_FROM | Flags::MOVED_TO
}

/// What a look has brought.
#[derive(Default)]
struct Found {
    secrets: Vec<KeyLogEntry>,
    malformed: u64,
}

impl Found {
    fn take(&mut self, line: &[u8]) {
        match KeyLogEntry::parse(line) {
            Ok(entry) => self.secrets.push(entry),
            Err(KeyLogError::Malformed) => self.malformed += 1,
            Err(KeyLogError::Empty | KeyLogError::Unused) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::sync::mpsc;

    use super::*;

    struct Desk {
        folder: tempfile::TempDir,
        reader: KeyReader,
        secrets: mpsc::Receiver<Vec<KeyLogEntry>>,
    }

    impl Desk {
        /// Follows a log in a folder that is not there yet.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (sender, secrets) = mpsc::channel();
            let log = folder.path().join("logs/keys.log");
            let hand_on = move |found| sender.send(found).unwrap();
            let reader = KeyReader::start(folder.path(), vec![log], hand_on).unwrap();
            Self {
                folder,
                reader,
                secrets,
            }
        }

        fn append(&self, text: &str) {
            OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(self.folder.path().join("logs/keys.log"))
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
        }

        fn next(&self) -> u8 {
            let found = self.secrets.recv_timeout(Duration::from_secs(60)).unwrap();
            assert_eq!(found.len(), 1);
            found[0].client_random[0]
        }
    }

    fn line(random: u8) -> String {
        let random = format!("{random:02x}").repeat(32);
        format!("CLIENT_RANDOM {random} {}\n", "07".repeat(48))
    }

    #[test]
    fn secrets_come_from_logs_and_pipe() {
        let mut desk = Desk::new();
        let writer = FifoWriter::open(desk.folder.path()).unwrap();
        writer.write(line(1).as_bytes()).unwrap();
        assert_eq!(desk.next(), 1);
        fs::create_dir(desk.folder.path().join("logs")).unwrap();
        desk.append(&line(2));
        assert_eq!(desk.next(), 2);
        let third = line(3);
        let (first, second) = third.split_at(50);
        desk.append(first);
        writer.write(b"nonsense\n").unwrap();
        writer.write(b"# a comment\n").unwrap();
        desk.append(second);
        assert_eq!(desk.next(), 3);
        desk.reader.stop().unwrap();
        let report = desk.reader.report();
        assert_eq!((report.secrets, report.refused), (3, 1));
        assert_eq!(report.logs[0].1, LogState::Followed);
        assert!(FifoWriter::open(desk.folder.path()).is_err());
    }

    #[test]
    fn other_logs_are_followed_from_the_moment_that_they_are_named() {
        let desk = Desk::new();
        let other = desk.folder.path().join("other.log");
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&other)
            .unwrap();
        file.write_all(line(4).as_bytes()).unwrap();
        desk.reader.set_logs(vec![other]);
        assert_eq!(desk.next(), 4);
        file.write_all(line(5).as_bytes()).unwrap();
        assert_eq!(desk.next(), 5);
    }
}
