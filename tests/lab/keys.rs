//! Secrets of TLS on their way to the daemon: through the pipe, and from key logs.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::process::Stdio;

use crate::namespaces::in_a_lab;
use crate::network::wait_for;
use crate::tap::Tap;

#[test]
fn secrets_reach_the_daemon_through_the_pipe_and_across_its_restart() {
    in_a_lab(
        secrets_reach_the_daemon_through_the_pipe_and_across_its_restart,
        |lab| {
            let mut tap = Tap::running(lab);
            let mut keys = tap
                .command(&["keys"])
                .stdin(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut input = keys.stdin.take().unwrap();
            input.write_all(b"# begins\nno secret at all\n").unwrap();
            input.write_all(line(1).as_bytes()).unwrap();
            wait_for_secrets(&tap, 1);

            tap.kill();
            input.write_all(line(2).as_bytes()).unwrap();
            tap.start();
            wait_for_secrets(&tap, 1); // a new daemon counts anew
            let (half, rest) = (line(3), line(4));
            input.write_all(&half.as_bytes()[..70]).unwrap();
            input.write_all(&half.as_bytes()[70..]).unwrap();
            input.write_all(rest.trim_end().as_bytes()).unwrap();
            drop(input);
            wait_for_secrets(&tap, 3);

            let output = keys.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(0));
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains("1 line was no line of a key log"), "{said}");
            assert!(!said.contains("0707"), "a secret was printed: {said}");
            assert!(!tap.messages().contains("0707"));

            assert!(tap.stop().success());
            let output = tap
                .command(&["keys"])
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(1));
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains("the daemon is not running"), "{said}");
        },
    );
}

#[test]
fn a_key_log_is_followed_across_rotation_and_refused_while_others_may_read_it() {
    in_a_lab(
        a_key_log_is_followed_across_rotation_and_refused_while_others_may_read_it,
        |lab| {
            let log = lab.folder().join("keys.log");
            let append = |text: String| {
                let mut options = OpenOptions::new();
                let mut file = options
                    .create(true)
                    .append(true)
                    .mode(0o600)
                    .open(&log)
                    .unwrap();
                file.write_all(text.as_bytes()).unwrap();
            };
            let mut tap = Tap::new(lab);
            tap.configure(|config| format!("{config}\n[tls]\nkey_log = [{log:?}]\n"));
            tap.start();
            assert!(
                tap.status().1.contains("key_log_missing"),
                "{}",
                tap.status().1
            );
            append(line(1));
            wait_for_secrets(&tap, 1);
            fs::rename(&log, lab.folder().join("keys.log.1")).unwrap();
            append(line(2) + &line(3));
            wait_for_secrets(&tap, 3);
            assert_eq!(tap.status().0, Some(0), "{}", tap.status().1);

            fs::set_permissions(&log, Permissions::from_mode(0o644)).unwrap();
            append(line(4));
            let cure = format!("sudo chmod o-rwx {}", log.display());
            wait_for("the fault and its cure", || {
                let (status, shown) = tap.status();
                (status == Some(1) && shown.contains(&cure)).then_some(())
            });
            fs::set_permissions(&log, Permissions::from_mode(0o600)).unwrap();
            wait_for("all is well again", || {
                (tap.status().0 == Some(0)).then_some(())
            });
        },
    );
}

fn line(random: u8) -> String {
    let random = format!("{random:02x}").repeat(32);
    format!("CLIENT_RANDOM {random} {}\n", "07".repeat(48))
}

fn wait_for_secrets(tap: &Tap, count: u64) {
    let shown = format!("keys      {count} secrets came");
    wait_for("the secrets", || {
        tap.status().1.contains(&shown).then_some(())
    });
}
