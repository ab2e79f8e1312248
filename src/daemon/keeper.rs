//! The keeper: what the engine found goes to disk, and what is on disk becomes light.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use crate::alert::{Dispatcher, Latch};
use crate::daemon::clock;
use crate::daemon::journal::{Priority, say};
use crate::daemon::queue::{Dropped, Queue};
use crate::engine::event::{Event, EventKind};
use crate::store::{Acknowledge, Incoming, Store, StoreError, StoreOptions, Unacknowledged};

/// Background requests are on disk after this time at the latest: fewer commits, longer life for
/// the card.
const REQUESTS_WAIT: Duration = Duration::from_secs(5);
/// What is learned of a visit is on disk after this time.
const DETAILS_WAIT: Duration = Duration::from_secs(1);
/// How often the store is asked whether somebody else wrote to it.
const LOOK: Duration = Duration::from_secs(1);
/// Waits between tries while the store fails.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Entries held while the store fails; requests are the first to go.
const HELD_REQUESTS_MAX: usize = 10_000;
const HELD_MAX: usize = 100_000;

/// How the keeper is, as others see it.
#[derive(Clone, Debug, Default)]
pub struct KeeperReport {
    /// Why the store fails; None while it does not.
    pub fault: Option<String>,
    /// Number of the newest event on disk.
    pub last_seq: u64,
    /// Entries that wait to be written.
    pub pending: usize,
    /// What was dropped on the way here, or while the store failed.
    pub dropped: Dropped,
    /// Alerts that wait to be acknowledged.
    pub unacknowledged: u64,
    /// Time of the newest event, and of the newest alert with its `seq`.
    pub last_event: Option<String>,
    /// The newest alert's `seq`.
    pub last_alert: Option<u64>,
}

/// The running keeper.
#[derive(Debug)]
pub struct Keeper {
    report: Arc<Mutex<KeeperReport>>,
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Opens the store and begins to keep. `canaries_changed` is told whenever somebody else
    /// wrote to the store.
    ///
    /// # Errors
    /// What the store says; [`io::Error`] when the system gives no thread.
    pub fn start(
        directory: PathBuf,
        options: StoreOptions,
        queue: Arc<Queue>,
        latch: Latch,
        canaries_changed: UnboundedSender<()>,
    ) -> Result<Self, KeeperError> {
        let store = Store::open(&directory, options).map_err(KeeperError::Store)?;
        let report = Arc::new(Mutex::new(KeeperReport::default()));
        let mut worker = Worker {
            store,
            latch: latch.clone(),
            dispatcher: Dispatcher::new(latch),
            report: Arc::clone(&report),
            pending: Vec::new(),
            told: 0,
            due: None,
            retry: None,
            looked: Instant::now(),
            dropped: Dropped::default(),
            canaries_changed,
        };
        worker.follow();
        let taken_from = Arc::clone(&queue);
        let thread = thread::Builder::new()
            .name("keeper".into())
            .spawn(move || worker.run(&taken_from))
            .map_err(KeeperError::Thread)?;
        Ok(Self {
            report,
            queue,
            thread: Some(thread),
        })
    }

    /// How it is.
    pub fn report(&self) -> KeeperReport {
        lock(&self.report).clone()
    }

    /// Whether the thread ended by itself, which it never should.
    pub fn is_dead(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Writes what is left, and ends.
    ///
    /// # Errors
    /// When the thread panicked.
    pub fn stop(&mut self) -> io::Result<()> {
        self.queue.close();
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(_)) => Err(io::Error::other("the keeper panicked")),
            _ => Ok(()),
        }
    }
}

/// Why there is no keeper.
#[derive(Debug)]
pub enum KeeperError {
    /// The store cannot be opened.
    Store(StoreError),
    /// The system gives no thread.
    Thread(io::Error),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Worker {
    store: Store,
    latch: Latch,
    dispatcher: Dispatcher,
    report: Arc<Mutex<KeeperReport>>,
    /// Not on disk yet, in order.
    pending: Vec<Incoming>,
    /// How many of them the light was told of, because the disk failed.
    told: usize,
    /// When they must be on disk.
    due: Option<Instant>,
    /// While the store fails: when to try again, and how long to wait after that.
    retry: Option<(Instant, Duration)>,
    looked: Instant,
    dropped: Dropped,
    canaries_changed: UnboundedSender<()>,
}

impl Worker {
    fn run(mut self, queue: &Queue) {
        loop {
            let taken = queue.take(self.wait());
            self.take_in(taken.entries);
            self.write_if_due(taken.closed);
            if taken.acknowledge {
                self.acknowledge();
            }
            self.look();
            self.tell(taken.dropped);
            if taken.closed {
                return;
            }
        }
    }

    fn wait(&self) -> Duration {
        // While the store fails, what is due waits for the next try.
        let next = self.retry.map(|(at, _)| at).or(self.due);
        next.map_or(LOOK, |at| {
            at.saturating_duration_since(Instant::now()).min(LOOK)
        })
    }

    fn take_in(&mut self, entries: Vec<Incoming>) {
        let now = Instant::now();
        for entry in entries {
            let due = now + wait_of(&entry);
            self.due = Some(self.due.map_or(due, |known| known.min(due)));
            self.pending.push(entry);
        }
        if self
            .pending
            .iter()
            .all(|entry| matches!(entry, Incoming::Settled(_)))
        {
            self.due = None; // nothing of it is worth a commit of its own
        }
    }

    fn write_if_due(&mut self, closing: bool) {
        let now = Instant::now();
        let due = self.due.is_some_and(|due| due <= now);
        let waits = self.retry.is_some_and(|(at, _)| at > now);
        if self.pending.is_empty() || !(closing || due) {
            return;
        }
        if waits && !closing {
            return self.tell_light(None);
        }
        match self.store.commit(&self.pending) {
            Ok(committed) => self.written(&committed.events),
            Err(error) => self.failed(&error),
        }
    }

    fn written(&mut self, numbers: &[(crate::engine::event::EventId, u64)]) {
        if self.retry.take().is_some() {
            say(
                Priority::Info,
                "the store works again; everything held is written",
            );
        }
        self.note_last(numbers);
        let numbered = numbers.iter().map(|(_, seq)| *seq);
        let events: Vec<&Event> = events(&self.pending).collect();
        let told = events_before(&self.pending, self.told);
        for (at, (event, seq)) in events.into_iter().zip(numbered).enumerate() {
            if at >= told {
                self.dispatcher.dispatch(event, Some(seq));
            }
        }
        self.pending.clear();
        self.told = 0;
        self.due = None;
        lock(&self.report).fault = None;
        if self.latch.has_unstored() {
            self.latch.forget_unstored();
            self.follow();
        }
    }

    fn note_last(&self, numbers: &[(crate::engine::event::EventId, u64)]) {
        let mut report = lock(&self.report);
        for (event, (_, seq)) in events(&self.pending).zip(numbers) {
            report.last_seq = *seq;
            report.last_event = Some(event.time.to_string());
            if event.alert {
                report.last_alert = Some(*seq);
                report.unacknowledged += 1;
            }
        }
    }

    /// The light comes on all the same; what could not be written is held and tried again.
    fn failed(&mut self, error: &StoreError) {
        let wait = self
            .retry
            .map_or(RETRY_FIRST, |(_, wait)| (wait * 2).min(RETRY_MAX));
        if self.retry.is_none() {
            say(Priority::Error, &format!("the store fails: {error}"));
        }
        self.retry = Some((Instant::now() + wait, wait));
        lock(&self.report).fault = Some(error.to_string());
        self.tell_light(None);
        self.shed();
    }

    /// Tells the light of alerts that are on no disk.
    fn tell_light(&mut self, seq: Option<u64>) {
        let new = self.pending.get(self.told..).unwrap_or_default();
        for event in events(new) {
            self.dispatcher.dispatch(event, seq);
        }
        self.told = self.pending.len();
    }

    /// Holds no more than the bound: requests go first, then the newest visits.
    fn shed(&mut self) {
        if self.pending.len() > HELD_REQUESTS_MAX {
            let before = self.pending.len();
            self.pending.retain(|entry| !is_request(entry));
            self.dropped.requests += (before - self.pending.len()) as u64;
        }
        if self.pending.len() > HELD_MAX {
            let lost = self.pending.split_off(HELD_MAX);
            self.dropped.visits += events(&lost).count() as u64;
        }
        self.told = self.told.min(self.pending.len());
    }

    fn acknowledge(&mut self) {
        match self.store.acknowledge(&Acknowledge::All, clock::now()) {
            Ok(_) => self.latch.forget_unstored(),
            Err(error) => say(Priority::Error, &format!("cannot acknowledge: {error}")),
        }
        self.follow();
    }

    /// Shows what waits, by the store.
    fn follow(&mut self) {
        match self.store.unacknowledged() {
            Ok(waiting) => self.show(waiting.as_ref()),
            Err(error) => lock(&self.report).fault = Some(error.to_string()),
        }
    }

    fn show(&self, waiting: Option<&Unacknowledged>) {
        self.latch.follow(waiting);
        lock(&self.report).unacknowledged = waiting.map_or(0, |waiting| waiting.count);
    }

    /// Once a second: did somebody else write, an acknowledgement or a canary?
    fn look(&mut self) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        match self.store.changed() {
            Ok(true) => {
                self.follow();
                // Nobody listens any more only while the daemon ends.
                let _ending = self.canaries_changed.send(());
            }
            Ok(false) => {}
            Err(error) => lock(&self.report).fault = Some(error.to_string()),
        }
    }

    fn tell(&self, dropped: Dropped) {
        let mut report = lock(&self.report);
        report.pending = self.pending.len();
        report.dropped = Dropped {
            requests: dropped.requests + self.dropped.requests,
            visits: dropped.visits + self.dropped.visits,
        };
    }
}

/// How long an entry may wait for the disk.
fn wait_of(entry: &Incoming) -> Duration {
    match entry {
        Incoming::Event(event) if event.kind == EventKind::Request => REQUESTS_WAIT,
        Incoming::Event(_) => Duration::ZERO,
        Incoming::Detail(_) => DETAILS_WAIT,
        Incoming::Settled(_) => REQUESTS_WAIT,
    }
}

fn is_request(entry: &Incoming) -> bool {
    matches!(entry, Incoming::Event(event) if event.kind == EventKind::Request)
}

fn events(entries: &[Incoming]) -> impl Iterator<Item = &Event> {
    entries.iter().filter_map(|entry| match entry {
        Incoming::Event(event) => Some(event),
        Incoming::Detail(_) | Incoming::Settled(_) => None,
    })
}

fn events_before(entries: &[Incoming], end: usize) -> usize {
    events(entries.get(..end).unwrap_or_default()).count()
}

#[cfg(test)]
mod tests;
