//! SIGKILL at any instant: whatever a commit returned for stands in the store exactly once, the
//! chain holds, and the store opens again without repair.
//!
//! The writer is this test binary itself, started again. 20 kills; 200 with
//! `CANARYTAP_TEST_LONG=1`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests may assert in the plainest way"
)]

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use canarytap::engine::event::Event;
use canarytap::store::{Incoming, Store, StoreOptions};
use ring::digest::{SHA256, digest};
use rusqlite::Connection;

mod common;

use common::{request, status, visit};

const WRITER: &str = "CANARYTAP_TEST_STORE";
const FIRST_ID: &str = "CANARYTAP_TEST_FIRST_ID";

#[test]
fn no_kill_loses_or_doubles_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let long = std::env::var_os("CANARYTAP_TEST_LONG").is_some();
    let rounds = if long { 200 } else { 20 };
    let mut random = Random(0x2013_0430_1728_3210);
    let mut told = BTreeMap::new();
    let mut round = 0;
    // A slow machine is given more rounds, and longer ones: few writes would mean nothing.
    while round < rounds || (told.len() <= rounds && round < 10 * rounds) {
        let longest = 60_000 * (1 + round / rounds) as u64;
        let wait = Duration::from_micros(random.next() % longest);
        told.extend(write_until_killed(folder.path(), round, wait));
        check(folder.path(), &told);
        round += 1;
    }
    assert!(
        told.len() > rounds,
        "too little was written to mean anything"
    );
}

/// Not a test of its own: the process that is killed.
#[test]
fn the_writer_that_is_killed() {
    let Some(directory) = std::env::var_os(WRITER) else {
        return;
    };
    let mut id: u64 = std::env::var(FIRST_ID).unwrap().parse().unwrap();
    // A small cap: the pruning of requests is killed too.
    let options = StoreOptions {
        requests_max_bytes: 100_000,
        ..StoreOptions::default()
    };
    let mut store = Store::open(Path::new(&directory), options).unwrap();
    let mut out = std::io::stdout();
    loop {
        // Each comes from another address, so that none is one of a flood.
        let visitor = std::net::Ipv4Addr::from(0xcb00_0000 + id as u32).into();
        let mut batch = vec![Incoming::Event(Event {
            client: visitor,
            ..visit(id)
        })];
        batch.extend((1..8).map(|n| Incoming::Event(request(id + n))));
        batch.extend([status(id, 200), status(id + 1, 200)]);
        let committed = store.commit(&batch).unwrap();
        // The visit's target says which it is; `seq` says where it stands.
        for (event, seq) in &committed.events {
            if event.0 == id {
                writeln!(out, "told {id} {}", seq.unwrap()).unwrap();
            }
        }
        out.flush().unwrap();
        id += 8;
    }
}

/// The `id` and `seq` of each visit whose commit returned before the kill.
fn write_until_killed(directory: &Path, round: usize, wait: Duration) -> Vec<(u64, u64)> {
    let first_id = round as u64 * 1_000_000;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_writer_that_is_killed", "--nocapture"])
        .env(WRITER, directory)
        .env(FIRST_ID, first_id.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let lines = lines.lines().map_while(Result::ok);
        let told = lines.filter_map(|line| {
            let mut words = line.strip_prefix("told ")?.split(' ');
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        });
        told.collect()
    });
    // Starting takes some milliseconds too: kills while the store is opened are meant to happen.
    std::thread::sleep(wait);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

fn check(directory: &Path, told: &BTreeMap<u64, u64>) {
    if !told.is_empty() {
        check_chain(directory, told);
    }
    // Opens for writing, too: as the daemon would after the power cut.
    drop(Store::open(directory, StoreOptions::default()).unwrap());
}

fn check_chain(directory: &Path, told: &BTreeMap<u64, u64>) {
    let database = Connection::open(directory.join("events.db")).unwrap();
    let verdict: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
    let mut statement = database
        .prepare("SELECT seq, record, hash FROM visits ORDER BY seq")
        .unwrap();
    let mut rows = statement.query([]).unwrap();
    let (mut before, mut visits, mut times) = ("0".repeat(64), HashSet::new(), HashSet::new());
    while let Some(row) = rows.next().unwrap() {
        let (seq, text): (u64, String) = (row.get(0).unwrap(), row.get(1).unwrap());
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(record["prev"], before);
        before = row.get(2).unwrap();
        assert_eq!(before, sha256(&text));
        if record["kind"] == "visit" {
            visits.insert(seq);
            // Each visit's time is its own: the same time twice would be the same visit twice.
            assert!(times.insert(record["time"].clone()), "{record}");
        }
    }
    for (id, seq) in told {
        assert!(visits.contains(seq), "visit {id} with seq {seq} is missing");
    }
    let seqs: HashSet<u64> = told.values().copied().collect();
    assert_eq!(seqs.len(), told.len(), "a seq was given twice");
}

fn sha256(text: &str) -> String {
    let bytes = digest(&SHA256, text.as_bytes());
    bytes
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// SplitMix64: the same instants each time, as far as the machine's load allows.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
