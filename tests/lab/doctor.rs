//! What `doctor` says of mirrors that are well and of mirrors that are not, and that it leaves
//! no trace.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use rustix::process::Signal;
use serde_json::Value;

use crate::https::Https;
use crate::installed::{Installed, MEMBER, STRANGER};
use crate::namespaces::{in_a_lab, in_a_lab_of_several_users};
use crate::network::{Lab, search_path, text, wait_for};
use crate::proxy::visit_at;
use crate::tap::Tap;
use crate::tls;
use crate::web::{CANARY, HOST, OTHER_HOST, Visitor, Web, url, visit};

#[test]
fn a_healthy_mirror_is_well_in_every_point_with_and_without_the_daemon() {
    in_a_lab(
        a_healthy_mirror_is_well_in_every_point_with_and_without_the_daemon,
        |lab| {
            let (_web, mut tap) = (Web::start(lab), Tap::new(lab));
            let without = diagnose(&tap, || visit_host(lab, HOST));
            without.is("ok", &WELL);
            without.is("warning", &["daemon"]);
            assert_eq!(without.exit, Some(0));
            tap.start();
            let with = diagnose(&tap, || visit_host(lab, HOST));
            with.is("ok", &WELL);
            with.is("ok", &["daemon"]);
            assert_eq!(with.exit, Some(0));
        },
    );
}

#[test]
fn a_mirror_of_one_direction_fails_and_says_which_is_missing() {
    in_a_lab(
        a_mirror_of_one_direction_fails_and_says_which_is_missing,
        |lab| {
            let (_web, tap) = (Web::start(lab), Tap::new(lab));
            for (unmirrored, missing) in [("ingress", "answers"), ("egress", "requests")] {
                lab.remove_mirror();
                lab.lay_mirror();
                tc(&format!("filter del dev port-server {unmirrored}"));
                let found = diagnose(&tap, || visit_host(lab, HOST));
                found.is("failed", &["directions"]);
                found.says("directions", &format!("{missing} are not mirrored"));
                assert_eq!(found.exit, Some(1));
            }
        },
    );
}

#[test]
fn a_mirror_that_shows_packets_twice_is_a_warning() {
    in_a_lab(a_mirror_that_shows_packets_twice_is_a_warning, |lab| {
        let (_web, tap) = (Web::start(lab), Tap::new(lab));
        mirror_the_visitors_port_too();
        let found = diagnose(&tap, || visit_host(lab, HOST));
        found.is("warning", &["duplicates"]);
        found.says("duplicates", "came twice");
        assert_eq!(found.exit, Some(0));
    });
}

#[test]
fn an_interface_that_is_down_fails_and_packets_are_not_looked_at() {
    in_a_lab(
        an_interface_that_is_down_fails_and_packets_are_not_looked_at,
        |lab| {
            let tap = Tap::new(lab);
            lab.on_tap("link set eth1 down");
            let found = diagnose(&tap, || {});
            found.is("failed", &["interface"]);
            found.says("interface", "sudo ip link set eth1 up");
            found.is("not_looked_at", &["packets", "directions", "duplicates"]);
            assert_eq!(found.exit, Some(1));
        },
    );
}

#[test]
fn a_cable_that_is_not_plugged_in_fails() {
    in_a_lab(a_cable_that_is_not_plugged_in_fails, |lab| {
        let tap = Tap::new(lab);
        ip("link set mirror down");
        let found = diagnose(&tap, || {});
        found.is("failed", &["interface", "packets"]);
        found.says("interface", "no carrier");
    });
}

#[test]
fn an_interface_that_is_not_there_is_told_with_those_that_are() {
    in_a_lab(
        an_interface_that_is_not_there_is_told_with_those_that_are,
        |lab| {
            let tap = Tap::configured(lab, |config| config.replace("eth1", "eth7"));
            let found = diagnose(&tap, || {});
            found.is("failed", &["interface"]);
            found.says("interface", "canarytap.toml:3");
            found.says("interface", "eth1");
            assert_eq!(found.exit, Some(1));
        },
    );
}

#[test]
fn a_silent_wire_fails() {
    in_a_lab(a_silent_wire_fails, |lab| {
        lab.wait_for_silence();
        let found = diagnose(&Tap::new(lab), || {});
        found.is("failed", &["packets"]);
        found.is("not_looked_at", &["directions", "hosts", "encryption"]);
        assert_eq!(found.exit, Some(1));
    });
}

#[test]
fn a_switch_that_only_floods_mirrors_nothing() {
    in_a_lab(a_switch_that_only_floods_mirrors_nothing, |lab| {
        let (_web, tap) = (Web::start(lab), Tap::new(lab));
        stop_mirroring();
        // The tap's port belongs to the switch as any other: it gets what all get.
        ip("link set mirror master br0");
        let found = diagnose(&tap, || {
            visit_host(lab, HOST);
            ask_who_has_an_address(lab);
        });
        found.is("failed", &["packets"]);
        found.says("packets", "the switch mirrors nothing");
    });
}

#[test]
fn a_port_that_is_not_watched_is_named() {
    in_a_lab(a_port_that_is_not_watched_is_named, |lab| {
        let tap = Tap::configured(lab, |config| config.replace("[80, 8080]", "[8080]"));
        let _web = Web::start(lab);
        let found = diagnose(&tap, || visit_host(lab, HOST));
        found.is("warning", &["packets"]);
        found.says("packets", "connections to port 80");
    });
}

#[test]
fn a_watched_host_that_nobody_asks_for_fails_beside_requests_for_another() {
    in_a_lab(
        a_watched_host_that_nobody_asks_for_fails_beside_requests_for_another,
        |lab| {
            let (_web, tap) = (Web::start(lab), Tap::new(lab));
            let found = diagnose(&tap, || visit_host(lab, OTHER_HOST));
            found.is("failed", &["hosts"]);
            found.says("hosts", OTHER_HOST);
            found.is("ok", &["packets", "directions", "encryption"]);
            assert_eq!(found.exit, Some(1));
        },
    );
}

#[test]
fn encrypted_traffic_alone_says_what_it_needs_until_keys_open_it() {
    in_a_lab(
        encrypted_traffic_alone_says_what_it_needs_until_keys_open_it,
        |lab| {
            let https = Https::start(lab);
            let mut tap = tls::tap(lab, Some(&https));
            let ask = || https.ask(&[], "/page");
            tap.stop();
            let without = diagnose(&tap, ask);
            without.is("failed", &["encryption"]);
            without.says("encryption", "canarytap keys");
            without.is("ok", &["packets", "directions", "hosts"]);
            tap.start();
            ask();
            tap.wait_for_events(1);
            let with = diagnose(&tap, ask);
            with.is("ok", &["encryption"]);
            with.says("encryption", "which keys open");
        },
    );
}

#[test]
fn an_unknown_origin_is_explained_from_the_store() {
    in_a_lab(an_unknown_origin_is_explained_from_the_store, |lab| {
        let (_web, mut tap) = (Web::start(lab), Tap::running(lab));
        let forwarded = "X-Forwarded-For: 203.0.113.5";
        visit_at(lab, Visitor::Inside4, "192.168.1.10:80", &[forwarded]);
        tap.wait_for_events(1);
        tap.stop();
        let found = diagnose(&tap, || {});
        found.is("warning", &["origin"]);
        found.says("origin", "192.168.1.20");
        found.says(
            "origin",
            "[[home.proxy]] with networks = [\"192.168.1.20/32\"] and header = \"x-forwarded-for\"",
        );
    });
}

#[test]
fn it_leaves_no_trace_whether_the_daemon_runs_was_stopped_or_killed() {
    in_a_lab(
        it_leaves_no_trace_whether_the_daemon_runs_was_stopped_or_killed,
        |lab| {
            let (_web, mut tap) = (Web::start(lab), Tap::new(lab));
            let run = tap.data().with_file_name("run");
            assert_unchanged(&[&tap.data(), &run], || {
                diagnose(&tap, || {});
            });
            tap.start();
            visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
            tap.wait_for_events(1);
            // It writes by itself too: it stands still while it is looked at.
            tap.signal(Signal::STOP);
            assert!(wait_for_quiet(&tap.data()).contains_key("events.db-wal"));
            assert_unchanged(&[&tap.data(), &run], || {
                let found = diagnose(&tap, || {});
                found.is("ok", &["store", "daemon"]);
                found.says("hosts", "last at");
            });
            tap.signal(Signal::CONT);
            tap.kill();
            assert_unchanged(&[&tap.data(), &run], || {
                let found = diagnose(&tap, || {});
                found.says("hosts", "last at");
            });
            tap.start();
            tap.stop();
            assert_unchanged(&[&tap.data(), &run], || {
                let found = diagnose(&tap, || {});
                found.is("ok", &["store"]);
                found.says("hosts", "last at");
            });
        },
    );
}

#[test]
fn a_daemon_with_a_fault_is_told_with_the_cure() {
    in_a_lab(a_daemon_with_a_fault_is_told_with_the_cure, |lab| {
        let tap = Tap::running(lab);
        lab.on_tap("link set eth1 down");
        wait_for("a fault", || (tap.status().0 == Some(1)).then_some(()));
        let found = diagnose(&tap, || {});
        found.is("failed", &["interface", "daemon"]);
    });
}

#[test]
fn a_member_of_the_group_learns_over_ssh_what_needs_no_root() {
    in_a_lab_of_several_users(
        a_member_of_the_group_learns_over_ssh_what_needs_no_root,
        |lab| {
            let (_web, mut tap) = (Web::start(lab), Installed::running(lab));
            let command = "canarytap doctor --seconds 2 --format jsonl";
            let found = Diagnosis::of(tap.ssh(MEMBER, command), || visit_host(lab, HOST));
            found.is("ok", &["permission", "interface", "packets"]);
            found.is("ok", &["store", "daemon"]);
            found.is("not_looked_at", &["duplicates"]);
            found.says("duplicates", "sudo canarytap doctor");
            assert_eq!(found.exit, Some(0), "{found:?}");

            let stranger = Diagnosis::of(tap.ssh(STRANGER, command), || {});
            stranger.is("not_looked_at", &["store", "daemon"]);
            stranger.says("store", "adduser");

            tap.end(Signal::TERM);
            let alone = Diagnosis::of(tap.ssh(MEMBER, command), || {});
            alone.is("failed", &["permission"]);
            assert_eq!(alone.exit, Some(1));
        },
    );
}

/// What must be well on a mirror that is.
const WELL: [&str; 12] = [
    "config",
    "canaries",
    "permission",
    "interface",
    "packets",
    "directions",
    "duplicates",
    "whole_frames",
    "hosts",
    "encryption",
    "origin",
    "lights",
];

/// What `doctor` said.
#[derive(Debug)]
struct Diagnosis {
    exit: Option<i32>,
    points: Vec<Value>,
}

/// Looks for two seconds while `meanwhile` happens again and again.
fn diagnose(tap: &Tap, meanwhile: impl Fn()) -> Diagnosis {
    let command = tap.command(&["doctor", "--seconds", "2", "--format", "jsonl"]);
    Diagnosis::of(command, meanwhile)
}

impl Diagnosis {
    fn of(mut command: Command, meanwhile: impl Fn()) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut doctor = command.spawn().unwrap();
        wait_for("the doctor", || {
            meanwhile();
            doctor.try_wait().unwrap()
        });
        let output = doctor.wait_with_output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        Self {
            exit: output.status.code(),
            points: lines
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
        }
    }

    fn point(&self, name: &str) -> &Value {
        let mut points = self.points.iter();
        let found = points.find(|point| point["point"] == name);
        found.unwrap_or_else(|| panic!("no point {name}: {self:?}"))
    }

    fn state(&self, name: &str) -> &str {
        self.point(name)["state"].as_str().unwrap()
    }

    /// Each of these points is in this state, and whatever is not well has a cure.
    fn is(&self, state: &str, points: &[&str]) {
        for point in points {
            assert_eq!(self.state(point), state, "{}", self.point(point));
            assert_eq!(self.point(point)["cure"].is_null(), state == "ok");
        }
    }

    /// What was found, or the cure, holds these words.
    fn says(&self, point: &str, words: &str) {
        let point = self.point(point);
        let text = |key: &str| point[key].as_str().unwrap_or_default().to_owned();
        let said = format!("{}\n{}", text("found"), text("cure"));
        assert!(said.contains(words), "{point}");
    }
}

fn visit_host(lab: &Lab, host: &str) {
    visit(lab, Visitor::Outside4, &[&url(host, "/page")]);
}

/// A broadcast: somebody looks for an address that nobody has.
fn ask_who_has_an_address(lab: &Lab) {
    let mut curl = lab.on("inside", "curl");
    curl.args(["--silent", "--max-time", "0.1", "http://192.168.1.99/"]);
    // Nobody answers.
    let _in_vain = curl.output().unwrap();
}

/// The switch is this process's own namespace.
fn on_switch(program: &str, arguments: &str) {
    let mut command = Command::new(program);
    command
        .args(arguments.split_whitespace())
        .env("PATH", search_path());
    text(command.output().unwrap());
}

pub fn tc(arguments: &str) {
    on_switch("tc", arguments);
}

pub fn ip(arguments: &str) {
    on_switch("ip", arguments);
}

pub fn stop_mirroring() {
    tc("qdisc del dev port-server clsact");
}

pub fn mirror_the_visitors_port_too() {
    tc("qdisc add dev port-outside clsact");
    for direction in ["ingress", "egress"] {
        tc(&format!(
            "filter add dev port-outside {direction} protocol all u32 match u32 0 0 \
             action mirred egress mirror dev mirror"
        ));
    }
}

/// Each file below a folder: its size, when it was last written, and what stands in it.
type Files = BTreeMap<String, (u64, SystemTime, Vec<u8>)>;

fn files(folder: &Path) -> Files {
    let mut files = Files::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let found = fs::metadata(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // A pipe holds nothing that stays, and reading it would wait for a writer.
        let bytes = match found.is_file() {
            true => fs::read(&path).unwrap_or_default(),
            false => Vec::new(),
        };
        files.insert(name, (found.len(), found.modified().unwrap(), bytes));
    }
    files
}

/// Waits until two looks at a folder find the same.
fn wait_for_quiet(folder: &Path) -> Files {
    wait_for("a quiet folder", || {
        let before = files(folder);
        std::thread::sleep(std::time::Duration::from_millis(300));
        (files(folder) == before).then_some(before)
    })
}

fn assert_unchanged(folders: &[&Path], look: impl FnOnce()) {
    let all = || {
        folders
            .iter()
            .map(|folder| files(folder))
            .collect::<Vec<_>>()
    };
    let times = || {
        let modified = |folder: &&Path| fs::metadata(folder).unwrap().modified().unwrap();
        folders.iter().map(modified).collect::<Vec<_>>()
    };
    let before = (all(), times());
    look();
    let after = (all(), times());
    for (before, after) in before.0.iter().zip(&after.0) {
        let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(before), names(after));
        for (name, found) in before {
            assert!(&after[name] == found, "{name} was written");
        }
    }
    assert_eq!(before.1, after.1);
}
