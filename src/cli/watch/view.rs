//! What there is to see, as the store and the daemon say it at one moment.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

use crate::cli::{Failure, Globals, time};
use crate::daemon::lock::DaemonLock;
use crate::daemon::status::Status;
use crate::led::LedPattern;
use crate::store::{Acknowledge, EventQuery, EventRecord, Store, StoreOptions, StoreReader};

/// Where it comes from.
#[derive(Debug)]
pub(super) struct Source {
    directory: PathBuf,
    /// None: only a data directory is named, perhaps one that was copied from elsewhere.
    run_directory: Option<PathBuf>,
    reader: StoreReader,
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
            reader: StoreReader::open(&directory)?,
            directory,
            run_directory,
        })
    }

    pub(super) fn look(&self) -> Result<View, Failure> {
        let status = self.status()?;
        let waiting = self.reader.unacknowledged()?;
        let alert = match &waiting {
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
            waiting: waiting.map_or(0, |waiting| waiting.count),
            events: self.events()?,
            canaries: self.canaries()?,
        })
    }

    /// Acknowledges every alert; what came of it, in words.
    pub(super) fn acknowledge(&self) -> Result<String, Failure> {
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

    /// The newest events. `seq` has no holes that matter: what was pruned is old.
    fn events(&self) -> Result<Vec<EventRecord>, Failure> {
        let query = EventQuery {
            after: self.reader.last_seq()?.saturating_sub(EVENTS_LOOKED_AT),
            ..EventQuery::default()
        };
        let mut events = std::collections::VecDeque::new();
        self.reader.for_each::<Failure>(&query, |event| {
            if events.len() == EVENTS_MAX {
                events.pop_front();
            }
            events.push_back(event);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(events.into())
    }

    fn canaries(&self) -> Result<Vec<CanaryLine>, Failure> {
        let visits = self.reader.visits()?;
        let lines = self.reader.canaries()?.into_iter().map(|canary| {
            let visits = visits.get(&canary.id);
            CanaryLine {
                channel: canary.channel,
                name: canary.label.unwrap_or(canary.url),
                visits: visits.map_or(0, |visits| visits.count),
                alerts: visits.map_or(0, |visits| visits.alerts),
            }
        });
        let mut lines: Vec<CanaryLine> = lines.collect();
        lines.sort_by_key(|line| std::cmp::Reverse(line.alerts));
        lines.truncate(CANARIES_MAX);
        Ok(lines)
    }
}

/// Events that are shown: more than any terminal has lines.
const EVENTS_MAX: usize = 200;
/// Numbers that are looked at for them; details and records of health have some of these.
const EVENTS_LOOKED_AT: u64 = 1000;
/// Canaries that are shown.
const CANARIES_MAX: usize = 200;
