//! Runs a test inside private namespaces: user, network, mount and process ids.

use std::any::type_name;
use std::env;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use crate::network::Lab;

/// Is set where a test runs inside.
const INSIDE: &str = "CANARYTAP_LAB_INSIDE";

/// The process namespace takes everything with it when the test ends, however it ends.
const PRIVATE: [&str; 5] = ["--net", "--mount", "--pid", "--fork", "--kill-child"];

/// What a lab needs of the machine.
struct Needs {
    /// Ways to have it, of which the first that works is taken. By the last, which adds nothing,
    /// root can do the same where user namespaces are off.
    ways: [&'static [&'static str]; 2],
    /// What must work inside.
    trial: &'static str,
    /// What to do when none does.
    cure: &'static str,
}

/// Namespaces, in which the caller is root and nobody else exists.
const ONE_USER: Needs = Needs {
    ways: [&["--user", "--map-root-user"], &[]],
    trial: MOUNT,
    cure: "the lab needs namespaces: allow unprivileged user namespaces \
           (sysctl kernel.unprivileged_userns_clone=1, or \
           kernel.apparmor_restrict_unprivileged_userns=0), or run as root",
};

/// The same with other users beside.
const SEVERAL_USERS: Needs = Needs {
    ways: [&["--user", "--map-root-user", "--map-auto"], &[]],
    trial: "mount -t tmpfs tmpfs /run && \
            setpriv --reuid=64901 --regid=64901 --clear-groups true",
    cure: "this lab has several users: allow unprivileged user namespaces, install uidmap and \
           give yourself a range of users in /etc/subuid and /etc/subgid (adduser does), or run \
           as root",
};

/// Runs `body` in a lab of its own. `test` is the test function itself: its name tells the
/// process inside which test to run.
pub fn in_a_lab<T: Fn()>(test: T, body: impl FnOnce(&Lab)) {
    run(test, body, &ONE_USER);
}

/// The same in a lab where processes may become other users.
pub fn in_a_lab_of_several_users<T: Fn()>(test: T, body: impl FnOnce(&Lab)) {
    run(test, body, &SEVERAL_USERS);
}

fn run<T: Fn()>(_test: T, body: impl FnOnce(&Lab), needs: &Needs) {
    if env::var_os(INSIDE).is_some() {
        return body(&Lab::build());
    }
    let (_crate, name) = type_name::<T>().split_once("::").unwrap();
    let output = Command::new("unshare")
        .args(needs.way())
        .args(PRIVATE)
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

impl Needs {
    fn way(&self) -> &'static [&'static str] {
        let mut ways = self.ways.into_iter();
        ways.find(|way| self.works_by(way)).expect(self.cure)
    }

    fn works_by(&self, way: &[&str]) -> bool {
        let mut command = Command::new("unshare");
        command.args(way).args(PRIVATE);
        command.args(["sh", "-c", self.trial]);
        command.stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

/// What a container may forbid though it allows namespaces: their names live there.
const MOUNT: &str = "mount -t tmpfs tmpfs /run";
