//! What an experiment has shown, for people and for programs.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::cli::Failure;
use crate::cli::render::printable;
use crate::experiment::words::{self, surer, watched};
use crate::experiment::{Answers, CanaryAnswer, ChannelAnswer, Facts, Ledger, Role, Sent};
use crate::store::{StoreError, TapStore};

/// Prints a line for each experiment.
pub(super) fn list(
    out: &mut impl Write,
    ledger: &Ledger,
    stores: &[TapStore],
    as_json: bool,
) -> Result<(), Failure> {
    let visits = stores.iter().map(|store| store.reader.visits());
    let visits = visits.collect::<Result<Vec<_>, StoreError>>()?;
    for plan in &ledger.plans {
        let count = |role| plan.members.iter().filter(|one| one.role == role).count();
        let to_send = plan.members.iter().filter(|one| one.role == Role::Sent);
        let sent = to_send
            .filter(|one| !ledger.sendings(&one.id).is_empty())
            .count();
        let is_visited = |id: &String| {
            let mut of_id = visits.iter().filter_map(|visits| visits.get(id));
            of_id.any(|visits| visits.alerts > 0)
        };
        let visited = plan
            .members
            .iter()
            .filter(|one| is_visited(&one.id))
            .count();
        if as_json {
            let line = json!({
                "name": plan.name, "time": plan.time, "channels": plan.channels(),
                "canaries": count(Role::Sent), "sent": sent, "controls": count(Role::Control),
                "comparisons": count(Role::Browser) + count(Role::Beside), "visited": visited,
            });
            writeln!(out, "{line}")?;
        } else {
            writeln!(
                out,
                "{}  {}  {} canaries over {} ({sent} sent), {} controls; {visited} visited",
                plan.time.split('.').next().unwrap_or_default(),
                printable(&plan.name),
                count(Role::Sent),
                printable(&plan.channels().join(", ")),
                count(Role::Control),
            )?;
        }
    }
    Ok(())
}

/// Prints answers for people: words first.
pub(super) fn words(out: &mut impl Write, answers: &Answers) -> io::Result<()> {
    writeln!(
        out,
        "Experiment {}, since {}, {}",
        printable(answers.name.as_deref().unwrap_or("-")),
        answers.began,
        watched(answers.watched)
    )?;
    for channel in &answers.channels {
        channel_words(out, answers, channel)?;
    }
    let group = answers.control_group;
    if !answers.controls.is_empty() {
        writeln!(
            out,
            "\ncontrols: {} of {} visited",
            group.visited, group.all
        )?;
        canaries(out, &answers.controls)?;
    }
    if !answers.comparisons.is_empty() {
        writeln!(out, "\ncomparisons, which take no part in the answers:")?;
        canaries(out, &answers.comparisons)?;
    }
    writeln!(out, "\n{CAUTION}")
}

fn channel_words(
    out: &mut impl Write,
    answers: &Answers,
    channel: &ChannelAnswer,
) -> io::Result<()> {
    writeln!(
        out,
        "\n{}: {}",
        printable(&channel.channel),
        words::channel(channel, answers.control_group)
    )?;
    if let Some(part) = channel.watched {
        writeln!(out, "  since it was sent: {}", watched(part))?;
    }
    if let Some(twins) = words::twins(channel) {
        writeln!(out, "  {twins}")?;
    }
    if let Some(more) = channel.surer {
        writeln!(out, "  {}", surer(more))?;
    }
    canaries(out, &channel.canaries)
}

fn canaries(out: &mut impl Write, canaries: &[CanaryAnswer]) -> io::Result<()> {
    canaries.iter().try_for_each(|canary| {
        writeln!(out, "  {}  {}", canary.member.id, canary_words(canary))?;
        writeln!(
            out,
            "      {}",
            printable(canary.url.as_deref().unwrap_or("-"))
        )
    })
}

fn canary_words(canary: &CanaryAnswer) -> String {
    let mut text = words::visited(canary);
    if let Some(first) = &canary.facts.first {
        text.push_str(&format!(", first at {}", first.at));
    }
    if let Some(delay) = canary.delay {
        text.push_str(&format!(" ({delay} after it was sent)").replace(
            "(before sending was finished after it was sent)",
            "(before sending was finished)",
        ));
    }
    text.push_str(&facts_words(&canary.facts));
    text
}

fn facts_words(facts: &Facts) -> String {
    let mut text = String::new();
    if !facts.methods.is_empty() {
        let methods: Vec<String> = facts
            .methods
            .iter()
            .map(|(method, count)| format!("{count} {}", printable(method)))
            .collect();
        text.push_str(&format!("; {}", methods.join(", ")));
    }
    let clients = facts.clients.len();
    if clients == 1 {
        text.extend(facts.clients.iter().map(|client| format!(" from {client}")));
    } else if clients > 1 {
        text.push_str(&format!(" from {clients} addresses"));
    }
    if !facts.alterations.is_empty() {
        let altered: Vec<&str> = facts.alterations.iter().map(String::as_str).collect();
        text.push_str(&format!("; altered: {}", altered.join(", ")));
    }
    if facts.inside > 0 {
        text.push_str(&format!("; {} from inside", facts.inside));
    }
    text
}

/// Prints answers for programs: a line for each channel, then one for each canary.
pub(super) fn jsonl(out: &mut impl Write, answers: &Answers) -> io::Result<()> {
    for channel in &answers.channels {
        writeln!(out, "{}", channel_json(answers, channel))?;
    }
    let sent = answers
        .channels
        .iter()
        .flat_map(|channel| &channel.canaries);
    let all = sent.chain(&answers.controls).chain(&answers.comparisons);
    for canary in all {
        writeln!(out, "{}", canary_json(canary))?;
    }
    Ok(())
}

fn channel_json(answers: &Answers, channel: &ChannelAnswer) -> Value {
    let controls = answers.control_group;
    json!({
        "experiment": answers.name,
        "channel": channel.channel,
        "sent": channel.sent.all,
        "visited": channel.sent.visited,
        "controls": controls.all,
        "controls_visited": controls.visited,
        "watched_percent": channel.watched.map(|part| part.percent()),
        "p": channel.chance,
        "p_corrected": channel.corrected,
        "answer": words::channel(channel, controls),
        "twins": words::twins(channel),
        "surer": channel.surer.map(surer),
    })
}

fn canary_json(canary: &CanaryAnswer) -> Value {
    let facts = &canary.facts;
    let mut line = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            line.insert(key.into(), value);
        }
    };
    put("canary", json!(canary.member.id));
    put("channel", json!(canary.member.channel));
    put("role", json!(canary.member.role.name()));
    put("pair", json!(canary.member.pair));
    put("url", json!(canary.url));
    if let Sent::At(at, to) = &canary.sent {
        put("sent", json!(at.to_string()));
        put("to", json!(to));
    }
    put("visited", json!(facts.is_visited()));
    put("visits", json!(facts.visits));
    put("inside", json!(facts.inside));
    put(
        "first",
        json!(facts.first.as_ref().map(|first| first.at.to_string())),
    );
    put("delay", json!(canary.delay.map(|delay| delay.name())));
    put("clients", json!(facts.clients));
    put("methods", json!(facts.methods));
    put("alterations", json!(facts.alterations));
    put("watched_percent", json!(canary.watched.percent()));
    Value::Object(line)
}

const CAUTION: &str = "\
A visit says that somebody on the way opened the link, not that the channel's operator did: the
recipient, or software of theirs, may have. What says that nothing came speaks only of the time in
which the tap was watching.";
