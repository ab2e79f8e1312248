//! `watch` in a real terminal: driven by keys under tmux, resized, left; what is on the screen is
//! compared.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may assert in the plainest way"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use canarytap::engine::event::Event;
use canarytap::store::{Incoming, Store, StoreOptions, StoredCanary};
use tempfile::TempDir;

mod common;

use common::{HOSTILE, at, hostile, request, visit};

const BINARY: &str = env!("CARGO_BIN_EXE_canarytap");

#[test]
fn it_fits_into_whatever_the_terminal_has() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let terminal = Terminal::watching(folder.path(), 110, 14);
    terminal.settles(WIDE);
    terminal.resize(80, 24);
    terminal.settles(NARROW);
    terminal.resize(40, 8);
    terminal.settles(SMALL);
    terminal.resize(10, 2);
    terminal.wait("the smallest", |screen| screen.lines().count() <= 2);
    terminal.resize(110, 14);
    terminal.settles(WIDE);
}

#[test]
fn keys_do_what_the_last_line_says_and_the_terminal_is_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let terminal = Terminal::open(80, 24);
    terminal.prepare(folder.path());
    terminal.enter("stty -g >before; echo this was here");
    let before = terminal.shows("\nthis was here\n$\n");
    terminal.enter("./w");

    terminal.shows("2 alerts wait");
    terminal.wait("no cursor", |_| {
        terminal.say("#{alternate_on} #{cursor_flag}") == "1 0"
    });
    terminal.press("Up");
    terminal.press("Up");
    terminal.press("Enter");
    let open = terminal.shows("Esc back");
    for line in [
        "target        /x/login.html?user=tbtest&password=geheim",
        "method        HEAD",
    ] {
        assert!(open.contains(line), "{open}");
    }
    terminal.press("Escape");
    terminal.shows("Enter open");
    terminal.press("a");
    terminal.shows("no alert waits");
    terminal.shows("2 acknowledged");

    terminal.press("q");
    let after = terminal.shows("\n$ ./w\n$\n");
    assert_eq!(after, before.trim_end().to_owned() + " ./w\n$\n");
    assert_eq!(
        terminal.say("#{alternate_on} #{cursor_flag} #{mouse_any_flag}"),
        "0 1 0"
    );
    terminal.enter("stty -g >after; cmp before after && echo as it was");
    terminal.shows("\nas it was\n");
}

#[test]
fn an_event_that_arrives_is_shown_and_nothing_from_the_wire_drives_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = fill(folder.path());
    let terminal = Terminal::watching(folder.path(), 80, 24);
    terminal.shows("2 alerts wait");
    store
        .commit(&[Incoming::Event(hostile(&visit(50), HOSTILE))])
        .unwrap();
    let screen = terminal.shows("3 alerts wait");
    assert!(screen.contains("2013-04-30 17:29:22  =cmd|'"), "{screen}");
    terminal.press("Enter");
    let open = terminal.shows("Esc back");
    assert!(open.contains("\\u{1b}[2J\\u{1b}]0;gone\\u{7}"), "{open}");
    assert!(
        !open.contains('\u{202e}') && !open.contains('\u{200f}'),
        "{open}"
    );
    assert_ne!(terminal.say("#{pane_title}"), "gone");
    // Control and c end it too.
    terminal.press("C-c");
    terminal.wait("the shell", |screen| !screen.contains("q quit"));
    assert_eq!(terminal.say("#{alternate_on}"), "0");
}

#[test]
fn a_terminal_whose_program_is_ended_from_elsewhere_is_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let terminal = Terminal::open(80, 24);
    terminal.prepare(folder.path());
    terminal.enter("stty -g >before; ./w");
    terminal.shows("2 alerts wait");
    let process = terminal.process();
    let ended = Command::new("kill")
        .arg(process.file_name().unwrap())
        .status();
    assert!(ended.unwrap().success());
    terminal.wait("the shell", |screen| !screen.contains("q quit"));
    assert_eq!(terminal.say("#{alternate_on} #{cursor_flag}"), "0 1");
    terminal.enter("echo $?; stty -g >after; cmp before after && echo as it was");
    terminal.shows("\n0\nas it was\n");
}

#[test]
fn it_ends_with_its_terminal() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let terminal = Terminal::watching(folder.path(), 80, 24);
    terminal.shows("2 alerts wait");
    let process = terminal.process();
    drop(terminal);
    let limit = Instant::now() + PATIENCE;
    while process.exists() {
        assert!(Instant::now() < limit, "{} runs on", process.display());
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_copies_of_several_taps_are_looked_at_together() {
    let folder = tempfile::tempdir().unwrap();
    for tap in ["attic", "cellar"] {
        fill(&folder.path().join(tap));
    }
    let terminal = Terminal::watching(folder.path(), 80, 24);
    terminal.shows("4 alerts wait");
    let screen = terminal.shows("\n   4 skype  login link\n");
    assert_eq!(screen.matches("/page/1").count(), 2, "{screen}");
    terminal.press("a");
    terminal.shows("acknowledge on each");
    terminal.press("q");
    terminal.wait("the shell", |screen| !screen.contains("alerts wait"));
}

/// A store with two visits and two requests. Nothing runs that would write to it.
fn fill(folder: &Path) -> Store {
    let mut store = Store::open(folder, StoreOptions::default()).unwrap();
    let canary = |id: &str, channel: &str, label: Option<&str>| StoredCanary {
        id: id.into(),
        url: format!("https://www.example.org/s/{id}"),
        channel: channel.into(),
        label: label.map(str::to_owned),
        token: Some(id.into()),
        control: false,
        created: at(0).to_string(),
    };
    let canaries = [
        canary("k7f3q2m9", "skype", Some("login link")),
        canary("quiet", "mail", None),
    ];
    store.add_canaries(&canaries).unwrap();
    let get = Event {
        method: Some("GET".into()),
        ..visit(4)
    };
    let events = [request(1), visit(2), request(3), get].map(Incoming::Event);
    store.commit(&events).unwrap();
    store
}

const WIDE: &str = "\
○ armed   * alert   2 alerts wait
 last events ──────────────────────────────────────────────────────────────────────┌ canaries ────────────────
2013-04-30 17:28:33  GET      203.0.113.7     www.example.org  /page/1             │   2 skype  login link
2013-04-30 17:28:34  HEAD     203.0.113.7     skype  /x/login.html?user=tbtest&pass│   0 mail  https://www.exa
2013-04-30 17:28:35  GET      203.0.113.7     www.example.org  /page/3             │
2013-04-30 17:28:36  GET      203.0.113.7     skype  /x/login.html?user=tbtest&pass│
                                                                                   │
                                                                                   │
                                                                                   │
                                                                                   │
                                                                                   │
 health ──────────────────────────────────────────────────────────────────────────────────────────────────────
the daemon is not running here
↑↓ choose  Enter open  a acknowledge all  q quit
";
const NARROW: &str = "\
○ armed   * alert   2 alerts wait
 last events ───────────────────────────────────────────────────────────────────
2013-04-30 17:28:33  GET      203.0.113.7     www.example.org  /page/1
2013-04-30 17:28:34  HEAD     203.0.113.7     skype  /x/login.html?user=tbtest&p
2013-04-30 17:28:35  GET      203.0.113.7     www.example.org  /page/3
2013-04-30 17:28:36  GET      203.0.113.7     skype  /x/login.html?user=tbtest&p












 canaries ──────────────────────────────────────────────────────────────────────
   2 skype  login link
   0 mail  https://www.example.org/s/quiet
 health ────────────────────────────────────────────────────────────────────────
the daemon is not running here
↑↓ choose  Enter open  a acknowledge all  q quit
";
const SMALL: &str = "\
○ armed   * alert   2 alerts wait
 last events ───────────────────────────
2013-04-30 17:28:34  HEAD     203.0.113.
2013-04-30 17:28:35  GET      203.0.113.
2013-04-30 17:28:36  GET      203.0.113.
 health ────────────────────────────────
the daemon is not running here
↑↓ choose  Enter open  a acknowledge all
";

/// A shell in a terminal of tmux's, on a server of its own.
struct Terminal {
    folder: TempDir,
}

impl Terminal {
    fn open(columns: u16, lines: u16) -> Self {
        let terminal = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let size = [columns.to_string(), lines.to_string()];
        let folder = terminal.folder.path().to_str().unwrap().to_owned();
        let new = ["-f", "/dev/null", "new-session", "-d", "-c", &folder];
        let size = ["-x", &size[0], "-y", &size[1], "env PS1='$ ' sh"];
        terminal.tmux(&[&new[..], &size].concat());
        // What is typed before the shell asks would be shown twice.
        terminal.shows("$\n");
        terminal
    }

    /// The same with `watch` running on a store.
    fn watching(store: &Path, columns: u16, lines: u16) -> Self {
        let terminal = Self::open(columns, lines);
        terminal.prepare(store);
        terminal.enter("./w");
        terminal
    }

    /// A short name for the command.
    fn prepare(&self, store: &Path) {
        let script = format!(
            "#!/bin/sh\necho $$ >number\nexec {BINARY} watch --data {} -c none\n",
            store.display()
        );
        let path = self.folder.path().join("w");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    /// Where the system shows the command that runs.
    fn process(&self) -> PathBuf {
        let number = fs::read_to_string(self.folder.path().join("number")).unwrap();
        Path::new("/proc").join(number.trim())
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(self.folder.path().join("socket"));
        // Without UTF-8 in its environment it would draw lines otherwise.
        tmux.arg("-u").args(arguments).env("LC_ALL", "C.UTF-8");
        let output = tmux.env_remove("TMUX").output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {complaint}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn enter(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.press("Enter");
    }

    fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    fn resize(&self, columns: u16, lines: u16) {
        let size = [columns.to_string(), lines.to_string()];
        self.tmux(&["resize-window", "-x", &size[0], "-y", &size[1]]);
    }

    fn say(&self, what: &str) -> String {
        self.tmux(&["display-message", "-p", what])
            .trim()
            .to_owned()
    }

    fn screen(&self) -> String {
        let screen = self.tmux(&["capture-pane", "-p"]);
        let lines = screen.lines().map(str::trim_end);
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        text.trim_end().to_owned() + "\n"
    }

    /// The screen becomes this one, whatever a light that blinks shows.
    fn settles(&self, expected: &str) {
        self.wait(expected, |screen| {
            let still = screen.replace("● alert", "* alert");
            still.replace("○ alert", "* alert") == expected
        });
    }

    fn shows(&self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text))
    }

    fn wait(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return screen;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "waited in vain: {what}\n{screen}"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
