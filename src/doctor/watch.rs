//! A look at the wire: the capture and the engine that `run` uses, for some seconds, and nothing
//! is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::capture::{CaptureError, CaptureStats, LinkState, LinkWatcher, Live, Waker, filter};
use crate::config::Config;
use crate::daemon::clock;
use crate::doctor::tally::{Counts, Tally};
use crate::engine::Engine;
use crate::engine::canary::{Canary, Home, HostPattern, Matcher, Watch};
use crate::engine::counters::Counters;
use crate::engine::event::{Detail, Event, EventId, EventSink, Origin};
use crate::engine::limits::Limits;
use crate::store::EventRecord;

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Frames on the interface meanwhile, by its own count. None for `any`, which has none.
    pub(super) on_interface: Option<u64>,
    /// Frames that it refused meanwhile: damaged, too long.
    pub(super) refused: u64,
    pub(super) stats: CaptureStats,
    pub(super) counts: Counts,
    pub(super) counters: Counters,
    pub(super) heard: Heard,
    /// Why it ended early.
    pub(super) broke_off: Option<String>,
}

/// Why nothing was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Blind {
    /// The interface is not named, not there, or down: another point says which.
    NoInterface,
    /// This process may not capture. By the interface's own count so many frames came.
    Forbidden(Option<u64>),
    /// libpcap or the kernel refused.
    Refused(String),
}

/// What the requests said.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    watched: Vec<HostPattern>,
    /// By host.
    pub(super) hosts: BTreeMap<String, HostCount>,
    /// Who serves the watched hosts.
    pub(super) servers: BTreeSet<IpAddr>,
    /// Events whose origin is unknown.
    pub(super) unknown: Vec<EventRecord>,
}

/// How a host was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HostCount {
    /// Requests that were read.
    pub(super) requests: u64,
    /// Connections of which the hello alone was read.
    pub(super) hellos: u64,
}

/// Looks at the wire for a while; `minted` are the store's canaries.
pub(super) fn look(
    config: &Config,
    minted: Vec<Canary>,
    home: Home,
    how_long: Duration,
) -> Result<Seen, Blind> {
    let interface = config.capture.interface.as_deref();
    let interface = interface.ok_or(Blind::NoInterface)?;
    let watcher = LinkWatcher::new(interface);
    let state = || watcher.as_ref().and_then(LinkWatcher::look);
    let before = state();
    if watcher.is_some() && !before.is_some_and(|link| link.enabled) {
        return Err(Blind::NoInterface);
    }
    let live = open(config, interface);
    if let Err(CaptureError::Permission { .. }) = live {
        thread::sleep(how_long);
        return Err(Blind::Forbidden(grown(before, state(), |link| {
            link.received
        })));
    }
    let mut live = live.map_err(|error| Blind::Refused(error.to_string()))?;
    let watch = Watch {
        all_hosts: true, // so that the hosts can be named that are asked for instead
        ..config.watch(minted, home)
    };
    // What came in while the capture was being opened was not looked at, so it is not counted.
    let before = state();
    let mut seen = listen(&mut live, config, watch, how_long);
    let after = state();
    seen.on_interface = grown(before, after, |link| link.received);
    seen.refused = grown(before, after, |link| link.refused).unwrap_or(0);
    Ok(seen)
}

/// By how much a count grew between two looks at the same interface.
fn grown(
    before: Option<LinkState>,
    after: Option<LinkState>,
    count: impl Fn(&LinkState) -> u64,
) -> Option<u64> {
    let (before, after) = (before?, after?);
    (before.index == after.index).then(|| count(&after).saturating_sub(count(&before)))
}

fn open(config: &Config, interface: &str) -> Result<Live, CaptureError> {
    let capture = &config.capture;
    let plain = filter::expression(
        &capture.ports,
        &config.server_addresses(),
        capture.responses,
    );
    let open = |filter: &str| {
        let waker = Waker::new()?;
        Live::open(interface, capture.buffer_bytes, filter, waker)
    };
    match open(&filter::with_surroundings(&plain)) {
        // Not every kind of interface has Ethernet addresses.
        Err(CaptureError::Pcap { .. }) => open(&plain),
        other => other,
    }
}

fn listen(live: &mut Live, config: &Config, watch: Watch, how_long: Duration) -> Seen {
    let mut tally = Tally::new(config.capture.ports.clone(), config.server_addresses());
    let mut heard = Heard::new(watch.hosts.clone());
    let limits = Limits {
        memory_bytes: config.capture.memory_bytes,
    };
    let mut engine = Engine::new(limits, Arc::new(Matcher::new(watch)));
    let until = Instant::now() + how_long;
    let mut broke_off = None;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let taken = live.next_frames(left, FRAMES_AT_ONCE, |frame| {
            tally.on_frame(&frame);
            engine.on_frame(&frame, &mut heard);
        });
        match taken {
            Ok(0) => engine.on_tick(clock::now(), &mut heard),
            Ok(_) => {}
            Err(error) => {
                broke_off = Some(error.to_string());
                break;
            }
        }
    }
    engine.finish(&mut heard);
    Seen {
        stats: live.stats().unwrap_or_default(),
        counts: tally.finish(),
        counters: engine.counters().clone(),
        heard,
        broke_off,
        ..Seen::default()
    }
}

impl Heard {
    /// Nothing was heard yet; `watched` tells whose servers are worth knowing.
    pub(super) fn new(watched: Vec<HostPattern>) -> Self {
        Self {
            watched,
            ..Self::default()
        }
    }

    fn count(&mut self, host: &str, was_read: bool) {
        if !self.hosts.contains_key(host) && self.hosts.len() >= HOSTS_MAX {
            return;
        }
        let count = self.hosts.entry(host.to_owned()).or_default();
        match was_read {
            true => count.requests += 1,
            false => count.hellos += 1,
        }
    }
}

impl EventSink for Heard {
    fn on_event(&mut self, event: Event) {
        let host = event.host.as_deref().or(event.sni.as_deref());
        let Some(host) = host.map(str::to_owned) else {
            return;
        };
        self.count(&host, event.method.is_some());
        if !self.watched.iter().any(|pattern| pattern.covers(&host)) {
            return;
        }
        if self.servers.len() < HOSTS_MAX {
            self.servers.insert(event.dst);
        }
        if event.origin == Origin::Unknown && self.unknown.len() < UNKNOWN_MAX {
            self.unknown.push(EventRecord::from(&event));
        }
    }

    fn on_detail(&mut self, _detail: Detail) {}

    fn on_settled(&mut self, _id: EventId) {}
}

/// Frames between two looks at the time.
const FRAMES_AT_ONCE: usize = 1024;
/// Hosts, and servers, that are told apart in one look.
const HOSTS_MAX: usize = 256;
/// Events that are kept to say why their origin is unknown; few different reasons are behind them.
const UNKNOWN_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_grows_only_while_the_interface_is_the_same() {
        let link = |index, received| {
            Some(LinkState {
                index,
                received,
                ..LinkState::default()
            })
        };
        let received = |link: &LinkState| link.received;
        assert_eq!(grown(link(3, 5), link(3, 9), received), Some(4));
        assert_eq!(grown(link(3, 5), link(4, 9), received), None);
        assert_eq!(grown(None, link(4, 9), received), None);
    }

    #[test]
    fn however_many_hosts_are_asked_for_few_are_remembered() {
        let mut heard = Heard::default();
        for number in 0..1000 {
            heard.count(&format!("host{number}"), true);
        }
        heard.count("host0", false);
        assert_eq!(heard.hosts.len(), HOSTS_MAX);
        let expected = HostCount {
            requests: 1,
            hellos: 1,
        };
        assert_eq!(heard.hosts["host0"], expected);
    }
}
