//! `setup` on a tap whose mirror carries traffic: it finds the interface, and the first visit.

use std::fs;
use std::process::Stdio;

use crate::namespaces::in_a_lab;
use crate::network::{text, wait_for};
use crate::tap::Tap;
use crate::web::{CANARY, HOST, Load, Visitor, Web, curl, url, visit};

#[test]
fn the_mirror_is_the_suggested_interface() {
    in_a_lab(the_mirror_is_the_suggested_interface, |lab| {
        lab.lay("router"); // a network of the tap's own goes through it
        lab.lay("home");
        let (_web, tap) = (Web::start(lab), Tap::new(lab));
        let _load = Load::start(endless(lab));
        let path = lab.folder().join("new.toml");
        let mut setup = lab.on("tap", env!("CARGO_BIN_EXE_canarytap"));
        setup.args(["setup", "--host", HOST, "--channel", "none", "--yes", "-c"]);
        setup.arg(&path).arg("--data").arg(tap.data());
        let output = setup.output().unwrap();
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        text(output);
        assert!(shown.contains("eth0") && shown.contains("eth1"), "{shown}");
        let written = fs::read_to_string(path).unwrap();
        assert!(written.contains("\ninterface = \"eth1\"\n"), "{shown}");
    });
}

#[test]
fn the_daemon_takes_over_what_was_written_and_the_first_visit_is_told() {
    in_a_lab(
        the_daemon_takes_over_what_was_written_and_the_first_visit_is_told,
        |lab| {
            let (_web, tap) = (Web::start(lab), Tap::running(lab));
            let mut setup = tap.command(&["setup", "--interface", "eth1", "--host", HOST]);
            setup.args(["--channel", "letter", "--yes", "--wait", "50"]);
            setup.stdout(Stdio::piped()).stderr(Stdio::piped());
            let setup = setup.spawn().unwrap();
            wait_for("the configuration", || {
                tap.messages().contains("read again").then_some(())
            });
            visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
            let output = setup.wait_with_output().unwrap();
            let shown = String::from_utf8_lossy(&output.stderr).into_owned();
            let printed = text(output);
            assert!(printed.contains("+channel = \"letter\""), "{printed}");
            assert!(shown.contains("The daemon reads it again"), "{shown}");
            assert!(
                shown.contains("There it is: HEAD from 203.0.113.77 (outside)"),
                "{shown}"
            );
        },
    );
}

/// Somebody who visits again and again.
fn endless(lab: &crate::network::Lab) -> std::process::Command {
    let mut visits = curl(lab, Visitor::Outside4);
    visits.arg(format!("http://{HOST}/page-[1-100000]"));
    visits
}
