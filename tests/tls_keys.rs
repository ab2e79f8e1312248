//! Key logs that come before, after and long after the packets, as a daemon sees it.

#![cfg(feature = "daemon")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may assert in the plainest way"
)]

use std::sync::Arc;

use canarytap::engine::Engine;
use canarytap::engine::app::tls::keylog::KeyLogEntry;
use canarytap::engine::canary::{
    Canary, Home, HostPattern, Matcher, NormalizedUrl, PortSet, Watch,
};
use canarytap::engine::event::{Detail, Event, EventId, EventKind, EventSink, Flags, Learned};
use canarytap::engine::frame::{Frame, LinkType, Timestamp};
use canarytap::engine::limits::Limits;
use proptest::prelude::*;

const CLIENT: [u8; 4] = [203, 0, 113, 77];
const SERVER: [u8; 4] = [192, 168, 1, 10];

/// Both sides' bytes in their order, and the key log.
struct Recording {
    pieces: Vec<(bool, Vec<u8>)>,
    keys: Vec<KeyLogEntry>,
}

impl Recording {
    fn read(name: &str) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures/recordings");
        let text = std::fs::read_to_string(format!("{folder}/{name}.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let pieces = json["passed"].as_array().unwrap().iter().map(|piece| {
            let hex = piece[1].as_str().unwrap().as_bytes();
            let bytes = hex.chunks(2).map(|two| {
                let two = std::str::from_utf8(two).unwrap();
                u8::from_str_radix(two, 16).unwrap()
            });
            (piece[0] == "C", bytes.collect())
        });
        let lines = json["keys"].as_array().unwrap().iter();
        let keys =
            lines.filter_map(|line| KeyLogEntry::parse(line.as_str().unwrap().as_bytes()).ok());
        Self {
            pieces: pieces.collect(),
            keys: keys.collect(),
        }
    }
}

/// Everything that the engine said.
#[derive(Default)]
struct Heard {
    events: Vec<Event>,
    details: Vec<Detail>,
    settled: Vec<EventId>,
}

impl EventSink for Heard {
    fn on_event(&mut self, event: Event) {
        self.events.push(event);
    }
    fn on_detail(&mut self, detail: Detail) {
        assert!(!self.settled.contains(&detail.of), "a detail after the end");
        self.details.push(detail);
    }
    fn on_settled(&mut self, id: EventId) {
        assert!(!self.settled.contains(&id), "settled twice");
        self.settled.push(id);
    }
}

/// An engine, and a connection that it sees.
struct Tap {
    engine: Engine,
    heard: Heard,
    sequence: [u32; 2],
    now: Timestamp,
}

impl Tap {
    fn watching(hosts: &[&str], canary: Option<&str>) -> Self {
        let canary = canary.map(|url| {
            Arc::new(Canary {
                id: "c".into(),
                channel: "mail".into(),
                label: None,
                written: url.into(),
                url: NormalizedUrl::parse(url).unwrap(),
                token: None,
                control: false,
            })
        });
        let watch = Watch {
            all_hosts: false,
            hosts: hosts
                .iter()
                .map(|host| HostPattern::parse(host).unwrap())
                .collect(),
            ports: PortSet::All,
            canaries: canary.into_iter().collect(),
            home: Home::private(),
        };
        Self {
            engine: Engine::new(Limits::default(), Arc::new(Matcher::new(watch))),
            heard: Heard::default(),
            sequence: [1000, 9000],
            now: at(1000),
        }
    }

    fn plain() -> Self {
        Self::watching(&["www.example.org"], None)
    }

    /// Puts a segment of the client's, or the server's, on the wire.
    fn send(&mut self, from_client: bool, flags: u8, bytes: &[u8]) {
        let (from, to) = if from_client { (0, 1) } else { (1, 0) };
        let (addresses, ports) = match from_client {
            true => ([CLIENT, SERVER], [40001u16, 443]),
            false => ([SERVER, CLIENT], [443, 40001]),
        };
        let mut packet = vec![0x45, 0];
        packet.extend(u16::try_from(40 + bytes.len()).unwrap().to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        packet.extend(addresses.concat());
        packet.extend(ports.map(u16::to_be_bytes).concat());
        packet.extend(self.sequence[from].to_be_bytes());
        packet.extend(self.sequence[to].to_be_bytes());
        packet.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend(bytes);
        let syn_or_fin = u32::from(flags & 3 != 0);
        self.sequence[from] += u32::try_from(bytes.len()).unwrap() + syn_or_fin;
        let frame = Frame {
            time: self.now,
            link: LinkType::RawIp,
            wire_len: u32::try_from(packet.len()).unwrap(),
            bytes: &packet,
        };
        self.engine.on_frame(&frame, &mut self.heard);
        self.now = Timestamp::from_nanos(self.now.as_nanos() + 1_000_000);
    }

    fn play(&mut self, recording: &Recording, close: bool) {
        self.send(true, 2, &[]);
        self.send(false, 0x12, &[]);
        for (from_client, bytes) in &recording.pieces {
            for part in bytes.chunks(1400) {
                self.send(*from_client, 0x18, part);
            }
        }
        if close {
            self.send(true, 0x11, &[]);
            self.send(false, 0x11, &[]);
        }
    }

    fn tell(&mut self, keys: &[KeyLogEntry]) {
        for entry in keys {
            self.engine.on_secret(entry, &mut self.heard);
        }
    }

    /// Lets so many seconds pass on a silent wire.
    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = Timestamp::from_nanos(self.now.as_nanos() + 1_000_000_000);
            self.engine.on_tick(self.now, &mut self.heard);
        }
    }

    fn finish(mut self) -> Heard {
        self.engine.finish(&mut self.heard);
        let ids: Vec<_> = self.heard.events.iter().map(|event| event.id).collect();
        let mut settled = self.heard.settled.clone();
        settled.sort();
        assert_eq!(settled, ids, "every event is settled");
        self.heard
    }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs_nanos(seconds, 0)
}

fn kinds(heard: &Heard) -> Vec<EventKind> {
    heard.events.iter().map(|event| event.kind).collect()
}

#[test]
fn without_keys_a_hello_is_told_at_once() {
    let mut tap = Tap::plain();
    tap.play(&Recording::read("13-resumed"), false);
    assert_eq!(kinds(&tap.heard), [EventKind::Hello]);
    let event = &tap.heard.events[0];
    assert_eq!(event.sni.as_deref(), Some("www.example.org"));
    assert!(event.method.is_none() && event.target.is_none());
    assert_eq!(tap.finish().events.len(), 1);
}

#[test]
fn keys_that_come_before_the_packets_give_whole_requests() {
    let recording = Recording::read("13-many");
    let mut tap = Tap::plain();
    tap.tell(&recording.keys);
    tap.play(&recording, true);
    let heard = tap.finish();
    assert_eq!(kinds(&heard), [EventKind::Request; 4]);
    assert!(heard.events.iter().all(|event| event.flags == Flags::NONE));
}

#[test]
fn while_keys_are_followed_a_hello_waits_a_minute_and_is_told() {
    let mut tap = Tap::plain();
    tap.engine.follow_secrets();
    tap.play(&Recording::read("13-resumed"), false);
    tap.wait(58);
    assert_eq!(kinds(&tap.heard), []);
    tap.wait(3);
    assert_eq!(kinds(&tap.heard), [EventKind::Hello]);
    let heard = tap.finish();
    assert_eq!(heard.events.len(), 1);
}

#[test]
fn keys_that_come_after_the_connection_open_it_all_the_same() {
    for name in ["13-many", "12-many"] {
        let recording = Recording::read(name);
        let mut tap = Tap::plain();
        tap.engine.follow_secrets();
        tap.play(&recording, true);
        tap.wait(55);
        assert_eq!(kinds(&tap.heard), []);
        tap.tell(&recording.keys);
        assert_eq!(kinds(&tap.heard), [EventKind::Request; 4], "{name}");
        let heard = tap.finish();
        assert!(
            heard
                .events
                .iter()
                .all(|event| event.flags == Flags::LATE_KEY)
        );
        assert!(heard.events.iter().all(|event| event.time < at(1001)));
        assert_eq!(heard.details.len(), 4, "each has its status");
    }
}

#[test]
fn keys_that_come_too_late_open_nothing() {
    let recording = Recording::read("13-many");
    let mut tap = Tap::plain();
    tap.engine.follow_secrets();
    tap.play(&recording, true);
    tap.wait(62);
    tap.tell(&recording.keys);
    let heard = tap.finish();
    assert_eq!(kinds(&heard), [EventKind::Hello]);
}

#[test]
fn keys_that_come_one_by_one_open_what_they_can() {
    for name in ["13-many", "13-early-data", "12-renegotiation"] {
        let recording = Recording::read(name);
        let mut whole = Tap::plain();
        whole.tell(&recording.keys);
        whole.play(&recording, true);
        let expected: Vec<_> = whole
            .finish()
            .events
            .into_iter()
            .map(|event| event.target)
            .collect();
        let mut tap = Tap::plain();
        tap.engine.follow_secrets();
        tap.play(&recording, true);
        for entry in &recording.keys {
            tap.wait(1);
            tap.tell(std::slice::from_ref(entry));
        }
        let found: Vec<_> = tap
            .finish()
            .events
            .into_iter()
            .map(|event| event.target)
            .collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_visit_known_by_its_hello_is_joined_by_its_request() {
    let recording = Recording::read("13-resumed");
    let mut tap = Tap::watching(&["*.example.org"], Some("https://www.example.org/"));
    tap.engine.follow_secrets();
    tap.play(&recording, true);
    assert_eq!(kinds(&tap.heard), []);
    tap.wait(3);
    assert_eq!(kinds(&tap.heard), [EventKind::Visit]);
    assert!(tap.heard.events[0].alert && tap.heard.events[0].method.is_none());
    tap.wait(10);
    tap.tell(&recording.keys);
    let heard = tap.finish();
    assert_eq!(heard.events.len(), 1, "one visit, one alert");
    let mut joined = heard.events[0].clone();
    for detail in &heard.details {
        assert_eq!(detail.of, joined.id);
        joined.learn(&detail.learned);
    }
    assert!(matches!(heard.details[0].learned, Learned::Request(_)));
    assert_eq!(joined.method.as_deref(), Some("GET"));
    assert_eq!(joined.target.as_deref(), Some("/tls?q=1"));
    assert_eq!(joined.status, Some(200));
    assert_eq!(joined.flags, Flags::LATE_KEY);
}

#[test]
fn a_visit_whose_keys_are_there_is_told_whole() {
    let recording = Recording::read("13-resumed");
    let mut tap = Tap::watching(&["*.example.org"], Some("https://www.example.org/"));
    tap.tell(&recording.keys);
    tap.play(&recording, true);
    tap.wait(5);
    let heard = tap.finish();
    assert_eq!(kinds(&heard), [EventKind::Visit]);
    assert_eq!(heard.events[0].method.as_deref(), Some("GET"));
}

#[test]
fn nothing_is_held_for_hosts_that_are_not_watched() {
    let recording = Recording::read("13-many");
    let mut tap = Tap::watching(&["other.example.org"], None);
    let before = tap.engine.heap_bytes();
    tap.tell(&recording.keys);
    tap.play(&recording, false);
    assert!(tap.engine.heap_bytes() < before + 64 * 1024);
    assert_eq!(tap.engine.counters().tls_not_watched, 1);
    assert_eq!(kinds(&tap.finish()), []);
}

/// What may happen to a segment on its way.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    Lost,
    Changed(usize),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        12 => Just(Fate::Arrives),
        1 => Just(Fate::Lost),
        1 => any::<usize>().prop_map(Fate::Changed),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever is lost or changed, and whenever the keys come: nothing stumbles, every event is
    /// settled once, and what is read was asked for.
    #[test]
    fn a_connection_that_suffers_is_read_as_far_as_it_goes(
        name in prop::sample::select(vec![
            "13-many", "12-many", "13-early-data", "13-key-update", "12-renegotiation", "13-retry",
            "10-aes128-sha-mac-first", "11-rc4", "12-ecdhe-rsa-aes128-sha", "12-dhe-rsa-aes256-ccm",
        ]),
        size in 1usize..1500,
        fates in prop::collection::vec(fate(), 1..80),
        keys_after in prop::collection::vec(0usize..60, 8),
        canary: bool,
    ) {
        let recording = Recording::read(name);
        let mut tap = match canary {
            true => Tap::watching(&["*.example.org"], Some("https://www.example.org/")),
            false => Tap::plain(),
        };
        tap.engine.follow_secrets();
        tap.send(true, 2, &[]);
        tap.send(false, 0x12, &[]);
        let mut fates = fates.into_iter().cycle();
        let mut keys = recording.keys.iter().zip(&keys_after).collect::<Vec<_>>();
        let mut sent = 0;
        for (from_client, bytes) in &recording.pieces {
            for part in bytes.chunks(size.max(bytes.len() / 100)) {
                keys.retain(|(entry, after)| {
                    let waits = **after > sent;
                    if !waits {
                        tap.engine.on_secret(entry, &mut tap.heard);
                    }
                    waits
                });
                sent += 1;
                match fates.next().unwrap() {
                    Fate::Arrives => tap.send(*from_client, 0x18, part),
                    Fate::Lost => tap.sequence[usize::from(!from_client)] += part.len() as u32,
                    Fate::Changed(place) => {
                        let mut part = part.to_vec();
                        let place = place % part.len();
                        part[place] ^= 0x55;
                        tap.send(*from_client, 0x18, &part);
                    }
                }
            }
        }
        tap.send(true, 0x11, &[]);
        tap.send(false, 0x11, &[]);
        tap.wait(5);
        for (entry, _) in keys {
            tap.engine.on_secret(entry, &mut tap.heard);
        }
        tap.wait(70);
        for event in tap.finish().events {
            let target = event.target.unwrap_or_default();
            let known = ["", "/1", "/2", "/3", "/4", "/early", "/tls?q=1"];
            prop_assert!(known.contains(&target.as_str()), "{}", target);
        }
    }
}
