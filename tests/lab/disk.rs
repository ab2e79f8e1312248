//! A disk that takes no more, for a while or for good.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::card::{Card, Fault};
use crate::lights::{all_dark, first_on};
use crate::namespaces::in_a_lab;
use crate::network::{text, wait_for};
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
