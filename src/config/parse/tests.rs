use std::net::IpAddr;
use std::path::PathBuf;

use super::*;
use crate::config::{CaptureConfig, LedDriver, LightRole, Place, Responses};
use crate::engine::canary::{HostPattern, PortSet, ProxyHeader};

const EXAMPLE: &str = include_str!("../../../config/canarytap.toml");

/// The configuration that the documentation shows.
const FULL: &str = r#"
[capture]
interface = "eth1"
ports = [80, 443, 8080]
buffer = "16MiB"
memory = "48MiB"
responses = "all"

[home]
networks = ["auto"]
public = []
[[home.proxy]]
networks = ["192.168.1.5/32"]
header = "x-forwarded-for"

[store]
directory = "/var/lib/canarytap"
run_directory = "/run/canarytap"
requests_max = "100MiB"

[[host]]
name = "www.example.org"
addresses = []

[[canary]]
url = "https://www.example.org/x/login.html?user=tbtest&password=geheim"
channel = "skype"
label = "login link"

[led]
driver = "auto"
[[led.light]]
role = "alert"
pin = 17
[led.button]
pin = 27
"#;

const HOST: &str = "[[host]]\nname = \"www.example.org\"\n";

fn good(text: &str) -> Config {
    parse(text, Path::new("t.toml")).unwrap()
}

/// The errors, one a line.
fn bad(text: &str) -> Vec<String> {
    let errors = parse(text, Path::new("t.toml")).unwrap_err();
    errors.to_string().lines().map(str::to_owned).collect()
}

/// The only error.
fn error(text: &str) -> String {
    let mut errors = bad(text);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    errors.remove(0)
}

#[track_caller]
fn assert_error(text: &str, begins: &str, says: &str) {
    let error = error(text);
    assert!(error.starts_with(begins), "{error}");
    assert!(error.contains(says), "{error}");
}

/// The example with its commented lines in force: those that begin with `#` and no space.
fn uncommented(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let code = line.strip_prefix('#').filter(|rest| !rest.is_empty());
        match code {
            Some(rest) if !rest.starts_with([' ', '#']) => rest,
            _ => line,
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_key_of_the_documentation_is_read() {
    let config = good(FULL);
    assert_eq!(config.capture.interface.as_deref(), Some("eth1"));
    assert_eq!(config.capture.interface_place.line, Some(3));
    assert_eq!(config.capture.buffer_bytes, 16 << 20);
    assert_eq!(config.capture.memory_bytes, 48 << 20);
    assert_eq!(config.home.proxies[0].header, ProxyHeader::XForwardedFor);
    assert_eq!(
        config.store.run_directory,
        Some(PathBuf::from("/run/canarytap"))
    );
    assert_eq!(
        config.hosts[0].pattern,
        HostPattern::Exact("www.example.org".into())
    );
    assert_eq!(config.canaries[0].channel, "skype");
    assert_eq!(config.led.lights[0].role, LightRole::Alert);
    assert_eq!(config.led.button.map(|button| button.pin), Some(27));
    assert!(config.missing().is_empty());
}

#[test]
fn an_empty_file_is_all_defaults() {
    let config = good("");
    let capture = CaptureConfig {
        interface: None,
        interface_place: Place::default(),
        ports: PortSet::Some(vec![80, 443, 8080]),
        buffer_bytes: 16 << 20,
        memory_bytes: 48 << 20,
        responses: Responses::All,
    };
    assert_eq!(config.capture, capture);
    assert!(config.home.auto);
    assert_eq!(config.store.directory, PathBuf::from("/var/lib/canarytap"));
    assert_eq!(config.store.requests_max_bytes, 100 << 20);
    assert_eq!(config.led.driver, LedDriver::Auto);
    assert!(config.hosts.is_empty() && config.canaries.is_empty());
}

#[test]
fn the_example_says_what_the_defaults_are() {
    let (example, defaults) = (good(EXAMPLE), good(""));
    assert_eq!(example.capture, defaults.capture);
    assert_eq!(example.home, defaults.home);
    assert_eq!(example.evidence, defaults.evidence);
    assert_eq!(example.store, defaults.store);
    assert_eq!(example.hosts, defaults.hosts);
    assert_eq!(example.canaries, defaults.canaries);
    assert_eq!(example.led.driver, defaults.led.driver);
    assert_eq!(example.missing().len(), 2);
}

#[test]
fn the_example_is_valid_with_every_comment_in_force() {
    let config = good(&uncommented(EXAMPLE));
    assert!(config.capture.interface.is_some());
    assert!(!config.hosts.is_empty());
    assert!(!config.canaries.is_empty());
    assert!(!config.home.proxies.is_empty());
    assert!(config.store.run_directory.is_some());
    assert!(config.missing().is_empty());
}

#[test]
fn moving_lines_changes_no_configuration() {
    let moved = format!("# a comment\n\n{FULL}");
    assert_eq!(good(FULL), good(&moved));
    assert_ne!(good(FULL), good(&FULL.replace("eth1", "eth2")));
}

#[test]
fn every_error_is_told_at_once_in_the_order_of_the_file() {
    let errors = bad(
        "[capture]\nport = [80]\nbuffer = 16\n[home]\nnetworks = [\"192.168.1.5/24\"]\n\
         [[host]]\nname = \"a b\"\n[led]\ndriver = \"lamp\"\n[extra]\n",
    );
    let lines: Vec<&str> = errors
        .iter()
        .map(|error| error.split(':').nth(1).unwrap())
        .collect();
    assert_eq!(lines, ["2", "3", "5", "7", "9", "10"]);
}

#[test]
fn an_error_names_file_line_key_value_and_rule() {
    assert_eq!(
        error("[home]\n\nnetworks = [\"192.168.1.5/24\"]\n"),
        "t.toml:3: home.networks = \"192.168.1.5/24\": has bits set behind its prefix: the \
         network is \"192.168.1.0/24\""
    );
}

#[test]
fn an_unknown_key_is_refused_with_the_one_that_was_meant() {
    assert_eq!(
        error("[capture]\ninterfaces = \"eth1\"\n"),
        "t.toml:2: capture.interfaces = \"eth1\": unknown key; did you mean interface?"
    );
    assert_error(
        "[home]\ncolour = 1\n",
        "t.toml:2: home.colour = 1",
        "known here: ",
    );
    assert_error(
        "[hosts]\nname = 1\n",
        "t.toml:1: hosts:",
        "did you mean host?",
    );
}

#[test]
fn a_value_of_another_type_is_refused() {
    for (text, begins) in [
        (
            "[capture]\ninterface = 1\n",
            "t.toml:2: capture.interface = 1:",
        ),
        ("[capture]\nbuffer = 16\n", "t.toml:2: capture.buffer = 16:"),
        (
            "[home]\nnetworks = \"auto\"\n",
            "t.toml:2: home.networks = \"auto\":",
        ),
        ("capture = 1\n", "t.toml:1: capture = 1:"),
        ("[host]\nname = \"a.org\"\n", "t.toml:1: host"),
    ] {
        assert_error(text, begins, "must be");
    }
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_lines() {
    let errors = bad("[capture]\ninterface = \n[home]\nnetworks = [\"auto\"\n");
    assert!(errors.len() >= 2, "{errors:#?}");
    assert!(
        errors[0].starts_with("t.toml:2: interface ="),
        "{errors:#?}"
    );
    assert!(errors[0].contains("no TOML"), "{errors:#?}");
}

#[test]
fn a_key_that_stands_twice_is_refused_beside_other_errors() {
    let errors = bad("[capture]\ninterface = \"a\"\ninterface = \"b\"\nports = [0]\n");
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(
        errors[0].starts_with("t.toml:3: interface = \"b\":"),
        "{errors:#?}"
    );
    assert!(errors[0].contains("duplicate key"), "{errors:#?}");
    assert!(
        errors[1].starts_with("t.toml:4: capture.ports = 0:"),
        "{errors:#?}"
    );
}

#[test]
fn ports_are_a_list_in_range_or_all() {
    assert_eq!(
        good("[capture]\nports = \"all\"\n").capture.ports,
        PortSet::All
    );
    let some = good("[capture]\nports = [8080, 80, 80]\n").capture.ports;
    assert_eq!(some, PortSet::Some(vec![80, 8080]));
    for ports in [
        "[]",
        "\"every\"",
        "[0]",
        "[65536]",
        "[-1]",
        "[\"80\"]",
        "80",
    ] {
        assert_error(
            &format!("[capture]\nports = {ports}\n"),
            "t.toml:2: capture.ports",
            "1 to 65535",
        );
    }
}

#[test]
fn sizes_have_units_and_bounds() {
    let config = good("[capture]\nbuffer = \"64 MiB\"\n[store]\nrequests_max = \"2GB\"\n");
    assert_eq!(config.capture.buffer_bytes, 64 << 20);
    assert_eq!(config.store.requests_max_bytes, 2_000_000_000);
    for size in [
        "\"16\"",
        "\"16mib\"",
        "\"4GiB\"",
        "\"\"",
        "\"-1MiB\"",
        "16000000",
    ] {
        assert_error(
            &format!("[capture]\nbuffer = {size}\n"),
            &format!("t.toml:2: capture.buffer = {size}:"),
            "such as \"16MiB\"",
        );
    }
}

#[test]
fn networks_are_refused_with_what_was_meant() {
    for (network, says) in [
        ("10.1.0.0/8", "\"10.0.0.0/8\""),
        ("2001:db8::1/64", "\"2001:db8::/64\""),
        ("192.168.1.5", "\"192.168.1.5/32\""),
        ("2001:db8::1", "\"2001:db8::1/128\""),
        ("192.168.1.0/33", "must be a network"),
        ("home", "must be a network"),
    ] {
        assert_error(
            &format!("[home]\nnetworks = [\"auto\", \"{network}\"]\n"),
            &format!("t.toml:2: home.networks = \"{network}\":"),
            says,
        );
    }
}

#[test]
fn without_auto_only_named_networks_are_home() {
    let config = good("[home]\nnetworks = [\"192.168.1.0/24\"]\ngateways = [\"192.168.1.1\"]\n");
    let home = config.home_anywhere();
    assert_eq!(home.networks, ["192.168.1.0/24".parse().unwrap()]);
    assert_eq!(home.gateways, ["192.168.1.1".parse::<IpAddr>().unwrap()]);
}

#[test]
fn a_container_range_that_is_named_a_home_network_is_one() {
    let config = good("[home]\nnetworks = [\"172.16.0.0/12\"]\n");
    let home = config.home_anywhere();
    assert_eq!(home.containers, ["10.88.0.0/16".parse().unwrap()]);
}

#[test]
fn a_proxy_needs_addresses_and_a_header_that_proxies_write() {
    let proxy = |lines: &str| format!("[[home.proxy]]\n{lines}\n");
    let networks = "networks = [\"192.168.1.5/32\"]\n";
    assert_error(
        &proxy(networks),
        "t.toml:1: home.proxy.header:",
        "one header",
    );
    let header = "header = \"forwarded\"";
    assert_error(
        &proxy(header),
        "t.toml:1: home.proxy.networks:",
        "addresses",
    );
    for (header, says) in [
        ("x-fowarded-for", "did you mean x-forwarded-for?"),
        ("proxy protocol", "name of a header field"),
        ("cf-conecting-ip", "did you mean cf-connecting-ip?"),
    ] {
        let text = proxy(&format!("{networks}header = \"{header}\""));
        assert_error(&text, "t.toml:3: home.proxy.header", says);
    }
    for (header, read) in [
        ("Forwarded", ProxyHeader::Forwarded),
        ("proxy-protocol", ProxyHeader::ProxyProtocol),
        ("X-Real-IP", ProxyHeader::Single("x-real-ip".into())),
        ("x-my-own", ProxyHeader::Single("x-my-own".into())),
    ] {
        let config = good(&proxy(&format!("{networks}header = \"{header}\"")));
        assert_eq!(config.home.proxies[0].header, read);
    }
}

#[test]
fn nobody_may_trust_everyone_or_one_proxy_in_two_headers() {
    assert_error(
        "[[home.proxy]]\nnetworks = [\"0.0.0.0/0\"]\nheader = \"forwarded\"\n",
        "t.toml:2: home.proxy.networks = \"0.0.0.0/0\":",
        "let everyone name himself",
    );
    assert_error(
        "[[home.proxy]]\nnetworks = [\"10.0.0.0/8\"]\nheader = \"forwarded\"\n\
         [[home.proxy]]\nnetworks = [\"10.1.0.0/16\"]\nheader = \"x-real-ip\"\n",
        "t.toml:5: home.proxy.networks = \"10.1.0.0/16\":",
        "overlaps with \"10.0.0.0/8\"",
    );
}

#[test]
fn a_host_that_is_none_is_refused_with_the_reason() {
    for (name, says) in [
        ("https://www.example.org/", "without scheme"),
        ("www.example.org:8080", "no port"),
        ("www example.org", "no ' '"),
        ("", "needed"),
        ("*", "no '*'"),
    ] {
        assert_error(
            &format!("[[host]]\nname = \"{name}\"\n"),
            &format!("t.toml:2: host.name = \"{name}\":"),
            says,
        );
    }
    assert_error("\n[[host]]\n", "t.toml:2: host.name:", "needs a name");
    let twice = format!("{HOST}[[host]]\nname = \"WWW.example.org.\"\n");
    assert_error(&twice, "t.toml:4: host.name", "by line 2");
}

#[test]
fn a_canary_needs_a_watched_host_and_a_channel() {
    let canary = |lines: &str| format!("{HOST}[[canary]]\n{lines}\n");
    for (lines, begins, says) in [
        (
            "url = \"http://other.org/x\"\nchannel = \"a\"",
            "t.toml:4: canary.url = \"http://other.org/x\":",
            "name = \"other.org\"",
        ),
        (
            "url = \"/x\"\nchannel = \"a\"",
            "t.toml:4: canary.url",
            "http://",
        ),
        (
            "url = \"http://www.example.org/x\"",
            "t.toml:3: canary.channel:",
            "channel",
        ),
        (
            "url = \"http://www.example.org/x\"\nchannel = \" \"",
            "t.toml:5: canary.channel = \" \":",
            "1 to 200",
        ),
        ("channel = \"a\"", "t.toml:3: canary.url:", "given away"),
        (
            "url = \"http://www.example.org/x\"\nchannel = \"a\"\nid = \"A-1\"",
            "t.toml:6: canary.id = \"A-1\":",
            "lower-case letters",
        ),
    ] {
        assert_error(&canary(lines), begins, says);
    }
}

#[test]
fn a_url_or_an_id_belongs_to_one_canary_only() {
    let canary = |url: &str, id: &str| {
        format!("[[canary]]\nurl = \"{url}\"\nchannel = \"a\"\nid = \"{id}\"\n")
    };
    let urls = canary("http://www.example.org/x", "a") + &canary("https://www.example.org/X", "b");
    assert_error(
        &format!("{HOST}{urls}"),
        "t.toml:8: canary.url",
        "by line 4",
    );
    let ids = canary("http://www.example.org/x", "a") + &canary("http://www.example.org/y", "a");
    assert_error(&format!("{HOST}{ids}"), "t.toml:10: canary.id", "on line 6");
}

#[test]
fn a_host_below_a_watched_name_may_have_canaries() {
    let config = good(
        "[[host]]\nname = \"*.example.org\"\n\
         [[canary]]\nurl = \"http://a.example.org/x\"\nchannel = \"a\"\n",
    );
    assert_eq!(config.canaries().len(), 1);
}

#[test]
fn a_pin_is_used_once_and_in_range() {
    let light = |role: &str, pin: &str| format!("[[led.light]]\nrole = \"{role}\"\npin = {pin}\n");
    let twice = light("alert", "17") + &light("armed", "17");
    assert_error(&twice, "t.toml:6: led.light.pin = 17:", "on line 3");
    let button = light("alert", "17") + "[led.button]\npin = 17\n";
    assert_error(&button, "t.toml:5: led.button.pin = 17:", "on line 3");
    assert_error(
        &light("alert", "28"),
        "t.toml:3: led.light.pin = 28:",
        "0 to 27",
    );
    assert_error("[led.button]\n", "t.toml:1: led.button.pin:", "BCM");
    let chip = "[led]\ndriver = \"gpiochip\"\n".to_owned() + &light("alert", "28");
    assert_eq!(good(&chip).led.lights[0].pin, 28);
}

#[test]
fn a_light_has_a_role_of_its_own() {
    assert_error(
        "[[led.light]]\npin = 1\n",
        "t.toml:1: led.light.role:",
        "alert",
    );
    let twice =
        "[[led.light]]\nrole = \"alert\"\npin = 1\n[[led.light]]\nrole = \"alert\"\npin = 2\n";
    assert_error(twice, "t.toml:5: led.light.role", "on line 2");
    assert_error(
        "[[led.light]]\nrole = \"disco\"\npin = 1\n",
        "t.toml:2: led.light.role = \"disco\":",
        "alert, armed, activity",
    );
}

#[test]
fn a_canary_has_the_same_id_always_unless_its_owner_chose_one() {
    let ids = |text: &str| -> Vec<String> {
        let canaries = good(text).canaries();
        canaries.into_iter().map(|canary| canary.id).collect()
    };
    let made = ids(FULL);
    assert_eq!(made, ids(&FULL.replace("https://www", "HTTP://WWW")));
    assert_eq!(made[0].len(), 13);
    let chosen = FULL.replace("label =", "id = \"k7f3q2m9\"\nlabel =");
    assert_eq!(ids(&chosen), ["k7f3q2m9"]);
}

#[test]
fn what_two_canaries_have_in_common_is_no_token() {
    let canary = |path: &str| {
        format!("[[canary]]\nurl = \"http://www.example.org/{path}\"\nchannel = \"a\"\n")
    };
    let one = format!("{HOST}{}", canary("a1b2c3d4e5f6g7/x"));
    assert_eq!(
        good(&one).canaries()[0].token.as_deref(),
        Some("a1b2c3d4e5f6g7")
    );
    let two = one + &canary("a1b2c3d4e5f6g7/y");
    assert!(
        good(&two)
            .canaries()
            .iter()
            .all(|canary| canary.token.is_none())
    );
}

#[test]
fn a_canary_on_the_front_page_is_remarked_upon() {
    let front = "[[canary]]\nurl = \"http://www.example.org/?u=1\"\nchannel = \"a\"\n";
    let remarks = good(&format!("{HOST}{front}")).remarks();
    assert_eq!(remarks.len(), 1);
    assert!(remarks[0].contains("front page of www.example.org"));
    assert!(good(FULL).remarks().is_empty());
    assert!(good("").remarks()[0].contains("add [[canary]] with its url and channel"));
}

#[test]
fn an_interface_that_does_not_exist_is_an_error_with_those_that_do() {
    let config = good("\n[capture]\ninterface = \"nosuch0\"\n");
    let error = config.check_interface().unwrap_err().to_string();
    assert!(
        error.starts_with("t.toml:3: capture.interface = \"nosuch0\":"),
        "{error}"
    );
    assert!(error.contains("lo"), "{error}");
    for name in ["lo", "any"] {
        let config = good(&format!("[capture]\ninterface = \"{name}\"\n"));
        assert!(config.check_interface().is_ok(), "{name}");
    }
}

#[test]
fn a_directory_is_an_absolute_path() {
    assert_error(
        "[store]\ndirectory = \"data\"\n",
        "t.toml:2: store.directory = \"data\":",
        "absolute path",
    );
}

#[test]
fn key_logs_are_absolute_paths_each_named_once() {
    let config = good("[tls]\nkey_log = [\"/var/log/tls/keys.log\", \"/srv/keys.log\"]\n");
    let logs: Vec<_> = config.key_logs.iter().map(|log| log.to_str()).collect();
    assert_eq!(logs, [Some("/var/log/tls/keys.log"), Some("/srv/keys.log")]);
    assert!(good("[tls]\n").key_logs.is_empty());
}

#[test]
fn a_key_log_that_the_service_cannot_see_is_remarked() {
    let remarks = |path: &str| {
        let config = good(&format!("[tls]\nkey_log = [\"{path}\"]\n"));
        let mut remarks = config.remarks();
        remarks.retain(|remark| remark.contains("key log"));
        remarks.len()
    };
    assert_eq!(remarks("/var/log/tls/keys.log"), 0);
    assert_eq!(remarks("/homes/keys.log"), 0);
    assert_eq!(remarks("/home/me/keys.log"), 1);
    assert_eq!(remarks("/tmp/keys.log"), 1);
}

#[test]
fn a_key_log_that_is_relative_or_named_twice_or_no_text_is_refused_with_its_line() {
    let errors =
        bad("[tls]\nkey_log = [\n\"keys.log\",\n\"/k\",\n\"/k\",\n5,\n]\nkeylog = \"/k\"\n");
    let said = |line: usize, words: &[&str]| {
        let at = format!("t.toml:{line}:");
        let mut lines = errors.iter().filter(|error| error.starts_with(&at));
        let found = lines.any(|error| words.iter().all(|word| error.contains(word)));
        assert!(found, "{line} {words:?} in {errors:#?}");
    };
    said(3, &["tls.key_log", "\"keys.log\"", "absolute path"]);
    said(5, &["tls.key_log", "\"/k\"", "twice"]);
    said(6, &["tls.key_log", "5", "text in quotes"]);
    said(8, &["tls.keylog", "did you mean key_log?"]);
    assert_eq!(errors.len(), 4, "{errors:#?}");
}
