//! The tap as it is installed: the daemon under a user of its own, two people who come over SSH,
//! one of them in the group `canarytap`. Nothing of it touches the machine's own accounts.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::network::{Lab, search_path, text, tools, wait_for};
use crate::tap::said_ready;

/// Who is in the group `canarytap`, and who is not.
pub const MEMBER: &str = "pi";
pub const STRANGER: &str = "guest";

/// The machine; its daemon runs between [`start`](Self::start) and its end.
pub struct Installed<'lab> {
    lab: &'lab Lab,
    sshd: Child,
    daemon: Option<Child>,
}

impl<'lab> Installed<'lab> {
    /// Makes users, directories and configuration, and starts sshd.
    pub fn new(lab: &'lab Lab) -> Self {
        let users = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/users");
        let program = env!("CARGO_BIN_EXE_canarytap");
        text(Command::new(users).arg(program).output().unwrap());
        fs::write("/run/etc/canarytap/canarytap.toml", CONFIG).unwrap();
        lab.on_tap("link set lo up");
        Self {
            lab,
            sshd: start_sshd(lab),
            daemon: None,
        }
    }

    /// One whose daemon captures.
    pub fn running(lab: &'lab Lab) -> Self {
        let mut installed = Self::new(lab);
        installed.start();
        installed
    }

    /// Starts the daemon as the systemd unit does, and waits until it is ready.
    pub fn start(&mut self) {
        let ready = Path::new("/run/ready");
        let _none = fs::remove_file(ready); // one of an earlier start may lie there
        let socket = UnixDatagram::bind(ready).unwrap();
        socket.set_nonblocking(true).unwrap();
        fs::set_permissions(ready, fs::Permissions::from_mode(0o666)).unwrap();
        let mut command = self.lab.on("tap", "setpriv");
        command
            .args(AS_THE_UNIT)
            .args(["/run/bin/canarytap", "run"]);
        command.env("NOTIFY_SOCKET", ready).stdin(Stdio::null());
        self.daemon = Some(command.spawn().unwrap());
        wait_for("the daemon is ready", || {
            let ended = self.daemon.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the daemon ended");
            said_ready(&socket).then_some(())
        });
    }

    /// Sends the daemon a signal and waits for its end.
    pub fn end(&mut self, signal: Signal) -> ExitStatus {
        let mut daemon = self.daemon.take().unwrap();
        kill_process(Pid::from_child(&daemon), signal).unwrap();
        daemon.wait().unwrap()
    }

    /// A command line that `user` runs over SSH.
    pub fn ssh(&self, user: &str, line: &str) -> Command {
        let mut ssh = self.ssh_with("/run/ssh/key", user);
        ssh.arg(line);
        ssh
    }

    /// The same with another key, and a command line still to be named.
    pub fn ssh_with(&self, key: &str, user: &str) -> Command {
        let mut ssh = self.lab.on("tap", "ssh");
        ssh.args(["-F", "/dev/null", "-i", key, "-p", "2222"]);
        for option in [
            "BatchMode=yes",
            "IdentityAgent=none",
            "IdentitiesOnly=yes",
            "UserKnownHostsFile=/run/ssh/known_hosts",
        ] {
            ssh.args(["-o", option]);
        }
        ssh.arg(format!("{user}@{}", Ipv4Addr::LOCALHOST));
        ssh.stdin(Stdio::null());
        ssh
    }

    /// How that ended, and what it printed.
    pub fn over_ssh(&self, user: &str, line: &str) -> Output {
        self.ssh(user, line).output().unwrap()
    }

    /// What a member's command printed, which must succeed.
    pub fn member(&self, line: &str) -> String {
        text(self.over_ssh(MEMBER, line))
    }
}

impl Drop for Installed<'_> {
    fn drop(&mut self) {
        for process in self.daemon.iter_mut().chain([&mut self.sshd]) {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

/// sshd on loopback, with a host key and a user's key of its own.
fn start_sshd(lab: &Lab) -> Child {
    let folder = Path::new("/run/ssh");
    fs::create_dir(folder).unwrap();
    for name in ["host_key", "key"] {
        let mut keygen = lab.on("tap", "ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]);
        text(keygen.arg(folder.join(name)).output().unwrap());
    }
    let host_key = fs::read_to_string(folder.join("host_key.pub")).unwrap();
    fs::write(
        folder.join("known_hosts"),
        format!("[127.0.0.1]:2222 {host_key}"),
    )
    .unwrap();
    fs::write(folder.join("sshd_config"), sshd_config()).unwrap();
    let log = File::create(folder.join("log")).unwrap();
    let mut command = lab.on("tap", sshd()); // it wants to be called by its whole path
    command.args(["-D", "-e", "-f", "/run/ssh/sshd_config"]);
    let sshd = command.stderr(log).spawn().unwrap();
    wait_for("sshd listens", || {
        let log = fs::read_to_string("/run/ssh/log").unwrap();
        log.contains("Server listening").then_some(())
    });
    sshd
}

fn sshd() -> PathBuf {
    let path = search_path();
    let mut folders = path.split(':').map(Path::new);
    let found = folders.find_map(|folder| Some(folder.join("sshd")).filter(|sshd| sshd.exists()));
    found.expect("sshd is missing; scripts/deps provides it")
}

/// `StrictModes` would want root as the owner of `/`, who is somebody else where the lab's root is
/// no more than a user. From OpenSSH 9.8 on sshd has helpers, which lie elsewhere where it was only unpacked.
fn sshd_config() -> String {
    let mut config = SSHD.to_owned();
    for (key, name) in [
        ("SshdSessionPath", "sshd-session"),
        ("SshdAuthPath", "sshd-auth"),
    ] {
        let helper = tools().join("usr/lib/openssh").join(name);
        if helper.exists() {
            config.push_str(&format!("{key} {}\n", helper.display()));
        }
    }
    config
}

const SSHD: &str = "
Port 2222
ListenAddress 127.0.0.1
HostKey /run/ssh/host_key
AuthorizedKeysFile /run/ssh/key.pub
PidFile none
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv PATH=/run/bin:/usr/bin:/bin
";

/// User, group and capabilities of `systemd/canarytap.service`, and its umask.
const AS_THE_UNIT: [&str; 10] = [
    "--reuid=canarytap",
    "--regid=canarytap",
    "--init-groups",
    "--inh-caps=+net_raw",
    "--ambient-caps=+net_raw",
    "--no-new-privs",
    "sh",
    "-c",
    "umask 0007 && exec \"$@\"",
    "sh",
];

const CONFIG: &str = r#"
[capture]
interface = "eth1"
ports = [80]

[home]
networks = ["192.168.1.0/24"]

[[host]]
name = "www.example.org"

[[canary]]
url = "https://www.example.org/x/login.html?user=tbtest&password=geheim"
channel = "skype"

[led]
driver = "none"
"#;
