//! The daemon is killed at random instants under load: what had a light is on disk, once.

use std::collections::BTreeMap;
use std::process::Command;
use std::thread;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use rusqlite::Connection;

use crate::lights::first_on;
use crate::namespaces::{figure, in_a_lab, is_long};
use crate::network::Lab;
use crate::tap::{Tap, now, time_of};
use crate::web::{HOST, Load, Visitor, Web, curl, url};

#[test]
fn a_killed_daemon_has_kept_every_visit_whose_light_came_on_and_none_twice() {
    in_a_lab(
        a_killed_daemon_has_kept_every_visit_whose_light_came_on_and_none_twice,
        |lab| {
            let (_web, mut tap) = (Web::start(lab), Tap::new(lab));
            let mut random = Random(now());
            println!("seed {}", random.0);
            let (mut round, mut lit) = (0, 0);
            // A slow machine is given more rounds, and longer ones: kills before the first light
            // would show little.
            while round < rounds() || (lit <= rounds() / 2 && round < 5 * rounds()) {
                lit += u64::from(kill_one(lab, &mut tap, round, &mut random));
                round += 1;
            }
            assert!(lit > rounds() / 2, "only {lit} kills came after a light");
            assert_chain_holds(&tap);
            assert_nothing_twice(&tap);
        },
    );
}

/// Starts the daemon, visits, kills it at a random instant, and looks at what is left. Whether
/// the light had come on.
fn kill_one(lab: &Lab, tap: &mut Tap, round: u64, random: &mut Random) -> bool {
    let told_before = alert_lines(tap).len();
    let start = now();
    tap.start();
    let load = [
        Load::start(visits(lab, round)),
        Load::start(requests(lab, round)),
    ];
    let longest = 500_000 * (1 + round / rounds());
    thread::sleep(Duration::from_micros(random.below(longest)));
    tap.kill();
    drop(load);

    let kept = tap.log(&["--alerts"]);
    // The journal tells every alert that the light was told of; the light shows the first.
    for line in &alert_lines(tap)[told_before..] {
        let target = line.split(HOST).nth(1).unwrap().split(' ').next().unwrap();
        assert!(
            kept.iter().any(|event| event["target"] == target),
            "round {round}: not kept: {line}"
        );
    }
    let lit = first_on(&tap.lights(), "alert", start);
    if let Some(lit) = lit {
        let seen = |event| (start..lit).contains(&time_of(event));
        assert!(kept.iter().any(seen), "round {round}: a light and no visit");
    }
    tap.acknowledge(); // so that the next round begins in the dark
    lit.is_some()
}

/// Canary visits, each with a target of its own. Every round has another visitor, so that none
/// comes so often that its visits are folded into one record.
pub fn visits(lab: &Lab, round: u64) -> Command {
    let mut command = curl(lab, Visitor::Outside4);
    let source = format!("203.0.113.{}", 100 + round % 150);
    command
        .args(["--interface", &source, "--rate", "100/s", "--head"])
        .arg(url(HOST, &format!("/k/kill.html?{round}-[1-45]")));
    command
}

/// Other requests, as fast as they go.
pub fn requests(lab: &Lab, round: u64) -> Command {
    let mut command = curl(lab, Visitor::Inside4);
    command.arg(url(HOST, &format!("/page?{round}-[1-100000]")));
    command
}

/// What the daemon printed for alerts, over all rounds.
fn alert_lines(tap: &Tap) -> Vec<String> {
    let messages = tap.messages();
    let whole = messages
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    whole
        .filter(|line| line.starts_with("alert "))
        .map(|line| line.trim_end().to_owned())
        .collect()
}

fn assert_nothing_twice(tap: &Tap) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for event in tap.log(&[]) {
        *seen.entry(event["target"].to_string()).or_default() += 1;
    }
    let twice: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let visits = tap.log(&["--alerts"]).len();
    figure(&format!("{} kills, {visits} visits kept", rounds()));
}

/// Each row's hash is that of its record, and each record names the hash before it.
fn assert_chain_holds(tap: &Tap) {
    let database = Connection::open(tap.database()).unwrap();
    let mut rows = database
        .prepare("SELECT record, hash FROM visits ORDER BY seq")
        .unwrap();
    let rows = rows.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    });
    let mut before = "0".repeat(64);
    for row in rows.unwrap() {
        let (record, hash) = row.unwrap();
        let digest = digest(&SHA256, record.as_bytes());
        let hex: String = digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hash, hex, "{record}");
        let fields: serde_json::Value = serde_json::from_str(&record).unwrap();
        assert_eq!(fields["prev"], before, "{record}");
        before = hash;
    }
}

fn rounds() -> u64 {
    if is_long() { 200 } else { 20 }
}

/// A small generator (xorshift); what it is for needs no better one.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
