//! Whether the clock is synchronised, asked of the kernel by way of Debian's own message bus and
//! systemd-timedated. The kernel's word is put into systemd-timedated's mouth, since setting the
//! kernel's would set it for this whole machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::clocks::Clock;
use crate::namespaces::in_a_lab;
use crate::network::{Lab, text, wait_for};
use crate::tap::Tap;
use crate::web::{CANARY, HOST, Visitor, Web, url, visit};

#[test]
fn the_kernel_is_asked_whether_the_clock_is_synchronised_whoever_keeps_it() {
    in_a_lab(
        the_kernel_is_asked_whether_the_clock_is_synchronised_whoever_keeps_it,
        |lab| {
            let _web = Web::start(lab);
            let mut tap = Tap::new(lab);
            assert_eq!(clock_point(&tap)["state"], "not_looked_at");

            let bus = Bus::start(lab);
            let timedated = bus.timedated(&[]);
            let real = kernel_says_it_is_synchronised();
            let expected = if real { "ok" } else { "warning" };
            let point = clock_point(&tap);
            assert_eq!(point["state"], expected, "{point}");
            drop(timedated);

            let kernel = Kernel::new(lab);
            kernel.synchronised(false);
            let _timedated = bus.timedated(&[("LD_PRELOAD", &kernel.library)]);
            let clock = Clock::set_by(&tap, -40 * 24 * 3600);
            tap.start_by(|command| clock.give_to(command));
            assert_eq!(clock_point(&tap)["state"], "warning");
            visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
            let event = wait_for("the visit is in the log", || tap.log(&["--alerts"]).pop());
            assert_eq!(event["synchronised"], false, "{event}");
            assert_eq!(event["flags"], serde_json::json!(["clock_unsynced"]));

            kernel.synchronised(true);
            clock.set(0);
            let dated = wait_for("the visit has its true time", || {
                let event = tap.log(&["--alerts"]).pop()?;
                event["clock_said"].is_string().then_some(event)
            });
            assert_eq!(dated["clock_said"], event["time"]);
            wait_for("the daemon knows that the clock is synchronised", || {
                tap.messages()
                    .contains("; it is synchronised")
                    .then_some(())
            });
            let point = clock_point(&tap);
            assert_eq!(point["state"], "ok", "{point}");
            assert!(point["found"].as_str().unwrap().starts_with("the kernel"));
            let stopped = tap.stop();
            assert!(stopped.success(), "{stopped}\n{}", tap.messages());
        },
    );
}

/// What `doctor` says of the clock.
fn clock_point(tap: &Tap<'_>) -> Value {
    let mut doctor = tap.command(&["doctor", "--seconds", "1", "--format", "jsonl"]);
    let output = doctor.output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|point| point["point"] == "clock")
        .unwrap()
}

/// As systemd-timedated judges it, by the same call.
fn kernel_says_it_is_synchronised() -> bool {
    let script = "import ctypes\n\
        timex = (ctypes.c_long * 40)()\n\
        assert ctypes.CDLL(None).adjtimex(timex) >= 0\n\
        print(timex[3] < 16000000)\n";
    let output = Command::new("/usr/bin/python3")
        .args(["-c", script])
        .output();
    text(output.unwrap()).trim() == "True"
}

/// A message bus as the system's, with this user alone on it.
struct Bus<'lab> {
    lab: &'lab Lab,
    _daemon: Running,
}

impl<'lab> Bus<'lab> {
    fn start(lab: &'lab Lab) -> Self {
        let config = lab.folder().join("bus.conf");
        fs::create_dir_all("/run/dbus").unwrap(); // the lab has a /run of its own
        fs::write(&config, BUS).unwrap();
        let mut daemon = lab.on("tap", "dbus-daemon");
        daemon.arg("--nofork").arg("--config-file").arg(config);
        let daemon = Running(daemon.stdin(Stdio::null()).spawn().unwrap());
        wait_for("the message bus", || {
            Path::new("/run/dbus/system_bus_socket")
                .exists()
                .then_some(())
        });
        Self {
            lab,
            _daemon: daemon,
        }
    }

    /// systemd-timedated, once it answers.
    fn timedated(&self, environment: &[(&str, &PathBuf)]) -> Running {
        let mut command = self.lab.on("tap", "/usr/lib/systemd/systemd-timedated");
        command.envs(environment.iter().copied());
        let timedated = Running(command.stdin(Stdio::null()).spawn().unwrap());
        wait_for("systemd-timedated", || {
            let mut asked = self.lab.on("tap", "busctl");
            let asked = asked.args(QUESTION).output().unwrap();
            asked.status.success().then_some(())
        });
        timedated
    }
}

const BUS: &str = r#"<busconfig>
    <type>system</type>
    <listen>unix:path=/run/dbus/system_bus_socket</listen>
    <auth>EXTERNAL</auth>
    <policy context="default">
        <allow send_destination="*" eavesdrop="true"/>
        <allow eavesdrop="true"/>
        <allow own="*"/>
    </policy>
</busconfig>
"#;

const QUESTION: [&str; 5] = [
    "get-property",
    "org.freedesktop.timedate1",
    "/org/freedesktop/timedate1",
    "org.freedesktop.timedate1",
    "NTPSynchronized",
];

/// Stops when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What adjtimex(2) says to a program with this library.
struct Kernel {
    library: PathBuf,
    word: PathBuf,
}

impl Kernel {
    fn new(lab: &Lab) -> Self {
        let (source, library) = (
            lab.folder().join("kernel.c"),
            lab.folder().join("kernel.so"),
        );
        let word = lab.folder().join("synchronised");
        fs::write(&source, KERNEL.replace("WORD", word.to_str().unwrap())).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-o"])
            .args([&library, &source]);
        text(cc.output().unwrap());
        Self { library, word }
    }

    fn synchronised(&self, is_so: bool) {
        if is_so {
            fs::write(&self.word, "").unwrap();
        }
        assert_eq!(self.word.exists(), is_so);
    }
}

const KERNEL: &str = r#"
#include <string.h>
#include <sys/timex.h>
#include <unistd.h>
int adjtimex(struct timex *timex) {
    memset(timex, 0, sizeof *timex);
    timex->maxerror = access("WORD", F_OK) == 0 ? 500000 : 16000000;
    return 0;
}
"#;
