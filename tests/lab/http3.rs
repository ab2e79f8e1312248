//! Servers that speak HTTP/3 and log their keys, and clients that ask them: aioquic and Caddy.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::network::{Lab, text, tools, wait_for};
use crate::proxy::certificate;
use crate::web::{Access, HOST, Visitor};

/// Where they listen.
pub const PORT: u16 = 8443;

/// A running server. It stops when it is dropped.
pub struct Http3 {
    folder: PathBuf,
    process: Child,
    serves: fn(&str) -> Option<Access>,
}

impl Http3 {
    /// Starts aioquic's server and waits until it listens.
    pub fn aioquic(lab: &Lab, options: &[&str]) -> Self {
        let folder = folder(lab);
        let mut server = peer(lab, "server");
        server.arg("serve").arg(&folder);
        server.arg(Visitor::Outside4.server()).arg(PORT.to_string());
        server.args(options).stdout(Stdio::piped());
        let mut process = server.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
        Self {
            folder,
            process,
            serves: |line| serde_json::from_str(line).ok(),
        }
    }

    /// Starts Caddy, with HTTP/1.1 and 2 over TCP beside HTTP/3.
    pub fn caddy(lab: &Lab) -> Self {
        let folder = folder(lab);
        let config = CADDY.replace("FOLDER", folder.to_str().unwrap());
        fs::write(folder.join("Caddyfile"), config).unwrap();
        let mut caddy = lab.on("server", "caddy");
        caddy
            .args(["run", "--config"])
            .arg(folder.join("Caddyfile"));
        caddy.env("HOME", &folder).stderr(Stdio::null());
        let process = caddy.spawn().unwrap();
        wait_for("Caddy listens", || {
            let mut ss = lab.on("server", "ss");
            ss.args(["--no-header", "--listening", "--udp", "--numeric"]);
            ss.arg(format!("sport = :{PORT}"));
            (!text(ss.output().unwrap()).is_empty()).then_some(())
        });
        Self {
            folder,
            process,
            serves: of_caddy,
        }
    }

    /// Where its secrets stand.
    pub fn key_log(&self) -> PathBuf {
        self.folder.join("keys.log")
    }

    /// What the server says it served to whom.
    pub fn served(&self) -> Vec<Access> {
        let log = fs::read_to_string(self.folder.join("access.log")).unwrap_or_default();
        log.lines().filter_map(self.serves).collect()
    }

    /// What a browser is told to take for a good certificate.
    pub fn fingerprint(&self) -> String {
        let script = "openssl x509 -in certificate.pem -pubkey -noout | openssl pkey -pubin -outform der \
                      | openssl dgst -sha256 -binary | base64";
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).current_dir(&self.folder);
        text(shell.output().unwrap()).trim().to_owned()
    }
}

impl Drop for Http3 {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Asks with aioquic's client from outside; each target must be answered.
pub fn ask(lab: &Lab, options: &[&str], targets: &[&str]) {
    let mut client = peer(lab, Visitor::Outside4.host());
    client.arg("ask").arg(Visitor::Outside4.server());
    client.arg(PORT.to_string()).arg(HOST);
    client.args(options).args(targets);
    let answers = text(client.output().unwrap());
    assert!(answers.lines().count() >= targets.len(), "{answers}");
}

fn folder(lab: &Lab) -> PathBuf {
    let folder = lab.folder().join("http3");
    fs::create_dir_all(&folder).unwrap();
    text(certificate(&folder).output().unwrap());
    folder
}

/// The script with both sides, by whichever Python has aioquic.
fn peer(lab: &Lab, host: &str) -> Command {
    let own = tools().join("aioquic/bin/python");
    let python = if own.exists() { own } else { "python3".into() };
    let mut command = lab.on(host, python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/peers/http3.py"));
    command
}

/// A line of Caddy's own log.
fn of_caddy(line: &str) -> Option<Access> {
    let line: Value = serde_json::from_str(line).ok()?;
    let of = |key: &str| line["request"][key].as_str().map(str::to_owned);
    Some(Access {
        src: of("remote_ip")?,
        src_port: of("remote_port")?,
        method: of("method")?,
        host: of("host")?.split(':').next()?.to_owned(),
        target: of("uri")?,
        version: of("proto")?.replace(".0", ""),
        status: line["status"].to_string(),
    })
}

const CADDY: &str = r#"
{
	auto_https disable_redirects
	admin off
	log {
		output file FOLDER/access.log
		format json
	}
}
https://www.example.org:8443 {
	tls FOLDER/certificate.pem FOLDER/key.pem {
		insecure_secrets_log FOLDER/keys.log
	}
	log
	respond /missing 404
	respond "a page" 200
}
"#;
