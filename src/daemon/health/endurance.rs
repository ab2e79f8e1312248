//! Days of a home's traffic, in capture time: nothing grows, nothing leaks, no fault is missed.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use etherparse::PacketBuilder;

use super::tests::names;
use super::*;
use crate::capture::LinkState;
use crate::config::Config;
use crate::daemon::matching::Built;
use crate::engine::Engine;
use crate::engine::event::{Detail, Event, EventId, EventSink};
use crate::engine::frame::{Frame, LinkType, Timestamp};
use crate::engine::limits::Limits;
use crate::store::{COVERAGE, HEALTH, Incoming, Store, StoreOptions, StoreReader};

/// In a process of its own: others' memory and files would count too.
#[test]
fn days_of_traffic_neither_grow_nor_leak_and_no_fault_is_missed() {
    const NAME: &str =
        "daemon::health::endurance::days_of_traffic_neither_grow_nor_leak_and_no_fault_is_missed";
    if std::env::var_os("CANARYTAP_TEST_ENDURANCE").is_some() {
        return Home::new().live(hours());
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([NAME, "--exact", "--nocapture"])
        .env("CANARYTAP_TEST_ENDURANCE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Six of them have every fault; the whole is three days.
fn hours() -> u64 {
    match std::env::var_os("CANARYTAP_TEST_LONG") {
        Some(_) => 72,
        None => 6,
    }
}

/// What happens to the mirror in some minutes of each day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mirror {
    Well,
    Cut,
    OneWay,
    Doubled,
    Unplugged,
}

impl Mirror {
    fn at(second: u64) -> Self {
        let (hour, minute) = (second / 3600 % 24, second / 60 % 60);
        match (hour, minute) {
            (2, 10..20) => Self::Cut,
            (3, 10..20) => Self::OneWay,
            (4, 10..20) => Self::Doubled,
            (5, 10..20) => Self::Unplugged,
            _ => Self::Well,
        }
    }

    fn fault(self) -> Option<&'static str> {
        match self {
            Self::Well => None,
            Self::Cut => Some("mirror_silent"),
            Self::OneWay => Some("one_direction"),
            Self::Doubled => Some("frames_doubled"),
            Self::Unplugged => Some("link_down"),
        }
    }
}

#[derive(Default)]
struct Batch(Vec<Incoming>);

impl EventSink for Batch {
    fn on_event(&mut self, event: Event) {
        self.0.push(Incoming::Event(event));
    }

    fn on_detail(&mut self, detail: Detail) {
        self.0.push(Incoming::Detail(detail));
    }

    fn on_settled(&mut self, id: EventId) {
        self.0.push(Incoming::Settled(id));
    }
}

/// A tap without its threads, and the home that it listens to.
struct Home {
    folder: tempfile::TempDir,
    engine: Engine,
    store: Store,
    health: Health,
    chronicle: Chronicle,
    tracker: Tracker,
    tap: TapReport,
    batch: Batch,
    start: Instant,
    second: u64,
    connections: u64,
    /// Moments at which a fault was not named, or one that was none.
    missed: Vec<String>,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "[store]\ndirectory = \"{}\"\n{CONFIG}",
            folder.path().display()
        );
        let config = Config::parse(&text, Path::new("c.toml")).unwrap();
        let store = Store::open(folder.path(), StoreOptions::default()).unwrap();
        let matcher = Built::of(&config).unwrap().matcher;
        let limits = Limits {
            memory_bytes: 8 << 20,
        };
        let start = Instant::now();
        Self {
            engine: Engine::new(limits, Arc::clone(&matcher)),
            store,
            health: Health::new(Habit::default(), start),
            chronicle: Chronicle::default(),
            tracker: Tracker::new("boot".into()),
            tap: TapReport {
                link: Some(LinkState {
                    index: 3,
                    enabled: true,
                    up: true,
                    ..LinkState::default()
                }),
                ..TapReport::default()
            },
            batch: Batch::default(),
            start,
            second: 0,
            connections: 0,
            missed: Vec::new(),
            folder,
        }
    }

    fn live(mut self, hours: u64) {
        self.pass_until(3600);
        let (memory, files, heap) = (resident(), open_files(), self.engine.heap_bytes());
        self.pass_until(hours * 3600);
        let now = resident();
        println!(
            "after 1 h: {memory} KiB resident, {files} files; after {hours} h and {} connections: {now} KiB, {} files",
            self.connections,
            open_files()
        );
        assert_eq!(open_files(), files);
        assert!(now * 100 <= memory * 105, "{memory} KiB, then {now} KiB");
        assert!(self.engine.heap_bytes() <= heap + heap / 20 + 65_536);
        assert!(self.missed.is_empty(), "{:?}", self.missed);
        self.judge_log(hours);
    }

    /// Each fault of each day stands in the log with its beginning and its end, and every hour is
    /// accounted for.
    fn judge_log(&self, hours: u64) {
        let reader = StoreReader::open(self.folder.path()).unwrap();
        let records: Vec<(u64, crate::store::HealthRecord)> = reader.records(HEALTH, 0).unwrap();
        let days = hours.div_ceil(24);
        for name in [
            "mirror_silent",
            "one_direction",
            "frames_doubled",
            "link_down",
        ] {
            for state in ["begins", "ends"] {
                let told = records
                    .iter()
                    .filter(|(_, one)| one.fault == name && one.state == state);
                assert_eq!(told.count() as u64, days, "{name} {state}: {records:?}");
            }
        }
        let covered: Vec<(u64, crate::store::CoverageRecord)> =
            reader.records(COVERAGE, 0).unwrap();
        assert_eq!(covered.len() as u64, hours - 1, "the last hour is open");
        let begin = Timestamp::from_secs_nanos(BEGIN, 0);
        let end = Timestamp::from_secs_nanos(BEGIN + (hours - 1) * 3600, 0);
        let coverage = reader.coverage(begin, end).unwrap();
        let blind = coverage.blind.as_secs() / 60;
        // Three faults of ten minutes a day blind it, and each is shown a little longer.
        let least = if hours > 6 { days * 30 } else { 20 };
        assert!(
            (least..least + days * 9).contains(&blind),
            "{blind} minutes: {coverage:?}"
        );
        assert!(reader.verify(&[]).unwrap().broken.is_none());
    }

    fn pass_until(&mut self, end: u64) {
        while self.second < end {
            self.second += 1;
            let mirror = Mirror::at(self.second);
            self.tap.link.iter_mut().for_each(|link| {
                link.up = mirror != Mirror::Unplugged;
                link.received += u64::from(matches!(
                    mirror,
                    Mirror::Well | Mirror::OneWay | Mirror::Doubled
                ));
            });
            // The first hour is a busy one: whatever grows with use has done so after it.
            if self.second <= 3600 || self.second % 4 == 0 {
                self.connect(mirror);
            }
            self.engine.on_tick(self.wall(), &mut self.batch);
            self.judge(mirror);
            if self.second % 60 == 0 {
                self.store
                    .commit(&std::mem::take(&mut self.batch.0))
                    .unwrap();
            }
        }
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_secs_nanos(BEGIN + self.second, 0)
    }

    fn judge(&mut self, mirror: Mirror) {
        self.tap.counters.clone_from(self.engine.counters());
        let now = self.start + Duration::from_secs(self.second);
        let verdict = self.health.judge(
            &Reports {
                tap: &self.tap,
                keeper: &KeeperReport::default(),
                keys: &KeysReport::default(),
                light: None,
                room: None,
                set_up: SetUp::default(),
            },
            now,
        );
        // Half a minute after it began, and until it ends, each is named.
        let since = (0..=30).all(|ago| Mirror::at(self.second.saturating_sub(ago)) == mirror);
        let named = mirror
            .fault()
            .is_none_or(|fault| names(&verdict).contains(&fault));
        if since && !named {
            self.missed.push(format!("{mirror:?} at {} s", self.second));
        }
        let calm = (0..=120).all(|ago| Mirror::at(self.second.saturating_sub(ago)) == Mirror::Well);
        if calm && !verdict.faults.is_empty() {
            self.missed
                .push(format!("false at {} s: {:?}", self.second, names(&verdict)));
        }
        let at = Moment {
            wall: self.wall(),
            uptime: Duration::from_secs(self.second),
            synchronised: Some(true),
        };
        for record in self.chronicle.note(&verdict.faults, now, at) {
            self.store.add_records(HEALTH, &[record]).unwrap();
        }
        let events = self.tap.counters.events;
        let hour = self
            .tracker
            .look(at, verdict.blinding(), verdict.silent_for, events);
        if let Some(hour) = hour {
            self.store.add_records(COVERAGE, &[hour]).unwrap();
        }
    }

    /// One connection with a request and its answer, as far as the mirror shows it.
    fn connect(&mut self, mirror: Mirror) {
        if matches!(mirror, Mirror::Cut | Mirror::Unplugged) {
            return;
        }
        self.connections += 1;
        let port = 10_000 + u16::try_from(self.connections % 50_000).unwrap();
        let request = format!(
            "GET /page/{} HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: endurance\r\n\r\n",
            self.connections
        );
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        let (asked, told) = (request.len() as u32, answer.len() as u32);
        let number = self.connections as u32;
        // Sequence numbers begin anew at 2^32, here as on the wire.
        let (ours, theirs) = (
            1000_u32.wrapping_mul(number),
            77_000_u32.wrapping_mul(number),
        );
        let (ours_at, theirs_at) = (
            |at: u32| ours.wrapping_add(at),
            |at: u32| theirs.wrapping_add(at),
        );
        let frames = [
            (true, "S", ours, 0, ""),
            (false, "SA", theirs, ours_at(1), ""),
            (true, "A", ours_at(1), theirs_at(1), ""),
            (true, "A", ours_at(1), theirs_at(1), request.as_str()),
            (false, "A", theirs_at(1), ours_at(1 + asked), answer),
            (true, "A", ours_at(1 + asked), theirs_at(1 + told), ""),
            (true, "FA", ours_at(1 + asked), theirs_at(1 + told), ""),
            (false, "FA", theirs_at(1 + told), ours_at(2 + asked), ""),
            (true, "A", ours_at(2 + asked), theirs_at(2 + told), ""),
        ];
        for (at, (towards, flags, seq, ack, payload)) in frames.into_iter().enumerate() {
            if !towards && mirror == Mirror::OneWay {
                continue;
            }
            let bytes = frame(towards, port, flags, seq, ack, payload);
            let time = self.wall().plus(Duration::from_micros(at as u64 * 100));
            for _ in 0..=u8::from(mirror == Mirror::Doubled) {
                let frame = Frame {
                    time,
                    link: LinkType::Ethernet,
                    wire_len: bytes.len() as u32,
                    bytes: &bytes,
                };
                self.engine.on_frame(&frame, &mut self.batch);
            }
        }
    }
}

fn frame(towards: bool, port: u16, flags: &str, seq: u32, ack: u32, payload: &str) -> Vec<u8> {
    let (visitor, server) = ([203, 0, 113, 7], [192, 168, 1, 10]);
    let (from, to, ports) = match towards {
        true => (visitor, server, (port, 80)),
        false => (server, visitor, (80, port)),
    };
    let mut packet = PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4(from, to, 60)
        .tcp(ports.0, ports.1, seq, 64_000);
    if flags.contains('S') {
        packet = packet.syn();
    }
    if flags.contains('F') {
        packet = packet.fin();
    }
    if flags.contains('A') {
        packet = packet.ack(ack);
    }
    let mut bytes = Vec::new();
    packet.write(&mut bytes, payload.as_bytes()).unwrap();
    bytes
}

/// Resident memory of this process in KiB (proc(5)).
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

const BEGIN: u64 = 1_700_000_000;

const CONFIG: &str = r#"
[capture]
ports = [80]
[home]
networks = ["192.168.1.0/24"]
[[host]]
name = "www.example.org"
"#;
