//! From tables to a valid [`Config`]: every rule, and every error at once.

use std::path::Path;

use toml::de::DeTable;

use crate::config::error::ConfigErrors;
use crate::config::raw::{Document, Section};
use crate::config::{Config, HostConfig};

mod alerts;
mod capture;
mod evidence;
mod home;
mod led;
mod store;
#[cfg(test)]
mod tests;
mod tls;
mod values;
mod visitor;
mod watched;

/// Reads a configuration.
pub(super) fn parse(text: &str, path: &Path) -> Result<Config, ConfigErrors> {
    let (table, broken) = DeTable::parse_recoverable(text);
    let mut doc = Document::new(text);
    for error in &broken {
        doc.syntax(error);
    }
    let mut top = Section::top(table.get_ref());
    let capture = capture::capture(top.section("capture", &mut doc), &mut doc);
    let home = home::home(top.section("home", &mut doc), &mut doc);
    let store = store::store(top.section("store", &mut doc), &mut doc);
    let evidence = evidence::evidence(top.section("evidence", &mut doc), &mut doc);
    let hosts: Vec<HostConfig> = watched::hosts(&mut top, &mut doc);
    let canaries = watched::canaries(&mut top, &hosts, &mut doc);
    let key_logs = tls::key_logs(top.section("tls", &mut doc), &mut doc);
    let visitor = visitor::visitor(top.section("visitor", &mut doc), &mut doc);
    let led = led::led(top.section("led", &mut doc), &mut doc);
    let alerts = alerts::alerts(&mut top, &mut doc);
    top.refuse_unknown(&mut doc);
    let config = Config {
        path: path.to_owned(),
        capture,
        home,
        store,
        evidence,
        hosts,
        canaries,
        key_logs,
        visitor,
        led,
        alerts,
    };
    doc.finish(path, config)
}
