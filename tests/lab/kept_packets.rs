//! The packets that are kept of visits on the wire, opened with tshark: as they came, from the
//! interface that they came from.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::blindness::{Relay, WHOLE};
use crate::doctor::stop_mirroring;
use crate::https::Https;
use crate::namespaces::in_a_lab;
use crate::network::{Lab, text, wait_for};
use crate::tap::{Tap, now, time_of};
use crate::tls::tap_with;
use crate::web::{CANARY, HOST, Visitor, Web, url, visit};

#[test]
fn packets_are_kept_as_they_came_with_their_interface_their_tags_and_their_tunnel() {
    in_a_lab(
        packets_are_kept_as_they_came_with_their_interface_their_tags_and_their_tunnel,
        |lab| {
            let web = Web::start(lab);
            let mut tap = Tap::running(lab);
            let began = now();
            one_visit(lab, &tap, 1);
            stop_mirroring();
            for (change, count) in [(tagged as fn(&[u8]) -> Vec<u8>, 2), (tunnelled, 3)] {
                let _switch = Relay::carry(WHOLE, move |frame| Some(change(frame)));
                one_visit(lab, &tap, count);
            }
            let visits = wait_for("the packets of all three", || {
                let visits = tap.log(&["--alerts"]);
                let kept = |visit: &&Value| visit["evidence"]["file"].is_string();
                (visits.iter().filter(kept).count() == 3).then_some(visits)
            });
            let status = text(
                tap.command(&["status", "--format", "jsonl"])
                    .output()
                    .unwrap(),
            );
            let status: Value = serde_json::from_str(&status).unwrap();
            assert_eq!(visits.len(), web.served().len());
            for visit in &visits {
                let file = Kept::of(&tap, visit);
                file.holds_the_visit(visit, began);
                file.tells_of_its_interface(&status);
                file.tells_of(visit);
            }
            let protocols: Vec<_> = visits
                .iter()
                .map(|visit| Kept::of(&tap, visit).protocols())
                .collect();
            assert_eq!(
                protocols[0],
                ["eth:ethertype:ip:tcp", "eth:ethertype:ip:tcp:http"]
            );
            assert_eq!(
                protocols[1],
                [
                    "eth:ethertype:vlan:ethertype:ip:tcp",
                    "eth:ethertype:vlan:ethertype:ip:tcp:http"
                ]
            );
            assert_eq!(
                protocols[2],
                [
                    "eth:ethertype:ip:udp:vxlan:eth:ethertype:ip:tcp",
                    "eth:ethertype:ip:udp:vxlan:eth:ethertype:ip:tcp:http"
                ]
            );
            assert!(tap.stop().success());
            text(tap.command(&["verify"]).output().unwrap());
        },
    );
}

#[test]
fn where_keys_opened_a_visit_tshark_reads_it_by_the_secrets_of_that_connection_alone() {
    in_a_lab(
        where_keys_opened_a_visit_tshark_reads_it_by_the_secrets_of_that_connection_alone,
        |lab| {
            let https = Https::start(lab);
            let mut tap = tap_with(lab, Some(https.key_log()));
            https.ask(&["--http1.1"], CANARY);
            let unasked = Kept::of(&tap, &visits_that_are_over(&tap, 1)[0]);
            assert!(unasked.client_randoms().is_empty());
            assert!(tap.stop().success());
            tap.configure(|config| format!("{config}\n[evidence]\nsecrets = true\n"));
            tap.start();
            https.visit();
            let visits = visits_that_are_over(&tap, 4);
            let mut connections = BTreeSet::new();
            for visit in &visits[1..] {
                assert_eq!(visit["scheme"], "https", "{visit}");
                let file = Kept::of(&tap, visit);
                file.tells_of(visit);
                let decrypted = file.decrypted();
                for (found, key) in ["method", "host", "target"].into_iter().enumerate() {
                    assert_eq!(decrypted[found], visit[key], "{visit}");
                }
                let randoms = file.client_randoms();
                assert_eq!(randoms.len(), 1, "{randoms:?}");
                connections.extend(randoms);
            }
            assert_eq!(connections.len(), 3, "{connections:?}");
            assert!(tap.stop().success());
            text(tap.command(&["verify"]).output().unwrap());
        },
    );
}

/// So many visits, once the connections of all are over.
fn visits_that_are_over(tap: &Tap<'_>, count: usize) -> Vec<Value> {
    wait_for("the visits are seen to their ends", || {
        let visits = tap.log(&["--alerts"]);
        let is_over = |visit: &&Value| visit["evidence"]["ended"].is_string();
        (visits.iter().filter(is_over).count() == count).then_some(visits)
    })
}

fn one_visit(lab: &Lab, tap: &Tap<'_>, count: usize) {
    visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
    wait_for("the visit is seen to its end", || {
        let visits = tap.log(&["--alerts"]);
        let is_over = |visit: &&Value| visit["evidence"]["ended"] == "closed";
        (visits.iter().filter(is_over).count() == count).then_some(())
    });
}

/// As a switch mirrors into VLAN 10 (IEEE 802.1Q).
fn tagged(frame: &[u8]) -> Vec<u8> {
    let (addresses, rest) = frame.split_at(12);
    [addresses, &[0x81, 0, 0, 10], rest].concat()
}

/// As a switch mirrors into a VXLAN (RFC 7348).
fn tunnelled(frame: &[u8]) -> Vec<u8> {
    let udp_len = u16::try_from(8 + 8 + frame.len()).unwrap();
    let ip_len = (udp_len + 20).to_be_bytes();
    let mut ip = vec![0x45, 0, ip_len[0], ip_len[1], 0, 0, 0, 0, 64, 17, 0, 0];
    ip.extend([198, 51, 100, 1, 198, 51, 100, 2]);
    let words = ip
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum: u32 = words.sum();
    let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let ethernet = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let udp = [50_000, 4789, udp_len, 0].map(u16::to_be_bytes).concat();
    let vxlan = [8, 0, 0, 0, 0, 0, 42, 0];
    [&ethernet, &ip[..], &udp, &vxlan, frame].concat()
}

/// A visit's file.
struct Kept {
    path: PathBuf,
}

impl Kept {
    fn of(tap: &Tap<'_>, visit: &Value) -> Self {
        let file = visit["evidence"]["file"].as_str().unwrap();
        Self {
            path: tap.data().join("evidence").join(file),
        }
    }

    /// The request, with its ends, and an answer to it, in packets of the time of the visit.
    fn holds_the_visit(&self, visit: &Value, began: u64) {
        let requests = self.tshark(&[
            "-Y",
            "http.request",
            "-T",
            "fields",
            "-e",
            "http.request.method",
            "-e",
            "http.host",
            "-e",
            "http.request.uri",
            "-e",
            "tcp.srcport",
            "-e",
            "frame.time_epoch",
        ]);
        let fields: Vec<&str> = requests.trim_end().split('\t').collect();
        let expected = ["method", "host", "target", "src_port"];
        for (found, key) in fields.iter().zip(expected) {
            let said = visit[key]
                .as_str()
                .map_or(visit[key].to_string(), str::to_owned);
            assert_eq!(*found, said, "{visit}");
        }
        let (seconds, fraction) = fields[4].split_once('.').unwrap();
        let nanos = format!("{seconds}{fraction:0<9}").parse::<u64>().unwrap();
        assert_eq!(nanos / 1000, time_of(visit) / 1000, "{visit}");
        assert!((began..now()).contains(&nanos), "{nanos}");
        let answers = self.tshark(&["-Y", "http.response.code == 200"]);
        assert_eq!(answers.lines().count(), 1, "{answers}");
        let opens = self.tshark(&["-Y", "tcp.flags.syn == 1"]);
        assert_eq!(
            opens.lines().count(),
            2,
            "both directions from the first on: {opens}"
        );
        let ends = self.tshark(&["-Y", "tcp.flags.fin == 1"]);
        assert_eq!(
            ends.lines().count(),
            2,
            "both directions to the end: {ends}"
        );
    }

    fn tells_of_its_interface(&self, status: &Value) {
        let info = text(Command::new("capinfos").arg(&self.path).output().unwrap());
        for line in [
            "Name = eth1",
            "Encapsulation = Ethernet (1 - ether)",
            "Capture length = 262144",
            "Time precision = microseconds (6)",
            "Number of stat entries = 1",
        ] {
            assert!(info.contains(line), "{line}: {info}");
        }
        let blocks = self.blocks();
        for (option, key) in [
            ("Number of Dropped Packets", "dropped_interface"),
            ("Number of Packets Dropped by OS", "dropped_kernel"),
        ] {
            let count = status["capture"][key].as_u64().unwrap();
            let line = format!("{option} = {count}");
            assert!(blocks.contains(&line), "{line}: {blocks}");
        }
    }

    /// Event, canary and version, in the comment of the section.
    fn tells_of(&self, visit: &Value) {
        let comment = format!(
            "event {}, canary {}, canarytap {}",
            visit["seq"],
            visit["canary"].as_str().unwrap(),
            env!("CARGO_PKG_VERSION")
        );
        let blocks = self.blocks();
        let (section, _) = blocks.split_once("Interface Description Block").unwrap();
        assert!(section.contains(&comment), "{comment}: {section}");
    }

    /// Method, host and target of the only request that tshark finds, by the secrets that stand in
    /// the file.
    fn decrypted(&self) -> Value {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/evidence.py");
        let mut python = Command::new("python3");
        let found = text(python.arg(script).arg(&self.path).output().unwrap());
        let found: Vec<Value> = found
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    }

    /// Whose secrets stand in it, in the form of a key log (draft-ietf-tls-keylogfile).
    fn client_randoms(&self) -> BTreeSet<String> {
        let bytes = fs::read(&self.path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let words: Vec<&str> = text.split(|c: char| !c.is_ascii_graphic()).collect();
        let is_label = |word: &str| {
            ["CLIENT_RANDOM", "_SECRET", "_SECRET_0"]
                .iter()
                .any(|end| word.ends_with(end))
        };
        let pairs = words.windows(2).filter(|pair| is_label(pair[0]));
        pairs.map(|pair| pair[1].to_owned()).collect()
    }

    /// What stands in its packets, each kind once.
    fn protocols(&self) -> Vec<String> {
        let shown = self.tshark(&["-T", "fields", "-e", "frame.protocols"]);
        let mut kinds: Vec<String> = shown.lines().map(str::to_owned).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// The file's own blocks.
    fn blocks(&self) -> String {
        self.tshark(&["-X", "read_format:MIME Files Format", "-V"])
    }

    fn tshark(&self, arguments: &[&str]) -> String {
        assert!(fs::metadata(&self.path).is_ok(), "{}", self.path.display());
        let mut tshark = Command::new("tshark");
        tshark
            .args(["-n", "-r"])
            .arg(Path::new(&self.path))
            .args(arguments);
        text(tshark.output().unwrap())
    }
}
