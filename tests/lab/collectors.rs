//! Collectors of logs, set up with the very lines that README has for them.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};

use serde_json::Value;

use crate::namespaces::in_a_lab;
use crate::network::{Lab, wait_for};
use crate::sinks::{Out, modules};
use crate::tap::Tap;
use crate::web::{CANARY, HOST, Visitor, Web, url, visit};

#[test]
fn rsyslog_as_readme_has_it_keeps_each_alert() {
    in_a_lab(rsyslog_as_readme_has_it_keeps_each_alert, |lab| {
        keeps_each_alert(lab, |lab, folder| {
            let config = written(lab, "rsyslog", "");
            let mut collector = lab.on("tap", "rsyslogd");
            collector.arg("-n").arg("-f").arg(config);
            collector.arg("-i").arg(folder.join("rsyslog.pid"));
            collector.arg("-M").arg(modules("rsyslog"));
            collector
        });
    });
}

#[test]
fn syslog_ng_as_readme_has_it_keeps_each_alert() {
    in_a_lab(syslog_ng_as_readme_has_it_keeps_each_alert, |lab| {
        keeps_each_alert(lab, |lab, folder| {
            // A file of its conf.d needs no version.
            let config = written(lab, "syslog-ng", "@version: current\n");
            let mut collector = lab.on("tap", "syslog-ng");
            collector.args(["-F", "--no-caps", "-f"]).arg(config);
            collector.arg("-p").arg(folder.join("syslog-ng.pid"));
            collector.arg("-c").arg(folder.join("syslog-ng.control"));
            collector.arg("-R").arg(folder.join("syslog-ng.persist"));
            collector.arg("--module-path").arg(modules("syslog-ng"));
            collector
        });
    });
}

/// Two visits, and what the collector's file has of them.
fn keeps_each_alert(lab: &Lab, collector: impl Fn(&Lab, PathBuf) -> Command) {
    lab.on_tap("link set lo up");
    let _web = Web::start(lab);
    let mut tap = Tap::configured(lab, |config| format!("{config}{SINK}"));
    tap.start();
    let _out = Out::start(&tap);
    wait_for("somebody who tells", || {
        tap.status().1.contains("alert to  ").then_some(())
    });
    visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
    let mut running = Running(collector(lab, lab.folder().to_path_buf()).spawn().unwrap());
    visit(lab, Visitor::Outside6, &[&url(HOST, CANARY)]);
    let log = lab.folder().join("canarytap.log");
    let kept = wait_for("two alerts in the collector's file", || {
        assert_eq!(running.0.try_wait().unwrap(), None, "the collector ended");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<Value> = text.lines().filter_map(event_of).collect();
        (lines.len() >= 2).then_some(lines)
    });
    assert_eq!(kept, tap.log(&["--alerts"]));
}

/// The event at the end of a line; what stands before it is the collector's choice.
fn event_of(line: &str) -> Option<Value> {
    serde_json::from_str(line.get(line.find('{')?..)?).ok()
}

/// Writes what README has for a collector, which logs into the lab's folder then.
fn written(lab: &Lab, name: &str, first: &str) -> PathBuf {
    let readme = include_str!("../../README.md");
    let (_, lines) = readme.split_once(&format!("\n{name}:\n\n")).unwrap();
    let lines: Vec<_> = lines
        .lines()
        .map_while(|line| line.strip_prefix("    "))
        .collect();
    assert!(lines.len() >= 4, "{lines:?}");
    let folder = format!("{}/", lab.folder().to_str().unwrap());
    let text = lines.join("\n").replace("/var/log/", &folder);
    let config = lab.folder().join(format!("{name}.conf"));
    fs::write(&config, format!("{first}{text}\n")).unwrap();
    config
}

/// Killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

const SINK: &str = r#"
[[alert]]
kind = "syslog"
url = "tcp://127.0.0.1:601"
"#;
