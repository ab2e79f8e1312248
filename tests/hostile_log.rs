//! A log whose every field was written by somebody who means harm: nothing of it acts in a
//! terminal, a spreadsheet or a program that reads lines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may assert in the plainest way"
)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use canarytap::cli::render::is_unsafe;
use canarytap::store::{Incoming, Store, StoreOptions};
use serde_json::Value;
use tempfile::TempDir;

mod common;

use common::{HOSTILE, hostile, request, visit};

const BINARY: &str = env!("CARGO_BIN_EXE_canarytap");

/// What spreadsheets take for a formula, or pass over ahead of one.
const FORMULAS: [&str; 10] = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\u{ff1d}1",
    " =1",
    "\u{200b}=1",
];

/// A visit and a request for each way to do harm.
fn log() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), StoreOptions::default()).unwrap();
    let mut batch = Vec::new();
    for (number, text) in (0..).zip([HOSTILE].iter().chain(&FORMULAS)) {
        batch.push(Incoming::Event(hostile(&visit(2 * number), text)));
        batch.push(Incoming::Event(hostile(&request(2 * number + 1), text)));
    }
    store.commit(&batch).unwrap();
    folder
}

fn shown(data: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(BINARY);
    command
        .args(arguments)
        .arg("--data")
        .arg(data)
        .args(["-c", "none.toml"]);
    let output = command.output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn no_command_prints_what_could_drive_a_terminal() {
    let folder = log();
    for arguments in [
        &["log"][..],
        &["log", "--format", "jsonl"],
        &["log", "--format", "csv"],
        &["canaries"],
        &["canaries", "--format", "jsonl"],
        &["visitor"],
        &["visitor", "--format", "jsonl"],
        &["report"],
    ] {
        let text = shown(folder.path(), arguments);
        let bad = text
            .chars()
            .find(|one| is_unsafe(*one) && !matches!(one, '\n' | '\r'));
        assert_eq!(bad, None, "{arguments:?}");
        let is_quoted = !["canaries", "visitor"].contains(&arguments[0]);
        assert!(!is_quoted || text.contains("alert(1)"), "{arguments:?}");
    }
}

#[test]
fn json_gives_back_what_was_there() {
    let folder = log();
    let text = shown(folder.path(), &["log", "--format", "jsonl"]);
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2 * (1 + FORMULAS.len()));
    assert_eq!(lines[0]["user_agent"], HOSTILE);
    assert!(lines[0]["target"].as_str().unwrap().len() > 65_536);
}

#[test]
fn no_cell_of_a_spreadsheet_is_a_formula() {
    let folder = log();
    let text = shown(folder.path(), &["log", "--format", "csv"]);
    // Python's reader says what a cell is, not ours.
    let mut python = Command::new("/usr/bin/python3");
    python
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut python = python.spawn().unwrap();
    python
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let rows: Vec<Vec<String>> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows.len(), 1 + 2 * (1 + FORMULAS.len()));
    for row in &rows {
        assert_eq!(row.len(), rows[0].len());
        for cell in row {
            let first = cell.trim_start().chars().next();
            let begins =
                first.is_some_and(|one| "=+-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}".contains(one));
            assert!(!begins, "{}", &cell[..cell.len().min(60)]);
        }
    }
}

#[test]
fn the_table_keeps_a_line_for_each_event() {
    let folder = log();
    let text = shown(folder.path(), &["log"]);
    let lines = text
        .lines()
        .filter(|line| line.contains("2013-04-30"))
        .count();
    assert_eq!(lines, 2 * (1 + FORMULAS.len()), "{}", text.lines().count());
}

const READ: &str = "
import csv, json, sys
csv.field_size_limit(1 << 24)
sys.stdin.reconfigure(newline='')
json.dump(list(csv.reader(sys.stdin)), sys.stdout)
";
