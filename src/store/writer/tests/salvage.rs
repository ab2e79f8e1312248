//! Databases that are damaged: set aside, and what can be read of them goes on.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;

use super::*;
use crate::store::{Salvage, StoreReader, Verification};

const NOW: Timestamp = Timestamp::from_secs_nanos(1_367_342_912, 0);

/// A closed store of so many visits, with a canary.
fn filled(visits: u64) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), StoreOptions::default()).unwrap();
    store.add_canaries(&[canary("one")]).unwrap();
    for id in 0..visits {
        // Each from another client, so that none folds.
        let client = std::net::Ipv4Addr::from(u32::try_from(id).unwrap() + 0x0a00_0000).into();
        let visit = Event {
            client,
            ..visit(id)
        };
        store
            .commit(&[event(visit), event(request(id + 100_000))])
            .unwrap();
    }
    folder
}

fn canary(id: &str) -> StoredCanary {
    StoredCanary {
        id: id.into(),
        url: "https://www.example.org/x".into(),
        channel: "skype".into(),
        label: None,
        token: None,
        control: false,
        created: "2013-04-30T17:28:32Z".into(),
    }
}

/// Overwrites a part of the database.
fn scratch(folder: &TempDir, offset: u64, bytes: usize) {
    let path = folder.path().join("events.db");
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&vec![0xa5; bytes], offset).unwrap();
}

fn salvaged(folder: &TempDir) -> (Store, Salvage) {
    let opened = Store::open_or_salvage(folder.path(), StoreOptions::default(), NOW).unwrap();
    match opened {
        (store, Some(salvage)) => (store, salvage),
        (mut store, None) => {
            let reason = StoreReader::open(folder.path()).unwrap().damage();
            let reason = reason.unwrap_or_else(|error| Some(error.to_string()));
            let salvage = store.salvage(&reason.expect("damage"), 0, NOW).unwrap();
            (store, salvage)
        }
    }
}

fn verified(folder: &TempDir) -> Verification {
    StoreReader::open(folder.path())
        .unwrap()
        .verify(&[])
        .unwrap()
}

fn links(database: &std::path::Path) -> Vec<(u64, String, String)> {
    Connection::open(database)
        .unwrap()
        .prepare("SELECT seq, record, hash FROM visits ORDER BY seq")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

#[test]
fn a_database_without_its_first_page_gives_every_link_back() {
    let folder = filled(300);
    let before = links(&folder.path().join("events.db"));
    let whole = fs::read(folder.path().join("events.db")).unwrap();
    scratch(&folder, 0, 4096);
    let damaged = fs::read(folder.path().join("events.db")).unwrap();
    assert_ne!(whole, damaged);

    let (mut store, salvage) = salvaged(&folder);
    assert_eq!((salvage.links, salvage.holes), (300, 0));
    assert_eq!(fs::read(&salvage.aside).unwrap(), damaged);
    let name = salvage
        .aside
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    assert_eq!(name, "events.db.damaged-20130430T172832Z");

    let after = links(&folder.path().join("events.db"));
    assert_eq!(after[..300], before[..]);
    let told: Value = serde_json::from_str(&after[300].1).unwrap();
    assert_eq!(
        (&told["kind"], &told["links"]),
        (&"salvage".into(), &300.into())
    );
    assert_eq!(told["file"], name);
    store.commit(&[event(visit(7))]).unwrap();
    let verification = verified(&folder);
    assert!(verification.broken.is_none() && verification.lost.is_empty());
    assert_eq!(verification.records, 302);
}

#[test]
fn links_that_are_lost_leave_a_place_that_says_so() {
    let folder = filled(3000);
    let size = fs::metadata(folder.path().join("events.db")).unwrap().len();
    scratch(&folder, size / 2 / 4096 * 4096, 5 * 4096);
    let (mut store, salvage) = salvaged(&folder);
    assert!(salvage.links < 3000 && salvage.links > 2900, "{salvage:?}");
    assert!(salvage.holes > 0, "{salvage:?}");
    assert_eq!(store.canaries().unwrap(), [canary("one")]);
    store.commit(&[event(visit(7))]).unwrap();

    let verification = verified(&folder);
    assert!(verification.broken.is_none(), "{:?}", verification.broken);
    assert_eq!(verification.lost.len() as u64, salvage.holes);
    assert_eq!(verification.records, salvage.links + salvage.holes + 2);
    let head = verification.head.unwrap();
    let again = StoreReader::open(folder.path())
        .unwrap()
        .verify(&[head])
        .unwrap();
    assert!(again.broken.is_none());
}

#[test]
fn what_no_database_is_gives_nothing_and_a_new_one_begins_behind_the_numbers_that_were_given() {
    let folder = filled(3);
    fs::write(
        folder.path().join("events.db"),
        "not a database, but text".repeat(300),
    )
    .unwrap();
    let mut salvage = salvaged(&folder).1;
    assert_eq!((salvage.links, salvage.holes), (0, 0));
    let (mut store, _) =
        Store::open_or_salvage(folder.path(), StoreOptions::default(), NOW).unwrap();
    salvage = store.salvage("it is gone", 41, NOW).unwrap();
    assert_eq!(salvage.links, 1);
    let seqs: Vec<u64> = links(&folder.path().join("events.db"))
        .into_iter()
        .map(|(seq, _, _)| seq)
        .collect();
    assert_eq!(seqs, [1, 42]);
    assert_eq!(crate::store::set_aside(folder.path()).len(), 2);
}

#[test]
fn details_of_a_visit_before_the_damage_still_find_it() {
    let (folder, mut store) = store();
    store.commit(&[event(visit(1))]).unwrap();
    store.salvage("for a reason", 1, NOW).unwrap();
    let committed = store.commit(&[status(1, 404)]).unwrap();
    assert_eq!(committed.details_lost, 0);
    drop(store);
    assert!(verified(&folder).broken.is_none());
}

#[test]
fn a_power_cut_between_the_moves_is_mended_by_the_next_start() {
    let folder = filled(20);
    let whole = links(&folder.path().join("events.db"));
    let (store, salvage) = salvaged_by_force(&folder);
    drop(store);
    // As it was before the last move.
    fs::rename(
        folder.path().join("events.db"),
        folder.path().join("events.db.salvaged"),
    )
    .unwrap();
    fs::write(
        folder.path().join("events.db-wal"),
        "log of the damaged one",
    )
    .unwrap();
    let store = Store::open(folder.path(), StoreOptions::default()).unwrap();
    drop(store);
    assert_eq!(links(&folder.path().join("events.db"))[..20], whole[..]);
    let mut log = salvage.aside.into_os_string();
    log.push("-wal");
    assert_eq!(fs::read(log).unwrap(), b"log of the damaged one");
}

#[test]
fn a_power_cut_while_the_new_one_is_filled_costs_nothing() {
    let folder = filled(20);
    fs::write(folder.path().join("events.db.salvaged"), "half of it").unwrap();
    fs::write(folder.path().join("events.db.salvaged-wal"), "and more").unwrap();
    let (_store, salvage) = salvaged_by_force(&folder);
    assert_eq!(salvage.links, 20);
    assert!(verified(&folder).broken.is_none());
}

fn salvaged_by_force(folder: &TempDir) -> (Store, Salvage) {
    let mut store = Store::open(folder.path(), StoreOptions::default()).unwrap();
    let salvage = store.salvage("for a reason", 0, NOW).unwrap();
    (store, salvage)
}

#[test]
fn a_database_of_something_else_stays_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE theirs (x)")
        .unwrap();
    let error = Store::open_or_salvage(folder.path(), StoreOptions::default(), NOW).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
}

#[test]
fn damage_anywhere_is_survived() {
    let whole = filled(400);
    let path = whole.path().join("events.db");
    let size = fs::metadata(&path).unwrap().len();
    for page in (0..size / 4096).step_by(7) {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(&path, folder.path().join("events.db")).unwrap();
        scratch(&folder, page * 4096 + 512, 1024);
        let opened = Store::open_or_salvage(folder.path(), StoreOptions::default(), NOW);
        let (mut store, _) = opened.unwrap();
        if let Err(error) = store.commit(&[event(visit(7))]) {
            store
                .salvage(&error.damage().expect("damage"), 800, NOW)
                .unwrap();
            store.commit(&[event(visit(7))]).unwrap();
        } else if let Ok(Some(damage)) = StoreReader::open(folder.path()).unwrap().damage() {
            store.salvage(&damage, 800, NOW).unwrap();
        }
        drop(store);
        let verification = verified(&folder);
        // A byte of a record that is no more what it was: SQLite cannot know, but the chain does.
        let harmless = matches!(
            verification.broken,
            None | Some(crate::store::Broken::Hash { .. } | crate::store::Broken::Form { .. })
        );
        assert!(harmless, "page {page}: {:?}", verification.broken);
    }
}

#[test]
fn files_of_packets_keep_within_their_bounds_when_the_database_is_made_anew() {
    let folder = filled(3);
    let shelf = folder.path().join("evidence");
    fs::create_dir(&shelf).unwrap();
    let kept = |of: u64| {
        Incoming::Evidence(EvidenceDetail {
            of,
            time: NOW,
            evidence: serde_json::from_value(serde_json::json!({
                "state": "kept", "file": format!("{of}.pcapng"), "sha256": "0", "bytes": 7
            }))
            .unwrap(),
            shared_with: None,
        })
    };
    let mut store = Store::open(folder.path(), StoreOptions::default()).unwrap();
    for of in [1, 3, 5] {
        fs::write(shelf.join(format!("{of}.pcapng")), "packets").unwrap();
        store.commit(&[kept(of)]).unwrap();
    }
    fs::remove_file(shelf.join("3.pcapng")).unwrap();
    fs::hard_link(shelf.join("1.pcapng"), shelf.join("3.pcapng")).unwrap();
    drop(store);
    scratch(&folder, 0, 4096);
    let (mut store, _) = salvaged(&folder);
    store.recover_evidence(NOW).unwrap();
    let rows: Vec<(u64, u64, u64)> = store
        .connection
        .prepare("SELECT seq, bytes, shared FROM evidence ORDER BY seq")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(rows, [(1, 7, 1), (3, 0, 1), (5, 7, 5)]);
}
