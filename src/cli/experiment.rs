//! `canarytap experiment`: what is sent where, what is sent nowhere, and what came of it.

use std::io::{self, Write as _, stdout};

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::minting::{self, Known, Place, Scheme, Wanted};
use crate::cli::{CommandResult, Failure, Globals, Outcome, judging, time};
use crate::config::units::parse_words;
use crate::experiment::{Answers, EXPERIMENT, Ledger, Member, Plan, Role};
use crate::store::{Store, StoreOptions, StoredCanary, TapStore, canaries_of};

mod sheet;
mod show;

/// Arguments of `experiment`.
#[derive(Clone, Debug, Args)]
pub struct ExperimentArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Mint the canaries of a new experiment and print a sheet to work from
    New(NewArgs),
    /// List the experiments
    List {
        /// How they are printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Say what an experiment has shown until now
    Show {
        /// Its name
        name: String,
        /// How it is printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Print the sheet of an experiment again
    Sheet {
        /// Its name
        name: String,
    },
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Words and columns, for people
    #[default]
    Table,
    /// One JSON object a line
    Jsonl,
}

/// Arguments of `experiment new`.
#[derive(Clone, Debug, Args)]
struct NewArgs {
    /// Its name
    #[arg(value_parser = parse_words)]
    name: String,
    /// A channel that canaries are sent over; say it once for each
    #[arg(long = "channel", value_name = "NAME", required = true, value_parser = parse_words)]
    channels: Vec<String>,
    /// Canaries for each channel; of three on each side chance is told from intent
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=EACH_MAX))]
    count: u32,
    /// Make each canary twice, as an https and an http link
    #[arg(long)]
    pairs: bool,
    /// Canaries that are given to nobody (with --pairs every second one is an http link)
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=EACH_MAX))]
    controls: u32,
    /// Canaries that you open in your own browser only: a comparison
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=EACH_MAX))]
    own_browser: u32,
    /// Another channel over which a canary is sent at the same time: a comparison; say it once
    /// for each
    #[arg(long = "beside", value_name = "NAME", value_parser = parse_words)]
    beside: Vec<String>,
    /// The watched host that they shall lie on; the first of the configuration unless told
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Give each a host name of its own below the watched one, as `mint --subdomain` does
    #[arg(long, conflicts_with = "pairs")]
    subdomain: bool,
}

/// Canaries of one sort, at most.
const EACH_MAX: i64 = 1000;
/// Channel of canaries that are given to nobody.
const NOBODY: &str = "nobody";
/// Channel of canaries that their owner opens.
const OWN_BROWSER: &str = "own browser";

/// Runs the command.
pub fn run(globals: &Globals, args: &ExperimentArgs) -> CommandResult {
    match &args.command {
        Command::New(args) => new(globals, args),
        Command::List { format } => list(globals, *format),
        Command::Show { name, format } => show_one(globals, name, *format),
        Command::Sheet { name } => print_sheet(globals, name),
    }
}

fn new(globals: &Globals, args: &NewArgs) -> CommandResult {
    let config = globals.load_config()?;
    let directory = &config.store.directory;
    let mut store = Store::open_existing(directory, StoreOptions::default())?;
    let ledger = Ledger::read(&TapStore::open_all(directory)?)?;
    if let Some(plan) = ledger.plan(&args.name) {
        return Err(Failure::Usage(format!(
            "there is an experiment {} already, of {}: give this one another name",
            plan.name, plan.time
        )));
    }
    let place = match args.subdomain {
        true => Place::Below(minting::parent(args.host.as_deref(), &config)?),
        false => Place::Host(minting::host(args.host.as_deref(), &config)?),
    };
    let mut minter = Minter {
        known: Known::read(&config, &store)?,
        place,
        name: &args.name,
        canaries: Vec::new(),
        members: Vec::new(),
        pairs: 0,
    };
    minter.mint_all(args)?;
    let plan = Plan {
        name: args.name.clone(),
        time: time::now().to_string(),
        members: minter.members,
    };
    store.add_canaries_with(&minter.canaries, EXPERIMENT, &plan)?;
    let mut out = io::BufWriter::new(stdout().lock());
    sheet::print(&mut out, &plan, &minter.canaries)?;
    out.flush()?;
    Ok(Outcome::Done)
}

/// Makes canaries and notes what each is for.
struct Minter<'a> {
    known: Known,
    place: Place,
    name: &'a str,
    canaries: Vec<StoredCanary>,
    members: Vec<Member>,
    pairs: u32,
}

impl Minter<'_> {
    fn mint_all(&mut self, args: &NewArgs) -> Result<(), Failure> {
        for channel in distinct(&args.channels) {
            self.mint_channel(channel, Role::Sent, args.count, args.pairs)?;
        }
        for channel in distinct(&args.beside) {
            self.mint_channel(channel, Role::Beside, 1, args.pairs)?;
        }
        for number in 0..args.controls {
            let scheme = match args.pairs && number % 2 == 1 {
                true => Scheme::Http,
                false => Scheme::Https,
            };
            self.mint(NOBODY, Role::Control, scheme, None)?;
        }
        for _ in 0..args.own_browser {
            self.mint(OWN_BROWSER, Role::Browser, Scheme::Https, None)?;
        }
        Ok(())
    }

    fn mint_channel(
        &mut self,
        channel: &str,
        role: Role,
        count: u32,
        pairs: bool,
    ) -> Result<(), Failure> {
        for _ in 0..count {
            if pairs {
                self.pairs += 1;
                let pair = Some(self.pairs);
                self.mint(channel, role, Scheme::Https, pair)?;
                self.mint(channel, role, Scheme::Http, pair)?;
            } else {
                self.mint(channel, role, Scheme::Https, None)?;
            }
        }
        Ok(())
    }

    fn mint(
        &mut self,
        channel: &str,
        role: Role,
        scheme: Scheme,
        pair: Option<u32>,
    ) -> Result<(), Failure> {
        let wanted = Wanted {
            channel: channel.to_owned(),
            label: Some(self.name.to_owned()),
            control: role == Role::Control,
            scheme,
        };
        let canary = self.known.mint(wanted, &self.place)?;
        self.members.push(Member {
            id: canary.id.clone(),
            channel: channel.to_owned(),
            role,
            pair,
        });
        self.canaries.push(canary);
        Ok(())
    }
}

fn distinct(names: &[String]) -> Vec<&str> {
    let mut distinct: Vec<&str> = Vec::new();
    for name in names {
        if !distinct.contains(&name.as_str()) {
            distinct.push(name);
        }
    }
    distinct
}

fn list(globals: &Globals, format: Format) -> CommandResult {
    let stores = TapStore::open_all(&globals.data_directory()?)?;
    let ledger = Ledger::read(&stores)?;
    let mut out = io::BufWriter::new(stdout().lock());
    show::list(&mut out, &ledger, &stores, format == Format::Jsonl)?;
    out.flush()?;
    Ok(Outcome::Done)
}

fn show_one(globals: &Globals, name: &str, format: Format) -> CommandResult {
    let stores = TapStore::open_all(&globals.data_directory()?)?;
    let ledger = Ledger::read(&stores)?;
    let plan = find(&ledger, name)?;
    let now = time::now();
    let watching = judging::watching(globals, &stores)?;
    let answers = Answers::of_plan(plan, &ledger, &stores, &watching, now)?;
    let mut out = io::BufWriter::new(stdout().lock());
    match format {
        Format::Table => show::words(&mut out, &answers)?,
        Format::Jsonl => show::jsonl(&mut out, &answers)?,
    }
    out.flush()?;
    Ok(Outcome::Done)
}

fn print_sheet(globals: &Globals, name: &str) -> CommandResult {
    let stores = TapStore::open_all(&globals.data_directory()?)?;
    let ledger = Ledger::read(&stores)?;
    let plan = find(&ledger, name)?;
    let mut out = io::BufWriter::new(stdout().lock());
    sheet::print(&mut out, plan, &canaries_of(&stores)?)?;
    out.flush()?;
    Ok(Outcome::Done)
}

/// The experiment of this name.
pub(super) fn find<'a>(ledger: &'a Ledger, name: &str) -> Result<&'a Plan, Failure> {
    ledger.plan(name).ok_or_else(|| {
        let names: Vec<&str> = ledger.plans.iter().map(|plan| plan.name.as_str()).collect();
        let known = match names.as_slice() {
            [] => "there is none yet: `canarytap experiment new` makes one".to_owned(),
            names => format!("there are: {}", names.join(", ")),
        };
        Failure::Usage(format!("there is no experiment {name}; {known}"))
    })
}
