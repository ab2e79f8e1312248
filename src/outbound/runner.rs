//! One thread for each sink: it takes the alerts from the store, one after the other, and goes on
//! to the next when its sink has taken the last.

use std::collections::VecDeque;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::config::Config;
use crate::daemon::clock;
use crate::daemon::journal::{Priority, say};
use crate::daemon::notify;
use crate::daemon::status::Status;
use crate::outbound::{FOLDER, Message, SendError, Sink, build};
use crate::store::{DATABASE, EventQuery, EventRecord, Outbox, StoreError, StoreReader};

/// What runs: one thread for each sink, and whoever looks for news.
#[derive(Debug)]
pub struct Running {
    database: PathBuf,
    news: Arc<News>,
}

/// Tells the sinks of `config` of every alert, for ever.
///
/// # Errors
/// When it cannot begin: the progress of sinks cannot be kept.
pub fn run(config: &Config) -> Result<(), StoreError> {
    let mut running = Running::start(config)?;
    notify::ready();
    loop {
        running.look();
        notify::alive();
        thread::sleep(LOOK);
    }
}

impl Running {
    fn start(config: &Config) -> Result<Self, StoreError> {
        let directory = &config.store.directory;
        let state = directory.join(FOLDER);
        let outbox = Outbox::open(&state)?;
        let newest = newest(directory)?;
        let news = Arc::new(News::default());
        for alert in &config.alerts {
            // From now on none is missed, and a new sink is told nothing of the past.
            outbox.begin(&alert.name, newest)?;
            let worker = Worker {
                name: alert.name.clone(),
                sink: build(alert),
                outbox: Outbox::open(&state)?,
                directory: directory.clone(),
                run_directory: config.run_directory(),
                news: Arc::clone(&news),
                after: 0,
                unsettled: VecDeque::new(),
                failing: None,
            };
            say(
                Priority::Info,
                &format!(
                    "{}: {} to {}",
                    alert.name,
                    alert.sink.kind(),
                    alert.sink.place()
                ),
            );
            thread::Builder::new()
                .name(alert.name.chars().take(15).collect())
                .spawn(move || worker.run())
                .map_err(|error| StoreError::io(directory, "start a thread for", error))?;
        }
        Ok(Self {
            database: directory.join(DATABASE),
            news,
        })
    }

    /// Whether somebody wrote to the store: two files say so by their times.
    fn look(&mut self) {
        self.news.look(Signature::of(&self.database));
    }
}

/// When database and log were last written, and how long they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Signature([Option<(SystemTime, u64)>; 2]);

impl Signature {
    fn of(database: &Path) -> Self {
        let mut log = database.as_os_str().to_owned();
        log.push("-wal");
        Self([database, Path::new(&log)].map(|path| {
            let found = fs::metadata(path).ok()?;
            Some((found.modified().ok()?, found.len()))
        }))
    }
}

/// Counts how often the store was written, so that each thread knows whether it has seen that.
#[derive(Debug, Default)]
struct News {
    present: Mutex<(Signature, u64)>,
    changed: Condvar,
}

impl News {
    fn look(&self, signature: Signature) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.0 != signature {
            *present = (signature, present.1 + 1);
            self.changed.notify_all();
        }
    }

    /// Waits until there is more than what was `seen`, at most so long.
    fn wait(&self, seen: u64, at_most: Duration) -> u64 {
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let old = |present: &mut (Signature, u64)| present.1 == seen;
        let waited = self.changed.wait_timeout_while(present, at_most, old);
        let (present, _) = waited.unwrap_or_else(PoisonError::into_inner);
        present.1
    }
}

struct Worker {
    name: String,
    sink: Box<dyn Sink>,
    outbox: Outbox,
    directory: PathBuf,
    run_directory: PathBuf,
    news: Arc<News>,
    /// The newest alert that was sent.
    after: u64,
    /// Alerts that were sent and may still be lost, and when each was.
    unsettled: VecDeque<(Instant, u64)>,
    /// Why the sink takes nothing, as it was told.
    failing: Option<String>,
}

impl Worker {
    fn run(mut self) {
        let mut seen = 0;
        loop {
            // What comes while this reads makes another round.
            let now = self.news.wait(seen, IDLE);
            let idle = now == seen;
            seen = now;
            self.settle();
            match self.catch_up() {
                Ok(()) if idle => self.idle(),
                Ok(()) => {}
                // Nothing was ever kept: when it is, that is news.
                Err(StoreError::Missing { .. }) => self.idle(),
                Err(error) => {
                    self.fails(&error.to_string());
                    seen = 0;
                    thread::sleep(LOOK);
                }
            }
        }
    }

    /// Tells everything that was not told yet.
    fn catch_up(&mut self) -> Result<(), StoreError> {
        loop {
            let reader = open(&self.directory)?;
            let newest = reader.last_seq()?;
            let progress = self.outbox.begin(&self.name, newest)?;
            if progress.after > newest {
                self.outbox.rewind(&self.name)?;
                self.after = 0;
                continue;
            }
            let page = page_after(&reader, progress.after.max(self.after))?;
            drop(reader); // nothing of the store is held while the network takes its time
            for event in &page {
                self.deliver(event)?;
            }
            if page.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// Tries until it is taken, or refused for good.
    fn deliver(&mut self, event: &EventRecord) -> Result<(), StoreError> {
        let message = Message::of(event);
        let (mut wait, mut refusals) = (WAIT_FIRST, 0);
        loop {
            match self.sink.send(&message) {
                Ok(()) => {
                    self.works();
                    self.after = message.seq;
                    self.unsettled.push_back((Instant::now(), message.seq));
                    self.settle();
                    return Ok(());
                }
                Err(SendError::Refused(why)) if refusals + 1 >= REFUSALS_MAX => {
                    self.after = message.seq;
                    let text =
                        format!("{}: alert {} is passed over: {why}", self.name, message.seq);
                    say(Priority::Error, &text);
                    self.failing = None;
                    return self
                        .outbox
                        .refused(&self.name, message.seq, &why, clock::now());
                }
                Err(error) => {
                    refusals += u32::from(matches!(error, SendError::Refused(_)));
                    self.fails(&error.to_string());
                }
            }
            thread::sleep(wait);
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    /// Keeps in mind what is taken for good.
    fn settle(&mut self) {
        let wait = self.sink.settles_after();
        while let Some((sent, seq)) = self.unsettled.front().copied() {
            if sent.elapsed() < wait {
                return;
            }
            self.unsettled.pop_front();
            if let Err(error) = self.outbox.delivered(&self.name, seq, clock::now()) {
                say(Priority::Error, &error.to_string());
            }
        }
    }

    fn idle(&mut self) {
        let status = Status::read(&self.run_directory).ok();
        if let Err(error) = self.sink.idle(status.as_ref()) {
            self.fails(&error.to_string());
        }
    }

    /// Each trouble is said once, and kept for `status`.
    fn fails(&mut self, why: &str) {
        if self.failing.as_deref() == Some(why) {
            return;
        }
        say(
            Priority::Warning,
            &format!("{}: {why}; it is tried again", self.name),
        );
        if let Err(error) = self.outbox.failed(&self.name, why, clock::now()) {
            say(Priority::Error, &error.to_string());
        }
        self.failing = Some(why.to_owned());
    }

    fn works(&mut self) {
        if self.failing.take().is_some() {
            say(Priority::Info, &format!("{}: it works again", self.name));
        }
    }
}

/// Without a trace where that is possible: the unit may read the store and not write it.
fn open(directory: &Path) -> Result<StoreReader, StoreError> {
    match StoreReader::open_untouched(directory) {
        Err(StoreError::Unfinished { .. }) => StoreReader::open(directory),
        other => other,
    }
}

/// The newest number in the store; 0 while there is none.
fn newest(directory: &Path) -> Result<u64, StoreError> {
    match open(directory).and_then(|reader| reader.last_seq()) {
        Err(StoreError::Missing { .. }) => Ok(0),
        other => other,
    }
}

fn page_after(reader: &StoreReader, after: u64) -> Result<Vec<EventRecord>, StoreError> {
    let query = EventQuery {
        after,
        alerts: true,
        ..EventQuery::default()
    };
    let mut page = Vec::new();
    reader.for_each(&query, |event| {
        page.push(event);
        Ok::<_, StoreError>(if page.len() < PAGE {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })?;
    Ok(page)
}

/// How often two files are looked at for news.
const LOOK: Duration = Duration::from_secs(1);
/// How often a sink with nothing to do may keep its connection.
const IDLE: Duration = Duration::from_secs(5);
/// Alerts that are read at once.
const PAGE: usize = 100;
const WAIT_FIRST: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(300);
/// A server that refuses may itself be out of order.
const REFUSALS_MAX: u32 = 5;
