//! `canarytap replay`: the same engine over capture files.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;

use crate::capture::{Next, Savefile, SavefileError};
use crate::cli::render::{self, EventPrinter, Format};
use crate::cli::replay::joiner::Joiner;
use crate::cli::replay::packets::Packets;
use crate::cli::{CommandResult, Failure, Globals, Outcome, tell};
use crate::config::units::parse_bytes;
use crate::daemon::Playback;
use crate::engine::app::tls::keylog::{KeyLogEntry, KeyLogError};
use crate::engine::canary::{Home, Matcher, PortSet, Watch};
use crate::engine::counters::Counters;
use crate::engine::event::{Detail, Event, EventId, EventSink, Kept, Source};
use crate::engine::frame::Frame;
use crate::engine::limits::{Limits, MEMORY_BYTES_DEFAULT};
use crate::engine::{Engine, KeepPackets};
use crate::store::{
    COVERAGE, EventRecord, HEALTH, Incoming, Store, StoreOptions, StoreReader, exists,
};

mod joiner;
mod packets;

/// Records that are handed to the store at once: enough that a sync costs little for each.
const BATCH: usize = 1024;

/// Arguments of `replay`.
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// Watch every host on every port; needs no configuration
    #[arg(long)]
    all_hosts: bool,
    /// TLS key log (SSLKEYLOGFILE); more than once for several
    #[arg(long, value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// Bound on flows and buffers together, such as 48MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_memory)]
    memory: Option<usize>,
    /// Keep the events in the store of this directory too, and which minutes the capture covers
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// How events are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Files in pcap or pcapng format, gzipped or not; - reads standard input
    #[arg(required = true, value_name = "CAPTURE")]
    captures: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(globals: &Globals, args: &ReplayArgs) -> CommandResult {
    let plan = Plan::make(globals, args)?;
    let store = match &args.store {
        Some(directory) => Some(Store::open(directory, plan.options)?),
        None => None,
    };
    let keep = plan.options.evidence;
    let packets = args.store.as_deref().filter(|_| keep.enabled);
    let packets = packets.map(Packets::new);
    let mut engine = Engine::new(plan.limits, Arc::new(Matcher::new(plan.watch)));
    if packets.is_some() {
        engine.keep_packets(KeepPackets {
            bytes_max: keep.visit_max_bytes,
            secrets: keep.secrets,
        });
    }
    let mut replay = Replay {
        engine,
        source: Source::default(),
        account: store.is_some().then(|| Playback::new(Instant::now())),
        out: Out::new(store, packets, render::on_stdout(args.format)),
        wrong_lines: 0,
    };
    replay.engine.keep_secrets();
    for path in &args.keys {
        replay.read_keys(path)?;
    }
    let mut outcome = Outcome::Done;
    for path in &args.captures {
        if let Err(error) = replay.read(path)? {
            tell(&format!("canarytap: {error}"));
            outcome = Outcome::Bad;
        }
    }
    replay.finish()?;
    Ok(outcome)
}

/// What a replay works by.
struct Plan {
    watch: Watch,
    limits: Limits,
    options: StoreOptions,
}

impl Plan {
    fn make(globals: &Globals, args: &ReplayArgs) -> Result<Self, Failure> {
        let (watch, memory, options) = if args.all_hosts {
            (everything(), MEMORY_BYTES_DEFAULT, StoreOptions::default())
        } else {
            configured(globals)?
        };
        Ok(Self {
            watch,
            limits: Limits {
                memory_bytes: args.memory.unwrap_or(memory),
            },
            options,
        })
    }
}

fn everything() -> Watch {
    Watch {
        all_hosts: true,
        hosts: Vec::new(),
        ports: PortSet::All,
        canaries: Vec::new(),
        home: Home::private(),
    }
}

/// What the configuration watches, and the canaries minted on this machine.
fn configured(globals: &Globals) -> Result<(Watch, usize, StoreOptions), Failure> {
    let config = globals.load_config()?;
    let mut minted = Vec::new();
    if exists(&config.store.directory) {
        let stored = StoreReader::open(&config.store.directory)?.canaries()?;
        minted.extend(stored.iter().filter_map(|canary| canary.to_canary().ok()));
    }
    let watch = config.watch(minted, config.home_anywhere());
    let options = StoreOptions {
        requests_max_bytes: config.store.requests_max_bytes,
        visits_max_bytes: config.store.visits_max_bytes,
        evidence: config.evidence,
    };
    Ok((watch, config.capture.memory_bytes, options))
}

/// An engine at work on files.
struct Replay<W: Write> {
    engine: Engine,
    /// What describes the frames of late.
    source: Source,
    /// What the captures cover, where it is kept.
    account: Option<Playback>,
    out: Out<W>,
    /// Lines of key logs that were none.
    wrong_lines: u64,
}

impl<W: Write> Replay<W> {
    /// Reads one file. The inner error is the file's, and the replay goes on.
    fn read(&mut self, path: &Path) -> Result<Result<(), SavefileError>, Failure> {
        let mut savefile = match Savefile::open(path) {
            Ok(savefile) => savefile,
            Err(error) => return Ok(Err(error)),
        };
        if savefile.may_bring_secrets() {
            self.engine.follow_secrets();
        }
        loop {
            while self.take_ahead(&mut savefile)? {}
            match savefile.read_with_source() {
                Ok((Next::Frame(frame), source)) => {
                    self.set_source(source);
                    self.take(&mut std::iter::once(frame))?;
                }
                Ok((Next::Secrets(lines), _)) => self.take_secrets(lines),
                Ok((Next::End, _)) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// Takes frames that are in memory already; false when there are none.
    fn take_ahead(&mut self, savefile: &mut Savefile) -> Result<bool, Failure> {
        let mut ahead = savefile.ahead();
        let Some(source) = ahead.source() else {
            return Ok(false);
        };
        self.set_source(source);
        let count = self.take(&mut ahead)?;
        let taken = ahead.taken();
        savefile.pass(taken);
        Ok(count > 0)
    }

    fn take<'a>(&mut self, frames: &mut dyn Iterator<Item = Frame<'a>>) -> Result<usize, Failure> {
        let account = &mut self.account;
        let mut before = |time, counters: &Counters| {
            if let Some(account) = account {
                account.on_frame(time, counters);
            }
        };
        let count = self.engine.on_frames(frames, &mut before, &mut self.out);
        if let Some(account) = self.account.as_mut().filter(|one| one.notes() >= BATCH) {
            self.out.note_account(account)?;
        }
        self.out.print_settled()?;
        Ok(count)
    }

    fn set_source(&mut self, source: Source) {
        if source != self.source {
            self.source = source;
            self.engine.set_source(source);
        }
    }

    /// Reads a key log. Lines that are none are told of and passed over.
    fn read_keys(&mut self, path: &Path) -> Result<(), Failure> {
        let lines = fs::read(path).map_err(|error| {
            Failure::Usage(format!(
                "cannot read the key log {}: {error}",
                path.display()
            ))
        })?;
        self.engine.follow_secrets();
        let before = self.wrong_lines;
        self.take_secrets(&lines);
        let wrong = self.wrong_lines - before;
        if wrong > 0 {
            tell(&format!(
                "canarytap: {}: {wrong} lines are not of a key log",
                path.display()
            ));
        }
        Ok(())
    }

    fn take_secrets(&mut self, lines: &[u8]) {
        for line in lines.split(|byte| *byte == b'\n') {
            match KeyLogEntry::parse(line) {
                Ok(entry) => self.engine.on_secret(&entry, &mut self.out),
                Err(KeyLogError::Malformed) => self.wrong_lines += 1,
                Err(KeyLogError::Empty | KeyLogError::Unused) => {}
            }
        }
    }

    fn finish(mut self) -> Result<(), Failure> {
        self.engine.finish(&mut self.out);
        self.out.print_all()?;
        if let Some(account) = &mut self.account {
            account.finish(self.engine.counters());
            self.out.note_account(account)?;
        }
        tell(&summary(&self.engine, &self.out));
        Ok(())
    }
}

fn summary(engine: &Engine, out: &Out<impl Write>) -> String {
    let mut text = format!(
        "canarytap: {} frames, {} events, {} alerts",
        engine.counters().frames,
        out.events,
        out.alerts
    );
    if out.folded > 0 {
        text.push_str(&format!("; {} visits folded in the store", out.folded));
    }
    let mut counters = String::new();
    engine.counters().for_each(|name, value| {
        if value > 0 && !matches!(name, "frames" | "events") {
            counters.push_str(&format!(" {name}={value}"));
        }
    });
    if !counters.is_empty() {
        text.push_str("\ncanarytap:");
        text.push_str(&counters);
    }
    text
}

/// Where a replay's events go: to the store, if there is one, then to standard output.
struct Out<W: Write> {
    joiner: Joiner,
    store: Option<Store>,
    packets: Option<Packets>,
    batch: Vec<Incoming>,
    printer: EventPrinter<W>,
    events: u64,
    alerts: u64,
    /// Events that have no record of their own in the store.
    folded: u64,
}

impl<W: Write> Out<W> {
    fn new(store: Option<Store>, packets: Option<Packets>, printer: EventPrinter<W>) -> Self {
        Self {
            joiner: Joiner::default(),
            store,
            packets,
            batch: Vec::new(),
            printer,
            events: 0,
            alerts: 0,
            folded: 0,
        }
    }

    /// Prints what is complete. With a store, only after a batch was kept: then all have numbers.
    fn print_settled(&mut self) -> Result<(), Failure> {
        if self.store.is_some() {
            let packets = self.packets.as_ref().is_some_and(Packets::are_many);
            if self.batch.len() < BATCH && !packets {
                return Ok(());
            }
            self.keep()?;
        }
        while let Some(event) = self.joiner.pop_settled() {
            self.printer.print(&EventRecord::from(&event))?;
        }
        Ok(())
    }

    fn print_all(&mut self) -> Result<(), Failure> {
        self.keep()?;
        if let Some(store) = &mut self.store {
            store.close_floods(None)?;
        }
        while let Some(event) = self.joiner.pop() {
            self.printer.print(&EventRecord::from(&event))?;
        }
        self.printer.flush()?;
        Ok(())
    }

    fn keep(&mut self) -> Result<(), Failure> {
        let Some(store) = &mut self.store else {
            return Ok(());
        };
        let numbers = store.commit(&self.batch)?.events;
        for (id, seq) in &numbers {
            match seq {
                Some(seq) => self.joiner.number(*id, *seq),
                None => self.folded += 1,
            }
        }
        if let Some(packets) = &mut self.packets {
            let seqs: Vec<Option<u64>> = numbers.iter().map(|(_, seq)| *seq).collect();
            packets.number(&self.batch, &seqs);
            packets.write(store)?;
        }
        self.batch.clear();
        Ok(())
    }

    /// Keeps what the captures cover, and what was wrong with them.
    fn note_account(&mut self, account: &mut Playback) -> Result<(), Failure> {
        let (hours, faults) = account.take_notes();
        if let Some(store) = &mut self.store {
            store.add_records(HEALTH, &faults)?;
            store.add_records(COVERAGE, &hours)?;
        }
        Ok(())
    }

    fn note(&mut self, incoming: impl FnOnce() -> Incoming) {
        if self.store.is_some() {
            self.batch.push(incoming());
        }
    }
}

impl<W: Write> EventSink for Out<W> {
    fn on_event(&mut self, event: Event) {
        self.events += 1;
        self.alerts += u64::from(event.alert);
        self.note(|| Incoming::Event(event.clone()));
        self.joiner.on_event(event);
    }

    fn on_detail(&mut self, detail: Detail) {
        self.note(|| Incoming::Detail(detail.clone()));
        self.joiner.on_detail(detail);
    }

    fn on_settled(&mut self, id: EventId) {
        self.note(|| Incoming::Settled(id));
        self.joiner.on_settled(id);
    }

    fn on_kept(&mut self, kept: Kept<'_>) {
        if let Some(packets) = &mut self.packets {
            packets.push(kept);
        }
    }
}

fn parse_memory(text: &str) -> Result<usize, String> {
    parse_bytes(text)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .filter(|bytes| *bytes >= 1 << 20)
        .ok_or_else(|| "must be a size of at least 1MiB, such as 48MiB".into())
}
