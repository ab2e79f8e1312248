//! Alerts that leave the box: Mosquitto, rsyslog, an SMTP server, a web server and a program are
//! told of each, whatever goes down meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::namespaces::in_a_lab;
use crate::network::{Lab, text, tools, wait_for};
use crate::tap::Tap;
use crate::web::{CANARY, HOST, Load, Visitor, Web, url, visit};

#[test]
fn each_of_a_thousand_alerts_reaches_every_sink_in_order_though_all_of_them_go_down() {
    in_a_lab(
        each_of_a_thousand_alerts_reaches_every_sink_in_order_though_all_of_them_go_down,
        |lab| {
            let (_web, place) = (Web::start(lab), Place::new(lab));
            let mut tap = Tap::configured(lab, |config| format!("{config}{}", place.alerts()));
            tap.start();
            let mut servers = Servers::start(lab, &place);
            let mut out = Out::start(&tap);
            wait_for("somebody who tells", || {
                tap.status().1.contains("alert to  log").then_some(())
            });
            visit(lab, Visitor::Outside4, &[&url(HOST, CANARY)]);
            wait_for("a first alert everywhere", || {
                place.all_have(1).then_some(())
            });

            let visitors = Load::start(crowd(lab));
            wait_for("some alerts", || {
                (place.seqs("program").len() > 150).then_some(())
            });
            drop(servers);
            // While everybody is away, who tells them is killed, too.
            drop(out);
            out = Out::start(&tap);
            thread::sleep(Duration::from_secs(4));
            let shown = wait_for("a sink that fails", || {
                let (_, shown) = tap.status();
                shown.contains("alert_failing").then_some(shown)
            });
            assert!(shown.contains("alert to  broker: mqtt, "), "{shown}");
            servers = Servers::start(lab, &place);

            wait_while_it_grows("alerts", 1001, || tap.log(&["--alerts"]).len());
            let told: Vec<u64> = tap.log(&["--alerts"]).iter().map(seq_of).collect();
            for sink in SINKS {
                wait_while_it_grows(sink, told.len(), || place.seqs(sink).len());
                // Some more may have come since.
                assert_eq!(place.seqs(sink)[..told.len()], told, "{sink}");
            }
            println!("told {} alerts to each of {SINKS:?}", told.len());
            drop((visitors, out, servers));
        },
    );
}

#[test]
fn each_sink_is_tried_and_what_is_wrong_with_it_is_named() {
    in_a_lab(
        each_sink_is_tried_and_what_is_wrong_with_it_is_named,
        |lab| {
            let place = Place::new(lab);
            let tap = Tap::configured(lab, |config| format!("{config}{}", place.alerts()));
            let try_all = || {
                let output = tap.command(&["alert", "test"]).output().unwrap();
                let shown = String::from_utf8_lossy(&output.stdout).into_owned();
                (output.status.code(), shown)
            };
            let (exit, shown) = try_all();
            assert_eq!(exit, Some(1));
            assert_eq!(shown.matches("FAILED").count(), 4, "{shown}");
            let servers = Servers::start(lab, &place);
            let (exit, shown) = try_all();
            assert_eq!(
                (exit, shown.matches("ok      ").count()),
                (Some(0), 5),
                "{shown}"
            );
            assert!(
                fs::read_to_string(place.file("web"))
                    .unwrap()
                    .contains("Bearer hush")
            );

            // A certificate that nobody believes, and a secret that everybody reads.
            let token = place.file("token");
            fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
            fs::copy(place.file("other.crt"), place.file("ca.crt")).unwrap();
            let (exit, shown) = try_all();
            assert_eq!(exit, Some(1));
            assert!(shown.contains("chmod o-rwx"), "{shown}");
            assert!(
                shown.contains("UnknownIssuer") || shown.contains("certificate"),
                "{shown}"
            );
            drop(servers);
        },
    );
}

#[test]
fn mail_and_syslog_are_taken_in_every_way_that_can_be_named() {
    in_a_lab(
        mail_and_syslog_are_taken_in_every_way_that_can_be_named,
        |lab| {
            let place = Place::new(lab);
            place.name_the_loopback_twice();
            let tap = Tap::configured(lab, |config| format!("{config}{}", place.filled(WAYS)));
            let servers = Servers::of_every_way(lab, &place);
            // Whoever is slow today, or not quite there yet, is tried again.
            let taken_by = |count: usize| {
                wait_for("so many to take it, and no more", || {
                    let output = tap.command(&["alert", "test"]).output().unwrap();
                    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
                    let taken = shown.matches("ok      ").count();
                    println!("{shown}");
                    (taken == count).then_some(())
                });
            };
            taken_by(4);
            for (kept, words) in [
                ("starttls", "anna@example.org"),
                ("smtps", "anna@example.org"),
                ("udp", " canarytap "),
                ("tls", " canarytap "),
            ] {
                wait_for(kept, || {
                    let text = fs::read_to_string(place.file(kept)).unwrap_or_default();
                    if !text.contains(words) {
                        // A datagram goes nowhere while nobody listens yet.
                        tap.command(&["alert", "test"]).output().unwrap();
                    }
                    text.contains(words).then_some(())
                });
            }

            // Neither a stranger's certificate nor a password that is wrong is got over.
            fs::write(place.file("token"), "wrong\n").unwrap();
            taken_by(2);
            fs::copy(place.file("other.crt"), place.file("believed.crt")).unwrap();
            taken_by(1);
            drop(servers);
        },
    );
}

const SINKS: [&str; 5] = ["program", "web", "mail", "broker", "log"];

/// A hundred and fifty people who each open the link seven times.
fn crowd(lab: &Lab) -> Command {
    let mut crowd = lab.on("outside", "sh");
    let page = format!("{}&n=[1-7]", url(HOST, CANARY));
    crowd.arg("-c").arg(format!(
        "for host in $(seq 100 249); do curl --silent --output /dev/null --max-time 20 \
         --interface 203.0.113.$host --connect-to ::192.168.1.10: '{page}'; done"
    ));
    crowd
}

/// Waits for so many of something, however slow the machine is: as long as one more comes now and then.
fn wait_while_it_grows(what: &str, enough: usize, count: impl Fn() -> usize) {
    let mut known = count();
    while known < enough {
        known = wait_for(what, || Some(count()).filter(|now| *now > known));
    }
}

fn seq_of(event: &Value) -> u64 {
    event["seq"].as_u64().unwrap()
}

/// Files and ports of the servers, all on the tap's loopback.
struct Place {
    folder: PathBuf,
}

impl Place {
    fn new(lab: &Lab) -> Self {
        lab.on_tap("link set lo up");
        let folder = lab.folder().join("sinks");
        fs::create_dir(&folder).unwrap();
        let place = Self { folder };
        place.certificate("ca");
        place.certificate("other");
        fs::write(place.file("token"), "hush\n").unwrap();
        fs::set_permissions(place.file("token"), fs::Permissions::from_mode(0o600)).unwrap();
        place
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// As on most machines: first an address on which no server here listens.
    fn name_the_loopback_twice(&self) {
        let hosts = self.file("hosts");
        fs::write(&hosts, "::1 localhost\n127.0.0.1 localhost\n").unwrap();
        let mut mount = Command::new("mount");
        mount.arg("--bind").arg(hosts).arg("/etc/hosts");
        text(mount.output().unwrap());
    }

    /// One that signs itself, for the loopback address.
    fn certificate(&self, name: &str) {
        let mut openssl = Command::new("openssl");
        openssl
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
            ])
            .args(["-nodes", "-days", "30", "-subj", "/CN=tap"])
            .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(self.file(&format!("{name}.key")))
            .arg("-out")
            .arg(self.file(&format!("{name}.crt")));
        text(openssl.output().unwrap());
    }

    fn alerts(&self) -> String {
        self.filled(ALERTS)
    }

    fn filled(&self, text: &str) -> String {
        text.replace("FOLDER", self.folder.to_str().unwrap())
    }

    /// The numbers that a sink has, in the order in which each came first.
    fn seqs(&self, sink: &str) -> Vec<u64> {
        let lines = fs::read_to_string(self.file(sink)).unwrap_or_default();
        let mut known = BTreeSet::new();
        let whole = lines
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let found = whole.filter_map(|line| seq_in(sink, line));
        found.filter(|seq| *seq > 0 && known.insert(*seq)).collect()
    }

    fn all_have(&self, count: usize) -> bool {
        SINKS.iter().all(|sink| self.seqs(sink).len() >= count)
    }
}

/// The number in a line that a sink has kept; none in what is no event.
fn seq_in(sink: &str, line: &str) -> Option<u64> {
    let event: Value = match sink {
        "web" => serde_json::from_str(parsed(line)["body"].as_str()?).ok()?,
        // Quoted-printable or not, the subject's number stands in the Message-ID.
        "mail" => {
            let mail = parsed(line);
            let id = mail["mail"].as_str()?.split("Message-ID: <").nth(1)?;
            return id.split('.').next()?.parse().ok();
        }
        "log" => {
            let seq = line.split("seq=\"").nth(1)?;
            return seq.split('"').next()?.parse().ok();
        }
        _ => parsed(line),
    };
    event["seq"].as_u64()
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// The folders in which a collector's modules lie, with `:` between them: some may be the machine's
/// and others brought by scripts/deps.
pub fn modules(name: &str) -> String {
    let libraries = [tools().join("usr/lib"), PathBuf::from("/usr/lib")];
    let folders = libraries.iter().flat_map(fs::read_dir).flatten().flatten();
    let of_each_machine: Vec<PathBuf> = folders.map(|entry| entry.path()).collect();
    let own = libraries.iter().chain(&of_each_machine);
    let own = own.map(|folder| folder.join(name));
    // syslog-ng has a folder of its version.
    let versions = own.clone().flat_map(fs::read_dir).flatten().flatten();
    let versions = versions.map(|entry| entry.path());
    let found: Vec<String> = own
        .chain(versions)
        .filter(|path| path.is_dir())
        .map(|path| path.to_str().unwrap().to_owned())
        .collect();
    found.join(":")
}

/// Who tells of alerts; killed when it is dropped.
pub struct Out(Child);

impl Out {
    pub fn start(tap: &Tap) -> Self {
        Self(tap.command(&["alert", "run"]).spawn().unwrap())
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The servers; told to end when they are dropped.
struct Servers(Vec<Child>);

impl Servers {
    fn start(lab: &Lab, place: &Place) -> Self {
        let servers = vec![
            Self::catcher(lab, place, "web", "8443"),
            Self::catcher(lab, place, "mail", "2525"),
            Self::mosquitto(lab, place),
            Self::subscriber(lab, place),
            Self::rsyslog(lab, place, RSYSLOG),
        ];
        Self::listening(lab, servers, &[8443, 2525, 8883, 6010])
    }

    /// Those of [`WAYS`].
    fn of_every_way(lab: &Lab, place: &Place) -> Self {
        fs::copy(place.file("ca.crt"), place.file("believed.crt")).unwrap();
        let servers = vec![
            Self::catcher(lab, place, "starttls", "2587"),
            Self::catcher(lab, place, "smtps", "2465"),
            Self::rsyslog(lab, place, RSYSLOG_WAYS),
        ];
        Self::listening(lab, servers, &[2587, 2465, 6514])
    }

    fn catcher(lab: &Lab, place: &Place, kind: &str, port: &str) -> Child {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/catchers.py");
        // Debian's own, which has the SMTP server.
        let mut python = lab.on("tap", "/usr/bin/python3");
        python.arg(script).args([kind, port]).arg(place.file(kind));
        python.arg(place.file("ca.crt")).arg(place.file("ca.key"));
        python.spawn().unwrap()
    }

    fn listening(lab: &Lab, servers: Vec<Child>, ports: &[u16]) -> Self {
        for port in ports {
            wait_for("a server listens", || {
                let mut shell = lab.on("tap", "bash");
                shell.args(["-c", &format!("exec 3<>/dev/tcp/127.0.0.1/{port}")]);
                let tried = shell.stderr(Stdio::null()).status().unwrap();
                tried.success().then_some(())
            });
        }
        Self(servers)
    }

    fn mosquitto(lab: &Lab, place: &Place) -> Child {
        let config = place.file("mosquitto.conf");
        fs::write(
            &config,
            MOSQUITTO.replace("FOLDER", place.folder.to_str().unwrap()),
        )
        .unwrap();
        let mut broker = lab.on("tap", "mosquitto");
        broker.arg("-c").arg(config).stderr(Stdio::null());
        broker.spawn().unwrap()
    }

    /// Its session outlasts it: what comes while it is away waits for it.
    fn subscriber(lab: &Lab, place: &Place) -> Child {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(place.file("broker"))
            .unwrap();
        let mut shell = lab.on("tap", "sh");
        shell
            .arg("-c")
            .arg(
                "until mosquitto_sub -h 127.0.0.1 -p 1883 -t ready -E 2>/dev/null; do sleep 0.1; done; \
                 exec mosquitto_sub -h 127.0.0.1 -p 1883 -q 1 -c -i reader -t home/tap/event",
            )
            .stdout(log);
        shell.spawn().unwrap()
    }

    fn rsyslog(lab: &Lab, place: &Place, text: &str) -> Child {
        let config = place.file("rsyslog.conf");
        fs::write(&config, place.filled(text)).unwrap();
        // One of a run that was killed lies there still.
        let _none = fs::remove_file(place.file("rsyslog.pid"));
        let mut collector = lab.on("tap", "rsyslogd");
        collector.arg("-n").arg("-f").arg(config).arg("-i");
        collector.arg(place.file("rsyslog.pid"));
        collector.arg("-M").arg(modules("rsyslog"));
        collector.spawn().unwrap()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for server in &self.0 {
            // One that has ended is no matter.
            let _gone = kill_process(Pid::from_child(server), Signal::TERM);
        }
        for server in &mut self.0 {
            server.wait().unwrap();
        }
    }
}

const ALERTS: &str = r#"
[[alert]]
name = "program"
kind = "command"
command = ["/bin/sh", "-c", "cat >> FOLDER/program"]

[[alert]]
name = "web"
kind = "webhook"
url = "https://127.0.0.1:8443/hook"
token_file = "FOLDER/token"
ca = "FOLDER/ca.crt"

[[alert]]
name = "mail"
kind = "email"
url = "smtp://127.0.0.1:2525"
from = "tap@example.org"
to = ["anna@example.org"]

[[alert]]
name = "broker"
kind = "mqtt"
url = "mqtts://127.0.0.1:8883"
topic = "home/tap"
ca = "FOLDER/ca.crt"

[[alert]]
name = "log"
kind = "syslog"
url = "tcp://127.0.0.1:6010"
"#;

/// It keeps what it has taken over its end, and waits for nobody.
const MOSQUITTO: &str = "
per_listener_settings false
allow_anonymous true
persistence true
persistence_location FOLDER/
autosave_on_changes true
autosave_interval 1
max_queued_messages 0
user root
listener 1883 127.0.0.1
listener 8883 127.0.0.1
certfile FOLDER/ca.crt
keyfile FOLDER/ca.key
";

const RSYSLOG: &str = r#"
module(load="imtcp")
input(type="imtcp" port="6010" address="127.0.0.1")
template(name="raw" type="string" string="%rawmsg%\n")
action(type="omfile" file="FOLDER/log" template="raw" asyncWriting="off" flushOnTXEnd="on")
"#;

/// What else than in [`ALERTS`] can be written for mail and syslog.
const WAYS: &str = r#"
[[alert]]
name = "starttls"
kind = "email"
url = "smtp+starttls://localhost:2587"
user = "tap"
password_file = "FOLDER/token"
from = "tap@example.org"
to = ["anna@example.org"]
ca = "FOLDER/believed.crt"

[[alert]]
name = "smtps"
kind = "email"
url = "smtps://127.0.0.1:2465"
user = "tap"
password_file = "FOLDER/token"
from = "tap@example.org"
to = ["anna@example.org"]
ca = "FOLDER/believed.crt"

[[alert]]
name = "udp"
kind = "syslog"
url = "udp://127.0.0.1:6514"

[[alert]]
name = "tls"
kind = "syslog"
url = "tls://localhost:6514"
ca = "FOLDER/believed.crt"
"#;

const RSYSLOG_WAYS: &str = r#"
global(DefaultNetstreamDriver="ossl" DefaultNetstreamDriverCAFile="FOLDER/ca.crt"
    DefaultNetstreamDriverCertFile="FOLDER/ca.crt" DefaultNetstreamDriverKeyFile="FOLDER/ca.key")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
module(load="imudp")
template(name="raw" type="string" string="%rawmsg%\n")
ruleset(name="tls") {
    action(type="omfile" file="FOLDER/tls" template="raw" asyncWriting="off" flushOnTXEnd="on")
}
ruleset(name="udp") {
    action(type="omfile" file="FOLDER/udp" template="raw" asyncWriting="off" flushOnTXEnd="on")
}
input(type="imtcp" port="6514" address="127.0.0.1" ruleset="tls")
input(type="imudp" port="6514" address="127.0.0.1" ruleset="udp")
"#;
