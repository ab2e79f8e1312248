//! Hands packets of one class to the engine, for a profiler to count instructions.
//!
//! `canarytap-instructions CLASS [HOSTS CANARIES FLOWS]` prints how many packets [`measured`] took,
//! and the CPU time of each in nanoseconds; with no argument, the classes. What comes before
//! `measured`, to bring the engine where the class begins, is not meant to be counted. The same
//! inputs in every run; only the numbers that hashes begin with differ.
//!
//! `floor` in the place of a class reads memory as flows would, and does nothing with it.
//!
//! So many hosts and canaries are watched, and so many flows with half a request are open.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use canarytap::engine::canary::{
    Canary, Home, HostPattern, Matcher, NormalizedUrl, PortSet, Watch,
};
use canarytap::engine::event::{Detail, Event, EventId, EventSink, Kept};
use canarytap::engine::frame::{Frame, LinkType, Timestamp};
use canarytap::engine::limits::Limits;
use canarytap::engine::{Engine, FRAMES_MAX, KeepPackets};

mod classes;
mod floor;
mod packets;
mod quic;
#[path = "../../sealing.rs"]
mod sealing;

/// What a class is made of.
pub struct Class {
    /// As the table calls it.
    pub name: &'static str,
    make: fn(&Size) -> Play,
}

/// Packets, and what the engine must have found in them.
#[derive(Default)]
pub struct Play {
    /// Frames that go before.
    pub before: Vec<Vec<u8>>,
    /// Frames that are counted.
    pub frames: Vec<Vec<u8>>,
    /// Memory that the engine may have; 0 for the default, or for what many flows need.
    pub memory_bytes: usize,
    /// Whether packets of visits are kept.
    pub keeps: bool,
    /// Secrets of TLS that are known from the start.
    pub secrets: Vec<canarytap::engine::app::tls::keylog::KeyLogEntry>,
    /// Events, alerts among them, that must come of it.
    pub events: u64,
    pub alerts: u64,
}

fn main() -> ExitCode {
    let Some(wanted) = std::env::args().nth(1) else {
        for class in classes::ALL {
            println!("{}", class.name);
        }
        return ExitCode::SUCCESS;
    };
    if wanted == "floor" {
        return print_floor();
    }
    let Some(class) = classes::ALL.iter().find(|class| class.name == wanted) else {
        eprintln!("no class {wanted}");
        return ExitCode::from(2);
    };
    let Some(size) = Size::read() else {
        eprintln!("HOSTS CANARIES FLOWS are three numbers");
        return ExitCode::from(2);
    };
    let play = (class.make)(&size);
    let mut tap = Tap::new(&size, &play);
    for some in 0..size.flows.div_ceil(VISITORS) {
        let visitors = (some * VISITORS..size.flows).take(VISITORS as usize);
        tap.play(&visitors.flat_map(classes::half_request).collect::<Vec<_>>());
    }
    for secret in &play.secrets {
        tap.engine.on_secret(secret, &mut tap.heard);
    }
    tap.play(&play.before);
    let begin = cpu_nanoseconds();
    measured(&mut tap, &play.frames);
    let spent = cpu_nanoseconds().saturating_sub(begin);
    tap.engine.finish(&mut tap.heard);
    let heard = (tap.heard.events, tap.heard.alerts);
    if heard != (play.events, play.alerts) {
        eprintln!(
            "{wanted}: {heard:?} events and alerts, not {:?}",
            (play.events, play.alerts)
        );
        return ExitCode::FAILURE;
    }
    let packets = play.frames.len();
    println!("{packets} {}", spent / packets as u64);
    ExitCode::SUCCESS
}

/// Packets for which memory is read by itself.
const FLOOR_PACKETS: u32 = 20_000;

fn print_floor() -> ExitCode {
    let Some(size) = Size::read() else {
        return ExitCode::from(2);
    };
    let mut floor = floor::Floor::new(size.flows.max(1));
    let begin = cpu_nanoseconds();
    floor.read(FLOOR_PACKETS);
    let spent = cpu_nanoseconds() - begin;
    println!("{FLOOR_PACKETS} {}", spent / u64::from(FLOOR_PACKETS));
    ExitCode::SUCCESS
}

/// Visitors whose frames are made at once.
const VISITORS: u32 = 64;

/// How much there is besides.
pub struct Size {
    pub hosts: u32,
    pub canaries: u32,
    pub flows: u32,
}

impl Size {
    /// Fifty hosts and a thousand canaries: what a household that has many might watch.
    fn read() -> Option<Self> {
        let mut numbers = std::env::args().skip(2).map(|one| one.parse());
        let mut next = |default| numbers.next().unwrap_or(Ok(default)).ok();
        Some(Self {
            hosts: next(50)?,
            canaries: next(1000)?,
            flows: next(0)?,
        })
    }
}

/// Time that this thread had on a processor.
fn cpu_nanoseconds() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    (time.tv_sec * 1_000_000_000 + time.tv_nsec) as u64
}

/// What the profiler counts.
#[inline(never)]
fn measured(tap: &mut Tap, frames: &[Vec<u8>]) {
    tap.play(frames);
    black_box(tap.microseconds); // that it ends here, and not with a jump
}

struct Tap {
    engine: Engine,
    heard: Heard,
    microseconds: u64,
}

#[derive(Default)]
struct Heard {
    events: u64,
    alerts: u64,
}

impl EventSink for Heard {
    fn on_event(&mut self, event: Event) {
        self.events += 1;
        self.alerts += u64::from(event.alert);
        black_box(event);
    }
    fn on_detail(&mut self, detail: Detail) {
        black_box(detail);
    }
    fn on_settled(&mut self, _: EventId) {}
    fn on_kept(&mut self, kept: Kept<'_>) {
        black_box(kept);
    }
}

impl Tap {
    fn new(size: &Size, play: &Play) -> Self {
        let mut limits = Limits::default();
        if play.memory_bytes > 0 {
            limits.memory_bytes = play.memory_bytes;
        } else if size.flows > 100_000 {
            limits.memory_bytes = 256 << 20; // none of them is to be evicted
        }
        let mut engine = Engine::new(limits, Arc::new(matcher(size)));
        if play.keeps {
            engine.keep_packets(KeepPackets {
                bytes_max: 1 << 40,
                secrets: false,
            });
        }
        Self {
            engine,
            heard: Heard::default(),
            microseconds: 1_767_225_600_000_000, // 2026-01-01
        }
    }

    fn play(&mut self, frames: &[Vec<u8>]) {
        for some in frames.chunks(FRAMES_MAX) {
            let microseconds = &mut self.microseconds;
            let mut frames = some.iter().map(|bytes| {
                *microseconds += 7;
                frame(Timestamp::from_nanos(*microseconds * 1000), bytes)
            });
            // As a replay does, which knows what comes next.
            self.engine
                .on_frames(&mut frames, &mut |_, _| {}, &mut self.heard);
        }
    }
}

fn frame(time: Timestamp, bytes: &[u8]) -> Frame<'_> {
    Frame {
        time,
        link: LinkType::Ethernet,
        wire_len: bytes.len() as u32,
        bytes,
    }
}

fn matcher(size: &Size) -> Matcher {
    Matcher::new(Watch {
        all_hosts: false,
        hosts: (0..size.hosts)
            .map(|number| HostPattern::Exact(format!("host{number}.example.org")))
            .collect(),
        ports: PortSet::Some(vec![80, 443]),
        canaries: (0..size.canaries)
            .map(|number| Arc::new(canary(number, size.hosts)))
            .collect(),
        home: Home::private(),
    })
}

fn canary(number: u32, hosts: u32) -> Canary {
    let token = classes::token(number);
    let written = format!("https://host{}.example.org/share/{token}", number % hosts);
    Canary {
        id: token.clone(),
        channel: "chat".to_owned(),
        label: None,
        url: NormalizedUrl::parse(&written).expect("a URL of ours"),
        written,
        token: Some(token),
        control: false,
    }
}
