//! A month in a minute: an experiment is planned and sent, its visitors come, each as the table of
//! fetchers says of it, and what is answered at the end is what was played.
//!
//! The visits are real: curl asks nginx and Apache, and what the mirror port shows is written
//! down. Then their connections are moved to the times that they stand for
//! (`programs/stretch.py`), and the engine reads the month by the clock of its packets. The owner's
//! commands run by a clock that `faketime` sets.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use canarytap::store::{Store, StoreOptions};
use maxminddb_writer::metadata::IpVersion;
use maxminddb_writer::paths::IpAddrWithMask;
use serde_json::{Value, json};

use crate::https::{Https, PORT};
use crate::namespaces::in_a_lab;
use crate::network::{Lab, text, wait_for};
use crate::web::{HOST, Visitor, Web, curl_to};

#[test]
fn a_month_is_answered_as_it_was_played() {
    in_a_lab(a_month_is_answered_as_it_was_played, |lab| {
        let month = Month::play(lab);
        month.channels_are_answered();
        month.canaries_are_answered();
        month.visitors_are_told_with_reasons();
        month.words_say_the_same();
        month.the_report_says_the_same();
        month.run(END, &["verify"]);
    });
}

/// Seconds since 1970 of 2013-04-17T00:00:00Z, when it is planned.
const BEGIN: f64 = 1_366_156_800.0;
/// 30 days and a minute later, when it is looked at.
const END: f64 = BEGIN + 30.0 * DAY + 60.0;
/// When the links are sent, one a minute.
const SENT: f64 = BEGIN + 10.0 * HOUR;
/// The tap was unplugged meanwhile.
const UNPLUGGED: [f64; 2] = [BEGIN + 14.0 * DAY, BEGIN + 14.0 * DAY + 30.0 * HOUR];
const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;

/// Links on each channel, half of them https, and controls.
const EACH: usize = 8;

/// A visitor, as the table has it.
struct Fetcher {
    address: &'static str,
    how: &'static [&'static str],
}

const SKYPE: Fetcher = Fetcher {
    address: "65.52.100.214",
    how: &["--head", "--http1.1", "--header", "User-Agent:"],
};
const TELEGRAM: Fetcher = Fetcher {
    address: "149.154.161.10",
    how: &["--user-agent", "TelegramBot (like TwitterBot)"],
};
const GATEWAY: Fetcher = Fetcher {
    address: "198.51.100.20",
    how: &[
        "--user-agent",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/101",
    ],
};
const CRAWLER: Fetcher = Fetcher {
    address: "203.0.113.120",
    how: &[
        "--user-agent",
        "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    ],
};
/// Asks for the front page every hour, so that the host is seen to be spoken with.
const MONITOR: Fetcher = Fetcher {
    address: "203.0.113.101",
    how: &["--user-agent", "monitor/1"],
};

/// What was played, and what the tap made of it.
struct Month<'lab> {
    lab: &'lab Lab,
    folder: PathBuf,
    /// The experiment's canaries as `experiment show` lists them, by channel.
    canaries: BTreeMap<String, Vec<Value>>,
}

impl<'lab> Month<'lab> {
    fn play(lab: &'lab Lab) -> Self {
        let folder = lab.folder().join("month");
        fs::create_dir(&folder).unwrap();
        drop(Store::open(&folder.join("data"), StoreOptions::default()).unwrap());
        database(&folder.join("networks.mmdb"));
        let config = CONFIG.replace("FOLDER", folder.to_str().unwrap());
        fs::write(folder.join("canarytap.toml"), config).unwrap();
        let mut month = Self {
            lab,
            folder,
            canaries: BTreeMap::new(),
        };
        month.plan();
        month.send();
        let captured = month.visits();
        let month_long = month.folder.join("month.pcap");
        let keys = captured.https.key_log();
        let (keys, data) = (keys.to_str().unwrap(), month.folder.join("data"));
        let replay = ["replay", "--keys", keys, "--store", data.to_str().unwrap()];
        let replay = [&replay[..], &[month_long.to_str().unwrap()]].concat();
        month.run(END, &replay);
        month
    }

    fn plan(&mut self) {
        let channels = "--channel skype --channel telegram --channel mail";
        let rest = "--count 4 --pairs --controls 8 --own-browser 1";
        let words = format!("experiment new spring {channels} {rest}");
        self.run(BEGIN, &words.split(' ').collect::<Vec<_>>());
        for line in self.show(BEGIN + 60.0) {
            if line.get("canary").is_some() {
                let channel = line["channel"].as_str().unwrap().to_owned();
                self.canaries.entry(channel).or_default().push(line);
            }
        }
    }

    /// Most are noted at once; those by mail an hour later.
    fn send(&self) {
        for (channel, place) in self.sendings() {
            let id = self.id(channel, place);
            let at = sent_at(channel, place);
            match channel {
                "mail" => {
                    let at = time_text(at);
                    self.run(END - DAY, &["sent", id, "--at", &at, "--to", "Anna"]);
                }
                _ => drop(self.run(at, &["sent", id])),
            }
        }
    }

    fn sendings(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let channels = ["skype", "telegram", "mail"].into_iter();
        channels.flat_map(|channel| (0..EACH).map(move |place| (channel, place)))
    }

    fn visits(&self) -> Captured<'lab> {
        for fetcher in [SKYPE, TELEGRAM, GATEWAY] {
            for (host, word) in [("outside", "address"), ("server", "route")] {
                let mut ip = self.lab.on(host, "ip");
                ip.args([word, "add", fetcher.address, "dev", "eth0"]);
                text(ip.output().unwrap());
            }
        }
        let mut captured = Captured::start(self.lab, &self.folder);
        for (place, https) in self.urls("skype").iter().enumerate() {
            if https.starts_with("https:") {
                let at = sent_at("skype", place) + 4.2 * HOUR;
                captured.visit(&SKYPE, https, at);
            }
        }
        for (place, url) in self.urls("telegram").iter().enumerate() {
            // The first is fetched while it is being written.
            let later = if place == 0 { -5.0 } else { 3.0 };
            let at = sent_at("telegram", place) + later;
            captured.visit(&TELEGRAM, url, at);
            let icon = format!("http://{HOST}/favicon.ico");
            if place == 1 {
                captured.visit(&TELEGRAM, &icon, at + 2.0);
            }
        }
        for (place, url) in self.urls("mail").iter().enumerate() {
            let at = sent_at("mail", place) + 40.0;
            captured.visit(&GATEWAY, url, at);
            let tagged = format!("{url}?utm_source=mail");
            captured.visit(&GATEWAY, &tagged, at + 2.0);
        }
        captured.visit(&CRAWLER, &self.urls("nobody")[1], BEGIN + 12.0 * DAY);
        captured.visit(&CRAWLER, &self.urls("skype")[1], BEGIN + 12.5 * DAY);
        captured.visit_from_inside(&self.urls("own browser")[0], BEGIN + 11.0 * HOUR);
        captured.monitor();
        captured.knock();
        captured.stretch(&self.folder);
        captured
    }

    fn urls(&self, channel: &str) -> Vec<String> {
        let url = |one: &Value| one["url"].as_str().unwrap().to_owned();
        self.canaries[channel].iter().map(url).collect()
    }

    fn id(&self, channel: &str, place: usize) -> &str {
        self.canaries[channel][place]["canary"].as_str().unwrap()
    }

    /// A command of the owner's, at a time.
    fn run(&self, at: f64, arguments: &[&str]) -> String {
        let mut command = self.lab.on("tap", "faketime");
        // Without an @ it stands still, however slow this machine is.
        command.args(["-f", &time_text(at)[..19].replace('T', " ")]);
        command.arg(env!("CARGO_BIN_EXE_canarytap")).arg("-c");
        command.arg(self.folder.join("canarytap.toml"));
        command.args(arguments).env("TZ", "UTC");
        text(command.output().unwrap())
    }

    fn lines(&self, arguments: &[&str]) -> Vec<Value> {
        self.lines_at(END, arguments)
    }

    fn lines_at(&self, at: f64, arguments: &[&str]) -> Vec<Value> {
        let shown = self.run(at, &[arguments, &["--format", "jsonl"]].concat());
        let lines = shown
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    }

    fn show(&self, at: f64) -> Vec<Value> {
        self.lines_at(at, &["experiment", "show", "spring"])
    }

    fn channels_are_answered(&self) {
        let lines = self.show(END);
        let channels: Vec<&Value> = lines
            .iter()
            .filter(|line| line.get("p").is_some())
            .collect();
        let visited = [("skype", 5), ("telegram", 8), ("mail", 8)];
        assert_eq!(channels.len(), 3);
        let chances: Vec<f64> = visited.iter().map(|(_, of)| by_counting(*of, 1)).collect();
        let corrected = stepped_down(&chances);
        for (place, (name, of)) in visited.into_iter().enumerate() {
            let answer = channels[place];
            assert_eq!(answer["channel"], name);
            assert_eq!(answer["sent"], EACH);
            assert_eq!(answer["visited"], of, "{answer}");
            assert_eq!(answer["controls"], EACH);
            assert_eq!(answer["controls_visited"], 1, "{answer}");
            for (key, expected) in [("p", chances[place]), ("p_corrected", corrected[place])] {
                let p = answer[key].as_f64().unwrap();
                assert!((p - expected).abs() < 1e-9, "{key} {expected}: {answer}");
            }
        }
        assert_eq!(
            channels[0]["twins"],
            "of the https links 4 of 4 were visited, of their http twins 1 of 4"
        );
    }

    fn canaries_are_answered(&self) {
        let lines = self.show(END);
        let canaries = lines.iter().filter(|line| line.get("canary").is_some());
        for line in canaries {
            let expected = self.expected(line);
            let shown = json!({
                "visited": line["visited"], "delay": line["delay"], "methods": line["methods"],
                "clients": line["clients"], "alterations": line["alterations"],
            });
            assert_eq!(shown, expected, "{line}");
            // 30 hours of 30 days the tap was unplugged.
            assert_eq!(line["watched_percent"], 95, "{line}");
        }
    }

    /// What was played on a canary.
    fn expected(&self, line: &Value) -> Value {
        let channel = line["channel"].as_str().unwrap();
        let all = &self.canaries[channel];
        let place = all.iter().position(|one| one["canary"] == line["canary"]);
        match (channel, place.unwrap()) {
            ("skype", 1) => visit_by("days", json!({"GET": 1}), &CRAWLER, &[]),
            ("skype", place) if place % 2 == 0 => {
                visit_by("hours", json!({"HEAD": 1}), &SKYPE, &[])
            }
            ("telegram", 0) => visit_by("before", json!({"GET": 1}), &TELEGRAM, &[]),
            ("telegram", _) => visit_by("seconds", json!({"GET": 1}), &TELEGRAM, &[]),
            ("mail", _) => visit_by(
                "minutes",
                json!({"GET": 2}),
                &GATEWAY,
                &["parameters_added"],
            ),
            ("nobody", 1) => {
                let mut visit = visit_by("", json!({"GET": 1}), &CRAWLER, &[]);
                visit["delay"] = Value::Null;
                visit
            }
            _ => json!({
                "visited": false, "delay": null, "methods": {}, "clients": [], "alterations": [],
            }),
        }
    }

    fn visitors_are_told_with_reasons(&self) {
        let lines = self.lines(&["visitor"]);
        let mut visitors: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for line in &lines {
            visitors
                .entry(line["client"].as_str().unwrap())
                .or_default()
                .push(line);
        }
        let counts = visitors
            .iter()
            .map(|(client, visits)| (*client, visits.len()));
        let expected = [
            (GATEWAY.address, 16),
            (TELEGRAM.address, 8),
            (CRAWLER.address, 2),
            (SKYPE.address, 4),
        ];
        assert_eq!(counts.collect::<BTreeMap<_, _>>(), BTreeMap::from(expected));
        let fits = |visitor: &Fetcher, name: &str, facts: &[&str]| {
            for visit in &visitors[visitor.address] {
                let fits = visit["fits"].as_array().unwrap();
                let fit = fits.iter().find(|fit| fit["name"] == name);
                let fit = fit.unwrap_or_else(|| panic!("{name}: {visit}"));
                for fact in facts {
                    let told = fit["facts"].as_array().unwrap();
                    assert!(told.contains(&(*fact).into()), "{fact}: {fit}");
                }
            }
        };
        let by_head = [
            "it sends no User-Agent",
            "it asks by HEAD",
            "it came hours after sending",
        ];
        fits(&SKYPE, "Skype link check of 2013", &by_head);
        fits(
            &TELEGRAM,
            "Telegram",
            &["its address lies in 149.154.160.0/20"],
        );
        let twice = ["it read the link 2 times within a minute"];
        fits(&GATEWAY, "Mail gateway", &twice);
        fits(
            &CRAWLER,
            "Crawler that names itself",
            &["its User-Agent says AhrefsBot"],
        );
        let skype = visitors[SKYPE.address][0];
        assert_eq!(skype["organisation"], "Microsoft Corporation");
    }

    fn words_say_the_same(&self) {
        let words = self.run(END, &["experiment", "show", "spring"]);
        for line in [
            "Experiment spring, since 2013-04-17T00:00:00",
            "watched 95 % of 30 days",
            "skype: opened, but chance could do this too: 5 of 8 visited, against 1 of 8 controls",
            "telegram: opened, and very surely because it was sent: 8 of 8 visited",
            "mail: opened, and very surely because it was sent: 8 of 8 visited",
            "controls: 1 of 8 visited",
            "hours after it was sent); 1 HEAD from 65.52.100.214",
            "(before sending was finished); 1 GET from 149.154.161.10",
            "; altered: parameters_added",
            "; 1 from inside",
        ] {
            assert!(words.contains(line), "{line}\n{words}");
        }
        let list = self.run(END, &["experiment", "list"]);
        let expected = "24 canaries over skype, telegram, mail (24 sent), 8 controls; 22 visited";
        assert!(list.contains(expected), "{list}");
    }

    fn the_report_says_the_same(&self) {
        let page = self.run(
            END,
            &["report", "--experiment", "spring", "--tz", "Europe/Berlin"],
        );
        for words in [
            "As of 2013-05-17 02:01:00 CEST (00:01:00 UTC)",
            "watched 95 % of 30 days",
            "5 of 8 visited, against 1 of 8 controls (p = 0.059)",
            "Opened, and very surely because it was sent: 8 of 8 visited, against 1 of 8 controls \
             (p = 0.002)",
            "Controls, given to nobody: 1 of 8 visited.",
            "AS8075 Microsoft Corporation",
            "fits Skype link check of 2013 (scanner)",
            "GET /favicon.ico",
            "before sending was finished: 1; under 10 s: 7; under 10 min: 8; hours: 4; days: 1",
            "2013-04-17 12:00:00 CEST</time> <time datetime=\"2013-04-17T10:00:00",
            "skype: 5 of 8 visited; telegram: 8 of 8 visited; mail: 8 of 8 visited",
        ] {
            assert!(page.contains(words), "{words}\n{page}");
        }
        // One for each visit, and the shade twice: before the tap was unplugged, and after.
        assert_eq!(page.matches("class=\"visit\"").count(), 30);
        assert_eq!(page.matches("class=\"watched\"").count(), 2);
    }
}

/// The mirror port at work: what passes is written down, with what it stands for.
struct Captured<'lab> {
    lab: &'lab Lab,
    _web: Web,
    https: Https<'lab>,
    listener: Child,
    capture: PathBuf,
    plan: Vec<Value>,
}

impl<'lab> Captured<'lab> {
    fn start(lab: &'lab Lab, folder: &Path) -> Self {
        let capture = folder.join("minute.pcap");
        let mut listener = lab.on("tap", "/usr/bin/python3");
        listener.arg(program("listen.py")).arg("eth1").arg(&capture);
        listener.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut listener = listener.spawn().unwrap();
        let mut said = String::new();
        let output = listener.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut said).unwrap();
        assert_eq!(said, "listening\n");
        Self {
            lab,
            _web: Web::start(lab),
            https: Https::start(lab),
            listener,
            capture,
            plan: Vec::new(),
        }
    }

    fn visit(&mut self, who: &Fetcher, url: &str, at: f64) {
        let mut curl = curl_to(self.lab, Visitor::Outside4, &door(url));
        curl.args(["--interface", who.address]).args(who.how);
        let port = local_port(curl.arg(url));
        self.stands_for(json!({"client": who.address, "port": port, "at": at}));
    }

    fn visit_from_inside(&mut self, url: &str, at: f64) {
        let mut curl = curl_to(self.lab, Visitor::Inside4, &door(url));
        let port = local_port(curl.arg(url));
        let client = Visitor::Inside4.address();
        self.stands_for(json!({"client": client, "port": port, "at": at}));
    }

    fn monitor(&mut self) {
        self.visit(&MONITOR, &format!("http://{HOST}/"), BEGIN - HOUR);
        let line = self.plan.last_mut().unwrap();
        line["until"] = END.into();
        line["every"] = HOUR.into();
        line["not"] = json!(UNPLUGGED);
    }

    /// Somebody knocks at a closed port every minute, as on each line of the world.
    fn knock(&mut self) {
        let mut curl = curl_to(self.lab, Visitor::Outside4, "192.168.1.10:81");
        curl.args(["--local-port", "33333", &format!("http://{HOST}/")]);
        let refused = curl.output().unwrap();
        assert_eq!(refused.status.code(), Some(7), "{refused:?}");
        self.stands_for(json!({
            "client": Visitor::Outside4.address(), "port": 33333, "at": BEGIN - HOUR,
            "until": END, "every": 60, "not": UNPLUGGED,
        }));
    }

    fn stands_for(&mut self, line: Value) {
        self.plan.push(line);
    }

    fn stretch(&mut self, folder: &Path) {
        let plan = folder.join("plan.jsonl");
        let lines: Vec<String> = self.plan.iter().map(Value::to_string).collect();
        fs::write(&plan, lines.join("\n")).unwrap();
        wait_for("every connection is captured to its end", || {
            let mut python = Command::new("/usr/bin/python3");
            python
                .arg(program("stretch.py"))
                .arg(&self.capture)
                .arg(&plan);
            let status = python.arg(folder.join("month.pcap")).status().unwrap();
            match status.code() {
                Some(0) => Some(()),
                Some(3) => None,
                code => panic!("stretch.py: {code:?}"),
            }
        });
    }
}

impl Drop for Captured<'_> {
    fn drop(&mut self) {
        self.listener.kill().unwrap();
        self.listener.wait().unwrap();
    }
}

fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/lab/programs")
        .join(name)
}

/// Where curl connects to for a URL of this scheme.
fn door(url: &str) -> String {
    match url.starts_with("https:") {
        true => format!("192.168.1.10:{PORT}"),
        false => "192.168.1.10:80".to_owned(),
    }
}

/// Runs curl; the port that it asked from.
fn local_port(curl: &mut Command) -> u16 {
    let port = text(
        curl.args(["--write-out", "%{local_port}"])
            .output()
            .unwrap(),
    );
    port.parse().unwrap()
}

fn visit_by(delay: &str, methods: Value, who: &Fetcher, alterations: &[&str]) -> Value {
    json!({
        "visited": true, "delay": delay, "methods": methods, "clients": [who.address],
        "alterations": alterations,
    })
}

/// Channel after channel, a link a minute.
fn sent_at(channel: &str, place: usize) -> f64 {
    let before = match channel {
        "skype" => 0,
        "telegram" => EACH,
        _ => 2 * EACH,
    };
    SENT + 60.0 * (before + place) as f64
}

fn time_text(at: f64) -> String {
    let at = jiff::Timestamp::from_second(at as i64).unwrap();
    at.to_string()
}

/// The chance that of `2 * EACH` canaries, of which just so many are visited, as many or more are
/// among those that were sent: ways to choose, counted.
fn by_counting(sent: u64, controls: u64) -> f64 {
    let (each, visited) = (EACH as u64, sent + controls);
    let ways: u64 = (sent..=visited.min(each))
        .map(|k| ways(each, k) * ways(each, visited - k))
        .sum();
    ways as f64 / self::ways(2 * each, visited) as f64
}

/// Ways to choose `k` of `n`.
fn ways(n: u64, k: u64) -> u64 {
    (0..k).fold(1, |ways, i| ways * (n - i) / (i + 1))
}

/// Holm's correction for three, by hand: the smallest times three, the next times two, and none
/// below the one before it.
fn stepped_down(chances: &[f64]) -> Vec<f64> {
    let [skype, telegram, mail] = chances else {
        panic!("{chances:?}");
    };
    assert!(telegram == mail && telegram * 3.0 < *skype);
    vec![*skype, telegram * 3.0, telegram * 3.0]
}

/// A database of networks in the shape of IPinfo's.
fn database(path: &Path) {
    let mut database = maxminddb_writer::Database::default();
    database.metadata.ip_version = IpVersion::V4;
    database.metadata.binary_format_major_version = 2;
    for (network, number, name) in [
        ("65.52.0.0/14", "AS8075", "Microsoft Corporation"),
        ("149.154.160.0/20", "AS62041", "Telegram Messenger Inc"),
    ] {
        let entry = json!({"asn": number, "as_name": name});
        let data = database.insert_value(&entry).unwrap();
        database.insert_node(network.parse::<IpAddrWithMask>().unwrap(), data);
    }
    database.write_to(File::create(path).unwrap()).unwrap();
}

const CONFIG: &str = r#"
[capture]
ports = [80, 8443]

[home]
networks = ["192.168.1.0/24"]

[store]
directory = "FOLDER/data"

[visitor]
databases = ["FOLDER/networks.mmdb"]

[[host]]
name = "www.example.org"
"#;
