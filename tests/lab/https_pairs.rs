//! Pairs of real HTTPS servers and clients: what the tap reads, line by line as the server's own
//! log has it; and without keys, what the hello tells.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::browser;
use crate::https::{Https, PORT};
use crate::namespaces::in_a_lab;
use crate::network::{Lab, text, wait_for};
use crate::servers::{Server, listens, program};
use crate::tls::{assert_as_served, tap_with};
use crate::web::{Access, HOST, Visitor, Web, curl, curl_to};

/// How curl asks where the server chooses among few: versions of TLS and HTTP, and its suites.
const WAYS: [&[&str]; 12] = [
    &["--http1.1"],
    &["--http1.1", "--head"],
    &["--http2"],
    &["--http2", "--head"],
    &["--http1.1", "--tls-max", "1.2"],
    &["--http2", "--tls-max", "1.2"],
    &["--http2", "--tls-max", "1.2", "--head"],
    &["--tls13-ciphers", "TLS_AES_128_GCM_SHA256"],
    &["--tls13-ciphers", "TLS_AES_256_GCM_SHA384"],
    &["--tls13-ciphers", "TLS_CHACHA20_POLY1305_SHA256"],
    &[
        "--tls-max",
        "1.2",
        "--ciphers",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
    ],
    &[
        "--tls-max",
        "1.2",
        "--ciphers",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ],
];

#[test]
fn what_caddy_served_is_read_line_by_line() {
    in_a_lab(what_caddy_served_is_read_line_by_line, |lab| {
        let caddy = Server::caddy(lab);
        let tap = tap_with(lab, Some(caddy.key_log()));
        curl_all_ways(lab);
        assert_as_served(&tap, 2 * WAYS.len(), || caddy.served());
    });
}

#[test]
fn what_python_served_to_python_and_to_curl_is_read_line_by_line() {
    in_a_lab(
        what_python_served_to_python_and_to_curl_is_read_line_by_line,
        |lab| {
            let python = Server::python(lab);
            let tap = tap_with(lab, Some(python.key_log()));
            for version in ["TLSv1_2", "TLSv1_3"] {
                for method in ["GET", "HEAD"] {
                    let targets = ["/", "/missing", "/third?time=3"];
                    text(
                        python_client(lab, version, method, &targets)
                            .output()
                            .unwrap(),
                    );
                }
            }
            curl_all_ways(lab);
            assert_as_served(&tap, 12 + 2 * WAYS.len(), || python.served());
        },
    );
}

#[test]
fn what_node_served_is_read_line_by_line() {
    in_a_lab(what_node_served_is_read_line_by_line, |lab| {
        let node = Server::node(lab);
        let tap = tap_with(lab, Some(node.key_log()));
        curl_all_ways(lab);
        assert_as_served(&tap, 2 * WAYS.len(), || node.served());
    });
}

#[test]
fn what_haproxy_served_is_read_line_by_line_though_its_keys_come_late() {
    in_a_lab(
        what_haproxy_served_is_read_line_by_line_though_its_keys_come_late,
        |lab| {
            let haproxy = Server::haproxy(lab);
            let tap = tap_with(lab, Some(haproxy.key_log()));
            curl_all_ways(lab);
            assert_as_served(&tap, 2 * WAYS.len(), || haproxy.served());
        },
    );
}

#[test]
fn each_suite_that_curl_and_apache_speak_is_read() {
    in_a_lab(each_suite_that_curl_and_apache_speak_is_read, |lab| {
        let https = Https::start(lab);
        let tap = tap_with(lab, Some(https.key_log()));
        let suites = suites();
        assert!(suites.len() > 40, "{suites:?}");
        for suite in &suites {
            let ciphers = format!("{suite}:@SECLEVEL=0");
            let way = ["--http1.1", "--tls-max", "1.2", "--ciphers", &ciphers];
            https.ask(&way, &format!("/?suite={suite}"));
        }
        assert_as_served(&tap, suites.len(), || https.served());
    });
}

#[test]
fn resumed_sessions_of_s_client_are_read_as_apache_served_them() {
    in_a_lab(
        resumed_sessions_of_s_client_are_read_as_apache_served_them,
        |lab| {
            let https = Https::start(lab);
            let tap = tap_with(lab, Some(https.key_log()));
            for version in ["-tls1_2", "-tls1_3"] {
                let session = lab.folder().join(version);
                let session = session.to_str().unwrap();
                let first = s_client(lab, &[version, "-sess_out", session], "/first");
                assert!(first.contains("New, TLSv1"), "{first}");
                let again = s_client(lab, &[version, "-sess_in", session], "/again");
                assert!(again.contains("Reused, TLSv1"), "{again}");
            }
            assert_as_served(&tap, 4, || https.served());
        },
    );
}

#[test]
fn early_data_of_s_client_is_read_as_s_server_heard_it() {
    in_a_lab(early_data_of_s_client_is_read_as_s_server_heard_it, |lab| {
        let folder = lab.folder().join("s_server");
        fs::create_dir(&folder).unwrap();
        text(crate::proxy::certificate(&folder).output().unwrap());
        let heard = folder.join("heard");
        let mut server = lab.on("server", "openssl");
        server.args(["s_server", "-accept", "0.0.0.0:8443", "-early_data"]);
        server.args("-cert certificate.pem -key key.pem -keylogfile keys.log".split(' '));
        server.current_dir(&folder).stdin(Stdio::piped());
        server.stdout(fs::File::create(&heard).unwrap());
        let keys = folder.join("keys.log");
        fs::write(&keys, "").unwrap();
        text(
            Command::new("chmod")
                .arg("600")
                .arg(&keys)
                .output()
                .unwrap(),
        );
        let mut server = server.spawn().unwrap();
        wait_for("s_server listens", || {
            listens(lab, "--tcp", PORT).then_some(())
        });

        let tap = tap_with(lab, Some(keys));
        let session = lab.folder().join("session");
        let session = session.to_str().unwrap();
        s_client(lab, &["-tls1_3", "-sess_out", session], "/first");
        let early = lab.folder().join("early");
        fs::write(&early, request("HEAD", "/early?data=1")).unwrap();
        let options = [
            "-tls1_3",
            "-sess_in",
            session,
            "-early_data",
            early.to_str().unwrap(),
        ];
        s_client(lab, &options, "/late");

        let events = tap.wait_for_events(3);
        server.kill().unwrap();
        server.wait().unwrap();
        let heard = fs::read_to_string(heard).unwrap();
        let lines = heard
            .lines()
            .filter_map(|line| line.strip_suffix(" HTTP/1.1"));
        let heard: Vec<_> = lines.map(str::to_owned).collect();
        assert_eq!(heard, ["GET /first", "HEAD /early?data=1", "GET /late"]);
        assert_eq!(asked(&events), heard);
    });
}

#[test]
fn a_browsers_page_and_all_that_belongs_to_it_is_read_as_apache_served_it() {
    in_a_lab(
        a_browsers_page_and_all_that_belongs_to_it_is_read_as_apache_served_it,
        |lab| {
            let https = Https::start(lab);
            https.publish_page();
            let tap = tap_with(lab, Some(https.key_log()));
            browser::look(lab, "from=chromium", &[]);
            // Apache notes a connection that asked nothing as a bad request.
            let asked = |line: &Access| line.status != "400";
            let served = || https.served().into_iter().filter(asked).collect();
            assert_as_served(&tap, 3, served);
            let events = tap.log(&[]);
            assert!(events.iter().all(|event| event["version"] == "HTTP/2"));
            browser::assert_referer(&events, "from=chromium");
            let ja4 = events[0]["ja4"].as_str().unwrap();
            assert!(ja4.starts_with("t13d"), "{ja4}");
        },
    );
}

/// The case of 2013 made over: two links of one kind, each sent once in the same chat, and only the
/// encrypted one is opened, with HEAD.
#[test]
fn of_a_pair_of_links_only_the_https_one_that_was_opened_with_head_alerts() {
    in_a_lab(
        of_a_pair_of_links_only_the_https_one_that_was_opened_with_head_alerts,
        |lab| {
            let (web, https) = (Web::start(lab), Https::start(lab));
            let tap = tap_with(lab, Some(https.key_log()));
            let mint = |scheme: &str| {
                let words = [
                    "mint",
                    "--channel",
                    "skype",
                    "--host",
                    HOST,
                    "--scheme",
                    scheme,
                ];
                let link = text(tap.command(&words).output().unwrap());
                link.trim().to_owned()
            };
            let (encrypted, plain) = (mint("https"), mint("http"));
            assert!(encrypted.starts_with("https://") && plain.starts_with("http://"));
            let id = |link: &str| {
                let shown = tap.command(&["canaries", "--format", "jsonl"]).output();
                let shown = text(shown.unwrap());
                let mut lines = shown
                    .lines()
                    .map(|line| serde_json::from_str(line).unwrap());
                let found: Value = lines.find(|one: &Value| one["url"] == link).unwrap();
                found["id"].as_str().unwrap().to_owned()
            };
            let (encrypted_id, plain_id) = (id(&encrypted), id(&plain));
            wait_for("both links are watched", || {
                tap.status().1.contains(" 4 canaries").then_some(())
            });
            let target = encrypted.split_once(HOST).unwrap().1;
            https.ask(&["--http1.1", "--head"], target);
            let alert = wait_for("the alert", || tap.log(&["--alerts"]).pop());
            assert_eq!(alert["canary"], encrypted_id.as_str(), "{alert}");
            assert_eq!(alert["method"], "HEAD", "{alert}");
            assert_eq!(alert["scheme"], "https", "{alert}");
            assert_eq!(tap.log(&["--alerts"]).len(), 1);
            assert!(
                tap.log(&["--canary", &plain_id]).is_empty(),
                "the twin was not opened"
            );

            // And the twin is watched: it would have been told.
            text(
                curl(lab, Visitor::Outside4)
                    .args(["--head", &plain])
                    .output()
                    .unwrap(),
            );
            wait_for("the twin's own visit", || {
                (tap.log(&["--canary", &plain_id]).len() == 1).then_some(())
            });
            assert_eq!(tap.log(&["--alerts"]).len(), 2);
            drop(web);
        },
    );
}

#[test]
fn without_keys_a_canarys_own_name_is_a_visit_whoever_asks() {
    in_a_lab(
        without_keys_a_canarys_own_name_is_a_visit_whoever_asks,
        |lab| {
            let nginx = Server::nginx(lab);
            let tap = tap_with(lab, None);
            tap.rewrite(|config| format!("{config}\n[[host]]\nname = \"*.canary.example.org\"\n"));
            let link = wait_for("a link of its own name", || {
                let words = ["mint", "--subdomain", "--channel", "mail"];
                let words = [&words[..], &["--host", "*.canary.example.org"]].concat();
                let minted = tap.command(&words).output().unwrap();
                minted.status.success().then_some(minted)
            });
            let said = String::from_utf8_lossy(&link.stderr).into_owned();
            assert!(said.contains("wildcard"), "{said}");
            let link = text(link).trim().to_owned();
            let name = link.strip_prefix("https://").unwrap().trim_end_matches('/');
            let name = name.split('/').next().unwrap();
            wait_for("the link is watched", || {
                tap.status().1.contains(" 3 canaries").then_some(())
            });
            ask_by_name(lab, name, &["--http2", "--head"]);
            ask_by_name(lab, name, &["--tls-max", "1.2"]);
            ask_by_name(lab, "other.canary.example.org", &["--http2"]);
            text(
                python_client_of(lab, name, "TLSv1_3", "GET", &["/"])
                    .output()
                    .unwrap(),
            );
            let served = nginx.served();
            assert_eq!(served.len(), 4, "{served:?}");
            let events = tap.wait_for_events(4);
            for (event, is_visit) in events.iter().zip([true, true, false, true]) {
                let kind = if is_visit { "visit" } else { "hello" };
                assert_eq!(event["kind"], kind, "{event}");
                assert_eq!(event["alert"], is_visit, "{event}");
                assert!(event.get("method").is_none(), "{event}");
                assert!(event.get("target").is_none(), "{event}");
                assert!(event["ja4"].as_str().unwrap().starts_with("t1"), "{event}");
            }
            assert_eq!(events[0]["alpn"], "h2");
            assert_eq!(events[0]["sni"], name);
            assert_eq!(tap.log(&["--alerts"]).len(), 3);
        },
    );
}

/// Each way of curl's to a page that is there and to one that is not.
fn curl_all_ways(lab: &Lab) {
    for (number, way) in WAYS.iter().enumerate() {
        for page in ["", "missing"] {
            let mut curl = curl_to(lab, Visitor::Outside4, &format!("192.168.1.10:{PORT}"));
            curl.args(*way);
            curl.arg(format!("https://{HOST}/{page}?way={number}"));
            text(curl.output().unwrap());
        }
    }
}

fn ask_by_name(lab: &Lab, name: &str, how: &[&str]) {
    let mut curl = curl_to(lab, Visitor::Outside4, &format!("192.168.1.10:{PORT}"));
    text(
        curl.args(how)
            .arg(format!("https://{name}/"))
            .output()
            .unwrap(),
    );
}

fn python_client(lab: &Lab, version: &str, method: &str, targets: &[&str]) -> Command {
    python_client_of(lab, HOST, version, method, targets)
}

fn python_client_of(
    lab: &Lab,
    host: &str,
    version: &str,
    method: &str,
    targets: &[&str],
) -> Command {
    let mut python = lab.on("outside", "/usr/bin/python3");
    python
        .arg(program("client.py"))
        .args(["192.168.1.10", "8443", host]);
    python.args([version, method]).args(targets);
    python
}

/// What `openssl s_client` shows while it asks for something.
fn s_client(lab: &Lab, options: &[&str], target: &str) -> String {
    let mut shell = lab.on("outside", "sh");
    // It has to hear the answer, and with it the ticket, before its input ends.
    shell.args(["-c", "{ cat; sleep 1; } | openssl s_client \"$@\"", "sh"]);
    shell.args(["-connect", "192.168.1.10:8443", "-servername", HOST]);
    shell
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = shell.stderr(Stdio::null()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, request("GET", target).as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn request(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
}

fn asked(events: &[Value]) -> Vec<String> {
    let line = |event: &Value| {
        let word = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        format!("{} {}", word("method"), word("target"))
    };
    events.iter().map(line).collect()
}

/// Suites of TLS 1.2 that go with a certificate, as OpenSSL names them.
fn suites() -> Vec<String> {
    let mut openssl = Command::new("openssl");
    openssl.args(["ciphers", "-s", "-tls1_2"]);
    openssl.arg("ALL:!aNULL:!eNULL:!PSK:!SRP:!DSS:@SECLEVEL=0"); // Apache never takes eNULL
    let list = text(openssl.output().unwrap());
    list.trim().split(':').map(str::to_owned).collect()
}
