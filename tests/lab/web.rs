//! The web server (nginx) and its visitors (curl).

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

use crate::network::{Lab, text, wait_for};

/// The watched host.
pub const HOST: &str = "www.example.org";
/// Another one on the same server, not watched.
pub const OTHER_HOST: &str = "other.example.net";
/// What the canary's URL asks for.
pub const CANARY: &str = "/x/login.html?user=tbtest&password=geheim";

/// A running web server. It stops when it is dropped.
pub struct Web {
    process: Child,
    access_log: PathBuf,
}

/// A line of nginx's own log.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Access {
    pub src: String,
    pub src_port: String,
    pub method: String,
    pub host: String,
    pub target: String,
    pub version: String,
    pub status: String,
}

impl Web {
    /// Starts nginx on the server and waits until it listens.
    pub fn start(lab: &Lab) -> Self {
        let folder = lab.folder().join("nginx");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("bulk"), "bulk data\n".repeat(30_000)).unwrap();
        let config = folder.join("nginx.conf");
        fs::write(&config, nginx_config(CONFIG)).unwrap();
        let process = lab
            .on("server", "nginx")
            .args(["-e", "error.log", "-p"])
            .arg(&folder)
            .arg("-c")
            .arg(&config)
            .spawn()
            .unwrap();
        wait_for("nginx listens", || {
            folder.join("nginx.pid").exists().then_some(())
        });
        Self {
            process,
            access_log: folder.join("access.log"),
        }
    }

    /// What nginx says it served to whom.
    pub fn served(&self) -> Vec<Access> {
        let log = fs::read_to_string(&self.access_log).unwrap();
        log.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Where a visitor sits and how it reaches the server.
#[derive(Clone, Copy)]
pub enum Visitor {
    Outside4,
    Outside6,
    Inside4,
    Inside6,
}

impl Visitor {
    pub const ALL: [Self; 4] = [Self::Outside4, Self::Outside6, Self::Inside4, Self::Inside6];

    /// The address that it has.
    pub fn address(self) -> &'static str {
        match self {
            Self::Outside4 => "203.0.113.77",
            Self::Outside6 => "2001:db8::77",
            Self::Inside4 => "192.168.1.20",
            Self::Inside6 => "fd00:1::20",
        }
    }

    /// The host that it sits on, which is named for where that stands.
    pub fn host(self) -> &'static str {
        match self {
            Self::Outside4 | Self::Outside6 => "outside",
            Self::Inside4 | Self::Inside6 => "inside",
        }
    }

    pub fn server(self) -> &'static str {
        match self {
            Self::Outside4 | Self::Inside4 => "192.168.1.10",
            Self::Outside6 | Self::Inside6 => "[fd00:1::10]",
        }
    }
}

/// A curl on a host that takes every name for the server's.
pub fn curl(lab: &Lab, from: Visitor) -> Command {
    curl_to(lab, from, &format!("{}:", from.server()))
}

/// A curl that connects to `ADDRESS:PORT`, or `ADDRESS:` for the URL's own port.
pub fn curl_to(lab: &Lab, from: Visitor, server: &str) -> Command {
    let mut command = lab.on(from.host(), "curl");
    command
        .args([
            "--silent",
            "--show-error",
            "--insecure",
            "--max-time",
            "20",
            "--output",
            "/dev/null",
        ])
        .arg("--connect-to")
        .arg(format!("::{server}"));
    command
}

/// One run of curl with these arguments; all of them must be answered.
pub fn visit(lab: &Lab, from: Visitor, arguments: &[&str]) {
    text(curl(lab, from).args(arguments).output().unwrap());
}

/// A curl that goes on visiting in the background until it is dropped.
pub struct Load(Child);

impl Load {
    pub fn start(mut curl: Command) -> Self {
        Self(curl.stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.0.kill();
        self.0.wait().unwrap();
    }
}

pub fn url(host: &str, target: &str) -> String {
    format!("http://{host}{target}")
}

/// The configuration of an nginx whose log a test can read, with this inside of `http`.
pub fn nginx_config(http: &str) -> String {
    NGINX.replace("HTTP", http)
}

const NGINX: &str = r#"
daemon off;
master_process off;
user root root;
pid nginx.pid;
events {}
http {
    log_format facts escape=json '{"src":"$remote_addr","src_port":"$remote_port",'
        '"method":"$request_method","host":"$host","target":"$request_uri",'
        '"version":"$server_protocol","status":"$status"}';
    access_log access.log facts;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
HTTP
}
"#;

/// What it has inside of `http`.
pub const CONFIG: &str = r#"
    keepalive_requests 100000;
    server {
        listen 80;
        listen [::]:80;
        listen 8080 proxy_protocol;
        server_name www.example.org other.example.net;
        location / { return 200 "hello\n"; }
        location /moved { return 302 /; }
        location /missing { return 404; }
        location /bulk { root .; }
        location /large { return 200 "$request_id$request_id$request_id$request_id\n"; }
    }
"#;
