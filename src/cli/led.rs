//! `canarytap led`

use clap::Args;

use crate::cli::{CommandResult, Failure, Globals};

/// Arguments of `led`.
#[derive(Clone, Debug, Args)]
pub struct LedArgs {}

/// Runs the command.
pub fn run(_globals: &Globals, _args: &LedArgs) -> CommandResult {
    Err(Failure::Bad("not built yet".into()))
}
