//! How the daemon begins: each room in the order in which they need one another.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};

use crate::alert::Latch;
use crate::config::Config;
use crate::daemon::clock;
use crate::daemon::evidence::EvidenceKeeper;
use crate::daemon::health::{Chronicle, Habit, Health, Room, Tracker};
use crate::daemon::journal::{Priority, say};
use crate::daemon::keeper::{Keeper, KeeperError};
use crate::daemon::keys::KeyReader;
use crate::daemon::lighting::Lighting;
use crate::daemon::lock::DaemonLock;
use crate::daemon::matching::{Built, Matching};
use crate::daemon::queue::Queue;
use crate::daemon::sandbox::Sandbox;
use crate::daemon::status::StatusFile;
use crate::daemon::synchrony::Synchrony;
use crate::daemon::tap::{Tap, TapSettings};
use crate::daemon::timekeeper::Timekeeper;
use crate::daemon::wear::Wear;
use crate::daemon::{Daemon, DaemonError};
use crate::engine::KeepPackets;
use crate::engine::canary::Matcher;
use crate::engine::frame::Timestamp;
use crate::engine::limits::Limits;
use crate::led::Activity;
use crate::store::{self, CLOCK, ClockRecord, StoreOptions, StoreReader};

impl Daemon {
    pub(super) fn start(config: Config) -> Result<Self, DaemonError> {
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

/// So far back it is looked for what is usual.
const HABIT: Duration = Duration::from_secs(7 * 24 * 3600);
