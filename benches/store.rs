//! What a commit costs, synced, and how soon `log` begins with years of events in the store.
//!
//! `CANARYTAP_BENCH_REQUESTS` (100,000 unless told) requests and a hundredth of it in visits.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a measurement, not a program"
)]

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;

use canarytap::engine::event::Event;
use canarytap::engine::frame::Timestamp;
use canarytap::store::{
    EventQuery, EvidenceOptions, Incoming, Store, StoreError, StoreOptions, StoreReader,
};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

#[path = "../tests/common/mod.rs"]
mod common;

use common::{at, request, visit};

const OPTIONS: StoreOptions = StoreOptions {
    requests_max_bytes: u64::MAX,
    visits_max_bytes: u64::MAX,
    evidence: EvidenceOptions::DEFAULT,
};

/// A visit by somebody who did not come before: none of a flood.
fn new_visit(id: u64) -> Event {
    let client = std::net::Ipv4Addr::from(0xcb00_0000 + id as u32).into();
    Event {
        client,
        ..visit(id)
    }
}

fn commits(criterion: &mut Criterion) {
    let folder = tempfile::tempdir_in(".").unwrap(); // a real disk, where /tmp may be memory
    let mut store = Store::open(folder.path(), StoreOptions::default()).unwrap();
    let mut id = 0;
    let mut batch = |count, make: fn(u64) -> _| -> Vec<Incoming> {
        id += count;
        (id - count..id)
            .map(|id| Incoming::Event(make(id)))
            .collect()
    };
    let visits = batch(1000, new_visit);
    let requests = batch(100, request);
    let mut next = visits.iter().cycle();
    criterion.bench_function("commit of one visit", |bencher| {
        bencher.iter_batched(
            || [next.next().unwrap().clone()],
            |batch| store.commit(&batch).unwrap(),
            BatchSize::PerIteration,
        );
    });
    let flood = batch(1000, visit);
    store.commit(&flood).unwrap();
    criterion.bench_function("commit of 1,000 visits of a flood", |bencher| {
        bencher.iter(|| store.commit(&flood).unwrap());
    });
    criterion.bench_function("commit of 100 requests", |bencher| {
        bencher.iter(|| store.commit(&requests).unwrap());
    });
}

fn queries(criterion: &mut Criterion) {
    let folder = tempfile::tempdir_in(".").unwrap();
    let count = std::env::var("CANARYTAP_BENCH_REQUESTS");
    let count: u64 = count.map_or(100_000, |count| count.parse().unwrap());
    fill(folder.path(), count);
    let default = EventQuery::default;
    let late = Some(at(count - 10));
    let cases = [
        ("all", default()),
        (
            "since",
            EventQuery {
                since: late,
                ..default()
            },
        ),
        (
            "until",
            EventQuery {
                until: Some(at(10)),
                ..default()
            },
        ),
        (
            "after",
            EventQuery {
                after: count,
                ..default()
            },
        ),
        (
            "canary",
            EventQuery {
                canary: Some("k7f3q2m9".into()),
                ..default()
            },
        ),
        (
            "channel",
            EventQuery {
                channel: Some("skype".into()),
                ..default()
            },
        ),
        (
            "alerts",
            EventQuery {
                alerts: true,
                ..default()
            },
        ),
        (
            "alerts since",
            EventQuery {
                alerts: true,
                since: Some(at(count - 1000)),
                ..default()
            },
        ),
        (
            "canary that nobody visited",
            EventQuery {
                canary: Some("none".into()),
                ..default()
            },
        ),
        (
            "since a time to come",
            EventQuery {
                since: Some(Timestamp::from_nanos(u64::MAX)),
                ..default()
            },
        ),
    ];
    for (name, query) in cases {
        criterion.bench_function(&format!("first line of log: {name}"), |bencher| {
            bencher.iter(|| first(folder.path(), &query));
        });
    }
}

/// Opens the store as a command does, and reads up to the first event.
fn first(directory: &Path, query: &EventQuery) {
    StoreReader::open(directory)
        .unwrap()
        .for_each::<StoreError>(query, |event| {
            black_box(event);
            Ok(ControlFlow::Break(()))
        })
        .unwrap();
}

fn fill(directory: &Path, count: u64) {
    let mut store = Store::open(directory, OPTIONS).unwrap();
    for start in (0..count).step_by(10_000) {
        let events = (start..(start + 10_000).min(count)).map(|id| match id % 100 {
            0 => Incoming::Event(new_visit(id)),
            _ => Incoming::Event(request(id)),
        });
        store.commit(&events.collect::<Vec<_>>()).unwrap();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = commits, queries
}
criterion_main!(benches);
