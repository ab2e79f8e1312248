//! `canarytap log`: the event log, in the order of `seq`.

use std::ops::ControlFlow;

use clap::Args;

use crate::cli::render::{self, Format};
use crate::cli::{CommandResult, Failure, Globals, Outcome, tell, time};
use crate::engine::frame::Timestamp;
use crate::store::{EventQuery, TapStore, Unreadable, for_each_of, open_folds_of};

mod follow;

/// Arguments of `log`.
#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// Events at this time or later: RFC 3339, or an age (90m, 24h, 7d)
    #[arg(long, value_name = "T", value_parser = parse_time)]
    since: Option<Timestamp>,
    /// Events at this time or earlier: RFC 3339, or an age
    #[arg(long, value_name = "T", value_parser = parse_time)]
    until: Option<Timestamp>,
    /// Events with a larger number than this
    #[arg(
        long,
        value_name = "SEQ",
        default_value_t = 0,
        hide_default_value = true
    )]
    after: u64,
    /// Visits to this canary
    #[arg(long, value_name = "ID")]
    canary: Option<String>,
    /// Visits to the canaries of this channel
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// Alerts only
    #[arg(long)]
    alerts: bool,
    /// Go on with what comes, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// How events are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
pub fn run(globals: &Globals, args: &LogArgs) -> CommandResult {
    let query = query(args)?;
    let directory = globals.data_directory()?;
    let stores = TapStore::open_all(&directory)?;
    if stores.len() > 1 && args.after > 0 {
        return Err(Failure::Usage(format!(
            "each tap counts for itself: with --after name one with --data {}/NAME",
            directory.display()
        )));
    }
    let mut printer = render::on_stdout(args.format);
    if stores.iter().any(|store| store.tap.is_some()) {
        printer = printer.with_taps();
    }
    if args.follow {
        return follow::run(stores, &query, &mut printer);
    }
    let unreadable = for_each_of::<Failure>(&stores, &query, |event| {
        printer.print(&event)?;
        Ok(ControlFlow::Continue(()))
    })?;
    for fold in open_folds_of(&stores, &query)? {
        printer.print(&fold)?;
    }
    printer.flush()?;
    Ok(outcome(unreadable))
}

fn query(args: &LogArgs) -> Result<EventQuery, Failure> {
    if let (Some(since), Some(until)) = (args.since, args.until) {
        if since > until {
            return Err(Failure::Usage(format!(
                "--since {since} is later than --until {until}: no event can be in between"
            )));
        }
    }
    Ok(EventQuery {
        since: args.since,
        until: args.until,
        after: args.after,
        canary: args.canary.clone(),
        channel: args.channel.clone(),
        alerts: args.alerts,
    })
}

fn outcome(unreadable: Unreadable) -> Outcome {
    if unreadable.count == 0 {
        return Outcome::Done;
    }
    tell(&format!(
        "canarytap: {} in the store cannot be read, the first with seq {}: \
         something else than canarytap wrote there",
        if unreadable.count == 1 {
            "1 record".to_owned()
        } else {
            format!("{} records", unreadable.count)
        },
        unreadable.first,
    ));
    Outcome::Bad
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    time::parse(text, time::now())
}
