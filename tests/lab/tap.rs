//! The tap: `canarytap run` on the mirror port, and the commands that its owner uses.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::SystemTime;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::lights::{Change, Recording};
use crate::network::{Lab, text, wait_for};

/// A configured tap; the daemon runs between [`start`](Self::start) and its end.
pub struct Tap<'lab> {
    lab: &'lab Lab,
    host: &'static str,
    folder: PathBuf,
    daemon: Option<Child>,
}

impl<'lab> Tap<'lab> {
    /// Writes a configuration; nothing runs yet.
    pub fn new(lab: &'lab Lab) -> Self {
        Self::configured(lab, str::to_owned)
    }

    /// The same with a changed configuration.
    pub fn configured(lab: &'lab Lab, change: impl FnOnce(&str) -> String) -> Self {
        let folder = lab.folder().join("tap");
        fs::create_dir(&folder).unwrap();
        let config = change(&CONFIG.replace("FOLDER", folder.to_str().unwrap()));
        fs::write(folder.join("canarytap.toml"), config).unwrap();
        fs::create_dir(folder.join("data")).unwrap();
        fs::create_dir(folder.join("run")).unwrap();
        Self {
            lab,
            host: "tap",
            folder,
            daemon: None,
        }
    }

    /// The same on another host.
    pub fn at(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }

    /// A tap whose daemon captures.
    pub fn running(lab: &'lab Lab) -> Self {
        let mut tap = Self::new(lab);
        tap.start();
        tap
    }

    /// Starts the daemon and waits until it says, as to systemd, that it is ready.
    pub fn start(&mut self) {
        self.start_by(|_| ());
    }

    /// The same with something more that the process is given.
    pub fn start_by(&mut self, give: impl FnOnce(&mut Command)) {
        let ready = self.folder.join("ready");
        // One of an earlier start may lie there.
        let _none = fs::remove_file(&ready);
        let ready_socket = UnixDatagram::bind(&ready).unwrap();
        ready_socket.set_nonblocking(true).unwrap();
        let messages = File::options()
            .create(true)
            .append(true)
            .open(self.messages_path())
            .unwrap();
        let mut command = self.command(&["run"]);
        command
            .env("CANARYTAP_LED_RECORD", self.folder.join("lights"))
            .env("NOTIFY_SOCKET", &ready)
            .stdin(Stdio::null())
            .stderr(messages);
        give(&mut command);
        self.daemon = Some(command.spawn().unwrap());
        wait_for("the daemon is ready", || {
            let ended = self.daemon.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "{}", self.messages());
            said_ready(&ready_socket).then_some(())
        });
    }

    /// Changes the configuration of a daemon that does not run.
    pub fn configure(&self, change: impl FnOnce(&str) -> String) {
        let path = self.folder.join("canarytap.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, change(&text)).unwrap();
    }

    /// Changes the configuration, which the daemon reads again when it is told to.
    pub fn rewrite(&self, change: impl FnOnce(&str) -> String) {
        self.configure(change);
        self.signal(Signal::HUP);
    }

    /// Asks the daemon to stop and waits for its end.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Kills the daemon where it stands.
    pub fn kill(&mut self) {
        let daemon = self.daemon.as_mut().unwrap();
        daemon.kill().unwrap();
        self.wait();
    }

    pub fn signal(&self, signal: Signal) {
        let daemon = Pid::from_child(self.daemon.as_ref().unwrap());
        kill_process(daemon, signal).unwrap();
    }

    /// Waits for the daemon's end.
    pub fn wait(&mut self) -> ExitStatus {
        self.daemon.take().unwrap().wait().unwrap()
    }

    /// A command of the program, run on the tap.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.lab.on(self.host, env!("CARGO_BIN_EXE_canarytap"));
        command
            .arg("-c")
            .arg(self.folder.join("canarytap.toml"))
            .args(arguments);
        command
    }

    /// The event log.
    pub fn log(&self, arguments: &[&str]) -> Vec<Value> {
        let mut command = self.command(&["log", "--format", "jsonl"]);
        let lines = text(command.args(arguments).output().unwrap());
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Waits until the log holds `count` events, which may be some seconds late.
    pub fn wait_for_events(&self, count: usize) -> Vec<Value> {
        wait_for("events in the log", || {
            let events = self.log(&[]);
            (events.len() >= count).then_some(events)
        })
    }

    /// Acknowledges all alerts.
    pub fn acknowledge(&self) {
        text(self.command(&["ack", "--all"]).output().unwrap());
    }

    /// Exit status of `status`, and what it prints.
    pub fn status(&self) -> (Option<i32>, String) {
        let output = self.command(&["status"]).output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), shown)
    }

    /// A counter, as `status` shows it, which may lag behind some seconds.
    pub fn counter(&self, name: &str) -> u64 {
        let output = self.command(&["status", "--format", "jsonl"]).output();
        let status: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
        status["counters"][name].as_u64().unwrap()
    }

    /// Changes of the lights, from the first on.
    pub fn lights(&self) -> Vec<Change> {
        Recording::read(&self.folder.join("lights"))
    }

    /// What the daemon said on standard error.
    pub fn messages(&self) -> String {
        fs::read_to_string(self.messages_path()).unwrap_or_default()
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.folder.join("data/events.db")
    }

    fn messages_path(&self) -> PathBuf {
        self.folder.join("messages")
    }
}

impl Drop for Tap<'_> {
    fn drop(&mut self) {
        let messages = self.messages();
        if let Some(daemon) = &mut self.daemon {
            println!("{messages}");
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }
}

/// Whether a daemon has said, as to systemd, that it is ready.
pub fn said_ready(socket: &UnixDatagram) -> bool {
    let mut state = [0; 4096];
    match socket.recv(&mut state) {
        Ok(length) => String::from_utf8_lossy(&state[..length]).contains("READY=1"),
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        Err(error) => panic!("{error}"),
    }
}

/// Nanoseconds since 1970, as lights and captures count them.
pub fn now() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

/// The time of an event, in nanoseconds since 1970.
pub fn time_of(event: &Value) -> u64 {
    let time: jiff::Timestamp = event["time"].as_str().unwrap().parse().unwrap();
    u64::try_from(time.as_nanosecond()).unwrap()
}

const CONFIG: &str = r#"
[capture]
interface = "eth1"
ports = [80, 8080]

[home]
networks = ["192.168.1.0/24", "fd00:1::/64"]

[store]
directory = "FOLDER/data"
run_directory = "FOLDER/run"

[[host]]
name = "www.example.org"

[[canary]]
url = "https://www.example.org/x/login.html?user=tbtest&password=geheim"
channel = "skype"
label = "login link"

[[canary]]
url = "https://www.example.org/k/kill.html"
channel = "mail"

[led]
driver = "none"
"#;
