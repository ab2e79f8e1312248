//! The page: its frame, its style, and the sections in their order.

use maud::{Markup, html};

use crate::cli::document::document;
use crate::cli::render::printable;
use crate::cli::report::gather::{NetworkVisits, Report};
use crate::cli::report::zone::Zone;
use crate::cli::report::{alerts, answers};
use crate::experiment::Watching;

/// The whole page.
pub(super) fn page(report: &Report, watching: &Watching, zone: &Zone) -> Markup {
    let body = html! {
        header {
            h1 { "Who opened the links" }
            p { "As of " (zone.show(report.now)) ", times in " (zone.name()) ", UTC beside." }
        }
        main {
            @for (number, one) in report.answers.iter().enumerate() {
                (answers::section(one, number, report, watching, zone))
            }
            @if report.answers.is_empty() {
                p { "There is no canary yet: " code { "canarytap mint" } " makes one." }
            }
            (networks(&report.networks))
            (alerts::section(report, zone))
            (CAUTION.section())
        }
        footer { p { "Made by canarytap " (env!("CARGO_PKG_VERSION")) "." } }
    };
    document("canarytap report", STYLE, &body)
}

fn networks(networks: &[NetworkVisits]) -> Markup {
    html! {
        section aria-labelledby="visitors" {
            h2 id="visitors" { "Visitors by network" }
            @if networks.is_empty() {
                p { "Nobody came from outside." }
            } @else {
                div class="wide" tabindex="0" role="region" aria-label="Table of visitors by network" {
                    table {
                        thead { tr {
                            th scope="col" { "Network" } th scope="col" class="number" { "Visits" }
                            th scope="col" { "Addresses" } th scope="col" { "Channels" }
                            th scope="col" { "Methods" }
                        } }
                        tbody { @for network in networks { (network_row(network)) } }
                    }
                }
            }
        }
    }
}

fn network_row(network: &NetworkVisits) -> Markup {
    let clients: Vec<String> = network.clients.iter().map(ToString::to_string).collect();
    html! {
        tr {
            th scope="row" { (printable(&network.name)) }
            td class="number" { (network.visits) }
            td { (clients.join(", ")) }
            td { (joined(network.channels.iter())) }
            td { (joined(network.methods.iter())) }
        }
    }
}

/// Texts of others, made harmless and put in a row; each is cut to what a cell has room for.
pub(super) fn joined<'a>(texts: impl Iterator<Item = &'a String>) -> String {
    let texts: Vec<String> = texts
        .map(|text| shortened(&printable(text), CELL_MAX))
        .collect();
    texts.join(", ")
}

/// The first `max` characters, with a sign that there were more.
pub(super) fn shortened(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// What a reader must not forget.
struct Caution;

const CAUTION: Caution = Caution;

impl Caution {
    fn section(&self) -> Markup {
        html! {
            section aria-labelledby="caution" {
                h2 id="caution" { "What this proves, and what not" }
                p {
                    "A visit says that somebody on the way opened the link. It does not say that the
                    operator of the channel did: the recipient, a browser or a virus scanner may
                    have. Controls were given to nobody; what visits them is noise. That a link was
                    not visited is claimed only for the time in which the tap was watching."
                }
                p {
                    "A User-Agent is a claim, and a network is where a packet came from, not who sent
                    it. What a known fetcher fits are reasons, not verdicts."
                }
            }
        }
    }
}

/// Characters of a text in a cell of a table.
const CELL_MAX: usize = 40;

const STYLE: &str = include_str!("style.css");
