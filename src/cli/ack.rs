//! `canarytap ack`

use clap::Args;

use crate::cli::{CommandResult, Failure, Globals};

/// Arguments of `ack`.
#[derive(Clone, Debug, Args)]
pub struct AckArgs {}

/// Runs the command.
pub fn run(_globals: &Globals, _args: &AckArgs) -> CommandResult {
    Err(Failure::Bad("not built yet".into()))
}
