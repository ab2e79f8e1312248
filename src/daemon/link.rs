//! Whether the interface is there and up: libpcap says nothing when a link goes down.

use std::fs;
use std::path::{Path, PathBuf};

/// IFF_UP of netdevice(7).
const UP: u32 = 1;

/// What the kernel says about an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// Its number; a new one after it was deleted and made again.
    pub index: u32,
    /// Whether it is up and has a carrier.
    pub up: bool,
    /// Frames that it received, whatever the filter says of them.
    pub received: u64,
}

/// Looks at one interface.
#[derive(Clone, Debug)]
pub struct LinkWatcher {
    folder: PathBuf,
}

impl LinkWatcher {
    /// A watcher; None for `any`, which is no single interface.
    pub fn new(interface: &str) -> Option<Self> {
        (interface != "any").then(|| Self {
            folder: Path::new("/sys/class/net").join(interface),
        })
    }

    /// Its state now; None while there is no such interface.
    pub fn look(&self) -> Option<LinkState> {
        let flags = self.text("flags")?;
        let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).ok()?;
        // Reading the carrier of an interface that is down fails.
        let carrier = self.number("carrier").is_some_and(|carrier| carrier == 1);
        Some(LinkState {
            index: u32::try_from(self.number("ifindex")?).ok()?,
            up: flags & UP != 0 && carrier,
            received: self.number("statistics/rx_packets").unwrap_or(0),
        })
    }

    fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_seen() {
        let state = LinkWatcher::new("lo").and_then(|watcher| watcher.look());
        assert_eq!(state.map(|state| state.index), Some(1));
    }

    #[test]
    fn an_interface_that_is_not_there_has_no_state() {
        let watcher = LinkWatcher::new("canarytap-none").unwrap();
        assert_eq!(watcher.look(), None);
    }
}
