//! A table that streams: a column grows with what it has shown, up to a bound, and on a narrow
//! terminal the columns that say least are left out.

use std::borrow::Cow;
use std::io::{self, Write};

use crate::cli::render::Look;
use crate::cli::render::escape::printable;
use crate::store::EventRecord;

/// The columns that fit, and how wide they are by now.
#[derive(Debug)]
pub(super) struct Table {
    look: Look,
    columns: Vec<Column>,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    title: &'static str,
    width: usize,
    width_max: usize,
    right: bool,
    cell: fn(&EventRecord) -> Cow<'_, str>,
}

impl Table {
    pub(super) fn new(look: Look) -> Self {
        let mut columns = COLUMNS.to_vec();
        if let Some(width) = look.width {
            for title in LEFT_OUT_FIRST {
                if total(&columns) > width {
                    columns.retain(|column| column.title != title);
                }
            }
        }
        Self { look, columns }
    }

    pub(super) fn add_taps(&mut self) {
        self.columns.insert(0, column("TAP", 8, 16, tap));
    }

    pub(super) fn header(&self, out: &mut impl Write) -> io::Result<()> {
        let titles = self
            .columns
            .iter()
            .map(|column| (column, Cow::Borrowed(column.title)));
        let line = line(titles);
        match self.look.colours {
            true => writeln!(out, "\x1b[1m{line}\x1b[0m"),
            false => writeln!(out, "{line}"),
        }
    }

    pub(super) fn row(&mut self, out: &mut impl Write, event: &EventRecord) -> io::Result<()> {
        let mut room = self.look.width.unwrap_or(usize::MAX);
        let mut cells = Vec::with_capacity(self.columns.len());
        for column in &mut self.columns {
            let cell = (column.cell)(event);
            let mut cell = Cow::Owned(printable(&cell).into_owned());
            if self.look.width.is_some() {
                cell = shortened(cell, column.width_max.min(room));
            }
            column.width = column.width.max(length(&cell).min(column.width_max));
            room = room.saturating_sub(column.width + GAP.len());
            cells.push(cell);
        }
        let line = line(self.columns.iter().zip(cells));
        match self.look.colours && event.alert {
            true => writeln!(out, "\x1b[1;31m{line}\x1b[0m"),
            false => writeln!(out, "{line}"),
        }
    }
}

fn line<'a>(cells: impl Iterator<Item = (&'a Column, Cow<'a, str>)>) -> String {
    let mut line = String::new();
    for (column, cell) in cells {
        if !line.is_empty() {
            line.push_str(GAP);
        }
        let width = column.width;
        let padded = match column.right {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        };
        line.push_str(&padded);
    }
    line.truncate(line.trim_end().len());
    line
}

/// Cut to `width` characters, the last one a sign that something is missing.
fn shortened(text: Cow<'_, str>, width: usize) -> Cow<'_, str> {
    if length(&text) <= width {
        return text;
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    Cow::Owned(short)
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn total(columns: &[Column]) -> usize {
    columns
        .iter()
        .map(|column| column.width + GAP.len())
        .sum::<usize>()
        .saturating_sub(GAP.len())
}

fn or_dash(value: Option<&str>) -> Cow<'_, str> {
    Cow::Borrowed(value.filter(|value| !value.is_empty()).unwrap_or("-"))
}

fn tap(event: &EventRecord) -> Cow<'_, str> {
    or_dash(event.tap.as_deref())
}

fn seq(event: &EventRecord) -> Cow<'_, str> {
    event
        .seq
        .map_or(Cow::Borrowed("-"), |seq| seq.to_string().into())
}

/// To the second, in a form that `--since` takes.
fn time(event: &EventRecord) -> Cow<'_, str> {
    match event.time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z").into(),
        None => event.time.as_str().into(),
    }
}

fn kind(event: &EventRecord) -> Cow<'_, str> {
    match (event.alert, event.count) {
        (true, None) => "ALERT".into(),
        (true, Some(count)) => format!("ALERT x{count}").into(),
        (false, Some(count)) => format!("fold x{count}").into(),
        (false, None) => event.kind.as_ref().into(),
    }
}

fn origin(event: &EventRecord) -> Cow<'_, str> {
    or_dash(event.origin.as_deref())
}

fn client(event: &EventRecord) -> Cow<'_, str> {
    match event.client {
        Some(client) => client.to_string().into(),
        None => "-".into(),
    }
}

fn channel(event: &EventRecord) -> Cow<'_, str> {
    or_dash(event.channel.as_deref())
}

fn label(event: &EventRecord) -> Cow<'_, str> {
    or_dash(event.label.as_deref())
}

fn method(event: &EventRecord) -> Cow<'_, str> {
    or_dash(event.method.as_deref())
}

fn status(event: &EventRecord) -> Cow<'_, str> {
    event
        .status
        .map_or(Cow::Borrowed("-"), |status| status.to_string().into())
}

/// Host and target; an absolute target says both.
fn url(event: &EventRecord) -> Cow<'_, str> {
    if let Some(fault) = &event.fault {
        return trouble(event, fault).into();
    }
    let host = event.host.as_deref().or(event.sni.as_deref());
    let host = host.unwrap_or_default();
    match event.target.as_deref() {
        Some(target) if target.starts_with('/') => format!("{host}{target}").into(),
        Some("*") => format!("{host} *").into(),
        Some(target) => target.into(),
        None => or_dash(Some(host)),
    }
}

/// A fault stands where an event has its URL.
fn trouble(event: &EventRecord, fault: &str) -> String {
    let state = event.state.as_deref().unwrap_or_default();
    let text = event.text.as_deref().unwrap_or_default();
    let times = event.times.map(|times| format!(" ({times} times)"));
    format!("{fault} {state}{}: {text}", times.unwrap_or_default())
}

fn user_agent(event: &EventRecord) -> Cow<'_, str> {
    or_dash(event.user_agent.as_deref())
}

const fn column(
    title: &'static str,
    width: usize,
    width_max: usize,
    cell: fn(&EventRecord) -> Cow<'_, str>,
) -> Column {
    Column {
        title,
        width,
        width_max,
        right: false,
        cell,
    }
}

const GAP: &str = " ";

const COLUMNS: [Column; 11] = [
    Column {
        right: true,
        ..column("SEQ", 5, 20, seq)
    },
    column("TIME", 20, 24, time),
    column("KIND", 7, 14, kind),
    column("ORIGIN", 7, 7, origin),
    column("CLIENT", 15, 39, client),
    column("CHANNEL", 8, 16, channel),
    column("LABEL", 12, 24, label),
    column("METHOD", 6, 10, method),
    column("STATUS", 6, 6, status),
    column("URL", 24, 1024, url),
    column("USER AGENT", 24, 1024, user_agent),
];

/// What goes when the terminal is narrow, first to last.
const LEFT_OUT_FIRST: [&str; 5] = ["USER AGENT", "LABEL", "ORIGIN", "STATUS", "METHOD"];
