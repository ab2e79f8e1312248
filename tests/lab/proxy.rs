//! Reverse proxies before the web server, and what the tap makes of visits through them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use serde_json::Value;

use crate::network::{Lab, text, wait_for};
use crate::tap::Tap;
use crate::web::{self, CANARY, HOST, Visitor, curl_to, url};

#[test]
fn readme_shows_proxies_as_they_ran_here() {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once("### Inside, outside, unknown").unwrap();
    let (section, _) = section.split_once("\n#").unwrap();
    let headers = [(5, "x-forwarded-for"), (5, "proxy-protocol")];
    let run = [NGINX, HAPROXY, web::CONFIG, &trusting("", &headers)].join("\n");
    let run: Vec<_> = run.lines().map(str::trim).collect();
    let shown = section.lines().filter_map(|line| line.strip_prefix("    "));
    let shown: Vec<_> = shown.map(str::trim).collect();
    assert!(shown.len() > 10, "{shown:?}");
    for line in shown {
        assert!(run.contains(&line), "nobody ran: {line}");
    }
}

/// The configurations that run here.
pub const NGINX: &str = include_str!("proxies/nginx.conf");
pub const HAPROXY: &str = include_str!("proxies/haproxy.cfg");

/// A running proxy on the host `proxy`. It stops when it is dropped.
pub struct Proxy(Child);

impl Proxy {
    /// nginx, as `proxies/nginx.conf` says.
    pub fn nginx(lab: &Lab) -> Self {
        let folder = folder(lab, "front-nginx");
        text(certificate(&folder).output().unwrap());
        let config = folder.join("nginx.conf");
        fs::write(&config, NGINX).unwrap();
        let mut nginx = lab.on("proxy", "nginx");
        nginx.args(["-e", "error.log", "-p"]).arg(&folder);
        nginx.arg("-c").arg(&config);
        Self::started(lab, nginx, 8009)
    }

    /// haproxy, as `proxies/haproxy.cfg` says.
    pub fn haproxy(lab: &Lab) -> Self {
        let config = folder(lab, "front-haproxy").join("haproxy.cfg");
        fs::write(&config, HAPROXY).unwrap();
        let mut haproxy = lab.on("proxy", "haproxy");
        haproxy.args(["-db", "-f"]).arg(&config);
        Self::started(lab, haproxy, 8107)
    }

    /// Starts it and waits until it listens on the last of its ports.
    fn started(lab: &Lab, mut command: Command, port: u16) -> Self {
        let proxy = Self(command.spawn().unwrap());
        wait_for("the proxy listens", || {
            let mut ss = lab.on("proxy", "ss");
            ss.args(["--no-header", "--listening", "--tcp", "--numeric"]);
            ss.arg(format!("sport = :{port}"));
            (!text(ss.output().unwrap()).is_empty()).then_some(())
        });
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A visit to the canary through the proxy that listens on `port`.
pub fn visit_by(lab: &Lab, from: Visitor, port: u16, fields: &[&str]) {
    let proxy = match from {
        Visitor::Outside4 | Visitor::Inside4 => "192.168.1.5",
        Visitor::Outside6 | Visitor::Inside6 => "[fd00:1::5]",
    };
    visit_at(lab, from, &format!("{proxy}:{port}"), fields);
}

/// A visit to the canary at `ADDRESS:PORT`, with header fields; port 8443 is TLS.
pub fn visit_at(lab: &Lab, from: Visitor, server: &str, fields: &[&str]) {
    let mut curl = curl_to(lab, from, server);
    for field in fields {
        curl.args(["--header", field]);
    }
    let canary = match server.ends_with(":8443") {
        true => format!("https://{HOST}{CANARY}"),
        false => url(HOST, CANARY),
    };
    text(curl.arg(canary).output().unwrap());
}

/// How a visit was judged: from which address it came, who asked, where that one stands, and what
/// headers said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Judged {
    src: String,
    client: String,
    origin: String,
    forwarded_for: String,
}

/// What is expected.
pub fn judged(src: &str, client: &str, origin: &str, forwarded_for: &str) -> Judged {
    Judged {
        src: src.to_owned(),
        client: client.to_owned(),
        origin: origin.to_owned(),
        forwarded_for: forwarded_for.to_owned(),
    }
}

/// Waits for as many visits as are expected, and compares. What is not inside is an alert.
pub fn assert_judged(tap: &Tap, mut expected: Vec<Judged>) {
    let events = tap.wait_for_events(expected.len());
    let mut seen: Vec<_> = events.iter().map(judgement).collect();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    let alerts = expected.iter().filter(|visit| visit.origin != "inside");
    assert_eq!(tap.log(&["--alerts"]).len(), alerts.count());
    for event in &events {
        assert_eq!(event["alert"], event["origin"] != "inside", "{event}");
        assert_eq!(event["kind"], "visit", "{event}");
    }
}

fn judgement(event: &Value) -> Judged {
    let text = |key: &str| event[key].as_str().unwrap_or_default();
    judged(
        text("src"),
        text("client"),
        text("origin"),
        text("forwarded_for"),
    )
}

/// `[[home.proxy]]` for proxies by the last number of their address.
pub fn trusting(config: &str, proxies: &[(u8, &str)]) -> String {
    let mut config = config.to_owned();
    for (number, header) in proxies {
        config.push_str(&format!(
            "\n[[home.proxy]]\nnetworks = [\"192.168.1.{number}/32\"]\nheader = \"{header}\"\n"
        ));
    }
    config
}

fn folder(lab: &Lab, name: &str) -> PathBuf {
    let folder = lab.folder().join(name);
    fs::create_dir(&folder).unwrap();
    folder
}

/// A certificate that is good for nothing but this.
pub fn certificate(folder: &Path) -> Command {
    let mut openssl = Command::new("openssl");
    openssl.args("req -x509 -nodes -days 2 -subj /CN=www.example.org -newkey ec".split(' '));
    openssl.args("-pkeyopt ec_paramgen_curve:prime256v1".split(' '));
    openssl.args(["-keyout", "key.pem", "-out", "certificate.pem"]);
    openssl.current_dir(folder);
    openssl
}
