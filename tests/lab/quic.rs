//! HTTP/3 on the wire: what the tap reads inside, held against the server's own access log.

use std::fs::File;
use std::process::Stdio;

use serde_json::Value;

use crate::http3::{Http3, ask};
use crate::namespaces::in_a_lab;
use crate::network::{Lab, wait_for};
use crate::tap::Tap;
use crate::web::{CANARY, HOST};

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

#[test]
fn with_the_keys_the_tap_reads_what_aioquic_served_line_by_line() {
    in_a_lab(
        with_the_keys_the_tap_reads_what_aioquic_served_line_by_line,
        |lab| {
            let server = Http3::aioquic(lab, &[]);
            let tap = tap(lab, Some(&server));
            for (number, way) in WAYS.iter().enumerate() {
                let targets = [
                    format!("/?way={number}"),
                    format!("HEAD:/missing?way={number}"),
                    format!("/status/301?way={number}"),
                ];
                ask(lab, way, &targets.each_ref().map(String::as_str));
            }
            assert_same(&tap, &server, 3 * WAYS.len() + 1);
            let events = tap.log(&[]);
            assert!(events.iter().all(is_of_quic), "{events:?}");
        },
    );
}

#[test]
fn with_the_keys_the_tap_reads_what_a_server_served_that_proves_addresses() {
    in_a_lab(
        with_the_keys_the_tap_reads_what_a_server_served_that_proves_addresses,
        |lab| {
            let server = Http3::aioquic(lab, &["--retry"]);
            let tap = tap(lab, Some(&server));
            for versions in ["1", "2"] {
                let first = format!("/?version={versions}");
                ask(lab, &["--versions", versions], &[&first, "HEAD:/missing"]);
            }
            assert_same(&tap, &server, 4);
        },
    );
}

#[test]
fn a_canary_over_http3_is_one_alert_with_its_keys_through_the_pipe_and_a_hello_without() {
    in_a_lab(
        a_canary_over_http3_is_one_alert_with_its_keys_through_the_pipe_and_a_hello_without,
        |lab| {
            let server = Http3::aioquic(lab, &[]);
            let tap = tap(lab, None);
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

/// All secrets of a server's, through the daemon's pipe.
fn hand_over(tap: &Tap<'_>, server: &Http3) {
    let mut keys = tap.command(&["keys"]);
    keys.stdin(Stdio::from(File::open(server.key_log()).unwrap()));
    assert!(keys.output().unwrap().status.success());
}

/// A running tap that reads the server's port, with its keys or without.
fn tap<'lab>(lab: &'lab Lab, keys_of: Option<&Http3>) -> Tap<'lab> {
    let mut tap = Tap::new(lab);
    tap.configure(|config| config.replace("ports = [80, 8080]", "ports = [80, 8443]"));
    if let Some(server) = keys_of {
        let log = server.key_log();
        tap.configure(|config| format!("{config}\n[tls]\nkey_log = [{log:?}]\n"));
    }
    tap.start();
    tap
}

/// The tap's log says what the server's says.
fn assert_same(tap: &Tap<'_>, server: &Http3, requests: usize) {
    let served = wait_for("the server's own log", || {
        let served = server.served();
        (served.len() >= requests).then_some(served)
    });
    let mut served: Vec<[String; 6]> = served
        .into_iter()
        .map(|line| {
            let host = line.host.split(':').next().unwrap_or_default().to_owned();
            [
                line.src_port,
                line.method,
                host,
                line.target,
                line.version,
                line.status,
            ]
        })
        .collect();
    served.sort();
    let mut seen = Vec::new();
    wait_for("the tap's log", || {
        seen = tap.log(&[]).iter().map(seen_facts).collect();
        (seen.len() >= served.len()).then_some(())
    });
    seen.sort();
    assert_eq!(seen, served, "what the tap read and what the server served");
}

fn is_of_quic(event: &Value) -> bool {
    event["ja4"]
        .as_str()
        .is_some_and(|ja4| ja4.starts_with("q13d"))
}

fn seen_facts(event: &Value) -> [String; 6] {
    let keys = ["src_port", "method", "host", "target", "version", "status"];
    keys.map(|key| match &event[key] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}
