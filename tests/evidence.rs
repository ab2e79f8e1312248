//! The packets that are kept of each visit, for every capture under `tests/captures`: they hold the
//! visit, whoever reads them.

#![cfg(feature = "daemon")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may assert in the plainest way"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use canarytap::engine::frame::Timestamp;
use canarytap::store::{Store, StoreOptions};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use tempfile::TempDir;

/// One folder, and a configuration by which all that is read there is a visit.
struct Case {
    name: String,
    folder: PathBuf,
    config: String,
}

/// A replay whose store was kept.
struct Kept {
    name: String,
    place: TempDir,
    config: PathBuf,
    visits: Vec<Value>,
    replayed: Mutex<BTreeMap<String, Output>>,
    /// What tshark found in a file, by its hash.
    read: Mutex<BTreeMap<String, Vec<Value>>>,
}

#[test]
fn the_packets_of_each_visit_replay_to_the_same_visit() {
    let (files, wrong) = each_of(cases(), 100, &|kept, visit| {
        let output = kept.replayed(visit);
        let same = lines(&output.stdout)
            .into_iter()
            .any(|line| same_visit(visit, line));
        (!same).then(|| {
            format!(
                "  {visit}\n  gives {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )
        })
    });
    assert!(files > 400, "only {files} files");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn tshark_finds_the_request_of_each_visit_in_its_packets() {
    let whole = env::var_os("CANARYTAP_TEST_LONG").is_some();
    let (looked, found) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let mut cases = cases();
    cases.retain(|case| whole || TSHARK_SAMPLE.contains(&case.name.as_str()));
    each_of(cases, 20, &|kept, visit| {
        if visit["method"] == "GET" || visit["method"] == "HEAD" {
            looked.fetch_add(1, Ordering::Relaxed);
            if !kept.read_by_tshark(visit).contains(&ends(visit)) {
                let mut found = found.lock().unwrap();
                let of_case: &mut Vec<String> = found.entry(kept.name.clone()).or_default();
                of_case.push(visit.to_string());
            }
        }
        None
    });
    let least = if whole { 400 } else { TSHARK_SAMPLE.len() };
    assert!(looked.load(Ordering::Relaxed) >= least, "{looked:?}");
    let known = known_differences();
    let mut wrong = found.into_inner().unwrap();
    wrong.remove(LOST_BEHIND_FRAMES_THAT_WENT);
    wrong.retain(|case, visits: &mut Vec<String>| {
        let known = known.iter().filter(|(pattern, _)| is_like(case, pattern));
        visits.len() > known.map(|(_, fewer)| *fewer).sum()
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What a visit and tshark's finding of it have in common.
fn ends(visit: &Value) -> Value {
    let keys = [
        "method", "host", "target", "src", "src_port", "dst", "dst_port",
    ];
    keys.iter().map(|key| visit[key].clone()).collect()
}

/// Captures in which tshark is known to find so many requests fewer, and why, is written there.
fn known_differences() -> Vec<(String, usize)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/differences.toml");
    let list: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
    let mut known = Vec::new();
    for one in list["difference"].as_array().unwrap() {
        let fewer = one.get("tshark_fewer").and_then(toml::Value::as_integer);
        for pattern in one["captures"].as_array().unwrap() {
            let fewer = usize::try_from(fewer.unwrap_or(0)).unwrap();
            known.push((pattern.as_str().unwrap().to_owned(), fewer));
        }
    }
    known
}

/// Whether a name fits a pattern with stars.
fn is_like(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap()) else {
        return false;
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty() || pattern.ends_with('*')
}

/// Its request comes behind a body of 3 MB, the middle of which had to go (`missed` says so): tshark
/// finds no place again there.
const LOST_BEHIND_FRAMES_THAT_WENT: &str = "http1-body-large";

/// One of each kind, those with secrets among them.
const TSHARK_SAMPLE: [&str; 14] = [
    "canary-url",
    "http1-head-skype-2013",
    "http1-pipelined",
    "http2-streams",
    "link-vlan",
    "quic-chromium",
    "quic-key-update",
    "quic-v2",
    "tcp-out-of-order",
    "tls-12-resumed-ticket",
    "tls-13-aes-128-gcm-sha256",
    "tls-13-early-data",
    "tls-13-key-update",
    "tls-13-many",
];

#[test]
fn verify_names_packets_that_were_changed_or_taken_away() {
    let kept = case("http1-head-skype-2013").keep();
    let file = kept.file(&kept.visits[0]);
    let verified = kept.verify();
    assert!(verified.1.contains("packets    1 files"), "{}", verified.1);
    let bytes = fs::read(&file).unwrap();
    for at in [0, 100, bytes.len() / 2, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(&file, changed).unwrap();
        let (status, text) = kept.verify();
        assert_eq!(status, Some(1), "{text}");
        assert!(
            text.contains("the packets of visit 1 were changed"),
            "{text}"
        );
    }
    fs::remove_file(&file).unwrap();
    let (status, text) = kept.verify();
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("the packets of visit 1 are gone"), "{text}");
}

#[test]
fn what_is_deleted_for_want_of_room_is_told_and_is_not_missing() {
    let mut case = case("canary-url");
    case.config.push_str("files_max = 2\n");
    let kept = case.keep();
    assert_eq!(kept.visits.len(), 5);
    let left = files(&kept.place.path().join("data/evidence"));
    assert_eq!(left.len(), 2, "{left:?}");
    let pruned = |visit: &&Value| visit["evidence"]["state"] == "pruned";
    assert_eq!(kept.visits.iter().filter(pruned).count(), 3);
    let (status, text) = kept.verify();
    assert_eq!(status, Some(0), "{text}");
    assert!(
        text.contains("3 more were deleted for want of room"),
        "{text}"
    );
}

#[test]
fn a_file_that_a_power_cut_left_unfinished_is_completed_at_the_next_start() {
    let whole = case("http1-head-skype-2013").keep();
    let bytes = fs::read(whole.file(&whole.visits[0])).unwrap();
    let mut case = case("http1-head-skype-2013");
    case.config.push_str("enabled = false\n");
    for cut in [1, bytes.len() / 2, bytes.len() - 30] {
        let kept = case.keep();
        let folder = kept.place.path().join("data/evidence");
        assert!(!folder.exists());
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("1.pcapng"), [&bytes[..cut], &[0; 50]].concat()).unwrap();
        let data = kept.place.path().join("data");
        let mut store = Store::open(&data, StoreOptions::default()).unwrap();
        assert_eq!(store.recover_evidence(Timestamp::from_nanos(1)).unwrap(), 1);
        assert_eq!(store.recover_evidence(Timestamp::from_nanos(1)).unwrap(), 0);
        drop(store);
        let (status, text) = kept.verify();
        assert_eq!(status, Some(0), "{text}");
        let length = fs::metadata(folder.join("1.pcapng")).unwrap().len() as usize;
        assert!(length <= cut && length + 400 > cut, "{length} of {cut}");
        let log = kept.log();
        assert_eq!(log[0]["evidence"]["ended"], "interrupted", "{log:?}");
    }
}

fn case(name: &str) -> Case {
    let mut cases = cases().into_iter();
    cases.find(|case| case.name == name).unwrap()
}

type Check<'a> = dyn Fn(&Kept, &Value) -> Option<String> + Sync + 'a;

/// Keeps these cases, and holds about `some` visits of each against `check`, if it has so many. How
/// many there were, and what is wrong.
fn each_of(cases: Vec<Case>, some: usize, check: &Check<'_>) -> (usize, Vec<String>) {
    let cases = Mutex::new(cases.into_iter());
    let found = Mutex::new((0, Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(case) = cases.lock().unwrap().next() else {
                        return;
                    };
                    let (files, wrong) = case.check(some, check);
                    let mut found = found.lock().unwrap();
                    found.0 += files;
                    found.1.extend(wrong);
                }
            });
        }
    });
    found.into_inner().unwrap()
}

impl Case {
    fn check(&self, some: usize, check: &Check<'_>) -> (usize, Vec<String>) {
        let kept = self.keep();
        let mut wrong = Vec::new();
        // Of the hundreds of alike connections of a flood a part is enough.
        let some = kept.visits.iter().step_by(1 + kept.visits.len() / some);
        let checked = some.len();
        for visit in some {
            let file = kept.file(visit);
            let name = format!("{}.pcapng", visit["seq"]);
            let Ok(bytes) = fs::read(&file) else {
                wrong.push(format!("{}: no {}", self.name, file.display()));
                continue;
            };
            let hash = digest(&SHA256, &bytes);
            let hex: String = hash
                .as_ref()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            if visit["evidence"]["sha256"] != hex || visit["evidence"]["file"] != name {
                wrong.push(format!("{}: wrong hash: {visit}", self.name));
            }
            if let Some(difference) = check(&kept, visit) {
                wrong.push(format!("{}:\n{difference}", self.name));
            }
        }
        (checked, wrong)
    }

    fn keep(&self) -> Kept {
        let place = tempfile::tempdir().unwrap();
        let config = place.path().join("canarytap.toml");
        fs::write(&config, &self.config).unwrap();
        let keys = self.folder.join("keys.log");
        let store = place.path().join("data");
        replay(&config, Some(&store), &[self.capture(), keys]);
        let verified = canarytap(&["--data".into(), store.clone(), "verify".into()]);
        assert!(verified.status.success(), "{}: {verified:?}", self.name);
        let log = [
            "--data".into(),
            store,
            "log".into(),
            "--format".into(),
            "jsonl".into(),
        ];
        let mut visits = lines(&canarytap(&log).stdout);
        visits.retain(|event| event["kind"] == "visit");
        Kept {
            name: self.name.clone(),
            place,
            config,
            visits,
            replayed: Mutex::default(),
            read: Mutex::default(),
        }
    }

    fn capture(&self) -> PathBuf {
        let mut files = files(&self.folder).into_iter();
        let is_capture = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with("capture.")
        };
        files.rfind(is_capture).unwrap()
    }
}

impl Kept {
    fn data(&self) -> PathBuf {
        self.place.path().join("data")
    }

    /// Exit status and text.
    fn verify(&self) -> (Option<i32>, String) {
        let output = canarytap(&["--data".into(), self.data(), "verify".into()]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text)
    }

    fn log(&self) -> Vec<Value> {
        let log = ["log", "--format", "jsonl"].map(PathBuf::from);
        let arguments = ["--data".into(), self.data()].into_iter().chain(log);
        lines(&canarytap(&arguments.collect::<Vec<_>>()).stdout)
    }

    /// What a replay of a visit's file says; visits on one connection share theirs.
    fn replayed(&self, visit: &Value) -> Output {
        let hash = visit["evidence"]["sha256"].as_str().unwrap_or_default();
        let mut replayed = self.replayed.lock().unwrap();
        let output = replayed
            .entry(hash.to_owned())
            .or_insert_with(|| replay(&self.config, None, &[self.file(visit)]));
        output.clone()
    }

    /// The requests that tshark finds in a visit's file.
    fn read_by_tshark(&self, visit: &Value) -> Vec<Value> {
        let hash = visit["evidence"]["sha256"].as_str().unwrap_or_default();
        let mut read = self.read.lock().unwrap();
        let found = read.entry(hash.to_owned()).or_insert_with(|| {
            let script =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/evidence.py");
            let mut python = Command::new("python3");
            let output = python.arg(script).arg(self.file(visit)).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            lines(&output.stdout)
        });
        found.clone()
    }

    fn file(&self, visit: &Value) -> PathBuf {
        let name = visit["evidence"]["file"].as_str().unwrap_or("none");
        self.place.path().join("data/evidence").join(name)
    }
}

/// Connections whose beginning is too long for what is kept before anything watched was met.
const BEYOND_BOUNDS: [&str; 2] = [
    "http2-continuation-flood",
    "tcp-hole-beyond-the-bound-in-bytes",
];

/// The cases with a configuration of their own, and those that get one by which each of their
/// requests is a visit.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for folder in files(&root()) {
        if BEYOND_BOUNDS.iter().any(|name| folder.ends_with(name)) {
            continue;
        }
        let Ok(expected) = fs::read(folder.join("expected.jsonl")) else {
            continue;
        };
        let own = fs::read_to_string(folder.join("canarytap.toml")).ok();
        let config = own.or_else(|| all_are_canaries(&lines(&expected)));
        let Some(config) = config else { continue };
        cases.push(Case {
            name: folder.file_name().unwrap().to_string_lossy().into_owned(),
            config: format!("{config}\n[evidence]\nsecrets = true\n"),
            folder,
        });
    }
    cases
}

fn all_are_canaries(events: &[Value]) -> Option<String> {
    let (mut hosts, mut urls) = (BTreeSet::new(), BTreeSet::new());
    for event in events {
        let host = event["host"].as_str().unwrap_or_default();
        let target = event["target"].as_str().unwrap_or_default();
        let named = host.contains(|c: char| c.is_ascii_alphabetic()) && !host.contains(':');
        let plain = target
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"');
        if named && plain && target.starts_with('/') && target.len() < 2000 {
            hosts.insert(host);
            urls.insert(format!("http://{host}{target}"));
        }
    }
    let hosts: Vec<String> = hosts
        .iter()
        .map(|host| format!("[[host]]\nname = \"{host}\"\n"))
        .collect();
    let canaries: Vec<String> = urls
        .iter()
        .map(|url| format!("[[canary]]\nurl = '{url}'\nchannel = \"c\"\n"))
        .collect();
    let config = format!(
        "[capture]\nports = \"all\"\n{}{}",
        hosts.join(""),
        canaries.join("")
    );
    (!urls.is_empty()).then_some(config)
}

/// Whether a replay of the packets tells the same. A visit that was known by its hello first is known
/// by its request at once, where keys stand before packets.
fn same_visit(visit: &Value, replayed: Value) -> bool {
    let late = visit["flags"].to_string().contains("late_key");
    let [mut visit, mut replayed] = [without_store(visit.clone()), without_store(replayed)];
    if late {
        for event in [&mut visit, &mut replayed] {
            event.as_object_mut().unwrap().remove("time");
        }
    }
    visit == replayed
}

/// What the store adds is not in the capture; and in the file keys stand before packets.
fn without_store(mut event: Value) -> Value {
    if let Some(flags) = event.get_mut("flags").and_then(Value::as_array_mut) {
        flags.retain(|flag| flag != "late_key");
        if flags.is_empty() {
            event.as_object_mut().unwrap().remove("flags");
        }
    }
    for key in ["seq", "evidence"] {
        event.as_object_mut().unwrap().remove(key);
    }
    event
}

fn replay(config: &Path, store: Option<&Path>, files: &[PathBuf]) -> Output {
    let mut arguments: Vec<PathBuf> = ["replay", "--format", "jsonl", "-c"].map(Into::into).into();
    arguments.push(config.into());
    if let Some(store) = store {
        arguments.extend(["--store".into(), store.into()]);
    }
    for file in files {
        match file.extension() {
            Some(end) if end == "log" && !file.exists() => {}
            Some(end) if end == "log" => arguments.extend(["--keys".into(), file.clone()]),
            _ => arguments.push(file.clone()),
        }
    }
    canarytap(&arguments)
}

fn canarytap(arguments: &[PathBuf]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_canarytap"));
    command.args(arguments).output().unwrap()
}

fn lines(text: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(text);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures")
}
