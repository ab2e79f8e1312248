//! HTTP/3 on the wire: what the tap reads inside, held against the server's own access log.

use std::fs::File;
use std::process::Stdio;

use canarytap::engine::app::tls::keylog::KeyLabel;
use serde_json::Value;

use crate::browser;
use crate::http3::ask;
use crate::namespaces::in_a_lab;
use crate::network::{Lab, wait_for};
use crate::servers::Server;
use crate::tap::Tap;
use crate::tls::{assert_as_served, tap_with};
use crate::web::{Access, CANARY, HOST};

/// Ways to ask: versions of QUIC, each suite, hellos in several packets, keys that change, clients
/// that move, and data that comes with the hello.
const WAYS: [&[&str]; 9] = [
    &["--versions", "1"],
    &["--versions", "2"],
    &["--versions", "1,2"],
    &["--suite", "AES_256_GCM_SHA384"],
    &["--suite", "CHACHA20_POLY1305_SHA256"],
    &["--large"],
    &["--update"],
    &["--migrate"],
    &["--early"],
];

/// Those that Caddy knows: its version 2 of QUIC is a draft's, and of a client that moves it goes on
/// to log the first port.
const WAYS_TO_CADDY: [&[&str]; 7] = [
    &["--versions", "1"],
    &["--versions", "1,2"],
    &["--suite", "AES_256_GCM_SHA384"],
    &["--suite", "CHACHA20_POLY1305_SHA256"],
    &["--large"],
    &["--update"],
    &["--early"],
];

#[test]
fn with_the_keys_the_tap_reads_what_aioquic_served_line_by_line() {
    in_a_lab(
        with_the_keys_the_tap_reads_what_aioquic_served_line_by_line,
        |lab| {
            let server = Server::aioquic(lab, &[]);
            let tap = tap_with(lab, Some(server.key_log()));
            ask_in(lab, &WAYS);
            let events = assert_as_served(&tap, 3 * WAYS.len() + 1, || server.served());
            assert!(events.iter().all(is_of_quic), "{events:?}");
        },
    );
}

#[test]
fn with_the_keys_the_tap_reads_what_a_server_served_that_proves_addresses() {
    in_a_lab(
        with_the_keys_the_tap_reads_what_a_server_served_that_proves_addresses,
        |lab| {
            let server = Server::aioquic(lab, &["--retry"]);
            let tap = tap_with(lab, Some(server.key_log()));
            for versions in ["1", "2"] {
                let first = format!("/?version={versions}");
                ask(lab, &["--versions", versions], &[&first, "HEAD:/missing"]);
            }
            assert_as_served(&tap, 4, || server.served());
        },
    );
}

#[test]
fn with_the_keys_the_tap_reads_what_caddy_served_over_http3_line_by_line() {
    in_a_lab(
        with_the_keys_the_tap_reads_what_caddy_served_over_http3_line_by_line,
        |lab| {
            let caddy = Server::caddy(lab);
            let mut tap = tap_with(lab, Some(caddy.key_log()));
            ask_in(lab, &WAYS_TO_CADDY);
            let count = 3 * WAYS_TO_CADDY.len() + 1;
            if caddy.logs(KeyLabel::ClientEarly) {
                let events = assert_as_served(&tap, count, || caddy.served());
                assert!(events.iter().all(is_of_quic), "{events:?}");
            } else {
                assert_all_but_one_are_read(&mut tap, count, || caddy.served());
            }
        },
    );
}

/// Go's own TLS, with which Debian 13 builds Caddy, takes data that comes with a hello and logs no
/// secret for it: a request that cannot be read, and is told as a hello.
fn assert_all_but_one_are_read(tap: &mut Tap<'_>, count: usize, served: impl Fn() -> Vec<Access>) {
    let unread = format!("/?way={}", WAYS_TO_CADDY.len() - 1);
    let (early, others): (Vec<_>, Vec<_>) = wait_for("all requests in the server's log", || {
        Some(served()).filter(|lines| lines.len() == count)
    })
    .into_iter()
    .partition(|line| line.target == unread);
    assert_as_served(tap, count - 1, || others.clone());
    assert!(tap.stop().success()); // until then its key may come
    let log = tap.log(&[]);
    let hello = log.last().unwrap();
    assert_eq!(log.len(), count, "{hello}");
    let facts = [&hello["kind"], &hello["sni"], &hello["src_port"]].map(|one| match one {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    assert_eq!(facts, ["hello", HOST, &early[0].src_port]);
    assert_eq!(hello["flags"], serde_json::json!(["early_unread"]));
}

#[test]
fn what_aioquic_served_a_browser_over_http3_is_read_line_by_line() {
    in_a_lab(
        what_aioquic_served_a_browser_over_http3_is_read_line_by_line,
        |lab| assert_browser_is_read(lab, &Server::aioquic(lab, &[])),
    );
}

#[test]
fn what_caddy_served_a_browser_over_http3_is_read_line_by_line() {
    in_a_lab(
        what_caddy_served_a_browser_over_http3_is_read_line_by_line,
        |lab| assert_browser_is_read(lab, &Server::caddy(lab)),
    );
}

/// Chromium's page with its style and script, as the server says it served them; and of what it
/// asks without keys, the hello, in which it makes up an encrypted one.
fn assert_browser_is_read(lab: &Lab, server: &Server) {
    let mut tap = tap_with(lab, Some(server.key_log()));
    let way = browser::over_quic(lab, &server.certificate());
    browser::look(lab, "from=chromium", &way);
    let targets = browser::TARGETS.len();
    let events = assert_as_served(&tap, targets, || server.served());
    assert!(events.iter().all(is_of_quic), "{events:?}");
    assert!(events.iter().all(|event| event["version"] == "HTTP/3"));
    browser::assert_referer(&events, "from=chromium");

    assert!(tap.stop().success());
    tap.configure(|config| config.split("[tls]").next().unwrap().to_owned());
    tap.start();
    browser::look(lab, "keys=none", &way);
    let hello = tap.wait_for_events(targets + 1).remove(targets);
    assert_eq!(
        (&hello["kind"], &hello["sni"], &hello["alpn"]),
        (&"hello".into(), &HOST.into(), &"h3".into())
    );
    assert!(hello["flags"].to_string().contains("ech"), "{hello}");
    assert!(
        is_of_quic(&hello) && hello.get("target").is_none(),
        "{hello}"
    );
}

#[test]
fn a_canary_over_http3_is_one_alert_with_its_keys_through_the_pipe_and_a_hello_without() {
    in_a_lab(
        a_canary_over_http3_is_one_alert_with_its_keys_through_the_pipe_and_a_hello_without,
        |lab| {
            let server = Server::aioquic(lab, &[]);
            let tap = tap_with(lab, None);
            ask(lab, &[], &["/before-any-key"]);
            let hello = tap.wait_for_events(1).remove(0);
            assert_eq!(
                (&hello["kind"], &hello["sni"], &hello["alpn"]),
                (&"hello".into(), &HOST.into(), &"h3".into())
            );
            assert!(is_of_quic(&hello) && hello.get("method").is_none());

            // From the first secret on, what a hello hides is waited for.
            hand_over(&tap, &server);
            ask(lab, &["--large"], &[&format!("HEAD:{CANARY}")]);
            hand_over(&tap, &server);
            let visit = tap.wait_for_events(2).remove(1);
            let facts = ["kind", "method", "target", "version"].map(|key| visit[key].as_str());
            assert_eq!(facts, ["visit", "HEAD", CANARY, "HTTP/3"].map(Some));
            assert!(visit["flags"].to_string().contains("late_key"), "{visit}");
            assert_eq!(tap.log(&["--alerts"]).len(), 1);
        },
    );
}

/// Three requests in each of these ways, on a connection of its own.
fn ask_in(lab: &Lab, ways: &[&[&str]]) {
    for (number, way) in ways.iter().enumerate() {
        let targets = [
            format!("/?way={number}"),
            format!("HEAD:/missing?way={number}"),
            format!("/status/301?way={number}"),
        ];
        ask(lab, way, &targets.each_ref().map(String::as_str));
    }
}

/// All secrets of a server's, through the daemon's pipe.
fn hand_over(tap: &Tap<'_>, server: &Server) {
    let mut keys = tap.command(&["keys"]);
    keys.stdin(Stdio::from(File::open(server.key_log()).unwrap()));
    assert!(keys.output().unwrap().status.success());
}

fn is_of_quic(event: &Value) -> bool {
    event["ja4"]
        .as_str()
        .is_some_and(|ja4| ja4.starts_with("q13d"))
}
