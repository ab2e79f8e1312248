//! `canarytap serve-pull`: what the forced command of an SSH key runs on the tap.

use std::io::{self, BufReader, BufWriter};

use crate::cli::canaries::configured;
use crate::cli::{CommandResult, Failure, Globals, Outcome};
use crate::pull::serve;

/// Runs the command. Whatever else the other side of SSH asked for (`SSH_ORIGINAL_COMMAND`) is
/// not looked at.
pub fn run(globals: &Globals) -> CommandResult {
    let directory = globals.data_directory()?;
    let configured = configured(globals)?;
    let mut from = BufReader::new(io::stdin().lock());
    let mut to = BufWriter::new(io::stdout().lock());
    match serve(&directory, configured, &mut from, &mut to) {
        Ok(()) => Ok(Outcome::Done),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(error.into()),
        Err(error) => Err(Failure::Bad(format!(
            "this command speaks with `canarytap pull`, and something else was said: {error}"
        ))),
    }
}
