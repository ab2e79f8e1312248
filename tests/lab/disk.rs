//! A disk that takes no more, for a while or for good.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::card::{Card, Fault};
use crate::lights::{all_dark, first_on};
use crate::namespaces::in_a_lab;
use crate::network::{Lab, text, wait_for};
use crate::tap::{Tap, now};
use crate::web::{CANARY, HOST, Visitor, Web, url, visit};

#[test]
fn a_full_disk_costs_no_light_and_no_visit_once_there_is_room() {
    in_a_lab(
        a_full_disk_costs_no_light_and_no_visit_once_there_is_room,
        |lab| {
            let (_web, mut tap) = (Web::start(lab), Tap::new(lab));
            let disk = SmallDisk::over(&tap.data());
            tap.start();
            disk.fill();
            let before = now();
            visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
            wait_for("the alert light", || {
                first_on(&tap.lights(), "alert", before)
            });
            let shown = wait_for("the fault", || {
                let (exit, shown) = tap.status();
                (exit == Some(1)).then_some(shown)
            });
            assert!(shown.contains("store_failing"), "{shown}");
            assert!(shown.contains("armed light fault"), "{shown}");

            disk.make_room();
            wait_for("health", || (tap.status().0 == Some(0)).then_some(()));
            assert_eq!(tap.log(&["--alerts"]).len(), 1);
        },
    );
}

#[test]
fn a_stop_with_a_full_disk_says_what_is_lost() {
    in_a_lab(a_stop_with_a_full_disk_says_what_is_lost, |lab| {
        let (_web, mut tap) = (Web::start(lab), Tap::new(lab));
        let disk = SmallDisk::over(&tap.data());
        tap.start();
        disk.fill();
        let before = now();
        visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
        wait_for("the alert light", || {
            first_on(&tap.lights(), "alert", before)
        });
        let ended = tap.stop();
        assert_eq!(ended.code(), Some(1));
        assert!(tap.messages().contains("are lost"), "{}", tap.messages());
        assert!(all_dark(&tap.lights()));
    });
}

#[test]
fn a_card_that_takes_no_writes_costs_no_light_and_no_visit_once_it_is_mended() {
    in_a_lab(
        a_card_that_takes_no_writes_costs_no_light_and_no_visit_once_it_is_mended,
        |lab| {
            let (_web, mut tap) = (Web::start(lab), Tap::new(lab));
            let card = Card::over(&tap.data());
            tap.start();
            for (number, fault) in [Fault::ReadOnly, Fault::Writing].into_iter().enumerate() {
                card.fail(Some(fault));
                let before = now();
                visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
                wait_for("the alert light", || {
                    first_on(&tap.lights(), "alert", before)
                });
                let shown = wait_for("the fault", || {
                    let (_, shown) = tap.status();
                    shown.contains("store_failing").then_some(shown)
                });
                assert!(shown.contains("armed light fault"), "{fault:?}: {shown}");

                card.fail(None);
                wait_for("the visit", || {
                    (tap.log(&["--alerts"]).len() == number + 1).then_some(())
                });
                wait_for("health", || (tap.status().0 == Some(0)).then_some(()));
                tap.acknowledge();
            }
            text(tap.command(&["verify"]).output().unwrap());
        },
    );
}

#[test]
fn a_damaged_database_is_set_aside_and_the_daemon_goes_on() {
    in_a_lab(
        a_damaged_database_is_set_aside_and_the_daemon_goes_on,
        |lab| {
            let (_web, mut tap) = (Web::start(lab), Tap::running(lab));
            let see_one = |tap: &Tap, count: usize| {
                visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
                wait_for("the visit", || {
                    (tap.log(&["--alerts"]).len() >= count).then_some(())
                });
            };
            see_one(&tap, 1);
            assert!(tap.stop().success());
            // The card forgets the first page, without which SQLite reads nothing.
            let mut file = File::options().write(true).open(tap.database()).unwrap();
            file.write_all(&[0xff; 4096]).unwrap();
            drop(file);

            tap.start();
            see_one(&tap, 2);
            let (_, shown) = tap.status();
            assert!(shown.contains("store_salvaged"), "{shown}");
            assert!(
                tap.messages().contains("were salvaged"),
                "{}",
                tap.messages()
            );
            text(tap.command(&["verify"]).output().unwrap());
            let names = fs::read_dir(tap.data())
                .unwrap()
                .map(|entry| entry.unwrap().file_name());
            let aside =
                names.filter(|name| name.to_string_lossy().starts_with("events.db.damaged-"));
            assert!(aside.count() >= 1);
        },
    );
}

#[test]
fn a_card_that_gives_a_part_of_the_database_back_no_more_costs_no_more_than_that() {
    in_a_lab(
        a_card_that_gives_a_part_of_the_database_back_no_more_costs_no_more_than_that,
        |lab| {
            let (_web, mut tap) = (Web::start(lab), Tap::new(lab));
            let card = Card::over(&tap.data());
            tap.start();
            for count in 1..=8 {
                visit(lab, Visitor::Inside4, &[&url(HOST, "/page?[1-50]")]);
                visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
                wait_for("the visit", || {
                    (tap.log(&["--alerts"]).len() == count).then_some(())
                });
            }
            assert!(tap.stop().success()); // now all stands in the database itself
            let size = fs::metadata(tap.database()).unwrap().len();
            let part = [size / 3, size / 2].map(|at| at.next_multiple_of(4096));
            for ([from, to], why) in [
                (part, "page"),
                ([0, 4096], "gives nothing back from byte 0"),
            ] {
                assert!(from < to, "{size}");
                let before = tap.log(&["--alerts"]);
                let node = card.node_of("events.db");
                card.fail(Some(Fault::Reading { node, from, to }));
                tap.start();
                goes_on_with_another_database(lab, &tap, &before, why);
                let mut aside = set_aside(&tap).into_iter();
                let moved = aside.any(|name| card.node_of(&name) == node);
                assert!(moved, "it was copied: {:?}", set_aside(&tap));
                assert!(tap.stop().success());
            }
        },
    );
}

/// A visit is seen, those of before are there as they were, as far as the card gave them back, and
/// it is said why.
fn goes_on_with_another_database(lab: &Lab, tap: &Tap<'_>, before: &[Value], why: &str) {
    let began = now();
    visit(lab, Visitor::Outside4, &["--head", &url(HOST, CANARY)]);
    wait_for("the alert light", || {
        first_on(&tap.lights(), "alert", began)
    });
    let shown = wait_for("the database to be set aside", || {
        let (_, shown) = tap.status();
        shown.contains("store_salvaged").then_some(shown)
    });
    assert!(shown.contains(why), "{why}: {shown}");
    let newest = |log: &[Value]| log.last().and_then(|visit| visit["seq"].as_u64());
    let after = wait_for("the visit", || {
        let log = tap.log(&["--alerts"]);
        (newest(&log) > newest(before)).then_some(log)
    });
    let kept = before.iter().filter(|visit| after.contains(visit)).count();
    assert!(
        kept >= 1 && after.len() == kept + 1,
        "{before:?}: {after:?}"
    );
    text(tap.command(&["verify"]).output().unwrap());
}

fn set_aside(tap: &Tap<'_>) -> Vec<String> {
    let names = fs::read_dir(tap.data()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with("events.db.damaged-"))
        .collect()
}

/// A file system of few bytes.
struct SmallDisk {
    filler: PathBuf,
}

impl SmallDisk {
    fn over(folder: &Path) -> Self {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]);
        text(mount.arg(folder).output().unwrap());
        Self {
            filler: folder.join("filler"),
        }
    }

    fn fill(&self) {
        let mut file = File::create(&self.filler).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(&self.filler).unwrap();
    }
}
