//! Secrets of TLS on their way to the daemon: through the pipe, and from key logs.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::https::Https;
use crate::installed::{Installed, MEMBER};
use crate::namespaces::{in_a_lab, in_a_lab_of_several_users};
use crate::network::{Lab, text, wait_for};
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

#[test]
fn a_log_that_is_there_already_or_named_later_is_read_and_its_secrets_wait() {
    in_a_lab(
        a_log_that_is_there_already_or_named_later_is_read_and_its_secrets_wait,
        |lab| {
            let [early, late] = ["early.log", "late.log"].map(|name| lab.folder().join(name));
            for (log, text) in [(&early, line(1) + &line(2)), (&late, line(3))] {
                fs::write(log, text).unwrap();
                fs::set_permissions(log, Permissions::from_mode(0o640)).unwrap();
            }
            let mut tap = Tap::new(lab);
            tap.configure(|config| format!("{config}\n[tls]\nkey_log = [{early:?}]\n"));
            tap.start();
            wait_for_words(
                &tap,
                "keys      2 secrets came, 2 wait for their connections",
            );
            tap.rewrite(|config| config.replace("early.log", "late.log"));
            wait_for_words(
                &tap,
                "keys      3 secrets came, 3 wait for their connections",
            );
            assert!(tap.status().1.contains("late.log: followed"));
            assert!(!tap.status().1.contains("early.log"));
        },
    );
}

#[test]
fn the_secrets_of_a_web_server_come_over_ssh_as_it_makes_them() {
    in_a_lab_of_several_users(
        the_secrets_of_a_web_server_come_over_ssh_as_it_makes_them,
        |lab| {
            let (mut web, mut tap) = (Https::start(lab), Installed::running(lab));
            make_key_of_web_server(lab);
            let _carrier = Carrier::start(lab, &tap, &web.key_log());
            web.visit();
            let mut came = web.secrets().len();
            // Two a direction with TLS 1.3, one in all with 1.2.
            assert_eq!(came, 2 * 4 + 1);
            wait_for_count(&tap, came);

            web.empty_key_log();
            web.visit();
            came += web.secrets().len();
            wait_for_count(&tap, came);

            web.rotate();
            web.visit();
            came += web.secrets().len();
            wait_for_count(&tap, came);

            for end in [Signal::TERM, Signal::KILL] {
                tap.end(end);
                tap.start(); // counts anew
                let before = web.secrets().len();
                web.visit();
                wait_for_count(&tap, web.secrets().len() - before);
            }
            assert_nothing_is_on_disk(&web);
        },
    );
}

#[test]
fn a_key_that_may_only_hand_over_secrets_opens_nothing_else() {
    in_a_lab_of_several_users(
        a_key_that_may_only_hand_over_secrets_opens_nothing_else,
        |lab| {
            let tap = Installed::running(lab);
            make_key_of_web_server(lab);
            let mut ssh = ssh_of_web_server(&tap);
            let output = ssh.arg("canarytap status").output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            assert!(output.stdout.is_empty(), "{output:?}");
        },
    );
}

/// What brings the key log of a web server to the tap, as the README has it.
struct Carrier {
    tail: Child,
    ssh: Child,
}

impl Carrier {
    fn start(lab: &Lab, tap: &Installed<'_>, key_log: &Path) -> Self {
        let mut tail = lab.on("tap", "tail");
        tail.args(["-n", "+1", "-F"]).arg(key_log);
        let mut tail = tail.stdout(Stdio::piped()).spawn().unwrap();
        let mut ssh = ssh_of_web_server(tap);
        ssh.stdin(tail.stdout.take().unwrap());
        Self {
            ssh: ssh.spawn().unwrap(),
            tail,
        }
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        for process in [&mut self.tail, &mut self.ssh] {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

/// A key of the web server's own, which lets it do this one thing.
fn make_key_of_web_server(lab: &Lab) {
    let mut keygen = lab.on("tap", "ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-f", "/run/ssh/web"]);
    text(keygen.output().unwrap());
    let key = fs::read_to_string("/run/ssh/web.pub").unwrap();
    let mut options = OpenOptions::new();
    let mut authorized = options.append(true).open("/run/ssh/key.pub").unwrap();
    write!(authorized, "restrict,command=\"canarytap keys\" {key}").unwrap();
}

fn ssh_of_web_server(tap: &Installed<'_>) -> std::process::Command {
    tap.ssh_with("/run/ssh/web", MEMBER)
}

/// Nothing of the tap keeps a secret anywhere: neither log nor status, nor its pipe.
fn assert_nothing_is_on_disk(web: &Https<'_>) {
    let secrets = web.secrets();
    let found = |text: &[u8]| {
        let whole = String::from_utf8_lossy(text).to_lowercase();
        secrets.iter().any(|entry| {
            let bytes = entry.secret.bytes();
            let hexadecimal: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            text.windows(bytes.len()).any(|window| window == bytes) || whole.contains(&hexadecimal)
        })
    };
    assert!(found(&fs::read(web.key_log()).unwrap()));
    for folder in ["/var/lib/canarytap", "/run/canarytap"] {
        let entries: Vec<_> = fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
        assert!(!entries.is_empty());
        for entry in entries {
            if entry.file_type().unwrap().is_file() {
                assert!(
                    !found(&fs::read(entry.path()).unwrap()),
                    "{:?}",
                    entry.path()
                );
            }
        }
    }
}

/// Exactly so many.
fn wait_for_count(tap: &Installed<'_>, count: usize) {
    wait_for(&format!("{count} secrets"), || {
        let status = tap
            .over_ssh(MEMBER, "canarytap status --format jsonl")
            .stdout;
        let status: Value = serde_json::from_slice(&status).ok()?;
        let came = status["keys"]["secrets"].as_u64()?;
        assert!(came <= count as u64, "{came} of {count}");
        (came == count as u64).then_some(())
    });
}

fn wait_for_words(tap: &Tap, words: &str) {
    wait_for(words, || tap.status().1.contains(words).then_some(()));
}

fn line(random: u8) -> String {
    let random = format!("{random:02x}").repeat(32);
    format!("CLIENT_RANDOM {random} {}\n", "07".repeat(48))
}

fn wait_for_secrets(tap: &Tap, count: u64) {
    wait_for_words(tap, &format!("keys      {count} secrets came"));
}
