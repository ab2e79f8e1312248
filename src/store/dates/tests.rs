use std::collections::BTreeMap;
use std::ops::ControlFlow;

use tempfile::TempDir;

use super::*;
use crate::engine::event::{ClockState, Event, EventKind};
use crate::entries;
use crate::store::{
    EventQuery, HEALTH, HealthRecord, Incoming, Store, StoreError, StoreOptions, StoreReader,
};

/// Microseconds since the epoch at which a clock that was never set says that the machine booted.
const WRONG: i64 = 1_000_000_000 * 1_000_000;
/// And those at which it did.
const RIGHT: i64 = 1_700_000_000 * 1_000_000;

struct Desk {
    folder: TempDir,
    store: Store,
    /// Of the next event.
    id: u64,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), StoreOptions::default()).unwrap();
        Self {
            folder,
            store,
            id: 0,
        }
    }

    /// An event so many seconds after a boot, whose clock said that it began at `offset`.
    fn event(&mut self, kind: EventKind, boot: &str, second: u64, offset: i64) {
        self.id += 1;
        let event = Event {
            kind,
            alert: kind == EventKind::Visit,
            canary: (kind == EventKind::Visit).then(|| "k7f3q2m9".into()),
            time: at(offset, second),
            clock: ClockState {
                boot: Some(boot.into()),
                uptime_micros: Some(second * 1_000_000),
                synchronised: Some(offset != WRONG),
            },
            ..entries::request(self.id)
        };
        self.store.commit(&[Incoming::Event(event)]).unwrap();
    }

    fn visit(&mut self, boot: &str, second: u64, offset: i64) {
        self.event(EventKind::Visit, boot, second, offset);
    }

    fn clock(&mut self, boot: &str, second: u64, offset: i64, synchronised: Option<bool>) {
        let record = ClockRecord {
            time: at(offset, second).to_string(),
            boot: boot.into(),
            uptime_micros: second * 1_000_000,
            offset_micros: offset,
            step_micros: None,
            synchronised,
        };
        self.store.add_records(CLOCK, &[record]).unwrap();
    }

    fn reader(&self) -> StoreReader {
        StoreReader::open(self.folder.path()).unwrap()
    }

    fn log(&self, query: &EventQuery) -> Vec<EventRecord> {
        let mut events = Vec::new();
        self.reader()
            .for_each::<StoreError>(query, |event| {
                events.push(event);
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        events
    }

    fn times(&self) -> Vec<String> {
        let events = self.log(&EventQuery::default());
        events.into_iter().map(|event| event.time).collect()
    }
}

fn at(offset: i64, second: u64) -> Timestamp {
    let micros = u64::try_from(offset).unwrap() + second * 1_000_000;
    Timestamp::from_nanos(micros * 1000)
}

fn text(offset: i64, second: u64) -> String {
    at(offset, second).to_string()
}

#[test]
fn an_event_of_before_is_dated_by_the_clock_that_was_set_later_and_its_record_stays() {
    let mut desk = Desk::new();
    desk.clock("a", 1, WRONG, Some(false));
    desk.visit("a", 5, WRONG);
    assert_eq!(desk.times(), [text(WRONG, 5)], "nobody knows better yet");
    desk.clock("a", 30, RIGHT, Some(true));
    desk.visit("a", 40, RIGHT);

    let events = desk.log(&EventQuery::default());
    assert_eq!(desk.times(), [text(RIGHT, 5), text(RIGHT, 40)]);
    assert_eq!(events[0].clock_said, Some(text(WRONG, 5)));
    assert_eq!(events[1].clock_said, None);
    assert_eq!(
        events.iter().map(|event| event.seq).collect::<Vec<_>>(),
        [Some(2), Some(4)]
    );

    let kept: Vec<(u64, String)> = rusqlite::Connection::open(desk.folder.path().join("events.db"))
        .unwrap()
        .prepare("SELECT seq, record FROM visits")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(kept[1].1.contains(&text(WRONG, 5)), "{}", kept[1].1);
    assert!(desk.reader().verify(&[]).unwrap().broken.is_none());
}

#[test]
fn the_first_synchronised_clock_counts_and_while_there_is_none_the_last_that_was_set() {
    let mut desk = Desk::new();
    desk.visit("a", 5, WRONG);
    desk.clock("a", 10, WRONG + 7_000_000, Some(false));
    desk.clock("a", 20, RIGHT - 3_000_000, Some(false));
    assert_eq!(desk.times(), [text(RIGHT - 3_000_000, 5)]);
    desk.clock("a", 30, RIGHT, Some(true));
    desk.clock("a", 40, RIGHT + 1_000_000, Some(true));
    assert_eq!(desk.times(), [text(RIGHT, 5)]);
}

#[test]
fn another_boot_and_a_clock_that_was_right_say_nothing() {
    let mut desk = Desk::new();
    desk.visit("a", 5, WRONG);
    desk.visit("b", 5, RIGHT);
    desk.clock("b", 30, WRONG, Some(true));
    assert_eq!(desk.times(), [text(WRONG, 5), text(RIGHT, 5)]);
}

#[test]
fn what_came_after_the_last_setting_is_as_it_says() {
    let mut desk = Desk::new();
    desk.clock("a", 10, RIGHT, Some(true));
    desk.visit("a", 20, WRONG); // set back and no longer synchronised
    assert_eq!(desk.times(), [text(WRONG, 20)]);
}

#[test]
fn since_and_until_go_by_the_true_time_in_a_store_of_many_spans() {
    let mut desk = Desk::new();
    for boot in 0..3u64 {
        let (name, right) = (
            boot.to_string(),
            RIGHT + i64::try_from(boot).unwrap() * 86_400_000_000,
        );
        desk.clock(&name, 1, WRONG, Some(false));
        for second in 0..700 {
            desk.event(EventKind::Request, &name, 2 + second, WRONG);
        }
        desk.visit(&name, 800, WRONG);
        desk.clock(&name, 1000, right, Some(true));
        for second in 0..700i32 {
            let time = (2000 + i64::from(second)) * 1_000_000;
            desk.event(EventKind::Request, &name, 0, right + time);
        }
    }
    let all = desk.log(&EventQuery::default());
    for (since, until) in [
        (0, 900),
        (800, 800),
        (1500, 90_000),
        (86_400, 2 * 86_400 + 900),
    ] {
        let query = EventQuery {
            since: Some(at(RIGHT, since)),
            until: Some(at(RIGHT, until)),
            ..EventQuery::default()
        };
        let expected: Vec<Option<u64>> = all
            .iter()
            .filter(|event| text(RIGHT, since) <= event.time && event.time <= text(RIGHT, until))
            .map(|event| event.seq)
            .collect();
        let found: Vec<Option<u64>> = desk.log(&query).iter().map(|event| event.seq).collect();
        assert!(!expected.is_empty());
        assert_eq!(found, expected, "{since} to {until}");
        let after = EventQuery {
            after: expected[0].unwrap(),
            ..query
        };
        let found: Vec<Option<u64>> = desk.log(&after).iter().map(|event| event.seq).collect();
        assert_eq!(found, expected[1..], "after the first");
    }
}

#[test]
fn faults_floods_canaries_and_minutes_are_dated_too() {
    let mut desk = Desk::new();
    for second in 0..103 {
        desk.visit("a", 5 + second, WRONG);
    }
    let fault = HealthRecord {
        time: text(WRONG, 150),
        fault: "link_down".into(),
        state: "ends".into(),
        since: Some(text(WRONG, 120)),
        boot: Some("a".into()),
        uptime_micros: Some(150_000_000),
        since_uptime_micros: Some(120_000_000),
        synchronised: Some(false),
        ..HealthRecord::default()
    };
    desk.store.add_records(HEALTH, &[fault]).unwrap();
    let minutes = CoverageRecord {
        time: text(WRONG, 180),
        from: text(WRONG, 60),
        to: text(WRONG, 180),
        minutes: "+.".into(),
        boot: "a".into(),
        uptime_from: 60,
        uptime_to: 180,
        synchronised: Some(false),
        wrong: BTreeMap::new(),
    };
    desk.store.add_records(COVERAGE, &[minutes]).unwrap();
    desk.clock("a", 200, RIGHT, Some(true));

    let reader = desk.reader();
    let fold = reader.open_folds(&EventQuery::default()).unwrap().remove(0);
    assert_eq!(fold.time, text(RIGHT, 107));
    assert_eq!(
        (fold.first, fold.last),
        (Some(text(RIGHT, 105)), Some(text(RIGHT, 107)))
    );
    desk.store.close_floods(None).unwrap();
    let events = desk.log(&EventQuery::default());
    let fold = events.last().unwrap();
    assert_eq!(fold.kind, "fold");
    assert_eq!(
        (&fold.first, &fold.time),
        (&Some(text(RIGHT, 105)), &text(RIGHT, 107))
    );
    let fault = events.iter().find(|event| event.fault.is_some()).unwrap();
    assert_eq!(
        (&fault.since, &fault.time),
        (&Some(text(RIGHT, 120)), &text(RIGHT, 150))
    );

    let visits = &reader.visits().unwrap()["k7f3q2m9"];
    assert_eq!(visits.count, 103);
    assert_eq!(visits.first, Some(text(RIGHT, 5)));
    assert_eq!(visits.last, Some(text(RIGHT, 107)));
    let coverage = reader.coverage(at(RIGHT, 60), at(RIGHT, 180)).unwrap();
    assert_eq!(coverage.covered().as_secs(), 120);
}

#[test]
fn parts_are_in_order_and_none_is_looked_at_twice() {
    let ranges = [(1, 100), (300, 400), (500, 900)];
    assert_eq!(
        part(&ranges, &[(50, 60), (80, 320), (310, 330), (950, 960)], 9),
        [
            ((1, 49), false),
            ((50, 60), true),
            ((61, 79), false),
            ((80, 320), true),
            ((321, 330), true),
            ((331, 400), false),
            ((500, 900), false),
            ((950, 960), true),
        ]
    );
    assert_eq!(
        part(&[(71, 90)], &[(0, 60), (65, 80)], 70),
        [((71, 80), true), ((81, 90), false)]
    );
}
