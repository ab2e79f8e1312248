//! `canarytap replay`

use clap::Args;

use crate::cli::{CommandResult, Failure, Globals};

/// Arguments of `replay`.
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {}

/// Runs the command.
pub fn run(_globals: &Globals, _args: &ReplayArgs) -> CommandResult {
    Err(Failure::Bad("not built yet".into()))
}
