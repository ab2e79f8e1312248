//! The chain, checked as a stranger would: with sqlite3 and SHA-256, and nothing of the store's
//! own code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests may assert in the plainest way"
)]

use canarytap::store::{Incoming, Store, StoreOptions};
use ring::digest::{SHA256, digest};
use rusqlite::Connection;
use tempfile::TempDir;

mod common;

use common::{request, status, visit};

struct Row {
    seq: u64,
    record: String,
    hash: String,
}

fn rows(folder: &TempDir) -> Vec<Row> {
    let database = Connection::open(folder.path().join("events.db")).unwrap();
    let mut statement = database
        .prepare("SELECT seq, record, hash FROM visits ORDER BY seq")
        .unwrap();
    let rows = statement.query_map([], |row| {
        Ok(Row {
            seq: row.get(0)?,
            record: row.get(1)?,
            hash: row.get(2)?,
        })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn sha256(text: &str) -> String {
    let bytes = digest(&SHA256, text.as_bytes());
    bytes
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn value(row: &Row, key: &str) -> serde_json::Value {
    let record: serde_json::Value = serde_json::from_str(&row.record).unwrap();
    record[key].clone()
}

fn filled() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), StoreOptions::default()).unwrap();
    for id in (0..30).step_by(3) {
        let batch = [
            Incoming::Event(request(id)),
            Incoming::Event(visit(id + 1)),
            Incoming::Event(visit(id + 2)),
            status(id, 200),
            status(id + 1, 404),
        ];
        store.commit(&batch).unwrap();
        store.commit(&[status(id + 2, 301)]).unwrap();
    }
    folder
}

#[test]
fn every_row_holds_the_hash_of_the_row_before_it() {
    let folder = filled();
    let rows = rows(&folder);
    assert_eq!(rows.len(), 40);
    let mut before = "0".repeat(64);
    for row in &rows {
        assert_eq!(value(row, "prev"), before, "seq {}", row.seq);
        assert_eq!(value(row, "seq"), row.seq);
        assert_eq!(row.hash, sha256(&row.record), "seq {}", row.seq);
        before.clone_from(&row.hash);
    }
}

#[test]
fn a_record_is_canonical_json() {
    let folder = filled();
    for row in rows(&folder) {
        // A map of serde_json's is sorted, and all keys here are ASCII.
        let parsed: std::collections::BTreeMap<String, serde_json::Value> =
            serde_json::from_str(&row.record).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), row.record);
    }
}

#[test]
fn a_detail_names_its_visit_and_a_visit_is_never_rewritten() {
    let folder = filled();
    let rows = rows(&folder);
    let (details, visits): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| value(row, "kind") == "detail");
    assert_eq!((details.len(), visits.len()), (20, 20));
    for detail in details {
        let of = value(detail, "of").as_u64().unwrap();
        assert!(
            visits
                .iter()
                .any(|visit| visit.seq == of && of < detail.seq)
        );
    }
    for visit in visits {
        assert_eq!(value(visit, "status"), serde_json::Value::Null);
    }
}

#[test]
fn the_tools_that_the_manual_names_agree() {
    let folder = filled();
    let script = r#"
        prev=0000000000000000000000000000000000000000000000000000000000000000
        for seq in $(sqlite3 "$1" 'SELECT seq FROM visits ORDER BY seq'); do
            hash=$(sqlite3 "$1" "SELECT record FROM visits WHERE seq=$seq" | tr -d '\n' | sha256sum | cut -c1-64)
            test "$hash" = "$(sqlite3 "$1" "SELECT hash FROM visits WHERE seq=$seq")" || exit 1
            test "$prev" = "$(sqlite3 "$1" "SELECT record ->> '$.prev' FROM visits WHERE seq=$seq")" || exit 1
            prev=$hash
        done
        test "$(sqlite3 "$1" 'PRAGMA integrity_check')" = ok
    "#;
    let have = std::process::Command::new("sqlite3")
        .arg("--version")
        .output();
    if have.is_err() {
        eprintln!("sqlite3 is not installed: this check was left out");
        return;
    }
    let verdict = std::process::Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(folder.path().join("events.db"))
        .status()
        .unwrap();
    assert!(verdict.success());
}
