//! Makes a store as a long experiment leaves it: `make-store FOLDER EVENTS VISITS`.
//!
//! Three channels and controls, eight canaries each, all sent at the beginning; EVENTS over thirty
//! days, of which VISITS are visits to them, each by somebody else, and an hourly record of coverage.

#![allow(clippy::unwrap_used, reason = "a measurement, not a program")]

use std::path::PathBuf;

use canarytap::engine::event::Event;
use canarytap::engine::frame::Timestamp;
use canarytap::experiment::{EXPERIMENT, Member, Plan, Role, SENDING, Sending};
use canarytap::store::{
    COVERAGE, CoverageRecord, EvidenceOptions, Incoming, Store, StoreOptions, StoredCanary,
};

#[path = "../tests/common/entries.rs"]
mod common;

use common::{at, request, visit};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap());
    let mut number = || arguments.next().unwrap().parse::<u64>().unwrap();
    let (events, visits) = (number(), number());
    let options = StoreOptions {
        requests_max_bytes: u64::MAX,
        visits_max_bytes: u64::MAX,
        evidence: EvidenceOptions::DEFAULT,
    };
    let mut store = Store::open(&folder, options).unwrap();
    plan(&mut store);
    let hours: Vec<CoverageRecord> = (0..DAYS * 24).map(watched).collect();
    store.add_records(COVERAGE, &hours).unwrap();
    let mut batch = Vec::with_capacity(BATCH);
    for id in 0..events {
        let time = at(0).plus((at(DAYS * 86_400).since(at(0)) / 1_000_000) * parts(id, events));
        let is_visit = id * visits / events != (id + 1) * visits / events;
        batch.push(Incoming::Event(event(id, time, is_visit)));
        if batch.len() == BATCH || id + 1 == events {
            store.commit(&batch).unwrap();
            batch.clear();
        }
    }
}

/// How many millionths of the time are over.
fn parts(id: u64, events: u64) -> u32 {
    u32::try_from(id * 1_000_000 / events).unwrap()
}

fn event(id: u64, time: Timestamp, is_visit: bool) -> Event {
    let client = std::net::Ipv4Addr::from(0x0b00_0000 + u32::try_from(id).unwrap()).into();
    let canary = id * 7919 % 32;
    let mut event = if is_visit { visit(id) } else { request(id) };
    event.time = time;
    event.client = client;
    event.src = client;
    if is_visit {
        event.canary = Some(format!("c{canary}"));
        event.channel = Some(channel(canary).into());
    }
    event
}

fn plan(store: &mut Store) {
    let members = (0..32).map(|number| Member {
        id: format!("c{number}"),
        channel: channel(number).into(),
        role: if number < 24 {
            Role::Sent
        } else {
            Role::Control
        },
        pair: None,
    });
    let plan = Plan {
        name: "large".into(),
        time: at(0).to_string(),
        members: members.collect(),
    };
    let canaries = plan.members.iter().map(|member| StoredCanary {
        id: member.id.clone(),
        url: format!("https://www.example.org/s/{}", member.id),
        channel: member.channel.clone(),
        label: None,
        token: Some(member.id.clone()),
        control: member.role == Role::Control,
        created: at(0).to_string(),
    });
    let canaries: Vec<StoredCanary> = canaries.collect();
    store
        .add_canaries_with(&canaries, EXPERIMENT, &plan)
        .unwrap();
    let sendings = (0..24).map(|number| Sending {
        id: format!("c{number}"),
        time: at(0).to_string(),
        at: at(0).to_string(),
        to: None,
        boot: None,
        uptime_micros: None,
    });
    store
        .add_records(SENDING, &sendings.collect::<Vec<_>>())
        .unwrap();
}

fn channel(canary: u64) -> &'static str {
    match canary / 8 {
        0 => "skype",
        1 => "signal",
        2 => "mail",
        _ => "nobody",
    }
}

fn watched(hour: u64) -> CoverageRecord {
    CoverageRecord {
        time: at((hour + 1) * 3600).to_string(),
        from: at(hour * 3600).to_string(),
        to: at((hour + 1) * 3600).to_string(),
        minutes: "+".repeat(60),
        boot: "b".into(),
        uptime_from: hour * 3600,
        uptime_to: (hour + 1) * 3600,
        synchronised: Some(true),
        wrong: Default::default(),
    }
}

const DAYS: u64 = 30;
const BATCH: usize = 1024;
