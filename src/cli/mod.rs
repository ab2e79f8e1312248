//! One file for each subcommand; here what they share: arguments, exit status, messages.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::Config;
use crate::store::{StoreError, TapStore};

mod ack;
mod alert;
mod canaries;
mod check;
mod doctor;
mod document;
mod experiment;
mod export;
mod judging;
mod keys;
mod led;
mod log;
mod mint;
mod minting;
mod pull;
pub mod render;
mod replay;
mod report;
mod run;
mod selftest;
mod sent;
mod serve_pull;
mod setup;
mod status;
pub mod time;
mod verify;
mod visitor;
mod watch;

/// Finds out who opens the links you send in private.
#[derive(Debug, Parser)]
#[command(name = "canarytap", version, about, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub struct Globals {
    /// The configuration.
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        default_value = "/etc/canarytap/canarytap.toml"
    )]
    pub config: PathBuf,
    /// Use this data directory instead of the configured one.
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask what this machine needs to be told, write the configuration and try it
    Setup(setup::SetupArgs),
    /// Watch: capture, keep, light. This is the daemon
    Run,
    /// Read capture files with the same engine and print the events
    Replay(replay::ReplayArgs),
    /// Say whether the configuration is valid and what it comes to
    Check(check::CheckArgs),
    /// Say, point by point, whether this machine can tap, and how to mend what is not right
    Doctor(doctor::DoctorArgs),
    /// Make canaries and print their URLs
    Mint(mint::MintArgs),
    /// List the canaries with their visits
    Canaries(canaries::CanariesArgs),
    /// Plan an experiment, and see what came of it
    Experiment(experiment::ExperimentArgs),
    /// Note that a canary was sent
    Sent(sent::SentArgs),
    /// Print the event log
    Log(log::LogArgs),
    /// Write a report that opens in a browser: answers, time line, visitors
    Report(report::ReportArgs),
    /// Look on, live in a terminal: lights, events, canaries, health
    Watch(watch::WatchArgs),
    /// Say who the visitors of canaries probably are, and why
    Visitor(visitor::VisitorArgs),
    /// Check that the log was not changed since it was written
    Verify(verify::VerifyArgs),
    /// Pack an event with its packets and its chain for somebody who does not trust you
    Export(export::ExportArgs),
    /// Copy a tap's events and evidence to this machine over SSH, and check them
    Pull(pull::PullArgs),
    /// Answer `canarytap pull`: the forced command of an SSH key on the tap
    ServePull,
    /// Hand lines of a TLS key log from standard input to the daemon
    Keys,
    /// Acknowledge alerts
    Ack(ack::AckArgs),
    /// Tell others of alerts: programs, web servers, brokers, collectors, mail
    Alert(alert::AlertArgs),
    /// Open a link with your phone, and see it followed from the wire to the light
    Selftest(selftest::SelftestArgs),
    /// Say what the daemon is doing now
    Status(status::StatusArgs),
    /// Try the lights
    Led(led::LedArgs),
}

/// How a command that ran came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done; exit status 0.
    Done,
    /// It ran, and the answer is bad; exit status 1.
    Bad,
}

/// Why a command could not do its work.
#[derive(Debug)]
pub enum Failure {
    /// Usage or configuration; exit status 2. Says what, where and how to mend it.
    Usage(String),
    /// It ran and came to nothing; exit status 1.
    Bad(String),
    /// Output failed; a broken pipe is success.
    Output(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Bad(error.to_string())
    }
}

/// What every subcommand returns.
pub type CommandResult = Result<Outcome, Failure>;

/// Parses the arguments of this process, runs the command and maps its result to the exit status.
pub fn main() -> ExitCode {
    let cli = Cli::parse(); // exits with 2 on wrong usage
    exit_code(dispatch(&cli))
}

fn dispatch(cli: &Cli) -> CommandResult {
    let globals = &cli.globals;
    match &cli.command {
        Command::Setup(args) => setup::run(globals, args),
        Command::Run => run::run(globals),
        Command::Replay(args) => replay::run(globals, args),
        Command::Check(args) => check::run(globals, args),
        Command::Doctor(args) => doctor::run(globals, args),
        Command::Mint(args) => mint::run(globals, args),
        Command::Canaries(args) => canaries::run(globals, args),
        Command::Experiment(args) => experiment::run(globals, args),
        Command::Sent(args) => sent::run(globals, args),
        Command::Log(args) => log::run(globals, args),
        Command::Report(args) => report::run(globals, args),
        Command::Watch(args) => watch::run(globals, args),
        Command::Visitor(args) => visitor::run(globals, args),
        Command::Verify(args) => verify::run(globals, args),
        Command::Export(args) => export::run(globals, args),
        Command::Pull(args) => pull::run(globals, args),
        Command::ServePull => serve_pull::run(globals),
        Command::Keys => keys::run(globals),
        Command::Ack(args) => ack::run(globals, args),
        Command::Alert(args) => alert::run(globals, args),
        Command::Selftest(args) => selftest::run(globals, args),
        Command::Status(args) => status::run(globals, args),
        Command::Led(args) => led::run(globals, args),
    }
}

fn exit_code(result: CommandResult) -> ExitCode {
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Bad) => ExitCode::from(1),
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(Failure::Output(error)) => complain(&format!("cannot write the output: {error}"), 1),
        Err(Failure::Bad(message)) => complain(&message, 1),
        Err(Failure::Usage(message)) => complain(&message, 2),
    }
}

fn complain(message: &str, status: u8) -> ExitCode {
    tell(&format!("canarytap: {message}"));
    ExitCode::from(status)
}

/// Prints a message for people on standard error.
pub fn tell(message: &str) {
    // Nobody is left to tell when standard error itself is gone.
    let _gone = crate::led::tell(message);
}

impl Globals {
    /// The configuration file's path.
    pub fn config_path(&self) -> &Path {
        &self.config
    }

    /// The configuration, with the data directory that `--data` names.
    ///
    /// # Errors
    /// Everything that is wrong with it, as one usage error.
    pub fn load_config(&self) -> Result<Config, Failure> {
        Config::load(&self.config)
            .map(|config| config.with_data_directory(self.data.as_deref()))
            .map_err(|errors| Failure::Usage(errors.to_string()))
    }

    /// The store, for a command that reads one tap's only.
    ///
    /// # Errors
    /// As [`data_directory`](Self::data_directory); it cannot be read; several taps' copies lie there.
    pub fn one_store(&self) -> Result<TapStore, Failure> {
        let directory = self.data_directory()?;
        let mut stores = TapStore::open_all(&directory)?;
        match (stores.len(), stores.pop()) {
            (1, Some(store)) => Ok(store),
            _ => Err(Failure::Usage(format!(
                "copies of several taps lie in {}, and this reads one tap's: name it with --data \
                 DIR/NAME",
                directory.display()
            ))),
        }
    }

    /// The data directory: `--data`, and then the configuration does not matter.
    ///
    /// # Errors
    /// As [`load_config`](Self::load_config).
    pub fn data_directory(&self) -> Result<PathBuf, Failure> {
        match &self.data {
            Some(directory) => Ok(directory.clone()),
            None if !self.config.exists() => Err(Failure::Usage(format!(
                "there is no configuration {}: name one with -c FILE, or the data directory \
                 with --data DIR",
                self.config.display()
            ))),
            None => Ok(self.load_config()?.store.directory),
        }
    }
}
