//! A visitor who comes far too often.

use crate::lights::first_on;
use crate::namespaces::in_a_lab;
use crate::network::wait_for;
use crate::tap::{Tap, now};
use crate::web::{CANARY, HOST, Visitor, Web, curl, url, visit};

/// More than fold in an hour; each is a request of its own over one connection.
const FLOOD: u64 = 2000;

#[test]
fn a_flood_is_counted_to_the_last_visit_and_its_light_comes_on_again_after_an_acknowledgement() {
    in_a_lab(
        a_flood_is_counted_to_the_last_visit_and_its_light_comes_on_again_after_an_acknowledgement,
        |lab| {
            let (web, mut tap) = (Web::start(lab), Tap::running(lab));
            let mut flood = curl(lab, Visitor::Outside4);
            let target = url(HOST, &format!("{CANARY}&n=[1-{FLOOD}]"));
            assert!(flood.arg(target).status().unwrap().success());
            let served = web.served().len() as u64;
            assert_eq!(served, FLOOD);
            wait_for("every visit is counted", || {
                (counted(&tap) == FLOOD).then_some(())
            });
            let fold = tap.log(&[]).pop().unwrap();
            assert_eq!(
                (&fold["kind"], &fold["open"]),
                (&"fold".into(), &true.into())
            );
            assert_eq!(fold["method"], "GET");
            assert!(fold.get("seq").is_none(), "{fold}");
            wait_for_light(&tap);

            tap.acknowledge();
            wait_for("the dark", || {
                tap.status().1.contains("alert light dark").then_some(())
            });
            visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
            wait_for_light(&tap);

            // What was counted outlives the daemon.
            assert!(tap.stop().success());
            tap.start();
            assert_eq!(counted(&tap), FLOOD + 1);
            visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
            wait_for("one more", || (counted(&tap) == FLOOD + 2).then_some(()));
        },
    );
}

fn wait_for_light(tap: &Tap) {
    let start = now();
    wait_for("the alert light", || {
        first_on(&tap.lights(), "alert", start)
    });
}

/// Visits in the log, those that are folded too.
fn counted(tap: &Tap) -> u64 {
    let visits = tap.log(&["--alerts"]);
    visits
        .iter()
        .map(|visit| visit["count"].as_u64().unwrap_or(1))
        .sum()
}
