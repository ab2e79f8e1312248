//! What the user wrote becomes what is valid: two stages, and every error at once.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use ring::digest::{SHA256, digest};

use crate::engine::canary::{
    Canary, Home, HostPattern, NormalizedUrl, PortSet, TrustedProxy, Watch, container_ranges, mint,
    private_ranges, unique_token,
};

pub use error::{ConfigError, ConfigErrors};
use networks::OwnNetworks;

mod error;
pub mod networks;
mod parse;
mod raw;
pub mod units;

/// Where daemon and clients meet, when the system made it.
const RUN_DIRECTORY: &str = "/run/canarytap";

/// A valid configuration: nothing in it contradicts the contract of its types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file that it came from.
    pub path: PathBuf,
    /// What is captured.
    pub capture: CaptureConfig,
    /// Who counts as inside.
    pub home: HomeConfig,
    /// Where events are kept.
    pub store: StoreConfig,
    /// The watched hosts.
    pub hosts: Vec<HostConfig>,
    /// Canaries that stand in the configuration itself.
    pub canaries: Vec<CanaryConfig>,
    /// The lights.
    pub led: LedConfig,
}

/// `[capture]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureConfig {
    /// Interface to capture on; `any` for all. None: not yet named, `run` refuses.
    pub interface: Option<String>,
    /// Where it is named.
    pub interface_place: Place,
    /// TCP ports that are read.
    pub ports: PortSet,
    /// Size of the kernel's ring in bytes.
    pub buffer_bytes: usize,
    /// Bound on flows and buffers together in bytes.
    pub memory_bytes: usize,
    /// How much of a server's answers the kernel lets through.
    pub responses: Responses,
}

/// How much of a server's answers the kernel lets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Responses {
    /// Everything.
    #[default]
    All,
    /// Heads only: the kernel drops bulk data.
    Heads,
}

/// `[home]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeConfig {
    /// Whether `auto` stands among the networks: private ranges and this machine's prefixes.
    pub auto: bool,
    /// The networks that are named.
    pub networks: Vec<IpNet>,
    /// The home's own public addresses.
    pub public: Vec<IpAddr>,
    /// Routers that hide visitors behind their own address, besides this machine's own.
    pub gateways: Vec<IpAddr>,
    /// Who may name the visitor.
    pub proxies: Vec<TrustedProxy>,
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// Where `events.db` lies.
    pub directory: PathBuf,
    /// Where daemon and clients leave each other small files. None: `/run/canarytap` if it
    /// exists, else `directory/run`.
    pub run_directory: Option<PathBuf>,
    /// Cap on background requests in bytes; the oldest go first.
    pub requests_max_bytes: u64,
}

/// `[[host]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostConfig {
    /// The name or names that are watched.
    pub pattern: HostPattern,
    /// Addresses of its servers, which narrow the kernel's filter. Empty: any.
    pub addresses: Vec<IpAddr>,
}

/// `[[canary]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryConfig {
    /// The URL as it was written.
    pub url: String,
    /// The channel that it was given to.
    pub channel: String,
    /// The owner's words for it.
    pub label: Option<String>,
    /// Its id, when the owner chose it.
    pub id: Option<String>,
}

/// `[led]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedConfig {
    /// Which driver moves the pins.
    pub driver: LedDriver,
    /// The lights.
    pub lights: Vec<LightConfig>,
    /// The button that acknowledges.
    pub button: Option<ButtonConfig>,
}

/// Who moves the pins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LedDriver {
    /// The first of rppal, gpiochip and terminal that is there.
    #[default]
    Auto,
    /// Registers of a Raspberry Pi.
    Rppal,
    /// The kernel's GPIO character device.
    Gpiochip,
    /// One line on a terminal.
    Terminal,
    /// No lights.
    None,
}

/// `[[led.light]]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LightConfig {
    /// What it shows.
    pub role: LightRole,
    /// Its pin, BCM numbering.
    pub pin: u8,
    /// Whether a low level lights it.
    pub active_low: bool,
}

/// What a light shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LightRole {
    /// An alert waits to be acknowledged.
    Alert,
    /// The tap sees and keeps packets; or a fault.
    Armed,
    /// A request for a watched host.
    Activity,
}

/// `[led.button]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ButtonConfig {
    /// Its pin, BCM numbering; pressed connects it to ground.
    pub pin: u8,
}

/// Where a value stands in the file. Any two places are equal: a configuration does not change
/// when its lines move.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// The line, from 1.
    pub line: Option<usize>,
}

impl PartialEq for Place {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

/// Something that `run` needs and the configuration does not name yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What is missing, and the lines to add.
    pub text: String,
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let text = fs::read_to_string(path).map_err(|error| ConfigErrors {
            path: path.to_owned(),
            errors: vec![ConfigError {
                line: None,
                key: String::new(),
                value: None,
                rule: format!("cannot be read: {error}; name another with -c FILE"),
            }],
        })?;
        Self::parse(&text, path)
    }

    /// Checks a configuration's text; `path` is what errors name.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigErrors> {
        parse::parse(text, path)
    }

    /// The same with another data directory.
    #[must_use]
    pub fn with_data_directory(mut self, directory: Option<&Path>) -> Self {
        if let Some(directory) = directory {
            self.store.directory = directory.to_owned();
        }
        self
    }

    /// Where daemon and clients leave each other small files.
    pub fn run_directory(&self) -> PathBuf {
        let system = Path::new(RUN_DIRECTORY);
        match &self.store.run_directory {
            Some(directory) => directory.clone(),
            None if system.is_dir() => system.to_owned(),
            None => self.store.directory.join("run"),
        }
    }

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
                "no canary here: add [[canary]], or make some with `canarytap mint`".to_owned(),
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
        let mut canaries: Vec<Canary> = self.canaries.iter().filter_map(to_canary).collect();
        let mut owners: HashMap<String, usize> = HashMap::new();
        for token in canaries.iter().filter_map(|canary| canary.token.clone()) {
            *owners.entry(token).or_default() += 1;
        }
        for canary in &mut canaries {
            // What two URLs have in common is unique to neither.
            canary.token = canary
                .token
                .take()
                .filter(|token| owners.get(token) == Some(&1));
        }
        canaries
    }

    /// What the engine is to look for: the configured canaries and `minted` ones.
    pub fn watch(&self, minted: Vec<Canary>, home: Home) -> Watch {
        Watch {
            all_hosts: false,
            hosts: self.hosts.iter().map(|host| host.pattern.clone()).collect(),
            ports: self.capture.ports.clone(),
            canaries: self
                .canaries()
                .into_iter()
                .chain(minted)
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
