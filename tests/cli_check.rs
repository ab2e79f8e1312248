//! `check` and the messages of a wrong configuration, as a user at a shell sees them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may assert in the plainest way"
)]

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use tempfile::TempDir;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/canarytap.toml");

/// A configuration in a folder of its own.
struct Written {
    folder: TempDir,
    path: PathBuf,
}

fn written(text: &str) -> Written {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("canarytap.toml");
    fs::write(&path, text).unwrap();
    Written { folder, path }
}

/// Exit status, standard output and standard error of a command on a configuration.
fn canarytap(command: &str, config: &Path) -> (i32, String, String) {
    let output = Command::cargo_bin("canarytap")
        .unwrap()
        .args([command, "-c"])
        .arg(config)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn check(text: &str) -> (i32, String, String) {
    let written = written(text);
    let (status, out, err) = canarytap("check", &written.path);
    let folder = written.folder.path().to_str().unwrap();
    (
        status,
        out.replace(folder, "ETC"),
        err.replace(folder, "ETC"),
    )
}

#[test]
fn what_is_missing_can_be_asked_for_alone() {
    let asked = |text: &str| {
        let written = written(text);
        let output = Command::cargo_bin("canarytap")
            .unwrap()
            .args(["check", "--complete", "-c"])
            .arg(&written.path)
            .output()
            .unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), out.lines().count(), out)
    };
    let (status, lines, out) = asked("");
    assert_eq!((status, lines), (Some(1), 2), "{out}");
    assert!(
        out.contains("no interface") && out.contains("no watched host"),
        "{out}"
    );
    // Whether the interface is there now is the daemon's affair: it waits for it.
    let whole = "[capture]\ninterface = \"eth9\"\n[[host]]\nname = \"www.example.org\"\n";
    assert_eq!(asked(whole), (Some(0), 0, String::new()));
    assert_eq!(asked("[capture]\nports = [0]\n").0, Some(2));
}

#[test]
fn the_example_is_valid_and_what_it_lacks_is_listed() {
    let (status, out, err) = canarytap("check", Path::new(EXAMPLE));
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(
        out.contains("before `run` can start: no interface"),
        "{out}"
    );
    assert!(
        out.contains("before `run` can start: no watched host"),
        "{out}"
    );
    assert!(out.contains("no canary"), "{out}");
}

#[test]
fn run_refuses_the_example_with_the_same_words() {
    let (status, out, err) = canarytap("run", Path::new(EXAMPLE));
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(err.contains("no interface"), "{err}");
    assert!(err.contains("no watched host"), "{err}");
}

#[test]
fn what_a_configuration_comes_to_is_shown() {
    let (status, out, err) = check(
        r#"
        [capture]
        interface = "lo"
        ports = [8080, 80]
        [home]
        networks = ["192.168.1.0/24", "2001:db8:1::/56"]
        public = ["198.51.100.7"]
        [[home.proxy]]
        networks = ["192.168.1.5/32"]
        header = "X-Forwarded-For"
        [store]
        directory = "/var/lib/canarytap"
        run_directory = "/run/canarytap"
        [[host]]
        name = "WWW.example.org"
        [[host]]
        name = "*.b.example"
        [[canary]]
        url = "https://www.example.org/x/login.html?user=tbtest&password=geheim"
        channel = "skype"
        label = "login link"
        [[canary]]
        url = "https://www.example.org/s/a1b2c3d4e5f6g7"
        channel = "mail"
        id = "mail1"
        [[led.light]]
        role = "alert"
        pin = 17
        [led.button]
        pin = 27
        "#,
    );
    assert_eq!((status, err.as_str()), (0, ""));
    // What the kernel knows of this machine and the filter's own words are told apart elsewhere.
    let shown: Vec<&str> = out
        .lines()
        .filter(|line| {
            !["filter", "gateway", "container"]
                .iter()
                .any(|word| line.starts_with(word))
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    ETC/canarytap.toml: valid
    capture   interface lo, ports 80 8080, ring 16MiB, memory 48MiB, responses all
    host      www.example.org
    host      *.b.example
    canary    t72xbn2rtcste  skype  login link  https://www.example.org/x/login.html?user=tbtest&password=geheim
    canary    mail1  mail  -  https://www.example.org/s/a1b2c3d4e5f6g7  token a1b2c3d4e5f6g7
    home      192.168.1.0/24, 2001:db8:1::/56
    public    198.51.100.7
    proxy     192.168.1.5/32 names visitors in x-forwarded-for
    store     /var/lib/canarytap
    run       /run/canarytap
    lights    driver auto
    light     alert on pin 17
    button    on pin 27
    "#);
    assert!(out.contains("\nfilter    "), "{out}");
}

#[test]
fn every_error_is_told_at_once_and_the_status_is_2() {
    let (status, out, err) = check(
        r#"
[capture]
interfaces = "eth1"
ports = [0]
[home]
networks = ["192.168.1.5/24"]
[[host]]
name = "https://www.example.org"
[[canary]]
url = "https://other.example/x"
channel = ""
[[led.light]]
role = "alert"
pin = 17
[led.button]
pin = 17
"#,
    );
    assert_eq!((status, out.as_str()), (2, ""));
    insta::assert_snapshot!(err, @r#"
    canarytap: ETC/canarytap.toml:3: capture.interfaces = "eth1": unknown key; did you mean interface?
    ETC/canarytap.toml:4: capture.ports = 0: must be a list of ports from 1 to 65535, or "all"
    ETC/canarytap.toml:6: home.networks = "192.168.1.5/24": has bits set behind its prefix: the network is "192.168.1.0/24"
    ETC/canarytap.toml:8: host.name = "https://www.example.org": write the host name alone, without scheme and path; such as "www.example.org", or "*.example.org" for all names below it
    ETC/canarytap.toml:10: canary.url = "https://other.example/x": its host is not watched; add [[host]] with name = "other.example"
    ETC/canarytap.toml:11: canary.channel = "": must be 1 to 200 characters on one line
    ETC/canarytap.toml:16: led.button.pin = 17: is used already, on line 14: every light and the button need their own pin
    "#);
}

#[test]
fn an_interface_that_does_not_exist_is_told_with_those_that_do() {
    let (status, _, err) = check("[capture]\ninterface = \"nosuch0\"\n");
    assert_eq!(status, 2);
    let begin = "canarytap: ETC/canarytap.toml:2: capture.interface = \"nosuch0\": ";
    assert!(err.starts_with(begin), "{err}");
    assert!(err.contains("lo"), "{err}");
}

#[test]
fn a_file_that_is_not_there_is_told_with_the_way_out() {
    let (status, _, err) = canarytap("check", Path::new("/nowhere/canarytap.toml"));
    assert_eq!(status, 2);
    assert!(
        err.starts_with("canarytap: /nowhere/canarytap.toml: cannot be read"),
        "{err}"
    );
    assert!(err.contains("-c FILE"), "{err}");
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_line() {
    let (status, _, err) = check("[capture]\ninterface = eth1\n");
    assert_eq!(status, 2);
    insta::assert_snapshot!(err, @r#"
    canarytap: ETC/canarytap.toml:2: interface = eth1: this is no TOML: string values must be quoted, expected literal string
    "#);
}
