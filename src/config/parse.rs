//! From tables to a valid [`Config`]: every rule, and every error at once.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use toml::de::{DeTable, DeValue};

use crate::config::error::{ConfigError, ConfigErrors};
use crate::config::raw::{Document, Entry, Section, integer};
use crate::config::units::parse_bytes;
use crate::config::{
    ButtonConfig, CanaryConfig, CaptureConfig, Config, HomeConfig, HostConfig, LedConfig,
    LedDriver, LightConfig, LightRole, Responses, StoreConfig,
};
use crate::engine::canary::{
    HostPattern, NormalizedUrl, PortSet, ProxyHeader, TrustedProxy, normalize_host,
};
use crate::engine::limits::MEMORY_BYTES_DEFAULT;

const MIB: u64 = 1 << 20;
/// Pins of the Raspberry Pi's header, BCM numbering.
const PIN_MAX: i64 = 53;
/// Channels and labels stand in tables on an 80-column terminal.
const TEXT_CHARACTERS_MAX: usize = 200;

/// Reads a configuration.
pub(super) fn parse(text: &str, path: &Path) -> Result<Config, ConfigErrors> {
    let table = DeTable::parse(text).map_err(|error| syntax(text, path, &error))?;
    let mut doc = Document::new(text);
    let mut top = Section::new("", table.get_ref());
    let capture = capture(top.section("capture", &mut doc), &mut doc);
    let home = home(top.section("home", &mut doc), &mut doc);
    let store = store(top.section("store", &mut doc), &mut doc);
    let hosts: Vec<HostConfig> = top
        .sections("host", &mut doc)
        .into_iter()
        .filter_map(|(section, line)| host(section, line, &mut doc))
        .collect();
    let canaries = canaries(&mut top, &hosts, &mut doc);
    let led = led(top.section("led", &mut doc), &mut doc);
    top.refuse_unknown(&mut doc);
    let config = Config {
        path: path.to_owned(),
        capture,
        home,
        store,
        hosts,
        canaries,
        led,
    };
    doc.finish(path, config)
}

fn syntax(text: &str, path: &Path, error: &toml::de::Error) -> ConfigErrors {
    let start = error.span().map(|span| span.start);
    let line = start
        .and_then(|start| text.get(..start))
        .map(|before| before.bytes().filter(|byte| *byte == b'\n').count() + 1);
    ConfigErrors {
        path: path.to_owned(),
        errors: vec![ConfigError {
            line,
            key: String::new(),
            value: None,
            rule: format!("not TOML: {}", error.message()),
        }],
    }
}

fn capture(section: Option<Section<'_>>, doc: &mut Document<'_>) -> CaptureConfig {
    let mut config = CaptureConfig {
        interface: None,
        ports: PortSet::Some(vec![80, 443, 8080]),
        buffer_bytes: 16 << 20,
        memory_bytes: MEMORY_BYTES_DEFAULT,
        responses: Responses::All,
    };
    let Some(mut section) = section else {
        return config;
    };
    if let Some((name, entry)) = section.string("interface", doc) {
        // IFNAMSIZ is 16 with its final zero; a slash would name another file under /sys
        if name.is_empty() || name.len() > 15 || name.contains(['/', ' ']) {
            doc.wrong(
                "capture.interface",
                entry,
                "must be the name of a network interface, as `ip link` shows it",
            );
        } else {
            config.interface = Some(name.to_owned());
        }
    }
    if let Some(ports) = ports(&mut section, doc) {
        config.ports = ports;
    }
    if let Some(bytes) = bytes(&mut section, "buffer", MIB, 1024 * MIB, doc) {
        config.buffer_bytes = bytes as usize;
    }
    if let Some(bytes) = bytes(&mut section, "memory", MIB, 2048 * MIB, doc) {
        config.memory_bytes = bytes as usize;
    }
    let responses = [("all", Responses::All), ("heads", Responses::Heads)];
    if let Some(choice) = choice(&mut section, "responses", &responses, doc) {
        config.responses = choice;
    }
    section.refuse_unknown(doc);
    config
}

fn ports(section: &mut Section<'_>, doc: &mut Document<'_>) -> Option<PortSet> {
    let entry = section.take("ports")?;
    let rule = "must be a list of ports from 1 to 65535, or \"all\"";
    match entry.value.get_ref() {
        DeValue::String(text) if &**text == "all" => Some(PortSet::All),
        DeValue::Array(array) if !array.is_empty() => {
            let mut ports = Vec::new();
            for value in array.iter() {
                let one = Entry { value };
                match integer(one).and_then(|port| u16::try_from(port).ok()) {
                    Some(port) if port > 0 => ports.push(port),
                    _ => doc.wrong("capture.ports", one, rule),
                }
            }
            ports.sort_unstable();
            ports.dedup();
            Some(PortSet::Some(ports))
        }
        _ => {
            doc.wrong("capture.ports", entry, rule);
            None
        }
    }
}

fn bytes(
    section: &mut Section<'_>,
    key: &'static str,
    min: u64,
    max: u64,
    doc: &mut Document<'_>,
) -> Option<u64> {
    let (text, entry) = section.string(key, doc)?;
    let found = parse_bytes(text).filter(|bytes| (min..=max).contains(bytes));
    if found.is_none() {
        let rule = format!(
            "must be a size from {}MiB to {}MiB, such as \"16MiB\"",
            min / MIB,
            max / MIB
        );
        doc.wrong(&section.path(key), entry, rule);
    }
    found
}

fn choice<T: Copy>(
    section: &mut Section<'_>,
    key: &'static str,
    choices: &[(&str, T)],
    doc: &mut Document<'_>,
) -> Option<T> {
    let (text, entry) = section.string(key, doc)?;
    let found = choices.iter().find(|(name, _)| *name == text);
    if found.is_none() {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        doc.wrong(
            &section.path(key),
            entry,
            format!("must be one of: {}", names.join(", ")),
        );
    }
    found.map(|(_, value)| *value)
}

fn home(section: Option<Section<'_>>, doc: &mut Document<'_>) -> HomeConfig {
    let mut config = HomeConfig {
        auto: true,
        networks: Vec::new(),
        public: Vec::new(),
        proxies: Vec::new(),
    };
    let Some(mut section) = section else {
        return config;
    };
    if let Some(texts) = section.texts("networks", doc) {
        config.auto = texts.iter().any(|(text, _)| *text == "auto");
        let named = texts.into_iter().filter(|(text, _)| *text != "auto");
        config.networks = networks("home.networks", named, doc);
    }
    for (text, entry) in section.texts("public", doc).unwrap_or_default() {
        match text.parse::<IpAddr>() {
            Ok(address) => config.public.push(address.to_canonical()),
            Err(_) => doc.wrong("home.public", entry, "must be an IPv4 or IPv6 address"),
        }
    }
    for (section, line) in section.sections("proxy", doc) {
        config.proxies.extend(proxy(section, line, doc));
    }
    section.refuse_unknown(doc);
    config
}

fn networks<'a>(
    key: &str,
    texts: impl IntoIterator<Item = (&'a str, Entry<'a>)>,
    doc: &mut Document<'_>,
) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (text, entry) in texts {
        match text.parse::<IpNet>() {
            Ok(network) if network == network.trunc() => networks.push(network),
            Ok(network) => {
                let rule = format!(
                    "has bits set behind the prefix; the network is {}",
                    network.trunc()
                );
                doc.wrong(key, entry, rule);
            }
            Err(_) => doc.wrong(
                key,
                entry,
                "must be a network such as \"192.168.1.0/24\" or \"2001:db8::/48\"",
            ),
        }
    }
    networks
}

fn proxy(mut section: Section<'_>, line: usize, doc: &mut Document<'_>) -> Option<TrustedProxy> {
    let texts = section.texts("networks", doc);
    let header = section.string("header", doc);
    section.refuse_unknown(doc);
    let Some(texts) = texts.filter(|texts| !texts.is_empty()) else {
        doc.missing(
            "home.proxy.networks",
            Some(line),
            "must name the addresses that the proxy speaks from",
        );
        return None;
    };
    let networks = networks("home.proxy.networks", texts, doc);
    let Some((header, entry)) = header else {
        doc.missing(
            "home.proxy.header",
            Some(line),
            "must name the one header that is believed",
        );
        return None;
    };
    let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let name = header.to_ascii_lowercase();
    let header = match name.as_str() {
        "x-forwarded-for" => ProxyHeader::XForwardedFor,
        "forwarded" => ProxyHeader::Forwarded,
        "proxy-protocol" => ProxyHeader::ProxyProtocol,
        _ if !name.is_empty() && name.bytes().all(token) => ProxyHeader::Single(name),
        _ => {
            doc.wrong(
                "home.proxy.header",
                entry,
                "must be the name of a header field, or proxy-protocol",
            );
            return None;
        }
    };
    Some(TrustedProxy { networks, header })
}

fn store(section: Option<Section<'_>>, doc: &mut Document<'_>) -> StoreConfig {
    let mut config = StoreConfig {
        directory: PathBuf::from("/var/lib/canarytap"),
        run_directory: None,
        requests_max_bytes: 100 * MIB,
    };
    let Some(mut section) = section else {
        return config;
    };
    if let Some(directory) = directory(&mut section, "directory", doc) {
        config.directory = directory;
    }
    config.run_directory = directory(&mut section, "run_directory", doc);
    if let Some(bytes) = bytes(&mut section, "requests_max", MIB, 1024 * 1024 * MIB, doc) {
        config.requests_max_bytes = bytes;
    }
    section.refuse_unknown(doc);
    config
}

fn directory(
    section: &mut Section<'_>,
    key: &'static str,
    doc: &mut Document<'_>,
) -> Option<PathBuf> {
    let (text, entry) = section.string(key, doc)?;
    if !text.starts_with('/') {
        doc.wrong(
            &section.path(key),
            entry,
            "must be an absolute path, beginning with /",
        );
        return None;
    }
    Some(PathBuf::from(text))
}

fn host(mut section: Section<'_>, line: usize, doc: &mut Document<'_>) -> Option<HostConfig> {
    let name = section.string("name", doc);
    let texts = section.texts("addresses", doc).unwrap_or_default();
    section.refuse_unknown(doc);
    let mut addresses = Vec::new();
    for (text, entry) in texts {
        match text.parse::<IpAddr>() {
            Ok(address) => addresses.push(address.to_canonical()),
            Err(_) => doc.wrong("host.addresses", entry, "must be an IPv4 or IPv6 address"),
        }
    }
    let Some((name, entry)) = name else {
        doc.missing("host.name", Some(line), "every [[host]] needs a name");
        return None;
    };
    let Some(pattern) = host_pattern(name) else {
        doc.wrong("host.name", entry, "must be a host name such as \"www.example.org\", or \"*.example.org\" for all names below it");
        return None;
    };
    Some(HostConfig { pattern, addresses })
}

fn host_pattern(name: &str) -> Option<HostPattern> {
    if let Some(parent) = name.strip_prefix("*.") {
        return host_name(parent).map(HostPattern::Subdomains);
    }
    host_name(name).map(HostPattern::Exact)
}

/// A DNS name (RFC 1123 §2.1) or an address, as it stands in the Host field.
fn host_name(name: &str) -> Option<String> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let good = name.len() <= 253 && name.split('.').all(label);
    (good && !name.is_empty()).then(|| normalize_host(name.as_bytes()))?
}

fn canaries(
    top: &mut Section<'_>,
    hosts: &[HostConfig],
    doc: &mut Document<'_>,
) -> Vec<CanaryConfig> {
    let mut seen = HashSet::new();
    let mut canaries = Vec::new();
    for (section, line) in top.sections("canary", doc) {
        canaries.extend(canary(section, line, hosts, &mut seen, doc));
    }
    canaries
}

fn canary(
    mut section: Section<'_>,
    line: usize,
    hosts: &[HostConfig],
    seen: &mut HashSet<NormalizedUrl>,
    doc: &mut Document<'_>,
) -> Option<CanaryConfig> {
    let url = section.string("url", doc);
    let channel = section.string("channel", doc);
    let label = section.string("label", doc);
    section.refuse_unknown(doc);
    let label = label.and_then(|(label, entry)| words("canary.label", label, entry, doc));
    let channel = match channel {
        Some((channel, entry)) => words("canary.channel", channel, entry, doc),
        None => {
            doc.missing(
                "canary.channel",
                Some(line),
                "must name the channel that the URL was given to",
            );
            None
        }
    };
    let Some((url, entry)) = url else {
        doc.missing(
            "canary.url",
            Some(line),
            "must be the URL that was given away",
        );
        return None;
    };
    let normalized = match NormalizedUrl::parse(url) {
        Ok(normalized) => normalized,
        Err(error) => {
            doc.wrong("canary.url", entry, error.to_string());
            return None;
        }
    };
    if !hosts
        .iter()
        .any(|host| covers(&host.pattern, &normalized.host))
    {
        let rule = format!(
            "its host is not watched; add [[host]] with name = \"{}\"",
            normalized.host
        );
        doc.wrong("canary.url", entry, rule);
    }
    if !seen.insert(normalized) {
        doc.wrong(
            "canary.url",
            entry,
            "is a canary already: a URL that two channels know tells them apart no more",
        );
    }
    Some(CanaryConfig {
        url: url.to_owned(),
        channel: channel?,
        label,
    })
}

/// Words of the owner's: something, on one line.
fn words(key: &str, text: &str, entry: Entry<'_>, doc: &mut Document<'_>) -> Option<String> {
    let text = text.trim();
    let good = !text.is_empty()
        && text.chars().count() <= TEXT_CHARACTERS_MAX
        && !text.chars().any(char::is_control);
    if !good {
        let rule = format!("must be 1 to {TEXT_CHARACTERS_MAX} characters on one line");
        doc.wrong(key, entry, rule);
    }
    good.then(|| text.to_owned())
}

/// Whether a pattern covers a host.
pub(super) fn covers(pattern: &HostPattern, host: &str) -> bool {
    match pattern {
        HostPattern::Exact(name) => name == host,
        HostPattern::Subdomains(parent) => host
            .strip_suffix(parent.as_str())
            .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
    }
}

const DRIVERS: [(&str, LedDriver); 5] = [
    ("auto", LedDriver::Auto),
    ("rppal", LedDriver::Rppal),
    ("gpiochip", LedDriver::Gpiochip),
    ("terminal", LedDriver::Terminal),
    ("none", LedDriver::None),
];

const ROLES: [(&str, LightRole); 3] = [
    ("alert", LightRole::Alert),
    ("armed", LightRole::Armed),
    ("activity", LightRole::Activity),
];

fn led(section: Option<Section<'_>>, doc: &mut Document<'_>) -> LedConfig {
    let mut config = LedConfig {
        driver: LedDriver::Auto,
        lights: Vec::new(),
        button: None,
    };
    let Some(mut section) = section else {
        return config;
    };
    if let Some(driver) = choice(&mut section, "driver", &DRIVERS, doc) {
        config.driver = driver;
    }
    let mut pins = HashSet::new();
    for (section, line) in section.sections("light", doc) {
        config
            .lights
            .extend(light(section, line, &config.lights, &mut pins, doc));
    }
    if let Some(section) = section.section("button", doc) {
        config.button = button(section, &mut pins, doc);
    }
    section.refuse_unknown(doc);
    config
}

fn light(
    mut section: Section<'_>,
    line: usize,
    before: &[LightConfig],
    pins: &mut HashSet<u8>,
    doc: &mut Document<'_>,
) -> Option<LightConfig> {
    let entry = section.take("role");
    let role = choice(&mut section, "role", &ROLES, doc);
    let pin = pin(&mut section, "led.light.pin", line, pins, doc);
    let active_low = section.boolean("active_low", doc).unwrap_or(false);
    section.refuse_unknown(doc);
    match (role, entry) {
        (None, None) => doc.missing(
            "led.light.role",
            Some(line),
            "must be one of: alert, armed, activity",
        ),
        (Some(role), Some(entry)) if before.iter().any(|light| light.role == role) => {
            doc.wrong(
                "led.light.role",
                entry,
                "another light has this role already",
            );
        }
        _ => {}
    }
    Some(LightConfig {
        role: role?,
        pin: pin?,
        active_low,
    })
}

fn button(
    mut section: Section<'_>,
    pins: &mut HashSet<u8>,
    doc: &mut Document<'_>,
) -> Option<ButtonConfig> {
    let pin = pin(&mut section, "led.button.pin", 0, pins, doc);
    section.refuse_unknown(doc);
    pin.map(|pin| ButtonConfig { pin })
}

fn pin(
    section: &mut Section<'_>,
    key: &str,
    line: usize,
    pins: &mut HashSet<u8>,
    doc: &mut Document<'_>,
) -> Option<u8> {
    if section.take("pin").is_none() {
        doc.missing(
            key,
            (line > 0).then_some(line),
            "must be a pin's BCM number",
        );
        return None;
    }
    let (number, entry) = section.integer("pin", 0..=PIN_MAX, doc)?;
    let pin = u8::try_from(number).ok()?;
    if !pins.insert(pin) {
        doc.wrong(
            key,
            entry,
            "this pin is used already; every light and the button need their own",
        );
    }
    Some(pin)
}
