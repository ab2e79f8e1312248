//! What a valid configuration comes to on this machine: home, canaries, what is missing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;
use ring::digest::{SHA256, digest};

use crate::config::networks::{self, OwnNetworks};
use crate::config::{CanaryConfig, Config, ConfigError, ConfigErrors};
use crate::engine::canary::{
    Canary, Home, NormalizedUrl, Watch, container_ranges, mint, private_ranges, unique_token,
};

/// Something that `run` needs and the configuration does not name yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What is missing, and the lines to add.
    pub text: String,
}

impl Config {
    /// What `run` needs and the configuration does not name yet.
    pub fn missing(&self) -> Vec<Missing> {
        let mut missing = Vec::new();
        if self.capture.interface.is_none() {
            missing.push(Missing {
                text: format!(
                    "no interface: under [capture] write interface = \"NAME\"{}",
                    interfaces_here()
                ),
            });
        }
        if self.hosts.is_empty() {
            missing.push(Missing {
                text: "no watched host: add [[host]] with name = \"www.example.org\"".into(),
            });
        }
        missing
    }

    /// What is valid and may still not be what the owner wants.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.canaries.is_empty() {
            remarks.push(
                "no canary here: add [[canary]] with its url and channel, or use `canarytap mint`"
                    .to_owned(),
            );
        }
        for canary in self.canaries() {
            if canary.url.path == "/" {
                remarks.push(format!(
                    "canary {}: its path is /, so that every request for the front page of {} is a \
                     visit",
                    canary.id, canary.url.host
                ));
            }
        }
        for log in &self.key_logs {
            if is_hidden_from_the_service(log) {
                remarks.push(format!(
                    "key log {}: the service sees nothing below {}",
                    log.display(),
                    HIDDEN_FROM_THE_SERVICE.join(", ")
                ));
            }
        }
        remarks
    }

    /// An interface that is named and does not exist.
    ///
    /// # Errors
    /// The error to show, with the interfaces that do exist.
    pub fn check_interface(&self) -> Result<(), ConfigErrors> {
        let Some(name) = self
            .capture
            .interface
            .as_deref()
            .filter(|name| *name != "any")
        else {
            return Ok(());
        };
        let exists =
            networks::interfaces().map_or(true, |names| names.iter().any(|one| one == name));
        if exists {
            return Ok(());
        }
        Err(ConfigErrors {
            path: self.path.clone(),
            errors: vec![ConfigError {
                line: self.capture.interface_place.line,
                key: "capture.interface".into(),
                value: Some(format!("\"{name}\"")),
                rule: format!("there is no such interface{}", interfaces_here()),
            }],
        })
    }

    /// The home as this machine sees it: its own networks count where `auto` stands, and its
    /// routers may hide visitors in any case.
    pub fn home_of_this_machine(&self) -> Home {
        let own = OwnNetworks::read();
        let mut home = self.home_anywhere();
        if self.home.auto {
            home.networks.extend(own.home);
        }
        home.containers.extend(own.containers);
        home.gateways.extend(own.gateways);
        home
    }

    /// The home by the configuration alone, for captures from elsewhere.
    pub fn home_anywhere(&self) -> Home {
        let named = &self.home.networks;
        let is_named = |range: &IpNet| named.iter().any(|network| network.contains(range));
        let mut containers = container_ranges();
        containers.retain(|range| !is_named(range));
        let mut networks = named.clone();
        if self.home.auto {
            networks.extend(private_ranges());
        }
        Home {
            networks,
            public: self.home.public.clone(),
            proxies: self.home.proxies.clone(),
            gateways: self.home.gateways.clone(),
            containers,
        }
    }

    /// The canaries of the configuration.
    pub fn canaries(&self) -> Vec<Canary> {
        without_shared_tokens(self.canaries.iter().filter_map(to_canary).collect())
    }

    /// What the engine is to look for: the configured canaries and `minted` ones.
    pub fn watch(&self, minted: Vec<Canary>, home: Home) -> Watch {
        let mut canaries = self.canaries();
        canaries.extend(minted);
        Watch {
            all_hosts: false,
            hosts: self.hosts.iter().map(|host| host.pattern.clone()).collect(),
            ports: self.capture.ports.clone(),
            canaries: without_shared_tokens(canaries)
                .into_iter()
                .map(Arc::new)
                .collect(),
            home,
        }
    }

    /// Addresses of watched servers, when every host names its own: what narrows the filter.
    pub fn server_addresses(&self) -> Vec<IpAddr> {
        if self.hosts.iter().any(|host| host.addresses.is_empty()) {
            return Vec::new();
        }
        self.hosts
            .iter()
            .flat_map(|host| host.addresses.clone())
            .collect()
    }
}

/// Folders that are empty for the daemon under its systemd unit: `ProtectHome`, `PrivateTmp`.
pub const HIDDEN_FROM_THE_SERVICE: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

/// Whether a path lies in one of them.
pub fn is_hidden_from_the_service(path: &Path) -> bool {
    let mut folders = HIDDEN_FROM_THE_SERVICE.into_iter();
    folders.any(|folder| path.starts_with(folder))
}

/// What two URLs have in common is unique to neither.
fn without_shared_tokens(mut canaries: Vec<Canary>) -> Vec<Canary> {
    let mut owners: HashMap<String, usize> = HashMap::new();
    for token in canaries.iter().filter_map(|canary| canary.token.clone()) {
        *owners.entry(token).or_default() += 1;
    }
    for canary in &mut canaries {
        let token = canary.token.take();
        canary.token = token.filter(|token| owners.get(token) == Some(&1));
    }
    canaries
}

fn to_canary(config: &CanaryConfig) -> Option<Canary> {
    let url = NormalizedUrl::parse(&config.url).ok()?; // it was one when the file was read
    Some(Canary {
        id: config.id.clone().unwrap_or_else(|| id_of(&url)),
        channel: config.channel.clone(),
        label: config.label.clone(),
        written: config.url.clone(),
        token: unique_token(&url),
        control: false,
        url,
    })
}

/// The id of a canary that its owner did not mint: the same for the same URL, always.
pub fn id_of(url: &NormalizedUrl) -> String {
    let mut round = 0u8;
    loop {
        let hash = digest(&SHA256, format!("{round} {url}").as_bytes());
        let id = hash.as_ref().first_chunk().and_then(mint::id);
        if let Some(id) = id {
            return id;
        }
        round = round.wrapping_add(1);
    }
}

fn interfaces_here() -> String {
    match networks::interfaces() {
        Ok(names) => format!("; there are: {}, and any for all", names.join(", ")),
        Err(_) => String::new(),
    }
}
