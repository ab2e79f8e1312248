//! `canarytap pull`: the tap's store, copied to here.

use std::io::{BufReader, BufWriter, Write as _, stdout};
use std::path::PathBuf;

use clap::Args;

use crate::cli::render::printable;
use crate::cli::{CommandResult, Failure, Globals, Outcome, tell, time};
use crate::config::units::parse_bytes;
use crate::pull::{Client, CopyHome, PullError, Pulled, Ssh, is_tap_name, tap_name_of};

/// Arguments of `pull`.
#[derive(Clone, Debug, Args)]
pub struct PullArgs {
    /// The tap, as ssh takes it
    #[arg(value_name = "[USER@]HOST")]
    host: String,
    /// Where copies are kept, a directory for each tap [default: ~/.local/share/canarytap]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// What the tap is called here [default: its host]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The tap began anew: set the old copy aside, and pull everything
    #[arg(long)]
    anew: bool,
    /// What the copy may take up
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = parse_limit)]
    limit: u64,
    /// The ssh to use, with arguments of its own, split at blanks [default: $CANARYTAP_SSH, ssh]
    #[arg(long, value_name = "COMMAND")]
    ssh: Option<String>,
}

/// Runs the command.
pub fn run(globals: &Globals, args: &PullArgs) -> CommandResult {
    let command = args
        .ssh
        .clone()
        .or_else(|| std::env::var("CANARYTAP_SSH").ok());
    let ssh = Ssh::to(&args.host, &command.unwrap_or_default()).map_err(Failure::Usage)?;
    let store = store(globals, args)?;
    let name = name(args)?;
    let home = CopyHome::open(&store, &name)?;
    if args.anew {
        let date = time::now().to_string().replace(':', "");
        if let Some(aside) = home.set_aside(date.get(..17).unwrap_or(&date))? {
            tell(&format!("the old copy lies in {}", aside.display()));
        }
    }
    let pulled = pull(&ssh, &home, args.limit)?;
    report(&name, &pulled)
}

fn pull(ssh: &Ssh, home: &CopyHome, limit: u64) -> Result<Pulled, Failure> {
    let mut connection = ssh
        .start()
        .map_err(|error| Failure::Bad(error.to_string()))?;
    let from = BufReader::new(&mut connection.output);
    let to = BufWriter::new(&mut connection.input);
    let pulled = Client::new(home, from, to, limit).pull();
    let ended = connection.close();
    match pulled {
        Err(PullError::Connection(error)) => {
            let status = ended.map_or_else(|error| error.to_string(), |ended| ended.to_string());
            Err(
                PullError::Connection(std::io::Error::other(format!("{error} ({status} of ssh)")))
                    .into(),
            )
        }
        pulled => Ok(pulled?),
    }
}

fn report(name: &str, pulled: &Pulled) -> CommandResult {
    let mut out = stdout().lock();
    writeln!(
        out,
        "{name}: {} new records, {} requests, {} canaries, {} files with packets",
        pulled.links, pulled.requests, pulled.canaries, pulled.files
    )?;
    if let Some(head) = &pulled.head {
        writeln!(out, "last link  {head}")?;
    }
    for refused in &pulled.refused {
        tell(&format!("canarytap: NOT TAKEN: {}", printable(refused)));
    }
    Ok(match pulled.refused.is_empty() {
        true => Outcome::Done,
        false => Outcome::Bad,
    })
}

/// `--data` names the same place as `--store`: that is what the other commands read.
fn store(globals: &Globals, args: &PullArgs) -> Result<PathBuf, Failure> {
    if let Some(store) = args.store.as_ref().or(globals.data.as_ref()) {
        return Ok(store.clone());
    }
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_DATA_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/share")))
        .map(|data| data.join("canarytap"))
        .ok_or_else(|| Failure::Usage("there is no HOME: say where with --store DIR".into()))
}

fn parse_limit(text: &str) -> Result<u64, String> {
    parse_bytes(text)
        .filter(|bytes| *bytes >= LIMIT_MIN)
        .ok_or_else(|| "give a size of at least 1MiB, such as 4GiB".into())
}

/// Less holds no store.
const LIMIT_MIN: u64 = 1 << 20;

fn name(args: &PullArgs) -> Result<String, Failure> {
    match &args.name {
        None => Ok(tap_name_of(&args.host)),
        Some(name) if is_tap_name(name) => Ok(name.clone()),
        Some(name) => Err(Failure::Usage(format!(
            "--name {name:?}: give letters, digits, '.', '_' and '-', beginning with a letter or digit"
        ))),
    }
}

impl From<PullError> for Failure {
    fn from(error: PullError) -> Self {
        Self::Bad(printable(&error.to_string()).into_owned())
    }
}
