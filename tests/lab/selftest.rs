//! The self-test: a link for the owner's phone, followed from the wire to the light.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::namespaces::{in_a_lab, is_long};
use crate::network::wait_for;
use crate::tap::Tap;
use crate::web::{HOST, Visitor, Web, url, visit};

#[test]
fn a_link_that_is_opened_is_followed_through_every_stage_and_forgotten() {
    in_a_lab(
        a_link_that_is_opened_is_followed_through_every_stage_and_forgotten,
        |lab| {
            let (_web, tap) = (Web::start(lab), Tap::running(lab));
            let shown = tested(&tap, &["--timeout", "50"], |link| {
                visit(lab, Visitor::Outside4, &[link]);
            });
            assert_eq!(shown.0, Some(0), "{}", shown.1);
            let mut from = 0;
            for stage in ["watched", "packet", "engine", "store", "light", "well: "] {
                let at = shown.1[from..].find(stage);
                from += at.unwrap_or_else(|| panic!("{stage}: {}", shown.1));
            }
            assert!(shown.1.contains('█'), "a picture of the link: {}", shown.1);
            // The alert is acknowledged, and the link raises none any more.
            wait_for("a dark light", || {
                tap.status().1.contains("alert light dark").then_some(())
            });
            let alerts = tap.log(&["--alerts"]);
            assert_eq!(
                (alerts.len(), &alerts[0]["channel"]),
                (1, &"selftest".into())
            );
            wait_for("its canary to be forgotten", || {
                tap.status().1.contains(" 2 canaries").then_some(())
            });
        },
    );
}

#[test]
fn a_stage_that_does_not_happen_is_named_with_its_cure() {
    in_a_lab(a_stage_that_does_not_happen_is_named_with_its_cure, |lab| {
        let (_web, tap) = (Web::start(lab), Tap::running(lab));
        let (exit, shown) = tested(&tap, &["--timeout", "3"], |_| {});
        assert_eq!(exit, Some(1));
        // A stray frame of the lab's own may have come in.
        let missing = ["no packet came in at all", "packets came in, but none for"];
        assert!(
            missing
                .iter()
                .any(|one| shown.contains(&format!("MISSING {one}"))),
            "{shown}"
        );
        let (exit, shown) = tested(&tap, &["--timeout", "3"], |_| {
            visit(lab, Visitor::Outside4, &[&url(HOST, "/page")]);
        });
        assert_eq!(exit, Some(1));
        assert!(shown.contains("none for the link"), "{shown}");
        let (exit, shown) = tested(&tap, &["--timeout", "50"], |link| {
            visit(lab, Visitor::Inside4, &[link]);
        });
        assert_eq!(exit, Some(1));
        assert!(shown.contains("off your Wi-Fi"), "{shown}");
    });
}

#[test]
fn each_sink_that_has_the_alert_is_told_of_with_its_time() {
    in_a_lab(
        each_sink_that_has_the_alert_is_told_of_with_its_time,
        |lab| {
            let told = lab.folder().join("told");
            let sink = SINK.replace("FILE", told.to_str().unwrap());
            let mut tap = Tap::configured(lab, |config| format!("{config}{sink}"));
            let _web = Web::start(lab);
            tap.start();
            let mut out = tap.command(&["alert", "run"]).spawn().unwrap();
            wait_for("somebody who tells", || {
                tap.status().1.contains("alert to  program").then_some(())
            });
            let shown = tested(&tap, &["--timeout", "50"], |link| {
                visit(lab, Visitor::Outside4, &[link]);
            });
            assert_eq!(shown.0, Some(0), "{}", shown.1);
            let light = shown.1.find("light ").unwrap();
            let alert = shown.1.find("alert    program has it").unwrap();
            assert!(light < alert, "{}", shown.1);
            assert!(fs::read_to_string(told).unwrap().contains("selftest"));

            // Nobody tells any more.
            out.kill().unwrap();
            out.wait().unwrap();
            if !is_long() {
                return; // a minute is waited for it
            }
            let shown = tested(&tap, &["--timeout", "50"], |link| {
                visit(lab, Visitor::Outside4, &[link]);
            });
            assert_eq!(shown.0, Some(1), "{}", shown.1);
            assert!(
                shown.1.contains("MISSING program was not told"),
                "{}",
                shown.1
            );
        },
    );
}

const SINK: &str = r#"
[[alert]]
name = "program"
kind = "command"
command = ["/bin/sh", "-c", "cat >> FILE"]
"#;

/// Runs the test; `happens` gets the link when it is shown.
fn tested(tap: &Tap, arguments: &[&str], happens: impl FnOnce(&str)) -> (Option<i32>, String) {
    let mut command = tap.command(&["selftest", "--scheme", "http"]);
    command.args(arguments).stdout(Stdio::piped());
    let mut test = command.spawn().unwrap();
    let mut lines = BufReader::new(test.stdout.take().unwrap()).lines();
    let mut shown = String::new();
    let mut happens = Some(happens);
    while let Some(Ok(line)) = lines.next() {
        shown.push_str(&line);
        shown.push('\n');
        if line.starts_with("http://") {
            if let Some(happens) = happens.take() {
                happens(&line);
            }
        }
    }
    (test.wait().unwrap().code(), shown)
}
