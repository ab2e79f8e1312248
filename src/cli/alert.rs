//! `canarytap alert`: tells others of alerts, and tries whether that works.

use std::io::{Write as _, stdout};

use clap::{Args, Subcommand};

use crate::cli::render::printable;
use crate::cli::time;
use crate::cli::{CommandResult, Failure, Globals, Outcome};
use crate::config::{AlertConfig, Config};
use crate::outbound::{Message, build, run as run_sinks};

/// Arguments of `alert`.
#[derive(Clone, Debug, Args)]
pub struct AlertArgs {
    #[command(subcommand)]
    command: AlertCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum AlertCommand {
    /// Hand every new alert to each `[[alert]]` of the configuration, until stopped. This is the
    /// second service
    Run,
    /// Send a test to each `[[alert]]`, or to those that are named
    Test {
        /// Names of `[[alert]]` tables
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}

/// Runs the command.
pub fn run(globals: &Globals, args: &AlertArgs) -> CommandResult {
    let config = globals.load_config()?;
    if config.alerts.is_empty() {
        return Err(Failure::Usage(format!(
            "{} names nobody to tell: add an [[alert]], see canarytap.toml(5)",
            config.path.display()
        )));
    }
    match &args.command {
        AlertCommand::Run => {
            run_sinks(&config)?;
            Ok(Outcome::Done)
        }
        AlertCommand::Test { names } => test(&config, names),
    }
}

fn test(config: &Config, names: &[String]) -> CommandResult {
    let wanted = wanted(config, names)?;
    let message = Message::test(&time::now().to_string());
    let mut out = stdout().lock();
    let mut outcome = Outcome::Done;
    for alert in wanted {
        let what = format!(
            "{}: {} to {}",
            alert.name,
            alert.sink.kind(),
            alert.sink.place()
        );
        match build(alert).send(&message) {
            Ok(()) => writeln!(out, "ok      {}", printable(&what))?,
            Err(error) => {
                outcome = Outcome::Bad;
                writeln!(out, "FAILED  {}", printable(&what))?;
                writeln!(out, "  why   {}", printable(&error.to_string()))?;
            }
        }
        out.flush()?;
    }
    Ok(outcome)
}

fn wanted<'a>(config: &'a Config, names: &[String]) -> Result<Vec<&'a AlertConfig>, Failure> {
    if names.is_empty() {
        return Ok(config.alerts.iter().collect());
    }
    let find = |name: &String| {
        let found = config.alerts.iter().find(|alert| alert.name == *name);
        found.ok_or_else(|| {
            let known: Vec<&str> = config.alerts.iter().map(|one| one.name.as_str()).collect();
            Failure::Usage(format!(
                "no [[alert]] is called {name:?}; there are: {}",
                known.join(", ")
            ))
        })
    };
    names.iter().map(find).collect()
}
