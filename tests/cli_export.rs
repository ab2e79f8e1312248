//! `canarytap export`, unpacked and checked with Debian's tools, by the very lines of its own text.

#![cfg(feature = "daemon")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may assert in the plainest way"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use canarytap::store::{CLOCK, ClockRecord, Incoming, Store, StoreOptions};
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

mod common;

use common::{hostile, request, status, visit};

/// A store of a replay, with packets.
fn replayed(case: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let capture = Path::new("tests/captures").join(case);
    let output = canarytap()
        .arg("-c")
        .arg(capture.join("canarytap.toml"))
        .args(["replay", "--store"])
        .arg(&data)
        .arg(capture.join("capture.pcap"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    folder
}

fn canarytap() -> Command {
    Command::new(env!("CARGO_BIN_EXE_canarytap"))
}

fn export(data: &Path, seq: &str, to: &Path, more: &[&str]) -> Output {
    let mut command = canarytap();
    command
        .arg("-c")
        .arg("tests/captures/http1-head-skype-2013/canarytap.toml");
    command
        .arg("--data")
        .arg(data)
        .args(["export", seq, "-o"])
        .arg(to)
        .args(more);
    command.output().unwrap()
}

/// The bundle of an event, unpacked by Debian's unzip.
fn unpacked(folder: &TempDir, data: &Path, seq: &str, more: &[&str]) -> PathBuf {
    let archive = folder.path().join("bundle.zip");
    let output = export(data, seq, &archive, more);
    assert!(output.status.success(), "{output:?}");
    let place = folder.path().join("bundle");
    let unzip = Command::new("unzip")
        .arg("-q")
        .arg(&archive)
        .arg("-d")
        .arg(&place)
        .output()
        .unwrap();
    assert!(unzip.status.success(), "{unzip:?}");
    place
}

/// What each line of the text prints that begins with `$`, run as it stands.
fn told_by_the_text(place: &Path) -> Vec<String> {
    let text = fs::read_to_string(place.join("README.txt")).unwrap();
    let commands = text.lines().filter_map(|line| line.strip_prefix("  $ "));
    let run = |command: &str| {
        let output = Command::new("sh")
            .args(["-ec", command])
            .current_dir(place)
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}\n{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    commands.map(run).collect()
}

fn first_seq(data: &Path) -> (String, Value) {
    let output = canarytap()
        .arg("--data")
        .arg(data)
        .args(["log", "--alerts", "--format", "jsonl"])
        .output()
        .unwrap();
    let line: Value =
        serde_json::from_slice(output.stdout.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    (line["seq"].to_string(), line)
}

#[test]
fn the_lines_of_its_text_check_a_bundle_without_canarytap() {
    let folder = replayed("http1-head-skype-2013");
    let data = folder.path().join("data");
    let (seq, event) = first_seq(&data);
    let place = unpacked(&folder, &data, &seq, &[]);
    let told = told_by_the_text(&place);
    assert!(told[0].lines().count() >= 7 && told[0].lines().all(|line| line.ends_with(": OK")));
    assert_eq!(told[2], "the chain holds\n");
    assert_eq!(told[3], "and ends as it says\n");
    assert!(
        told[4].contains(event["target"].as_str().unwrap()),
        "{}",
        told[4]
    );
    assert_eq!(told[6], "the packets are those\n");
    for key in ["method", "host", "target", "src", "dst"] {
        assert!(
            told[7].contains(event[key].as_str().unwrap()),
            "{key}: {}",
            told[7]
        );
    }
    let packed: Value =
        serde_json::from_slice(&fs::read(place.join("event.json")).unwrap()).unwrap();
    assert_eq!(packed, event);
    let about: Value =
        serde_json::from_slice(&fs::read(place.join("about.json")).unwrap()).unwrap();
    assert_eq!(about["config"]["sha256"].as_str().unwrap().len(), 64);
    let page = fs::read_to_string(place.join("index.html")).unwrap();
    assert!(page.contains(event["client"].as_str().unwrap()) && page.contains(".pcapng"));
}

#[test]
fn a_bundle_that_was_touched_is_found_by_its_text() {
    let folder = replayed("http1-head-skype-2013");
    let data = folder.path().join("data");
    let (seq, _) = first_seq(&data);
    let place = unpacked(&folder, &data, &seq, &[]);
    let chain = fs::read_to_string(place.join("chain.jsonl")).unwrap();
    fs::write(place.join("chain.jsonl"), chain.replace("HEAD", "POST")).unwrap();
    let text = fs::read_to_string(place.join("README.txt")).unwrap();
    let commands: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("  $ "))
        .collect();
    let outcome = |command: &str| {
        let output = Command::new("sh")
            .args(["-ec", command])
            .current_dir(&place)
            .output()
            .unwrap();
        output.status.success()
    };
    assert!(!outcome(commands[0]), "sha256sum");
    assert!(outcome(commands[1]) && !outcome(commands[2]), "the chain");
}

/// A store of some visits; the second stands at seq 4.
fn filled() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("data"), StoreOptions::default()).unwrap();
    for id in (0..40).step_by(4) {
        let batch = [
            Incoming::Event(visit(id)),
            Incoming::Event(request(id + 1)),
            status(id, 200),
        ];
        store.commit(&batch).unwrap();
    }
    folder
}

#[test]
fn the_chain_goes_from_a_remembered_link_to_what_was_learned_of_the_event() {
    let folder = filled();
    let data = folder.path().join("data");
    let database = Connection::open(data.join("events.db")).unwrap();
    let head: String = database
        .query_row(
            "SELECT seq || ':' || hash FROM visits WHERE seq = 4",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let place = unpacked(&folder, &data, "7", &["--head", &head]);
    let chain = fs::read_to_string(place.join("chain.jsonl")).unwrap();
    let numbers: Vec<u64> = chain
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["seq"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(numbers, [4, 6, 7, 9]);
    assert_eq!(told_by_the_text(&place)[3], "and ends as it says\n");

    let wrong = head.replace(|c: char| c.is_ascii_hexdigit() && !c.is_ascii_digit(), "0");
    let output = export(
        &data,
        "7",
        &folder.path().join("other.zip"),
        &["--head", &wrong],
    );
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!folder.path().join("other.zip").exists(), "nothing is left");
    let output = export(
        &data,
        "1",
        &folder.path().join("other.zip"),
        &["--head", &head],
    );
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn of_a_pulled_copy_the_chain_goes_to_what_was_remembered_of_the_tap() {
    let folder = filled();
    let copies = folder.path().join("copies");
    fs::create_dir(&copies).unwrap();
    fs::rename(folder.path().join("data"), copies.join("house")).unwrap();
    let database = Connection::open(copies.join("house/events.db")).unwrap();
    let newest: String = database
        .query_row("SELECT max(seq) || ':' || hash FROM visits", [], |row| {
            row.get(0)
        })
        .unwrap();
    fs::write(copies.join("house.head"), format!("{newest}\n")).unwrap();
    let place = unpacked(&folder, &copies, "4", &[]);
    let about: Value =
        serde_json::from_slice(&fs::read(place.join("about.json")).unwrap()).unwrap();
    assert_eq!(about["tap"], "house");
    assert_eq!(about["last_link"], newest);
    assert!(
        fs::read_to_string(place.join("README.txt"))
            .unwrap()
            .contains(&newest)
    );
    told_by_the_text(&place);

    fs::create_dir(copies.join("barn")).unwrap();
    let mut barn = Store::open(&copies.join("barn"), StoreOptions::default()).unwrap();
    barn.commit(&[Incoming::Event(visit(100))]).unwrap();
    let output = export(&copies, "4", &folder.path().join("two.zip"), &[]);
    assert_eq!(output.status.code(), Some(2), "of which tap? {output:?}");

    let command = |name: &str| {
        let mut command = canarytap();
        command.arg("--data").arg(&copies).arg(name);
        command
    };
    let canaries = command("canaries")
        .args(["--format", "jsonl"])
        .output()
        .unwrap();
    let canary: Value = serde_json::from_slice(&canaries.stdout).unwrap();
    assert_eq!(canary["visits"], 11, "both taps' together");
    let report = command("report").output().unwrap();
    let page = String::from_utf8_lossy(&report.stdout);
    for tap in copies.read_dir().unwrap() {
        let tap = tap.unwrap().file_name().into_string().unwrap();
        if copies.join(&tap).is_dir() {
            let named = format!("<dd class=\"wire\">{tap}</dd>");
            assert!(page.contains(&named), "{tap}: {report:?}");
        }
    }
}

#[test]
fn what_cannot_be_shown_is_not_packed() {
    let folder = filled();
    let data = folder.path().join("data");
    let archive = folder.path().join("bundle.zip");
    for (seq, words) in [
        ("2", "background"),
        ("99", "there is no event 99"),
        ("3", "there is no event 3"),
    ] {
        let output = export(&data, seq, &archive, &[]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(words),
            "{output:?}"
        );
    }
    fs::write(&archive, "mine").unwrap();
    assert_eq!(
        export(&data, "4", &archive, &[]).status.code(),
        Some(1),
        "a file is not overwritten"
    );
    assert_eq!(fs::read_to_string(&archive).unwrap(), "mine");

    let database = Connection::open(data.join("events.db")).unwrap();
    database
        .execute(
            "UPDATE visits SET record = replace(record, 'HEAD', 'POST') WHERE seq = 1",
            [],
        )
        .unwrap();
    let output = export(&data, "4", &folder.path().join("broken.zip"), &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("does not hold at record 1"));
    assert!(!folder.path().join("broken.zip").exists());
}

#[test]
fn the_page_shows_what_a_visitor_wrote_and_nothing_of_it_is_markup() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut store = Store::open(&data, StoreOptions::default()).unwrap();
    let text = "</td><script>alert(1)</script>\u{202e}\u{1b}[2J'\"";
    store
        .commit(&[Incoming::Event(hostile(&visit(0), text))])
        .unwrap();
    let place = unpacked(&folder, &data, "1", &[]);
    let page = fs::read_to_string(place.join("index.html")).unwrap();
    assert!(!page.contains("<script") && !page.contains('\u{202e}') && !page.contains('\u{1b}'));
    assert!(page.contains("&lt;script&gt;"));
    told_by_the_text(&place);
}

#[test]
fn an_event_of_before_the_clock_was_set_comes_with_what_dates_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut store = Store::open(&data, StoreOptions::default()).unwrap();
    let mut event = visit(0);
    event.clock.boot = Some("eb8d".into());
    event.clock.uptime_micros = Some(5_000_000);
    event.clock.synchronised = Some(false);
    store.commit(&[Incoming::Event(event)]).unwrap();
    let clock = ClockRecord {
        time: "2026-01-01T00:01:00.000000Z".into(),
        boot: "eb8d".into(),
        uptime_micros: 60_000_000,
        offset_micros: 1_767_225_600_000_000,
        step_micros: None,
        synchronised: Some(true),
    };
    store.add_records(CLOCK, &[clock]).unwrap();
    let place = unpacked(&folder, &data, "1", &[]);
    let event: Value =
        serde_json::from_slice(&fs::read(place.join("event.json")).unwrap()).unwrap();
    assert_eq!(event["time"], "2026-01-01T00:00:05.000000Z");
    assert_eq!(event["clock_said"], "2013-04-30T17:28:32.104512Z");
    let around = fs::read_to_string(place.join("around.jsonl")).unwrap();
    assert!(around.contains("\"kind\":\"clock\""), "{around}");
    assert!(
        fs::read_to_string(place.join("index.html"))
            .unwrap()
            .contains("was set later")
    );
}
