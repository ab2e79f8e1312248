//! What the daemon may do, as the unit starts it: nearly nothing.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::idle::daemon;
use crate::installed::Installed;
use crate::namespaces::in_a_lab_of_several_users;
use crate::network::{Lab, wait_for};
use crate::web::{CANARY, HOST, Visitor, Web, url, visit};

/// `CAP_NET_RAW`, as the kernel writes sets.
const NET_RAW: u64 = 1 << 13;

#[test]
fn the_daemon_has_one_right_which_sleeps_while_it_captures_and_it_can_send_nothing() {
    in_a_lab_of_several_users(
        the_daemon_has_one_right_which_sleeps_while_it_captures_and_it_can_send_nothing,
        |lab| {
            let (_web, mut tap) = (Web::start(lab), Installed::running(lab));
            alerts(lab, &tap, 1);
            every_thread_sleeps_on_its_right(&daemon());
            nothing_listens(&daemon());
            let link: Value =
                serde_json::from_str(&lab.on_tap("-json -details link show eth1")).unwrap();
            assert_eq!(
                link[0]["promiscuity"], 1,
                "frames for others are seen: {link}"
            );
            assert_eq!(lab.frames_sent_by_tap(), 0);

            // The right is there again when the interface is opened anew.
            lab.remove_mirror();
            wait_for("the interface is gone", || {
                status(&tap)["faults"]
                    .to_string()
                    .contains("gone")
                    .then_some(())
            });
            lab.lay_mirror();
            wait_for("a healthy capture", || {
                let capture = &status(&tap)["capture"];
                (capture["link_up"] == true).then_some(())
            });
            alerts(lab, &tap, 2);
            every_thread_sleeps_on_its_right(&daemon());
            assert_eq!(lab.frames_sent_by_tap(), 0);
            assert!(tap.end(Signal::TERM).success());
        },
    );
}

/// A kernel without Landlock is a kernel on which this cannot be seen; it says so itself.
#[test]
fn landlock_confines_the_daemon_and_says_how_far() {
    in_a_lab_of_several_users(landlock_confines_the_daemon_and_says_how_far, |lab| {
        let tap = Installed::running(lab);
        let state = status(&tap)["landlock"].as_str().unwrap().to_owned();
        let modules = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
        if modules.contains("landlock") {
            assert_ne!(state, "none");
        }
        // Restricted threads bear the mark that comes with it, set by nobody else here.
        for thread in threads(&daemon()) {
            assert_eq!(field(&thread, "NoNewPrivs"), "1");
        }
        assert!(
            ["full", "partial", "none"].contains(&state.as_str()),
            "{state}"
        );
    });
}

/// Opens the canary until the log has so many alerts, or more.
fn alerts(lab: &Lab, tap: &Installed<'_>, count: usize) {
    wait_for("an alert", || {
        visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
        let log = tap.member("canarytap log --alerts --format jsonl");
        (log.lines().count() >= count).then_some(())
    });
}

fn status(tap: &Installed<'_>) -> Value {
    let output = tap.over_ssh("pi", "canarytap status --format jsonl");
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

fn every_thread_sleeps_on_its_right(process: &Path) {
    let threads = threads(process);
    assert!(threads.len() > 2, "{threads:?}");
    for status in threads {
        let set = |name| u64::from_str_radix(&field(&status, name), 16).unwrap();
        assert_eq!(set("CapEff"), 0, "{status}");
        assert_eq!(set("CapPrm"), NET_RAW, "{status}");
        assert_eq!((set("CapInh"), set("CapAmb")), (0, 0), "{status}");
    }
}

/// The status of each thread, as the kernel tells it.
fn threads(process: &Path) -> Vec<String> {
    let folder = fs::read_dir(process.join("task")).unwrap();
    folder
        .map(|thread| fs::read_to_string(thread.unwrap().path().join("status")).unwrap())
        .collect()
}

fn field(status: &str, name: &str) -> String {
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().to_owned()
}

/// Of all its sockets none is of an internet family, and none accepts connections.
fn nothing_listens(process: &Path) {
    let own = sockets(process);
    let table = |name: &str| {
        let path = process.join("net").join(name);
        fs::read_to_string(path).unwrap_or_default() // no IPv6 here
    };
    assert!(
        holds(&table("packet"), &own),
        "the capture's own socket is found this way"
    );
    for family in [
        "tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6",
    ] {
        assert!(!holds(&table(family), &own), "{family}");
    }
    let unix = table("unix");
    let listening: Vec<&str> = unix
        .lines()
        .filter(|line| line.split_whitespace().nth(3) == Some("00010000"))
        .collect();
    assert!(!holds(&listening.join("\n"), &own), "{listening:?}");
}

/// Whether a table of the kernel's names one of these sockets.
fn holds(table: &str, sockets: &HashSet<String>) -> bool {
    table.split_whitespace().any(|word| sockets.contains(word))
}

/// Inode numbers, which are long and unlike other columns.
fn sockets(process: &Path) -> HashSet<String> {
    let files = fs::read_dir(process.join("fd")).unwrap();
    files
        .filter_map(|file| fs::read_link(file.unwrap().path()).ok())
        .filter_map(|target| {
            let name = target.to_str()?.strip_prefix("socket:[")?;
            Some(name.strip_suffix(']')?.to_owned())
        })
        .collect()
}
