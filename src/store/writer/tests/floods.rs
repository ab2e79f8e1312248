//! Floods of visits: what folds, when a fold enters the chain, and what of it waits.

use super::*;
use crate::store::VISITS_AN_HOUR;
use crate::store::canonical::Fields;

const HOUR: u64 = 3600;

fn flood(ids: std::ops::Range<u64>) -> Vec<Incoming> {
    ids.map(|id| event(visit(id))).collect()
}

/// A visit at a second of its own.
fn visit_at(id: u64, second: u64) -> Event {
    Event {
        time: at(second),
        ..visit(id)
    }
}

fn open_folds(folder: &TempDir) -> Vec<EventRecord> {
    let reader = StoreReader::open(folder.path()).unwrap();
    reader.open_folds(&EventQuery::default()).unwrap()
}

fn folds(folder: &TempDir) -> Vec<EventRecord> {
    let mut all = log(folder, &EventQuery::default());
    all.retain(|record| record.kind == "fold");
    all
}

fn chain_holds(store: &Store) -> bool {
    let mut statement = store
        .connection
        .prepare("SELECT record, hash FROM visits ORDER BY seq")
        .unwrap();
    let rows = statement.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    });
    let mut before = chain::GENESIS.to_owned();
    rows.unwrap().map(Result::unwrap).all(|(record, hash)| {
        let fields: Fields = serde_json::from_str(&record).unwrap();
        let holds =
            fields["prev"] == before.as_str() && chain::sha256_hex(record.as_bytes()) == hash;
        before = hash;
        holds
    })
}

#[test]
fn a_hundred_visits_an_hour_stand_alone_and_further_ones_fold() {
    let (folder, mut store) = store();
    let committed = store.commit(&flood(0..250)).unwrap();
    let own = committed
        .events
        .iter()
        .filter(|(_, seq)| seq.is_some())
        .count();
    assert_eq!(own as u64, VISITS_AN_HOUR);
    assert_eq!(log(&folder, &EventQuery::default()).len(), 100);
    let open = open_folds(&folder);
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].count, open[0].open), (Some(150), Some(true)));
    assert_eq!(open[0].first, Some(at(100).to_string()));
    assert_eq!(open[0].last, Some(at(249).to_string()));
    assert_eq!((open[0].seq, open[0].alert), (None, true));
}

#[test]
fn a_fold_enters_the_chain_when_its_hour_is_over() {
    let (folder, mut store) = store();
    store.commit(&flood(0..103)).unwrap();
    store.close_floods(Some(at(HOUR - 1))).unwrap();
    assert!(folds(&folder).is_empty());
    store.close_floods(Some(at(HOUR))).unwrap();
    let closed = folds(&folder);
    assert_eq!(closed.len(), 1);
    assert_eq!((closed[0].seq, closed[0].count), (Some(101), Some(3)));
    assert_eq!(closed[0].time, at(102).to_string());
    assert_eq!(closed[0].visits(), 3);
    assert!(open_folds(&folder).is_empty());
    assert!(chain_holds(&store));
}

#[test]
fn the_next_hour_begins_with_visits_of_their_own_behind_the_fold_of_the_last() {
    let (folder, mut store) = store();
    store.commit(&flood(0..105)).unwrap();
    let later = [event(visit_at(200, HOUR)), event(visit_at(201, HOUR + 1))];
    let committed = store.commit(&later).unwrap();
    assert_eq!(
        committed.events,
        [(EventId(200), Some(102)), (EventId(201), Some(103))]
    );
    assert_eq!(folds(&folder)[0].seq, Some(101));
    assert!(chain_holds(&store));
}

#[test]
fn each_client_and_each_canary_has_a_hundred_of_its_own() {
    let (folder, mut store) = store();
    store.commit(&flood(0..101)).unwrap();
    let other_client = Event {
        client: "198.51.100.1".parse().unwrap(),
        ..visit(101)
    };
    let other_canary = Event {
        canary: Some("another".into()),
        ..visit(102)
    };
    let committed = store
        .commit(&[event(other_client), event(other_canary)])
        .unwrap();
    assert!(committed.events.iter().all(|(_, seq)| seq.is_some()));
    assert_eq!(open_folds(&folder).len(), 1);
}

#[test]
fn a_fold_says_only_what_all_of_it_have_in_common() {
    let (folder, mut store) = store();
    store.commit(&flood(0..100)).unwrap();
    let get = Event {
        method: Some("GET".into()),
        src_port: 4,
        ..visit(101)
    };
    store.commit(&[event(visit(100)), event(get)]).unwrap();
    let fold = &open_folds(&folder)[0];
    assert_eq!((fold.method.as_deref(), fold.src_port), (None, None));
    assert_eq!(fold.host.as_deref(), Some("www.example.org"));
    assert_eq!(fold.channel.as_deref(), Some("skype"));
    assert_eq!(fold.client, Some(visit(0).client));
}

#[test]
fn what_folds_after_an_acknowledgement_waits_for_the_next() {
    let (_folder, mut store) = store();
    store.commit(&flood(0..102)).unwrap();
    assert_eq!(store.unacknowledged().unwrap().unwrap().count, 101);
    store.acknowledge(&Acknowledge::All, at(103)).unwrap();
    assert_eq!(store.unacknowledged().unwrap(), None);
    let get = Event {
        method: Some("GET".into()),
        ..visit(102)
    };
    store.commit(&[event(get)]).unwrap();
    let waiting = store.unacknowledged().unwrap().unwrap();
    assert_eq!((waiting.count, waiting.method.as_deref()), (1, Some("GET")));
}

#[test]
fn a_fold_that_was_acknowledged_whole_stays_so_in_the_chain() {
    let (_folder, mut store) = store();
    store.commit(&flood(0..102)).unwrap();
    store.acknowledge(&Acknowledge::All, at(103)).unwrap();
    store.close_floods(None).unwrap();
    assert_eq!(store.unacknowledged().unwrap(), None);
}

#[test]
fn a_fold_of_which_a_part_was_acknowledged_waits_in_the_chain() {
    let (_folder, mut store) = store();
    store.commit(&flood(0..102)).unwrap();
    store.acknowledge(&Acknowledge::All, at(103)).unwrap();
    store.commit(&flood(102..103)).unwrap();
    store.close_floods(None).unwrap();
    let waiting = store.unacknowledged().unwrap().unwrap();
    assert_eq!((waiting.count, waiting.newest), (1, 101));
}

#[test]
fn a_flood_goes_on_folding_after_a_restart() {
    let (folder, mut store) = store();
    store.commit(&flood(0..101)).unwrap();
    drop(store);
    let mut store = Store::open(folder.path(), OPTIONS).unwrap();
    let committed = store.commit(&flood(101..102)).unwrap();
    assert_eq!(committed.events, [(EventId(101), None)]);
    assert_eq!(open_folds(&folder)[0].count, Some(2));
}

#[test]
fn what_is_learned_of_a_folded_visit_is_no_loss() {
    let (_folder, mut store) = store();
    store.commit(&flood(0..101)).unwrap();
    let committed = store.commit(&[status(100, 200), status(99, 200)]).unwrap();
    assert_eq!(committed.details_lost, 0);
}

#[test]
fn a_batch_that_fails_counts_nothing() {
    let (folder, mut store) = store();
    store.commit(&flood(0..100)).unwrap();
    store
        .connection
        .execute_batch("ALTER TABLE requests RENAME TO gone")
        .unwrap();
    let mut batch = flood(100..102);
    batch.push(event(request(102)));
    store.commit(&batch).unwrap_err();
    assert!(open_folds(&folder).is_empty());
}

#[test]
fn beyond_the_cap_visits_are_counted_whoever_comes() {
    let (folder, store) = store();
    drop(store);
    let tiny = StoreOptions {
        visits_max_bytes: 1000,
        ..OPTIONS
    };
    let mut store = Store::open(folder.path(), tiny).unwrap();
    store.commit(&flood(0..2)).unwrap();
    assert!(store.visits_bytes().unwrap() >= 1000);
    for (id, client) in [(2, "198.51.100.1"), (3, "198.51.100.2")] {
        let one = Event {
            client: client.parse().unwrap(),
            ..visit(id)
        };
        assert_eq!(store.commit(&[event(one)]).unwrap().events[0].1, None);
    }
    let open = open_folds(&folder);
    assert_eq!(
        (open.len(), open[0].count, open[0].client),
        (1, Some(2), None)
    );
}

#[test]
fn the_bytes_of_visits_are_those_that_stand_there() {
    let (folder, mut store) = store();
    store.commit(&flood(0..103)).unwrap();
    store.close_floods(None).unwrap();
    let noted = store.visits_bytes().unwrap();
    store
        .connection
        .execute("DELETE FROM meta WHERE key = 'visits_bytes'", [])
        .unwrap();
    assert_eq!(store.visits_bytes().unwrap(), noted);
    drop(folder);
}

#[test]
fn a_store_without_floods_is_brought_up_to_date_and_read_as_it_is() {
    let (folder, mut store) = store();
    store.commit(&flood(0..3)).unwrap();
    store
        .connection
        .execute_batch("DROP TABLE floods; PRAGMA user_version = 1")
        .unwrap();
    drop(store);
    assert!(open_folds(&folder).is_empty());
    let reader = StoreReader::open(folder.path()).unwrap();
    assert_eq!(reader.unacknowledged().unwrap().unwrap().count, 3);
    let mut store = Store::open(folder.path(), OPTIONS).unwrap();
    store.commit(&flood(3..104)).unwrap();
    assert_eq!(open_folds(&folder)[0].count, Some(1));
}

#[test]
fn a_clock_that_steps_back_by_hours_begins_another_hour() {
    let (folder, mut store) = store();
    store.commit(&[event(visit_at(0, 3 * HOUR))]).unwrap();
    store.commit(&flood(1..101)).unwrap();
    assert!(open_folds(&folder).is_empty());
    assert_eq!(log(&folder, &EventQuery::default()).len(), 101);
}
