//! `keys`, as a user at a shell sees it: a pipe that somebody reads stands in for the daemon.

#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used, reason = "tests may assert in the plainest way")]

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use canarytap::daemon::keys::Fifo;
use canarytap::engine::app::tls::keylog::KeyLogEntry;
use tempfile::TempDir;

const SECRET: &str = "5ec5e7";

/// A run directory and a configuration that names it.
struct Tap {
    folder: TempDir,
}

impl Tap {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "[store]\ndirectory = \"{0}\"\nrun_directory = \"{0}\"\n",
            folder.path().display()
        );
        fs::write(folder.path().join("canarytap.toml"), config).unwrap();
        Self { folder }
    }

    fn pipe(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    fn keys(&self, mut command: Command) -> Child {
        command
            .arg("-c")
            .arg(self.folder.path().join("canarytap.toml"))
            .arg("keys")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn hand_in(&self, text: &str) -> Output {
        let mut keys = self.keys(canarytap());
        let mut input = keys.stdin.take().unwrap();
        // It may refuse before it reads anything.
        let _refused = input.write_all(text.as_bytes());
        drop(input);
        keys.wait_with_output().unwrap()
    }
}

fn canarytap() -> Command {
    Command::new(env!("CARGO_BIN_EXE_canarytap"))
}

fn line(writer: usize, number: usize) -> String {
    let random = format!("{writer:032x}{number:032x}");
    format!("CLIENT_RANDOM {random} {}\n", SECRET.repeat(16))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn many_may_hand_in_at_once_and_each_line_comes_whole() {
    const WRITERS: usize = 8;
    const LINES: usize = 1000;
    let tap = Tap::new();
    let mut fifo = Fifo::make(tap.folder.path()).unwrap();
    let mut came: Vec<Vec<usize>> = vec![Vec::new(); WRITERS];
    thread::scope(|scope| {
        let hand_in = |writer| {
            let text: String = (0..LINES).map(|number| line(writer, number)).collect();
            assert_eq!(tap.hand_in(&text).status.code(), Some(0));
        };
        for writer in 0..WRITERS {
            scope.spawn(move || hand_in(writer));
        }
        while came.iter().map(Vec::len).sum::<usize>() < WRITERS * LINES {
            fifo.look(&mut |line| {
                let random = KeyLogEntry::parse(line).unwrap().client_random;
                let [writer, number] = [&random[..16], &random[16..]]
                    .map(|half| u128::from_be_bytes(half.try_into().unwrap()) as usize);
                came[writer].push(number);
            });
            thread::yield_now();
        }
    });
    for numbers in came {
        assert_eq!(numbers, (0..LINES).collect::<Vec<_>>());
    }
}

#[test]
fn no_secret_is_ever_printed() {
    let tap = Tap::new();
    let _fifo = Fifo::make(tap.folder.path()).unwrap();
    let cut_short = &line(0, 1)[..150];
    let output = tap.hand_in(&format!("{}{cut_short}\nnonsense {SECRET}\n", line(0, 0)));
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.is_empty());
    assert!(
        said(&output).contains("2 lines were no line of a key log"),
        "{}",
        said(&output)
    );
    assert!(!said(&output).contains(SECRET), "{}", said(&output));
}

#[test]
fn a_file_that_is_no_key_log_is_a_bad_answer() {
    let tap = Tap::new();
    let _fifo = Fifo::make(tap.folder.path()).unwrap();
    let output = tap.hand_in("GET / HTTP/1.1\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("SSLKEYLOGFILE"), "{}", said(&output));
    assert_eq!(tap.hand_in("").status.code(), Some(0));
}

#[test]
fn without_a_daemon_it_says_so_and_what_starts_one() {
    let tap = Tap::new();
    for _left_behind in [false, true] {
        let output = tap.hand_in(&line(0, 0));
        assert_eq!(output.status.code(), Some(1));
        assert!(
            said(&output).contains("the daemon is not running"),
            "{}",
            said(&output)
        );
        assert!(said(&output).contains("systemctl start canarytap"));
        // A daemon that was killed leaves its pipe behind.
        Command::new("mkfifo").arg(tap.pipe()).output().unwrap();
    }
}

#[test]
fn who_may_not_write_to_the_pipe_is_told_how_to_get_in() {
    let tap = Tap::new();
    let _fifo = Fifo::make(tap.folder.path()).unwrap();
    fs::set_permissions(tap.folder.path(), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(tap.pipe(), Permissions::from_mode(0o600)).unwrap();
    let keys = tap.keys(somebody_else(&tap));
    let output = keys.wait_with_output().unwrap();
    if !rustix::process::geteuid().is_root() {
        return assert_eq!(output.status.code(), Some(0)); // nobody else is at hand
    }
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("sudo adduser"), "{}", said(&output));
}

/// The program as another user, where root may make it so.
fn somebody_else(tap: &Tap) -> Command {
    if !rustix::process::geteuid().is_root() {
        return canarytap();
    }
    // The build may lie where nobody else may look.
    let program = tap.folder.path().join("canarytap");
    let copied = Command::new("cp")
        .args([env!("CARGO_BIN_EXE_canarytap").as_ref(), program.as_path()])
        .status();
    assert!(copied.unwrap().success());
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program);
    command
}
