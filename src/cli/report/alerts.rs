//! Each alert with all that is known of it folded under it.

use maud::{Markup, html};

use crate::cli::render::printable;
use crate::cli::report::gather::{Alert, Report};
use crate::cli::report::page::shortened;
use crate::cli::report::zone::Zone;

/// The section of the alerts, newest first.
pub(super) fn section(report: &Report, zone: &Zone) -> Markup {
    html! {
        section aria-labelledby="alerts" {
            h2 id="alerts" { "Each alert" }
            @if report.alerts.is_empty() { p { "There was none." } }
            @for alert in report.alerts.iter().rev() { (details(alert, zone)) }
            @if report.selftests > 0 {
                p class="figure" { (report.selftests) " visits of self-tests are left out." }
            }
            @if report.earlier > 0 {
                p {
                    (report.earlier) " earlier ones are not shown one by one; "
                    code { "canarytap log --alerts" } " lists them."
                }
            }
        }
    }
}

fn details(alert: &Alert, zone: &Zone) -> Markup {
    let record = &alert.record;
    let method = record.method.as_deref().unwrap_or("hello");
    html! {
        details {
            summary {
                (zone.show(alert.at)) " · " (text(record.channel.as_deref())) " · "
                span class="wire" { (shortened(&printable(method), METHOD_MAX)) } " · "
                (record.client.map(|client| client.to_string()).unwrap_or_default())
                @if let Some(count) = record.count { " · " (count) " visits" }
                @if let Some(network) = &alert.network { " · " (printable(network)) }
                @if let Some(name) = &alert.fit { " · fits " (printable(name)) }
            }
            dl {
                @for (name, value) in facts(alert) {
                    dt { (name) } dd class="wire" { (printable(&value)) }
                }
                @for fit in &alert.fits { dt { "visitor" } dd { (printable(fit)) } }
                @if alert.fits.is_empty() {
                    dt { "visitor" } dd { "fits no known fetcher: a person's browser, or something that looks like one" }
                }
                @if !alert.next.is_empty() {
                    dt { "asked for next" } dd class="wire" { (printable(&alert.next.join(", "))) }
                }
            }
        }
    }
}

/// What is known of a visit, under the names of the log.
fn facts(alert: &Alert) -> Vec<(&'static str, String)> {
    let record = &alert.record;
    let number = |value: Option<u64>| value.map(|value| value.to_string());
    let texts =
        |values: &[std::borrow::Cow<'static, str>]| (!values.is_empty()).then(|| values.join(", "));
    let name = |value: &Option<std::borrow::Cow<'static, str>>| value.as_deref().map(str::to_owned);
    let all = [
        ("tap", record.tap.clone()),
        ("seq", number(record.seq)),
        ("canary", record.canary.clone()),
        ("label", record.label.clone()),
        ("match", name(&record.matched)),
        ("origin", name(&record.origin)),
        ("scheme", name(&record.scheme)),
        ("host", record.host.clone()),
        ("target", record.target.clone()),
        ("version", name(&record.version)),
        ("status", number(record.status.map(u64::from))),
        ("user_agent", record.user_agent.clone()),
        ("referer", record.referer.clone()),
        ("forwarded_for", record.forwarded_for.clone()),
        ("sni", record.sni.clone()),
        ("alpn", record.alpn.clone()),
        ("ja4", record.ja4.clone()),
        ("flags", texts(&record.flags)),
        ("alterations", texts(&record.alterations)),
        ("time to visit", alert.delay.map(|delay| delay.to_string())),
    ];
    all.into_iter()
        .filter_map(|(name, value)| Some((name, cut(value?))))
        .collect()
}

/// A target may be 64 KiB long; the log holds the rest.
fn cut(text: String) -> String {
    if text.chars().count() <= TEXT_MAX {
        return text;
    }
    let mut short: String = text.chars().take(TEXT_MAX).collect();
    short.push_str(" … (cut here; the log holds all of it)");
    short
}

fn text(value: Option<&str>) -> String {
    printable(value.unwrap_or("-")).into_owned()
}

/// Characters of a method in a line that is folded.
const METHOD_MAX: usize = 20;
/// Characters of a value that are shown.
const TEXT_MAX: usize = 1000;
