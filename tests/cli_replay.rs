//! `canarytap replay` as a user meets it.

#![allow(clippy::unwrap_used, reason = "tests may assert in the plainest way")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/captures")
        .join(name)
}

fn canarytap(arguments: &[&str]) -> Output {
    Command::cargo_bin("canarytap")
        .unwrap()
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn skype() -> (String, String) {
    let folder = case("http1-head-skype-2013");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    (path("canarytap.toml"), path("capture.pcap"))
}

#[test]
fn with_a_store_it_keeps_what_it_prints_and_numbers_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("kept");
    let store = store.to_str().unwrap();
    let (config, capture) = skype();
    let replay = canarytap(&[
        "-c", &config, "replay", "--store", store, "--format", "jsonl", &capture,
    ]);
    assert_eq!(replay.status.code(), Some(0), "{}", text(&replay.stderr));
    let log = canarytap(&["--data", store, "log", "--format", "jsonl"]);
    let log_line = text(&log.stdout);
    let (before, after) = log_line.split_once(",\"evidence\":{").unwrap();
    let (_, after) = after.split_once('}').unwrap(); // where its packets are is known later
    assert_eq!(text(&replay.stdout), format!("{before}{after}"));
    assert!(text(&log.stdout).starts_with("{\"seq\":1,"));
    assert!(text(&log.stdout).contains("\"status\":200"));
}

#[test]
fn standard_input_is_read_and_gzip_seen_through() {
    let (config, capture) = skype();
    let bytes = fs::read(&capture).unwrap();
    let plain = canarytap(&["-c", &config, "replay", "--format", "jsonl", &capture]);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &bytes).unwrap();
    for input in [bytes, packed.finish().unwrap()] {
        let output = Command::cargo_bin("canarytap")
            .unwrap()
            .args(["-c", &config, "replay", "--format", "jsonl", "-"])
            .write_stdin(input)
            .output()
            .unwrap();
        assert_eq!(text(&output.stdout), text(&plain.stdout));
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn a_file_that_is_no_capture_is_named_and_the_others_are_read() {
    let (config, capture) = skype();
    let output = canarytap(&[
        "-c",
        &config,
        "replay",
        "--format",
        "jsonl",
        &config,
        &capture,
        "/nowhere.pcap",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout).lines().count(), 1);
    let errors = text(&output.stderr);
    assert!(
        errors.contains("neither a pcap nor a pcapng file"),
        "{errors}"
    );
    assert!(errors.contains("/nowhere.pcap"), "{errors}");
}

#[test]
fn it_ends_with_a_summary_that_names_what_was_dropped() {
    let (config, capture) = skype();
    let output = canarytap(&["-c", &config, "replay", &capture]);
    let errors = text(&output.stderr);
    assert!(errors.contains("10 frames, 1 events, 1 alerts"), "{errors}");
    assert!(errors.contains("segments=10"), "{errors}");
}

#[test]
fn every_host_on_every_port_needs_no_configuration() {
    let capture = case("http1-any-port");
    let capture = fs::read_dir(capture)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_str().unwrap().contains("capture.pcap"))
        .unwrap();
    let output = canarytap(&[
        "-c",
        "/nowhere.toml",
        "replay",
        "--all-hosts",
        "--format",
        "jsonl",
        capture.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("\"kind\":\"request\""));
}

#[test]
fn wrong_usage_is_refused() {
    let (config, capture) = skype();
    assert_eq!(canarytap(&["replay"]).status.code(), Some(2));
    let memory = canarytap(&["-c", &config, "replay", "--memory", "lots", &capture]);
    assert_eq!(memory.status.code(), Some(2));
    assert!(text(&memory.stderr).contains("48MiB"));
    let config = canarytap(&["-c", "/nowhere.toml", "replay", &capture]);
    assert_eq!(config.status.code(), Some(2));
    assert!(text(&config.stderr).contains("/nowhere.toml"));
}

#[test]
fn a_flood_of_visits_is_kept_as_a_hundred_and_a_fold() {
    const FLOOD: u32 = 100_000;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (config, _) = skype();
    fs::write(path("flood.pcap"), flood(FLOOD)).unwrap();
    let replay = canarytap(&[
        "-c",
        &config,
        "replay",
        "--store",
        &path("kept"),
        "--format",
        "jsonl",
        &path("flood.pcap"),
    ]);
    assert_eq!(replay.status.code(), Some(0), "{}", text(&replay.stderr));
    assert_eq!(text(&replay.stdout).lines().count(), FLOOD as usize);
    let log = canarytap(&["--data", &path("kept"), "log", "--format", "jsonl"]);
    let records: Vec<serde_json::Value> = text(&log.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len(), 101);
    assert!(
        records[..100]
            .iter()
            .all(|record| record["kind"] == "visit")
    );
    let fold = &records[100];
    assert_eq!(
        (&fold["kind"], &fold["alert"]),
        (&"fold".into(), &true.into())
    );
    assert_eq!(fold["count"], FLOOD - 100);
    assert_eq!(fold["first"], "2013-04-30T17:28:32.000100Z");
    assert_eq!(fold["last"], "2013-04-30T17:28:32.099999Z");
    assert_eq!(fold["client"], "203.0.113.9");
    let size = fs::metadata(path("kept/events.db")).unwrap().len();
    assert!(size < 1 << 20, "{size} bytes");
}

/// A capture of so many requests for the canary, a microsecond each, by one visitor on one
/// connection whose start was not seen.
fn flood(count: u32) -> Vec<u8> {
    const REQUEST: &[u8] =
        b"GET /x/login.html?user=tbtest&password=geheim HTTP/1.1\r\nHost: www.example.org\r\n\r\n";
    let mut file = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0".to_vec();
    for number in 0..count {
        let sequence = number.wrapping_mul(REQUEST.len() as u32);
        let frame = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([203, 0, 113, 9], [192, 168, 1, 10], 64)
            .tcp(50112, 80, sequence, 65535)
            .ack(1);
        let mut bytes = Vec::new();
        frame.write(&mut bytes, REQUEST).unwrap();
        let length = (bytes.len() as u32).to_le_bytes();
        file.extend(1_367_342_912_u32.to_le_bytes());
        file.extend(number.to_le_bytes());
        file.extend([length, length].concat());
        file.extend(bytes);
    }
    file
}
