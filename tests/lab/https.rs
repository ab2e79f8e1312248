//! Apache with HTTPS, as a server that logs its keys: `SSLKEYLOGFILE`.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use canarytap::engine::app::tls::keylog::KeyLogEntry;

use crate::browser;
use crate::network::{Lab, text, tools, wait_for};
use crate::proxy::certificate;
use crate::web::{Access, CANARY, HOST, Visitor, curl_to};

/// A running server. It stops when it is dropped.
pub struct Https<'lab> {
    lab: &'lab Lab,
    folder: PathBuf,
    process: Child,
}

impl<'lab> Https<'lab> {
    /// Starts it and waits until it listens.
    pub fn start(lab: &'lab Lab) -> Self {
        let folder = lab.folder().join("https");
        fs::create_dir_all(folder.join("documents")).unwrap();
        fs::write(folder.join("documents/index.html"), "hello\n").unwrap();
        text(certificate(&folder).output().unwrap());
        text(rsa_certificate(&folder).output().unwrap());
        let config = CONFIG
            .replace("MODULES", modules().to_str().unwrap())
            .replace("FOLDER", folder.to_str().unwrap());
        fs::write(folder.join("apache.conf"), config).unwrap();
        Self {
            lab,
            process: spawn(lab, &folder),
            folder,
        }
    }

    /// Where its secrets stand: readable by its owner only, as it makes the file.
    pub fn key_log(&self) -> PathBuf {
        self.folder.join("keys.log")
    }

    /// The key log is renamed, and the server makes a new one, as `logrotate` does it.
    pub fn rotate(&mut self) {
        fs::rename(self.key_log(), self.folder.join("keys.log.1")).unwrap();
        self.end();
        self.process = spawn(self.lab, &self.folder);
    }

    /// The key log is emptied where it is, as `truncate` does it.
    pub fn empty_key_log(&self) {
        let mut options = OpenOptions::new();
        let log = options.write(true).truncate(true).open(self.key_log());
        drop(log.unwrap());
    }

    /// Puts the browser's page among its documents.
    pub fn publish_page(&self) {
        browser::publish(&self.folder.join("documents"));
    }

    /// Secrets in the key log that are of use.
    pub fn secrets(&self) -> Vec<KeyLogEntry> {
        let log = fs::read_to_string(self.key_log()).unwrap();
        let lines = log.lines().map(|line| KeyLogEntry::parse(line.as_bytes()));
        lines.filter_map(Result::ok).collect()
    }

    /// One request of curl's with these arguments; it must be answered.
    pub fn ask(&self, arguments: &[&str], target: &str) {
        let from = Visitor::Outside4;
        let mut curl = curl_to(self.lab, from, &format!("{}:{PORT}", from.server()));
        curl.args(arguments).arg(format!("https://{HOST}{target}"));
        text(curl.output().unwrap());
    }

    /// What the server says it served to whom.
    pub fn served(&self) -> Vec<Access> {
        let log = fs::read_to_string(self.folder.join("access.log")).unwrap_or_default();
        log.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// A visitor from outside with TLS 1.3 and 1.2, HTTP/2 and HTTP/1.1.
    pub fn visit(&self) {
        for how in ["--http2", "--http1.1", "--tls-max=1.2"] {
            let how: Vec<&str> = how.split('=').collect();
            self.ask(&how, CANARY);
        }
    }

    fn end(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Https<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// Apache refuses to serve as root, which everybody is in a lab: it is given a namespace in which
/// nobody is anybody.
fn spawn(lab: &Lab, folder: &Path) -> Child {
    // One that was killed leaves it behind.
    let _none = fs::remove_file(folder.join("apache.pid"));
    let mut apache = lab.on("server", "unshare");
    apache
        .args(["--user", "apache2", "-X", "-f"])
        .arg(folder.join("apache.conf"))
        .env("SSLKEYLOGFILE", folder.join("keys.log"));
    let process = apache.spawn().unwrap();
    wait_for("the server listens", || {
        let mut ss = lab.on("server", "ss");
        ss.args(["--no-header", "--listening", "--tcp", "--numeric"]);
        ss.arg(format!("sport = :{PORT}"));
        (!text(ss.output().unwrap()).is_empty()).then_some(())
    });
    process
}

fn modules() -> PathBuf {
    let own = tools().join("usr/lib/apache2/modules");
    let mut folders = [PathBuf::from("/usr/lib/apache2/modules"), own].into_iter();
    folders.find(|folder| folder.exists()).unwrap()
}

/// A second certificate, for the suites that go with RSA.
fn rsa_certificate(folder: &Path) -> Command {
    let mut openssl = Command::new("openssl");
    openssl.args("req -x509 -nodes -days 2 -subj /CN=www.example.org -newkey rsa:2048".split(' '));
    openssl.args(["-keyout", "rsa-key.pem", "-out", "rsa-certificate.pem"]);
    openssl.current_dir(folder);
    openssl
}

/// Where it listens.
pub const PORT: u16 = 8443;

const CONFIG: &str = r#"
ServerRoot "FOLDER"
DefaultRuntimeDir "FOLDER"
PidFile "FOLDER/apache.pid"
ErrorLog "FOLDER/error.log"
ServerName www.example.org
Listen 0.0.0.0:8443
LoadModule mpm_event_module "MODULES/mod_mpm_event.so"
LoadModule authz_core_module "MODULES/mod_authz_core.so"
LoadModule http2_module "MODULES/mod_http2.so"
LoadModule ssl_module "MODULES/mod_ssl.so"
Protocols h2 http/1.1
DocumentRoot "FOLDER/documents"
LogFormat "{\"src\":\"%a\",\"src_port\":\"%{remote}p\",\"method\":\"%m\",\"host\":\"%V\",\"target\":\"%U%q\",\"version\":\"%H\",\"status\":\"%>s\"}" facts
CustomLog "FOLDER/access.log" facts
UseCanonicalName Off
SSLEngine on
SSLCertificateFile "FOLDER/certificate.pem"
SSLCertificateKeyFile "FOLDER/key.pem"
SSLCertificateFile "FOLDER/rsa-certificate.pem"
SSLCertificateKeyFile "FOLDER/rsa-key.pem"
SSLCipherSuite ALL:COMPLEMENTOFALL:@SECLEVEL=0
"#;
