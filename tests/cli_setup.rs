//! `setup`: by flags, as scripts use it, and at a terminal, as people do.

#![cfg(feature = "daemon")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests may assert in the plainest way"
)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use canarytap::config::Config;
use tempfile::TempDir;

const EXAMPLE: &str = include_str!("../config/canarytap.toml");
/// All that has no default, and an interface that every machine has.
const TOLD: [&str; 6] = [
    "--interface",
    "any",
    "--host",
    "www.example.org",
    "--channel",
    "signal",
];

struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("canarytap.toml")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn config(&self) -> Config {
        Config::parse(&self.text(), Path::new("written")).unwrap()
    }

    /// Without anybody at a terminal.
    fn setup(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_canarytap"));
        command.arg("setup").arg("-c").arg(self.path());
        command.arg("--data").arg(self.folder.path().join("data"));
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// At a terminal, with these lines written on it; gives what it showed.
    fn at_a_terminal(&self, arguments: &str, lines: &[&str]) -> (Option<i32>, String) {
        let line = format!(
            "{} setup -c {} --data {} {arguments}",
            env!("CARGO_BIN_EXE_canarytap"),
            self.path().display(),
            self.folder.path().join("data").display()
        );
        let mut terminal = Command::new("script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script of bsdutils");
        let mut typed = terminal.stdin.take().unwrap();
        for line in lines {
            writeln!(typed, "{line}").unwrap();
        }
        let output = terminal.wait_with_output().unwrap(); // `typed` stays open: nobody left
        drop(typed);
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), shown)
    }
}

fn printed(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn flags_alone_make_a_configuration_that_can_run_and_print_the_first_link() {
    let machine = Machine::new();
    let output = machine.setup(&[&TOLD[..], &["--alert-pin", "5", "--yes"]].concat());
    let (out, err) = printed(&output);
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(
        out.contains("+interface = \"any\"") && out.contains("-#interface"),
        "{out}"
    );
    let config = machine.config();
    assert!(config.missing().is_empty());
    let canary = config.canaries.first().unwrap();
    assert_eq!(canary.channel, "signal");
    assert_eq!(out.lines().last(), Some(canary.url.as_str()));
    assert_eq!(config.led.lights.first().unwrap().pin, 5);
    assert!(err.contains("systemctl enable --now canarytap"), "{err}");
}

#[test]
fn the_same_once_more_changes_nothing_and_makes_no_second_link() {
    let machine = Machine::new();
    machine.setup(&[&TOLD[..], &["--yes"]].concat());
    let first = machine.text();
    let output = machine.setup(&[&TOLD[..], &["--yes"]].concat());
    assert!(printed(&output).1.contains("Nothing is to be changed"));
    assert_eq!(machine.text(), first);
}

#[test]
fn without_yes_a_script_sees_the_changes_and_nothing_is_written() {
    let machine = Machine::new();
    let output = machine.setup(&TOLD);
    let (out, err) = printed(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        out.contains("+name = \"www.example.org\"") && err.contains("--yes"),
        "{out}{err}"
    );
    assert!(!machine.path().exists());
}

#[test]
fn what_is_missing_is_named_by_its_flag() {
    let machine = Machine::new();
    let output = machine.setup(&["--interface", "any", "--yes"]);
    let (_, err) = printed(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(err.contains("--host is missing"), "{err}");
    let output = machine.setup(&["--interface", "eth987", "--host", "a.example", "--yes"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(printed(&output).1.contains("no such interface"));
}

#[test]
fn an_existing_file_is_edited_and_keeps_what_its_owner_wrote() {
    let machine = Machine::new();
    let own = "# the cellar\n[capture]\nports = [8080] # not 80\n";
    fs::write(machine.path(), own).unwrap();
    let output = machine.setup(&[&TOLD[..], &["--yes"]].concat());
    assert!(output.status.success(), "{}", printed(&output).1);
    assert!(
        machine
            .text()
            .starts_with("# the cellar\n[capture]\nports = [8080] # not 80\n")
    );
    assert!(
        machine.config().led.lights.is_empty(),
        "no light was asked for"
    );
}

#[test]
fn a_file_that_is_not_valid_is_not_touched() {
    let machine = Machine::new();
    fs::write(machine.path(), "[capture]\nports = 0\n").unwrap();
    let output = machine.setup(&[&TOLD[..], &["--yes"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(
        printed(&output).1.contains("ports"),
        "{}",
        printed(&output).1
    );
    assert_eq!(machine.text(), "[capture]\nports = 0\n");
}

#[test]
fn a_place_that_cannot_be_written_is_named_before_any_question() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_canarytap"));
    command
        .args(["setup", "-c", "/proc/canarytap.toml"])
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let (out, err) = printed(&output);
    assert!(
        err.contains("/proc/canarytap.toml cannot be written") && out.is_empty(),
        "{err}"
    );
}

#[test]
fn at_a_terminal_everything_is_asked_and_a_wrong_answer_once_more() {
    let machine = Machine::new();
    let answers = [
        "any",
        "https://www.example.org/", // no host name
        "www.example.org",
        "letter to Anna",
        "28", // no pin
        "5",
        "",     // armed: as suggested
        "none", // no activity light
        "",     // button: as suggested
        "no",   // do not blink
        "",     // write
        "no",   // do not wait
    ];
    let (status, shown) = machine.at_a_terminal("--count 1", &answers);
    assert_eq!(status, Some(0), "{shown}");
    let config = machine.config();
    let pins: Vec<u8> = config.led.lights.iter().map(|light| light.pin).collect();
    assert_eq!(pins, [5, 22], "{shown}");
    assert_eq!(config.canaries.first().unwrap().channel, "letter to Anna");
    for word in [
        "frames in 1 s",
        "a pin is 0 to 27",
        "[22]",
        "+pin = 5",
        "Wait for a first visit?",
    ] {
        assert!(shown.contains(word), "{word} is missing:\n{shown}");
    }
}

#[test]
fn who_says_no_at_the_end_has_changed_nothing() {
    let machine = Machine::new();
    let told = "--interface any --host www.example.org --channel none --alert-pin 5 --armed-pin 6 \
                --activity-pin none --button-pin none";
    let (status, shown) = machine.at_a_terminal(told, &["no", "no"]);
    assert_eq!(status, Some(1), "{shown}");
    assert!(shown.contains("Nothing was written"), "{shown}");
    assert!(!machine.path().exists());
}

#[test]
fn the_light_blinks_before_anything_is_written() {
    let machine = Machine::new();
    let silent = EXAMPLE.replace("driver = \"auto\"", "driver = \"none\"");
    fs::write(machine.path(), silent).unwrap();
    let record = machine.folder.path().join("lights");
    let mut command = machine.command(&[&TOLD[..], &["--blink", "--yes"]].concat());
    let output = command
        .env("CANARYTAP_LED_RECORD", &record)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", printed(&output).1);
    let levels = fs::read_to_string(&record).unwrap();
    assert!(
        levels.lines().filter(|line| line.contains("alert")).count() >= 10,
        "{levels}"
    );
}
