//! `canarytap doctor` where there is no mirror: usage, configuration, permission, store.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests may assert in the plainest way"
)]

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use canarytap::store::{Incoming, Store, StoreOptions};
use serde_json::Value;
use tempfile::TempDir;

mod common;

use common::rights::without_rights;
use common::visit;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/canarytap.toml");

/// A configuration and a data directory in a folder of their own.
struct Machine(TempDir);

impl Machine {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = format!(
            "[store]\ndirectory = \"{0}/data\"\nrun_directory = \"{0}/run\"\n",
            folder.path().display()
        );
        fs::write(
            folder.path().join("canarytap.toml"),
            config.to_owned() + &store,
        )
        .unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    fn doctor(&self, mut program: Command, arguments: &[&str]) -> Output {
        program
            .arg("-c")
            .arg(self.path().join("canarytap.toml"))
            .args(["doctor", "--seconds", "1"])
            .args(arguments);
        program.output().unwrap()
    }

    /// Exit status, and the points.
    fn points(&self, program: Command) -> (Option<i32>, Vec<Value>) {
        let output = self.doctor(program, &["--format", "jsonl"]);
        let lines = String::from_utf8(output.stdout).unwrap();
        let points = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        (output.status.code(), points.collect())
    }
}

fn canarytap() -> Command {
    Command::new(env!("CARGO_BIN_EXE_canarytap"))
}

fn point<'a>(points: &'a [Value], name: &str) -> &'a Value {
    let found = points.iter().find(|point| point["point"] == name);
    found.unwrap_or_else(|| panic!("no point {name}: {points:?}"))
}

fn text<'a>(point: &'a Value, key: &str) -> &'a str {
    point[key].as_str().unwrap_or_default()
}

const NO_LIGHTS: &str = "[led]\ndriver = \"none\"\n";
const HOST: &str = "[[host]]\nname = \"www.example.org\"\n";

#[test]
fn a_number_of_seconds_that_is_none_is_wrong_usage() {
    for seconds in ["0", "3601", "-5", "soon", ""] {
        let output = canarytap().args(["doctor", "--seconds", seconds]).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2), "{seconds:?}");
        assert!(output.stdout.is_empty());
    }
    let output = canarytap().args(["doctor", "--format", "csv"]).output();
    assert_eq!(output.unwrap().status.code(), Some(2));
}

#[test]
fn without_a_configuration_or_with_a_wrong_one_the_exit_status_is_2() {
    let output = canarytap()
        .args(["-c", "/nowhere/canarytap.toml", "doctor"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("-c FILE"));
    let output = Machine::new("[capture]\nports = [0]\n").doctor(canarytap(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("capture.ports"));
}

#[test]
fn of_the_example_it_says_what_is_missing_and_looks_at_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let output = canarytap()
        .args(["-c", EXAMPLE, "doctor", "--data"])
        .arg(folder.path().join("data"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.starts_with("FAILED        config"), "{shown}");
    for words in ["no interface", "no watched host", "\nok            disk"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_interface_that_does_not_exist_is_a_failed_point() {
    let machine = Machine::new(&format!("[capture]\ninterface = \"nosuch0\"\n{HOST}"));
    let (exit, points) = machine.points(canarytap());
    assert_eq!(exit, Some(1));
    let interface = point(&points, "interface");
    assert_eq!(interface["state"], "failed");
    assert!(text(interface, "found").contains("canarytap.toml:2"));
    assert!(text(interface, "cure").contains("lo"));
    for name in ["packets", "directions", "hosts"] {
        assert_eq!(point(&points, name)["state"], "not_looked_at", "{name}");
    }
}

#[test]
fn who_may_not_capture_is_told_how_and_is_shown_the_rest() {
    let machine = Machine::new(&format!("[capture]\ninterface = \"lo\"\n{NO_LIGHTS}{HOST}"));
    let (exit, points) = machine.points(without_rights(machine.path()));
    assert_eq!(exit, Some(1));
    let permission = point(&points, "permission");
    assert_eq!(permission["state"], "failed");
    assert!(text(permission, "found").contains("CAP_NET_RAW"));
    assert!(text(permission, "cure").contains("sudo canarytap doctor"));
    for name in ["directions", "duplicates", "whole_frames"] {
        let point = point(&points, name);
        assert_eq!(point["state"], "not_looked_at", "{name}");
        assert_eq!(text(point, "cure"), "sudo canarytap doctor");
    }
    for name in ["config", "interface", "lights", "disk"] {
        assert_eq!(point(&points, name)["state"], "ok", "{name}");
    }
}

#[test]
fn each_point_has_its_name_its_state_what_was_found_and_a_cure_unless_it_is_well() {
    let machine = Machine::new(HOST);
    let (_, points) = machine.points(canarytap());
    for point in points {
        let keys: Vec<&String> = point.as_object().unwrap().keys().collect();
        let well = point["state"] == "ok";
        let expected = ["cure", "found", "point", "state"];
        assert_eq!(keys, expected[usize::from(well)..], "{point}");
        let states = ["ok", "warning", "failed", "not_looked_at"];
        assert!(states.contains(&text(&point, "state")), "{point}");
    }
}

#[test]
fn a_store_of_a_newer_version_fails_and_is_left_alone() {
    let machine = Machine::new(HOST);
    drop(Store::open(&machine.data(), StoreOptions::default()).unwrap());
    let database = machine.data().join("events.db");
    rusqlite::Connection::open(&database)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let before = fs::read(&database).unwrap();
    let (exit, points) = machine.points(canarytap());
    assert_eq!(exit, Some(1));
    let store = point(&points, "store");
    assert_eq!(store["state"], "failed");
    assert!(text(store, "found").contains("schema 99"), "{store}");
    assert_eq!(fs::read(&database).unwrap(), before);
    assert_eq!(fs::read_dir(machine.data()).unwrap().count(), 1);
}

#[test]
fn why_an_origin_was_unknown_is_told_of_stored_events() {
    let machine = Machine::new(HOST);
    let mut store = Store::open(&machine.data(), StoreOptions::default()).unwrap();
    let container = "172.17.0.1".parse().unwrap();
    let mut event = visit(1);
    event.origin = canarytap::engine::event::Origin::Unknown;
    (event.src, event.client) = (container, container);
    event.time = now();
    store.commit(&[Incoming::Event(event)]).unwrap();
    drop(store);
    let (_, points) = machine.points(canarytap());
    let origin = point(&points, "origin");
    assert_eq!(origin["state"], "warning");
    assert!(text(origin, "found").contains("172.17.0.1"), "{origin}");
    assert!(text(origin, "cure").contains("userland-proxy"), "{origin}");
}

fn now() -> canarytap::engine::frame::Timestamp {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    canarytap::engine::frame::Timestamp::from_secs_nanos(since.as_secs(), 0)
}

#[test]
fn a_pipe_that_nobody_reads_is_no_failure() {
    let machine = Machine::new(HOST);
    let (reader, writer) = UnixStream::pair().unwrap();
    drop(reader);
    let status = canarytap()
        .arg("-c")
        .arg(machine.path().join("canarytap.toml"))
        .args(["doctor", "--seconds", "1"])
        .stdout(OwnedFd::from(writer))
        .stderr(Stdio::null())
        .status();
    assert_eq!(status.unwrap().code(), Some(0));
}
