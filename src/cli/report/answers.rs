//! The answers of one experiment: words first, the figure second, then time line and canaries.

use maud::{Markup, html};

use crate::cli::render::printable;
use crate::cli::report::gather::Report;
use crate::cli::report::page::joined;
use crate::cli::report::zone::Zone;
use crate::cli::report::{plot, timeline};
use crate::experiment::words::{self, surer, watched};
use crate::experiment::{Answers, CanaryAnswer, ChannelAnswer, Sent, SureOf, Watching};

/// The section of one experiment; `number` makes its ids its own.
pub(super) fn section(
    answers: &Answers,
    number: usize,
    report: &Report,
    watching: &Watching,
    zone: &Zone,
) -> Markup {
    let id = format!("answers-{number}");
    let title = title(answers);
    html! {
        section aria-labelledby=(id) {
            h2 id=(id) { (title) }
            p class="figure" { "Since " (zone.show(answers.began)) "; " (watched(answers.watched)) "." }
            @for channel in &answers.channels { (of_channel(channel, answers)) }
            @if !answers.controls.is_empty() {
                p class="figure" {
                    "Controls, given to nobody: " (answers.control_group.visited) " of "
                    (answers.control_group.all) " visited."
                }
            }
            (timeline::figure(answers, number, report, watching, zone))
            (plot::figure(answers, number))
            (canaries(answers, &title, zone))
        }
    }
}

/// What the section is called.
pub(super) fn title(answers: &Answers) -> String {
    match &answers.name {
        Some(name) => format!("Experiment {}", printable(name)),
        None => "Canaries of no experiment".to_owned(),
    }
}

fn of_channel(channel: &ChannelAnswer, answers: &Answers) -> Markup {
    let figure = match channel.sure {
        SureOf::Open | SureOf::Fair | SureOf::High => Some(format!(
            "Fisher's exact test, one-sided: {}; corrected by Holm for {} channels: {}.",
            words::probability(channel.chance),
            answers.channels.len(),
            words::probability(channel.corrected)
        )),
        SureOf::NothingSent | SureOf::NotWatched | SureOf::NotVisited | SureOf::NoControls => None,
    };
    let class = match channel.sure {
        SureOf::Fair | SureOf::High => "channel sure",
        SureOf::Open | SureOf::NoControls => "channel visited",
        SureOf::NothingSent | SureOf::NotWatched | SureOf::NotVisited => "channel",
    };
    html! {
        div class=(class) {
            h3 { (printable(&channel.channel)) }
            p class="answer" { (capital(&words::channel(channel, answers.control_group))) "." }
            @if let Some(part) = channel.watched {
                p class="figure" { "Since it was sent, " (watched(part)) "." }
            }
            @if let Some(figure) = figure { p class="figure" { (figure) } }
            @if let Some(twins) = words::twins(channel) { p class="figure" { (capital(&twins)) "." } }
            @if let Some(more) = channel.surer { p class="figure" { (capital(&surer(more))) "." } }
        }
    }
}

fn canaries(answers: &Answers, title: &str, zone: &Zone) -> Markup {
    let sent = answers
        .channels
        .iter()
        .flat_map(|channel| &channel.canaries);
    let all = sent.chain(&answers.controls).chain(&answers.comparisons);
    html! {
        details {
            summary { "Each canary" }
            div class="wide" tabindex="0" role="region" aria-label=(format!("{title}: each canary")) {
                table {
                    thead { tr {
                        th scope="col" { "Canary" } th scope="col" { "Channel" }
                        th scope="col" { "Role" } th scope="col" { "Sent" }
                        th scope="col" { "Visited" } th scope="col" { "Time to visit" }
                        th scope="col" { "Methods" } th scope="col" { "Alterations" }
                    } }
                    tbody { @for canary in all { (row(canary, zone)) } }
                }
            }
        }
    }
}

fn row(canary: &CanaryAnswer, zone: &Zone) -> Markup {
    let sent = match &canary.sent {
        Sent::At(at, to) => html! {
            (zone.cell(*at)) @if let Some(to) = to { ", to " (printable(to)) }
        },
        Sent::NotNoted => html! { "not noted" },
        Sent::Never => html! { "never" },
    };
    let facts = &canary.facts;
    let first = facts.first.as_ref().map(|first| zone.cell(first.at));
    html! {
        tr {
            th scope="row" class="link" { code { (printable(canary.url.as_deref().unwrap_or(&canary.member.id))) } }
            td { (printable(&canary.member.channel)) }
            td { (canary.member.role.name()) }
            td { (sent) }
            td {
                (words::visited(canary))
                @if let Some(first) = first { ", first " (first) }
                @if facts.inside > 0 { "; " (facts.inside) " from inside" }
            }
            td { @if let Some(delay) = canary.delay { (delay) } }
            td { (joined(facts.methods.keys())) }
            td { (joined(facts.alterations.iter())) }
        }
    }
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters
        .next()
        .map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + characters.as_str()
}
