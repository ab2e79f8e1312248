//! `canarytap report`: one HTML file that opens from disk, without a network and without scripts.

use std::fs;
use std::io::{self, Write as _, stdout};
use std::path::PathBuf;

use clap::Args;

use crate::cli::judging::{self, Judge};
use crate::cli::report::gather::Gather;
use crate::cli::report::zone::Zone;
use crate::cli::{CommandResult, Failure, Globals, Outcome, time};
use crate::engine::frame::Timestamp;
use crate::experiment::Ledger;
use crate::store::TapStore;

mod alerts;
mod answers;
mod gather;
mod page;
mod plot;
mod timeline;
mod zone;

/// Arguments of `report`.
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// This experiment only
    #[arg(long, value_name = "NAME")]
    experiment: Option<String>,
    /// Visits at this time or later: RFC 3339, or an age (24h, 7d)
    #[arg(long, value_name = "T", value_parser = parse_time)]
    since: Option<Timestamp>,
    /// Write it to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Zone in which times are shown, such as Europe/Berlin; this machine's unless told. UTC stands
    /// beside it
    #[arg(long, value_name = "ZONE", value_parser = Zone::named)]
    tz: Option<Zone>,
}

/// Runs the command.
pub fn run(globals: &Globals, args: &ReportArgs) -> CommandResult {
    let stores = TapStore::open_all(&globals.data_directory()?)?;
    let ledger = Ledger::read(&stores)?;
    let watching = judging::watching(globals, &stores)?;
    let judge = Judge::load(globals)?;
    let known = super::canaries::known_to(globals, &stores)?;
    let gather = Gather {
        stores: &stores,
        ledger: &ledger,
        watching: &watching,
        judge: &judge,
        known: &known,
        since: args.since,
        now: time::now(),
    };
    let report = gather.report(args.experiment.as_deref())?;
    let zone = args.tz.clone().unwrap_or_else(Zone::of_this_machine);
    let page = page::page(&report, &watching, &zone).into_string();
    match &args.output {
        Some(path) => fs::write(path, page)
            .map_err(|error| Failure::Bad(format!("cannot write {}: {error}", path.display())))?,
        None => write(&page)?,
    }
    Ok(Outcome::Done)
}

fn write(page: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(page.as_bytes())?;
    out.flush()
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    time::parse(text, time::now())
}
