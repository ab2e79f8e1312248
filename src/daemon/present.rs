//! The present state of every part, as `status` shows it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::Config;
use crate::daemon::health::Verdict;
use crate::daemon::keeper::KeeperReport;
use crate::daemon::keys::{KeysReport, LogState};
use crate::daemon::status::{
    CaptureStatus, KeyLogStatus, KeysStatus, LightsStatus, Status, StoreStatus,
};
use crate::daemon::tap::TapReport;
use crate::daemon::wear::Wear;
use crate::store::CoverageRecord;

/// What is known of every part.
#[derive(Debug)]
pub struct Present<'a> {
    /// What was configured.
    pub config: &'a Config,
    /// When the daemon started.
    pub started: &'a str,
    /// How many canaries are watched.
    pub canaries: usize,
    /// What the capture thread reports.
    pub tap: &'a TapReport,
    /// What the keeper reports.
    pub keeper: &'a KeeperReport,
    /// What the follower of key logs reports.
    pub keys: &'a KeysReport,
    /// The lights.
    pub lights: LightsStatus,
    /// Whether the clock is set from the network, where somebody says.
    pub clock_synchronised: Option<bool>,
    /// The account of the present hour.
    pub coverage: Option<CoverageRecord>,
    /// What the card had to bear.
    pub wear: &'a Wear,
    /// How much of the sandbox the kernel knows.
    pub landlock: &'static str,
}

impl Present<'_> {
    /// All of it, with what is wrong.
    pub fn status(self, verdict: Verdict) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: self.started.to_owned(),
            updated: String::new(), // stamped when it is written
            updated_uptime_micros: None,
            healthy: verdict.faults.is_empty(),
            faults: verdict.faults,
            warnings: verdict.warnings,
            capture: self.capture(),
            counters: self.counters(),
            store: self.store(),
            keys: self.keys(),
            lights: self.lights,
            unacknowledged: self.keeper.unacknowledged,
            last_event: self.keeper.last_event.clone(),
            last_alert: self.keeper.last_alert,
            clock_synchronised: self.clock_synchronised,
            coverage: self.coverage,
            landlock: self.landlock.to_owned(),
            sinks: Vec::new(),
        }
    }

    fn counters(&self) -> BTreeMap<String, u64> {
        let mut counters = BTreeMap::new();
        self.tap.counters.for_each(|name, value| {
            counters.insert(name.to_owned(), value);
        });
        counters
    }

    fn capture(&self) -> CaptureStatus {
        let (tap, interface) = (self.tap, &self.config.capture.interface);
        CaptureStatus {
            interface: interface.clone().unwrap_or_default(),
            link_up: tap.fault.is_none() && tap.link.is_none_or(|link| link.up),
            received: tap.stats.received,
            dropped_kernel: tap.stats.dropped_kernel,
            dropped_interface: tap.stats.dropped_interface,
            frames_on_interface: tap.link.map_or(0, |link| link.received),
            flows: tap.flows,
            heap_bytes: tap.heap_bytes,
            canaries: self.canaries,
        }
    }

    fn keys(&self) -> KeysStatus {
        let log = |(path, state): &(PathBuf, LogState)| KeyLogStatus {
            path: path.clone(),
            state: match state {
                LogState::Followed => "followed".into(),
                LogState::Missing => "missing".into(),
                LogState::Exposed => "exposed".into(),
                LogState::Unreadable(error) => error.clone(),
            },
        };
        KeysStatus {
            logs: self.keys.logs.iter().map(log).collect(),
            secrets: self.keys.secrets,
            refused: self.keys.refused,
            waiting: self.tap.secrets_waiting,
        }
    }

    fn store(&self) -> StoreStatus {
        let keeper = self.keeper;
        StoreStatus {
            directory: self.config.store.directory.clone(),
            last_seq: keeper.last_seq,
            pending: keeper.pending,
            dropped_requests: keeper.dropped.requests,
            dropped_visits: keeper.dropped.visits,
            dropped_details: keeper.dropped.details,
            dropped_packets: keeper.dropped_packets,
            visits_bytes: keeper.visits_bytes,
            visits_max_bytes: keeper.visits_max_bytes,
            written_bytes: self.wear.total(),
            written_bytes_day: self.wear.last_day(),
            fault: keeper.fault.clone(),
        }
    }
}
