//! Runs a test inside private namespaces: user, network, mount and process ids.

use std::any::type_name;
use std::env;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use crate::network::Lab;

/// Is set where a test runs inside.
const INSIDE: &str = "CANARYTAP_LAB_INSIDE";

/// `--user` needs no root; without it root can do the same where user namespaces are off.
/// The process namespace takes everything with it when the test ends, however it ends.
const WAYS: [&[&str]; 2] = [
    &[
        "--user",
        "--map-root-user",
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
    ],
    &["--net", "--mount", "--pid", "--fork", "--kill-child"],
];

/// Runs `body` in a lab of its own. `test` is the test function itself: its name tells the
/// process inside which test to run.
pub fn in_a_lab<T: Fn()>(_test: T, body: impl FnOnce(&Lab)) {
    if env::var_os(INSIDE).is_some() {
        return body(&Lab::build());
    }
    let (_crate, name) = type_name::<T>().split_once("::").unwrap();
    let output = Command::new("unshare")
        .args(way())
        .arg(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    for figure in text.lines().filter(|line| line.starts_with(FIGURE)) {
        // Not by println, which the test runner keeps for failures.
        let line = format!("{figure}\n");
        io::stderr().write_all(line.as_bytes()).unwrap();
    }
    println!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the test failed inside the lab");
    assert!(text.contains("1 passed"), "no test is named {name}");
}

/// Prints something that was measured, whether the test passes or not.
pub fn figure(text: &str) {
    println!("\n{FIGURE}{text}");
}

/// Whether there is time for many rounds (`make test-long`).
pub fn is_long() -> bool {
    env::var_os("CANARYTAP_TEST_LONG").is_some()
}

const FIGURE: &str = "lab: ";

fn way() -> &'static [&'static str] {
    WAYS.into_iter().find(|way| works(way)).expect(
        "the lab needs namespaces: allow unprivileged user namespaces \
         (sysctl kernel.unprivileged_userns_clone=1, or \
         kernel.apparmor_restrict_unprivileged_userns=0), or run as root",
    )
}

fn works(way: &[&str]) -> bool {
    let mut command = Command::new("unshare");
    command.args(way).args(["sh", "-c", MOUNT]);
    command.stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// What a container may forbid though it allows namespaces: their names live there.
const MOUNT: &str = "mount -t tmpfs tmpfs /run";
