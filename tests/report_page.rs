//! The report in a browser: opened from disk in headless Chromium, at three sizes, in light and in
//! dark, by keyboard and on paper.
//!
//! axe-core, which looks for what keeps people from reading it, comes from npm: `make test-report`
//! fetches it. Where it was not fetched, that part is told to be left out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may assert in the plainest way"
)]

use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use canarytap::engine::event::Event;
use canarytap::experiment::{EXPERIMENT, Member, Plan, Role, SENDING, Sending};
use canarytap::store::{COVERAGE, CoverageRecord, Incoming, Store, StoreOptions, StoredCanary};
use serde_json::Value;

mod common;

use common::{HOSTILE, at, hostile, request, visit};

const BINARY: &str = env!("CARGO_BIN_EXE_canarytap");

#[test]
fn the_page_is_well_at_each_size_in_light_and_in_dark_and_asks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    fill(folder.path());
    let mut report = Command::new("faketime");
    report.args(["-f", "2013-05-07 17:28:32", BINARY, "report"]);
    report.args(["--tz", "Europe/Berlin", "-o"]).arg(&page);
    report.arg("--data").arg(folder.path());
    report.args(["-c", "none.toml"]).env("TZ", "UTC");
    assert!(report.status().unwrap().success());
    // CANARYTAP_REPORT_SHOTS names a folder for who wants to look at the screenshots.
    let shots = env::var_os("CANARYTAP_REPORT_SHOTS").map(PathBuf::from);
    let shots = shots.unwrap_or_else(|| folder.path().to_owned());

    let found = browse(&page, &shots, axe().as_deref());
    assert_eq!(found.len(), 8);
    let own = format!("file://{}", fs::canonicalize(&page).unwrap().display());
    for one in &found[..6] {
        assert_eq!(one["console"], Value::Array(Vec::new()), "{one}");
        let requests = one["requests"].as_array().unwrap();
        let is_own = |url: &Value| url == own.as_str() || url == "data:,";
        assert!(!requests.is_empty() && requests.iter().all(is_own), "{one}");
        assert_eq!(one["overflow"], 0, "{one}");
        assert_eq!(one["overflow_unfolded"], 0, "{one}");
        let is_dark = one["dark"] != "rgb(255, 255, 255)";
        assert_eq!(is_dark, one["scheme"] == "dark", "{one}");
        if axe().is_some() {
            assert_eq!(one["violations"], Value::Array(Vec::new()), "{one:#}");
            assert!(one["passes"].as_u64().unwrap() > 20, "{one}");
        }
    }
    let reached = found[6]["keyboard"]["reached"].as_array().unwrap();
    assert!(
        reached
            .iter()
            .all(|name| name == "SUMMARY" || name == "DIV"),
        "{reached:?}"
    );
    assert!(reached.len() >= 10, "{reached:?}");
    assert_eq!(found[6]["keyboard"]["unfolded"], true);
    let print = &found[7]["print"];
    assert_eq!(print["begins"], "%PDF-");
    assert_eq!(
        print["background"], "rgb(255, 255, 255)",
        "dark ink on white paper"
    );
}

/// Three channels and controls of an experiment, a canary that belongs to none, a visitor that lies
/// in every field, and a week that was watched but for a day.
fn fill(folder: &Path) {
    let mut store = Store::open(folder, StoreOptions::default()).unwrap();
    plan(&mut store);
    let coverage = [(0, 3 * DAY), (4 * DAY, 7 * DAY)].map(|(from, to)| watched(from, to));
    store.add_records(COVERAGE, &coverage.concat()).unwrap();
    let icon = Event {
        target: Some("/favicon.ico".into()),
        ..request(HOUR + 1)
    };
    let mut events = vec![icon];
    for (number, later) in [(0, 2 * HOUR), (1, 5 * HOUR), (2, 26 * HOUR), (4, 3), (5, 5)] {
        events.push(visit_to(number, HOUR + later));
    }
    events.push(visit_to(12, 5 * DAY));
    events.push(hostile(&visit(6 * DAY), HOSTILE));
    let batch: Vec<Incoming> = events.into_iter().map(Incoming::Event).collect();
    store.commit(&batch).unwrap();
}

fn plan(store: &mut Store) {
    let members: Vec<Member> = (0..16)
        .map(|number| Member {
            id: format!("c{number}"),
            channel: CHANNELS[number / 4].into(),
            role: if number < 12 {
                Role::Sent
            } else {
                Role::Control
            },
            pair: None,
        })
        .collect();
    let canaries: Vec<StoredCanary> = members
        .iter()
        .map(|member| StoredCanary {
            id: member.id.clone(),
            url: format!("https://www.example.org/invite/{}rzg2c9ughs7sj", member.id),
            channel: member.channel.clone(),
            label: None,
            token: Some(member.id.clone()),
            control: member.role == Role::Control,
            created: at(0).to_string(),
        })
        .collect();
    let sendings: Vec<Sending> = (0..12)
        .map(|number| Sending {
            id: format!("c{number}"),
            time: at(HOUR).to_string(),
            at: at(HOUR).to_string(),
            to: Some("Anna & Bert".into()),
            boot: None,
            uptime_micros: None,
        })
        .collect();
    let plan = Plan {
        name: "spring".into(),
        time: at(0).to_string(),
        members,
    };
    store
        .add_canaries_with(&canaries, EXPERIMENT, &plan)
        .unwrap();
    store.add_records(SENDING, &sendings).unwrap();
}

fn visit_to(number: usize, second: u64) -> Event {
    Event {
        canary: Some(format!("c{number}")),
        channel: Some(CHANNELS[number / 4].into()),
        ..visit(second)
    }
}

fn watched(from: u64, to: u64) -> Vec<CoverageRecord> {
    let hours = (from..to).step_by(3600);
    let record = |second| CoverageRecord {
        time: at(second + HOUR).to_string(),
        from: at(second).to_string(),
        to: at(second + HOUR).to_string(),
        minutes: "+".repeat(60),
        boot: "b".into(),
        uptime_from: second,
        uptime_to: second + HOUR,
        synchronised: Some(true),
        wrong: Default::default(),
    };
    hours.map(record).collect()
}

fn browse(page: &Path, folder: &Path, axe: Option<&Path>) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/browse.py");
    let mut python = Command::new("/usr/bin/python3");
    python.arg(script).arg(page).arg(folder).args(axe);
    let output = python.output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let found = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    found.collect()
}

/// axe-core, where it was fetched.
fn axe() -> Option<PathBuf> {
    let path = "target/tools/axe-core/package/axe.min.js";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if path.exists() {
        return Some(path);
    }
    assert!(
        env::var_os("CANARYTAP_TEST_LONG").is_none(),
        "run `make test-report`"
    );
    let left_out = b"report: axe-core is not here; `make test-report` fetches it and looks\n";
    io::stderr().write_all(left_out).unwrap();
    None
}

const CHANNELS: [&str; 4] = [
    "skype",
    "signal",
    "mail to an office that has a gateway",
    "nobody",
];
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
