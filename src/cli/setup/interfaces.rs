//! The machine's interfaces with what comes in on them: a mirror shows itself by frames that are
//! for others.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use crate::capture::{LinkWatcher, Live, Waker, link};
use crate::cli::tell;

/// An interface, as it was for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    up: bool,
    /// Frames that came in.
    pub(super) frames: u64,
    addresses: Vec<IpAddr>,
}

/// Watches all of them for a while. Where this user may, every one sees all that is on its wire.
pub(super) fn watch(how_long: Duration) -> Vec<Found> {
    let watched: Vec<_> = link::names()
        .into_iter()
        .filter_map(|name| Some((LinkWatcher::new(&name)?, name)))
        .collect();
    let promiscuous: Vec<_> = watched.iter().filter_map(|(_, name)| open(name)).collect();
    let count = || -> Vec<_> { watched.iter().map(|(watcher, _)| watcher.look()).collect() };
    let before = count();
    thread::sleep(how_long);
    let after = count();
    drop(promiscuous);
    watched
        .into_iter()
        .zip(before.into_iter().zip(after))
        .filter_map(|((_, name), (before, after))| {
            let (before, after) = (before?, after?);
            Some(Found {
                addresses: link::addresses(&name),
                name,
                up: after.up,
                frames: after.received.saturating_sub(before.received),
            })
        })
        .collect()
}

/// Its frames are left to the kernel, which counts them.
fn open(name: &str) -> Option<Live> {
    Live::open(name, BUFFER_BYTES, "less 0", Waker::new().ok()?).ok()
}

const BUFFER_BYTES: usize = 1 << 20;

/// The mirror, most likely: the busiest of those without an address, else the busiest.
pub(super) fn likely(found: &[Found]) -> Option<&Found> {
    found
        .iter()
        .filter(|one| one.frames > 0)
        .max_by_key(|one| (one.addresses.is_empty(), one.frames))
}

/// Shows them, numbered from 1.
pub(super) fn show(found: &[Found], how_long: Duration) {
    let seconds = how_long.as_secs();
    for (number, one) in (1..).zip(found) {
        let addresses: Vec<String> = one.addresses.iter().map(ToString::to_string).collect();
        let addresses = match addresses.as_slice() {
            [] => "no address".to_owned(),
            some => some.join(" "),
        };
        let state = if one.up { "up" } else { "down" };
        tell(&format!(
            "  {number}  {:12}{state:6}{:>7} frames in {seconds} s   {addresses}",
            one.name, one.frames
        ));
    }
}

/// What somebody means who writes a number or a name.
///
/// # Errors
/// When there is no such interface.
pub(super) fn chosen(answer: &str, found: &[Found]) -> Result<String, String> {
    let by_number = answer
        .parse::<usize>()
        .ok()
        .and_then(|n| found.get(n.checked_sub(1)?));
    let one = by_number.or_else(|| found.iter().find(|one| one.name == answer));
    match one {
        Some(one) => Ok(one.name.clone()),
        None if answer == "any" => Ok(answer.into()),
        None => {
            let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
            Err(format!(
                "there is no such interface; there are: {}",
                names.join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, frames: u64, addressed: bool) -> Found {
        Found {
            name: name.into(),
            up: true,
            frames,
            addresses: addressed
                .then(|| [192, 168, 1, 9].into())
                .into_iter()
                .collect(),
        }
    }

    #[test]
    fn the_mirror_has_no_address_and_the_most_frames() {
        let all = [
            found("eth0", 900, true),
            found("eth1", 40, false),
            found("eth2", 3, false),
        ];
        assert_eq!(likely(&all).map(|one| one.name.as_str()), Some("eth1"));
        let addressed = [found("eth0", 900, true), found("eth1", 0, false)];
        assert_eq!(
            likely(&addressed).map(|one| one.name.as_str()),
            Some("eth0")
        );
        assert_eq!(likely(&[found("eth1", 0, false)]), None);
    }

    #[test]
    fn an_interface_is_chosen_by_number_or_name() {
        let all = [found("eth0", 1, true), found("eth1", 1, false)];
        assert_eq!(chosen("2", &all).unwrap(), "eth1");
        assert_eq!(chosen("eth0", &all).unwrap(), "eth0");
        assert_eq!(chosen("any", &all).unwrap(), "any");
        for wrong in ["0", "3", "eth9", ""] {
            assert!(chosen(wrong, &all).unwrap_err().contains("eth0, eth1"));
        }
    }
}
