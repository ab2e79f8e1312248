//! `report`, on stores that the library made: what it says, and that nothing from the wire acts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may assert in the plainest way"
)]

use std::path::Path;
use std::process::{Command, Output};

use canarytap::engine::event::Event;
use canarytap::experiment::{EXPERIMENT, Member, Plan, Role, SENDING, Sending};
use canarytap::store::{Incoming, Store, StoreOptions, StoredCanary};
use tempfile::TempDir;

mod common;

use common::{at, request, visit};

const BINARY: &str = env!("CARGO_BIN_EXE_canarytap");

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), StoreOptions::default()).unwrap();
    (folder, store)
}

fn run(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).arg("--data").arg(data);
    command.arg("-c").arg(data.join("none.toml"));
    command.output().unwrap()
}

fn report(data: &Path, arguments: &[&str]) -> String {
    let output = run(data, &[&["report", "--tz", "UTC"], arguments].concat());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn commit(store: &mut Store, events: impl IntoIterator<Item = Event>) {
    let batch: Vec<Incoming> = events.into_iter().map(Incoming::Event).collect();
    store.commit(&batch).unwrap();
}

fn canary(id: &str, channel: &str, control: bool) -> StoredCanary {
    StoredCanary {
        id: id.into(),
        url: format!("https://www.example.org/s/{id}"),
        channel: channel.into(),
        label: None,
        token: Some(id.into()),
        control,
        created: at(0).to_string(),
    }
}

/// An experiment of four canaries over one channel and four controls, all sent at second 0.
fn plan(store: &mut Store) {
    let members = (0..8).map(|number| Member {
        id: format!("c{number}"),
        channel: if number < 4 { "skype" } else { "nobody" }.into(),
        role: if number < 4 {
            Role::Sent
        } else {
            Role::Control
        },
        pair: None,
    });
    let plan = Plan {
        name: "chats".into(),
        time: at(0).to_string(),
        members: members.collect(),
    };
    let canaries: Vec<StoredCanary> = plan
        .members
        .iter()
        .map(|member| canary(&member.id, &member.channel, member.role == Role::Control))
        .collect();
    store
        .add_canaries_with(&canaries, EXPERIMENT, &plan)
        .unwrap();
    let sendings: Vec<Sending> = (0..4)
        .map(|number| Sending {
            id: format!("c{number}"),
            time: at(0).to_string(),
            at: at(0).to_string(),
            to: Some("Anna & Bert".into()),
            boot: None,
            uptime_micros: None,
        })
        .collect();
    store.add_records(SENDING, &sendings).unwrap();
}

fn visit_to(id: &str, second: u64) -> Event {
    Event {
        canary: Some(id.into()),
        ..visit(second)
    }
}

#[test]
fn answers_stand_at_the_top_in_words_and_as_a_figure() {
    let (folder, mut store) = store();
    plan(&mut store);
    commit(
        &mut store,
        (0..4).map(|n| visit_to(&format!("c{n}"), 7200 + n)),
    );
    let page = report(folder.path(), &[]);
    for words in [
        "Experiment chats",
        "Opened, and fairly surely because it was sent: 4 of 4 visited, against 0 of 4 controls",
        "p = 0.014",
        "hours",
        "Anna &amp; Bert",
        "2013-04-30 19:28:32 UTC",
        "fits no known fetcher",
    ] {
        assert!(page.contains(words), "{words}\n{page}");
    }
    let answer = page.find("Opened, and fairly").unwrap();
    assert!(answer < page.find("<svg").unwrap() && answer < page.find("Each alert").unwrap());
    assert_eq!(page.matches("<circle").count(), 4);
}

#[test]
fn what_a_visitor_fetched_next_is_shown_with_the_visit() {
    let (folder, mut store) = store();
    let icon = Event {
        target: Some("/favicon.ico".into()),
        ..request(20)
    };
    let late = Event {
        target: Some("/late.png".into()),
        ..request(90)
    };
    let stranger = Event {
        target: Some("/stranger.png".into()),
        client: "198.51.100.9".parse().unwrap(),
        ..request(30)
    };
    commit(&mut store, [visit(10), icon, stranger, late]);
    let page = report(folder.path(), &[]);
    assert!(page.contains("GET /favicon.ico"));
    assert!(!page.contains("stranger.png") && !page.contains("late.png"));
}

#[test]
fn nothing_that_came_off_the_wire_acts_in_the_page() {
    let (folder, mut store) = store();
    let hostile =
        "</style></title><script>alert(1)</script>\"><img src=x onerror=alert(1)>\u{202e}\u{1b}[2J";
    let long = "/".to_owned() + &"a<b>".repeat(16_384);
    commit(
        &mut store,
        [Event {
            canary: Some(hostile.into()),
            channel: Some(hostile.into()),
            label: Some(hostile.into()),
            method: Some(hostile.into()),
            host: Some(hostile.into()),
            target: Some(long),
            user_agent: Some(hostile.into()),
            referer: Some(hostile.into()),
            forwarded_for: Some(hostile.into()),
            sni: Some(hostile.into()),
            alpn: Some(hostile.into()),
            ja4: Some(hostile.into()),
            ..visit(1)
        }],
    );
    let page = report(folder.path(), &[]);
    assert!(
        !page.contains("<script") && !page.contains("<img"),
        "{page}"
    );
    assert!(!page.contains('\u{202e}') && !page.contains('\u{1b}'));
    assert!(page.contains("&lt;script&gt;"));
    assert_eq!(page.matches("</style>").count(), 1);
    assert!(page.contains("cut here; the log holds all of it"));
    assert!(page.len() < 100_000, "{}", page.len());
}

#[test]
fn the_page_asks_nothing_of_any_network() {
    let (folder, mut store) = store();
    plan(&mut store);
    commit(&mut store, [visit_to("c0", 5)]);
    let page = report(folder.path(), &[]);
    assert!(page.contains("default-src 'none'"));
    for attribute in ["src=\"", "@import", "url("] {
        assert!(!page.contains(attribute), "{attribute}");
    }
    let links: Vec<&str> = page.split("href=\"").skip(1).collect();
    assert!(
        links.iter().all(|link| link.starts_with("data:")),
        "{links:?}"
    );
}

#[test]
fn one_experiment_shows_its_own_visits_only() {
    let (folder, mut store) = store();
    plan(&mut store);
    commit(&mut store, [visit_to("c0", 5), visit(6)]);
    let all = report(folder.path(), &[]);
    assert_eq!(all.matches("<dt>seq</dt>").count(), 2);
    let one = report(folder.path(), &["--experiment", "chats"]);
    assert_eq!(one.matches("<dt>seq</dt>").count(), 1);
    let since = report(folder.path(), &["--since", "2020-01-01T00:00:00Z"]);
    assert!(since.contains("There was none."));
}

#[test]
fn what_the_owner_opened_to_test_the_tap_stands_nowhere_in_it() {
    let (folder, mut store) = store();
    plan(&mut store);
    let test = Event {
        canary: Some("own".into()),
        channel: Some("selftest".into()),
        client: "198.51.100.99".parse().unwrap(),
        ..visit(5)
    };
    commit(&mut store, [visit_to("c0", 5), test]);
    store
        .add_canaries(&[canary("own", "selftest", false)])
        .unwrap();
    let page = report(folder.path(), &[]);
    assert_eq!(page.matches("<dt>seq</dt>").count(), 1);
    assert!(page.contains("1 visits of self-tests are left out"));
    assert!(!page.contains("198.51.100.99") && !page.contains("Canaries of no experiment"));
    let visitors = run(folder.path(), &["visitor", "--format", "jsonl"]).stdout;
    assert_eq!(String::from_utf8(visitors).unwrap().lines().count(), 1);
}

#[test]
fn the_copies_of_several_taps_are_read_together() {
    let folder = tempfile::tempdir().unwrap();
    let open = |tap: &str| Store::open(&folder.path().join(tap), StoreOptions::default()).unwrap();
    let (mut attic, mut cellar) = (open("attic"), open("cellar"));
    plan(&mut attic);
    let icon = Event {
        target: Some("/favicon.ico".into()),
        ..request(8)
    };
    commit(&mut attic, [visit_to("c0", 5), visit_to("c1", 6)]);
    commit(&mut cellar, [visit_to("c0", 7), icon, visit_to("c2", 9)]);
    let page = report(folder.path(), &[]);
    assert!(
        page.contains("3 of 4 visited, against 0 of 4 controls"),
        "{page}"
    );
    assert_eq!(page.matches("<dt>seq</dt>").count(), 4);
    assert_eq!(page.matches("<dd class=\"wire\">cellar</dd>").count(), 2);
    assert_eq!(page.matches("GET /favicon.ico").count(), 1);

    let shown = run(
        folder.path(),
        &["experiment", "show", "chats", "--format", "jsonl"],
    );
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("\"sent\":4") && shown.contains("\"visited\":3"),
        "{shown}"
    );
    let list = String::from_utf8(run(folder.path(), &["experiment", "list"]).stdout).unwrap();
    assert!(list.contains("(4 sent), 4 controls; 3 visited"), "{list}");
    let visitors = run(folder.path(), &["visitor", "--format", "jsonl"]).stdout;
    let visitors = String::from_utf8(visitors).unwrap();
    assert_eq!(
        visitors.matches("\"tap\":\"cellar\"").count(),
        2,
        "{visitors}"
    );
    let which = run(folder.path(), &["visitor", "3"]);
    assert_eq!(which.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&which.stderr).contains("several taps"));
}

#[test]
fn it_is_written_to_a_file_when_one_is_named() {
    let (folder, _store) = store();
    let path = folder.path().join("report.html");
    let output = run(folder.path(), &["report", "-o", path.to_str().unwrap()]);
    assert!(output.status.success() && output.stdout.is_empty());
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("There is no canary yet"));
    let nowhere = run(folder.path(), &["report", "-o", "/nowhere/report.html"]);
    assert_eq!(nowhere.status.code(), Some(1));
}

#[test]
fn what_is_not_there_is_refused() {
    let (folder, _store) = store();
    let output = run(folder.path(), &["report", "--experiment", "none"]);
    assert_eq!(output.status.code(), Some(2));
    let output = run(folder.path(), &["report", "--tz", "Middle/Earth"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Europe/Berlin"));
}
