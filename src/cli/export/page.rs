//! The page for a person to read.

use maud::{Markup, html};
use serde_json::Value;

use crate::cli::document::document;
use crate::cli::export::Export;
use crate::cli::export::bundle::Chain;
use crate::cli::render::printable;
use crate::store::{Coverage, Evidence};

pub(super) fn page(export: &Export, chain: &Chain, evidence: Option<&Evidence>) -> Markup {
    let title = format!("Event {}", export.seq);
    let body = html! {
        main {
            h1 { (title) }
            p { (sentence(export)) }
            (seen(export))
            (time(export))
            (packets(evidence))
            (watching(export))
            (the_chain(export, chain))
        }
        footer { p {
            "Made at " (export.made) " by canarytap " (env!("CARGO_PKG_VERSION"))
            @if let Some(tap) = &export.tap { ", from a copy of the tap " (printable(tap)) }
            @if let Some(config) = &export.config {
                ", with the configuration whose SHA-256 is " code { (config.sha256) }
            }
            "."
        } }
    };
    document(&title, STYLE, &body)
}

fn sentence(export: &Export) -> String {
    let event = &export.event;
    if let (Some(fault), Some(state)) = (&event.fault, &event.state) {
        return format!(
            "The tap noted of itself: {} {}.",
            printable(fault),
            printable(state)
        );
    }
    let client = event.client.map(|client| client.to_string());
    format!(
        "At {}, {} asked for a link that was given to {} and to nobody else.",
        event.time,
        client.as_deref().unwrap_or("several visitors"),
        printable(event.channel.as_deref().unwrap_or("one channel")),
    )
}

/// Every key of the event, as it is printed.
fn seen(export: &Export) -> Markup {
    let event = serde_json::to_value(&export.event).unwrap_or_default();
    let rows = event.as_object().into_iter().flatten();
    let rows = rows.filter(|(key, _)| key.as_str() != "evidence");
    section(
        "What was seen",
        &table(rows.map(|(key, value)| (key.clone(), plain(value)))),
    )
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn time(export: &Export) -> Markup {
    let event = &export.event;
    let text = match (&event.clock_said, event.synchronised) {
        (Some(said), _) => format!(
            "The tap's clock said {said}, and was set later. The time above is what it really was: \
             the machine had run for so long, and a later record says what time it was when."
        ),
        (None, Some(true)) => "The tap's clock was synchronised.".into(),
        (None, Some(false)) => {
            "The tap's clock was not synchronised, and has not been since: the time may be wrong."
                .into()
        }
        (None, None) => "Nobody says whether the tap's clock was synchronised.".into(),
    };
    section("When", &html! { p { (text) } })
}

fn packets(evidence: Option<&Evidence>) -> Markup {
    let body = match evidence {
        None => html! { p { "No packets of this event are in the bundle." } },
        Some(evidence) => {
            let path = format!("evidence/{}", evidence.file);
            html! {
                p {
                    a href=(path) { (path) } ": "
                    (evidence.frames.unwrap_or_default()) " frames, "
                    (evidence.bytes.unwrap_or_default()) " bytes, SHA-256 "
                    code { (evidence.sha256.as_deref().unwrap_or_default()) } "."
                }
                @if let Some(missed) = evidence.missed {
                    p { (missed) " frames of the connection are not there." }
                }
            }
        }
    };
    section("Packets", &body)
}

fn watching(export: &Export) -> Markup {
    let coverage = export.coverage.as_ref().map(covered);
    let records = export
        .around
        .iter()
        .filter(|record| record["fault"].is_string());
    let rows = records.map(|record| {
        let word = |key: &str| plain(record.get(key).unwrap_or(&Value::Null));
        (
            word("time"),
            format!("{} {}: {}", word("fault"), word("state"), word("text")),
        )
    });
    section(
        "Was the tap looking?",
        &html! {
            @if let Some(coverage) = coverage { p { (coverage) } }
            (table(rows))
        },
    )
}

fn covered(coverage: &Coverage) -> String {
    let minutes = |time: std::time::Duration| time.as_secs() / 60;
    format!(
        "Of the hour before and the hour after, records say that it was looking for {} minutes; no \
         record speaks for {} (the present hour has none yet).",
        minutes(coverage.covered()),
        minutes(coverage.blind),
    )
}

fn the_chain(export: &Export, chain: &Chain) -> Markup {
    let event = format!("{}:{}", export.seq, chain.event);
    let remembered = export.remembered.as_ref().map(ToString::to_string);
    let rows = [
        ("records", chain.links.to_string()),
        ("first", chain.first.to_string()),
        ("this event", event),
        ("last", chain.last.to_string()),
        ("remembered", remembered.unwrap_or_else(|| "none".into())),
    ];
    section(
        "The chain",
        &html! {
            p {
                "Each record names the SHA-256 of the one before it. README.txt says how to check that, "
                "and the packets, with tools that are not canarytap's, and what it shows and what not."
            }
            (table(rows.into_iter().map(|(name, value)| (name.to_owned(), value))))
        },
    )
}

fn section(title: &str, body: &Markup) -> Markup {
    html! { section { h2 { (title) } (body) } }
}

fn table(rows: impl Iterator<Item = (String, String)>) -> Markup {
    html! {
        table { tbody {
            @for (name, value) in rows {
                tr { th scope="row" { (printable(&name)) } td { (printable(&value)) } }
            }
        } }
    }
}

const STYLE: &str = "
:root { --paper: #ffffff; --ink: #1b1f24; --faint: #57606a; --line: #d0d7de; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #12161b; --ink: #e6edf3; --faint: #9ba7b4; --line: #3d444d; }
}
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
h2 { font-size: 1.2rem; margin-top: 2rem; }
footer { color: var(--faint); margin-top: 2rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 1rem 0.25rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-weight: normal; color: var(--faint); width: 12rem; }
a { color: inherit; }
";
