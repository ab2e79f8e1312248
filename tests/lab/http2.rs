//! HTTP/2 in clear text: what nginx and Apache say they served to curl and nghttp, and what the
//! tap saw of it.

use std::fs;
use std::process::{Child, Command};

use serde_json::Value;

use crate::namespaces::in_a_lab;
use crate::network::{Lab, text, tools, wait_for};
use crate::tap::Tap;
use crate::web::{Access, CANARY, HOST, OTHER_HOST, Visitor, curl_to, nginx_config};

#[test]
fn clients_with_prior_knowledge_and_the_tap_agree_with_nginx() {
    in_a_lab(
        clients_with_prior_knowledge_and_the_tap_agree_with_nginx,
        |lab| {
            let (server, tap) = (Server::nginx(lab), tap(lab));
            for from in Visitor::ALL {
                visit_by_curl(lab, from, "--http2-prior-knowledge");
                visit_by_nghttp(lab, from);
            }
            assert_agreed(&server, &tap);
        },
    );
}

#[test]
fn clients_with_prior_knowledge_or_upgrade_and_the_tap_agree_with_apache() {
    in_a_lab(
        clients_with_prior_knowledge_or_upgrade_and_the_tap_agree_with_apache,
        |lab| {
            let (server, tap) = (Server::apache(lab), tap(lab));
            for from in Visitor::ALL {
                visit_by_curl(lab, from, "--http2-prior-knowledge");
                visit_by_nghttp(lab, from);
                upgrade(lab, from);
            }
            assert_agreed(&server, &tap);
        },
    );
}

#[test]
fn an_upgrade_that_nginx_refuses_stays_http1() {
    in_a_lab(an_upgrade_that_nginx_refuses_stays_http1, |lab| {
        let web = crate::web::Web::start(lab);
        let tap = Tap::running(lab);
        let mut curl = curl_to(lab, Visitor::Outside4, "192.168.1.10:80");
        curl.arg("--http2").args([url("/1"), url("/2")]);
        text(curl.output().unwrap());
        let events = tap.wait_for_events(2);
        let versions: Vec<_> = events.iter().map(|event| &event["version"]).collect();
        assert_eq!(versions, ["HTTP/1.1", "HTTP/1.1"]);
        assert_eq!(web.served().len(), 2);
    });
}

/// A server of HTTP/2 on port 8082. It stops when it is dropped.
struct Server {
    process: Child,
    log: std::path::PathBuf,
}

impl Server {
    fn nginx(lab: &Lab) -> Self {
        let folder = lab.folder().join("nginx-http2");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("nginx.conf"), nginx_config(NGINX)).unwrap();
        let mut nginx = lab.on("server", "nginx");
        nginx.args(["-e", "error.log", "-p"]).arg(&folder);
        nginx.arg("-c").arg(folder.join("nginx.conf"));
        Self::started(lab, nginx, &folder)
    }

    /// Apache refuses to serve as root, which everybody is in a lab: it is given a namespace in
    /// which nobody is anybody.
    fn apache(lab: &Lab) -> Self {
        let folder = lab.folder().join("apache");
        fs::create_dir_all(folder.join("documents")).unwrap();
        fs::write(
            folder.join("documents/index.html"),
            "hello\n".repeat(10_000),
        )
        .unwrap();
        let modules = [
            "/usr/lib/apache2/modules".into(),
            tools().join("usr/lib/apache2/modules"),
        ]
        .into_iter()
        .find(|folder| folder.exists())
        .unwrap();
        let config = APACHE
            .replace("MODULES", modules.to_str().unwrap())
            .replace("FOLDER", folder.to_str().unwrap());
        fs::write(folder.join("apache.conf"), config).unwrap();
        let mut apache = lab.on("server", "unshare");
        apache.args(["--user", "apache2", "-DFOREGROUND", "-f"]);
        apache.arg(folder.join("apache.conf"));
        Self::started(lab, apache, &folder)
    }

    fn started(lab: &Lab, mut command: Command, folder: &std::path::Path) -> Self {
        let server = Self {
            process: command.spawn().unwrap(),
            log: folder.join("access.log"),
        };
        wait_for("the server listens", || {
            let mut ss = lab.on("server", "ss");
            ss.args(["--no-header", "--listening", "--tcp", "--numeric"]);
            ss.arg(format!("sport = :{PORT}"));
            (!text(ss.output().unwrap()).is_empty()).then_some(())
        });
        server
    }

    /// What it says it served to whom. An upgraded request stands there twice: by its 101, and by
    /// its answer in HTTP/2, next to each other. It was made in HTTP/1.
    fn served(&self) -> Vec<Access> {
        let lines = self.lines();
        let mut served = lines.clone();
        for access in &mut served {
            access.version = access.version.replace("HTTP/2.0", "HTTP/2");
        }
        for (place, switched) in lines.iter().enumerate().filter(|(_, line)| is_switch(line)) {
            // Earlier connections may have had the same port.
            let answers = lines.iter().enumerate().filter(|(_, line)| {
                let (port, target) = (&switched.src_port, &switched.target);
                !is_switch(line) && (&line.src_port, &line.target) == (port, target)
            });
            if let Some((answer, _)) = answers.min_by_key(|(other, _)| other.abs_diff(place)) {
                served[answer].version = "HTTP/1.1".to_owned();
            }
        }
        served.retain(|access| !is_switch(access));
        served
    }

    /// Who began in HTTP/1 and went on in HTTP/2: address and port.
    fn upgraded(&self) -> Vec<(String, String)> {
        let mut lines = self.lines();
        lines.retain(is_switch);
        lines
            .into_iter()
            .map(|access| (access.src, access.src_port))
            .collect()
    }

    fn lines(&self) -> Vec<Access> {
        let log = fs::read_to_string(&self.log).unwrap();
        log.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn is_switch(access: &Access) -> bool {
    access.status == "101"
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn tap(lab: &Lab) -> Tap<'_> {
    let mut tap = Tap::configured(lab, |text| text.replace("[80, 8080]", "\"all\""));
    tap.start();
    tap
}

/// HEAD, GET and POST, with bodies and heads that take many frames. A connection each: curl 7.88
/// fails at a second request in clear text.
fn visit_by_curl(lab: &Lab, from: Visitor, version: &str) {
    let go = |arguments: &[&str]| {
        let mut curl = curl_to(lab, from, &format!("{}:{PORT}", from.server()));
        let output = curl.arg(version).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    };
    let [canary, page, missing] = [CANARY, "/page?a=b", "/missing"].map(url);
    go(&["--head", &canary]);
    for one in [&canary, &page, &missing] {
        go(&[one]);
    }
    let large = format!("x={}", "y".repeat(50_000));
    for (body, target) in [("user=x", &canary), (&large, &page)] {
        // A server that has answered may refuse the rest of a body, and curl minds.
        let mut curl = curl_to(lab, from, &format!("{}:{PORT}", from.server()));
        curl.args([version, "--data", body, target])
            .output()
            .unwrap();
    }
    go(&["--header", "Host: other.example.net", &canary]);
    go(&[&canary.replace(HOST, OTHER_HOST)]);
    let cookie = format!("Cookie: {}", "c".repeat(6000));
    let referer = "http://www.example.org/";
    go(&["--header", &cookie, "--referer", referer, &page]);
}

/// Many streams at once, priorities, padding, a head cut into CONTINUATION frames, tables of other
/// sizes.
fn visit_by_nghttp(lab: &Lab, from: Visitor) {
    let go = |arguments: &[&str], targets: &[&str]| {
        let mut nghttp = nghttp(lab, from);
        nghttp.args(arguments);
        nghttp.args(targets.iter().map(|target| at(from, target)));
        text(nghttp.output().unwrap());
    };
    go(&[], &[CANARY]);
    go(&["--multiply=20"], &["/many", CANARY]);
    go(&["--padding=200", "--weight=3"], &["/padded", "/padded"]);
    go(&["--continuation", "--trailer=x: y"], &["/continued"]);
    go(
        &["--header-table-size=0", "--encoder-header-table-size=0"],
        &["/nothing-kept", CANARY],
    );
    go(
        &[
            "--header-table-size=65536",
            "--encoder-header-table-size=65536",
        ],
        &["/kept", CANARY],
    );
    go(&["--header=:method: HEAD"], &[CANARY]);
    go(
        &["--no-content-length", "--data=/etc/services"],
        &["/posted"],
    );
}

fn upgrade(lab: &Lab, from: Visitor) {
    let mut curl = curl_to(lab, from, &format!("{}:{PORT}", from.server()));
    text(curl.args(["--http2", &url(CANARY)]).output().unwrap());
    let mut curl = curl_to(lab, from, &format!("{}:{PORT}", from.server()));
    text(
        curl.args(["--http2", "--head", &url("/head")])
            .output()
            .unwrap(),
    );
    let mut nghttp = nghttp(lab, from);
    nghttp.arg("--upgrade");
    nghttp.args(["/upgraded", CANARY, "/more"].map(|target| at(from, target)));
    text(nghttp.output().unwrap());
}

/// Names the watched host, whatever the address that it asks.
fn nghttp(lab: &Lab, from: Visitor) -> Command {
    let mut command = lab.on(from.host(), "nghttp");
    command.args(["--null-out", "--timeout=20"]);
    command.arg(format!("--header=:authority: {HOST}"));
    command
}

fn at(from: Visitor, target: &str) -> String {
    format!("http://{}:{PORT}{target}", from.server())
}

fn url(target: &str) -> String {
    format!("http://{HOST}{target}")
}

/// Waits until the tap's log says the same as the server's; both may be a little late.
fn assert_agreed(server: &Server, tap: &Tap<'_>) {
    let mut before = (Vec::new(), Vec::new());
    wait_for("tap and server agree", || {
        let difference = difference(server, tap);
        if difference == (Vec::new(), Vec::new()) {
            return Some(());
        }
        if difference != before {
            println!(
                "only served: {:#?}\nonly seen: {:#?}",
                difference.0, difference.1
            );
            before = difference;
        }
        None
    });
    let count = tap.log(&[]).len();
    assert!(count > 100, "only {count} requests");
    let (_, status) = tap.status();
    for counter in [
        "http2_malformed",
        "http2_lost",
        "http2_heads_lost",
        "http1_malformed",
    ] {
        assert!(!status.contains(counter), "{counter} in\n{status}");
    }
}

/// What only the server served, and what only the tap saw.
fn difference(server: &Server, tap: &Tap<'_>) -> (Vec<Facts>, Vec<Facts>) {
    let served: Vec<Facts> = server.served().iter().filter_map(told).collect();
    let seen: Vec<Facts> = tap.log(&[]).iter().map(facts).collect();
    // Behind an Upgrade Apache at times drops the requests that follow it.
    let upgraded = server.upgraded();
    let was_dropped = |[src, src_port, .., status]: &Facts| {
        status == "null" && upgraded.contains(&(src.clone(), src_port.clone()))
    };
    let mut only_seen = without(&seen, &served);
    only_seen.retain(|facts| !was_dropped(facts));
    (without(&served, &seen), only_seen)
}

/// Those of `facts` that `others` lack, as often as they do.
fn without(facts: &[Facts], others: &[Facts]) -> Vec<Facts> {
    let mut others = others.to_vec();
    let mut rest = Vec::new();
    for one in facts {
        match others.iter().position(|other| other == one) {
            Some(place) => drop(others.swap_remove(place)),
            None => rest.push(one.clone()),
        }
    }
    rest
}

type Facts = [String; 7];

fn facts(event: &Value) -> Facts {
    [
        "src", "src_port", "method", "host", "target", "version", "status",
    ]
    .map(|key| match &event[key] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

/// The event that a line of the server's log must be; None when the tap must be silent.
fn told(access: &Access) -> Option<Facts> {
    let Access {
        src,
        src_port,
        method,
        host,
        target,
        version,
        status,
    } = access.clone();
    let is_told = host == HOST && (target == CANARY || ["GET", "HEAD"].contains(&&*method));
    is_told.then_some([src, src_port, method, host, target, version, status])
}

const PORT: u16 = 8082;

const NGINX: &str = r#"
    http2_max_concurrent_streams 1000;
    server {
        listen 8082 http2;
        listen [::]:8082 http2;
        location / { return 200 "hello\n"; }
        location /missing { return 404; }
    }
"#;

const APACHE: &str = r#"
ServerRoot "FOLDER"
DefaultRuntimeDir "FOLDER"
PidFile "FOLDER/apache.pid"
ErrorLog "FOLDER/error.log"
ServerName www.example.org
Listen 0.0.0.0:8082
Listen [fd00:1::10]:8082
LoadModule mpm_event_module "MODULES/mod_mpm_event.so"
LoadModule authz_core_module "MODULES/mod_authz_core.so"
LoadModule alias_module "MODULES/mod_alias.so"
LoadModule http2_module "MODULES/mod_http2.so"
Protocols h2c http/1.1
DocumentRoot "FOLDER/documents"
Redirect 302 /c /
LogFormat "{\"src\":\"%a\",\"src_port\":\"%{remote}p\",\"method\":\"%m\",\"host\":\"%{Host}i\",\"target\":\"%U%q\",\"version\":\"%H\",\"status\":\"%>s\"}" facts
CustomLog "FOLDER/access.log" facts
"#;
