//! `canarytap verify`: does the chain of visits hold?

use std::io::{Write as _, stdout};

use clap::Args;

use crate::cli::render::printable;
use crate::cli::{CommandResult, Failure, Globals, Outcome};
use crate::pull::remembered_beside;
use crate::store::{Head, Lost, TapStore, Verification};

/// Arguments of `verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// A link that was remembered elsewhere, as this command prints it: it must still be there
    #[arg(long, value_name = "SEQ:HASH")]
    head: Vec<Head>,
}

/// Runs the command.
pub fn run(globals: &Globals, args: &VerifyArgs) -> CommandResult {
    let stores = TapStore::open_all(&globals.data_directory()?)?;
    if stores.len() > 1 && !args.head.is_empty() {
        return Err(Failure::Usage(
            "a link is one tap's: with --head name that tap's copy with --data DIR/NAME".into(),
        ));
    }
    let mut outcome = Outcome::Done;
    for store in &stores {
        if verify(store, &args.head)? == Outcome::Bad {
            outcome = Outcome::Bad;
        }
    }
    Ok(outcome)
}

/// A copy is held against what was remembered of its tap, too.
fn verify(store: &TapStore, given: &[Head]) -> CommandResult {
    let mut heads = given.to_vec();
    heads.extend(remembered_beside(&store.directory)?);
    let verification = store.reader.verify(&heads)?;
    let mut out = stdout().lock();
    if let Some(tap) = &store.tap {
        writeln!(out, "tap        {}", printable(tap))?;
    }
    write!(out, "{}", report(&verification, heads.len()))?;
    Ok(match verification.broken {
        None => Outcome::Done,
        Some(_) => Outcome::Bad,
    })
}

fn report(verification: &Verification, remembered: usize) -> String {
    let records = verification.records;
    let mut text = match &verification.broken {
        Some(broken) => format!("NOT VERIFIED: {broken}\nbefore it  {records} records hold\n"),
        None => format!("verified   {records} records, each bound to the one before it\n"),
    };
    for Lost {
        after,
        record,
        before,
    } in &verification.lost
    {
        text.push_str(&format!(
            "LOST       between record {} and record {before}: a damaged database lost what stood \
             there, as record {record} says\n",
            after.unwrap_or(0)
        ));
    }
    if verification.broken.is_none() {
        text.push_str(&packets(verification));
    }
    if let Some(Head { seq, hash }) = &verification.head {
        text.push_str(&format!("last link  {seq}:{hash}\n"));
    }
    if verification.broken.is_none() {
        text.push_str(match remembered {
            0 => WITHOUT_HEAD,
            _ => WITH_HEAD,
        });
    }
    text
}

fn packets(verification: &Verification) -> String {
    let Verification {
        files,
        files_pruned,
        files_awaited,
        ..
    } = verification;
    let mut text = match files {
        0 => String::new(),
        files => format!("packets    {files} files, each as its visit's record says\n"),
    };
    if *files_pruned > 0 {
        text.push_str(&format!(
            "           {files_pruned} more were deleted for want of room, as the records say\n"
        ));
    }
    if *files_awaited > 0 {
        text.push_str(&format!(
            "           {files_awaited} more were not pulled yet: the next canarytap pull brings them\n"
        ));
    }
    text
}

/// What it proves, plainly.
const WITHOUT_HEAD: &str = "\
This shows that the visits stand in the order in which they were written and that none was changed
or taken out since, except by somebody who made the whole chain anew or cut off its end. Keep the
last link elsewhere, and give it back with --head: then that shows too. Requests without a canary
and acknowledgements are not in the chain. It does not show that what came over the wire was true.
";
const WITH_HEAD: &str = "\
This shows that the visits stand in the order in which they were written, that none was changed or
taken out since, and that all which stood there when the link was remembered still stands there.
Requests without a canary and acknowledgements are not in the chain. It does not show that what
came over the wire was true.
";
