//! `canarytap ack`: the alert light goes dark when no alert is left.

use std::path::Path;

use clap::Args;

use crate::cli::{CommandResult, Failure, Globals, Outcome, tell, time};
use crate::store::{Acknowledge, Acknowledged, Store, StoreOptions, StoreReader};

/// Arguments of `ack`.
#[derive(Clone, Debug, Args)]
pub struct AckArgs {
    /// The alerts' numbers, as in the column SEQ of `canarytap log --alerts`
    #[arg(value_name = "SEQ", conflicts_with = "all")]
    seqs: Vec<u64>,
    /// Acknowledge every alert
    #[arg(long)]
    all: bool,
}

/// Runs the command: all that is asked for, or nothing.
pub fn run(globals: &Globals, args: &AckArgs) -> CommandResult {
    let directory = globals.data_directory()?;
    let which = match (args.all, args.seqs.as_slice()) {
        (true, _) => Acknowledge::All,
        (false, []) => return Err(Failure::Usage(nothing_named(&directory))),
        (false, seqs) => Acknowledge::Seqs(seqs.to_vec()),
    };
    let mut store = Store::open_existing(&directory, StoreOptions::default())?;
    let done = store.acknowledge(&which, time::now())?;
    tell(&summary(done));
    Ok(Outcome::Done)
}

fn summary(done: Acknowledged) -> String {
    let plural = if done.newly == 1 { "" } else { "s" };
    let left = match done.left {
        0 => "none waits".to_owned(),
        1 => "1 still waits".to_owned(),
        left => format!("{left} still wait"),
    };
    format!("{} alert{plural} acknowledged, {left}", done.newly)
}

/// How to say what is meant, and what there is to say.
fn nothing_named(directory: &Path) -> String {
    let waiting = StoreReader::open(directory)
        .and_then(|reader| reader.waiting(LISTED_MAX + 1))
        .unwrap_or_default(); // the usage is wrong whether or not there is a store
    let mut message =
        String::from("name the alerts: `canarytap ack SEQ...`, or all: `canarytap ack --all`");
    if !waiting.is_empty() {
        let shown = waiting.iter().take(LISTED_MAX);
        let shown: Vec<String> = shown.map(u64::to_string).collect();
        message.push_str(&format!("\nwaiting, newest first: {}", shown.join(" ")));
        if waiting.len() > LISTED_MAX {
            message.push_str(" …");
        }
    }
    message
}

/// Alerts that the reminder lists.
const LISTED_MAX: usize = 20;
