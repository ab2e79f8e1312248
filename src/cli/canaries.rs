//! `canarytap canaries`: the canaries with their visits.

use std::collections::HashMap;
use std::io::{self, Write, stdout};

use clap::Args;
use serde::Serialize;

use crate::cli::render::printable;
use crate::cli::{CommandResult, Failure, Globals, Outcome};
use crate::store::{StoreReader, StoredCanary, TapStore, Visits, canaries_of};

/// Arguments of `canaries`.
#[derive(Clone, Debug, Args)]
pub struct CanariesArgs {
    /// Canaries of this channel only
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// How they are printed
    #[arg(long, value_enum, default_value_t)]
    format: ListFormat,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum ListFormat {
    /// Columns, for people
    #[default]
    Table,
    /// One JSON object a line
    Jsonl,
}

/// Runs the command.
pub fn run(globals: &Globals, args: &CanariesArgs) -> CommandResult {
    let stores = TapStore::open_all(&globals.data_directory()?)?;
    let mut lines = lines(known_to(globals, &stores)?, &stores)?;
    if let Some(channel) = &args.channel {
        lines.retain(|line| &line.channel == channel);
    }
    let mut out = io::BufWriter::new(stdout().lock());
    match args.format {
        ListFormat::Table => table(&mut out, &lines)?,
        ListFormat::Jsonl => {
            for line in &lines {
                let text = serde_json::to_string(line).map_err(io::Error::from)?;
                writeln!(out, "{text}")?;
            }
        }
    }
    out.flush()?;
    Ok(Outcome::Done)
}

/// One canary, as it is printed: a key without a value left out.
#[derive(Clone, Debug, Serialize)]
struct Line {
    id: String,
    channel: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    url: String,
    /// What is searched for in host, path, query and Referer; none: only its path is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    control: bool,
    /// When it was minted; none for one that stands in the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    visits: u64,
    alerts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<String>,
}

/// The canaries that stand in the configuration; with `--data` alone there need be none.
pub(super) fn configured(globals: &Globals) -> Result<Vec<StoredCanary>, Failure> {
    if globals.data.is_some() && !globals.config_path().exists() {
        return Ok(Vec::new());
    }
    Ok(globals
        .load_config()?
        .canaries()
        .into_iter()
        .map(plain)
        .collect())
}

fn plain(canary: crate::engine::canary::Canary) -> StoredCanary {
    StoredCanary {
        id: canary.id,
        url: canary.written,
        channel: canary.channel,
        label: canary.label,
        token: canary.token,
        control: canary.control,
        created: String::new(),
    }
}

/// All canaries: those of the configuration, then those that were minted.
pub(super) fn known(globals: &Globals, reader: &StoreReader) -> Result<Vec<StoredCanary>, Failure> {
    let mut known = configured(globals)?;
    known.extend(reader.canaries()?);
    Ok(known)
}

/// The same of several taps, where one canary may be known to more than one.
pub(super) fn known_to(
    globals: &Globals,
    stores: &[TapStore],
) -> Result<Vec<StoredCanary>, Failure> {
    let mut known = configured(globals)?;
    for canary in canaries_of(stores)? {
        if !known.iter().any(|one| one.id == canary.id) {
            known.push(canary);
        }
    }
    Ok(known)
}

fn lines(known: Vec<StoredCanary>, stores: &[TapStore]) -> Result<Vec<Line>, Failure> {
    let mut visits: HashMap<String, Visits> = HashMap::new();
    for store in stores {
        for (canary, more) in store.reader.visits()? {
            visits.entry(canary).or_default().join(more);
        }
    }
    let known = known.into_iter();
    let mut lines: Vec<Line> = known.map(|canary| line(canary, &mut visits)).collect();
    lines.extend(gone(visits));
    Ok(lines)
}

fn line(canary: StoredCanary, visits: &mut HashMap<String, Visits>) -> Line {
    let visits = visits.remove(&canary.id).unwrap_or_default();
    Line {
        id: canary.id,
        channel: canary.channel,
        label: canary.label,
        url: canary.url,
        token: canary.token,
        control: canary.control,
        created: Some(canary.created).filter(|created| !created.is_empty()),
        visits: visits.count,
        alerts: visits.alerts,
        first: visits.first,
        last: visits.last,
    }
}

/// Canaries that were visited and stand in the configuration no more: their visits stay.
fn gone(visits: HashMap<String, Visits>) -> Vec<Line> {
    let mut gone: Vec<Line> = visits
        .into_iter()
        .map(|(id, visits)| {
            let canary = StoredCanary {
                id: id.clone(),
                url: String::new(),
                channel: String::new(),
                label: None,
                token: None,
                control: false,
                created: String::new(),
            };
            line(canary, &mut HashMap::from([(id, visits)]))
        })
        .collect();
    gone.sort_by(|one, other| one.first.cmp(&other.first));
    gone
}

const TITLES: [&str; 8] = [
    "ID",
    "CHANNEL",
    "LABEL",
    "KIND",
    "VISITS",
    "ALERTS",
    "LAST VISIT",
    "URL",
];

fn table(out: &mut impl Write, lines: &[Line]) -> io::Result<()> {
    let rows: Vec<[String; 8]> = lines.iter().map(cells).collect();
    let mut widths = TITLES.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    row(out, &TITLES.map(str::to_owned), &widths)?;
    rows.iter().try_for_each(|cells| row(out, cells, &widths))
}

fn row(out: &mut impl Write, cells: &[String; 8], widths: &[usize; 8]) -> io::Result<()> {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str(&format!("{cell:<width$} "));
    }
    writeln!(out, "{}", line.trim_end())
}

fn cells(line: &Line) -> [String; 8] {
    let or_dash = |text: &str| match text {
        "" => "-".to_owned(),
        text => printable(text).into_owned(),
    };
    [
        or_dash(&line.id),
        or_dash(&line.channel),
        or_dash(line.label.as_deref().unwrap_or_default()),
        if line.control { "control" } else { "canary" }.to_owned(),
        line.visits.to_string(),
        line.alerts.to_string(),
        or_dash(&line.last.as_deref().map(to_the_second).unwrap_or_default()),
        or_dash(&line.url),
    ]
}

fn to_the_second(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time.to_owned(),
    }
}
