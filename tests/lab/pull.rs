//! The log pulled from the tap over a real sshd, with a key that can pull and do nothing else.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rusqlite::Connection;
use serde_json::Value;

use crate::installed::{Installed, MEMBER};
use crate::namespaces::{figure, in_a_lab_of_several_users, is_long};
use crate::network::{Lab, text, wait_for};
use crate::rewriting::rewrite;
use crate::tap::now;
use crate::web::{CANARY, HOST, Visitor, Web, url, visit};

#[test]
fn a_key_that_can_pull_pulls_what_is_new_and_can_do_nothing_else() {
    in_a_lab_of_several_users(
        a_key_that_can_pull_pulls_what_is_new_and_can_do_nothing_else,
        |lab| {
            let (_web, tap) = (Web::start(lab), Installed::running(lab));
            let laptop = Laptop::new(lab, &tap, "laptop");
            see_visits(lab, &tap, 3);
            assert_eq!(laptop.pull(&[]), 3);
            assert_eq!(laptop.alerts(&tap), 3);

            see_visits(lab, &tap, 5);
            assert!(laptop.pulled_links(&[]) >= 2);
            assert_eq!(laptop.alerts(&tap), 5);
            assert_eq!(laptop.pulled_links(&[]), 0);

            laptop.gets_no_shell();
            laptop.gets_no_sftp();
            laptop.gets_no_forwarding();
            assert_eq!(laptop.alerts(&tap), 5);
        },
    );
}

#[test]
fn a_pull_that_is_cut_off_at_any_instant_goes_on_with_the_next() {
    in_a_lab_of_several_users(
        a_pull_that_is_cut_off_at_any_instant_goes_on_with_the_next,
        |lab| {
            let (_web, tap) = (Web::start(lab), Installed::running(lab));
            let laptop = Laptop::new(lab, &tap, "laptop");
            fill(lab, &tap, 5_000);
            let mut random = Random(now());
            let whole = laptop.pull_cut_after("whole", u64::MAX);
            assert!(whole.success, "{whole:?}");
            let (copies, cuts) = if is_long() { (10, 5) } else { (2, 4) };
            let (mut cut_off, mut begun) = (0, 0);
            for copy in 0..copies {
                let name = format!("copy{copy}");
                let mut left = whole.bytes;
                for _ in 0..cuts {
                    let pull = laptop.pull_cut_after(&name, random.up_to(left));
                    // What comes with each pull again, before there is anything new.
                    left = (left - pull.bytes).max(HANDSHAKE);
                    cut_off += u32::from(!pull.success);
                    begun += u32::from(laptop.is_part_of(&name, &log_of(&tap)));
                    see_visits(lab, &tap, alerts(&tap).len() + 1);
                }
                laptop.pull(&["--name", &name]);
                assert_eq!(laptop.log(&name), log_of(&tap));
                let files = laptop.verify(&name);
                assert!(files.contains(" files, each as"), "{files}");
                assert!(!files.contains("not pulled yet"), "{files}");
            }
            figure(&format!(
                "{cut_off} of {} pulls cut off within {} bytes, {begun} with events kept by then",
                copies * cuts,
                whole.bytes
            ));
            assert!(cut_off * 10 >= copies * cuts * 9, "{cut_off}");
            assert!(begun > copies, "{begun}");
        },
    );
}

#[test]
fn two_taps_are_read_together_and_each_can_be_checked_alone() {
    in_a_lab_of_several_users(
        two_taps_are_read_together_and_each_can_be_checked_alone,
        |lab| {
            let (_web, tap) = (Web::start(lab), Installed::running(lab));
            let laptop = Laptop::new(lab, &tap, "laptop");
            see_visits(lab, &tap, 2);
            assert_eq!(laptop.pull(&["--name", "house"]), 2);
            see_visits(lab, &tap, 3);
            assert_eq!(laptop.pull(&["--name", "attic"]), 3);

            let merged = laptop.run(&["log", "--alerts", "--format", "jsonl"]);
            let merged: Vec<Value> = lines(&merged);
            let taps: Vec<&str> = merged
                .iter()
                .map(|event| event["tap"].as_str().unwrap())
                .collect();
            assert_eq!(taps, ["attic", "house", "attic", "house", "attic"]);
            let mut times: Vec<&str> = merged
                .iter()
                .map(|event| event["time"].as_str().unwrap())
                .collect();
            times.sort_unstable();
            times.dedup();
            assert_eq!(times.len(), 3);
            let table = laptop.run(&["log", "--alerts"]);
            assert!(table.starts_with("TAP"), "{table}");
            let verified = laptop.run(&["verify"]);
            assert_eq!(verified.matches("verified   ").count(), 2, "{verified}");
            for name in ["house", "attic"] {
                check_with_other_tools(&laptop.store.join(name));
            }
            let after = laptop.command(&["log", "--after", "1"]).output().unwrap();
            assert_eq!(after.status.code(), Some(2), "{after:?}");
        },
    );
}

#[test]
fn a_tap_whose_history_was_changed_is_refused_and_the_copy_stays() {
    in_a_lab_of_several_users(
        a_tap_whose_history_was_changed_is_refused_and_the_copy_stays,
        |lab| {
            let (_web, tap) = (Web::start(lab), Installed::running(lab));
            let laptop = Laptop::new(lab, &tap, "laptop");
            see_visits(lab, &tap, 4);
            laptop.pull(&[]);
            let before = laptop.log("pi");

            rewrite(Path::new(DATABASE), 2);
            see_visits(lab, &tap, 5);
            let refused = laptop.refused();
            assert!(refused.contains("rewritten from record 2 on"), "{refused}");
            assert_eq!(laptop.log("pi"), before);

            // The tap's own verify says nothing of it: its chain was made anew.
            tap.member("canarytap verify");
            let again = laptop.pull(&["--anew"]);
            assert!(again >= 5, "{again}");
            assert_eq!(laptop.log("pi"), log_of(&tap));
            let aside = fs::read_dir(&laptop.store).unwrap().filter(|entry| {
                let name = entry.as_ref().unwrap().file_name().into_string().unwrap();
                name.starts_with("pi.before-")
            });
            assert_eq!(aside.count(), 2, "the copy, and what was remembered of it");

            shorten_by(2);
            let refused = laptop.refused();
            assert!(refused.contains("shortened"), "{refused}");
        },
    );
}

const DATABASE: &str = "/var/lib/canarytap/events.db";

/// Another machine of the tap's owner, with a key of its own.
struct Laptop<'lab> {
    lab: &'lab Lab,
    folder: PathBuf,
    store: PathBuf,
    ssh: String,
}

impl<'lab> Laptop<'lab> {
    /// Makes its key, and gives the tap the line that README has for it.
    fn new(lab: &'lab Lab, tap: &Installed<'_>, name: &str) -> Self {
        let folder = lab.folder().join(name);
        fs::create_dir(&folder).unwrap();
        let key = folder.join("key");
        let mut keygen = lab.on("tap", "ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]);
        text(keygen.arg(&key).output().unwrap());
        let public = fs::read_to_string(key.with_extension("pub")).unwrap();
        let line = format!("{AUTHORIZED} {public}");
        let mut keys = fs::read_to_string("/run/ssh/key.pub").unwrap();
        keys.push_str(&line);
        fs::write("/run/ssh/key.pub", keys).unwrap();
        let ssh = tap.ssh_with(key.to_str().unwrap(), MEMBER);
        let words = ssh.get_args().skip(1).map(|word| word.to_str().unwrap());
        let words: Vec<&str> = words.collect();
        let (_host, options) = words.split_last().unwrap();
        Self {
            lab,
            store: folder.join("store"),
            folder,
            ssh: options.join(" "),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.lab.on("tap", env!("CARGO_BIN_EXE_canarytap"));
        command.arg("--data").arg(&self.store).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        text(self.command(arguments).output().unwrap())
    }

    fn pull_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&["pull", "--name", "pi"]);
        if arguments.contains(&"--name") {
            command = self.command(&["pull"]);
        }
        command
            .args(["--ssh", &self.ssh])
            .args(arguments)
            .arg(format!("{MEMBER}@127.0.0.1"));
        command
    }

    fn pulled(&self, arguments: &[&str]) -> Vec<u64> {
        let shown = text(self.pull_command(arguments).output().unwrap());
        let numbers = shown.lines().next().unwrap().split(' ');
        numbers.filter_map(|word| word.parse().ok()).collect()
    }

    /// Links that a pull brought.
    fn pulled_links(&self, arguments: &[&str]) -> u64 {
        self.pulled(arguments)[0]
    }

    /// Pulls; how many visits are there now.
    fn pull(&self, arguments: &[&str]) -> u64 {
        self.pulled(arguments);
        let name = arguments
            .iter()
            .skip_while(|word| **word != "--name")
            .nth(1);
        let log = self.log(name.unwrap_or(&"pi"));
        log.iter().filter(|event| event["kind"] == "visit").count() as u64
    }

    /// Pulls over a connection that breaks once so many bytes have come from the tap.
    fn pull_cut_after(&self, name: &str, bytes: u64) -> CutPull {
        let [limit, carried, cutter] =
            ["limit", "carried", "cutter"].map(|file| self.folder.join(file));
        fs::write(&limit, bytes.to_string()).unwrap();
        fs::write(&carried, "").unwrap();
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/programs/cut.py");
        let line = format!(
            "#!/bin/sh\nexec /usr/bin/python3 {} 127.0.0.1 2222 {} {}\n",
            program.display(),
            limit.display(),
            carried.display()
        );
        fs::write(&cutter, line).unwrap();
        fs::set_permissions(&cutter, Permissions::from_mode(0o755)).unwrap();
        let through = format!("{} -o ProxyCommand={}", self.ssh, cutter.display());
        let mut pull = self.command(&["pull", "--name", name, "--ssh", &through]);
        let output = pull.arg(format!("{MEMBER}@127.0.0.1")).output().unwrap();
        CutPull {
            success: output.status.success(),
            bytes: wait_for("what was carried", || {
                let carried = fs::read_to_string(&carried).ok()?;
                carried.parse().ok()
            }),
            message: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Whether there is a copy. It is whole as far as it goes: it verifies, nothing is there twice,
    /// and all of it is on the tap.
    fn is_part_of(&self, name: &str, tap: &[Value]) -> bool {
        if !self.store.join(name).join("events.db").exists() {
            return false;
        }
        self.verify(name);
        let log = self.log(name);
        let seqs: Vec<u64> = log
            .iter()
            .map(|event| event["seq"].as_u64().unwrap())
            .collect();
        assert!(
            seqs.is_sorted_by(|before, after| before < after),
            "{seqs:?}"
        );
        let there: BTreeSet<u64> = tap
            .iter()
            .map(|event| event["seq"].as_u64().unwrap())
            .collect();
        assert!(seqs.iter().all(|seq| there.contains(seq)));
        !seqs.is_empty()
    }

    fn verify(&self, name: &str) -> String {
        let mut command = self.lab.on("tap", env!("CARGO_BIN_EXE_canarytap"));
        command.arg("--data").arg(self.store.join(name));
        text(command.arg("verify").output().unwrap())
    }

    fn refused(&self) -> String {
        let output = self.pull_command(&[]).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("REFUSED"), "{message}");
        message
    }

    fn log(&self, name: &str) -> Vec<Value> {
        let mut command = self.lab.on("tap", env!("CARGO_BIN_EXE_canarytap"));
        command.arg("--data").arg(self.store.join(name));
        lines(&text(
            command.args(["log", "--format", "jsonl"]).output().unwrap(),
        ))
    }

    /// Alerts in the copy, which must be those of the tap.
    fn alerts(&self, tap: &Installed<'_>) -> usize {
        let ours: Vec<Value> = self
            .log("pi")
            .into_iter()
            .filter(|event| event["alert"] == true)
            .collect();
        assert_eq!(ours, alerts(tap));
        ours.len()
    }

    fn ssh(&self, arguments: &[&str]) -> Output {
        let mut words = self.ssh.split(' ');
        let mut command = self.lab.on("tap", words.next().unwrap());
        command.args(words).args(arguments);
        command.stdin(Stdio::null()).output().unwrap()
    }

    fn gets_no_shell(&self) {
        let host = format!("{MEMBER}@127.0.0.1");
        let left = Path::new("/run/home").join(MEMBER).join("left");
        for line in [
            "",
            "touch left",
            "sh -c 'touch left'",
            "canarytap ack --all",
            "canarytap mint --channel x",
        ] {
            let output = self.ssh(&[&host, line]);
            assert!(output.stdout.is_empty(), "{line}: {output:?}");
        }
        assert!(!left.exists());
        let status = self.ssh(&["-tt", &host, "canarytap status"]);
        let shown = String::from_utf8_lossy(&status.stderr).into_owned();
        assert!(shown.contains("PTY allocation request failed"), "{shown}");
    }

    fn gets_no_sftp(&self) {
        let batch = self.folder.join("batch");
        fs::write(&batch, "get /etc/passwd\n").unwrap();
        let mut words = self.ssh.split(' ').skip(1).map(|word| match word {
            "-p" => "-P",
            word => word,
        });
        let mut sftp = self.lab.on("tap", "sftp");
        sftp.args(words.by_ref())
            .arg("-b")
            .arg(&batch)
            .arg(format!("{MEMBER}@127.0.0.1"));
        sftp.current_dir(&self.folder);
        let output = sftp.output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        assert!(!self.folder.join("passwd").exists());
    }

    /// Neither to a port, nor from one, nor the agent.
    fn gets_no_forwarding(&self) {
        let host = format!("{MEMBER}@127.0.0.1");
        let through = self.ssh(&["-W", "127.0.0.1:2222", &host]);
        assert!(
            through.stdout.is_empty(),
            "no greeting of the sshd behind: {through:?}"
        );
        let shown = String::from_utf8_lossy(&through.stderr).into_owned();
        assert!(shown.contains("administratively prohibited"), "{shown}");
        let back = self.ssh(&[
            "-o",
            "ExitOnForwardFailure=yes",
            "-R",
            "2299:127.0.0.1:2222",
            &host,
        ]);
        let shown = String::from_utf8_lossy(&back.stderr).into_owned();
        assert!(shown.contains("remote port forwarding failed"), "{shown}");
    }
}

/// What became of a pull.
#[derive(Debug)]
struct CutPull {
    success: bool,
    /// What came from the tap, with what ssh adds.
    bytes: u64,
    #[expect(dead_code, reason = "shown where it fails")]
    message: String,
}

/// About what comes from the tap before the first answer.
const HANDSHAKE: u64 = 4000;

/// Numbers that are other ones in each run (xorshift64).
struct Random(u64);

impl Random {
    /// From 1 on.
    fn up_to(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        1 + self.0 % most
    }
}

/// The line of README, up to the key.
const AUTHORIZED: &str = r#"restrict,command="canarytap serve-pull""#;

/// Visits until so many stand in the log, with their statuses.
fn see_visits(lab: &Lab, tap: &Installed<'_>, count: usize) {
    while alerts(tap).len() < count {
        let before = alerts(tap).len();
        visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
        wait_for("the visit with its status", || {
            let alerts = alerts(tap);
            (alerts.len() > before && alerts.last()?["status"] == 200).then_some(())
        });
    }
    wait_for_packets(tap);
}

/// What is said of the packets of visits comes a little later than they, and is new too.
fn wait_for_packets(tap: &Installed<'_>) {
    wait_for("the visits' packets", || {
        let told = |alert: &Value| alert["evidence"].is_object();
        alerts(tap).iter().all(told).then_some(())
    });
}

/// So many requests in the log, however many a busy machine lets pass unseen.
fn fill(lab: &Lab, tap: &Installed<'_>, count: usize) {
    loop {
        let missing = count.saturating_sub(log_of(tap).len());
        if missing == 0 {
            return;
        }
        let pages = url(HOST, &format!("/page?[1-{missing}]"));
        visit(lab, Visitor::Inside4, &[&pages]);
        // A visit takes along to the disk what waits for it.
        see_visits(lab, tap, alerts(tap).len() + 1);
    }
}

fn log_of(tap: &Installed<'_>) -> Vec<Value> {
    lines(&tap.member("canarytap log --format jsonl"))
}

fn alerts(tap: &Installed<'_>) -> Vec<Value> {
    lines(&tap.member("canarytap log --alerts --format jsonl"))
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn shorten_by(records: u64) {
    let database = Connection::open(DATABASE).unwrap();
    let cut = "DELETE FROM visits WHERE seq IN (SELECT seq FROM visits ORDER BY seq DESC LIMIT ?1)";
    database.execute(cut, [records]).unwrap();
}

/// Each record's hash by sha256sum, of the bytes that sqlite3 gives.
fn check_with_other_tools(directory: &Path) {
    let script = r#"
        sqlite3 -readonly "$1" "SELECT seq FROM visits ORDER BY seq" | while read -r seq; do
            hash=$(sqlite3 -readonly "$1" "SELECT hash FROM visits WHERE seq = $seq")
            sum=$(sqlite3 -readonly "$1" "SELECT record FROM visits WHERE seq = $seq" |
                head -c -1 | sha256sum | cut -d' ' -f1)
            [ "$hash" = "$sum" ] || exit 1
            echo "$seq"
        done
    "#;
    let mut command = Command::new("bash");
    command
        .args(["-c", script, "bash"])
        .arg(directory.join("events.db"));
    let checked = text(command.output().unwrap());
    assert!(checked.lines().count() >= 2, "{checked}");
}
