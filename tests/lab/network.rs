//! The lab's hosts and cables.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The network, and a folder for everything that its hosts write.
pub struct Lab {
    folder: TempDir,
}

impl Lab {
    /// Lays the network; see the script for names and addresses.
    pub fn build() -> Self {
        let lab = Self {
            folder: TempDir::new().unwrap(),
        };
        lab.lay("all");
        lab
    }

    /// The lab's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A command that runs on a host; `switch` is the one that joins the others.
    pub fn on(&self, host: &str, program: impl AsRef<Path>) -> Command {
        let network = match host {
            "switch" => "/proc/self/ns/net".to_owned(),
            _ => format!("/run/netns/{host}"),
        };
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={network}"))
            .arg(program.as_ref())
            .env("PATH", search_path())
            .env("LD_LIBRARY_PATH", tools().join("libraries"))
            .current_dir(self.folder());
        command
    }

    /// Runs `ip` on the tap: what its owner would do there.
    pub fn on_tap(&self, arguments: &str) -> String {
        let output = self
            .on("tap", "ip")
            .args(arguments.split_whitespace())
            .output();
        text(output.unwrap())
    }

    /// Takes the cable to the tap away; its interface is gone with it.
    pub fn remove_mirror(&self) {
        let output = Command::new("ip")
            .args(["link", "delete", "mirror"])
            .output();
        text(output.unwrap());
    }

    /// Lays the cable to the tap again.
    pub fn lay_mirror(&self) {
        self.lay("mirror");
    }

    /// Frames that the tap's interface sent since it was made.
    pub fn frames_sent_by_tap(&self) -> u64 {
        let [received, sent] = self.frames_at_tap();
        assert!(received > 0, "the mirror is dead");
        sent
    }

    /// Waits until nothing comes to the tap any more: new hosts announce themselves for a while.
    pub fn wait_for_silence(&self) {
        wait_for("a silent wire", || {
            let [before, _] = self.frames_at_tap();
            thread::sleep(SILENCE);
            (self.frames_at_tap()[0] == before).then_some(())
        });
    }

    /// Frames that the tap's interface received and sent since it was made.
    fn frames_at_tap(&self) -> [u64; 2] {
        let shown = self.on_tap("-json -statistics link show eth1");
        let link: serde_json::Value = serde_json::from_str(&shown).unwrap();
        ["rx", "tx"].map(|one| link[0]["stats64"][one]["packets"].as_u64().unwrap())
    }

    /// Lays a part of the network; see the script.
    pub fn lay(&self, part: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/network");
        text(Command::new(script).arg(part).output().unwrap());
    }
}

/// Standard output of a command that must succeed.
pub fn text(output: Output) -> String {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaint}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Looks at `condition` until it gives something; fails after a time that no working part needs.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than hosts pause between their announcements (RFC 4861 §10: 4 s between solicitations).
const SILENCE: Duration = Duration::from_secs(5);

/// Where system programs lie, and what `scripts/deps` has unpacked.
pub fn search_path() -> String {
    let path = env::var("PATH").unwrap_or_default();
    let [system, user] = ["usr/sbin", "usr/bin"].map(|folder| tools().join(folder));
    format!(
        "{path}:/usr/sbin:/sbin:{}:{}",
        system.display(),
        user.display()
    )
}

/// What `scripts/deps` has unpacked.
pub fn tools() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/tools")
}
