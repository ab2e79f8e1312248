//! `canarytap visitor`: who the visitors of canaries probably are, and why.

use std::collections::HashMap;
use std::io::{self, Write, stdout};
use std::ops::ControlFlow;

use clap::Args;
use serde_json::json;

use crate::cli::judging::{Judge, delay_of, reads};
use crate::cli::render::printable;
use crate::cli::{CommandResult, Failure, Globals, Outcome, selftest};
use crate::experiment::Ledger;
use crate::store::{EventQuery, EventRecord, StoreReader, TapStore, for_each_of};
use crate::visitor::Fit;

/// Arguments of `visitor`.
#[derive(Clone, Debug, Args)]
pub struct VisitorArgs {
    /// Numbers of visits in the log; all alerts unless told
    #[arg(value_name = "SEQ")]
    seqs: Vec<u64>,
    /// How they are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How visitors are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Words, for people
    #[default]
    Table,
    /// One JSON object a line
    Jsonl,
}

/// Runs the command.
pub fn run(globals: &Globals, args: &VisitorArgs) -> CommandResult {
    let directory = globals.data_directory()?;
    let stores = TapStore::open_all(&directory)?;
    let judge = Judge::load(globals)?;
    let ledger = Ledger::read(&stores)?;
    let mut printer = Printer {
        judge: &judge,
        ledger: &ledger,
        stores: &stores,
        reads: HashMap::new(),
        out: io::BufWriter::new(stdout().lock()),
        format: args.format,
    };
    if args.seqs.is_empty() {
        let query = EventQuery {
            alerts: true,
            ..EventQuery::default()
        };
        for_each_of::<Failure>(&stores, &query, |visit| {
            if !selftest::made(&visit) {
                printer.print(&visit)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    if let ([first, ..], [_, _, ..]) = (args.seqs.as_slice(), stores.as_slice()) {
        return Err(Failure::Usage(format!(
            "there are several taps in {}, and each may have a visit {first}: name one of its \
             folders with --data",
            directory.display()
        )));
    }
    for seq in &args.seqs {
        let Some(TapStore { reader, .. }) = stores.first() else {
            break;
        };
        printer.print(&find(reader, *seq)?)?;
    }
    printer.out.flush()?;
    Ok(Outcome::Done)
}

fn find(reader: &StoreReader, seq: u64) -> Result<EventRecord, Failure> {
    let query = EventQuery {
        after: seq.saturating_sub(1),
        ..EventQuery::default()
    };
    let mut found = None;
    reader.for_each::<Failure>(&query, |record| {
        found = Some(record);
        Ok(ControlFlow::Break(()))
    })?;
    found
        .filter(|record| record.seq == Some(seq) && record.canary.is_some())
        .ok_or_else(|| {
            Failure::Usage(format!(
                "{seq} is no visit; `canarytap log --alerts` shows their numbers"
            ))
        })
}

struct Printer<'a, W: Write> {
    judge: &'a Judge,
    ledger: &'a Ledger,
    stores: &'a [TapStore],
    /// For each canary that was met: how often its visits were repeated.
    reads: HashMap<(Option<String>, String), HashMap<u64, u64>>,
    out: W,
    format: Format,
}

impl<W: Write> Printer<'_, W> {
    fn print(&mut self, visit: &EventRecord) -> Result<(), Failure> {
        let delay = delay_of(visit, self.ledger);
        let reads = self.reads_of(visit)?;
        let fits = self.judge.fits(visit, delay, reads);
        match self.format {
            Format::Table => self.words(visit, &fits)?,
            Format::Jsonl => self.line(visit, &fits)?,
        }
        Ok(())
    }

    fn reads_of(&mut self, visit: &EventRecord) -> Result<u64, Failure> {
        let Some(canary) = &visit.canary else {
            return Ok(1);
        };
        let place = (visit.tap.clone(), canary.clone());
        let store = self.stores.iter().find(|store| store.tap == visit.tap);
        if let (false, Some(store)) = (self.reads.contains_key(&place), store) {
            let of_canary = reads(&store.reader, canary)?;
            self.reads.insert(place.clone(), of_canary);
        }
        let known = self.reads.get(&place).zip(visit.seq);
        Ok(known
            .and_then(|(reads, seq)| reads.get(&seq).copied())
            .unwrap_or(1))
    }

    fn words(&mut self, visit: &EventRecord, fits: &[Fit<'_>]) -> io::Result<()> {
        let client = visit
            .client
            .map_or("-".to_owned(), |client| client.to_string());
        let network = visit.client.and_then(|client| self.judge.network(client));
        writeln!(
            self.out,
            "{}{}  {}  {}  {client}{}",
            visit
                .tap
                .as_deref()
                .map_or(String::new(), |tap| format!("{}  ", printable(tap))),
            visit.seq.map_or("-".to_owned(), |seq| seq.to_string()),
            visit.time,
            printable(visit.channel.as_deref().unwrap_or("-")),
            network
                .map(|network| format!("  {}", printable(&network.to_string())))
                .unwrap_or_default()
        )?;
        if let Some(agent) = &visit.user_agent {
            writeln!(self.out, "    User-Agent: {}", printable(agent))?;
        }
        if fits.is_empty() {
            return writeln!(self.out, "    {NOBODY}");
        }
        for fit in fits {
            writeln!(self.out, "    {}", printable(&fit.words()))?;
        }
        Ok(())
    }

    fn line(&mut self, visit: &EventRecord, fits: &[Fit<'_>]) -> io::Result<()> {
        let network = visit.client.and_then(|client| self.judge.network(client));
        let fits: Vec<serde_json::Value> = fits.iter().map(|fit| json!({
            "name": fit.row.name, "kind": fit.row.kind, "facts": fit.facts, "against": fit.against,
            "disputed": fit.row.disputed, "source": fit.row.source, "date": fit.row.date,
        })).collect();
        let mut line = json!({
            "seq": visit.seq, "time": visit.time, "client": visit.client,
            "system": network.as_ref().and_then(|network| network.system),
            "organisation": network.as_ref().and_then(|network| network.organisation.clone()),
            "country": network.as_ref().and_then(|network| network.country.clone()),
            "fits": fits,
        });
        if let (Some(tap), Some(line)) = (&visit.tap, line.as_object_mut()) {
            line.insert("tap".to_owned(), json!(tap));
        }
        writeln!(self.out, "{line}")
    }
}

/// What is said of a visitor that no row knows.
const NOBODY: &str = "fits no known fetcher: a person's browser, or something that looks like one";
