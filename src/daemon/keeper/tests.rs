//! The keeper over a real store: what is on disk when, and what the light shows of it.

use std::ops::ControlFlow;

use tokio::sync::{mpsc, watch};

use super::*;
use crate::daemon::keeper::waiting::HELD_BYTES_MAX;
use crate::daemon::queue::QueueSink;
use crate::daemon::timekeeper::Times;
use crate::engine::event::EventSink as _;
use crate::engine::event::{Detail, EventKind, Learned};
use crate::engine::frame::Timestamp;
use crate::entries;
use crate::led::{Activity, AlertKind, LightState};
use crate::store::{EventQuery, StoreReader};

struct Desk {
    folder: tempfile::TempDir,
    queue: Arc<Queue>,
    lights: watch::Receiver<LightState>,
    changed: mpsc::UnboundedReceiver<()>,
    keeper: Keeper,
}

impl Desk {
    fn new() -> Self {
        Self::over(tempfile::tempdir().unwrap())
    }

    fn over(folder: tempfile::TempDir) -> Self {
        let queue = Arc::new(Queue::default());
        let lights = watch::Sender::new(LightState::default());
        let seen = lights.subscribe();
        let (sender, changed) = mpsc::unbounded_channel();
        let keeper = Keeper::start(
            folder.path().join("data"),
            StoreOptions {
                requests_max_bytes: 1 << 20,
                ..StoreOptions::default()
            },
            Arc::clone(&queue),
            Latch::new(lights),
            sender,
        )
        .unwrap();
        Self {
            folder,
            queue,
            lights: seen,
            changed,
            keeper,
        }
    }

    fn tell(&self, event: Event) {
        let activity = Activity::default();
        QueueSink::new(&self.queue, &activity, &Times::default()).on_event(event);
    }

    fn alert(&self) -> Option<AlertKind> {
        self.lights.borrow().alert
    }

    /// Waits, for a time that only a broken keeper needs.
    fn wait_for(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        for _ in 0..3_000 {
            if done(self) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("waited in vain for {what}");
    }

    fn kept(&self) -> Vec<String> {
        let reader = StoreReader::open(&self.folder.path().join("data")).unwrap();
        let mut kept = Vec::new();
        reader
            .for_each::<StoreError>(&EventQuery::default(), |event| {
                kept.push(format!(
                    "{} {} {:?}",
                    event.seq.unwrap(),
                    event.kind,
                    event.status
                ));
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        kept
    }
}

/// An event from outside; a visit is an alert.
pub fn event(id: u64, kind: EventKind, method: &str) -> Event {
    let event = match kind {
        EventKind::Visit => entries::visit(id),
        _ => entries::request(id),
    };
    Event {
        kind,
        method: Some(method.into()),
        ..event
    }
}

#[test]
fn a_visit_is_on_disk_when_its_light_is_on_and_takes_along_what_waited() {
    let desk = Desk::new();
    desk.tell(event(1, EventKind::Request, "GET"));
    desk.tell(event(2, EventKind::Visit, "HEAD"));
    desk.wait_for("the light", |desk| desk.alert() == Some(AlertKind::Head));
    assert_eq!(desk.kept(), ["1 request None", "2 visit None"]);
    assert_eq!(desk.keeper.report().last_alert, Some(2));
}

#[test]
fn the_button_darkens_the_light_and_it_stays_dark_after_a_restart() {
    let desk = Desk::new();
    desk.tell(event(1, EventKind::Visit, "GET"));
    desk.wait_for("the light", |desk| desk.alert() == Some(AlertKind::Get));
    desk.queue.acknowledge();
    desk.wait_for("the dark", |desk| desk.alert().is_none());
    let Desk {
        folder, mut keeper, ..
    } = desk;
    keeper.stop().unwrap();
    assert_eq!(Desk::over(folder).alert(), None);
}

#[test]
fn an_alert_that_nobody_acknowledged_shines_again_after_a_restart() {
    let desk = Desk::new();
    desk.tell(event(1, EventKind::Visit, "POST"));
    desk.wait_for("the light", |desk| desk.alert() == Some(AlertKind::Other));
    let Desk {
        folder, mut keeper, ..
    } = desk;
    keeper.stop().unwrap();
    assert_eq!(Desk::over(folder).alert(), Some(AlertKind::Other));
}

#[test]
fn what_another_process_acknowledges_is_noticed_and_told_on() {
    let mut desk = Desk::new();
    desk.tell(event(1, EventKind::Visit, "GET"));
    desk.wait_for("the light", |desk| desk.alert().is_some());
    let directory = desk.folder.path().join("data");
    let options = StoreOptions {
        requests_max_bytes: 1 << 20,
        ..StoreOptions::default()
    };
    let mut other = Store::open_existing(&directory, options).unwrap();
    other
        .acknowledge(&Acknowledge::All, Timestamp::from_secs_nanos(1, 0))
        .unwrap();
    desk.wait_for("the dark", |desk| desk.alert().is_none());
    assert!(desk.changed.blocking_recv().is_some());
}

#[test]
fn a_stop_writes_what_could_have_waited() {
    let desk = Desk::new();
    desk.tell(event(1, EventKind::Request, "GET"));
    let activity = Activity::default();
    QueueSink::new(&desk.queue, &activity, &Times::default()).on_detail(Detail {
        of: EventId(1),
        time: Timestamp::default(),
        learned: Learned::Status { status: 204 },
    });
    let mut desk = desk;
    desk.keeper.stop().unwrap();
    assert_eq!(desk.kept(), ["1 request Some(204)"]);
}

/// Makes the store fail, or work again: nobody can write to a table that is not there.
fn rename(desk: &Desk, from: &str, to: &str) {
    let path = desk.folder.path().join("data/events.db");
    let connection = rusqlite::Connection::open(path).unwrap();
    let change = format!("ALTER TABLE {from} RENAME TO {to}");
    connection.execute_batch(&change).unwrap();
}

#[test]
fn a_store_that_fails_costs_no_light_and_gets_everything_once_it_works_again() {
    let desk = Desk::new();
    rename(&desk, "visits", "elsewhere");
    desk.tell(event(1, EventKind::Visit, "HEAD"));
    desk.tell(event(2, EventKind::Request, "GET"));
    desk.wait_for("the light", |desk| desk.alert() == Some(AlertKind::Head));
    desk.wait_for("the fault", |desk| desk.keeper.report().fault.is_some());
    desk.tell(event(3, EventKind::Visit, "GET"));
    desk.wait_for("the light", |desk| desk.alert() == Some(AlertKind::Get));

    rename(&desk, "elsewhere", "visits");
    desk.wait_for("health", |desk| {
        let report = desk.keeper.report();
        report.fault.is_none() && report.pending == 0
    });
    assert_eq!(
        desk.kept(),
        ["1 visit None", "2 request None", "3 visit None"]
    );
    assert_eq!(desk.alert(), Some(AlertKind::Get));
    assert_eq!(desk.keeper.report().unacknowledged, 2);
}

#[test]
fn while_the_store_fails_requests_make_room_for_visits() {
    let desk = Desk::new();
    rename(&desk, "visits", "elsewhere");
    desk.tell(event(0, EventKind::Visit, "HEAD"));
    desk.wait_for("the fault", |desk| desk.keeper.report().fault.is_some());
    let requests = HELD_BYTES_MAX as u64 >> 18;
    for id in 1..=requests {
        desk.tell(Event {
            target: Some("/".repeat(1 << 18)),
            ..event(id, EventKind::Request, "GET")
        });
        desk.wait_for("the keeper", |desk| {
            let report = desk.keeper.report();
            report.pending as u64 + report.dropped.requests == id + 1
        });
    }
    assert!(desk.keeper.report().dropped.requests > requests / 2);

    rename(&desk, "elsewhere", "visits");
    desk.wait_for("health", |desk| desk.keeper.report().fault.is_none());
    assert_eq!(desk.kept().first().unwrap(), "1 visit None");
    assert_eq!(desk.keeper.report().dropped.visits, 0);
}

#[test]
fn what_no_disk_took_is_told_at_the_end() {
    let mut desk = Desk::new();
    rename(&desk, "visits", "elsewhere");
    desk.tell(event(1, EventKind::Visit, "HEAD"));
    desk.keeper.stop().unwrap();
    let report = desk.keeper.report();
    assert_eq!(report.pending, 1);
    assert!(report.fault.is_some());
}

#[test]
fn after_a_restart_the_newest_number_is_known() {
    let desk = Desk::new();
    desk.tell(event(1, EventKind::Request, "GET"));
    let Desk {
        folder, mut keeper, ..
    } = desk;
    keeper.stop().unwrap();
    assert_eq!(Desk::over(folder).keeper.report().last_seq, 1);
}
