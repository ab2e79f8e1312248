//! What the report speaks of, taken from the store in one pass over the visits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::time::Duration;

use crate::cli::judging::{Judge, delay_of, reads};
use crate::cli::{Failure, experiment, selftest};
use crate::engine::frame::Timestamp;
use crate::experiment::{Answers, Delay, Ledger, Watching, moment};
use crate::store::{EventQuery, EventRecord, StoredCanary, TapStore, for_each_of, open_folds_of};

/// Where a report is gathered from.
pub(super) struct Gather<'a> {
    /// One store, or those of several taps.
    pub(super) stores: &'a [TapStore],
    pub(super) ledger: &'a Ledger,
    pub(super) watching: &'a Watching,
    pub(super) judge: &'a Judge,
    pub(super) known: &'a [StoredCanary],
    /// Visits at this time or later.
    pub(super) since: Option<Timestamp>,
    /// The moment of which it speaks.
    pub(super) now: Timestamp,
}

/// All that stands in a report.
pub(super) struct Report {
    /// The moment of which it speaks.
    pub(super) now: Timestamp,
    /// Answers, one for each experiment, then one for what belongs to none.
    pub(super) answers: Vec<Answers>,
    /// The newest alerts, oldest first, at most [`ALERTS_MAX`].
    pub(super) alerts: Vec<Alert>,
    /// Alerts before those.
    pub(super) earlier: u64,
    /// Visits that the owner made to test the tap, which stand nowhere in it.
    pub(super) selftests: u64,
    /// Visitors by network, most visits first.
    pub(super) networks: Vec<NetworkVisits>,
}

/// A visit that alerted, with what is known around it.
pub(super) struct Alert {
    pub(super) record: EventRecord,
    /// When it came.
    pub(super) at: Timestamp,
    /// How long after sending.
    pub(super) delay: Option<Delay>,
    /// What databases say of its client.
    pub(super) network: Option<String>,
    /// The known fetcher that it fits best.
    pub(super) fit: Option<String>,
    /// Known fetchers that it fits, in words.
    pub(super) fits: Vec<String>,
    /// What the same client asked for next.
    pub(super) next: Vec<String>,
}

/// The visits of one network.
#[derive(Default)]
pub(super) struct NetworkVisits {
    /// Its name, or the address where no database knows one.
    pub(super) name: String,
    /// Visits.
    pub(super) visits: u64,
    /// Addresses, at most [`CLIENTS_MAX`].
    pub(super) clients: BTreeSet<IpAddr>,
    /// Channels whose canaries were visited.
    pub(super) channels: BTreeSet<String>,
    /// Methods.
    pub(super) methods: BTreeSet<String>,
}

impl Gather<'_> {
    /// Everything, or one experiment.
    pub(super) fn report(&self, name: Option<&str>) -> Result<Report, Failure> {
        let answers = self.answers(name)?;
        let about: Option<BTreeSet<String>> = name.map(|_| ids(&answers));
        let mut report = Report {
            now: self.now,
            answers,
            alerts: Vec::new(),
            earlier: 0,
            selftests: 0,
            networks: Vec::new(),
        };
        let mut newest = std::collections::VecDeque::new();
        let mut networks: BTreeMap<String, NetworkVisits> = BTreeMap::new();
        let query = EventQuery {
            alerts: true,
            since: self.since,
            ..EventQuery::default()
        };
        let mut take = |record: EventRecord| {
            let id = record.canary.clone().unwrap_or_default();
            if about.as_ref().is_some_and(|about| !about.contains(&id)) {
                return;
            }
            if selftest::made(&record) {
                report.selftests += record.visits();
                return;
            }
            self.count(&record, &mut networks);
            if newest.len() == ALERTS_MAX {
                newest.pop_front();
                report.earlier += 1;
            }
            newest.push_back(record);
        };
        for_each_of::<Failure>(self.stores, &query, |record| {
            take(record);
            Ok(ControlFlow::Continue(()))
        })?;
        open_folds_of(self.stores, &query)?
            .into_iter()
            .for_each(take);
        report.alerts = self.alerts(newest)?;
        report.networks = networks.into_values().collect();
        report
            .networks
            .sort_by_key(|network| std::cmp::Reverse(network.visits));
        Ok(report)
    }

    fn answers(&self, name: Option<&str>) -> Result<Vec<Answers>, Failure> {
        let of_plan = |plan| {
            Answers::of_plan(plan, self.ledger, self.stores, self.watching, self.now)
                .map_err(Failure::from)
        };
        if let Some(name) = name {
            return Ok(vec![of_plan(experiment::find(self.ledger, name)?)?]);
        }
        let mut answers = self
            .ledger
            .plans
            .iter()
            .map(of_plan)
            .collect::<Result<Vec<_>, _>>()?;
        let others = Answers::of_others(
            self.known,
            self.ledger,
            self.stores,
            self.watching,
            self.now,
        )?;
        if !others.channels.is_empty() || !others.controls.is_empty() {
            answers.push(others);
        }
        Ok(answers)
    }

    fn count(&self, record: &EventRecord, networks: &mut BTreeMap<String, NetworkVisits>) {
        let Some(client) = record.client else { return };
        let name = self
            .network_of(client)
            .unwrap_or_else(|| client.to_string());
        // A flood from everywhere is one line more, not a million.
        let name = match networks.len() >= NETWORKS_MAX && !networks.contains_key(&name) {
            true => "others".to_owned(),
            false => name,
        };
        let network = networks.entry(name.clone()).or_default();
        network.name = name;
        network.visits += record.visits();
        if network.clients.len() < CLIENTS_MAX {
            network.clients.insert(client);
        }
        network.channels.extend(record.channel.clone());
        network.methods.extend(record.method.clone());
    }

    fn network_of(&self, client: IpAddr) -> Option<String> {
        let network = self.judge.network(client)?;
        let is_known = network.system.is_some() || network.country.is_some();
        is_known.then(|| network.to_string())
    }

    fn alerts(
        &self,
        records: impl IntoIterator<Item = EventRecord>,
    ) -> Result<Vec<Alert>, Failure> {
        let mut repeated: HashMap<(Option<String>, String), HashMap<u64, u64>> = HashMap::new();
        let mut alerts = Vec::new();
        for record in records {
            let Some(at) = moment(&record.time) else {
                continue;
            };
            let canary = record.canary.clone().unwrap_or_default();
            let place = (record.tap.clone(), canary);
            if let (false, Some(store)) = (repeated.contains_key(&place), self.store_of(&record)) {
                let of_canary = reads(&store.reader, &place.1)?;
                repeated.insert(place.clone(), of_canary);
            }
            let known = repeated.get(&place).zip(record.seq);
            let reads = known
                .and_then(|(reads, seq)| reads.get(&seq).copied())
                .unwrap_or(1);
            let delay = delay_of(&record, self.ledger);
            let fits = self.judge.fits(&record, delay, reads);
            alerts.push(Alert {
                at,
                delay,
                network: record.client.and_then(|client| self.network_of(client)),
                fit: fits.first().map(|fit| fit.row.name.clone()),
                fits: fits.iter().map(crate::visitor::Fit::words).collect(),
                next: self.next(&record, at)?,
                record,
            });
        }
        // They stand in the order in which they were written.
        alerts.sort_by_key(|alert| alert.at);
        Ok(alerts)
    }

    /// The store that a record lies in.
    fn store_of(&self, record: &EventRecord) -> Option<&TapStore> {
        self.stores.iter().find(|store| store.tap == record.tap)
    }

    /// What the client of a visit asked for in the minute after it: a browser fetches an icon and
    /// images, a scanner does not.
    fn next(&self, visit: &EventRecord, at: Timestamp) -> Result<Vec<String>, Failure> {
        let store = self.store_of(visit);
        let (Some(seq), Some(client), Some(store)) = (visit.seq, visit.client, store) else {
            return Ok(Vec::new());
        };
        let query = EventQuery {
            after: seq,
            since: Some(at),
            until: Some(at.plus(MINUTE)),
            ..EventQuery::default()
        };
        let (mut next, mut looked) = (Vec::new(), 0);
        store.reader.for_each::<Failure>(&query, |record| {
            looked += 1;
            if record.client == Some(client) && record.canary != visit.canary {
                let method = record.method.as_deref().unwrap_or("hello");
                let target = record.target.as_deref().unwrap_or_default();
                next.push(format!("{method} {target}").trim_end().to_owned());
            }
            let enough = next.len() >= NEXT_MAX || looked >= LOOKED_MAX;
            Ok(if enough {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        Ok(next)
    }
}

fn ids(answers: &[Answers]) -> BTreeSet<String> {
    let canaries = answers.iter().flat_map(|one| {
        let sent = one.channels.iter().flat_map(|channel| &channel.canaries);
        sent.chain(&one.controls).chain(&one.comparisons)
    });
    canaries.map(|canary| canary.member.id.clone()).collect()
}

const MINUTE: Duration = Duration::from_secs(60);
/// Alerts that are shown one by one: a page with more is read by nobody.
const ALERTS_MAX: usize = 500;
/// Networks that are told apart.
const NETWORKS_MAX: usize = 500;
/// Addresses of a network that are kept.
const CLIENTS_MAX: usize = 20;
/// Requests of a visitor that are shown.
const NEXT_MAX: usize = 10;
/// Events in a visit's minute that are looked at.
const LOOKED_MAX: usize = 1000;
