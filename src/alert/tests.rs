use tokio::sync::watch;

use super::*;
use crate::engine::event::Origin;
use crate::entries;
use crate::led::{AlertKind, LightState};
use crate::store::Unacknowledged;

/// A visit from outside with this method.
pub fn visit(method: Option<&str>) -> Event {
    Event {
        scheme: "https",
        method: method.map(Into::into),
        target: Some("/x?y=1".into()),
        ..entries::visit(1)
    }
}

fn waiting(method: &str) -> Unacknowledged {
    Unacknowledged {
        count: 3,
        newest: 41,
        method: Some(method.into()),
    }
}

/// A latch with a dispatcher, and what the lights are told.
fn bench() -> (Latch, Dispatcher, watch::Receiver<LightState>) {
    let (sender, lights) = watch::channel(LightState::default());
    let latch = Latch::new(sender);
    (latch.clone(), Dispatcher::new(latch), lights)
}

#[test]
fn the_newest_alert_decides_until_none_waits() {
    let (latch, mut dispatcher, lights) = bench();
    dispatcher.dispatch(&visit(Some("HEAD")), Some(1));
    assert_eq!(lights.borrow().alert, Some(AlertKind::Head));
    dispatcher.dispatch(&visit(Some("GET")), Some(2));
    assert_eq!(lights.borrow().alert, Some(AlertKind::Get));
    latch.follow(Some(&waiting("HEAD"))); // the GET alone was acknowledged
    assert_eq!(lights.borrow().alert, Some(AlertKind::Head));
    latch.follow(None);
    assert_eq!(lights.borrow().alert, None);
}

#[test]
fn what_waited_before_a_restart_lights_again() {
    let (latch, _dispatcher, lights) = bench();
    latch.follow(Some(&waiting("POST")));
    assert_eq!(lights.borrow().alert, Some(AlertKind::Other));
}

#[test]
fn a_visit_from_inside_lights_nothing() {
    let (_latch, mut dispatcher, lights) = bench();
    let inside = Event {
        alert: false,
        origin: Origin::Inside,
        ..visit(Some("GET"))
    };
    dispatcher.dispatch(&inside, Some(1));
    assert_eq!(lights.borrow().alert, None);
}

#[test]
fn an_alert_that_is_on_no_disk_waits_until_it_is_forgotten() {
    let (latch, mut dispatcher, lights) = bench();
    dispatcher.dispatch(&visit(Some("HEAD")), None);
    latch.follow(None); // the store knows of nothing
    assert_eq!(lights.borrow().alert, Some(AlertKind::Head));
    assert!(latch.has_unstored());
    latch.forget_unstored();
    latch.follow(Some(&waiting("GET")));
    assert_eq!(lights.borrow().alert, Some(AlertKind::Get));
}

#[test]
fn lights_are_not_woken_when_nothing_changed() {
    let (latch, _dispatcher, mut lights) = bench();
    latch.follow(Some(&waiting("GET")));
    lights.mark_unchanged();
    latch.follow(Some(&waiting("GET")));
    assert!(!lights.has_changed().unwrap());
}
