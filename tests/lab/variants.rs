//! The ways to listen that the guide names beside a switch with a mirror port.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::namespaces::in_a_lab;
use crate::network::{Lab, text};
use crate::tap::Tap;
use crate::web::{CANARY, HOST, Visitor, Web, url, visit};

#[test]
fn the_recipe_for_openwrt_mirrors_both_directions() {
    in_a_lab(the_recipe_for_openwrt_mirrors_both_directions, |lab| {
        let clear = Command::new("tc")
            .args(["qdisc", "del", "dev", "port-server", "clsact"])
            .output();
        text(clear.unwrap());
        for line in recipe() {
            let line = line
                .replace("lan2", "port-server")
                .replace("lan4", "mirror");
            let mut words = line.split_whitespace();
            let mut command = Command::new(words.next().unwrap());
            text(command.args(words).output().unwrap());
        }
        let (_web, tap) = (Web::start(lab), Tap::running(lab));
        one_visit_with_its_status(lab, &tap);
        assert_eq!(lab.frames_sent_by_tap(), 0);
    });
}

#[test]
fn a_tap_on_the_server_itself_sees_each_visit_once() {
    in_a_lab(a_tap_on_the_server_itself_sees_each_visit_once, |lab| {
        let own = |config: &str| config.replace("\"eth1\"", "\"eth0\"");
        let mut tap = Tap::configured(lab, own).at("server");
        let _web = Web::start(lab);
        tap.start();
        one_visit_with_its_status(lab, &tap);
    });
}

#[test]
fn a_bridge_before_the_server_sees_each_visit_once() {
    in_a_lab(a_bridge_before_the_server_sees_each_visit_once, |lab| {
        let servers_side = |config: &str| config.replace("\"eth1\"", "\"port-server\"");
        let mut tap = Tap::configured(lab, servers_side).at("switch");
        let _web = Web::start(lab);
        tap.start();
        one_visit_with_its_status(lab, &tap);
    });
}

/// The status shows that the answer was seen, too.
fn one_visit_with_its_status(lab: &Lab, tap: &Tap<'_>) {
    visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
    visit(lab, Visitor::Inside4, &[&url(HOST, "/last")]);
    let events = tap.wait_for_events(2);
    let seen: Vec<_> = events
        .iter()
        .map(|event| (event["method"].as_str(), event["status"].as_u64()))
        .collect();
    assert_eq!(seen, [(Some("HEAD"), Some(200)), (Some("GET"), Some(200))]);
}

/// The lines of the guide.
fn recipe() -> Vec<String> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide.md");
    let guide = fs::read_to_string(guide).unwrap();
    let lines = guide
        .lines()
        .filter_map(|line| line.strip_prefix("    tc "));
    let lines: Vec<String> = lines.map(|line| format!("tc {line}")).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    lines
}
