//! Whether the interface is there and up: libpcap says nothing when a link goes down.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::capture::netlink::route::{LinkAnswer, link};
use crate::capture::netlink::{Netlink, ethtool};

/// IFF_UP of netdevice(7).
const UP: u32 = 1;
/// IFF_LOWER_UP of netdevice(7): the driver sees a carrier.
const CARRIER: u32 = 1 << 16;

/// What the kernel says about an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkState {
    /// Its number; a new one after it was deleted and made again.
    pub index: u32,
    /// Whether it was brought up.
    pub enabled: bool,
    /// Whether it is up and has a carrier.
    pub up: bool,
    /// Frames that it received, whatever the filter says of them.
    pub received: u64,
    /// Frames that came in damaged, too long, or found no room in the card.
    pub refused: u64,
}

/// Looks at one interface of the network namespace that this process is in.
#[derive(Debug)]
pub struct LinkWatcher {
    interface: String,
    way: Way,
}

/// How the kernel is asked.
#[derive(Debug)]
enum Way {
    Netlink(Netlink),
    /// Where netlink is forbidden: `/sys` shows the interfaces of the namespace in which it was
    /// mounted, which may be another than ours.
    Files(PathBuf),
}

impl LinkWatcher {
    /// A watcher; None for `any`, which is no single interface.
    pub fn new(interface: &str) -> Option<Self> {
        let way = match Netlink::open(None) {
            Ok(netlink) => Way::Netlink(netlink),
            Err(_) => Way::Files(Path::new("/sys/class/net").join(interface)),
        };
        (interface != "any").then(|| Self {
            interface: interface.to_owned(),
            way,
        })
    }

    /// Its state now; None while there is no such interface.
    pub fn look(&self) -> Option<LinkState> {
        let answer = match &self.way {
            Way::Netlink(netlink) => link(netlink, &self.interface).ok(),
            Way::Files(folder) => from_files(folder),
        };
        answer.map(LinkState::from)
    }
}

impl From<LinkAnswer> for LinkState {
    fn from(answer: LinkAnswer) -> Self {
        let has = |flag| answer.flags & flag != 0;
        Self {
            index: answer.index,
            enabled: has(UP),
            up: has(UP) && has(CARRIER),
            received: answer.received,
            refused: answer.refused,
        }
    }
}

fn from_files(folder: &Path) -> Option<LinkAnswer> {
    let text = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let number = |name: &str| text(name)?.trim().parse::<u64>().ok();
    let flags = text("flags")?;
    let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).ok()?;
    // Reading the carrier of an interface that is down fails.
    let carrier = number("carrier") == Some(1);
    Some(LinkAnswer {
        index: u32::try_from(number("ifindex")?).ok()?,
        flags: flags & !CARRIER | if carrier { CARRIER } else { 0 },
        received: number("statistics/rx_packets").unwrap_or(0),
        refused: number("statistics/rx_errors").unwrap_or(0),
    })
}

/// The interfaces of the network namespace that this process is in, but for the one to itself.
pub fn names() -> Vec<String> {
    let devices = pcap::Device::list().unwrap_or_default();
    let is_link = |name: &String| LinkWatcher::new(name).is_some_and(|one| one.look().is_some());
    devices
        .into_iter()
        .filter(|device| !device.flags.is_loopback())
        .map(|device| device.name)
        .filter(is_link) // libpcap lists what is no interface too
        .collect()
}

/// The addresses of an interface; none when libpcap does not know it.
pub fn addresses(interface: &str) -> Vec<IpAddr> {
    let devices = pcap::Device::list().unwrap_or_default();
    let device = devices.into_iter().find(|device| device.name == interface);
    device.map_or_else(Vec::new, |device| {
        let addresses = device.addresses.into_iter();
        addresses.map(|address| address.addr).collect()
    })
}

/// What the card does to frames before anybody sees them: the kernel's names of the features that
/// are switched on. None where the kernel does not say.
pub fn features_on(interface: &str) -> Option<Vec<String>> {
    ethtool::features_on(interface).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_seen_either_way() {
        let state = LinkWatcher::new("lo").and_then(|watcher| watcher.look());
        assert_eq!(state.map(|state| state.index), Some(1));
        let files = from_files(Path::new("/sys/class/net/lo"));
        assert_eq!(files.map(|answer| answer.index), Some(1));
    }

    #[test]
    fn an_interface_that_is_not_there_has_no_state() {
        let watcher = LinkWatcher::new("canarytap-none").unwrap();
        assert_eq!(watcher.look(), None);
        assert_eq!(from_files(Path::new("/sys/class/net/canarytap-none")), None);
    }

    #[test]
    fn up_is_what_was_brought_up_and_has_a_carrier() {
        let state = |flags| {
            LinkState::from(LinkAnswer {
                flags,
                ..LinkAnswer::default()
            })
        };
        for (flags, enabled, up) in [
            (0, false, false),
            (CARRIER, false, false),
            (UP, true, false),
            (UP | CARRIER, true, true),
        ] {
            let state = state(flags);
            assert_eq!((state.enabled, state.up), (enabled, up), "{flags:x}");
        }
    }
}
