//! `canarytap check`: is the configuration valid, and what does it come to.

use std::io::{Write as _, stdout};
use std::path::Path;

use clap::Args;
use ipnet::IpNet;

use crate::capture::filter;
use crate::cli::{CommandResult, Failure, Globals, Outcome};
use crate::config::units::bytes_text;
use crate::config::{Config, LedConfig, LightRole, Responses};
use crate::engine::canary::{Home, PortSet};
use crate::store::StoreReader;

/// Arguments of `check`.
#[derive(Clone, Copy, Debug, Args)]
pub struct CheckArgs {
    /// Say only what is missing before `run` can start: exit status 1 if anything is
    #[arg(long)]
    complete: bool,
}

/// Runs the command.
pub fn run(globals: &Globals, args: &CheckArgs) -> CommandResult {
    let config = globals.load_config()?;
    if args.complete {
        return is_complete(&config);
    }
    config
        .check_interface()
        .map_err(|errors| Failure::Usage(errors.to_string()))?;
    let mut out = stdout().lock();
    write!(out, "{}", report(&config))?;
    Ok(Outcome::Done)
}

/// For who starts the daemon; whether the interface is there is not asked.
fn is_complete(config: &Config) -> CommandResult {
    let missing = config.missing();
    let mut out = stdout().lock();
    for one in &missing {
        writeln!(out, "before `run` can start: {}", one.text)?;
    }
    Ok(match missing.is_empty() {
        true => Outcome::Done,
        false => Outcome::Bad,
    })
}

fn report(config: &Config) -> String {
    let mut lines = vec![format!("{}: valid", config.path.display())];
    for missing in config.missing() {
        lines.push(format!("before `run` can start: {}", missing.text));
    }
    for remark in config.remarks() {
        lines.push(format!("note: {remark}"));
    }
    lines.extend(capture_lines(config));
    lines.extend(watched_lines(config));
    lines.extend(minted_line(&config.store.directory));
    lines.extend(home_lines(&config.home_of_this_machine()));
    lines.push(format!("store     {}", config.store.directory.display()));
    lines.push(format!("run       {}", config.run_directory().display()));
    for log in &config.key_logs {
        lines.push(format!("key log   {}", log.display()));
    }
    lines.extend(led_lines(&config.led));
    for alert in &config.alerts {
        let (kind, place) = (alert.sink.kind(), alert.sink.place());
        lines.push(format!("alert     {}: {kind} to {place}", alert.name));
    }
    lines.join("\n") + "\n"
}

fn capture_lines(config: &Config) -> [String; 2] {
    let capture = &config.capture;
    [
        format!(
            "capture   interface {}, ports {}, ring {}, memory {}, responses {}",
            capture.interface.as_deref().unwrap_or("not named"),
            ports_text(&capture.ports),
            bytes_text(capture.buffer_bytes as u64),
            bytes_text(capture.memory_bytes as u64),
            responses_text(capture.responses),
        ),
        format!(
            "filter    {}",
            filter::expression(
                &capture.ports,
                &config.server_addresses(),
                capture.responses
            )
        ),
    ]
}

fn watched_lines(config: &Config) -> Vec<String> {
    let hosts = config.hosts.iter().map(|host| {
        let addresses = joined(&host.addresses);
        let at = if addresses.is_empty() { "" } else { " at " };
        format!("host      {}{at}{addresses}", host.pattern)
    });
    let canaries = config.canaries().into_iter().map(|canary| {
        let label = canary.label.as_deref().unwrap_or("-");
        let token = canary
            .token
            .map(|token| format!("  token {token}"))
            .unwrap_or_default();
        format!(
            "canary    {}  {}  {label}  {}{token}",
            canary.id, canary.channel, canary.written
        )
    });
    hosts.chain(canaries).collect()
}

/// How many canaries the store adds, where there is one that may be read.
fn minted_line(directory: &Path) -> Option<String> {
    let minted = StoreReader::open(directory)
        .ok()?
        .canaries_version()
        .ok()?
        .0;
    (minted > 0).then(|| format!("minted    {minted} more canaries in the store"))
}

fn home_lines(home: &Home) -> Vec<String> {
    let mut lines = vec![format!("home      {}", joined(&sorted(&home.networks)))];
    for (what, addresses) in [
        ("public", joined(&home.public)),
        ("gateway", joined(&home.gateways)),
        ("container", joined(&sorted(&home.containers))),
    ] {
        if !addresses.is_empty() {
            lines.push(format!("{what:<10}{addresses}"));
        }
    }
    for proxy in &home.proxies {
        lines.push(format!(
            "proxy     {} names visitors in {}",
            joined(&proxy.networks),
            proxy.header
        ));
    }
    lines
}

/// Each network once, without those that lie in another.
fn sorted(networks: &[IpNet]) -> Vec<IpNet> {
    let lies_in_another = |network: &IpNet| {
        let mut others = networks.iter().filter(|other| *other != network);
        others.any(|other| other.contains(network))
    };
    let mut sorted = networks.to_vec();
    sorted.retain(|network| !lies_in_another(network));
    sorted.sort();
    sorted.dedup();
    sorted
}

fn joined(items: &[impl ToString]) -> String {
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

fn responses_text(responses: Responses) -> &'static str {
    match responses {
        Responses::All => "all",
        Responses::Heads => "heads",
    }
}

fn led_lines(led: &LedConfig) -> Vec<String> {
    let mut lines = vec![format!("lights    driver {:?}", led.driver).to_lowercase()];
    for light in &led.lights {
        let low = if light.active_low { ", active low" } else { "" };
        lines.push(format!(
            "light     {} on pin {}{low}",
            role_text(light.role),
            light.pin
        ));
    }
    if let Some(button) = &led.button {
        lines.push(format!("button    on pin {}", button.pin));
    }
    lines
}

fn role_text(role: LightRole) -> &'static str {
    match role {
        LightRole::Alert => "alert",
        LightRole::Armed => "armed",
        LightRole::Activity => "activity",
    }
}

fn ports_text(ports: &PortSet) -> String {
    match ports {
        PortSet::All => "all".into(),
        PortSet::Some(ports) => ports
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" "),
    }
}
