//! `canarytap run` and `status` before anything runs: what is missing, and how to mend it.

#![allow(clippy::unwrap_used, reason = "tests may assert in the plainest way")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

mod common;

use common::rights::without_rights;

const HOST: &str = "[[host]]\nname = \"www.example.org\"\n";

fn canarytap() -> Command {
    Command::new(env!("CARGO_BIN_EXE_canarytap"))
}

fn run(mut command: Command, folder: &Path, config: &str, arguments: &[&str]) -> Output {
    let path = folder.join("canarytap.toml");
    let data = folder.join("data");
    let store = format!(
        "[store]\ndirectory = \"{0}\"\nrun_directory = \"{0}/run\"\n",
        data.display()
    );
    fs::write(&path, format!("{config}{store}")).unwrap();
    command
        .arg("-c")
        .arg(path)
        .args(arguments)
        .output()
        .unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn without_interface_and_host_it_says_both() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(canarytap(), folder.path(), "", &["run"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("no interface"));
    assert!(errors(&output).contains("no watched host"));
}

#[test]
fn an_interface_that_does_not_exist_is_named_with_line_and_those_that_do() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!("[capture]\ninterface = \"eth99\"\n{HOST}");
    for command in ["run", "check"] {
        let output = run(canarytap(), folder.path(), &config, &[command]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        let errors = errors(&output);
        assert!(errors.contains("canarytap.toml:2"), "{errors}");
        assert!(
            errors.contains("eth99") && errors.contains("lo"),
            "{errors}"
        );
    }
}

#[test]
fn without_permission_it_names_the_capability_and_the_command_that_grants_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!("[capture]\ninterface = \"lo\"\n[led]\ndriver = \"none\"\n{HOST}");
    let command = without_rights(folder.path());
    let output = run(command, folder.path(), &config, &["run"]);
    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("CAP_NET_RAW"), "{errors}");
    assert!(errors.contains("sudo setcap cap_net_raw"), "{errors}");
}

#[test]
fn status_without_a_daemon_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(canarytap(), folder.path(), HOST, &["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("not running"));
    assert!(errors(&output).contains("systemctl start canarytap"));
}

#[test]
fn what_is_no_command_is_wrong_usage() {
    let output = canarytap().arg("frobnicate").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
