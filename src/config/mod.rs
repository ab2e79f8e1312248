//! What the user wrote becomes what is valid: two stages, and every error at once.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use crate::engine::canary::{HostPattern, PortSet, TrustedProxy};

pub use alerts::{AlertConfig, Carrier, Login, Secret, Server, SinkConfig, WebhookBody};
pub use error::{ConfigError, ConfigErrors};
pub use resolve::{HIDDEN_FROM_THE_SERVICE, Missing, id_of, is_hidden_from_the_service};

mod alerts;
mod error;
pub mod networks;
mod parse;
mod raw;
mod resolve;
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
    /// How packets of visits are kept.
    pub evidence: EvidenceConfig,
    /// The watched hosts.
    pub hosts: Vec<HostConfig>,
    /// Canaries that stand in the configuration itself.
    pub canaries: Vec<CanaryConfig>,
    /// Key logs of TLS that are followed.
    pub key_logs: Vec<PathBuf>,
    /// By what visitors are told apart.
    pub visitor: VisitorConfig,
    /// The lights.
    pub led: LedConfig,
    /// Who else is told of alerts.
    pub alerts: Vec<AlertConfig>,
}

/// `[visitor]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VisitorConfig {
    /// Databases of networks in MaxMind's format.
    pub databases: Vec<PathBuf>,
    /// The user's own table of known fetchers.
    pub table: Option<PathBuf>,
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
    /// Heads only: the kernel drops bulk data and bare acknowledgements.
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
    /// Bytes that visits may take up; beyond, they are only counted.
    pub visits_max_bytes: u64,
}

/// `[evidence]`: how packets of visits are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvidenceConfig {
    /// Whether they are.
    pub enabled: bool,
    /// Whether the secrets of their connections are put into the files too.
    pub secrets: bool,
    /// Bytes of frames in one file.
    pub visit_max_bytes: u64,
    /// Bytes of all files.
    pub total_max_bytes: u64,
    /// How many files.
    pub files_max: u64,
}

impl EvidenceConfig {
    /// Without secrets; a few hundred visits with what their servers answered.
    pub const DEFAULT: Self = Self {
        enabled: true,
        secrets: false,
        visit_max_bytes: 1 << 20,
        total_max_bytes: 256 << 20,
        files_max: 10_000,
    };
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
}
