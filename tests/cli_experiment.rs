//! `experiment` and `sent`, as a user at a shell sees them: planned, sent, visited, answered.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may assert in the plainest way"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use canarytap::engine::event::Event;
use canarytap::store::{Incoming, Store, StoreOptions};
use serde_json::Value;
use tempfile::TempDir;

mod common;

use common::{at, visit};

const BINARY: &str = env!("CARGO_BIN_EXE_canarytap");

/// A data directory with a store, and a configuration that watches www.example.org.
struct Home {
    folder: TempDir,
    store: Store,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let store = Store::open(&data, StoreOptions::default()).unwrap();
        let config = format!(
            "[store]\ndirectory = \"{}\"\n\n[[host]]\nname = \"www.example.org\"\n",
            data.display()
        );
        fs::write(folder.path().join("canarytap.toml"), config).unwrap();
        Self { folder, store }
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        run(self.folder.path(), arguments)
    }

    /// What it prints, when it ends well.
    fn ask(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            stderr(&output)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let all = [arguments, &["--format", "jsonl"]].concat();
        self.ask(&all)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The canaries of an experiment that are for one channel, in order.
    fn canaries(&self, experiment: &str, channel: &str) -> Vec<Value> {
        let mut lines = self.json(&["experiment", "show", experiment]);
        lines.retain(|line| line.get("canary").is_some() && line["channel"] == channel);
        lines
    }

    fn ids(&self, experiment: &str, channel: &str) -> Vec<String> {
        let canaries = self.canaries(experiment, channel);
        let ids = canaries.iter().map(|line| line["canary"].as_str().unwrap());
        ids.map(str::to_owned).collect()
    }

    fn channel(&self, experiment: &str, channel: &str) -> Value {
        let lines = self.json(&["experiment", "show", experiment]);
        let is_it = |line: &&Value| line.get("canary").is_none() && line["channel"] == channel;
        lines.iter().find(is_it).unwrap().clone()
    }

    fn visited(&mut self, visits: impl IntoIterator<Item = Event>) {
        let batch: Vec<Incoming> = visits.into_iter().map(Incoming::Event).collect();
        self.store.commit(&batch).unwrap();
    }
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments);
    command.arg("-c").arg(folder.join("canarytap.toml"));
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A visit to this canary, so many seconds after 2013-04-30T17:28:32Z.
fn visit_to(canary: &str, channel: &str, second: u64) -> Event {
    let mut event = visit(second);
    event.canary = Some(canary.to_owned());
    event.channel = Some(channel.to_owned());
    event
}

#[test]
fn an_experiment_is_planned_sent_and_answered() {
    let mut home = Home::new();
    let sheet = home.ask(&[
        "experiment",
        "new",
        "chats",
        "--channel",
        "skype",
        "--channel",
        "signal",
        "--count",
        "4",
        "--controls",
        "4",
    ]);
    assert_eq!(
        sheet.matches("https://www.example.org/").count(),
        12,
        "{sheet}"
    );
    assert_eq!(sheet.matches("canarytap sent ").count(), 8, "{sheet}");
    let (skype, signal) = (home.ids("chats", "skype"), home.ids("chats", "signal"));
    let sent = at(0).to_string();
    for id in skype.iter().chain(&signal) {
        home.ask(&["sent", id, "--at", &sent, "--to", "Anna"]);
    }
    let mut inside = visit_to(&signal[0], "signal", 9000);
    inside.alert = false;
    let visits: Vec<Event> = (0..4)
        .map(|n| visit_to(&skype[n], "skype", 7200 + n as u64))
        .collect();
    home.visited(visits);
    home.visited([inside]);

    let answer = home.channel("chats", "skype");
    assert_eq!(
        (&answer["sent"], &answer["visited"]),
        (&4.into(), &4.into())
    );
    assert_eq!(answer["controls_visited"], 0);
    // 1 of 70 ways to choose 4 of 8, times the two channels.
    let (p, corrected) = (
        answer["p"].as_f64().unwrap(),
        answer["p_corrected"].as_f64().unwrap(),
    );
    assert!((p - 1.0 / 70.0).abs() < 1e-9, "{p}");
    assert!((corrected - 2.0 / 70.0).abs() < 1e-9, "{corrected}");
    assert!(
        answer["answer"]
            .as_str()
            .unwrap()
            .starts_with("opened, and fairly surely")
    );

    let canary = &home.canaries("chats", "skype")[0];
    assert_eq!(canary["delay"], "hours");
    assert_eq!(canary["methods"]["HEAD"], 1);
    assert_eq!(canary["to"], "Anna");
    let quiet = &home.canaries("chats", "signal")[0];
    assert_eq!(
        (&quiet["visited"], &quiet["inside"]),
        (&false.into(), &1.into())
    );
    // Nothing was recorded of the tap's watching: the answer claims nothing.
    assert_eq!(quiet["watched_percent"], 0);

    let words = home.ask(&["experiment", "show", "CHATS"]);
    assert!(
        words.contains("skype: opened, and fairly surely"),
        "{words}"
    );
    assert!(
        words.contains("signal: no visit was seen of the 4 that were sent, but nothing is known"),
        "{words}"
    );
    assert!(words.contains("hours after it was sent"), "{words}");
    let list = home.ask(&["experiment", "list"]);
    assert!(
        list.contains("chats  8 canaries over skype, signal (8 sent), 4 controls; 4 visited"),
        "{list}"
    );
    assert!(home.run(&["verify"]).status.success());
}

#[test]
fn pairs_are_an_https_and_an_http_link_that_differ() {
    let mut home = Home::new();
    let sheet = home.ask(&[
        "experiment",
        "new",
        "2013",
        "--channel",
        "skype",
        "--pairs",
        "--controls",
        "2",
        "--own-browser",
        "1",
        "--beside",
        "mail",
    ]);
    assert_eq!(sheet.matches("https://").count(), 4, "{sheet}");
    assert_eq!(sheet.matches("http://").count(), 3, "{sheet}");
    let twins = home.canaries("2013", "skype");
    assert_eq!(twins.len(), 2);
    assert_eq!(
        (&twins[0]["pair"], &twins[1]["pair"]),
        (&1.into(), &1.into())
    );
    let path = |line: &Value| {
        line["url"]
            .as_str()
            .unwrap()
            .split_once("://")
            .unwrap()
            .1
            .to_owned()
    };
    assert_ne!(path(&twins[0]), path(&twins[1]));
    assert_eq!(home.channel("2013", "skype")["twins"], Value::Null);
    for id in home.ids("2013", "skype") {
        home.ask(&["sent", &id, "--at", "2013-04-30T17:00:00Z"]);
    }
    home.visited([visit_to(&home.ids("2013", "skype")[0], "skype", 0)]);
    assert_eq!(
        home.channel("2013", "skype")["twins"],
        "of the https links 1 of 1 were visited, of their http twins 0 of 1"
    );
    assert_eq!(home.canaries("2013", "mail")[0]["role"], "beside");
    assert_eq!(home.canaries("2013", "own browser")[0]["role"], "browser");
    assert_eq!(home.ask(&["experiment", "sheet", "2013"]), sheet);
}

#[test]
fn comparisons_take_no_part_in_the_answers() {
    let mut home = Home::new();
    home.ask(&[
        "experiment",
        "new",
        "e",
        "--channel",
        "skype",
        "--controls",
        "1",
        "--beside",
        "mail",
    ]);
    let beside = home.ids("e", "mail");
    home.ask(&["sent", &beside[0], "--at", "2013-04-30T17:00:00Z"]);
    home.visited([visit_to(&beside[0], "mail", 0)]);
    let answer = home.channel("e", "skype");
    assert_eq!(
        (&answer["sent"], &answer["visited"]),
        (&0.into(), &0.into())
    );
    assert_eq!(answer["controls_visited"], 0);
    let words = home.ask(&["experiment", "show", "e"]);
    assert!(words.contains("comparisons, which take no part"), "{words}");
}

#[test]
fn a_control_that_was_sent_counts_as_none_any_more() {
    let home = Home::new();
    home.ask(&[
        "experiment",
        "new",
        "e",
        "--channel",
        "skype",
        "--controls",
        "2",
    ]);
    let controls = home.ids("e", "nobody");
    let output = home.run(&["sent", &controls[0]]);
    assert!(output.status.success());
    assert!(
        stderr(&output).contains("is a control"),
        "{}",
        stderr(&output)
    );
    assert_eq!(home.channel("e", "skype")["controls"], 1);
}

#[test]
fn a_link_names_its_canary_as_well_as_its_id() {
    let home = Home::new();
    let url = home.ask(&["mint", "--channel", "skype"]);
    let output = home.run(&["sent", url.trim()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let again = home.run(&["sent", url.trim()]);
    assert!(
        stderr(&again).contains("its first sending counts"),
        "{}",
        stderr(&again)
    );
}

#[test]
fn what_cannot_be_is_refused_and_nothing_is_changed() {
    let home = Home::new();
    home.ask(&["experiment", "new", "e", "--channel", "skype"]);
    let before = home.ask(&["verify"]);
    let id = home.ids("e", "skype").remove(0);
    let refused = |arguments: &[&str], words: &str| {
        let output = home.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    };
    refused(
        &["experiment", "new", "E", "--channel", "x"],
        "an experiment e already",
    );
    refused(&["experiment", "new", "f"], "--channel");
    refused(
        &[
            "experiment",
            "new",
            "f",
            "--channel",
            "x",
            "--host",
            "other.example",
        ],
        "not watched",
    );
    refused(&["experiment", "show", "f"], "there are: e");
    refused(&["sent", "nobody"], "`canarytap canaries` lists them");
    refused(
        &["sent", &id, "--at", "2099-01-01T00:00:00Z"],
        "lies in the future",
    );
    refused(&["sent", &id, "--at", "soon"], "RFC 3339");
    assert_eq!(home.ask(&["verify"]), before);
    assert_eq!(home.json(&["canaries"]).len(), 1);
}

#[test]
fn without_a_store_nothing_can_be_planned() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[store]\ndirectory = \"{}/none\"\n[[host]]\nname = \"www.example.org\"\n",
        folder.path().display()
    );
    fs::write(folder.path().join("canarytap.toml"), config).unwrap();
    let output = run(folder.path(), &["experiment", "new", "e", "--channel", "x"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("canarytap run"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn what_was_planned_can_be_read_with_sqlite_alone() {
    let home = Home::new();
    home.ask(&["experiment", "new", "e", "--channel", "skype"]);
    let output = Command::new("sqlite3")
        .arg(home.data().join("events.db"))
        .arg("SELECT json_extract(record, '$.kind'), json_extract(record, '$.name') FROM visits")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "experiment|e\n");
}

#[test]
fn a_visitor_is_told_with_reasons_and_what_cannot_be_used_is_told_too() {
    let mut home = Home::new();
    let mut skype = visit_to("k7f3q2m9", "skype", 7200);
    skype.client = "65.52.100.214".parse().unwrap();
    home.visited([visit_to("k7f3q2m9", "skype", 7100), skype]);
    let folder = home.folder.path().to_owned();
    let (table, database) = (folder.join("visitors.toml"), folder.join("asn.mmdb"));
    fs::write(
        &table,
        "[[visitor]]\nname = \"My printer\"\nkind = \"crawler\"\nnetworks = [\"203.0.113.7/32\"]\n\
         source = \"me\"\ndate = \"2026-11\"\n[[visitor]]\nname = \"broken\"\n",
    )
    .unwrap();
    fs::write(&database, "not one").unwrap();
    let config = folder.join("canarytap.toml");
    let text = fs::read_to_string(&config).unwrap();
    let visitor = format!(
        "[visitor]\ndatabases = [\"{}\"]\ntable = \"{}\"\n",
        database.display(),
        table.display()
    );
    fs::write(&config, text + &visitor).unwrap();

    let output = home.run(&["visitor"]);
    assert!(output.status.success());
    let words = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(
        words.contains("fits My printer (crawler): its address lies in 203.0.113.7/32"),
        "{words}"
    );
    assert!(words.contains("fits Skype link check of 2013"), "{words}");
    let complaints = stderr(&output);
    assert!(
        complaints.contains("asn.mmdb is no database"),
        "{complaints}"
    );
    assert!(complaints.contains("visitors.toml, line 7"), "{complaints}");

    let lines = home.json(&["visitor", "2"]);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["fits"][0]["name"], "Skype link check of 2013");
    let missing = home.run(&["visitor", "99"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("99 is no visit"));
}
