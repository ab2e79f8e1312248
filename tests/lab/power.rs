//! The current is cut at random instants: what is left on the card opens, holds together, and has
//! every visit whose light came on.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use canarytap::store::{Store, StoreOptions, StoreReader};
use rusqlite::Connection;
use rustix::process::Signal;

use crate::card::{Card, Done, Surface};
use crate::kills::{Random, requests, visits};
use crate::namespaces::{figure, in_a_lab, is_long};
use crate::network::{Lab, wait_for};
use crate::tap::{Tap, now};
use crate::web::{Load, Web};

#[test]
fn after_a_power_cut_at_any_instant_no_visit_is_missing_whose_light_came_on() {
    in_a_lab(
        after_a_power_cut_at_any_instant_no_visit_is_missing_whose_light_came_on,
        |lab| {
            let (_web, mut tap) = (Web::start(lab), Tap::new(lab));
            let card = Card::over(&tap.data());
            // The journal lies on the card, too: so it is known what was told before what was written.
            symlink(
                tap.data().join("journal"),
                lab.folder().join("tap/messages"),
            )
            .unwrap();
            let (kill, stop) = (Signal::KILL, Signal::TERM);
            for (round, end) in [kill, stop, kill].into_iter().enumerate() {
                tap.start();
                keep_busy(lab, &tap, round as u64);
                tap.signal(end);
                tap.wait();
                tap.acknowledge();
            }
            let done = card.done();
            drop(card);
            replay(&done, lab.folder());
        },
    );
}

/// Visits and requests, until so many visits are told.
fn keep_busy(lab: &Lab, tap: &Tap, round: u64) {
    let told = |tap: &Tap| tap.messages().matches("alert ").count();
    let before = told(tap);
    let load = [
        Load::start(visits(lab, round)),
        Load::start(requests(lab, round)),
    ];
    wait_for("visits", || (told(tap) >= before + 40).then_some(()));
    drop(load);
}

fn replay(done: &[Done], folder: &Path) {
    let mut random = Random(now());
    println!("seed {}", random.0);
    let cuts = if is_long() { 500 } else { 25 };
    let mut instants: Vec<usize> = (0..cuts)
        .map(|_| usize::try_from(random.below(done.len() as u64)).unwrap())
        .collect();
    instants.sort_unstable();
    let (mut surface, mut taken, mut found) = (Surface::default(), 0, 0);
    for (number, instant) in instants.into_iter().enumerate() {
        done[taken..instant]
            .iter()
            .for_each(|one| surface.take(one));
        taken = instant;
        let left = folder.join(format!("left-{number}"));
        fs::create_dir(&left).unwrap();
        // Nothing of what was not synced, all of it, or some.
        let share = [0, 100, 50, 10, 90][number % 5];
        surface.leave(&left, &mut || random.below(100) < share);
        // Shared memory, of which a power cut leaves anything.
        let _none = fs::write(left.join("events.db-shm"), vec![0xa5; 32768]);
        found += check(&left, &told_before(&done[..instant]), instant);
        fs::remove_dir_all(&left).unwrap();
    }
    figure(&format!(
        "{cuts} power cuts in {} writes and syncs, {found} visits looked for, none missing",
        done.len()
    ));
}

/// Numbers of alerts that the journal told: their light had come on.
fn told_before(done: &[Done]) -> Vec<u64> {
    let mut journal = None;
    let mut text = Vec::new();
    for one in done {
        match one {
            Done::Made { name, node, .. } if name == "journal" => journal = Some(*node),
            Done::Wrote { node, bytes, .. } if Some(*node) == journal => text.extend(bytes),
            _ => {}
        }
    }
    let text = String::from_utf8(text).unwrap();
    assert!(!text.contains("not stored"), "{text}");
    let whole = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    let numbers =
        whole.filter_map(|line| line.strip_prefix("alert ")?.split(':').next()?.parse().ok());
    numbers.collect()
}

fn check(left: &Path, told: &[u64], instant: usize) -> usize {
    let opened = Store::open_or_salvage(left, StoreOptions::default(), at_last());
    let (store, salvage) = opened.unwrap_or_else(|error| panic!("at {instant}: {error}"));
    assert!(salvage.is_none(), "at {instant}: {salvage:?}");
    drop(store);
    let verification = StoreReader::open(left).unwrap().verify(&[]).unwrap();
    assert_eq!(verification.broken, None, "at {instant}");
    let database = Connection::open(left.join("events.db")).unwrap();
    for seq in told {
        let found: bool = database
            .query_row(
                "SELECT EXISTS (SELECT 1 FROM visits WHERE seq = ?1 AND json_extract(record, '$.alert'))",
                [seq],
                |row| row.get(0),
            )
            .unwrap();
        assert!(
            found,
            "at {instant}: visit {seq} had its light, and is gone"
        );
    }
    told.len()
}

fn at_last() -> canarytap::engine::frame::Timestamp {
    canarytap::engine::frame::Timestamp::from_nanos(now())
}
