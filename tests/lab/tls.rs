//! HTTPS on the wire: what the tap reads inside, held against the server's own access log.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::https::Https;
use crate::namespaces::in_a_lab;
use crate::network::{Lab, wait_for};
use crate::tap::Tap;
use crate::web::{Access, CANARY};

/// Ways to ask: versions of TLS and HTTP, methods, and each suite that curl and Apache share.
const WAYS: [&[&str]; 16] = [
    &["--http1.1"],
    &["--http1.1", "--head"],
    &["--http2"],
    &["--http2", "--head"],
    &["--http1.1", "--tls-max", "1.2"],
    &["--http1.1", "--tls-max", "1.2", "--head"],
    &["--http2", "--tls-max", "1.2"],
    &["--http2", "--tls-max", "1.2", "--head"],
    &["--tls13-ciphers", "TLS_AES_128_GCM_SHA256"],
    &["--tls13-ciphers", "TLS_AES_256_GCM_SHA384"],
    &["--tls13-ciphers", "TLS_CHACHA20_POLY1305_SHA256"],
    &[
        "--http1.1",
        "--tls-max",
        "1.2",
        "--ciphers",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
    ],
    &[
        "--http1.1",
        "--tls-max",
        "1.2",
        "--ciphers",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
    ],
    &[
        "--http1.1",
        "--tls-max",
        "1.2",
        "--ciphers",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ],
    &[
        "--http1.1",
        "--tls-max",
        "1.2",
        "--ciphers",
        "ECDHE-ECDSA-AES128-SHA256",
    ],
    &[
        "--http1.1",
        "--tls-max",
        "1.2",
        "--ciphers",
        "ECDHE-ECDSA-AES256-SHA",
    ],
];

#[test]
fn with_the_keys_the_tap_reads_what_apache_served_line_by_line() {
    in_a_lab(
        with_the_keys_the_tap_reads_what_apache_served_line_by_line,
        |lab| {
            let https = Https::start(lab);
            let tap = tap(lab, Some(&https));
            for (number, way) in WAYS.iter().enumerate() {
                https.ask(way, &format!("/?way={number}"));
                https.ask(way, &format!("/missing?way={number}"));
            }
            let events = assert_as_served(&tap, 2 * WAYS.len(), || https.served());
            for event in &events {
                assert_eq!(event["scheme"], "https", "{event}");
                assert_eq!(event["sni"], "www.example.org", "{event}");
                assert!(event["ja4"].as_str().unwrap().starts_with("t1"), "{event}");
            }
        },
    );
}

#[test]
fn with_the_keys_a_canary_is_one_alert_and_without_them_hellos_are_told() {
    in_a_lab(
        with_the_keys_a_canary_is_one_alert_and_without_them_hellos_are_told,
        |lab| {
            let https = Https::start(lab);
            let mut tap = tap(lab, Some(&https));
            https.ask(&["--http2", "--head"], CANARY);
            let visit = tap.wait_for_events(1).remove(0);
            assert_eq!(
                (&visit["kind"], &visit["alert"]),
                (&"visit".into(), &true.into())
            );
            assert_eq!(
                (&visit["method"], &visit["version"]),
                (&"HEAD".into(), &"HTTP/2".into())
            );

            // The same without the keys: who, and not what.
            assert!(tap.stop().success());
            tap.configure(|config| config.split("[tls]").next().unwrap().to_owned());
            tap.start();
            https.ask(&["--http1.1", "--head"], CANARY);
            let hello = tap.wait_for_events(2).remove(1);
            assert_eq!(
                (&hello["kind"], &hello["alert"]),
                (&"hello".into(), &false.into())
            );
            assert_eq!(
                (&hello["sni"], &hello["alpn"]),
                (&"www.example.org".into(), &"http/1.1".into())
            );
            assert!(
                hello.get("method").is_none() && hello.get("target").is_none(),
                "{hello}"
            );
        },
    );
}

/// A running tap that reads Apache's port, with its keys or without.
pub fn tap<'lab>(lab: &'lab Lab, keys_of: Option<&Https<'_>>) -> Tap<'lab> {
    tap_with(lab, keys_of.map(Https::key_log))
}

/// A running tap that reads the ports of both schemes, with a key log or without.
pub fn tap_with(lab: &Lab, key_log: Option<PathBuf>) -> Tap<'_> {
    let mut tap = Tap::new(lab);
    tap.configure(|config| config.replace("ports = [80, 8080]", "ports = [80, 8443]"));
    if let Some(log) = key_log {
        tap.configure(|config| format!("{config}\n[tls]\nkey_log = [{log:?}]\n"));
    }
    tap.start();
    tap
}

/// Waits until the server has logged so many requests, and compares what the tap read with them,
/// line by line.
pub fn assert_as_served(
    tap: &Tap<'_>,
    count: usize,
    served: impl Fn() -> Vec<Access>,
) -> Vec<Value> {
    let mut expected = wait_for("the server's own log", || {
        let lines: Vec<_> = served().iter().map(served_facts).collect();
        (lines.len() == count).then_some(lines)
    });
    let start = Instant::now();
    let events = wait_for("events in the log", || {
        // What is missing shows itself in the comparison.
        let events = tap.log(&[]);
        let whole = events.len() >= count && events.iter().all(|event| event["status"].is_u64());
        (whole || start.elapsed() > Duration::from_secs(30)).then_some(events)
    });
    let mut seen: Vec<_> = events.iter().map(seen_facts).collect();
    expected.sort();
    seen.sort();
    assert_eq!(seen, expected, "what the tap read and what was served");
    events
}

type Facts = [String; 6];

fn served_facts(line: &Access) -> Facts {
    let version = line.version.replace("/2.0", "/2").replace("/3.0", "/3");
    let host = line.host.split(':').next().unwrap_or_default().to_owned();
    [
        line.src_port.clone(),
        line.method.clone(),
        host,
        line.target.clone(),
        version,
        line.status.clone(),
    ]
}

fn seen_facts(event: &Value) -> Facts {
    let keys = ["src_port", "method", "host", "target", "version", "status"];
    keys.map(|key| match &event[key] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}
