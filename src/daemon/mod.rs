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

use crate::alert::Latch;
use crate::capture::privilege;
use crate::config::{Config, Responses};
use crate::daemon::evidence::EvidenceKeeper;
use crate::daemon::health::{Chronicle, Habit, Health, Reports, Room, SetUp, Tracker, Verdict};
use crate::daemon::journal::{Priority, say};
use crate::daemon::keeper::{Keeper, KeeperError};
use crate::daemon::keys::KeyReader;
use crate::daemon::lighting::Lighting;
use crate::daemon::lock::DaemonLock;
use crate::daemon::matching::{Built, Matching};
use crate::daemon::present::Present;
use crate::daemon::queue::{Note, Queue};
use crate::daemon::sandbox::Sandbox;
use crate::daemon::status::{Remark, Status, StatusFile};
use crate::daemon::synchrony::Synchrony;
use crate::daemon::tap::{Tap, TapReport, TapSettings};
use crate::daemon::timekeeper::Timekeeper;
use crate::daemon::wear::Wear;
use crate::engine::KeepPackets;
use crate::engine::canary::{Home, Matcher};
use crate::engine::frame::Timestamp;
use crate::engine::limits::Limits;
use crate::led::{Activity, Armed, ButtonEvent};
use crate::store::{self, CLOCK, ClockRecord, StoreError, StoreOptions, StoreReader};

pub use error::DaemonError;
pub use health::Playback;
pub use keeper::Pace;

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
pub mod status;
pub mod synchrony;
mod tap;
mod timedated;
mod timekeeper;
mod wear;

/// Without the capture thread's bell, which rings every second, health is judged at least so
/// often: a timer of our own would wake the processor twice as often as need be.
const TICK_MAX: Duration = Duration::from_secs(20);
/// How often this machine's own networks are read: providers change a home's prefix, and early
/// in a boot there may be none yet.
const HOME_LOOK: Duration = Duration::from_secs(30);

/// How often room on the disk is asked for.
const ROOM_LOOK: Duration = Duration::from_secs(10);
/// So far back it is looked for what is usual.
const HABIT: Duration = Duration::from_secs(7 * 24 * 3600);

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
    fn start(config: Config) -> Result<Self, DaemonError> {
        let run_directory = config.run_directory();
        let lock = DaemonLock::take(&run_directory)
            .map_err(|error| DaemonError::RunDirectory(run_directory.clone(), error))?
            .ok_or_else(|| {
                let holder = DaemonLock::holder(&run_directory);
                DaemonError::Running(run_directory.clone(), holder)
            })?;
        store::make_directory(&config.store.directory).map_err(DaemonError::Store)?;
        let sandbox = enter_sandbox(&config);
        let synchrony = Synchrony::start().map_err(DaemonError::System)?;
        let mut lights = Lighting::new();
        lights.open(&config.led)?;
        let queue = Arc::new(Queue::default());
        let (changed, canaries_changed) = mpsc::unbounded_channel();
        let keeper = start_keeper(&config, &queue, &lights, changed)?;
        let evidence = EvidenceKeeper::start(&config.store.directory, &queue);
        let evidence = evidence.map_err(DaemonError::System)?;
        let matching = Matching::new();
        let first = Built::of(&config).map_err(DaemonError::Store)?;
        let (canaries, home) = (first.canaries, first.home);
        let bell = Arc::new(Notify::new());
        synchrony.wait();
        let timekeeper = Arc::new(begin_time(&config, synchrony.now()));
        let rung = (&bell, &timekeeper, &synchrony);
        let tap = start_tap(&config, first.matcher, &queue, &lights.activity, rung)?;
        let keys = start_keys(&config, &tap)?;
        let now = Instant::now();
        let room = Room::look(&config.store.directory);
        let health = Health::new(habit(&config), now);
        Ok(Self {
            config,
            queue,
            tap,
            keeper,
            evidence,
            lights,
            keys,
            health,
            chronicle: Chronicle::default(),
            coverage: Tracker::new(clock::boot_id()),
            timekeeper,
            synchrony,
            wear: Wear::new(now),
            room: (room, now),
            told: Vec::new(),
            status: StatusFile::new(run_directory),
            status_failed: false,
            started: clock::now().to_string(),
            canaries,
            canaries_changed,
            matching,
            home,
            home_looked: Instant::now(),
            bell,
            sandbox,
            _lock: lock,
        })
    }

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

    /// Who counts as inside may change while the daemon runs.
    fn look_at_home(&mut self, now: Instant) {
        if now.duration_since(self.home_looked) < HOME_LOOK {
            return;
        }
        self.home_looked = now;
        if self.config.home_of_this_machine() != self.home {
            say(Priority::Info, "this machine's networks have changed");
            self.rematch();
        }
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

    /// Somebody minted a canary, or only acknowledged.
    fn look_for_canaries(&mut self) {
        let minted = StoreReader::open(&self.config.store.directory)
            .and_then(|reader| reader.canaries_version());
        match minted {
            Ok(version) if self.matching.version.as_ref() == Some(&version) => {}
            Ok(version) => {
                self.matching.version = Some(version);
                self.rematch();
            }
            Err(error) => say_unread(&error),
        }
    }

    /// Makes ready what store and configuration name now.
    fn rematch(&mut self) {
        self.matching.build(&self.config);
    }

    fn match_by(&mut self, built: (u64, Result<Built, StoreError>)) {
        let (round, built) = built;
        match built {
            Ok(built) if self.matching.is_newest(round) => {
                self.canaries = built.canaries;
                self.home = built.home;
                self.tap.set_matcher(built.matcher);
            }
            Ok(_) => {} // one that knows more is on its way
            Err(error) => say_unread(&error),
        }
    }

    fn reload(&mut self, reload: &impl Fn() -> Result<Config, String>) {
        notify::reloading();
        match reload() {
            Ok(config) => self.take_over(config),
            Err(message) => say(
                Priority::Error,
                &format!("the configuration is not valid, the old one stays:\n{message}"),
            ),
        }
        notify::ready();
    }

    fn take_over(&mut self, mut config: Config) {
        if config.store != self.config.store
            || config.evidence != self.config.evidence
            || config.capture.memory_bytes != self.config.capture.memory_bytes
        {
            say(
                Priority::Warning,
                "[store], [evidence] and capture.memory are taken over at the next start only",
            );
        }
        config.store.clone_from(&self.config.store);
        config.evidence = self.config.evidence;
        if config.led != self.config.led {
            if let Err(error) = self.lights.reopen(&config.led, &self.config.led) {
                say(Priority::Error, &format!("{error}; the old lights stay"));
                config.led.clone_from(&self.config.led);
            }
        }
        for log in config
            .key_logs
            .iter()
            .filter(|log| !self.sandbox.may_read(log))
        {
            say(
                Priority::Warning,
                &format!("{} can be read at the next start only", log.display()),
            );
        }
        self.keys.set_logs(config.key_logs.clone());
        if !config.key_logs.is_empty() {
            self.tap.follow_secrets();
        }
        self.config = config;
        self.rematch();
        if let Some(settings) = TapSettings::of(&self.config) {
            self.tap.set_settings(settings);
        }
        say(
            Priority::Info,
            &format!("configuration read again: {}", self.greeting()),
        );
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

/// The clock may have been set while no daemon ran.
fn begin_time(config: &Config, synchronised: Option<bool>) -> Timekeeper {
    let boot = clock::boot_id();
    let known = StoreReader::open(&config.store.directory)
        .and_then(|reader| reader.records::<ClockRecord>(CLOCK, 0))
        .unwrap_or_default();
    let mut known = known.into_iter().map(|(_, record)| record);
    let before = known.rfind(|record| record.boot == boot);
    Timekeeper::begin(boot, clock::moment(synchronised), before.as_ref())
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

/// What the store says was usual; of a store that cannot be read, or is new, nothing.
fn habit(config: &Config) -> Habit {
    let since = clock::now()
        .since(Timestamp::from_nanos(0))
        .saturating_sub(HABIT);
    let since = Timestamp::from_nanos(0).plus(since);
    let known = StoreReader::open(&config.store.directory).and_then(|reader| reader.rhythm(since));
    let known = known.unwrap_or_default();
    Habit {
        events: known.events,
        longest_gap: known.longest_gap,
    }
}

/// A kernel that cannot confine, or will not, is no reason not to watch.
fn enter_sandbox(config: &Config) -> Sandbox {
    match Sandbox::enter(config) {
        Ok(sandbox) => sandbox,
        Err(error) => {
            say(Priority::Warning, &format!("no Landlock: {error}"));
            Sandbox::none()
        }
    }
}

/// Whether frames, or silence, are really handled. A keeper that hangs is a fault, but no new
/// start mends its disk.
fn is_alive(tap: &TapReport, now: Instant) -> bool {
    let looked = tap.looked.unwrap_or(now);
    now.saturating_duration_since(looked) < health::HANGING
}

fn start_keeper(
    config: &Config,
    queue: &Arc<Queue>,
    lights: &Lighting,
    canaries_changed: mpsc::UnboundedSender<()>,
) -> Result<Keeper, DaemonError> {
    let options = StoreOptions {
        requests_max_bytes: config.store.requests_max_bytes,
        visits_max_bytes: config.store.visits_max_bytes,
        evidence: config.evidence,
    };
    Keeper::start(
        config.store.directory.clone(),
        options,
        Arc::clone(queue),
        Latch::new(lights.state.clone()),
        canaries_changed,
    )
    .map_err(|error| match error {
        KeeperError::Store(error) => DaemonError::Store(error),
        KeeperError::Thread(error) => DaemonError::System(error),
    })
}

/// Hellos wait for secrets only where logs are named: without, the first secret that somebody
/// hands in says that there are any.
fn start_keys(config: &Config, tap: &Tap) -> Result<KeyReader, DaemonError> {
    let door = tap.secrets();
    if !config.key_logs.is_empty() {
        tap.follow_secrets();
    }
    let run_directory = config.run_directory();
    let hand_in = move |secrets| door.hand_in(secrets);
    KeyReader::start(&run_directory, config.key_logs.clone(), hand_in)
        .map_err(|error| DaemonError::RunDirectory(run_directory, error))
}

fn start_tap(
    config: &Config,
    matcher: Arc<Matcher>,
    queue: &Arc<Queue>,
    activity: &Activity,
    (bell, timekeeper, synchrony): (&Arc<Notify>, &Arc<Timekeeper>, &Synchrony),
) -> Result<Tap, DaemonError> {
    let settings = TapSettings::of(config).ok_or_else(|| {
        DaemonError::System(io::Error::other("the configuration names no interface"))
    })?;
    let limits = Limits {
        memory_bytes: config.capture.memory_bytes,
    };
    let keep = config.evidence.enabled.then_some(KeepPackets {
        bytes_max: config.evidence.visit_max_bytes,
        secrets: config.evidence.secrets,
    });
    Tap::start(
        settings,
        (limits, keep),
        matcher,
        Arc::clone(queue),
        activity.clone(),
        (Arc::clone(bell), Arc::clone(timekeeper), synchrony.clone()),
    )
    .map_err(DaemonError::Capture)
}

fn say_unread(error: &StoreError) {
    let text = format!("cannot read the canaries: {error}");
    say(Priority::Error, &text);
}
