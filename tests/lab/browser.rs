//! A browser without a screen, and a page for it with all that belongs to one: Chromium.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::https::PORT;
use crate::network::{Lab, text};
use crate::web::HOST;

/// The targets of the page, of its style and of its script.
pub const TARGETS: [&str; 3] = ["/site/page.html", "/site/style.css", "/site/script.js"];

/// Lays the page among a server's documents.
pub fn publish(documents: &Path) {
    fs::create_dir_all(documents.join("site")).unwrap();
    for (target, content) in TARGETS.iter().zip([PAGE, STYLE, SCRIPT]) {
        fs::write(documents.join(target.trim_start_matches('/')), content).unwrap();
    }
}

/// Looks at the page from outside, and waits until it is shown with all that belongs to it.
pub fn look(lab: &Lab, query: &str, options: &[String]) {
    let url = format!("https://{HOST}{}?{query}", TARGETS[0]);
    // A browser that ends at its start, without having asked for anything, is started again.
    let shown = (0..3)
        .map(|_| text(chromium(lab, options).arg(&url).output().unwrap()))
        .find(|shown| !shown.trim().is_empty())
        .unwrap_or_default();
    assert!(shown.contains("<title>done</title>"), "{shown}");
}

/// That the script was asked for by the page that was looked at with this query.
pub fn assert_referer(events: &[Value], query: &str) {
    let script = events.iter().find(|event| event["target"] == TARGETS[2]);
    let referer = script.unwrap()["referer"].as_str().unwrap();
    assert!(
        referer.ends_with(&format!("{}?{query}", TARGETS[0])),
        "{referer}"
    );
}

/// How to make it speak HTTP/3 from the start, to a server with this certificate: over QUIC it
/// believes no other that nobody has signed.
pub fn over_quic(lab: &Lab, certificate: &Path) -> Vec<String> {
    let hash = "openssl x509 -pubkey -noout -in \"$1\" | openssl pkey -pubin -outform der |
                openssl dgst -sha256 -binary | openssl base64";
    let mut shell = lab.on("outside", "sh");
    let hash = text(
        shell
            .args(["-c", hash, "sh"])
            .arg(certificate)
            .output()
            .unwrap(),
    );
    vec![
        format!("--origin-to-force-quic-on={HOST}:443"),
        format!("--ignore-certificate-errors-spki-list={}", hash.trim()),
    ]
}

fn chromium(lab: &Lab, options: &[String]) -> Command {
    let profile = lab.folder().join("profile");
    let mut chromium = lab.on("outside", "timeout");
    chromium.args(["60", "chromium", "--headless", "--no-sandbox"]);
    chromium.args(["--disable-gpu", "--disable-dev-shm-usage"]);
    chromium.args(["--ignore-certificate-errors", "--no-first-run"]);
    chromium.args(["--disable-background-networking", "--dump-dom"]);
    chromium.arg(format!(
        "--host-resolver-rules=MAP {HOST} 192.168.1.10:{PORT}"
    ));
    chromium.arg(format!("--user-data-dir={}", profile.display()));
    chromium.args(options).env("HOME", lab.folder());
    chromium.env_remove("LD_LIBRARY_PATH").stderr(Stdio::null());
    chromium
}

const PAGE: &str = "<!doctype html><title>page</title><link rel=stylesheet href=style.css>\n\
                    <link rel=icon href=data:,>\n<p>hello</p><script src=script.js></script>\n";
const STYLE: &str = "p { color: red }\n";
const SCRIPT: &str = "document.title = 'done';\n";
