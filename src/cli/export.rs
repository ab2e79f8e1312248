//! `canarytap export`: one event, with all that somebody needs who does not trust us.

use std::fs::{self, OpenOptions};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::cli::{CommandResult, Failure, Globals, Outcome, tell, time};
use crate::engine::frame::Timestamp;
use crate::pull::remembered_beside;
use crate::store::{
    CLOCK, COVERAGE, Coverage, EventQuery, EventRecord, HEALTH, Head, StoreReader, TapStore,
    sha256_hex,
};

mod bundle;
mod check;
mod page;

/// Arguments of `export`.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// The event's number in the log
    seq: u64,
    /// The file to write, a ZIP archive
    #[arg(short, long, value_name = "FILE.zip")]
    output: PathBuf,
    /// A link that was remembered elsewhere, as `canarytap verify` prints it: the chain in the
    /// bundle begins there instead of at its beginning
    #[arg(long, value_name = "SEQ:HASH")]
    head: Option<Head>,
}

/// What goes into a bundle, but for the chain and the packets themselves.
struct Export {
    seq: u64,
    /// The tap's name, where the store is a copy.
    tap: Option<String>,
    event: EventRecord,
    /// Where the chain begins; None: at its beginning.
    from: Option<Head>,
    /// The last link that goes in.
    through: u64,
    /// What was remembered of the tap beside its copy.
    remembered: Option<Head>,
    /// What the tap noted of itself within a day of the event: records as they stand in the chain.
    around: Vec<Value>,
    /// How far an hour before the event and one after it were covered.
    coverage: Option<Coverage>,
    config: Option<ConfigDigest>,
    made: Timestamp,
}

/// Which configuration this is.
struct ConfigDigest {
    path: PathBuf,
    sha256: String,
}

/// Runs the command.
pub fn run(globals: &Globals, args: &ExportArgs) -> CommandResult {
    let store = globals.one_store()?;
    let export = Export::gather(globals, args, &store)?;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&args.output)
        .map_err(|error| cannot_write(&args.output, &error))?;
    if let Err(failure) = bundle::write(&export, &store, file, &args.output) {
        // What is half written would only mislead.
        let _gone = fs::remove_file(&args.output);
        return Err(failure);
    }
    tell(&format!(
        "canarytap: event {} is in {}; README.txt there says how to check it",
        args.seq,
        args.output.display()
    ));
    Ok(Outcome::Done)
}

fn cannot_write(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::Bad(format!("cannot write {}: {error}", path.display()))
}

impl Export {
    fn gather(globals: &Globals, args: &ExportArgs, store: &TapStore) -> Result<Self, Failure> {
        let event = event(&store.reader, args.seq)?;
        let details = store.reader.details_of(args.seq)?;
        let remembered = remembered_beside(&store.directory)?;
        let last = details.last().map_or(args.seq, |(seq, _)| *seq);
        if let Some(head) = args.head.as_ref().filter(|head| head.seq > args.seq) {
            return Err(Failure::Usage(format!(
                "the event stands before the link {}: give one that was remembered earlier, or \
                 leave --head out",
                head.seq
            )));
        }
        let at = moment(&event.time);
        let hour = Duration::from_secs(3600);
        let coverage = at.map(|at| store.reader.coverage(before(at, hour), at.plus(hour)));
        Ok(Self {
            seq: args.seq,
            tap: store
                .tap
                .clone()
                .or_else(|| copy_of(store, remembered.as_ref())),
            around: around(&store.reader, &event)?,
            coverage: coverage.transpose()?,
            from: args.head.clone(),
            through: last.max(remembered.as_ref().map_or(0, |head| head.seq)),
            event,
            remembered,
            config: config(globals),
            made: time::now(),
        })
    }
}

/// A copy is called as its tap.
fn copy_of(store: &TapStore, remembered: Option<&Head>) -> Option<String> {
    let name = store.directory.file_name()?.to_str()?;
    remembered.map(|_| name.to_owned())
}

fn event(reader: &StoreReader, seq: u64) -> Result<EventRecord, Failure> {
    let query = EventQuery {
        after: seq.saturating_sub(1),
        ..EventQuery::default()
    };
    let mut found = None;
    reader.for_each::<Failure>(&query, |event| {
        found = Some(event).filter(|event| event.seq == Some(seq));
        Ok(ControlFlow::Break(()))
    })?;
    match found {
        Some(event) if event.canary.is_some() || event.fault.is_some() => Ok(event),
        Some(_) => Err(Failure::Usage(format!(
            "event {seq} is a background request: these stand outside of the chain, so that there \
             is nothing to show it by"
        ))),
        None => Err(Failure::Usage(format!(
            "there is no event {seq}; `canarytap log` shows their numbers"
        ))),
    }
}

/// Faults, minutes and clocks within a day of the event, by its own clock or by the true one; of
/// clocks all of its boot.
fn around(reader: &StoreReader, event: &EventRecord) -> Result<Vec<Value>, Failure> {
    let times = [Some(&event.time), event.clock_said.as_ref()];
    let times: Vec<Timestamp> = times
        .into_iter()
        .flatten()
        .filter_map(|time| moment(time))
        .collect();
    let is_near = |record: &Value| {
        let at = record["time"].as_str().and_then(moment);
        at.is_some_and(|at| {
            times
                .iter()
                .any(|time| time.since(at).max(at.since(*time)) <= DAY)
        })
    };
    let boot = event.boot.as_deref();
    let is_of_boot = |record: &Value| boot.is_some() && record["boot"].as_str() == boot;
    let mut around: Vec<(u64, Value)> = Vec::new();
    for kind in [HEALTH, COVERAGE, CLOCK] {
        let records = reader.records::<Value>(kind, 0)?.into_iter();
        around.extend(
            records.filter(|(_, record)| is_near(record) || (kind == CLOCK && is_of_boot(record))),
        );
    }
    around.sort_unstable_by_key(|(seq, _)| *seq);
    Ok(around.into_iter().map(|(_, record)| record).collect())
}

/// Of a copy there is none: the configuration is the tap's.
fn config(globals: &Globals) -> Option<ConfigDigest> {
    let path = globals.config_path().to_path_buf();
    let sha256 = sha256_hex(&fs::read(&path).ok()?);
    Some(ConfigDigest { path, sha256 })
}

fn moment(time: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = time.parse().ok()?;
    u64::try_from(time.as_nanosecond())
        .ok()
        .map(Timestamp::from_nanos)
}

fn before(at: Timestamp, by: Duration) -> Timestamp {
    let since = at.since(Timestamp::from_nanos(0)).saturating_sub(by);
    Timestamp::from_nanos(0).plus(since)
}

const DAY: Duration = Duration::from_secs(24 * 3600);
