//! The capture thread: frames from the ring into the engine, in place.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::capture::{CaptureError, CaptureStats, LinkState, LinkWatcher, Live, Waker, filter};
use crate::config::Config;
use crate::daemon::clock;
use crate::daemon::queue::{Queue, QueueSink};
use crate::daemon::synchrony::Synchrony;
use crate::daemon::timekeeper::{Evener, Timekeeper};
use crate::engine::app::tls::keylog::KeyLogEntry;
use crate::engine::canary::Matcher;
use crate::engine::counters::Counters;
use crate::engine::frame::{Frame, Timestamp};
use crate::engine::limits::{Limits, SECRETS_WAITING_MAX};
use crate::engine::{Engine, KeepPackets};
use crate::led::Activity;
use crate::store::evidence::{Counts, Interface};

/// How often the thread looks up from its frames, or from a silent wire.
const LOOK: Duration = Duration::from_secs(1);
/// Longer than the kernel keeps a block of the ring back.
const DRAIN_WAIT: Duration = Duration::from_millis(50);
/// A stop takes no longer, whatever the ring still holds.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// The engine is not asked more often what is due while no frame is there; frames ask by
/// themselves.
const TICK_MIN: Duration = Duration::from_millis(100);
/// Frames after which it asks for the time, and for orders.
const FRAMES_AT_ONCE: usize = 1024;

/// What is captured, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapSettings {
    /// The interface.
    pub interface: String,
    /// Size of the kernel's ring.
    pub buffer_bytes: usize,
    /// The kernel's filter.
    pub filter: String,
}

impl TapSettings {
    /// What a configuration says; None while it names no interface.
    pub fn of(config: &Config) -> Option<Self> {
        Some(Self {
            interface: config.capture.interface.clone()?,
            buffer_bytes: config.capture.buffer_bytes,
            filter: filter::expression(
                &config.capture.ports,
                &config.server_addresses(),
                config.capture.responses,
            ),
        })
    }
}

/// How the capture is, as it last looked.
#[derive(Clone, Debug, Default)]
pub struct TapReport {
    /// Why nothing is captured; None while it is.
    pub fault: Option<String>,
    /// What the kernel says about the interface.
    pub link: Option<LinkState>,
    /// Packets since the daemon started, over all times that the interface was opened.
    pub stats: CaptureStats,
    /// What the engine counted.
    pub counters: Counters,
    /// Flows in the table.
    pub flows: usize,
    /// Bytes of flows and buffers.
    pub heap_bytes: usize,
    /// Secrets that wait for their connections.
    pub secrets_waiting: usize,
    /// When the thread last looked up: long ago, if it hangs.
    pub looked: Option<Instant>,
}

/// Secrets that may wait for the capture thread at once: as many as the engine keeps.
const SECRETS_MAX: usize = SECRETS_WAITING_MAX;

/// What the main thread asks of the capture thread.
#[derive(Debug, Default)]
struct Orders {
    matcher: Option<Arc<Matcher>>,
    settings: Option<TapSettings>,
    /// Secrets may come, so that hellos wait for them.
    follow_secrets: bool,
    secrets: Vec<KeyLogEntry>,
    /// Secrets that found no room here.
    secrets_dropped: u64,
    stop: bool,
}

/// What both threads hold.
#[derive(Debug)]
struct Shared {
    /// Rung whenever there is a new report, about once a second, and at the thread's end.
    bell: Arc<Notify>,
    ended: AtomicBool,
    /// Whether there are orders: looked at for each frame, so it is no lock.
    attention: AtomicBool,
    orders: Mutex<Orders>,
    report: Mutex<TapReport>,
    /// A matcher that was replaced, to be dropped by somebody who has the time.
    retired: Mutex<Option<Arc<Matcher>>>,
    waker: Waker,
}

/// The running capture thread.
#[derive(Debug)]
pub struct Tap {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tap {
    /// Opens the interface and begins to capture. An interface that is down is waited for.
    /// `bell` is rung about once a second, so that nobody else needs a timer.
    ///
    /// # Errors
    /// [`CaptureError`] when this process may not capture, or the filter is refused.
    pub fn start(
        settings: TapSettings,
        (limits, keep): (Limits, Option<KeepPackets>),
        matcher: Arc<Matcher>,
        queue: Arc<Queue>,
        activity: Activity,
        (bell, timekeeper, synchrony): (Arc<Notify>, Arc<Timekeeper>, Synchrony),
    ) -> Result<Self, CaptureError> {
        let shared = Arc::new(Shared {
            bell,
            ended: AtomicBool::new(false),
            attention: AtomicBool::new(false),
            orders: Mutex::default(),
            report: Mutex::default(),
            retired: Mutex::default(),
            waker: Waker::new()?,
        });
        let mut engine = Engine::new(limits, matcher);
        if let Some(keep) = keep {
            engine.keep_packets(keep);
        }
        let mut worker = Worker {
            watcher: LinkWatcher::new(&settings.interface),
            settings,
            live: None,
            opened_index: None,
            tried: Instant::now(),
            stats_before: CaptureStats::default(),
            secrets_dropped: 0,
            looked: None,
            ticked: Instant::now(),
            shared: Arc::clone(&shared),
            ear: Ear {
                engine,
                queue,
                activity,
                evener: Evener::new(timekeeper),
                synchrony,
            },
        };
        worker.open_first()?;
        let thread = thread::Builder::new()
            .name("capture".into())
            .spawn(move || worker.run())
            .map_err(CaptureError::Wait)?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    fn order(&self, change: impl FnOnce(&mut Orders)) {
        self.shared.order(change);
    }

    /// Hellos wait for secrets from now on: key logs are followed.
    pub fn follow_secrets(&self) {
        self.order(|orders| orders.follow_secrets = true);
    }

    /// Where secrets are handed in, from any thread. Never waits.
    pub fn secrets(&self) -> SecretsDoor {
        SecretsDoor(Arc::clone(&self.shared))
    }

    /// Looks for something else from now on.
    pub fn set_matcher(&self, matcher: Arc<Matcher>) {
        self.order(|orders| orders.matcher = Some(matcher));
    }

    /// Drops a matcher that was replaced, if there is one.
    pub fn drop_retired(&self) {
        let retired = lock(&self.shared.retired).take();
        drop(retired);
    }

    /// Captures otherwise from now on.
    pub fn set_settings(&self, settings: TapSettings) {
        self.order(|orders| orders.settings = Some(settings));
    }

    /// How it is.
    pub fn report(&self) -> TapReport {
        lock(&self.shared.report).clone()
    }

    /// Whether the thread ended by itself, which it never should.
    pub fn is_dead(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire)
    }

    /// Stops capturing; what the engine still held is read to its end.
    pub fn stop(&mut self) -> io::Result<()> {
        self.order(|orders| orders.stop = true);
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(_)) => Err(io::Error::other("the capture thread panicked")),
            _ => Ok(()),
        }
    }
}

impl Shared {
    fn order(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut lock(&self.orders));
        self.attention.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// Where secrets come in.
#[derive(Clone, Debug)]
pub struct SecretsDoor(Arc<Shared>);

impl SecretsDoor {
    /// Hands secrets to the engine; what it is too slow for is dropped and counted.
    pub fn hand_in(&self, mut secrets: Vec<KeyLogEntry>) {
        self.0.order(|orders| {
            let room = SECRETS_MAX - orders.secrets.len().min(SECRETS_MAX);
            let dropped = secrets.len().saturating_sub(room);
            secrets.truncate(room);
            orders.secrets.append(&mut secrets);
            orders.secrets_dropped += dropped as u64;
        });
    }
}

/// The capture thread's own things.
struct Worker {
    settings: TapSettings,
    watcher: Option<LinkWatcher>,
    live: Option<Live>,
    /// Number of the interface when it was opened.
    opened_index: Option<u32>,
    /// When opening it was last tried.
    tried: Instant,
    /// Counted by captures that are closed.
    stats_before: CaptureStats,
    secrets_dropped: u64,
    /// When it last looked up.
    looked: Option<Instant>,
    /// When the engine was last asked what is due.
    ticked: Instant,
    shared: Arc<Shared>,
    ear: Ear,
}

/// The engine between what it hears and who hears it.
struct Ear {
    engine: Engine,
    queue: Arc<Queue>,
    activity: Activity,
    evener: Evener,
    synchrony: Synchrony,
}

impl Ear {
    #[inline]
    fn on_frame(&mut self, mut frame: Frame<'_>) {
        frame.time = self.even(frame.time);
        let (engine, mut sink) = self.engine();
        engine.on_frame(&frame, &mut sink);
    }

    #[inline]
    fn even(&mut self, wall: Timestamp) -> Timestamp {
        let now = || clock::moment(self.synchrony.now());
        self.evener.even(wall, now)
    }

    fn on_tick(&mut self) {
        let now = self.now();
        let (engine, mut sink) = self.engine();
        engine.on_tick(now, &mut sink);
    }

    fn now(&mut self) -> Timestamp {
        self.evener.now(clock::uptime())
    }

    /// The engine, and its listener.
    #[inline]
    fn engine(&mut self) -> (&mut Engine, QueueSink<'_>) {
        let sink = QueueSink::new(&self.queue, &self.activity, &self.evener.times);
        (&mut self.engine, sink)
    }
}

impl Worker {
    /// The first time, what no waiting mends ends the program.
    fn open_first(&mut self) -> Result<(), CaptureError> {
        match self.open() {
            Err(
                error @ (CaptureError::Permission { .. }
                | CaptureError::LinkType(_)
                | CaptureError::Times),
            ) => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn open(&mut self) -> Result<(), CaptureError> {
        self.tried = Instant::now();
        let settings = &self.settings;
        let index = self.look().map(|link| link.index);
        let opened = Live::open(
            &settings.interface,
            settings.buffer_bytes,
            &settings.filter,
            self.shared.waker.clone(),
        );
        let fault = opened.as_ref().err().map(ToString::to_string);
        lock(&self.shared.report).fault = fault;
        let live = opened?;
        self.ear.engine.set_source(live.source());
        self.live = Some(live);
        self.opened_index = index;
        self.name_interface();
        Ok(())
    }

    /// Says in the files of packets where they come from.
    fn name_interface(&self) {
        self.ear.queue.evidence().set_interface(Interface {
            name: Some(self.settings.interface.clone()),
            filter: Some(self.settings.filter.clone()),
        });
    }

    fn look(&self) -> Option<LinkState> {
        self.watcher.as_ref().and_then(LinkWatcher::look)
    }

    fn close(&mut self, fault: &str) {
        if let Some(stats) = self.live.as_mut().and_then(|live| live.stats().ok()) {
            self.stats_before = sum(self.stats_before, stats);
        }
        self.live = None;
        lock(&self.shared.report).fault = Some(fault.to_owned());
    }

    fn run(mut self) {
        let _ringer = Ringer(Arc::clone(&self.shared));
        self.ear.on_tick(); // secrets that are there already wait from now on
        loop {
            if self.shared.attention.swap(false, Ordering::Acquire) && self.obey() {
                break;
            }
            if self.live.is_some() {
                self.capture_for_a_while();
            } else {
                self.wait_and_open();
            }
            // Secrets call often, and what a look finds changes a file.
            if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
                self.look_around();
            }
        }
        self.drain();
        let (engine, mut sink) = self.ear.engine();
        engine.finish(&mut sink);
        self.report(self.look());
    }

    /// Does what was ordered; true when that is to stop.
    fn obey(&mut self) -> bool {
        let orders = std::mem::take(&mut *lock(&self.shared.orders));
        if let Some(matcher) = orders.matcher {
            let before = self.ear.engine.set_matcher(matcher);
            *lock(&self.shared.retired) = Some(before);
        }
        if orders.follow_secrets {
            self.ear.engine.follow_secrets();
        }
        self.secrets_dropped += orders.secrets_dropped;
        if !orders.secrets.is_empty() {
            let (engine, mut sink) = self.ear.engine();
            for secret in &orders.secrets {
                engine.on_secret(secret, &mut sink);
            }
        }
        if let Some(settings) = orders.settings.filter(|new| *new != self.settings) {
            self.change(settings);
        }
        orders.stop
    }

    /// Another filter costs no frame; everything else needs the interface opened anew.
    fn change(&mut self, new: TapSettings) {
        let before = std::mem::replace(&mut self.settings, new);
        let new = &self.settings;
        if before.interface == new.interface && before.buffer_bytes == new.buffer_bytes {
            let outcome = self.live.as_mut().map(|live| live.set_filter(&new.filter));
            if let Some(Err(error)) = outcome {
                self.close(&error.to_string());
            }
            self.name_interface();
            return;
        }
        self.watcher = LinkWatcher::new(&new.interface);
        self.close("the interface is being opened");
        self.open_again();
    }

    /// Frames until it is time to look up, or somebody calls.
    fn capture_for_a_while(&mut self) {
        let Some(live) = &mut self.live else {
            return;
        };
        let until = self.looked.unwrap_or_else(Instant::now) + LOOK;
        loop {
            match live.next_frames(LOOK, FRAMES_AT_ONCE, |frame| self.ear.on_frame(frame)) {
                // A fast wire is found empty after each block of the ring.
                Ok(0) if self.ticked.elapsed() >= TICK_MIN => {
                    self.ticked = Instant::now();
                    self.ear.on_tick();
                }
                Ok(_) => {}
                Err(error) => return self.close(&error.to_string()),
            }
            if self.shared.attention.load(Ordering::Acquire) || Instant::now() >= until {
                return;
            }
        }
    }

    /// What was on the wire before the stop is still in the ring, for as long as the kernel keeps
    /// a block back. What came later is not waited for: on a busy wire the ring never runs empty.
    fn drain(&mut self) {
        let Some(live) = &mut self.live else { return };
        let began = Instant::now();
        let stopped = self.ear.now();
        let mut silent_since = began;
        let mut later = false;
        while !later && silent_since.elapsed() < DRAIN_WAIT && began.elapsed() < DRAIN_MAX {
            let taken = live.next_frames(DRAIN_WAIT, FRAMES_AT_ONCE, |frame| {
                later |= self.ear.even(frame.time) > stopped;
                if !later {
                    self.ear.on_frame(frame);
                }
            });
            match taken {
                Ok(0) => {}
                Ok(_) => silent_since = Instant::now(),
                Err(_) => return, // the wire went before we did
            }
        }
    }

    /// Waits a while since the last try, then opens the interface once more.
    fn wait_and_open(&mut self) {
        let wait = LOOK.saturating_sub(self.tried.elapsed());
        // It fails only when the kernel refuses to wait, and then trying again is all there is.
        let _refused = self.shared.waker.wait(wait);
        self.ear.on_tick();
        if self.tried.elapsed() >= LOOK {
            self.open_again();
        }
    }

    fn open_again(&mut self) {
        let there = self.watcher.is_none() || self.look().is_some();
        if !there {
            self.tried = Instant::now();
            lock(&self.shared.report).fault =
                Some(format!("interface {} is gone", self.settings.interface));
        } else if let Err(error) = self.open() {
            lock(&self.shared.report).fault = Some(error.to_string());
        }
    }

    /// An interface that was deleted, or made anew, is another: libpcap would stay silent.
    fn look_around(&mut self) {
        self.looked = Some(Instant::now());
        let link = self.look();
        if self.live.is_some() && self.watcher.is_some() {
            match link {
                None => self.close(&format!("interface {} is gone", self.settings.interface)),
                Some(link) if Some(link.index) != self.opened_index => {
                    self.close("the interface was made anew");
                    self.open_again();
                }
                Some(_) => {}
            }
        }
        self.report(link);
    }

    fn report(&mut self, link: Option<LinkState>) {
        let stats = self.live.as_mut().and_then(|live| live.stats().ok());
        let mut report = lock(&self.shared.report);
        report.stats = sum(self.stats_before, stats.unwrap_or_default());
        self.ear.queue.evidence().set_counts(Counts {
            received: report.stats.received,
            dropped_interface: report.stats.dropped_interface,
            dropped_kernel: report.stats.dropped_kernel,
        });
        report.link = link;
        report.counters.clone_from(self.ear.engine.counters());
        report.counters.secrets_dropped += self.secrets_dropped;
        report.flows = self.ear.engine.flows();
        report.heap_bytes = self.ear.engine.heap_bytes();
        report.secrets_waiting = self.ear.engine.secrets_waiting();
        report.looked = Some(Instant::now());
        drop(report);
        self.shared.bell.notify_one();
    }
}

/// Tells of the thread's end, also when it panics.
struct Ringer(Arc<Shared>);

impl Drop for Ringer {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Release);
        self.0.bell.notify_one();
    }
}

fn sum(one: CaptureStats, other: CaptureStats) -> CaptureStats {
    CaptureStats {
        received: one.received + other.received,
        dropped_kernel: one.dropped_kernel + other.dropped_kernel,
        dropped_interface: one.dropped_interface + other.dropped_interface,
    }
}
