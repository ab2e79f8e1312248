//! `log` and `ack` on a store that the library made, as a user at a shell sees them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may assert in the plainest way"
)]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use canarytap::store::{Incoming, Store, StoreOptions};
use serde_json::Value;
use tempfile::TempDir;

mod common;

use common::{request, status, visit};

const BINARY: &str = env!("CARGO_BIN_EXE_canarytap");

/// A request (1), a visit from outside (2) with its status, another visit (4) without, from
/// inside and to another canary.
fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), StoreOptions::default()).unwrap();
    let mut inside = visit(3600);
    inside.alert = false;
    inside.canary = Some("b8x".into());
    inside.channel = Some("mail".into());
    let batch = [
        Incoming::Event(request(0)),
        Incoming::Event(visit(1)),
        status(0, 200),
        status(1, 404),
        Incoming::Event(inside),
    ];
    store.commit(&batch).unwrap();
    (folder, store)
}

fn canarytap(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).arg("--data").arg(data);
    command
}

fn run(data: &Path, arguments: &[&str]) -> Output {
    canarytap(data, arguments).output().unwrap()
}

fn log(data: &Path, arguments: &[&str]) -> Vec<Value> {
    let all = [&["log", "--format", "jsonl"], arguments].concat();
    let output = run(data, &all);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn seqs(data: &Path, arguments: &[&str]) -> Vec<u64> {
    let events = log(data, arguments);
    events
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_visit_is_printed_with_the_status_that_was_learned_later() {
    let (folder, _store) = store();
    let output = run(folder.path(), &["log", "--format", "jsonl", "--alerts"]);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        concat!(
            r#"{"seq":2,"time":"2013-04-30T17:28:33.104512Z","kind":"visit","alert":true,"#,
            r#""canary":"k7f3q2m9","channel":"skype","label":"login link","match":"url","#,
            r#""origin":"outside","client":"203.0.113.7","src":"203.0.113.7","src_port":50112,"#,
            r#""dst":"192.0.2.10","dst_port":80,"scheme":"http","method":"HEAD","#,
            r#""host":"www.example.org","target":"/x/login.html?user=tbtest&password=geheim","#,
            r#""version":"HTTP/1.1","status":404}"#,
            "\n"
        )
    );
}

#[test]
fn each_filter_keeps_what_it_names_in_the_order_of_seq() {
    let (folder, _store) = store();
    let data = folder.path();
    assert_eq!(seqs(data, &[]), [1, 2, 4]);
    assert_eq!(seqs(data, &["--after", "2"]), [4]);
    assert_eq!(
        seqs(data, &["--after", "18446744073709551615"]),
        [] as [u64; 0]
    );
    assert_eq!(seqs(data, &["--canary", "b8x"]), [4]);
    assert_eq!(seqs(data, &["--channel", "skype"]), [2]);
    assert_eq!(seqs(data, &["--alerts"]), [2]);
    assert_eq!(seqs(data, &["--since", "2013-04-30T17:28:33Z"]), [2, 4]);
    assert_eq!(
        seqs(data, &["--until", "2013-04-30T19:28:34+02:00"]),
        [1, 2]
    );
    assert_eq!(seqs(data, &["--since", "7d"]), [] as [u64; 0]);
    assert_eq!(seqs(data, &["--until", "7d"]), [1, 2, 4]);
}

#[test]
fn a_table_in_a_pipe_has_no_colours_and_one_line_an_event() {
    let (folder, _store) = store();
    let output = run(folder.path(), &["log"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 4);
    assert!(text.starts_with("  SEQ TIME"));
    assert!(!text.contains('\x1b'));
}

#[test]
fn wrong_times_are_usage_errors_that_say_what_is_right() {
    let (folder, _store) = store();
    for time in ["yesterday", "-5m", "7", "2013-13-30T17:28:33Z"] {
        let output = run(folder.path(), &["log", &format!("--since={time}")]);
        assert_eq!(output.status.code(), Some(2), "{time}");
        assert!(
            stderr(&output).contains("2013-04-30T17:28:32Z"),
            "{}",
            stderr(&output)
        );
    }
    let output = run(folder.path(), &["log", "--since", "1h", "--until", "2h"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn without_a_store_log_and_ack_say_who_makes_it_and_make_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["log"][..], &["ack", "--all"], &["ack", "1"]] {
        let output = run(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(
            stderr(&output).contains("canarytap run"),
            "{}",
            stderr(&output)
        );
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let output = run(&folder.path().join("nowhere"), &["log"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_directory_comes_from_the_configuration_unless_it_is_named() {
    let (folder, _store) = store();
    let config = folder.path().join("canarytap.toml");
    let text = format!("[store]\ndirectory = {:?}\n", folder.path());
    fs::write(&config, text).unwrap();
    let log = |config: &Path, arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        let command = command.arg("log").arg("-c").arg(config).args(arguments);
        command.output().unwrap()
    };
    let output = log(&config, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 4);
    let absent = Path::new("/nonexistent/canarytap.toml");
    let output = log(absent, &["--data", folder.path().to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = log(absent, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("--data DIR"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn an_empty_store_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path(), StoreOptions::default()).unwrap());
    assert_eq!(seqs(folder.path(), &[]), [] as [u64; 0]);
}

#[test]
fn a_reader_that_goes_away_is_success() {
    let (folder, mut store) = store();
    let many: Vec<_> = (10..3000).map(|id| Incoming::Event(request(id))).collect();
    store.commit(&many).unwrap();
    let mut child = canarytap(folder.path(), &["log"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(stderr(&output), "");
}

#[test]
fn acknowledging_is_all_or_nothing() {
    let (folder, store) = store();
    let output = run(folder.path(), &["ack", "2", "4", "77"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("no event 77; no alert: 4"),
        "{}",
        stderr(&output)
    );
    assert_eq!(store.unacknowledged().unwrap().unwrap().count, 1);
    let output = run(folder.path(), &["ack", "2"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(store.unacknowledged().unwrap(), None);
    assert!(run(folder.path(), &["ack", "--all"]).status.success());
}

#[test]
fn ack_without_arguments_says_how_and_lists_what_waits() {
    let (folder, store) = store();
    let output = run(folder.path(), &["ack"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(
        text.contains("ack --all") && text.contains("waiting, newest first: 2"),
        "{text}"
    );
    assert!(store.unacknowledged().unwrap().is_some());
}

#[test]
fn a_damaged_store_and_one_of_a_newer_version_are_told_apart() {
    let (folder, store) = store();
    drop(store);
    let path = folder.path().join("events.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.pragma_update(None, "user_version", 7).unwrap();
    drop(database);
    for arguments in [&["log"][..], &["ack", "--all"]] {
        let output = run(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr(&output).contains("newer canarytap"),
            "{}",
            stderr(&output)
        );
    }
    fs::write(&path, vec![7; 9000]).unwrap();
    for arguments in [&["log"][..], &["ack", "--all"]] {
        let output = run(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("damaged"), "{}", stderr(&output));
    }
    assert_eq!(fs::read(&path).unwrap(), vec![7; 9000]);
}

/// Runs the command as somebody without any right here. Root may do everything, so it steps
/// down first, with a copy of the program that anyone may run.
fn as_stranger(folder: &Path, data: &Path, arguments: &[&str]) -> Output {
    if !rustix::process::geteuid().is_root() {
        return run(data, arguments);
    }
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    let program = folder.join("canarytap");
    if !program.exists() {
        // By another process: a file that this one has open for writing, and a test beside it
        // hands on to a child, cannot be executed.
        let copied = Command::new("cp").arg(BINARY).arg(&program).status();
        assert!(copied.unwrap().success());
    }
    Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program)
        .args(arguments)
        .arg("--data")
        .arg(data)
        .output()
        .unwrap()
}

/// A store in a directory below the temporary one.
fn store_below(folder: &TempDir) -> std::path::PathBuf {
    let data = folder.path().join("data");
    let mut store = Store::open(&data, StoreOptions::default()).unwrap();
    store.commit(&[Incoming::Event(visit(0))]).unwrap();
    data
}

#[test]
fn who_has_no_permission_is_told_which_group_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = store_below(&folder);
    fs::set_permissions(&data, Permissions::from_mode(0o000)).unwrap();
    for arguments in [&["log"][..], &["ack", "--all"]] {
        let output = as_stranger(folder.path(), &data, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let text = stderr(&output);
        assert!(
            text.contains("sudo adduser USER canarytap"),
            "{arguments:?}: {text}"
        );
    }
    fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
}

fn read_only(data: &Path) {
    for entry in fs::read_dir(data).unwrap() {
        fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(0o444)).unwrap();
    }
    fs::set_permissions(data, Permissions::from_mode(0o555)).unwrap();
}

#[test]
fn a_directory_that_takes_no_writes_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let data = store_below(&folder);
    read_only(&data);
    let output = as_stranger(folder.path(), &data, &["log", "--format", "jsonl"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        output.stdout.iter().filter(|byte| **byte == b'\n').count(),
        1
    );
    let output = as_stranger(folder.path(), &data, &["ack", "--all"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("adduser"), "{}", stderr(&output));
    fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_store_that_was_not_closed_can_be_read_where_nothing_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let data = store_below(&folder);
    let mut store = Store::open(&data, StoreOptions::default()).unwrap();
    store.commit(&[Incoming::Event(visit(1))]).unwrap();
    let copy = folder.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for name in ["events.db", "events.db-wal", "events.db-shm"] {
        fs::copy(data.join(name), copy.join(name)).unwrap();
    }
    read_only(&copy);
    let output = as_stranger(folder.path(), &copy, &["log", "--format", "jsonl"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        output.stdout.iter().filter(|byte| **byte == b'\n').count(),
        2
    );

    fs::set_permissions(&copy, Permissions::from_mode(0o700)).unwrap();
    fs::remove_file(copy.join("events.db-shm")).unwrap();
    read_only(&copy);
    let output = as_stranger(folder.path(), &copy, &["log"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("copy the whole directory"),
        "{}",
        stderr(&output)
    );
    fs::set_permissions(&copy, Permissions::from_mode(0o700)).unwrap();
}

/// `log --follow` and its lines, as they come.
struct Follower {
    child: Child,
    lines: Receiver<Value>,
}

impl Follower {
    fn start(data: &Path) -> Self {
        let mut child = canarytap(data, &["log", "--follow", "--format", "jsonl"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap();
                if sender.send(event).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    fn next(&self) -> (u64, Option<u64>) {
        let event = self.lines.recv_timeout(PATIENCE).unwrap();
        (event["seq"].as_u64().unwrap(), event["status"].as_u64())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Longer than any of it takes on a slow machine; only a failing test waits for so long.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn follow_joins_the_status_and_survives_the_daemons_restart() {
    let (folder, mut store) = store();
    let follower = Follower::start(folder.path());
    assert_eq!(follower.next(), (1, Some(200)));
    assert_eq!(follower.next(), (2, Some(404)));
    assert_eq!(follower.next(), (4, None));
    store.commit(&[Incoming::Event(visit(5000))]).unwrap();
    store
        .commit(&[status(5000, 301), Incoming::Event(request(5001))])
        .unwrap();
    assert_eq!(follower.next(), (5, Some(301)));
    assert_eq!(follower.next(), (7, None));
    drop(store);
    let mut store = Store::open(folder.path(), StoreOptions::default()).unwrap();
    store.commit(&[Incoming::Event(visit(6000))]).unwrap();
    assert_eq!(
        follower.next(),
        (8, None),
        "a visit without a status comes all the same"
    );
}

#[test]
fn follow_goes_on_with_a_store_that_took_the_place_of_the_old_one() {
    let (folder, store) = store();
    let follower = Follower::start(folder.path());
    for _ in 0..3 {
        follower.next();
    }
    drop(store);
    fs::create_dir(folder.path().join("aside")).unwrap();
    for name in ["events.db", "events.db-wal", "events.db-shm"] {
        let _absent = fs::rename(
            folder.path().join(name),
            folder.path().join("aside").join(name),
        );
    }
    let mut store = Store::open(folder.path(), StoreOptions::default()).unwrap();
    store.commit(&[Incoming::Event(request(9))]).unwrap();
    assert_eq!(follower.next(), (1, None));
}

#[test]
fn follow_ends_when_nobody_reads_although_no_event_comes() {
    let (folder, _store) = store();
    let mut child = canarytap(folder.path(), &["log", "--follow"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let output = child.wait_with_output().unwrap(); // would hang for ever
    assert!(output.status.success());
    assert_eq!(stderr(&output), "");
}
