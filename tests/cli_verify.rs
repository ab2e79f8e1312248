//! `canarytap verify` against every way in which a log is touched.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may assert in the plainest way"
)]

use std::process::Output;

use assert_cmd::Command;
use canarytap::store::{Incoming, Store, StoreOptions};
use ring::digest::{SHA256, digest};
use rusqlite::Connection;
use tempfile::TempDir;

mod common;

use common::{request, status, visit};

/// Ten visits with their statuses, and requests between them.
fn filled() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), StoreOptions::default()).unwrap();
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

fn verify(folder: &TempDir, arguments: &[&str]) -> Output {
    Command::cargo_bin("canarytap")
        .unwrap()
        .arg("--data")
        .arg(folder.path())
        .arg("verify")
        .args(arguments)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn head(folder: &TempDir) -> String {
    let output = verify(folder, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let line = text(&output);
    let line = line.lines().find(|line| line.starts_with("last link"));
    line.unwrap().split_whitespace().last().unwrap().to_owned()
}

/// A log that somebody else has changed by these statements.
fn touched(statements: &str) -> TempDir {
    let folder = filled();
    let database = Connection::open(folder.path().join("events.db")).unwrap();
    database.execute_batch(statements).unwrap();
    folder
}

fn assert_caught(folder: &TempDir, arguments: &[&str], words: &str) {
    let output = verify(folder, arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let shown = text(&output);
    assert!(shown.starts_with("NOT VERIFIED: "), "{shown}");
    assert!(shown.contains(words), "{words} is not in: {shown}");
}

fn sha256(text: &str) -> String {
    let bytes = digest(&SHA256, text.as_bytes());
    bytes
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Makes the whole chain anew from `from` on, as somebody would who knows how it is made.
fn rechain(folder: &TempDir, from: u64) {
    let database = Connection::open(folder.path().join("events.db")).unwrap();
    let rows: Vec<(u64, String, String)> = database
        .prepare("SELECT seq, record, hash FROM visits ORDER BY seq")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut before = "0".repeat(64);
    for (seq, record, hash) in rows {
        if seq < from {
            before = hash;
            continue;
        }
        let mut fields: serde_json::Value = serde_json::from_str(&record).unwrap();
        fields["prev"] = before.into();
        let record = fields.to_string(); // its keys are sorted already
        before = sha256(&record);
        database
            .execute(
                "UPDATE visits SET record = ?2, hash = ?3 WHERE seq = ?1",
                rusqlite::params![seq, record, before],
            )
            .unwrap();
    }
}

#[test]
fn a_log_that_nobody_touched_holds_and_says_what_that_proves() {
    let folder = filled();
    let output = verify(&folder, &[]);
    assert_eq!(output.status.code(), Some(0));
    let shown = text(&output);
    assert!(shown.starts_with("verified   20 records"), "{shown}");
    assert!(shown.contains("does not show that what came over the wire was true"));
    let head = head(&folder);
    let again = verify(&folder, &["--head", &head]);
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    assert!(text(&again).contains("still stands there"));
}

#[test]
fn an_empty_log_holds() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path(), StoreOptions::default()).unwrap());
    assert_eq!(verify(&folder, &[]).status.code(), Some(0));
}

#[test]
fn one_byte_that_was_changed_is_caught() {
    let folder =
        touched("UPDATE visits SET record = replace(record, 'HEAD', 'READ') WHERE seq = 13");
    assert_caught(&folder, &[], "record 13 was changed");
    assert!(text(&verify(&folder, &[])).contains("before it  8 records hold"));
}

#[test]
fn a_visit_that_was_deleted_is_caught() {
    let folder = touched("DELETE FROM visits WHERE seq = 4");
    assert_caught(&folder, &[], "record 6 does not follow record 3");
    let folder = touched("DELETE FROM visits WHERE seq = 1");
    assert_caught(&folder, &[], "the beginning is gone");
}

#[test]
fn two_visits_that_were_swapped_are_caught() {
    let folder = touched(
        "UPDATE visits SET seq = -1 WHERE seq = 4;
         UPDATE visits SET seq = 4 WHERE seq = 7;
         UPDATE visits SET seq = 7 WHERE seq = -1;",
    );
    assert_caught(&folder, &[], "record 4 says another number");
}

#[test]
fn a_record_whose_hash_was_made_to_fit_is_caught_at_the_next() {
    let folder = filled();
    let database = Connection::open(folder.path().join("events.db")).unwrap();
    let record: String = database
        .query_row("SELECT record FROM visits WHERE seq = 4", [], |row| {
            row.get(0)
        })
        .unwrap();
    let record = record.replace("HEAD", "READ");
    database
        .execute(
            "UPDATE visits SET record = ?1, hash = ?2 WHERE seq = 4",
            [&record, &sha256(&record)],
        )
        .unwrap();
    assert_caught(&folder, &[], "record 6 does not follow record 4");
}

#[test]
fn an_end_that_was_cut_off_is_caught_by_a_remembered_link() {
    let folder = filled();
    let head = head(&folder);
    let database = Connection::open(folder.path().join("events.db")).unwrap();
    database
        .execute("DELETE FROM visits WHERE seq > 10", [])
        .unwrap();
    assert_eq!(
        verify(&folder, &[]).status.code(),
        Some(0),
        "the rest holds by itself"
    );
    assert_caught(&folder, &["--head", &head], "the end was cut off");
}

#[test]
fn a_chain_that_was_made_anew_is_caught_by_a_remembered_link() {
    let folder = filled();
    let head = head(&folder);
    let database = Connection::open(folder.path().join("events.db")).unwrap();
    database
        .execute("DELETE FROM visits WHERE seq IN (7, 9)", [])
        .unwrap();
    rechain(&folder, 7);
    assert_eq!(
        verify(&folder, &[]).status.code(),
        Some(0),
        "it was made well"
    );
    assert_caught(&folder, &["--head", &head], "the history was rewritten");
}

#[test]
fn what_is_no_record_at_all_is_caught() {
    let folder = touched("UPDATE visits SET record = x'ff00', hash = 5 WHERE seq = 4");
    assert_caught(&folder, &[], "record 4 was changed");
    let folder = filled();
    let database = Connection::open(folder.path().join("events.db")).unwrap();
    database
        .execute(
            "UPDATE visits SET record = '{ }', hash = ?1 WHERE seq = 4",
            [sha256("{ }")],
        )
        .unwrap();
    assert_caught(&folder, &[], "record 4 is no canonical JSON object");
}

#[test]
fn a_link_that_is_none_is_refused() {
    let folder = filled();
    for head in [
        "41",
        "41:abc",
        &format!("x:{}", "0".repeat(64)),
        &"0".repeat(64),
    ] {
        let output = verify(&folder, &["--head", head]);
        assert_eq!(output.status.code(), Some(2), "{head}");
    }
}
