//! A disk that takes no more, for a while or for good.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

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
