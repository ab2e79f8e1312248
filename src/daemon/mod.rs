//! The graph of all rooms, from start to stop.
//!
//! ```text
//! capture thread: ring -> engine -> queue        (never waits)
//! keeper thread:  queue -> store -> light, journal
//! evidence thread: packets of visits -> files
//! lights thread:  state -> pins
//! this thread:    signals, button, health and the status file whenever the capture rings
//! ```

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};

use crate::capture::privilege;
use crate::config::{Config, Responses};
use crate::daemon::evidence::EvidenceKeeper;
use crate::daemon::health::{Chronicle, Health, Reports, Room, SetUp, Tracker, Verdict};
use crate::daemon::journal::{Priority, say};
use crate::daemon::keeper::Keeper;
use crate::daemon::keys::KeyReader;
use crate::daemon::lighting::Lighting;
use crate::daemon::lock::DaemonLock;
use crate::daemon::matching::Matching;
use crate::daemon::present::Present;
use crate::daemon::queue::{Note, Queue};
use crate::daemon::sandbox::Sandbox;
use crate::daemon::status::{Remark, Status, StatusFile};
use crate::daemon::synchrony::Synchrony;
use crate::daemon::tap::{Tap, TapReport};
use crate::daemon::timekeeper::Timekeeper;
use crate::daemon::wear::Wear;
use crate::engine::canary::Home;
use crate::led::{Armed, ButtonEvent};
use crate::store::ClockRecord;

pub use error::DaemonError;
pub use health::Playback;
pub use keeper::Pace;

mod changing;
pub mod clock;
mod error;
mod evidence;
mod health;
pub(crate) mod journal;
mod keeper;
pub mod keys;
mod lighting;
pub mod lock;
mod matching;
pub(crate) mod notify;
mod present;
mod queue;
mod sandbox;
mod starting;
pub mod status;
pub mod synchrony;
mod tap;
mod timedated;
mod timekeeper;
mod wear;

/// Without the capture thread's bell, which rings every second, health is judged at least so
/// often: a timer of our own would wake the processor twice as often as need be.
const TICK_MAX: Duration = Duration::from_secs(20);
/// How often room on the disk is asked for.
const ROOM_LOOK: Duration = Duration::from_secs(10);

/// Runs until SIGTERM or SIGINT. SIGHUP reads the configuration again through `reload`.
///
/// # Errors
/// Why it could not start; or that a thread of it failed.
pub fn run(config: Config, reload: impl Fn() -> Result<Config, String>) -> Result<(), DaemonError> {
    privilege::put_away().map_err(DaemonError::System)?; // before there is another thread
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(DaemonError::System)?
        .block_on(async {
            let signals = Signals::listen()?; // before there is anything to lose
            let mut daemon = Daemon::start(config)?;
            let ended = daemon.watch(signals, reload).await;
            daemon.stop()?;
            ended
        })
}

/// What the outside world asks for.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> Result<Self, DaemonError> {
        let listen = |kind| signal(kind).map_err(DaemonError::System);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }
}

struct Daemon {
    config: Config,
    queue: Arc<Queue>,
    tap: Tap,
    keeper: Keeper,
    evidence: EvidenceKeeper,
    lights: Lighting,
    keys: KeyReader,
    health: Health,
    chronicle: Chronicle,
    coverage: Tracker,
    timekeeper: Arc<Timekeeper>,
    synchrony: Synchrony,
    wear: Wear,
    /// Room on the store's disk, and when it was last asked for.
    room: (Option<Room>, Instant),
    /// Faults that were told of.
    told: Vec<Remark>,
    status: StatusFile,
    /// Whether it could not be written, and that was told.
    status_failed: bool,
    started: String,
    canaries: usize,
    canaries_changed: mpsc::UnboundedReceiver<()>,
    matching: Matching,
    /// The home that the engine knows, and when it was last compared with this machine's.
    home: Home,
    home_looked: Instant,
    /// Rung by the capture thread about once a second.
    bell: Arc<Notify>,
    sandbox: Sandbox,
    _lock: DaemonLock,
}

impl Daemon {
    /// Until somebody says stop, or a thread fails.
    async fn watch(
        &mut self,
        mut signals: Signals,
        reload: impl Fn() -> Result<Config, String>,
    ) -> Result<(), DaemonError> {
        let mut tick = tokio::time::interval(TICK_MAX);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.look();
        notify::ready();
        say(Priority::Info, &self.greeting());
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => return Ok(()),
                _ = signals.interrupt.recv() => return Ok(()),
                _ = signals.hangup.recv() => self.reload(&reload),
                () = self.bell.notified() => self.look(),
                _ = tick.tick() => self.look(),
                Some(()) = self.canaries_changed.recv() => self.look_for_canaries(),
                Some(built) = self.matching.built.recv() => self.match_by(built),
                Some(event) = self.lights.pressed.recv() => self.on_button(event),
            }
            if self.tap.is_dead() || self.keeper.is_dead() {
                let error = io::Error::other("a thread of the daemon failed");
                return Err(DaemonError::System(error));
            }
        }
    }

    fn greeting(&self) -> String {
        format!(
            "watching {} on {}, {} canaries, lights by {}",
            self.config
                .hosts
                .iter()
                .map(|host| host.pattern.to_string())
                .collect::<Vec<_>>()
                .join(" "),
            self.config.capture.interface.as_deref().unwrap_or("-"),
            self.canaries,
            self.lights.driver,
        )
    }

    fn on_button(&mut self, event: ButtonEvent) {
        match event {
            ButtonEvent::Pressed => self.queue.acknowledge(),
            ButtonEvent::Lost(error) => self.lights.lost = Some(error),
        }
    }

    /// Once a second: judge, show, write down.
    fn look(&mut self) {
        let (tap, keeper) = (self.tap.report(), self.keeper.report());
        let keys = self.keys.report();
        let set_up = set_up(&self.config, self.synchrony.now());
        let now = Instant::now();
        let fault = self.lights.fault();
        let reports = Reports {
            tap: &tap,
            keeper: &keeper,
            keys: &keys,
            light: fault.as_ref(),
            room: self.room(now),
            set_up,
        };
        let verdict = self.health.judge(&reports, now);
        self.note(&verdict, tap.counters.events, now);
        self.wear.look(now);
        self.lights.set_armed(if verdict.faults.is_empty() {
            Armed::Ok
        } else {
            Armed::Fault
        });
        self.tell_changes(&verdict);
        let present = Present {
            config: &self.config,
            started: &self.started,
            canaries: self.canaries,
            tap: &tap,
            keeper: &keeper,
            keys: &keys,
            lights: self.lights.status(),
            clock_synchronised: set_up.clock_synchronised,
            coverage: self.coverage.present(),
            wear: &self.wear,
            landlock: self.sandbox.state,
        };
        self.show(present.status(verdict), now);
        if is_alive(&tap, now) {
            notify::alive();
        }
        self.look_at_home(now);
        self.tap.drop_retired();
    }

    /// Writes down what was wrong when, and which minutes were covered.
    fn note(&mut self, verdict: &Verdict, events: u64, now: Instant) {
        let at = clock::moment(self.synchrony.now());
        self.timekeeper.look(at);
        for record in self.timekeeper.take_records() {
            say_clock(&record);
            if record.step_micros.is_some() {
                self.synchrony.ask_again();
            }
            self.queue.note(Note::Clock(record));
        }
        for mut record in self.chronicle.note(&verdict.faults, now, at) {
            record.boot = Some(self.coverage.boot().to_owned());
            self.queue.note(Note::Health(record));
        }
        let wrong = verdict.blinding();
        let hour = self.coverage.look(at, wrong, verdict.silent_for, events);
        if let Some(record) = hour {
            self.queue.note(Note::Coverage(record));
        }
    }

    fn room(&mut self, now: Instant) -> Option<Room> {
        let (room, looked) = &mut self.room;
        if now.duration_since(*looked) >= ROOM_LOOK {
            *room = Room::look(&self.config.store.directory);
            *looked = now;
        }
        *room
    }

    /// Each fault is said once when it comes, and once when it goes.
    fn tell_changes(&mut self, verdict: &Verdict) {
        let has = |list: &[Remark], name: &str| list.iter().any(|one| one.name == name);
        for fault in &verdict.faults {
            if !has(&self.told, &fault.name) {
                say(Priority::Error, &format!("{}; {}", fault.text, fault.cure));
            }
        }
        for fault in &self.told {
            if !has(&verdict.faults, &fault.name) {
                say(Priority::Info, &format!("over: {}", fault.text));
            }
        }
        self.told.clone_from(&verdict.faults);
    }

    fn show(&mut self, status: Status, now: Instant) {
        let failed = self.status.keep(status, now).err();
        if let Some(error) = failed.as_ref().filter(|_| !self.status_failed) {
            say(
                Priority::Error,
                &format!("cannot write the status file: {error}"),
            );
        }
        self.status_failed = failed.is_some();
    }

    /// In flow order: no more frames, then everything on disk, then dark.
    fn stop(mut self) -> Result<(), DaemonError> {
        notify::stopping();
        let unread = self.keys.stop();
        let stopped = self.tap.stop().and(unread);
        let at = clock::moment(self.synchrony.now());
        let events = self.tap.report().counters.events;
        if let Some(record) = self.coverage.end(at, events) {
            self.queue.note(Note::Coverage(record));
        }
        self.timekeeper.look(at);
        for record in self.timekeeper.take_records() {
            self.queue.note(Note::Clock(record));
        }
        let packets = self.evidence.stop();
        let kept = self.keeper.stop().and(packets);
        let report = self.keeper.report();
        self.lights.end();
        if let Err(error) = self.status.remove() {
            say(
                Priority::Warning,
                &format!("cannot remove the status file: {error}"),
            );
        }
        stopped.and(kept).map_err(DaemonError::System)?;
        match report.fault {
            Some(fault) if report.pending > 0 => Err(DaemonError::Unwritten(report.pending, fault)),
            _ => Ok(()),
        }
    }
}

fn set_up(config: &Config, clock_synchronised: Option<bool>) -> SetUp {
    SetUp {
        clock_synchronised,
        heads_only: config.capture.responses == Responses::Heads,
    }
}

fn say_clock(record: &ClockRecord) {
    let set = record.step_micros.map(|micros| {
        let seconds = micros / 1_000_000;
        format!("the clock was set by {seconds} s, to {}", record.time)
    });
    let synchronised = match record.synchronised {
        Some(true) => "it is synchronised",
        Some(false) => "it is not synchronised: what is seen now is dated when it is",
        None => "nobody says whether it is synchronised",
    };
    let set = set.unwrap_or_else(|| format!("the clock says {}", record.time));
    say(Priority::Info, &format!("{set}; {synchronised}"));
}

/// Whether frames, or silence, are really handled. A keeper that hangs is a fault, but no new
/// start mends its disk.
fn is_alive(tap: &TapReport, now: Instant) -> bool {
    let looked = tap.looked.unwrap_or(now);
    now.saturating_duration_since(looked) < health::HANGING
}
