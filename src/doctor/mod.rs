//! Whether this machine can tap, point by point, each from a real look.
//!
//! Each file looks at one part and judges what it found; looks change nothing, write nothing and
//! take no pin. While the wire is looked at the interface is promiscuous, as it is for the daemon.

use std::time::Duration;

use crate::config::Config;
use crate::daemon::clock;
use crate::engine::canary::{Canary, Home, HostPattern};
use crate::engine::frame::Timestamp;
use crate::store::{EventRecord, StoreError};

use encryption::{Encryption, Host};
use interface::Interface;
use keeping::{Daemon, Kept};
use requests::Requests;
use watch::{Blind, Seen};
use wire::Wire;

pub use point::{Point, State};

mod encryption;
mod interface;
mod keeping;
mod machine;
mod origins;
mod point;
mod requests;
mod setup;
mod tally;
mod twins;
mod watch;
mod wire;

/// Looks at everything, at the wire for `how_long`. Blocks.
pub fn examine(config: &Config, how_long: Duration) -> Vec<Point> {
    let interface = Interface::look(config);
    let kept = Kept::look(&config.store.directory, clock::now());
    let minted = kept.as_ref().map(|kept| kept.minted.clone());
    let home = config.home_of_this_machine();
    let seen = watch::look(config, minted.unwrap_or_default(), home.clone(), how_long);
    let found = Found {
        config,
        how_long,
        interface,
        home,
        daemon: Daemon::look(config),
        kept,
        seen,
    };
    found.points(clock::now())
}

/// What is watched, in words, for people who wait for [`examine`].
pub fn what_is_watched(config: &Config) -> String {
    setup::what_is_watched(config)
}

/// All that was found.
struct Found<'a> {
    config: &'a Config,
    how_long: Duration,
    interface: Interface,
    home: Home,
    daemon: Daemon,
    kept: Result<Kept, StoreError>,
    seen: Result<Seen, Blind>,
}

impl Found<'_> {
    fn points(&self, now: Timestamp) -> Vec<Point> {
        let config = self.config;
        let mut points = vec![setup::config(config), self.canaries(), self.permission()];
        points.extend(self.interface.points());
        points.extend(self.wire());
        points.extend([self.hosts(), self.encryption()]);
        points.extend(self.origins());
        let driven = self
            .daemon
            .status()
            .map(|status| status.lights.driver.as_str());
        points.push(machine::lights(&config.led, driven));
        points.push(machine::clock_point(now));
        points.push(machine::disk(&config.store));
        points.push(keeping::store(&self.kept, &config.store.directory));
        points.push(self.daemon.point(now));
        points
    }

    fn canaries(&self) -> Point {
        let minted = match &self.kept {
            Ok(kept) => Some(kept.minted.len()),
            Err(StoreError::Missing { .. }) => Some(0),
            Err(_) => None,
        };
        setup::canaries(self.config, minted)
    }

    fn permission(&self) -> Point {
        let captures = self.daemon.captures(self.interface_name());
        setup::permission(&self.seen, setup::may_capture(), captures)
    }

    fn interface_name(&self) -> &str {
        self.config.capture.interface.as_deref().unwrap_or_default()
    }

    fn wire(&self) -> [Point; 4] {
        Wire {
            seen: &self.seen,
            interface: self.interface_name(),
            ports: &self.config.capture.ports,
            addresses: &self.config.server_addresses(),
            how_long: self.how_long,
            daemon_read: self.daemon.read(),
        }
        .points()
    }

    fn hosts(&self) -> Point {
        let hosts = self.config.hosts.iter();
        let watched: Vec<HostPattern> = hosts.map(|host| host.pattern.clone()).collect();
        let kept = self.kept.as_ref().map(|kept| kept.hosts.clone());
        Requests {
            watched: &watched,
            seen: &self.seen,
            kept: &kept.unwrap_or_default(),
            how_long: self.how_long,
        }
        .point()
    }

    fn encryption(&self) -> Point {
        let kept = self.kept.as_ref().ok();
        let hosts = self.config.hosts.iter().map(|host| Host {
            pattern: &host.pattern,
            has_named_canary: self.has_canary_below(&host.pattern),
            opened: kept.and_then(|kept| kept.newest_opened(&host.pattern)),
        });
        Encryption {
            hosts: hosts.collect(),
            seen: &self.seen,
            addresses: &self.config.server_addresses(),
            has_proxy: !self.config.home.proxies.is_empty(),
            keys_expected: !self.config.key_logs.is_empty() || self.daemon.secrets() > 0,
            secrets: self.daemon.secrets(),
            how_long: self.how_long,
        }
        .point()
    }

    /// Whether a canary has a host name of its own there, which the hello tells.
    fn has_canary_below(&self, pattern: &HostPattern) -> bool {
        let is_below = |canary: &Canary| {
            matches!(pattern, HostPattern::Subdomains(_)) && pattern.covers(&canary.url.host)
        };
        let mut minted = self.kept.iter().flat_map(|kept| &kept.minted);
        self.config.canaries().iter().any(is_below) || minted.any(is_below)
    }

    fn origins(&self) -> Vec<Point> {
        let kept = self.kept.as_ref().map(|kept| kept.unknown.as_slice());
        let heard = self.seen.as_ref().map(|seen| seen.heard.unknown.as_slice());
        let unknown: Vec<EventRecord> =
            [kept.unwrap_or_default(), heard.unwrap_or_default()].concat();
        let looked = match (&self.kept, &self.seen) {
            (Ok(_), _) => Ok(format!(
                "in the last {} days",
                keeping::LATELY.as_secs() / 86_400
            )),
            (Err(_), Ok(_)) => Ok(format!("in these {} s", self.how_long.as_secs())),
            (Err(error), Err(_)) => Err(error.to_string()),
        };
        origins::points(&self.home, &unknown, &looked)
    }
}
