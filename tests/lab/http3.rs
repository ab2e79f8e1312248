//! A client that asks over HTTP/3, and what runs both sides of it: aioquic.

use std::path::Path;
use std::process::Command;

use crate::https::PORT;
use crate::network::{Lab, text, tools};
use crate::web::{HOST, Visitor};

/// Asks with aioquic's client from outside; each target must be answered.
pub fn ask(lab: &Lab, options: &[&str], targets: &[&str]) {
    let mut client = peer(lab, Visitor::Outside4.host());
    client.arg("ask").arg(Visitor::Outside4.server());
    client.arg(PORT.to_string()).arg(HOST);
    client.args(options).args(targets);
    let answers = text(client.output().unwrap());
    assert!(answers.lines().count() >= targets.len(), "{answers}");
}

/// The script with both sides, by whichever Python has aioquic.
pub fn peer(lab: &Lab, host: &str) -> Command {
    let own = tools().join("aioquic/bin/python");
    let python = if own.exists() { own } else { "python3".into() };
    let mut command = lab.on(host, python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/peers/http3.py"));
    command
}
