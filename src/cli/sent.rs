//! `canarytap sent`: notes that a canary was sent.

use clap::Args;

use crate::cli::{CommandResult, Failure, Globals, Outcome, tell, time};
use crate::config::units::parse_words;
use crate::daemon::clock;
use crate::engine::canary::NormalizedUrl;
use crate::engine::frame::Timestamp;
use crate::experiment::{Ledger, Role, SENDING, Sending};
use crate::store::{Store, StoreOptions, StoreReader, StoredCanary, TapStore};

/// Arguments of `sent`.
#[derive(Clone, Debug, Args)]
pub struct SentArgs {
    /// The canary: its id, or its link
    #[arg(value_name = "ID")]
    id: String,
    /// When it was sent: RFC 3339, or an age (90s, 5m); now unless told
    #[arg(long, value_name = "T", value_parser = parse_time)]
    at: Option<At>,
    /// To whom, in your own words
    #[arg(long, value_name = "TEXT", value_parser = parse_words)]
    to: Option<String>,
}

/// When, and whether that is so by this machine's clock only.
#[derive(Clone, Copy, Debug)]
struct At {
    time: Timestamp,
    by_clock: bool,
}

/// Runs the command.
pub fn run(globals: &Globals, args: &SentArgs) -> CommandResult {
    let directory = globals.data_directory()?;
    let reader = StoreReader::open(&directory)?;
    let canary = find(globals, &reader, &args.id)?;
    let now = time::now();
    let (at, by_clock) = args.at.map_or((now, true), |at| (at.time, at.by_clock));
    if at > now {
        return Err(Failure::Usage(format!(
            "--at {at}: that lies in the future; note it when the link has been sent"
        )));
    }
    let ledger = Ledger::read(&TapStore::open_all(&directory)?)?;
    remark_on(&canary, &ledger);
    let sending = Sending {
        id: canary.id.clone(),
        time: now.to_string(),
        at: at.to_string(),
        to: args.to.clone(),
        boot: by_clock
            .then(clock::boot_id)
            .filter(|boot| !boot.is_empty()),
        uptime_micros: by_clock.then(|| clock::micros_of(clock::uptime())),
    };
    Store::open_existing(&directory, StoreOptions::default())?.add_records(SENDING, &[&sending])?;
    tell(&format!(
        "canarytap: noted: {} was sent over {} at {at}",
        canary.id, canary.channel
    ));
    Ok(Outcome::Done)
}

fn find(globals: &Globals, reader: &StoreReader, asked: &str) -> Result<StoredCanary, Failure> {
    let known = super::canaries::known(globals, reader)?;
    let url = NormalizedUrl::parse(asked).ok();
    let is_asked_for = |canary: &StoredCanary| {
        canary.id == asked || (url.is_some() && NormalizedUrl::parse(&canary.url).ok() == url)
    };
    known.into_iter().find(is_asked_for).ok_or_else(|| {
        Failure::Usage(format!(
            "{asked} is no canary; `canarytap canaries` lists them with their ids"
        ))
    })
}

/// What makes the note less than it seems.
fn remark_on(canary: &StoredCanary, ledger: &Ledger) {
    let role = ledger.member(&canary.id).map(|(_, member)| member.role);
    if canary.control || role == Some(Role::Control) {
        tell(&format!(
            "canarytap: {} is a control: once it was given to somebody it says nothing about \
             background noise, and counts as none any more",
            canary.id
        ));
    }
    if let Some(before) = ledger.sendings(&canary.id).last() {
        tell(&format!(
            "canarytap: {} was noted as sent at {} before: a link that was sent twice cannot say \
             which one was opened; its first sending counts",
            canary.id, before.at
        ));
    }
}

fn parse_time(text: &str) -> Result<At, String> {
    Ok(At {
        time: time::parse(text, time::now())?,
        by_clock: time::is_age(text),
    })
}
