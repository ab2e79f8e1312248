//! Canaries that are minted while the daemon runs.

use std::thread;
use std::time::{Duration, Instant};

use crate::namespaces::{figure, in_a_lab};
use crate::network::{Lab, text, wait_for};
use crate::tap::Tap;
use crate::web::{HOST, Load, Visitor, Web, curl, url, visit};

/// A running daemon watches a new canary after this time at the latest.
const WATCHED_WITHIN: Duration = Duration::from_secs(2);

#[test]
fn a_minted_canary_is_watched_two_seconds_later_also_under_load() {
    in_a_lab(
        a_minted_canary_is_watched_two_seconds_later_also_under_load,
        |lab| {
            let (_web, tap) = (Web::start(lab), Tap::running(lab));
            let _load = Load::start(requests(lab));
            for round in 0..5 {
                let channel = format!("chat {round}");
                let minted = mint(&tap, &["--channel", &channel]);
                thread::sleep(WATCHED_WITHIN);
                visit(lab, Visitor::Outside4, &["--head", &minted[0]]);
                let visits = wait_for("an alert for the minted canary", || {
                    let visits = tap.log(&["--channel", &channel]);
                    (!visits.is_empty()).then_some(visits)
                });
                assert_eq!(visits[0]["alert"], true);
                assert_eq!(visits[0]["match"], "url");
                assert!(visits[0]["target"].as_str().is_some());
            }
            assert_eq!(tap.status().0, Some(0), "{}", tap.status().1);
        },
    );
}

#[test]
fn many_canaries_are_minted_beside_a_capture_that_loses_nothing() {
    in_a_lab(
        many_canaries_are_minted_beside_a_capture_that_loses_nothing,
        |lab| {
            let (_web, tap) = (Web::start(lab), Tap::running(lab));
            let first = mint(&tap, &["--channel", "before"]);
            let load = Load::start(requests(lab));
            let minted = mint(&tap, &["--channel", "many", "--count", "100000"]);
            let start = Instant::now();
            wait_for("all canaries are watched", || {
                let status = tap.status().1;
                status.contains("100003 canaries").then_some(())
            });
            figure(&format!(
                "100,000 canaries are watched {:?} after they were minted (debug build)",
                start.elapsed()
            ));
            for canary in [&first[0], &minted[0], &minted[99_999]] {
                visit(lab, Visitor::Outside4, &["--head", canary]);
            }
            wait_for("all three alerts", || {
                (tap.log(&["--alerts"]).len() == 3).then_some(())
            });
            drop(load);
            let (_, status) = tap.status();
            assert!(!status.contains("packets were dropped"), "{status}");
        },
    );
}

/// Links as a visitor in the clear asks for them.
fn mint(tap: &Tap, arguments: &[&str]) -> Vec<String> {
    let mut command = tap.command(&["mint", "--scheme", "http"]);
    let lines = text(command.args(arguments).output().unwrap());
    lines.lines().map(str::to_owned).collect()
}

/// More than any home has, and less than a debug build's store can take.
fn requests(lab: &Lab) -> std::process::Command {
    let mut command = curl(lab, Visitor::Inside4);
    command
        .args(["--rate", "300/s"])
        .arg(url(HOST, "/page?[1-100000]"));
    command
}
