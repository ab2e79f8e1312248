//! What there is to see, as the store and the daemon say it at one moment.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

use crate::cli::{Failure, Globals, time};
use crate::daemon::lock::DaemonLock;
use crate::daemon::status::Status;
use crate::led::LedPattern;
use crate::store::{
    Acknowledge, EventQuery, EventRecord, Store, StoreError, StoreOptions, TapStore, canaries_of,
};

/// Where it comes from.
#[derive(Debug)]
pub(super) struct Source {
    directory: PathBuf,
    /// None: only a data directory is named, perhaps one that was copied from elsewhere.
    run_directory: Option<PathBuf>,
    /// One store, or the copies of several taps'.
    stores: Vec<TapStore>,
}

/// What there is to see.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The daemon's own words; none when it does not run here.
    pub(super) status: Option<Status>,
    /// What each light plays.
    pub(super) armed: LedPattern,
    pub(super) alert: LedPattern,
    /// Alerts that wait.
    pub(super) waiting: u64,
    /// The last events, newest last.
    pub(super) events: Vec<EventRecord>,
    /// Canaries: channel, label or link, visits, alerts.
    pub(super) canaries: Vec<CanaryLine>,
}

/// One canary with its counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CanaryLine {
    pub(super) channel: String,
    pub(super) name: String,
    pub(super) visits: u64,
    pub(super) alerts: u64,
}

impl Source {
    pub(super) fn open(globals: &Globals) -> Result<Self, Failure> {
        let directory = globals.data_directory()?;
        let run_directory = match globals.config_path().exists() {
            true => Some(globals.load_config()?.run_directory()),
            false => None,
        };
        Ok(Self {
            stores: TapStore::open_all(&directory)?,
            directory,
            run_directory,
        })
    }

    pub(super) fn look(&self) -> Result<View, Failure> {
        let status = self.status()?;
        let waiting = self
            .stores
            .iter()
            .map(|store| store.reader.unacknowledged());
        let waiting = waiting.collect::<Result<Vec<_>, StoreError>>()?;
        let alert = match waiting.iter().flatten().next() {
            None => LedPattern::Dark,
            Some(waiting) => match waiting.method.as_deref() {
                Some("HEAD") => LedPattern::AlertHead,
                Some("GET") => LedPattern::AlertGet,
                _ => LedPattern::AlertOther,
            },
        };
        let armed = match &status {
            None => LedPattern::Dark,
            Some(status) if status.healthy => LedPattern::ArmedFlash,
            Some(_) => LedPattern::Fault,
        };
        Ok(View {
            status,
            armed,
            alert,
            waiting: waiting.iter().flatten().map(|one| one.count).sum(),
            events: self.events()?,
            canaries: self.canaries()?,
        })
    }

    /// Acknowledges every alert; what came of it, in words.
    pub(super) fn acknowledge(&self) -> Result<String, Failure> {
        if self.stores.len() > 1 {
            return Ok("acknowledge on each tap".to_owned());
        }
        let done = Store::open_existing(&self.directory, StoreOptions::default())
            .and_then(|mut store| store.acknowledge(&Acknowledge::All, time::now()));
        Ok(match done {
            Ok(done) => format!("{} acknowledged", done.newly),
            Err(error) => error.to_string(),
        })
    }

    fn status(&self) -> Result<Option<Status>, Failure> {
        let Some(directory) = &self.run_directory else {
            return Ok(None);
        };
        match DaemonLock::is_held(directory) {
            Ok(true) => Ok(Status::read(directory).ok()),
            Ok(false) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::Bad(format!(
                "cannot look into {}: {error}",
                directory.display()
            ))),
        }
    }

    /// The newest events of all taps, newest last. `seq` has no holes that matter: what was pruned
    /// is old.
    fn events(&self) -> Result<Vec<EventRecord>, Failure> {
        let mut events = VecDeque::new();
        for store in &self.stores {
            newest(store, &mut events)?;
        }
        let mut events = Vec::from(events);
        if self.stores.len() > 1 {
            events.sort_by(|one, other| one.time.cmp(&other.time));
        }
        Ok(events)
    }

    fn canaries(&self) -> Result<Vec<CanaryLine>, Failure> {
        let mut lines: HashMap<String, CanaryLine> = HashMap::new();
        let known = canaries_of(&self.stores)?;
        for canary in &known {
            let line = CanaryLine {
                channel: canary.channel.clone(),
                name: canary.label.clone().unwrap_or(canary.url.clone()),
                visits: 0,
                alerts: 0,
            };
            lines.insert(canary.id.clone(), line);
        }
        for store in &self.stores {
            for (id, visits) in store.reader.visits()? {
                if let Some(line) = lines.get_mut(&id) {
                    line.visits += visits.count;
                    line.alerts += visits.alerts;
                }
            }
        }
        let ordered = known.iter().filter_map(|canary| lines.remove(&canary.id));
        let mut lines: Vec<CanaryLine> = ordered.collect();
        lines.sort_by_key(|line| std::cmp::Reverse(line.alerts));
        lines.truncate(CANARIES_MAX);
        Ok(lines)
    }
}

/// Adds the newest events of one tap, of which so many are kept.
fn newest(store: &TapStore, events: &mut VecDeque<EventRecord>) -> Result<(), Failure> {
    let query = EventQuery {
        after: store.reader.last_seq()?.saturating_sub(EVENTS_LOOKED_AT),
        ..EventQuery::default()
    };
    let before = events.len();
    store.reader.for_each::<Failure>(&query, |event| {
        if events.len() == before + EVENTS_MAX {
            events.remove(before);
        }
        events.push_back(event);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(())
}

/// Events that are shown: more than any terminal has lines.
const EVENTS_MAX: usize = 200;
/// Numbers that are looked at for them; details and records of health have some of these.
const EVENTS_LOOKED_AT: u64 = 1000;
/// Canaries that are shown.
const CANARIES_MAX: usize = 200;
