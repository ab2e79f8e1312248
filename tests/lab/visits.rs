//! Who visits what, and what the tap makes of it.

use serde_json::Value;

use crate::lights::first_on;
use crate::namespaces::{figure, in_a_lab, is_long};
use crate::network::{Lab, wait_for};
use crate::tap::{Tap, now, time_of};
use crate::web::{Access, CANARY, HOST, OTHER_HOST, Visitor, Web, url, visit};

#[test]
fn each_visit_from_outside_is_one_alert_and_everything_else_is_none() {
    in_a_lab(
        each_visit_from_outside_is_one_alert_and_everything_else_is_none,
        |lab| {
            let (web, tap) = (Web::start(lab), Tap::running(lab));
            for from in Visitor::ALL {
                make_rounds(lab, from);
            }
            let expected: Vec<_> = web.served().iter().filter_map(expected_event).collect();
            let events = tap.wait_for_events(expected.len());

            let mut seen: Vec<_> = events.iter().map(facts).collect();
            let mut expected = expected;
            seen.sort();
            expected.sort();
            assert_eq!(seen, expected, "what the tap saw and what nginx served");
            let alerts = tap.log(&["--alerts"]).len();
            assert_eq!(
                alerts,
                2 * CANARY_VISITS,
                "visits from two addresses outside"
            );
            assert_eq!(lab.frames_sent_by_tap(), 0, "a tap sends nothing");
        },
    );
}

#[test]
fn with_heads_only_the_same_is_told_of_the_same_visits() {
    in_a_lab(with_heads_only_the_same_is_told_of_the_same_visits, |lab| {
        let web = Web::start(lab);
        let mut tap = Tap::configured(lab, |config| {
            config.replace("[capture]", "[capture]\nresponses = \"heads\"")
        });
        tap.start();
        let (bulk, canary) = (url(HOST, "/bulk"), url(HOST, CANARY));
        for from in Visitor::ALL {
            visit(lab, from, &[&bulk, &canary, &bulk, &url(HOST, "/missing")]);
        }
        for from in Visitor::ALL {
            make_rounds(lab, from);
        }
        let mut expected: Vec<_> = web.served().iter().filter_map(expected_event).collect();
        expected.sort();
        // The status of an answer behind a hole may come late.
        wait_for("what nginx served", || {
            let mut seen: Vec<_> = tap.log(&[]).iter().filter_map(facts_if_answered).collect();
            seen.sort();
            (seen == expected).then_some(())
        });
        wait_for("the holes where bulk data were", || {
            (tap.counter("gap_bytes") > 1_000_000).then_some(())
        });
    });
}

#[test]
fn nginx_and_tap_agree_on_the_time_of_a_visit_and_the_light_follows_it() {
    in_a_lab(
        nginx_and_tap_agree_on_the_time_of_a_visit_and_the_light_follows_it,
        |lab| {
            let (_web, tap) = (Web::start(lab), Tap::running(lab));
            let before = now();
            visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
            let lit = wait_for("the alert light", || {
                first_on(&tap.lights(), "alert", before)
            });
            let event = &tap.log(&["--alerts"])[0];
            // Events print microseconds.
            assert!(
                time_of(event) + 1000 > before && time_of(event) < lit,
                "{event}"
            );
            assert!(
                first_on(&tap.lights(), "activity", before).is_some(),
                "a request is activity"
            );
        },
    );
}

#[test]
fn a_visit_to_another_host_or_by_its_path_alone_leaves_no_light() {
    in_a_lab(
        a_visit_to_another_host_or_by_its_path_alone_leaves_no_light,
        |lab| {
            let (_web, tap) = (Web::start(lab), Tap::running(lab));
            visit(
                lab,
                Visitor::Outside4,
                &["--head", &url(OTHER_HOST, CANARY)],
            );
            visit(lab, Visitor::Inside4, &["--head", &url(HOST, CANARY)]);
            visit(lab, Visitor::Outside4, &[&url(HOST, "/")]);
            let events = tap.wait_for_events(2);
            assert_eq!(events.len(), 2, "{events:?}");
            assert_eq!(first_on(&tap.lights(), "alert", 0), None);
        },
    );
}

#[test]
fn the_time_from_packet_to_light_is_measured() {
    in_a_lab(the_time_from_packet_to_light_is_measured, |lab| {
        let (_web, tap) = (Web::start(lab), Tap::running(lab));
        let mut delays: Vec<u64> = (0..rounds()).map(|_| delay(lab, &tap)).collect();
        delays.sort_unstable();
        let millis = |share: usize| delays[(delays.len() - 1) * share / 100] as f64 / 1e6;
        figure(&format!(
            "packet to light, {} visits: median {:.1} ms, 99 % within {:.1} ms",
            delays.len(),
            millis(50),
            millis(99)
        ));
    });
}

/// Nanoseconds from a visit's packet to the light, from a dark light on.
fn delay(lab: &Lab, tap: &Tap) -> u64 {
    let before = now();
    visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
    let lit = wait_for("the alert light", || {
        first_on(&tap.lights(), "alert", before)
    });
    let alerts = tap.log(&["--alerts"]);
    tap.acknowledge();
    wait_for("a dark light", || stays_dark(tap).then_some(()));
    lit - time_of(alerts.last().unwrap())
}

/// Whether the alert light is dark and has been for longer than HEAD's pattern pauses.
fn stays_dark(tap: &Tap) -> bool {
    let changes = tap.lights();
    let last = changes.iter().rev().find(|change| change.role == "alert");
    last.is_none_or(|change| !change.on && now() - change.time > PAUSE_NANOS)
}

const PAUSE_NANOS: u64 = 1_500_000_000;

fn rounds() -> usize {
    if is_long() { 100 } else { 20 }
}

/// Canary visits in one round.
const CANARY_VISITS: usize = 9;

/// What a visitor may do with the server.
fn make_rounds(lab: &Lab, from: Visitor) {
    let (canary, page) = (url(HOST, CANARY), url(HOST, "/page?a=b"));
    let go = |arguments: &[&str]| visit(lab, from, arguments);
    // canary, by either method and version
    go(&["--head", &canary]);
    go(&["--http1.0", "--head", &canary]);
    go(&[&canary]);
    go(&["--http1.0", &canary]);
    // canary: any method, another query, another way to write it
    go(&["--data", "user=x", &canary]);
    go(&[&url(HOST, "/x/login.html?other=1")]);
    go(&[&url(
        "WWW.Example.ORG",
        "/%78/LOGIN.html?user=tbtest&password=geheim",
    )]);
    // several on one connection, the canary twice among them
    go(&[
        &page,
        &canary,
        &url(HOST, "/missing"),
        &canary,
        &url(HOST, "/moved"),
        &page,
    ]);
    // no canary
    go(&["--head", &page]);
    go(&["--data", "x=y", &page]);
    go(&["--header", "Host: other.example.net", &canary]);
    go(&[&url(OTHER_HOST, "/x")]);
}

type Facts = (String, String, String, String, String, String, bool, String);

/// The same of what was answered.
fn facts_if_answered(event: &Value) -> Option<Facts> {
    event["status"].is_number().then(|| facts(event))
}

/// What can be compared: who, how, what, and how the tap judged it.
fn facts(event: &Value) -> Facts {
    let text = |key: &str| event[key].as_str().unwrap().to_owned();
    (
        format!("{} {}", text("src"), event["src_port"]),
        text("method"),
        text("host"),
        text("target"),
        text("version"),
        event["status"].to_string(),
        event["alert"].as_bool().unwrap(),
        text("kind"),
    )
}

/// The event that a line of nginx's log must be; None when the tap must be silent.
fn expected_event(access: &Access) -> Option<Facts> {
    let path = access.target.split('?').next().unwrap().to_lowercase();
    let canary = ["/x/login.html", "/%78/login.html"].contains(&path.as_str());
    let watched = access.host == HOST;
    let told = watched && (canary || ["GET", "HEAD"].contains(&access.method.as_str()));
    let outside = access.src.starts_with("203.0.113.") || access.src.starts_with("2001:db8:");
    told.then(|| {
        (
            format!("{} {}", access.src, access.src_port),
            access.method.clone(),
            access.host.clone(),
            access.target.clone(),
            access.version.clone(),
            access.status.clone(),
            canary && outside,
            if canary { "visit" } else { "request" }.to_owned(),
        )
    })
}
