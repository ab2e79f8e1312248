//! `canarytap status`

use clap::Args;

use crate::cli::{CommandResult, Failure, Globals};

/// Arguments of `status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {}

/// Runs the command.
pub fn run(_globals: &Globals, _args: &StatusArgs) -> CommandResult {
    Err(Failure::Bad("not built yet".into()))
}
