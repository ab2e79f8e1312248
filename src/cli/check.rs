//! `canarytap check`

use crate::cli::{CommandResult, Failure, Globals};

/// Runs the command.
pub fn run(_globals: &Globals) -> CommandResult {
    Err(Failure::Bad("not built yet".into()))
}
