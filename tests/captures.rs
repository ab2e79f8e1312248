//! Replays every folder under `tests/captures` and compares what is printed with what is
//! expected. The table of cases is in `tests/captures/README.md`.

#![cfg(feature = "daemon")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may assert in the plainest way"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// One folder.
struct Case {
    name: String,
    folder: PathBuf,
}

/// How replay is to end: its exit status, and words that its message holds.
struct Outcome {
    status: i32,
    words: Vec<String>,
}

#[test]
fn every_capture_gives_the_events_that_are_expected() {
    let cases = cases();
    assert!(cases.len() > 100, "only {} cases", cases.len());
    let wrong: Vec<_> = cases.iter().filter_map(Case::difference).collect();
    assert!(
        wrong.is_empty(),
        "{} of {} cases differ:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

#[test]
fn the_visit_of_2013_is_the_only_line_that_is_printed() {
    let case = Case::of("http1-head-skype-2013");
    let printed = String::from_utf8(case.replay().stdout).unwrap();
    assert_eq!(printed.lines().count(), 1, "{printed}");
    for part in [
        r#""time":"2013-04-30T17:28:32.104512Z","kind":"visit","alert":true"#,
        r#""client":"65.52.100.214""#,
        r#""method":"HEAD""#,
    ] {
        assert!(printed.contains(part), "no {part} in {printed}");
    }
    assert!(!printed.contains("user_agent"), "{printed}");
}

impl Case {
    fn of(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            folder: root().join(name),
        }
    }

    /// What is missing (-) and what is too much (+), for people; None when all is well.
    fn difference(&self) -> Option<String> {
        let output = self.replay();
        let message = String::from_utf8_lossy(&output.stderr);
        let mut lines = differences(&self.expected(), &sorted(&output.stdout));
        let outcome = self.outcome();
        if output.status.code() != Some(outcome.status) {
            lines.push(format!("  it ended with {}", output.status));
        }
        let unsaid = |word: &&String| !message.contains(word.as_str());
        for word in outcome.words.iter().filter(unsaid) {
            lines.push(format!("  its message does not hold {word:?}"));
        }
        (!lines.is_empty()).then(|| format!("{}\n{}\n{message}", self.name, lines.join("\n")))
    }

    fn replay(&self) -> Output {
        let config = self.folder.join("canarytap.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_canarytap"));
        command.args(["replay", "--format", "jsonl"]);
        if config.exists() {
            command.arg("-c").arg(config);
        } else {
            command.arg("--all-hosts");
        }
        let keys = self.folder.join("keys.log");
        if keys.exists() {
            command.arg("--keys").arg(keys);
        }
        command.arg(self.capture()).output().unwrap()
    }

    fn capture(&self) -> PathBuf {
        let is_capture = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with("capture.")
        };
        files(&self.folder).into_iter().find(is_capture).unwrap()
    }

    fn expected(&self) -> Vec<String> {
        sorted(&fs::read(self.folder.join("expected.jsonl")).unwrap())
    }

    fn outcome(&self) -> Outcome {
        let text = fs::read_to_string(self.folder.join("expected.outcome")).unwrap_or("0".into());
        let mut lines = text.lines();
        Outcome {
            status: lines.next().unwrap().parse().unwrap(),
            words: lines.map(str::to_owned).collect(),
        }
    }
}

/// Lines without an order: of several connections any may be settled first.
fn sorted(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// The difference of two sorted lists, which may hold a line several times.
fn differences(expected: &[String], printed: &[String]) -> Vec<String> {
    let mut surplus = printed.to_vec();
    let mut lines = Vec::new();
    for line in expected {
        match surplus.iter().position(|other| other == line) {
            Some(place) => drop(surplus.remove(place)),
            None => lines.push(format!("  - {line}")),
        }
    }
    lines.extend(surplus.iter().map(|line| format!("  + {line}")));
    lines
}

fn cases() -> Vec<Case> {
    let mut folders = files(&root());
    folders.retain(|path| path.join("expected.jsonl").exists());
    folders.sort();
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    folders.iter().map(|path| Case::of(&name(path))).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures")
}
