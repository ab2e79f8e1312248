//! Two people over a real sshd: one in the group `canarytap`, one not.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Child;

use rustix::process::Signal;
use serde_json::Value;

use crate::installed::{Installed, MEMBER, STRANGER};
use crate::namespaces::in_a_lab_of_several_users;
use crate::network::{Lab, wait_for};
use crate::web::{CANARY, HOST, Visitor, Web, url, visit};

#[test]
fn a_member_of_the_group_does_everything_over_ssh_without_sudo() {
    in_a_lab_of_several_users(
        a_member_of_the_group_does_everything_over_ssh_without_sudo,
        |lab| {
            let (_web, tap) = (Web::start(lab), Installed::running(lab));
            visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
            wait_for_alerts(&tap, 1);
            wait_for_status(&tap, "1 not acknowledged");
            tap.member("canarytap ack 1");
            wait_for_status(&tap, "0 not acknowledged");

            let minted = tap.member("canarytap mint --scheme http --channel letter");
            let link = minted.trim();
            wait_for("an alert for the minted canary", || {
                visit(lab, Visitor::Outside4, &["--head", link]);
                let log = tap.member("canarytap log --channel letter --format csv");
                (log.lines().count() > 1).then_some(())
            });
            let canaries = tap.member("canarytap canaries");
            assert!(canaries.contains("letter"), "{canaries}");
            tap.member("canarytap ack --all");
            tap.member("canarytap verify");
        },
    );
}

#[test]
fn what_a_member_leaves_behind_while_the_daemon_is_down_keeps_it_from_nothing() {
    in_a_lab_of_several_users(
        what_a_member_leaves_behind_while_the_daemon_is_down_keeps_it_from_nothing,
        |lab| {
            let (_web, mut tap) = (Web::start(lab), Installed::running(lab));
            visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
            wait_for_alerts(&tap, 1);
            for (end, count) in [(Signal::TERM, 2), (Signal::KILL, 3)] {
                tap.end(end);
                let status = tap.over_ssh(MEMBER, "canarytap status");
                assert_eq!(status.status.code(), Some(1));
                let message = String::from_utf8_lossy(&status.stderr).into_owned();
                assert!(message.contains("is not running"), "{message}");
                // With a umask that leaves the group nothing.
                tap.member("umask 077 && canarytap log && canarytap ack --all");
                tap.member("umask 077 && canarytap mint --channel letter");
                let follower = Follower::start(&tap, "umask 077 && ");
                wait_for("what is there", || {
                    (follower.alerts().len() == count - 1).then_some(())
                });
                tap.start();
                see_one_more(lab, &follower);
                assert_eq!(alerts(&tap).len(), count);
            }
        },
    );
}

#[test]
fn who_is_not_in_the_group_is_told_so_and_changes_nothing() {
    in_a_lab_of_several_users(
        who_is_not_in_the_group_is_told_so_and_changes_nothing,
        |lab| {
            let (_web, mut tap) = (Web::start(lab), Installed::running(lab));
            visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
            wait_for("the answer's status", || {
                (alerts(&tap).first()?["status"] == 200).then_some(())
            });
            let before = tap.member("canarytap canaries && canarytap log");
            refuse(&tap);
            tap.end(Signal::TERM);
            refuse(&tap);
            tap.start();
            assert_eq!(tap.member("canarytap canaries && canarytap log"), before);
            wait_for_status(&tap, "1 not acknowledged");
        },
    );
}

#[test]
fn a_log_that_is_followed_over_ssh_survives_restarts_of_the_daemon() {
    in_a_lab_of_several_users(
        a_log_that_is_followed_over_ssh_survives_restarts_of_the_daemon,
        |lab| {
            let (_web, mut tap) = (Web::start(lab), Installed::running(lab));
            let follower = Follower::start(&tap, "");
            see_one_more(lab, &follower);
            for end in [Signal::TERM, Signal::KILL] {
                tap.end(end);
                tap.start();
                see_one_more(lab, &follower);
            }
            assert_eq!(seqs(&follower.alerts()), seqs(&alerts(&tap)));
        },
    );
}

#[test]
fn a_log_that_is_followed_ends_when_the_connection_is_gone_though_nothing_comes() {
    in_a_lab_of_several_users(
        a_log_that_is_followed_ends_when_the_connection_is_gone_though_nothing_comes,
        |lab| {
            let (_web, tap) = (Web::start(lab), Installed::running(lab));
            let follower = Follower::start(&tap, "");
            see_one_more(lab, &follower);
            let ended = follower.cut();
            let ended = wait_for("its end", || {
                fs::read_to_string(&ended)
                    .ok()
                    .filter(|end| !end.is_empty())
            });
            assert_eq!(ended, "0\n", "a broken pipe is success");
        },
    );
}

/// `log --follow` of the member over SSH. The connection breaks when it is dropped.
struct Follower {
    ssh: Child,
    printed: PathBuf,
    ended: PathBuf,
}

impl Follower {
    /// Follows; `before` is said to the shell first.
    fn start(tap: &Installed<'_>, before: &str) -> Self {
        let ended = Path::new("/run/home").join(MEMBER).join("ended");
        let line = format!(
            "{before}canarytap log --alerts --follow --format jsonl; echo $? >{}",
            ended.display()
        );
        let printed = PathBuf::from("/run/followed");
        let mut ssh = tap.ssh(MEMBER, &line);
        ssh.stdout(File::create(&printed).unwrap());
        Self {
            ssh: ssh.spawn().unwrap(),
            printed,
            ended,
        }
    }

    /// What it has printed so far.
    fn alerts(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.printed).unwrap();
        let whole = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        whole
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Breaks the connection. Names the file that holds the exit status once it has ended.
    fn cut(self) -> PathBuf {
        self.ended.clone()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.ssh.kill().unwrap();
        self.ssh.wait().unwrap();
    }
}

/// A visit is printed as it happens.
fn see_one_more(lab: &Lab, follower: &Follower) {
    let before = follower.alerts().len();
    visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
    wait_for("the visit over SSH", || {
        (follower.alerts().len() > before).then_some(())
    });
}

/// Every command that touches the store or the daemon.
fn refuse(tap: &Installed<'_>) {
    for command in [
        "status",
        "log",
        "log --follow",
        "log --data /var/lib/canarytap",
        "ack 1",
        "ack --all",
        "mint --channel letter",
        "canaries",
        "verify",
        "keys",
    ] {
        let output = tap.over_ssh(STRANGER, &format!("canarytap {command}"));
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{command}: {message}");
        assert!(output.stdout.is_empty(), "{command}: {output:?}");
        assert!(message.contains("sudo adduser"), "{command}: {message}");
    }
}

/// The daemon says how it is once a second.
fn wait_for_status(tap: &Installed<'_>, words: &str) {
    wait_for(words, || {
        let status = tap.member("canarytap status");
        status.contains(words).then_some(())
    });
}

fn wait_for_alerts(tap: &Installed<'_>, count: usize) {
    wait_for("alerts in the log", || {
        (alerts(tap).len() >= count).then_some(())
    });
}

fn alerts(tap: &Installed<'_>) -> Vec<Value> {
    let log = tap.member("canarytap log --alerts --format jsonl");
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The numbers of events: what else a line holds may come later.
fn seqs(events: &[Value]) -> Vec<u64> {
    let seq = |event: &Value| event["seq"].as_u64().unwrap();
    events.iter().map(seq).collect()
}
