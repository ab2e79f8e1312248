//! `canarytap check`: is the configuration valid, and what does it come to.

use std::io::{Write as _, stdout};

use crate::capture::filter;
use crate::cli::{CommandResult, Failure, Globals, Outcome};
use crate::config::units::bytes_text;
use crate::config::{Config, LedConfig, LightRole};
use crate::engine::canary::PortSet;

/// Runs the command.
pub fn run(globals: &Globals) -> CommandResult {
    let config = globals.load_config()?;
    config
        .check_interface()
        .map_err(|errors| Failure::Usage(errors.to_string()))?;
    let mut out = stdout().lock();
    write!(out, "{}", report(&config))?;
    Ok(Outcome::Done)
}

fn report(config: &Config) -> String {
    let mut lines = vec![format!("{}: valid", config.path.display())];
    let missing = config.missing();
    for missing in &missing {
        lines.push(format!("before `run` can start: {}", missing.text));
    }
    let capture = &config.capture;
    lines.push(format!(
        "capture   interface {}, ports {}, ring {}, memory {}",
        capture.interface.as_deref().unwrap_or("not named"),
        ports_text(&capture.ports),
        bytes_text(capture.buffer_bytes as u64),
        bytes_text(capture.memory_bytes as u64),
    ));
    lines.push(format!(
        "filter    {}",
        filter::expression(&capture.ports, &config.server_addresses())
    ));
    for host in &config.hosts {
        lines.push(format!("host      {}", host.pattern));
    }
    for (canary, written) in config.canaries().iter().zip(&config.canaries) {
        let label = canary.label.as_deref().unwrap_or("-");
        lines.push(format!(
            "canary    {}  {}  {label}  {}",
            canary.id, canary.channel, written.url
        ));
    }
    let home = config.home_of_this_machine();
    let mut networks: Vec<String> = home.networks.iter().map(ToString::to_string).collect();
    networks.sort();
    networks.dedup();
    lines.push(format!("home      {}", networks.join(", ")));
    for address in &home.public {
        lines.push(format!("home      public {address}"));
    }
    lines.push(format!("store     {}", config.store.directory.display()));
    lines.push(format!("run       {}", config.run_directory().display()));
    lines.extend(led_lines(&config.led));
    lines.join("\n") + "\n"
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
