//! `alert` and `selftest`, as a user at a shell sees them before anything runs.

#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used, reason = "tests may assert in the plainest way")]

use std::fs;

use assert_cmd::Command;
use tempfile::TempDir;

/// Exit status, standard output and standard error of a command on this configuration.
fn run(config: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("canarytap.toml");
    let store = format!(
        "[store]\ndirectory = \"{0}\"\nrun_directory = \"{0}\"\n",
        folder.path().display()
    );
    fs::write(&file, format!("{store}{config}")).unwrap();
    let mut command = Command::cargo_bin("canarytap").unwrap();
    let output = command
        .arg("-c")
        .arg(&file)
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

const SINKS: &str = r#"
[[alert]]
name = "good"
kind = "command"
command = ["/bin/cat"]

[[alert]]
name = "bad"
kind = "command"
command = ["/bin/sh", "-c", "echo no paper >&2; exit 1"]
"#;

#[test]
fn without_anybody_to_tell_it_says_so_and_is_a_usage_error() {
    for command in ["run", "test"] {
        let (exit, _, error) = run("", &["alert", command]);
        assert_eq!(exit, Some(2));
        assert!(error.contains("[[alert]]"), "{error}");
    }
}

#[test]
fn each_that_is_told_is_named_and_one_that_fails_says_why() {
    let (exit, shown, _) = run(SINKS, &["alert", "test"]);
    assert_eq!(exit, Some(1));
    assert!(
        shown.contains("ok      good: command to /bin/cat"),
        "{shown}"
    );
    assert!(
        shown.contains("FAILED  bad") && shown.contains("no paper"),
        "{shown}"
    );
    assert_eq!(run(SINKS, &["alert", "test", "good"]).0, Some(0));
    let (exit, _, error) = run(SINKS, &["alert", "test", "god"]);
    assert_eq!(exit, Some(2));
    assert!(error.contains("good, bad"), "{error}");
}

#[test]
fn check_lists_who_is_told() {
    let (exit, shown, _) = run(SINKS, &["check"]);
    assert_eq!(exit, Some(0));
    assert!(
        shown.contains("alert     good: command to /bin/cat"),
        "{shown}"
    );
}

#[test]
fn a_self_test_needs_the_daemon() {
    let (exit, _, error) = run("", &["selftest"]);
    assert_eq!(exit, Some(1));
    assert!(error.contains("sudo systemctl start canarytap"), "{error}");
    assert_eq!(run("", &["selftest", "--timeout", "0"]).0, Some(2));
}
