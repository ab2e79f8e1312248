//! A server that speaks HTTP/3 and logs its keys, and a client that asks it: aioquic.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::network::{Lab, text, tools};
use crate::proxy::certificate;
use crate::web::{Access, HOST, Visitor};

/// Where they listen.
pub const PORT: u16 = 8443;

/// A running server. It stops when it is dropped.
pub struct Http3 {
    folder: PathBuf,
    process: Child,
}

impl Http3 {
    /// Starts aioquic's server and waits until it listens.
    pub fn aioquic(lab: &Lab, options: &[&str]) -> Self {
        let folder = folder(lab);
        let mut server = peer(lab, "server");
        server.arg("serve").arg(&folder);
        server.arg(Visitor::Outside4.server()).arg(PORT.to_string());
        server.args(options).stdout(Stdio::piped());
        let mut process = server.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
        Self { folder, process }
    }

    /// Where its secrets stand.
    pub fn key_log(&self) -> PathBuf {
        self.folder.join("keys.log")
    }

    /// What the server says it served to whom.
    pub fn served(&self) -> Vec<Access> {
        let log = fs::read_to_string(self.folder.join("access.log")).unwrap_or_default();
        log.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Drop for Http3 {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Asks with aioquic's client from outside; each target must be answered.
pub fn ask(lab: &Lab, options: &[&str], targets: &[&str]) {
    let mut client = peer(lab, Visitor::Outside4.host());
    client.arg("ask").arg(Visitor::Outside4.server());
    client.arg(PORT.to_string()).arg(HOST);
    client.args(options).args(targets);
    let answers = text(client.output().unwrap());
    assert!(answers.lines().count() >= targets.len(), "{answers}");
}

fn folder(lab: &Lab) -> PathBuf {
    let folder = lab.folder().join("http3");
    fs::create_dir_all(&folder).unwrap();
    text(certificate(&folder).output().unwrap());
    folder
}

/// The script with both sides, by whichever Python has aioquic.
fn peer(lab: &Lab, host: &str) -> Command {
    let own = tools().join("aioquic/bin/python");
    let python = if own.exists() { own } else { "python3".into() };
    let mut command = lab.on(host, python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/peers/http3.py"));
    command
}
