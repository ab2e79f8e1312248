use std::ops::ControlFlow;

use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::engine::event::{Alterations, Detail, Event, Flags, LateRequest, Learned, MatchKind};
use crate::entries::{at, request, visit};
use crate::store::{EventQuery, EventRecord, EvidenceDetail, EvidenceOptions, StoreReader, chain};

const OPTIONS: StoreOptions = StoreOptions {
    requests_max_bytes: 1 << 20,
    visits_max_bytes: 1 << 20,
    evidence: EvidenceOptions::DEFAULT,
};

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), OPTIONS).unwrap();
    (folder, store)
}

fn event(event: Event) -> Incoming {
    Incoming::Event(event)
}

fn status(of: u64, status: u16) -> Incoming {
    Incoming::Detail(Detail {
        of: EventId(of),
        time: at(of),
        learned: Learned::Status { status },
    })
}

fn log(folder: &TempDir, query: &EventQuery) -> Vec<EventRecord> {
    let reader = StoreReader::open(folder.path()).unwrap();
    let mut events = Vec::new();
    reader
        .for_each::<StoreError>(query, |event| {
            events.push(event);
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    events
}

fn seqs_and_statuses(folder: &TempDir) -> Vec<(u64, Option<u16>)> {
    let events = log(folder, &EventQuery::default());
    let pairs = events
        .iter()
        .map(|event| (event.seq.unwrap(), event.status));
    pairs.collect()
}

#[test]
fn visits_and_requests_share_one_sequence_in_the_order_of_the_batch() {
    let (folder, mut store) = store();
    let first = store.commit(&[event(request(0)), event(visit(1))]).unwrap();
    let second = store.commit(&[event(request(2))]).unwrap();
    assert_eq!(first.events, [(EventId(0), Some(1)), (EventId(1), Some(2))]);
    assert_eq!(second.events, [(EventId(2), Some(3))]);
    let kinds: Vec<_> = log(&folder, &EventQuery::default())
        .iter()
        .map(|event| event.kind.clone())
        .collect();
    assert_eq!(kinds, ["request", "visit", "request"]);
}

#[test]
fn a_status_in_the_same_batch_is_joined_to_its_event() {
    let (folder, mut store) = store();
    let batch = [
        event(request(0)),
        event(visit(1)),
        status(0, 200),
        status(1, 404),
    ];
    store.commit(&batch).unwrap();
    assert_eq!(seqs_and_statuses(&folder), [(1, Some(200)), (2, Some(404))]);
}

#[test]
fn a_visit_known_by_its_hello_is_joined_by_its_request() {
    let (folder, mut store) = store();
    let hello = Event {
        method: None,
        target: None,
        version: None,
        user_agent: None,
        matched: Some(MatchKind::Token),
        flags: Flags::ECH,
        ..visit(0)
    };
    store.commit(&[event(hello)]).unwrap();
    let request = LateRequest {
        matched: Some(MatchKind::Url),
        method: "HEAD".into(),
        host: None,
        target: "/x".into(),
        version: "HTTP/2",
        user_agent: Some("bot".into()),
        referer: None,
        forwarded_for: None,
        alpn: Some("h2".into()),
        flags: Flags::LATE_KEY,
        alterations: Alterations::NONE,
    };
    let late = Incoming::Detail(Detail {
        of: EventId(0),
        time: at(9),
        learned: Learned::Request(Box::new(request)),
    });
    store.commit(&[late, status(0, 404)]).unwrap();
    let events = log(&folder, &EventQuery::default());
    assert_eq!(events.len(), 1, "one visit");
    let joined = &events[0];
    assert_eq!(joined.method.as_deref(), Some("HEAD"));
    assert_eq!(joined.target.as_deref(), Some("/x"));
    assert_eq!(joined.matched.as_deref(), Some("url"));
    assert_eq!(joined.status, Some(404));
    assert_eq!(joined.flags, ["ech", "late_key"]);
    assert!(joined.host.is_some(), "what the request did not say stays");
}

#[test]
fn a_status_that_comes_later_finds_its_event() {
    let (folder, mut store) = store();
    store.commit(&[event(request(0)), event(visit(1))]).unwrap();
    store.commit(&[status(0, 200), status(1, 404)]).unwrap();
    assert_eq!(seqs_and_statuses(&folder), [(1, Some(200)), (2, Some(404))]);
}

#[test]
fn a_status_for_a_settled_event_is_counted_as_lost() {
    let (_folder, mut store) = store();
    store
        .commit(&[event(visit(1)), Incoming::Settled(EventId(1))])
        .unwrap();
    let committed = store.commit(&[status(1, 200)]).unwrap();
    assert_eq!(committed.details_lost, 1);
}

#[test]
fn a_batch_that_fails_leaves_nothing_and_can_be_tried_again() {
    let (folder, mut store) = store();
    let refuse = Connection::open(folder.path().join("events.db")).unwrap();
    refuse
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE INSERT ON requests BEGIN SELECT RAISE(FAIL, 'no'); END",
        )
        .unwrap();
    let batch = [event(visit(0)), event(request(1))];
    assert!(store.commit(&batch).is_err());
    assert!(seqs_and_statuses(&folder).is_empty());
    refuse.execute_batch("DROP TRIGGER refuse").unwrap();
    store.commit(&batch).unwrap();
    assert_eq!(seqs_and_statuses(&folder), [(1, None), (2, None)]);
}

#[test]
fn a_full_disk_is_called_so_and_what_did_not_fit_can_be_tried_again() {
    let (folder, mut store) = store();
    store.commit(&[event(visit(0))]).unwrap();
    store
        .connection
        .pragma_update(None, "max_page_count", 20)
        .unwrap();
    let batch: Vec<_> = (1..2000).map(|id| event(request(id))).collect();
    let error = store.commit(&batch).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert_eq!(seqs_and_statuses(&folder).len(), 1);
    store
        .connection
        .pragma_update(None, "max_page_count", 1_000_000)
        .unwrap();
    assert_eq!(store.commit(&batch).unwrap().events.len(), 1999);
}

#[test]
fn another_writer_in_between_breaks_neither_sequence_nor_chain() {
    let (folder, mut store) = store();
    let mut other = Store::open_existing(folder.path(), OPTIONS).unwrap();
    store.commit(&[event(visit(0))]).unwrap();
    other.commit(&[event(visit(0))]).unwrap();
    store.commit(&[event(visit(1))]).unwrap();
    let links: Vec<(String, String)> = store
        .connection
        .prepare("SELECT json_extract(record, '$.prev'), hash FROM visits ORDER BY seq")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(links[0].0, chain::GENESIS);
    assert_eq!(links[1].0, links[0].1);
    assert_eq!(links[2].0, links[1].1);
}

#[test]
fn what_somebody_else_wrote_is_noticed_once_and_own_writes_are_not() {
    let (folder, mut store) = store();
    store.commit(&[event(visit(0))]).unwrap();
    assert!(!store.changed().unwrap());
    let mut other = Store::open_existing(folder.path(), OPTIONS).unwrap();
    other.acknowledge(&Acknowledge::All, at(1)).unwrap();
    assert!(store.changed().unwrap());
    assert!(!store.changed().unwrap());
}

#[test]
fn the_newest_unacknowledged_alert_decides() {
    let (_folder, mut store) = store();
    assert_eq!(store.unacknowledged().unwrap(), None);
    let mut get = visit(1);
    get.method = Some("GET".into());
    store.commit(&[event(visit(0)), event(get)]).unwrap();
    let waiting = store.unacknowledged().unwrap().unwrap();
    assert_eq!((waiting.count, waiting.newest), (2, 2));
    assert_eq!(waiting.method.as_deref(), Some("GET"));
    let done = store
        .acknowledge(&Acknowledge::Seqs(vec![2]), at(2))
        .unwrap();
    assert_eq!(done, Acknowledged { newly: 1, left: 1 });
    assert_eq!(store.unacknowledged().unwrap().unwrap().newest, 1);
}

#[test]
fn acknowledging_all_holds_until_the_next_alert() {
    let (_folder, mut store) = store();
    store.commit(&[event(visit(0)), event(visit(1))]).unwrap();
    store
        .acknowledge(&Acknowledge::Seqs(vec![2]), at(2))
        .unwrap();
    store.acknowledge(&Acknowledge::All, at(3)).unwrap();
    assert_eq!(store.unacknowledged().unwrap(), None);
    store.commit(&[event(visit(2))]).unwrap();
    assert_eq!(store.unacknowledged().unwrap().unwrap().count, 1);
}

#[test]
fn acknowledging_what_is_no_alert_changes_nothing() {
    let (_folder, mut store) = store();
    let mut inside = visit(2);
    inside.alert = false;
    store
        .commit(&[event(visit(0)), event(request(1)), event(inside)])
        .unwrap();
    let error = store
        .acknowledge(&Acknowledge::Seqs(vec![1, 2, 3, 9, u64::MAX]), at(3))
        .unwrap_err();
    let StoreError::CannotAcknowledge {
        unknown,
        not_alerts,
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((unknown, not_alerts), (vec![9, u64::MAX], vec![2, 3]));
    assert_eq!(store.unacknowledged().unwrap().unwrap().count, 1);
}

#[test]
fn the_oldest_requests_go_first_and_visits_never() {
    let (folder, store) = store();
    drop(store);
    let small = StoreOptions {
        requests_max_bytes: 40_000,
        ..OPTIONS
    };
    let mut store = Store::open(folder.path(), small).unwrap();
    store.commit(&[event(visit(0))]).unwrap();
    let mut pruned = 0;
    for round in 0..50 {
        let batch: Vec<_> = (0..20)
            .map(|n| event(request(1 + round * 20 + n)))
            .collect();
        pruned += store.commit(&batch).unwrap().requests_pruned;
    }
    let left = seqs_and_statuses(&folder);
    assert_eq!(left[0].0, 1);
    assert_eq!(left.last().unwrap().0, 1001);
    assert_eq!(left.len() as u64, 1 + 1000 - pruned);
    let bytes: u64 = store
        .connection
        .query_row("SELECT sum(length(record)) FROM requests", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert!((25_000..=40_000).contains(&bytes), "{bytes}");
}

#[test]
fn a_seq_is_never_given_again_even_when_the_cap_is_nothing() {
    let (folder, store) = store();
    drop(store);
    let nothing = StoreOptions {
        requests_max_bytes: 0,
        ..OPTIONS
    };
    for id in 0..5 {
        let mut store = Store::open(folder.path(), nothing).unwrap();
        let committed = store.commit(&[event(request(id))]).unwrap();
        assert_eq!(committed.events, [(EventId(id), Some(id + 1))]);
    }
}

#[test]
fn a_search_by_time_finds_the_same_with_and_without_spans() {
    let (folder, mut store) = store();
    // Seconds go up, then the clock steps back.
    let batch: Vec<_> = (0..3000)
        .map(|n| {
            let mut one = if n % 100 == 0 { visit(n) } else { request(n) };
            one.time = at(if n < 2500 { n } else { n - 2400 });
            event(one)
        })
        .collect();
    for part in batch.chunks(7) {
        store.commit(part).unwrap();
    }
    for (since, until) in [(0, 50), (90, 400), (1500, 1600), (2000, 9999), (9000, 9999)] {
        let query = EventQuery {
            since: Some(at(since)),
            until: Some(at(until)),
            ..EventQuery::default()
        };
        let range = at(since).to_string()..=at(until).to_string();
        let naive: Vec<_> = log(&folder, &EventQuery::default())
            .into_iter()
            .filter(|event| range.contains(&event.time))
            .collect();
        assert_eq!(log(&folder, &query), naive, "{since} to {until}");
    }
    let spans: u64 = store
        .connection
        .query_row("SELECT count(*) FROM spans", [], |row| row.get(0))
        .unwrap();
    assert_eq!(spans, 2);
}

#[test]
fn filters_on_visits_combine() {
    let (folder, mut store) = store();
    let mut other = visit(1);
    other.canary = Some("other".into());
    other.alert = false;
    store
        .commit(&[
            event(visit(0)),
            event(other),
            event(request(2)),
            status(0, 200),
        ])
        .unwrap();
    let count = |query: EventQuery| log(&folder, &query).len();
    let default = EventQuery::default;
    assert_eq!(
        count(EventQuery {
            channel: Some("skype".into()),
            ..default()
        }),
        2
    );
    assert_eq!(
        count(EventQuery {
            canary: Some("other".into()),
            ..default()
        }),
        1
    );
    assert_eq!(
        count(EventQuery {
            alerts: true,
            ..default()
        }),
        1
    );
    let both = EventQuery {
        alerts: true,
        canary: Some("other".into()),
        ..default()
    };
    assert_eq!(count(both), 0);
    assert_eq!(
        count(EventQuery {
            after: 1,
            ..default()
        }),
        2
    );
}

#[test]
fn canaries_come_back_in_the_order_in_which_they_were_added() {
    let (_folder, mut store) = store();
    let canary = |id: &str| StoredCanary {
        id: id.into(),
        url: format!("https://www.example.org/{id}"),
        channel: "mail".into(),
        label: None,
        token: Some(id.into()),
        control: id == "a",
        created: at(0).to_string(),
    };
    let new = [canary("b"), canary("a")];
    store.add_canaries(&new).unwrap();
    assert_eq!(store.canaries().unwrap(), new);
    let watched = new[1].to_canary().unwrap();
    assert_eq!(
        (watched.url.host.as_str(), watched.url.path.as_str()),
        ("www.example.org", "/a")
    );
    assert!(watched.control);
    assert!(store.add_canaries(&[canary("c"), canary("a")]).is_err());
    assert_eq!(store.canaries().unwrap(), new);
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let (folder, store) = store();
    store
        .connection
        .pragma_update(None, "user_version", 99)
        .unwrap();
    drop(store);
    let error = Store::open(folder.path(), OPTIONS).unwrap_err();
    assert!(
        matches!(error, StoreError::Newer { found: 99, .. }),
        "{error}"
    );
    let error = StoreReader::open(folder.path()).unwrap_err();
    assert!(
        matches!(error, StoreError::Newer { found: 99, .. }),
        "{error}"
    );
}

#[test]
fn a_file_that_is_no_database_is_called_damaged() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("events.db"), [b'x'; 5000]).unwrap();
    let error = Store::open(folder.path(), OPTIONS).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    let error = StoreReader::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[test]
fn files_beside_the_database_are_for_the_group_too() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, mut store) = store();
    store.commit(&[event(visit(0))]).unwrap();
    for name in ["events.db", "events.db-wal", "events.db-shm"] {
        let found = std::fs::metadata(folder.path().join(name)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o660, "{name}");
    }
}

#[test]
fn a_row_that_makes_no_sense_is_passed_over_and_told() {
    let (folder, mut store) = store();
    store.commit(&[event(visit(0)), event(visit(1))]).unwrap();
    store
        .connection
        .execute("UPDATE visits SET record = record || 'x' WHERE seq = 1", [])
        .unwrap();
    let reader = StoreReader::open(folder.path()).unwrap();
    let mut seen = Vec::new();
    let unreadable = reader
        .for_each::<StoreError>(&EventQuery::default(), |event| {
            seen.push(event.seq);
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    assert_eq!((unreadable.count, unreadable.first), (1, 1));
    assert_eq!(seen, [Some(2)]);
}

mod floods;
mod salvage;
mod untouched;
