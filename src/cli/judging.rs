//! Who visitors probably are, with all that is needed to say so: table, databases, sendings.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::time::Duration;

use crate::cli::{Failure, Globals, tell};
use crate::daemon::lock::DaemonLock;
use crate::daemon::status::Status;
use crate::engine::frame::Timestamp;
use crate::experiment::{Delay, Ledger, Watching, moment};
use crate::store::{CoverageRecord, EventQuery, EventRecord, StoreError, StoreReader, TapStore};
use crate::visitor::{Fit, Network, Networks, Sighting, Table};

/// Judges visitors by what lies on this machine.
#[derive(Debug)]
pub(super) struct Judge {
    table: Table,
    networks: Networks,
}

impl Judge {
    /// Reads table and databases. What cannot be used is told, and the rest is used.
    pub(super) fn load(globals: &Globals) -> Result<Self, Failure> {
        let mut judge = Self {
            table: Table::own(),
            networks: Networks::default(),
        };
        if globals.data.is_some() && !globals.config_path().exists() {
            return Ok(judge);
        }
        let config = globals.load_config()?.visitor;
        if let Some(path) = &config.table {
            for error in judge.table.add_file(path) {
                tell(&format!("canarytap: {error}"));
            }
        }
        for path in &config.databases {
            if let Err(error) = judge.networks.add(path) {
                tell(&format!("canarytap: {error}; it is left out"));
            }
        }
        Ok(judge)
    }

    /// What the databases say of an address; none without databases.
    pub(super) fn network(&self, address: IpAddr) -> Option<Network> {
        (!self.networks.is_empty()).then(|| self.networks.of(address))
    }

    /// The rows that a visit fits.
    pub(super) fn fits(
        &self,
        visit: &EventRecord,
        delay: Option<Delay>,
        reads: u64,
    ) -> Vec<Fit<'_>> {
        let network = visit.client.and_then(|client| self.network(client));
        let sighting = Sighting {
            visit,
            network: network.as_ref(),
            delay,
            reads,
        };
        sighting.fits(&self.table)
    }
}

/// When the tap was watching: what the store says, and of a tap that runs here what is not written
/// down yet.
pub(super) fn watching(globals: &Globals, stores: &[TapStore]) -> Result<Watching, Failure> {
    let written = Watching::read(stores)?;
    Ok(match present(globals) {
        Some(present) => written.and(&present),
        None => written,
    })
}

/// None also where a status cannot be read: what the store says stands by itself.
fn present(globals: &Globals) -> Option<CoverageRecord> {
    if globals.data.is_some() {
        return None; // perhaps another tap's
    }
    let directory = globals.load_config().ok()?.run_directory();
    let is_running = DaemonLock::is_held(&directory).ok()?;
    Status::read(&directory)
        .ok()
        .filter(|_| is_running)?
        .coverage
}

/// How long after its canary's sending a visit came.
pub(super) fn delay_of(visit: &EventRecord, ledger: &Ledger) -> Option<Delay> {
    let (sent, _) = ledger.first_sending(visit.canary.as_deref()?)?;
    Some(Delay::between(sent, moment(&visit.time)?))
}

/// For each visit to a canary, by `seq`: how many its client made within a minute of it.
pub(super) fn reads(reader: &StoreReader, canary: &str) -> Result<HashMap<u64, u64>, StoreError> {
    let query = EventQuery {
        canary: Some(canary.to_owned()),
        ..EventQuery::default()
    };
    let mut by_client: HashMap<IpAddr, Vec<(Timestamp, u64)>> = HashMap::new();
    reader.for_each::<StoreError>(&query, |record| {
        if let (Some(client), Some(seq), Some(at)) =
            (record.client, record.seq, moment(&record.time))
        {
            by_client.entry(client).or_default().push((at, seq));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(by_client.into_values().flat_map(near).collect())
}

/// How many of one client's visits lie within a minute of each.
fn near(mut visits: Vec<(Timestamp, u64)>) -> Vec<(u64, u64)> {
    visits.sort_unstable();
    let times: Vec<Timestamp> = visits.iter().map(|(at, _)| *at).collect();
    let count = |at: Timestamp| {
        let begin = times.partition_point(|time| time.plus(MINUTE) < at);
        let end = times.partition_point(|time| *time <= at.plus(MINUTE));
        (end - begin) as u64
    };
    visits.iter().map(|(at, seq)| (*seq, count(*at))).collect()
}

const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visits_within_a_minute_are_counted_together() {
        let at = |second: u64| Timestamp::from_secs_nanos(1_000_000 + second, 0);
        let counts = near(vec![(at(0), 1), (at(60), 2), (at(121), 3), (at(500), 4)]);
        assert_eq!(counts, [(1, 2), (2, 2), (3, 1), (4, 1)]);
    }
}
