//! The keeper: what the engine found goes to disk, and what is on disk becomes light.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use crate::alert::{Dispatcher, Latch};
use crate::daemon::clock;
use crate::daemon::evidence::EvidenceQueue;
use crate::daemon::journal::{Priority, say};
use crate::daemon::queue::{Dropped, Note, Queue};
use crate::engine::event::{Event, EventId};
use crate::store::evidence::Numbered;
use crate::store::{
    Acknowledge, CLOCK, COVERAGE, HEALTH, Incoming, Salvage, Store, StoreError, StoreOptions,
    StoreReader,
};

mod damage;
mod pace;
mod waiting;

pub use damage::SetAside;
pub use pace::Pace;
use waiting::{Waiting, events};

/// How often the store is asked whether somebody else wrote to it.
const LOOK: Duration = Duration::from_secs(1);
/// Waits between tries while the store fails.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Waits before the last tries of a daemon that is about to end.
const LAST_TRIES: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(2),
];
/// Notes held while the store fails: half a week of them.
const NOTES_MAX: usize = 100;

/// How the keeper is, as others see it.
#[derive(Clone, Debug, Default)]
pub struct KeeperReport {
    /// Why the store fails; None while it does not.
    pub fault: Option<String>,
    /// Number of the newest entry on disk.
    pub last_seq: u64,
    /// Entries that wait to be written.
    pub pending: usize,
    /// What was dropped on the way here, or while the store failed.
    pub dropped: Dropped,
    /// Packets of visits that were dropped on their way to a file.
    pub dropped_packets: u64,
    /// Alerts that wait to be acknowledged.
    pub unacknowledged: u64,
    /// Time of the newest event since the start.
    pub last_event: Option<String>,
    /// The newest alert's `seq`, since the start.
    pub last_alert: Option<u64>,
    /// Bytes that visits take up, and may.
    pub visits_bytes: u64,
    /// See there.
    pub visits_max_bytes: u64,
    /// Damaged databases that were set aside.
    pub set_aside: SetAside,
    /// When the keeper last looked up: long ago, if the disk hangs.
    pub looked: Option<Instant>,
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
        let (mut store, salvage) = Store::open_or_salvage(&directory, options, clock::now())
            .map_err(KeeperError::Store)?;
        recover_evidence(&mut store);
        let evidence = Arc::clone(queue.evidence());
        let last_seq = StoreReader::open(&directory).and_then(|reader| reader.last_seq());
        let report = Arc::new(Mutex::new(KeeperReport {
            last_seq: last_seq.map_err(KeeperError::Store)?,
            visits_bytes: store.visits_bytes().map_err(KeeperError::Store)?,
            visits_max_bytes: options.visits_max_bytes,
            set_aside: SetAside::look(&directory),
            looked: Some(Instant::now()),
            ..KeeperReport::default()
        }));
        let mut worker = Worker {
            damage: damage::check(directory.clone()),
            directory,
            store,
            evidence,
            latch: latch.clone(),
            dispatcher: Dispatcher::new(latch),
            report: Arc::clone(&report),
            waiting: Waiting::new(Instant::now()),
            notes: Vec::new(),
            retry: None,
            unwritable: None,
            unreadable: None,
            looked: Instant::now(),
            dropped: Dropped::default(),
            canaries_changed,
        };
        if let Some(salvage) = salvage {
            worker.tell_of(&salvage);
        }
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

/// Completes what the last run left of files of packets.
fn recover_evidence(store: &mut Store) {
    match store.recover_evidence(clock::now()) {
        Ok(0) => {}
        Ok(files) => {
            let text = format!("{files} files of packets were unfinished; what is whole is kept");
            say(Priority::Info, &text);
        }
        Err(error) => {
            let text = format!("cannot complete unfinished files of packets: {error}");
            say(Priority::Error, &text);
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
    directory: PathBuf,
    /// What a look at the whole database found.
    damage: Arc<Mutex<Option<String>>>,
    store: Store,
    /// Where packets of visits wait for the visits' numbers.
    evidence: Arc<EvidenceQueue>,
    latch: Latch,
    dispatcher: Dispatcher,
    report: Arc<Mutex<KeeperReport>>,
    waiting: Waiting,
    /// What the tap notes of itself, not on disk yet.
    notes: Vec<Note>,
    /// While the store fails: when to try again, and how long to wait after that.
    retry: Option<(Instant, Duration)>,
    /// Why the store could not be written or read when that was last tried.
    unwritable: Option<String>,
    unreadable: Option<String>,
    looked: Instant,
    dropped: Dropped,
    canaries_changed: UnboundedSender<()>,
}

impl Worker {
    fn run(mut self, queue: &Queue) {
        loop {
            let taken = queue.take(self.wait());
            self.take_in(taken.entries);
            self.notes.extend(taken.notes);
            self.write_if_due();
            if taken.acknowledge {
                self.acknowledge();
            }
            if taken.closed {
                self.write_the_last();
                self.write_notes();
                return self.tell(taken.dropped);
            }
            self.look();
            self.tell(taken.dropped);
        }
    }

    fn wait(&self) -> Duration {
        // While the store fails, what is due waits for the next try.
        let next = self.retry.map(|(at, _)| at).or(self.waiting.due());
        next.map_or(LOOK, |at| {
            at.saturating_duration_since(Instant::now()).min(LOOK)
        })
    }

    fn take_in(&mut self, entries: Vec<Incoming>) {
        if let Some(event) = events(&entries).last() {
            lock(&self.report).last_event = Some(event.time.to_string());
        }
        self.waiting.take_in(entries, Instant::now());
    }

    fn write_if_due(&mut self) {
        let now = Instant::now();
        if !self.waiting.is_due(now) {
            return;
        }
        if self.retry.is_some_and(|(at, _)| at > now) {
            return self.hold();
        }
        self.write();
    }

    /// Nothing comes any more: what cannot be written now is lost.
    fn write_the_last(&mut self) {
        for wait in LAST_TRIES {
            if self.waiting.unsettled() == 0 {
                return;
            }
            thread::sleep(wait);
            self.write();
        }
    }

    fn write(&mut self) {
        let committed = match self.store.commit(self.waiting.entries()) {
            Err(error) if self.is_mended(&error) => self.store.commit(self.waiting.entries()),
            committed => committed,
        };
        match committed {
            Ok(committed) => self.written(&committed.events),
            Err(error) => self.failed(&error),
        }
    }

    /// Goes on with a new database, when that is what the error asks for.
    fn is_mended(&mut self, error: &StoreError) -> bool {
        let Some(reason) = error.damage() else {
            return false;
        };
        let given = lock(&self.report).last_seq;
        match self.store.salvage(&reason, given, clock::now()) {
            Ok(salvage) => {
                self.tell_of(&salvage);
                self.follow();
                // Canaries may be lost. Nobody listens any more only while the daemon ends.
                let _ending = self.canaries_changed.send(());
                true
            }
            Err(error) => {
                self.unreadable = Some(format!("a damaged database cannot be set aside: {error}"));
                false
            }
        }
    }

    fn tell_of(&mut self, salvage: &Salvage) {
        let text = damage::text(salvage);
        say(Priority::Error, &text);
        let mut report = lock(&self.report);
        report.set_aside = SetAside::look(&self.directory);
        report.set_aside.news = Some((Instant::now(), text));
    }

    fn written(&mut self, numbers: &[(EventId, Option<u64>)]) {
        if self.retry.take().is_some() {
            say(
                Priority::Info,
                "the store works again; everything held is written",
            );
        }
        self.note_last(numbers);
        self.number_visits(numbers);
        let told = self.waiting.events_told();
        let mut folded = false;
        for (at, (event, (_, seq))) in self.waiting.events().zip(numbers).enumerate() {
            folded |= seq.is_none();
            if at >= told && seq.is_some() {
                self.dispatcher.dispatch(event, *seq);
            }
        }
        self.waiting.clear(Instant::now());
        self.unwritable = None;
        // What is one of a flood has no line of its own, but its light: the store knows.
        if self.latch.has_unstored() || folded {
            self.latch.forget_unstored();
            self.follow();
        }
    }

    fn number_visits(&self, numbers: &[(EventId, Option<u64>)]) {
        let Some((through, _)) = numbers.last() else {
            return;
        };
        let visits = self.waiting.events().zip(numbers);
        let visits = visits.filter_map(|(event, (id, seq))| {
            let (seq, canary) = ((*seq)?, event.canary.clone()?);
            Some((*id, Numbered { seq, canary }))
        });
        self.evidence.number(visits, *through);
    }

    fn note_last(&self, numbers: &[(EventId, Option<u64>)]) {
        let mut report = lock(&self.report);
        for (event, (_, seq)) in self.waiting.events().zip(numbers) {
            let Some(seq) = *seq else { continue };
            report.last_seq = seq;
            if event.alert {
                report.last_alert = Some(seq);
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
        self.unwritable = Some(error.to_string());
        self.hold();
    }

    /// Until the store works again: alerts light up all the same, and what waits stays bounded.
    fn hold(&mut self) {
        let light = |event: &Event| self.dispatcher.dispatch(event, None);
        let lost = self.waiting.hold(light);
        self.dropped.count_all(&lost);
    }

    fn acknowledge(&mut self) {
        match self.store.acknowledge(&Acknowledge::All, clock::now()) {
            Ok(_) => self.latch.forget_unstored(),
            Err(error) => say(Priority::Error, &format!("cannot acknowledge: {error}")),
        }
        self.follow();
    }

    /// Damage is looked after at the next look.
    fn cannot_read(&mut self, error: &StoreError) {
        self.unreadable = Some(error.to_string());
        if let Some(reason) = error.damage() {
            *lock(&self.damage) = Some(reason);
        }
    }

    /// Shows what waits, by the store.
    fn follow(&mut self) {
        match self.store.unacknowledged() {
            Ok(waiting) => {
                self.unreadable = None;
                self.latch.follow(waiting.as_ref());
                lock(&self.report).unacknowledged = waiting.map_or(0, |waiting| waiting.count);
            }
            Err(error) => self.cannot_read(&error),
        }
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
            Ok(false) if self.unreadable.is_some() => self.follow(),
            Ok(false) => {}
            Err(error) => self.cannot_read(&error),
        }
        if self.retry.is_none() {
            self.write_notes();
            self.close_floods();
            self.look_for_damage();
        }
    }

    /// What cannot be written now is tried again, the oldest being the first to go.
    fn write_notes(&mut self) {
        while let Some(note) = self.notes.first() {
            let written = match note {
                Note::Health(record) => self.store.add_records(HEALTH, &[record]),
                Note::Coverage(record) => self.store.add_records(COVERAGE, &[record]),
                Note::Clock(record) => self.store.add_records(CLOCK, &[record]),
            };
            match written {
                Ok(_) => drop(self.notes.remove(0)),
                Err(error) => {
                    self.cannot_read(&error);
                    let excess = self.notes.len().saturating_sub(NOTES_MAX);
                    self.notes.drain(..excess);
                    return;
                }
            }
        }
    }

    /// What the look at the whole database found, or what reading found since.
    fn look_for_damage(&mut self) {
        let found = lock(&self.damage).take();
        if let Some(reason) = found {
            let path = self.directory.clone();
            self.is_mended(&StoreError::Damaged { path, reason });
        }
    }

    /// What folded for an hour enters the chain.
    fn close_floods(&mut self) {
        let closed = self.store.close_floods(Some(clock::now()));
        let bytes = closed.and_then(|()| self.store.visits_bytes());
        match bytes {
            Ok(bytes) => lock(&self.report).visits_bytes = bytes,
            Err(error) => self.cannot_read(&error),
        }
    }

    fn tell(&self, dropped: Dropped) {
        let fault = self.unwritable.as_ref().or(self.unreadable.as_ref());
        let mut report = lock(&self.report);
        report.fault = fault.cloned();
        report.pending = self.waiting.unsettled();
        report.dropped = dropped.plus(self.dropped);
        report.dropped_packets = self.evidence.lost();
        report.looked = Some(Instant::now());
    }
}

#[cfg(test)]
pub(super) mod tests;
