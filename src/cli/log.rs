//! `canarytap log`

use clap::Args;

use crate::cli::{CommandResult, Failure, Globals};

/// Arguments of `log`.
#[derive(Clone, Debug, Args)]
pub struct LogArgs {}

/// Runs the command.
pub fn run(_globals: &Globals, _args: &LogArgs) -> CommandResult {
    Err(Failure::Bad("not built yet".into()))
}
