//! The clock of the tap is set while it runs. Debian's libfaketime makes the daemon's clock one
//! that is wrong and set later; the time since the boot stays the kernel's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::lights::Change;
use crate::namespaces::in_a_lab;
use crate::network::{Lab, text, wait_for};
use crate::tap::{Tap, now, time_of};
use crate::web::{CANARY, HOST, Visitor, Web, url, visit};

/// Seconds by which the clock is slow at first: a clock that goes on where it was switched off.
const SLOW: i64 = 40 * 24 * 3600;

#[test]
fn a_visit_of_before_the_clock_was_set_is_dated_by_it_and_no_order_changes_when_it_jumps() {
    in_a_lab(
        a_visit_of_before_the_clock_was_set_is_dated_by_it_and_no_order_changes_when_it_jumps,
        |lab| {
            let _web = Web::start(lab);
            let mut tap = Tap::new(lab);
            let clock = Clock::slow_by(&tap, SLOW);
            tap.start_by(|command| clock.give_to(command));

            let first = one_visit(lab, &tap, 1);
            let event = &tap.log(&["--alerts"])[0];
            assert_eq!(event["flags"], serde_json::json!(["clock_unsynced"]));
            assert_eq!(event["synchronised"], false);
            assert!(is_within(&first.moved(-SLOW), time_of(event)), "{event}");

            clock.set(0);
            clock.synchronise();
            tap.lights_go_on();
            let dated = wait_for("the visit has its true time", || {
                let event = tap.log(&["--alerts"]).swap_remove(0);
                event["clock_said"].is_string().then_some(event)
            });
            assert!(is_within(&first, time_of(&dated)), "{dated}");
            assert_eq!(dated["clock_said"], event["time"]);

            first_visited_at(&tap, &dated);
            let second = one_visit(lab, &tap, 2);
            let event = &tap.log(&["--alerts"])[1];
            assert_eq!(event["synchronised"], true);
            assert!(is_within(&second, time_of(event)), "{event}");

            for (jump, count) in [(-5000, 3), (90_000, 4), (0, 5)] {
                clock.set(jump);
                // The kernel's stamps do not jump with it, so they do not tell.
                wait_for("the daemon has seen the clock jump", || {
                    let told = tap.messages().matches("the clock was set by").count();
                    (told == count - 1).then_some(())
                });
                let visited = one_visit(lab, &tap, count);
                tap.lights_go_on();
                let event = &tap.log(&["--alerts"])[count - 1];
                assert!(is_within(&visited.moved(jump), time_of(event)), "{event}");
            }
            every_view_agrees(&tap, &dated);
            let stopped = tap.stop();
            assert!(stopped.success(), "{stopped}\n{}", tap.messages());
            text(tap.command(&["verify"]).output().unwrap());
        },
    );
}

/// `--after` and `--since` find what they should.
fn every_view_agrees(tap: &Tap<'_>, first: &Value) {
    let all = tap.log(&["--alerts"]);
    let numbers: Vec<u64> = all.iter().map(|one| one["seq"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    for (number, at) in numbers.iter().zip(1..) {
        let after = tap.log(&["--alerts", "--after", &number.to_string()]);
        assert_eq!(after, all[at..], "after {number}");
    }
    let since = tap.log(&["--alerts", "--since", "24h"]);
    assert_eq!(since[0], all[0], "the first is not forty days old");
    let until = tap.log(&["--alerts", "--until", "30d"]);
    assert_eq!(until.len(), 0, "{until:?}");
    let table = text(
        tap.command(&["log", "--alerts", "--format", "csv"])
            .output()
            .unwrap(),
    );
    assert!(table.contains(first["time"].as_str().unwrap()), "{table}");
}

/// The canary's row says when it really was.
fn first_visited_at(tap: &Tap<'_>, first: &Value) {
    let canaries = text(
        tap.command(&["canaries", "--format", "jsonl"])
            .output()
            .unwrap(),
    );
    let canary = canaries
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|canary| canary["channel"] == "skype")
        .unwrap();
    assert_eq!(canary["first"], first["time"]);
}

/// One more visit, and when it was, by a clock that is right.
fn one_visit(lab: &Lab, tap: &Tap<'_>, count: usize) -> Span {
    let from = now();
    visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
    let to = now();
    wait_for("the visit is in the log", || {
        (tap.log(&["--alerts"]).len() >= count).then_some(())
    });
    Span { from, to }
}

#[derive(Debug)]
struct Span {
    from: u64,
    to: u64,
}

impl Span {
    fn moved(&self, seconds: i64) -> Self {
        let by = seconds * 1_000_000_000;
        Self {
            from: self.from.checked_add_signed(by).unwrap(),
            to: self.to.checked_add_signed(by).unwrap(),
        }
    }
}

/// A machine that is busy reads two clocks at moments that are not quite the same, and a frame is
/// read a while after it came.
fn is_within(span: &Span, time: u64) -> bool {
    const ROOM: u64 = 20_000_000_000;
    span.from - ROOM < time && time < span.to + ROOM
}

impl Tap<'_> {
    /// Waits until the armed light has flashed once more than so far, twice.
    fn lights_go_on(&self) {
        let flashes = |lights: &[Change]| {
            let lit = lights.iter().filter(|one| one.role == "armed" && one.on);
            lit.count()
        };
        let before = flashes(&self.lights());
        wait_for("the armed light flashes on", || {
            (flashes(&self.lights()) >= before + 2).then_some(())
        });
    }
}

/// The daemon's clock.
pub struct Clock {
    offset: PathBuf,
}

/// What systemd-timesyncd makes when it has set the clock.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";

impl Clock {
    /// One that systemd-timesyncd keeps.
    fn slow_by(tap: &Tap<'_>, seconds: i64) -> Self {
        let folder = Path::new(SYNCHRONISED).parent().unwrap();
        fs::create_dir_all(folder).unwrap(); // the lab has a /run of its own
        Self::set_by(tap, -seconds)
    }

    /// One that nobody keeps.
    pub fn set_by(tap: &Tap<'_>, seconds: i64) -> Self {
        let clock = Self {
            offset: tap.data().join("clock"), // the daemon confines itself to its own files
        };
        clock.set(seconds);
        clock
    }

    /// Sets it by so much.
    pub fn set(&self, seconds: i64) {
        let new = self.offset.with_extension("new");
        fs::write(&new, format!("{seconds:+}\n")).unwrap();
        fs::rename(&new, &self.offset).unwrap();
    }

    fn synchronise(&self) {
        fs::write(SYNCHRONISED, "").unwrap();
    }

    /// Makes it the clock of a program.
    pub fn give_to(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", &self.offset)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}

fn library() -> PathBuf {
    let name = "faketime/libfaketimeMT.so.1";
    let folders = fs::read_dir("/usr/lib").unwrap();
    folders
        .map(|folder| folder.unwrap().path().join(name))
        .find(|path| path.exists())
        .expect("libfaketime is installed (scripts/deps)")
}
