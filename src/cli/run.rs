//! `canarytap run`: the daemon.

use crate::cli::{CommandResult, Failure, Globals, Outcome};
use crate::config::Config;
use crate::daemon::{self, DaemonError};

/// Runs the command.
pub fn run(globals: &Globals) -> CommandResult {
    let config = runnable(globals).map_err(Failure::Usage)?;
    let reload = || runnable(globals);
    match daemon::run(config, reload) {
        Ok(()) => Ok(Outcome::Done),
        Err(error @ DaemonError::Running(..)) => Err(Failure::Usage(error.to_string())),
        Err(error) => Err(Failure::Bad(error.to_string())),
    }
}

/// A configuration that names all that `run` needs; else every reason why not.
fn runnable(globals: &Globals) -> Result<Config, String> {
    let config = Config::load(&globals.config)
        .map_err(|errors| errors.to_string())?
        .with_data_directory(globals.data.as_deref());
    let missing = config.missing();
    if !missing.is_empty() {
        let lines: Vec<String> = missing
            .iter()
            .map(|missing| format!("{}: {}", config.path.display(), missing.text))
            .collect();
        return Err(lines.join("\n"));
    }
    config
        .check_interface()
        .map_err(|errors| errors.to_string())?;
    Ok(config)
}
