//! `canarytap mint` and `canarytap canaries` as a user meets them.

#![allow(clippy::unwrap_used, reason = "tests may assert in the plainest way")]

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::process::Output;

use assert_cmd::Command;
use canarytap::store::{Incoming, Store, StoreOptions};
use serde_json::Value;

mod common;

use common::visit;

const CONFIG: &str = r#"
[[host]]
name = "www.example.org"

[[host]]
name = "*.tap.example.org"

[[canary]]
url = "https://www.example.org/x/login.html?user=tbtest&password=geheim"
channel = "skype"
"#;

/// A configuration, and a data directory with an empty store.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self::without_store();
        drop(Store::open(&desk.data(), StoreOptions::default()).unwrap());
        desk
    }

    fn without_store() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("canarytap.toml"), CONFIG).unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        Self { folder }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let config = self.folder.path().join("canarytap.toml");
        Command::cargo_bin("canarytap")
            .unwrap()
            .arg("-c")
            .arg(config)
            .arg("--data")
            .arg(self.data())
            .args(arguments)
            .output()
            .unwrap()
    }

    fn mint(&self, arguments: &[&str]) -> Vec<String> {
        let output = self.run(&[&["mint"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(str::to_owned).collect()
    }

    fn canaries(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(&[&["canaries", "--format", "jsonl"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let lines = text(&output.stdout);
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn refuses(&self, status: i32, arguments: &[&str], words: &[&str]) {
        let before = self.contents();
        let output = self.run(arguments);
        let complaint = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{complaint}");
        for word in words {
            assert!(complaint.contains(word), "{word} is not in: {complaint}");
        }
        assert!(output.stdout.is_empty());
        assert_eq!(self.contents(), before);
    }

    /// What stands in the data directory, but for what SQLite keeps beside a store while it is
    /// looked at.
    fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(self.data())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| !path.to_str().unwrap().ends_with("-shm"))
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .filter(|(_, bytes)| !bytes.is_empty())
            .collect();
        files.sort();
        files
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_minted_url_looks_ordinary_and_holds_its_id() {
    let desk = Desk::new();
    let urls = desk.mint(&["--channel", "skype", "--label", "login link"]);
    assert_eq!(urls.len(), 1);
    assert!(urls[0].starts_with("https://www.example.org/"), "{urls:?}");
    let minted = desk.canaries(&[]).pop().unwrap();
    assert_eq!(minted["url"], urls[0].as_str());
    assert_eq!(minted["channel"], "skype");
    assert_eq!(minted["label"], "login link");
    assert_eq!(minted["control"], false);
    assert_eq!(minted["visits"], 0);
    let id = minted["id"].as_str().unwrap();
    assert!(urls[0].contains(id));
    assert!(id.len() >= 13, "31 letters and digits: 13 are 64 bits");
    let clear = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    assert!(
        id.bytes()
            .all(|byte| clear(byte) && !b"01oli".contains(&byte))
    );
}

#[test]
fn many_at_once_are_all_different() {
    let desk = Desk::new();
    let urls = desk.mint(&["--channel", "mail", "--count", "2000"]);
    assert_eq!(urls.iter().collect::<HashSet<_>>().len(), 2000);
    assert_eq!(desk.canaries(&["--channel", "mail"]).len(), 2000);
}

#[test]
fn host_scheme_and_control_are_as_asked() {
    let desk = Desk::new();
    let host = "K7.tap.example.org.";
    let urls = desk.mint(&[
        "--channel",
        "none",
        "--control",
        "--host",
        host,
        "--scheme",
        "http",
    ]);
    assert!(
        urls[0].starts_with("http://k7.tap.example.org/"),
        "{urls:?}"
    );
    assert_eq!(desk.canaries(&["--channel", "none"])[0]["control"], true);
}

#[test]
fn a_canary_may_have_a_host_name_of_its_own() {
    let desk = Desk::new();
    let output = desk.run(&["mint", "--channel", "mail", "--subdomain"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let url = text(&output.stdout).trim_end().to_owned();
    let minted = desk.canaries(&["--channel", "mail"]).pop().unwrap();
    let id = minted["id"].as_str().unwrap();
    assert_eq!(url, format!("https://{id}.tap.example.org/"));
    assert!(text(&output.stderr).contains("wildcard certificate"));
    let named = [
        "--channel",
        "chat",
        "--subdomain",
        "--host",
        "*.TAP.example.org",
    ];
    assert_eq!(desk.mint(&named).len(), 1);
    let other = [
        "mint",
        "--channel",
        "c",
        "--subdomain",
        "--host",
        "example.org",
    ];
    desk.refuses(2, &other, &["*.example.org", "[[host]]"]);
}

#[test]
fn a_url_of_the_owners_is_registered_once_and_its_weakness_told() {
    let desk = Desk::new();
    let plain = "https://www.example.org/holiday.html?year=2013";
    let output = desk.run(&["mint", "--channel", "mail", "--url", plain]);
    assert_eq!(text(&output.stdout), format!("{plain}\n"));
    assert!(text(&output.stderr).contains("nothing in"), "{output:?}");
    let unique = "https://www.example.org/d/A1b2C3d4E5f6G7h8";
    let output = desk.run(&["mint", "--channel", "mail", "--url", unique]);
    assert!(output.stderr.is_empty(), "{output:?}");
    let token = desk.canaries(&["--channel", "mail"])[1]["token"].clone();
    assert_eq!(token, "a1b2c3d4e5f6g7h8");
    for again in [plain, "HTTP://WWW.example.org:80/holiday.html?YEAR=2013"] {
        let arguments = ["mint", "--channel", "chat", "--url", again];
        desk.refuses(2, &arguments, &["is a canary already"]);
    }
    let configured = "https://www.example.org/x/login.html?user=tbtest&password=geheim";
    let arguments = ["mint", "--channel", "chat", "--url", configured];
    desk.refuses(2, &arguments, &["is a canary already"]);
}

#[test]
fn canaries_count_their_visits_folded_ones_too() {
    let desk = Desk::new();
    desk.mint(&["--channel", "mail"]);
    let mut store = Store::open_existing(&desk.data(), StoreOptions::default()).unwrap();
    let id = desk.canaries(&[])[0]["id"].as_str().unwrap().to_owned();
    let flood: Vec<Incoming> = (0..150)
        .map(|number| {
            let mut one = visit(number);
            one.canary = Some(id.clone());
            one.alert = number != 7;
            Incoming::Event(one)
        })
        .collect();
    store.commit(&flood).unwrap();
    let gone = visit(200); // its canary stands nowhere any more
    store.commit(&[Incoming::Event(gone)]).unwrap();
    let canaries = desk.canaries(&[]);
    assert_eq!(canaries.len(), 3);
    assert_eq!(
        (&canaries[0]["visits"], &canaries[0]["alerts"]),
        (&150.into(), &149.into())
    );
    assert_eq!(canaries[0]["first"], "2013-04-30T17:28:32.104512Z");
    assert_eq!(canaries[0]["last"], "2013-04-30T17:31:01.104512Z");
    assert_eq!(canaries[1]["visits"], 0);
    assert!(canaries[1].get("first").is_none());
    assert_eq!(
        (&canaries[2]["id"], &canaries[2]["visits"]),
        (&"k7f3q2m9".into(), &1.into())
    );
    let table = text(&desk.run(&["canaries"]).stdout);
    assert!(table.starts_with("ID "), "{table}");
    assert!(table.contains(" 150 "), "{table}");
}

#[test]
fn what_cannot_be_is_refused_and_nothing_changed() {
    let desk = Desk::new();
    desk.refuses(2, &["mint"], &["--channel"]);
    desk.refuses(2, &["mint", "--channel", " "], &["1 to 200 characters"]);
    desk.refuses(2, &["mint", "--channel", "a\nb"], &["one line"]);
    desk.refuses(2, &["mint", "--channel", "c", "--count", "0"], &["1..="]);
    desk.refuses(2, &["mint", "--channel", "c", "--count", "x"], &["invalid"]);
    let other = ["mint", "--channel", "c", "--host", "other.example.net"];
    desk.refuses(2, &other, &["is not watched", "[[host]]"]);
    let none = ["mint", "--channel", "c", "--host", "no host"];
    desk.refuses(2, &none, &["--host no host"]);
    for url in ["ftp://www.example.org/", "www.example.org/x", "https://"] {
        desk.refuses(2, &["mint", "--channel", "c", "--url", url], &["--url"]);
    }
    let foreign = ["mint", "--channel", "c", "--url", "https://a.example.net/x"];
    desk.refuses(2, &foreign, &["is not watched"]);
    let both = [
        "mint",
        "--channel",
        "c",
        "--url",
        "https://a.b/",
        "--count",
        "2",
    ];
    desk.refuses(2, &both, &["cannot be used with"]);
}

#[test]
fn without_a_store_it_is_said_how_to_get_one_and_nothing_is_made() {
    let desk = Desk::without_store();
    desk.refuses(1, &["mint", "--channel", "c"], &["canarytap run", "--data"]);
    desk.refuses(1, &["canaries"], &["canarytap run", "--data"]);
}

#[test]
fn a_store_of_a_newer_version_is_not_touched() {
    let desk = Desk::new();
    let database = rusqlite::Connection::open(desk.data().join("events.db")).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    desk.refuses(1, &["mint", "--channel", "c"], &["newer canarytap", "99"]);
    desk.refuses(1, &["canaries"], &["newer canarytap", "99"]);
}

#[test]
fn a_store_that_somebody_holds_is_waited_for_and_then_named() {
    let desk = Desk::new();
    let database = rusqlite::Connection::open(desk.data().join("events.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    desk.refuses(1, &["mint", "--channel", "c"], &["held by another process"]);
    assert_eq!(desk.canaries(&[]).len(), 1, "who only reads does not wait");
}

#[test]
fn what_is_watched_is_said_by_check_too() {
    let desk = Desk::new();
    desk.mint(&["--channel", "mail", "--count", "3"]);
    let check = desk.run(&["check"]);
    assert!(
        text(&check.stdout).contains("minted    3 more"),
        "{check:?}"
    );
}
