//! Stores of earlier versions: read as they are, brought up to date by the first writer, and nothing
//! of them is lost. The files under `tests/stores` hold the statements of those versions.

#![cfg(feature = "daemon")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may assert in the plainest way"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use canarytap::store::{Acknowledge, Incoming, Store, StoreOptions};
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

mod common;

use common::{at, visit};

fn of_version(version: u32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let statements = Path::new("tests/stores").join(format!("schema-{version}.sql"));
    let database = Connection::open(folder.path().join("events.db")).unwrap();
    database
        .execute_batch(&fs::read_to_string(statements).unwrap())
        .unwrap();
    folder
}

fn run(folder: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_canarytap"));
    command.arg("--data").arg(folder.path()).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

fn log(folder: &TempDir) -> Vec<Value> {
    let text = run(folder, &["log", "--format", "jsonl"]).stdout;
    let text = String::from_utf8(text).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn version(folder: &TempDir) -> i64 {
    let database = Connection::open(folder.path().join("events.db")).unwrap();
    database
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap()
}

fn links(folder: &TempDir) -> Vec<(u64, String, String)> {
    let database = Connection::open(folder.path().join("events.db")).unwrap();
    let mut statement = database
        .prepare("SELECT seq, record, hash FROM visits ORDER BY seq")
        .unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn a_store_of_an_earlier_version_is_read_as_it_is() {
    for old in [1, 2] {
        let folder = of_version(old);
        let events = log(&folder);
        let folds = usize::from(old == 2); // an open one
        assert_eq!(events.len(), 6 + folds, "version {old}: {events:?}");
        assert_eq!(events[0]["status"], 200);
        run(&folder, &["verify"]);
        run(&folder, &["canaries"]);
        assert_eq!(
            version(&folder),
            i64::from(old),
            "who reads changes nothing"
        );
    }
}

#[test]
fn the_first_writer_brings_it_up_to_date_and_the_chain_goes_on() {
    for old in [1, 2] {
        let folder = of_version(old);
        let before = links(&folder);
        let mut store = Store::open(folder.path(), StoreOptions::default()).unwrap();
        assert_eq!(version(&folder), 3);
        assert_eq!(links(&folder), before, "no record is touched");
        assert_eq!(store.canaries().unwrap().len(), 1);
        let waiting = store.unacknowledged().unwrap().unwrap();
        // What folded counts once.
        assert_eq!(waiting.count, if old == 2 { 3 } else { 2 });

        let committed = store.commit(&[Incoming::Event(visit(9))]).unwrap();
        assert_eq!(committed.events[0].1, Some(10));
        store.acknowledge(&Acknowledge::All, at(99)).unwrap();
        store.close_floods(None).unwrap();
        drop(store);
        let events = log(&folder);
        assert_eq!(
            events.iter().filter(|one| one["kind"] == "visit").count(),
            4
        );
        let folded: Vec<&Value> = events.iter().filter(|one| one["kind"] == "fold").collect();
        assert_eq!(folded.len(), usize::from(old == 2));
        run(&folder, &["verify"]);
    }
}
