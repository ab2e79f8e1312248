//! Whether the clock is synchronised: asked now and then, by a thread of its own.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, thread};

use crate::daemon::timedated::{self, SYSTEM_BUS};

/// What systemd-timesyncd leaves behind once it has set the clock.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
/// Its folder: there while it runs.
const TIMESYNC: &str = "/run/systemd/timesync";

/// What was last said, for all threads.
#[derive(Clone, Debug)]
pub struct Synchrony {
    said: Arc<(Mutex<Option<Said>>, Condvar)>,
    again: SyncSender<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    by_kernel: Option<bool>,
    /// What systemd-timesyncd had said by then.
    by_timesyncd: Option<bool>,
}

impl Synchrony {
    /// Asks for the first time, and goes on with it until the last copy of this is gone.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start() -> io::Result<Self> {
        let (again, wanted) = sync_channel(1);
        let said = Arc::default();
        let asker = Asker {
            said: Arc::clone(&said),
            wanted,
        };
        thread::Builder::new()
            .name("clock".into())
            .spawn(move || asker.run())?;
        Ok(Self { said, again })
    }

    /// Waits for the first answer, but not long.
    pub fn wait(&self) {
        let (said, told) = &*self.said;
        let said = said.lock().unwrap_or_else(PoisonError::into_inner);
        drop(told.wait_timeout_while(said, FIRST_WAIT, |said| said.is_none()));
    }

    /// Whether the clock is synchronised; None where nobody says.
    pub fn now(&self) -> Option<bool> {
        let by_timesyncd = by_timesyncd();
        let said = *lock(&self.said.0);
        if said.is_some_and(|said| said.by_timesyncd != by_timesyncd) {
            self.ask_again();
        }
        said.and_then(|said| said.by_kernel).or(by_timesyncd)
    }

    /// Something has happened to the clock. One question that waits is enough.
    pub fn ask_again(&self) {
        let _waits_already = self.again.try_send(());
    }
}

/// The thread that asks.
struct Asker {
    said: Arc<(Mutex<Option<Said>>, Condvar)>,
    wanted: Receiver<()>,
}

impl Asker {
    fn run(self) {
        loop {
            let said = Said {
                by_timesyncd: by_timesyncd(),
                by_kernel: by_kernel(),
            };
            *lock(&self.said.0) = Some(said);
            self.said.1.notify_all();
            let pause = match said.by_kernel {
                Some(true) => PAUSE_LONG,
                _ => PAUSE,
            };
            if self.wanted.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }
}

/// What the kernel says, where somebody asks it for us.
pub fn by_kernel() -> Option<bool> {
    timedated::ask(Path::new(SYSTEM_BUS), PATIENCE).ok()
}

/// What systemd-timesyncd says, where it runs.
pub fn by_timesyncd() -> Option<bool> {
    Path::new(TIMESYNC)
        .is_dir()
        .then(|| Path::new(SYNCHRONISED).exists())
}

fn lock(said: &Mutex<Option<Said>>) -> MutexGuard<'_, Option<Said>> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The bus may have to start the one that answers, on a slow card.
const PATIENCE: Duration = Duration::from_secs(5);
/// The start of the daemon waits no longer.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Between two questions while the clock is not synchronised, and once it is: left alone, the kernel
/// takes it for so for nine hours.
const PAUSE: Duration = Duration::from_secs(60);
const PAUSE_LONG: Duration = Duration::from_secs(15 * 60);
