//! A wire on which nothing happens.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::namespaces::{figure, in_a_lab};
use crate::tap::Tap;

#[test]
fn a_silent_wire_lets_the_processor_sleep() {
    in_a_lab(a_silent_wire_lets_the_processor_sleep, |lab| {
        let log = lab.folder().join("keys.log");
        let with_keys = |config: &str| format!("{config}\n[tls]\nkey_log = [{log:?}]\n");
        let mut tap = Tap::configured(lab, with_keys);
        tap.start();
        thread::sleep(Duration::from_secs(2)); // the start is over
        let daemon = daemon();
        let before = wake_ups(&daemon);
        thread::sleep(Duration::from_secs(WATCHED));
        let tenths = (wake_ups(&daemon) - before) * 10 / WATCHED;
        figure(&format!(
            "{}.{} wake-ups a second on a silent wire (aim: 5 at most)",
            tenths / 10,
            tenths % 10
        ));
        // Something that spins is far beyond.
        assert!(tenths < 100);
    });
}

/// How often the threads of the daemon have slept so far.
fn wake_ups(daemon: &Path) -> u64 {
    let threads = fs::read_dir(daemon.join("task")).unwrap();
    threads
        .map(|thread| {
            let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
            let mut lines = status.lines();
            let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            count.unwrap().trim().parse::<u64>().unwrap()
        })
        .sum()
}

/// The daemon's folder in `/proc`, which numbers processes as they are numbered outside the lab.
pub fn daemon() -> PathBuf {
    let lab = fs::read_link("/proc/self/ns/pid").unwrap();
    let mut processes = fs::read_dir("/proc").unwrap();
    let found = processes.find_map(|entry| {
        let path = entry.unwrap().path();
        let is_here = fs::read_link(path.join("ns/pid")).is_ok_and(|at| at == lab);
        let is_daemon =
            fs::read_to_string(path.join("comm")).is_ok_and(|name| name == "canarytap\n");
        (is_here && is_daemon).then_some(path)
    });
    found.unwrap()
}

const WATCHED: u64 = 6;
