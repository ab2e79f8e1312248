//! Frames on a real interface: what the kernel's filter lets through, tags that it strips, and
//! waits that end. Each test runs itself once more in a network of its own.

#![cfg(feature = "daemon")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may assert in the plainest way"
)]

use std::any::type_name;
use std::env;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use canarytap::capture::{Live, Waker, filter};
use canarytap::config::Responses;
use canarytap::engine::canary::PortSet;
use canarytap::engine::frame::{Frame, LinkType};
use etherparse::PacketBuilder;
use pcap::{Active, Capture};

const INSIDE: &str = "CANARYTAP_LIVE_INSIDE";
/// Longer than any working capture needs.
const PATIENCE: Duration = Duration::from_secs(20);
const BUFFER: usize = 1 << 20;

/// Runs `body` in a network namespace with a cable between `tap0` and `wire0`.
fn with_a_cable<T: Fn()>(_test: T, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_none() {
        let (_crate, name) = type_name::<T>().split_once("::").unwrap();
        let output = Command::new("unshare")
            .args(way())
            .arg(env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env(INSIDE, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        println!("{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "it failed inside");
        assert!(text.contains("1 passed"), "no test is named {name}");
        return;
    }
    ip("link add tap0 type veth peer name wire0");
    for end in ["tap0", "wire0"] {
        ip(&format!(
            "link set {end} addrgenmode none arp off multicast off up"
        ));
    }
    body();
}

/// A user namespace needs no root; without it root can do the same where there are none.
fn way() -> &'static [&'static str] {
    const WAYS: [&[&str]; 2] = [&["--user", "--map-root-user", "--net"], &["--net"]];
    let works = |way: &&[&str]| {
        let mut command = Command::new("unshare");
        let command = command.args(*way).arg("true").stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let way = WAYS.into_iter().find(works);
    way.expect("allow user namespaces (sysctl kernel.unprivileged_userns_clone=1), or be root")
}

fn ip(arguments: &str) {
    let search = format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default());
    let status = Command::new("ip")
        .args(arguments.split_whitespace())
        .env("PATH", search)
        .status();
    assert!(status.unwrap().success(), "ip {arguments}");
}

fn open(interface: &str, ports: &[u16]) -> Live {
    let expression = filter::expression(&PortSet::Some(ports.to_vec()), &[], Responses::All);
    Live::open(interface, BUFFER, &expression, Waker::new().unwrap()).unwrap()
}

/// The far end of the cable.
fn wire() -> Capture<Active> {
    Capture::from_device("wire0").unwrap().open().unwrap()
}

/// The last byte of each frame that comes in, up to one that ends in `last`, with all its bytes.
fn marks(live: &mut Live, last: u8) -> Vec<(u8, LinkType, Vec<u8>)> {
    let start = Instant::now();
    let mut marks = Vec::new();
    while start.elapsed() < PATIENCE {
        let take = |frame: Frame<'_>| {
            let mark = *frame.bytes.last().unwrap();
            marks.push((mark, frame.link, frame.bytes.to_vec()));
        };
        let taken = live.next_frames(Duration::from_millis(100), 1, take);
        if taken.unwrap() == 1 && marks.last().is_some_and(|(mark, ..)| *mark == last) {
            return marks;
        }
    }
    panic!("waited in vain for {last}, saw {marks:?}");
}

fn only_marks(marks: &[(u8, LinkType, Vec<u8>)]) -> Vec<u8> {
    marks.iter().map(|(mark, ..)| *mark).collect()
}

/// A segment to `port`, long enough that nothing pads it; it ends in `mark`.
fn segment(port: u16, mark: u8) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4([203, 0, 113, 9], [192, 0, 2, 10], 60)
        .tcp(50_000, port, 1, 1000)
        .write(&mut frame, &[[0; 31].as_slice(), &[mark]].concat())
        .unwrap();
    frame
}

/// The same frame with something between addresses and EtherType.
fn wrapped(frame: &[u8], wrapping: &[u8], cut: usize) -> Vec<u8> {
    [&frame[..12], wrapping, &frame[12 + cut..]].concat()
}

const TAG: [u8; 4] = [0x81, 0x00, 0, 10];
const OUTER_TAG: [u8; 4] = [0x88, 0xa8, 0, 20];

/// An IP packet of another protocol, or with another field of its header, than plain TCP.
fn changed(mark: u8, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = segment(9, mark);
    change(&mut frame);
    frame
}

fn ipv6(next_header: u8, mark: u8) -> Vec<u8> {
    let mut frame = segment(9, mark)[..12].to_vec();
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 16, next_header, 60]);
    frame.extend([0x20; 32]);
    frame.extend([0; 15]);
    frame.push(mark);
    frame
}

fn vxlan(mark: u8) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4([192, 0, 2, 1], [192, 0, 2, 2], 60)
        .udp(50_000, 4789)
        .write(&mut frame, &[[0; 31].as_slice(), &[mark]].concat())
        .unwrap();
    frame
}

#[test]
fn the_kernel_passes_frames_however_they_are_wrapped_and_no_others() {
    with_a_cable(
        the_kernel_passes_frames_however_they_are_wrapped_and_no_others,
        || {
            let (mut live, mut wire) = (open("tap0", &[80]), wire());
            let session = [0x88, 0x64, 0x11, 0, 0, 1, 0, 74, 0x00, 0x21];
            let label = [0x88, 0x47, 0, 0x01, 0x01, 64];
            let frames = [
                segment(80, 1),
                wrapped(&segment(80, 2), &TAG, 0),
                wrapped(&segment(80, 3), &[OUTER_TAG, TAG].concat(), 0),
                wrapped(&segment(80, 4), &session, 2),
                wrapped(&segment(80, 5), &label, 2),
                segment(8081, 100),
                changed(6, |frame| frame[20] = 0x20), // the first of several fragments
                changed(7, |frame| frame[21] = 0x10), // the last of several fragments
                changed(8, |frame| frame[23] = 47),   // GRE
                changed(9, |frame| frame[23] = 4),
                changed(101, |frame| frame[23] = 1), // ICMP
                ipv6(44, 10),                        // a fragment
                ipv6(58, 102),                       // ICMPv6
                vxlan(11),
                segment(80, 12),
            ];
            for frame in frames {
                wire.sendpacket(frame).unwrap();
            }
            let seen = marks(&mut live, 12);
            assert_eq!(only_marks(&seen), (1..=12).collect::<Vec<_>>());
            assert!(seen.iter().all(|(_, link, _)| *link == LinkType::Ethernet));
            // The kernel strips the outer tag; libpcap puts it back.
            assert_eq!(seen[1].2[12..16], TAG);
            assert_eq!(seen[2].2[12..20], [OUTER_TAG, TAG].concat());
        },
    );
}

#[test]
fn on_all_interfaces_together_tagged_frames_come_too() {
    with_a_cable(on_all_interfaces_together_tagged_frames_come_too, || {
        let (mut live, mut wire) = (open("any", &[80]), wire());
        let frames = [
            wrapped(&segment(80, 1), &TAG, 0),
            wrapped(&segment(80, 2), &[OUTER_TAG, TAG].concat(), 0),
            segment(8081, 100),
            changed(3, |frame| frame[20] = 0x20),
            segment(80, 4),
        ];
        for frame in frames {
            wire.sendpacket(frame).unwrap();
        }
        // Both ends of the cable are here: each frame is seen going and coming.
        let mut seen = only_marks(&marks(&mut live, 4));
        seen.sort();
        seen.dedup();
        assert_eq!(seen, [1, 2, 3, 4]);
    });
}

#[test]
fn another_filter_takes_effect_and_costs_no_frame() {
    with_a_cable(another_filter_takes_effect_and_costs_no_frame, || {
        let (mut live, mut wire) = (open("tap0", &[80]), wire());
        let sender = thread::spawn(move || {
            for mark in 1..=200 {
                wire.sendpacket(segment(80, mark)).unwrap();
                wire.sendpacket(segment(8080, 250)).unwrap();
                thread::sleep(Duration::from_millis(1));
            }
            wire.sendpacket(segment(8080, 251)).unwrap();
            wire.sendpacket(segment(80, 252)).unwrap();
        });
        let before = only_marks(&marks(&mut live, 100));
        assert_eq!(before, (1..=100).collect::<Vec<_>>());
        let both = PortSet::Some(vec![80, 8080]);
        live.set_filter(&filter::expression(&both, &[], Responses::All))
            .unwrap();
        let mut after = only_marks(&marks(&mut live, 252));
        sender.join().unwrap();
        assert!(after.contains(&251));
        after.retain(|mark| *mark < 250);
        assert_eq!(after, (101..=200).collect::<Vec<_>>());
    });
}

#[test]
fn what_only_another_filter_lets_pass_is_seen_from_the_first_frame_on() {
    with_a_cable(
        what_only_another_filter_lets_pass_is_seen_from_the_first_frame_on,
        || {
            let (mut live, mut wire) = (open("tap0", &[80]), wire());
            let other = PortSet::Some(vec![8080]);
            live.set_filter(&filter::expression(&other, &[], Responses::All))
                .unwrap();
            for mark in 1..=3 {
                wire.sendpacket(segment(80, 9)).unwrap();
                wire.sendpacket(segment(8080, mark)).unwrap();
            }
            assert_eq!(only_marks(&marks(&mut live, 3)), [1, 2, 3]);
        },
    );
}

#[test]
fn a_silent_wire_ends_the_wait_in_time_and_a_call_ends_it_at_once() {
    with_a_cable(
        a_silent_wire_ends_the_wait_in_time_and_a_call_ends_it_at_once,
        || {
            let waker = Waker::new().unwrap();
            let nobody = |frame: Frame<'_>| panic!("{frame:?}");
            let mut live = Live::open("tap0", BUFFER, "tcp", waker.clone()).unwrap();
            assert_eq!(live.next_frames(Duration::ZERO, 9, nobody).unwrap(), 0);
            let caller = thread::spawn(move || waker.wake());
            let start = Instant::now();
            assert_eq!(live.next_frames(PATIENCE, 9, nobody).unwrap(), 0);
            assert!(start.elapsed() < PATIENCE);
            caller.join().unwrap();
        },
    );
}

#[test]
fn frames_that_are_there_come_together_and_no_more_than_asked_for() {
    with_a_cable(
        frames_that_are_there_come_together_and_no_more_than_asked_for,
        || {
            let (mut live, mut wire) = (open("tap0", &[80]), wire());
            for mark in 1..=100 {
                wire.sendpacket(segment(80, mark)).unwrap();
            }
            let (start, mut seen, mut most) = (Instant::now(), Vec::new(), 0);
            while seen.len() < 100 && start.elapsed() < PATIENCE {
                let take = |frame: Frame<'_>| seen.push(*frame.bytes.last().unwrap());
                let taken = live.next_frames(PATIENCE, 30, take).unwrap();
                most = most.max(taken);
            }
            assert_eq!(seen, (1..=100).collect::<Vec<_>>());
            assert!((2..=30).contains(&most), "{most}");
        },
    );
}

#[test]
fn what_is_captured_is_counted() {
    with_a_cable(what_is_captured_is_counted, || {
        let (mut live, mut wire) = (open("tap0", &[80]), wire());
        for mark in 1..=50 {
            wire.sendpacket(segment(80, mark)).unwrap();
            wire.sendpacket(segment(8081, mark)).unwrap();
        }
        marks(&mut live, 50);
        let stats = live.stats().unwrap();
        assert_eq!((stats.received, stats.dropped_kernel), (50, 0));
        assert_eq!(live.stats().unwrap(), stats);
    });
}
