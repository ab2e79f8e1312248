//! Cables that are pulled, interfaces that vanish, signals.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::lights::all_dark;
use crate::namespaces::in_a_lab;
use crate::network::{Lab, wait_for};
use crate::tap::Tap;
use crate::web::{CANARY, HOST, Load, Visitor, Web, curl, url, visit};

#[test]
fn an_interface_that_goes_down_and_comes_back_is_picked_up() {
    in_a_lab(
        an_interface_that_goes_down_and_comes_back_is_picked_up,
        |lab| {
            let (_web, tap) = (Web::start(lab), Tap::running(lab));
            see_one_more_visit(lab, &tap);
            lab.on_tap("link set eth1 down");
            wait_for("a fault", || (tap.status().0 == Some(1)).then_some(()));
            lab.on_tap("link set eth1 up");
            see_one_more_visit(lab, &tap);
            wait_for("health", || (tap.status().0 == Some(0)).then_some(()));
        },
    );
}

#[test]
fn an_interface_that_is_deleted_is_a_fault_until_it_returns() {
    in_a_lab(
        an_interface_that_is_deleted_is_a_fault_until_it_returns,
        |lab| {
            let (_web, tap) = (Web::start(lab), Tap::running(lab));
            see_one_more_visit(lab, &tap);
            lab.remove_mirror();
            wait_for("a fault", || (tap.status().0 == Some(1)).then_some(()));
            lab.lay_mirror();
            see_one_more_visit(lab, &tap);
            wait_for("health", || (tap.status().0 == Some(0)).then_some(()));
        },
    );
}

#[test]
fn a_stop_under_load_loses_nothing_and_leaves_the_lights_dark() {
    in_a_lab(
        a_stop_under_load_loses_nothing_and_leaves_the_lights_dark,
        |lab| {
            let (web, mut tap) = (Web::start(lab), Tap::running(lab));
            let mut requests = curl(lab, Visitor::Outside4);
            requests.arg(url(HOST, "/page?[1-100000]"));
            let load = Load::start(requests);
            visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
            wait_for("load", || (web.served().len() > 500).then_some(()));
            let served = web.served();
            // What was served is on the wire; the tap's ring hands it over within its time-out.
            thread::sleep(Duration::from_millis(500));
            let ended = tap.stop();
            drop(load);

            assert!(ended.success(), "{ended}: {}", tap.messages());
            assert!(all_dark(&tap.lights()), "{:?}", tap.lights().last());
            let kept = tap.log(&[]);
            let is_kept = |target: &str| kept.iter().any(|event| event["target"] == target);
            let lost: Vec<_> = served
                .iter()
                .filter(|access| !is_kept(&access.target))
                .collect();
            assert!(
                lost.is_empty(),
                "{} of {}: {lost:?}",
                lost.len(),
                served.len()
            );
        },
    );
}

#[test]
fn an_interrupt_stops_the_daemon_like_a_termination() {
    in_a_lab(an_interrupt_stops_the_daemon_like_a_termination, |lab| {
        let mut tap = Tap::running(lab);
        tap.signal(Signal::INT);
        let ended = tap.wait();
        assert!(ended.success(), "{ended}: {}", tap.messages());
        assert!(all_dark(&tap.lights()));
    });
}

/// Visits until one more visit stands in the log: those made while the tap was away are gone.
fn see_one_more_visit(lab: &Lab, tap: &Tap) {
    let before = tap.log(&["--alerts"]).len();
    wait_for("a visit in the log", || {
        visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
        thread::sleep(Duration::from_millis(200));
        (tap.log(&["--alerts"]).len() > before).then_some(())
    });
}
