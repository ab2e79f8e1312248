//! HTTPS servers of several makes, each with a log of its own, and with a TLS key log where it can
//! write one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use canarytap::engine::app::tls::keylog::{KeyLabel, KeyLogEntry};
use serde_json::Value;

use crate::browser;
use crate::http3;
use crate::https::PORT;
use crate::network::{Lab, text, wait_for};
use crate::proxy::certificate;
use crate::web::{Access, Visitor, nginx_config};

#[test]
fn readme_shows_key_logs_as_they_ran_here() {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once("### HTTPS with keys").unwrap();
    let (section, _) = section.split_once("nginx logs no keys").unwrap();
    let (_apache, section) = section.split_once("Caddyfile").unwrap();
    let run = [CADDYFILE, PYTHON, NODE, HAPROXY].join("\n");
    let run = run.replace("{folder}/", "").replace(['$', '`'], "'");
    let run = run.replace("''", "'").replace("f\"keys", "\"keys");
    let run = run.replace("tls certificate.pem key.pem {", "tls {");
    let run: Vec<_> = run.lines().map(str::trim).collect();
    let shown = section.lines().filter_map(|line| line.strip_prefix("    "));
    let shown: Vec<_> = shown
        .map(|line| line.trim().replace("/run/tls-keys/", ""))
        .collect();
    assert_eq!(shown.len(), 12, "{shown:?}");
    for line in shown {
        assert!(run.contains(&line.as_str()), "nobody ran: {line}");
    }
}

/// A running server. It stops when it is dropped.
pub struct Server {
    folder: PathBuf,
    process: Child,
    read: ReadAccess,
}

/// What a line of a server's log says of a request; None for what it says of itself.
type ReadAccess = fn(&Value) -> Option<Access>;

impl Server {
    /// Caddy, with `insecure_secrets_log`; it speaks HTTP/3 too, and has the browser's page.
    pub fn caddy(lab: &Lab) -> Self {
        let folder = folder(lab, "caddy");
        browser::publish(&folder.join("documents"));
        fs::write(folder.join("Caddyfile"), CADDYFILE).unwrap();
        let mut caddy = lab.on("server", "caddy");
        caddy.args(["run", "--config", "Caddyfile", "--adapter", "caddyfile"]);
        caddy.env("HOME", &folder).env("XDG_DATA_HOME", &folder);
        let caddy = Self::started(lab, folder, caddy, read_caddy);
        wait_for("Caddy listens for HTTP/3", || {
            listens(lab, "--udp", PORT).then_some(())
        });
        caddy
    }

    /// aioquic, with `secrets_log_file`; it speaks HTTP/3 only, and has the browser's page.
    pub fn aioquic(lab: &Lab, options: &[&str]) -> Self {
        let folder = folder(lab, "aioquic");
        browser::publish(&folder.join("documents"));
        let mut aioquic = http3::peer(lab, "server");
        aioquic.arg("serve").arg(&folder);
        aioquic
            .arg(Visitor::Outside4.server())
            .arg(PORT.to_string());
        aioquic.args(options);
        Self::started_on(lab, folder, aioquic, read_facts, "--udp")
    }

    /// Python's own, with `keylog_filename`.
    pub fn python(lab: &Lab) -> Self {
        let folder = folder(lab, "python");
        let mut python = lab.on("server", "/usr/bin/python3");
        python.arg(program("server.py")).arg(&folder);
        python.arg(PORT.to_string());
        Self::started(lab, folder, python, read_facts)
    }

    /// Node's own, with the event `keylog`.
    pub fn node(lab: &Lab) -> Self {
        let folder = folder(lab, "node");
        let mut node = lab.on("server", "node");
        node.arg(program("server.js")).arg(&folder);
        node.arg(PORT.to_string());
        Self::started(lab, folder, node, read_facts)
    }

    /// nginx, which logs no keys, with a certificate for every name below one.
    pub fn nginx(lab: &Lab) -> Self {
        let folder = folder(lab, "nginx-tls");
        fs::write(folder.join("nginx.conf"), nginx_config(NGINX)).unwrap();
        let mut nginx = lab.on("server", "nginx");
        nginx.args(["-e", "error.log", "-p"]).arg(&folder);
        nginx.arg("-c").arg(folder.join("nginx.conf"));
        Self::started(lab, folder, nginx, read_facts)
    }

    /// HAProxy, with `tune.ssl.keylog`, whose logs socat writes down.
    pub fn haproxy(lab: &Lab) -> Self {
        let folder = folder(lab, "haproxy-tls");
        fs::write(folder.join("haproxy.cfg"), HAPROXY).unwrap();
        // What ends one of them ends all.
        let script = "cat certificate.pem key.pem >both.pem
            umask 077
            socat -u UDP-RECV:5140,bind=127.0.0.1 OPEN:keys.log,creat,append &
            socat -u UDP-RECV:5141,bind=127.0.0.1 OPEN:access.log,creat,append &
            haproxy -db -f haproxy.cfg & wait";
        let mut shell = lab.on("server", "sh");
        shell.args(["-c", script]);
        Self::started(lab, folder, shell, read_facts)
    }

    /// Starts it in its folder and waits until it listens.
    fn started(lab: &Lab, folder: PathBuf, command: Command, read: ReadAccess) -> Self {
        Self::started_on(lab, folder, command, read, "--tcp")
    }

    fn started_on(
        lab: &Lab,
        folder: PathBuf,
        mut command: Command,
        read: ReadAccess,
        transport: &str,
    ) -> Self {
        command.current_dir(&folder).stdin(Stdio::null());
        let mut process = command.spawn().unwrap();
        wait_for("the server listens", || {
            let ended = process.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended: {ended:?}");
            listens(lab, transport, PORT).then_some(())
        });
        Self {
            folder,
            process,
            read,
        }
    }

    /// Where its certificate stands.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }

    /// Where its secrets stand.
    pub fn key_log(&self) -> PathBuf {
        self.folder.join("keys.log")
    }

    /// Whether a secret of this kind stands there.
    pub fn logs(&self, label: KeyLabel) -> bool {
        let log = fs::read_to_string(self.key_log()).unwrap();
        let lines = log.lines().map(|line| KeyLogEntry::parse(line.as_bytes()));
        lines.flatten().any(|entry| entry.label == label)
    }

    /// What the server says it served to whom.
    pub fn served(&self) -> Vec<Access> {
        let log = fs::read_to_string(self.folder.join("access.log")).unwrap_or_default();
        let whole = log.rsplit_once('\n').map_or("", |(lines, _)| lines);
        let lines = whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        lines.filter_map(|line| (self.read)(&line)).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Whether something listens on a port of the server's; `transport` is `--tcp` or `--udp`.
pub fn listens(lab: &Lab, transport: &str, port: u16) -> bool {
    let mut ss = lab.on("server", "ss");
    ss.args(["--no-header", "--listening", transport, "--numeric"]);
    ss.arg(format!("sport = :{port}"));
    !text(ss.output().unwrap()).is_empty()
}

/// A program of the lab's own.
pub fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/lab/programs")
        .join(name)
}

/// One with a certificate in it.
fn folder(lab: &Lab, name: &str) -> PathBuf {
    let folder = lab.folder().join(name);
    fs::create_dir(&folder).unwrap();
    text(certificate(&folder).output().unwrap());
    folder
}

fn read_facts(line: &Value) -> Option<Access> {
    Some(serde_json::from_value(line.clone()).unwrap())
}

fn read_caddy(line: &Value) -> Option<Access> {
    let request = line.get("request")?;
    let text = |key: &str| request[key].as_str().unwrap().to_owned();
    Some(Access {
        src: text("remote_ip"),
        src_port: text("remote_port"),
        method: text("method"),
        host: text("host"),
        target: text("uri"),
        version: text("proto"),
        status: line["status"].to_string(),
    })
}

/// The configurations that run here.
const HAPROXY: &str = include_str!("programs/haproxy.cfg");
pub const CADDYFILE: &str = include_str!("programs/Caddyfile");
const PYTHON: &str = include_str!("programs/server.py");
const NODE: &str = include_str!("programs/server.js");
const NGINX: &str = r#"
    server {
        listen 8443 ssl http2;
        ssl_certificate certificate.pem;
        ssl_certificate_key key.pem;
        location / { return 200 "hello\n"; }
    }
"#;
