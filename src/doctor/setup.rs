//! What stands in the configuration, and whether this process may do what `run` does.

use std::fs;

use crate::config::Config;
use crate::doctor::point::Point;
use crate::doctor::watch::{Blind, Seen};

/// What is named, what is missing.
pub(super) fn config(config: &Config) -> Point {
    let path = config.path.display();
    let missing: Vec<String> = config.missing().into_iter().map(|one| one.text).collect();
    if missing.is_empty() {
        return Point::ok(
            CONFIG,
            format!("{path} is valid, and names all that `run` needs"),
        );
    }
    Point::failed(
        CONFIG,
        format!(
            "{path} is valid; before `run` can start: {}",
            missing.join("; ")
        ),
        format!("write it into {path}; `canarytap check` shows what it comes to"),
    )
}

/// Whether there is anything to be visited. `minted` is None where the store cannot be read.
pub(super) fn canaries(config: &Config, minted: Option<usize>) -> Point {
    let configured = config.canaries().len();
    let all = configured + minted.unwrap_or(0);
    match (all, minted) {
        (0, None) => Point::not_looked_at(
            CANARIES,
            "none in the configuration, and the store cannot be read",
            "see the point store",
        ),
        (0, Some(_)) => Point::warning(
            CANARIES,
            "there is none: nothing will ever raise an alert",
            "canarytap mint --channel NAME, or add [[canary]] with its url and channel",
        ),
        _ => Point::ok(
            CANARIES,
            format!(
                "{configured} in the configuration, {} minted",
                minted.unwrap_or(0)
            ),
        ),
    }
}

/// Whether frames may be captured; `daemon_captures` when a running daemon does.
pub(super) fn permission(
    seen: &Result<Seen, Blind>,
    may_capture: Option<bool>,
    daemon_captures: bool,
) -> Point {
    match (seen, may_capture) {
        (Ok(_), _) => Point::ok(PERMISSION, "this process may capture, and did"),
        (Err(Blind::Refused(error)), _) => Point::failed(
            PERMISSION,
            error,
            "see the points config and interface; dmesg may say more",
        ),
        _ if daemon_captures => Point::ok(
            PERMISSION,
            "the daemon captures; this user may not, and has not seen packets: sudo canarytap \
             doctor sees them",
        ),
        (Err(Blind::NoInterface), Some(true)) => Point::ok(
            PERMISSION,
            "this process has CAP_NET_RAW; there was no interface to try it on",
        ),
        (Err(_), _) => Point::failed(
            PERMISSION,
            "this user may not capture: the capability CAP_NET_RAW is needed",
            "sudo canarytap doctor; the service brings its own: sudo systemctl start canarytap",
        ),
    }
}

/// Whether this process has CAP_NET_RAW (capabilities(7)); None where the kernel does not say.
pub(super) fn may_capture() -> Option<bool> {
    has_net_raw(&fs::read_to_string("/proc/self/status").ok()?)
}

fn has_net_raw(status: &str) -> Option<bool> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    let effective = u64::from_str_radix(line.trim(), 16).ok()?;
    Some(effective >> CAP_NET_RAW & 1 == 1)
}

/// The watched hosts, in words, for people who wait.
pub(super) fn what_is_watched(config: &Config) -> String {
    let hosts: Vec<String> = config
        .hosts
        .iter()
        .map(|host| host.pattern.to_string())
        .collect();
    match hosts.as_slice() {
        [] => "your web server".into(),
        hosts => hosts.join(", "),
    }
}

const CONFIG: &str = "config";
const CANARIES: &str = "canaries";
const PERMISSION: &str = "permission";
/// Its number among the capabilities.
const CAP_NET_RAW: u32 = 13;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::doctor::point::State;

    fn parsed(text: &str) -> Config {
        Config::parse(text, Path::new("canarytap.toml")).unwrap()
    }

    #[test]
    fn what_run_lacks_is_named_part_by_part() {
        let point = config(&parsed(""));
        assert_eq!(point.state, State::Failed);
        assert!(point.found.contains("no interface"), "{point:?}");
        assert!(point.found.contains("no watched host"), "{point:?}");
        let whole = "[capture]\ninterface = \"lo\"\n[[host]]\nname = \"www.example.org\"\n";
        assert_eq!(config(&parsed(whole)).state, State::Ok);
    }

    #[test]
    fn without_a_canary_nothing_will_ever_happen() {
        let none = parsed("");
        assert_eq!(canaries(&none, Some(0)).state, State::Warning);
        assert_eq!(canaries(&none, None).state, State::NotLookedAt);
        assert_eq!(canaries(&none, Some(3)).state, State::Ok);
    }

    #[test]
    fn permission_is_what_was_tried_then_what_the_daemon_does_then_what_the_kernel_says() {
        let judged = |seen, may, daemon| permission(&seen, may, daemon).state;
        let blind = || Err(Blind::Forbidden(None));
        assert_eq!(judged(Ok(Seen::default()), None, false), State::Ok);
        assert_eq!(judged(blind(), Some(false), false), State::Failed);
        assert_eq!(judged(blind(), Some(false), true), State::Ok);
        let nothing = || Err(Blind::NoInterface);
        assert_eq!(judged(nothing(), Some(true), false), State::Ok);
        assert_eq!(judged(nothing(), Some(false), false), State::Failed);
        let refused = Err(Blind::Refused("no memory".into()));
        assert_eq!(judged(refused, Some(true), false), State::Failed);
    }

    #[test]
    fn the_capability_is_bit_13() {
        assert_eq!(
            has_net_raw("Name:\tx\nCapEff:\t0000000000002000\n"),
            Some(true)
        );
        assert_eq!(has_net_raw("CapEff:\t0000000000001000\n"), Some(false));
        assert_eq!(has_net_raw("Name:\tx\n"), None);
    }
}
