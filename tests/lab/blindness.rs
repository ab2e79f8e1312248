//! A tap that goes blind says so: in `status`, by the armed light, and in the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use pcap::{Active, Capture};
use rustix::process::Signal;
use serde_json::Value;

use crate::doctor::{ip, mirror_the_visitors_port_too, stop_mirroring, tc};
use crate::namespaces::in_a_lab;
use crate::network::{Lab, wait_for};
use crate::tap::{Tap, now};
use crate::web::{HOST, Load, Visitor, Web, curl, url};

#[test]
fn a_mirror_that_is_cut_is_named_and_its_end_too() {
    in_a_lab(a_mirror_that_is_cut_is_named_and_its_end_too, |lab| {
        let (_web, tap) = (Web::start(lab), Tap::running(lab));
        let _visitors = browse(lab, &tap);
        stop_mirroring();
        wait_for_fault(&tap, "mirror_silent");
        lab.remove_mirror();
        lab.lay_mirror();
        wait_for_health(&tap);
    });
}

#[test]
fn a_mirror_of_one_direction_is_named_with_what_is_missing() {
    in_a_lab(
        a_mirror_of_one_direction_is_named_with_what_is_missing,
        |lab| {
            let (_web, tap) = (Web::start(lab), Tap::running(lab));
            let _visitors = browse(lab, &tap);
            tc("filter del dev port-server egress");
            let shown = wait_for_fault(&tap, "one_direction");
            assert!(shown.contains("requests are not mirrored"), "{shown}");
        },
    );
}

#[test]
fn answers_that_are_not_mirrored_are_named() {
    in_a_lab(answers_that_are_not_mirrored_are_named, |lab| {
        let (_web, tap) = (Web::start(lab), Tap::running(lab));
        let _visitors = browse(lab, &tap);
        tc("filter del dev port-server ingress");
        let shown = wait_for_fault(&tap, "one_direction");
        assert!(shown.contains("answers are not mirrored"), "{shown}");
    });
}

#[test]
fn a_mirror_of_two_ports_is_named() {
    in_a_lab(a_mirror_of_two_ports_is_named, |lab| {
        let (_web, tap) = (Web::start(lab), Tap::running(lab));
        let _visitors = browse(lab, &tap);
        mirror_the_visitors_port_too();
        wait_for_fault(&tap, "frames_doubled");
    });
}

#[test]
fn a_switch_that_shortens_what_it_mirrors_is_named() {
    in_a_lab(a_switch_that_shortens_what_it_mirrors_is_named, |lab| {
        let (_web, tap) = (Web::start(lab), Tap::running(lab));
        let _visitors = browse(lab, &tap);
        stop_mirroring();
        let _short = Relay::start(SHORT, u32::MAX);
        wait_for_fault(&tap, "frames_cut");
    });
}

#[test]
fn a_switch_that_loses_some_of_what_it_mirrors_is_named() {
    in_a_lab(
        a_switch_that_loses_some_of_what_it_mirrors_is_named,
        |lab| {
            let (_web, tap) = (Web::start(lab), Tap::running(lab));
            let _visitors = browse(lab, &tap);
            stop_mirroring();
            let _losing = Relay::start(WHOLE, 7);
            wait_for_fault(&tap, "holes");
        },
    );
}

#[test]
fn a_flood_that_the_ring_cannot_hold_is_named() {
    in_a_lab(a_flood_that_the_ring_cannot_hold_is_named, |lab| {
        let small = |config: &str| config.replace("[capture]", "[capture]\nbuffer = \"1MiB\"");
        let (_web, mut tap) = (Web::start(lab), Tap::configured(lab, small));
        tap.start();
        let _visitors = browse(lab, &tap);
        // A machine that has no time for the tap: the ring runs over.
        tap.signal(Signal::STOP);
        let mut flood = curl(lab, Visitor::Outside4);
        flood.arg(url(HOST, "/page?[1-5000]"));
        assert!(flood.status().unwrap().success());
        tap.signal(Signal::CONT);
        wait_for_fault(&tap, "drops");
    });
}

#[test]
fn a_cable_that_is_pulled_is_named_and_stands_in_the_log() {
    in_a_lab(
        a_cable_that_is_pulled_is_named_and_stands_in_the_log,
        |lab| {
            let (_web, mut tap) = (Web::start(lab), Tap::running(lab));
            let visitors = browse(lab, &tap);
            ip("link set mirror down");
            wait_for_fault(&tap, "link_down");
            let told = wait_for("a line of the log", || health_lines(&tap).pop());
            assert_eq!(
                (&told["fault"], &told["state"]),
                (&"link_down".into(), &"begins".into())
            );
            assert_eq!(told["alert"], false);
            ip("link set mirror up");
            drop(visitors);
            wait_for("health", || (tap.status().0 == Some(0)).then_some(()));
            assert!(tap.stop().success());
            assert!(tap.log(&["--alerts"]).is_empty());
            let covered = coverage(&tap);
            assert_eq!(covered.len(), 1, "{covered:?}");
            assert!(covered[0]["minutes"].as_str().unwrap().starts_with('-'));
            assert!(
                covered[0]["wrong"]["link_down"].as_u64() >= Some(1),
                "{covered:?}"
            );
        },
    );
}

#[test]
fn a_daemon_that_is_killed_leaves_no_promise() {
    in_a_lab(a_daemon_that_is_killed_leaves_no_promise, |lab| {
        let (_web, mut tap) = (Web::start(lab), Tap::running(lab));
        let _visitors = browse(lab, &tap);
        tap.kill();
        assert!(coverage(&tap).is_empty());
        tap.start();
        let before = tap.log(&[]).len();
        wait_for("more requests", || {
            (tap.log(&[]).len() > before).then_some(())
        });
        assert!(tap.stop().success());
        let covered = coverage(&tap);
        assert_eq!(covered.len(), 1);
        assert_eq!(covered[0]["minutes"], "+");
    });
}

/// Somebody opens pages all the time; they stand in the log.
fn browse(lab: &Lab, tap: &Tap) -> Load {
    let mut pages = curl(lab, Visitor::Outside4);
    // As quick as a busy home, not as a flood, and each on a connection of its own.
    pages.args(["--rate", "20/s", "--header", "Connection: close"]);
    pages.arg(url(HOST, "/page?[1-100000]"));
    let pages = Load::start(pages);
    tap.wait_for_events(5);
    assert_eq!(tap.status().0, Some(0), "{}", tap.status().1);
    pages
}

/// Waits until `status` and the armed light show a fault; gives back what `status` said.
fn wait_for_fault(tap: &Tap, name: &str) -> String {
    let (began, before) = (Instant::now(), now());
    let shown = wait_for(name, || {
        let (exit, shown) = tap.status();
        (exit == Some(1) && shown.contains(&format!("fault     {name}:"))).then_some(shown)
    });
    assert!(shown.contains("armed light fault"), "{shown}");
    // Well, it flashes once in three seconds.
    wait_for("quick blinking", || {
        let changes = tap.lights();
        let flashes = changes
            .iter()
            .filter(|change| change.role == "armed" && change.on && change.time >= before);
        let times: Vec<u64> = flashes.map(|change| change.time).collect();
        let quick = |pair: &[u64]| pair[1] - pair[0] < 500_000_000;
        (times.windows(2).filter(|pair| quick(pair)).count() >= 5).then_some(())
    });
    println!("{name}: named after {:.1} s", began.elapsed().as_secs_f64());
    shown
}

fn wait_for_health(tap: &Tap) {
    wait_for("health", || (tap.status().0 == Some(0)).then_some(()));
}

fn health_lines(tap: &Tap) -> Vec<Value> {
    let mut lines = tap.log(&[]);
    lines.retain(|line| line["kind"] == "health");
    lines
}

/// The records of the minutes that were covered.
fn coverage(tap: &Tap) -> Vec<Value> {
    let mut command = std::process::Command::new("sqlite3");
    command.arg(tap.database()).arg(
        "SELECT record FROM visits WHERE json_extract(record, '$.kind') = 'coverage' ORDER BY seq",
    );
    let output = command.output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A bad mirror: it hands over no more than the first bytes of each frame, or loses some.
pub struct Relay {
    over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

const SHORT: i32 = 90;
pub const WHOLE: i32 = 65_535;

impl Relay {
    fn start(bytes: i32, loses_every: u32) -> Self {
        let mut frames = 0u32;
        Self::carry(bytes, move |frame| {
            frames += 1;
            (frames % loses_every != 0).then(|| frame.to_vec())
        })
    }

    /// Sends on what `change` makes of each frame.
    pub fn carry(
        bytes: i32,
        mut change: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (mut from, mut to) = (open("port-server", bytes), open("mirror", bytes));
        let ended = Arc::clone(&over);
        let thread = thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let Ok(packet) = from.next_packet() else {
                    continue;
                };
                if let Some(frame) = change(packet.data) {
                    to.sendpacket(frame).unwrap();
                }
            }
        });
        Self {
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn open(interface: &str, bytes: i32) -> Capture<Active> {
    let capture = Capture::from_device(interface).unwrap();
    let capture = capture.snaplen(bytes).immediate_mode(true);
    capture.timeout(10).open().unwrap()
}
