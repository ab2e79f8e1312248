//! `canarytap mint`: new canaries, or a URL of the owner's own registered as one.

use std::io::{self, Write as _, stdout};

use clap::Args;

use crate::cli::minting::{self, Known, Place, Scheme, Wanted};
use crate::cli::{CommandResult, Failure, Globals, Outcome, tell, time};
use crate::config::units::parse_words;
use crate::config::{Config, id_of};
use crate::engine::canary::{HostPattern, NormalizedUrl, unique_token};
use crate::store::{Store, StoreOptions, StoredCanary};

/// Arguments of `mint`.
#[derive(Clone, Debug, Args)]
pub struct MintArgs {
    /// The one channel that the link will be given to: a chat, a mail address, a document
    #[arg(long, value_name = "NAME", value_parser = parse_words)]
    channel: String,
    /// Your own words for it
    #[arg(long, value_name = "TEXT", value_parser = parse_words)]
    label: Option<String>,
    /// The watched host that it shall lie on; the first of the configuration unless told
    #[arg(long, value_name = "HOST", conflicts_with = "url")]
    host: Option<String>,
    /// Give each a host name of its own below this watched one (`*.canary.example.org`): then the
    /// name in the TLS hello tells the visit, without keys. Needs wildcard DNS and a wildcard
    /// certificate
    #[arg(long, conflicts_with = "url")]
    subdomain: bool,
    /// How many
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=COUNT_MAX),
        conflicts_with = "url"
    )]
    count: u32,
    /// How the link begins
    #[arg(long, value_enum, default_value_t, conflicts_with = "url")]
    scheme: Scheme,
    /// It will be given to nobody: visits to it are background noise
    #[arg(long)]
    control: bool,
    /// Register this URL of your own instead of making one
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// Canaries of one transaction: the daemon's visits wait behind it. Those that are printed stand
/// in the store.
const ADDED_AT_ONCE: usize = 1000;
/// Canaries that are made by one call, at most.
const COUNT_MAX: i64 = 100_000;

/// What has to be true of the owner's DNS and certificate.
const SUBDOMAIN: &str = "\
canarytap: each name needs to lead to your server by a wildcard in your DNS, and to be covered by a
wildcard certificate. A certificate for the single name would stand in the public certificate logs,
where crawlers read it: it would cause visits.";

/// Runs the command.
pub fn run(globals: &Globals, args: &MintArgs) -> CommandResult {
    let config = globals.load_config()?;
    let mut store = Store::open_existing(&config.store.directory, StoreOptions::default())?;
    let mut known = Known::read(&config, &store)?;
    let new = match &args.url {
        Some(url) => vec![registered(url, args, &config, &known)?],
        None => minted(args, &config, &mut known)?,
    };
    let mut out = io::BufWriter::new(stdout().lock());
    for some in new.chunks(ADDED_AT_ONCE) {
        store.add_canaries(some)?;
        for canary in some {
            writeln!(out, "{}", canary.url)?;
        }
        out.flush()?;
    }
    remark_on(&new);
    if args.subdomain {
        tell(SUBDOMAIN);
    }
    Ok(Outcome::Done)
}

fn minted(
    args: &MintArgs,
    config: &Config,
    known: &mut Known,
) -> Result<Vec<StoredCanary>, Failure> {
    let place = match args.subdomain {
        true => Place::Below(minting::parent(args.host.as_deref(), config)?),
        false => Place::Host(minting::host(args.host.as_deref(), config)?),
    };
    let wanted = Wanted {
        channel: args.channel.clone(),
        label: args.label.clone(),
        control: args.control,
        scheme: args.scheme,
    };
    (0..args.count)
        .map(|_| known.mint(wanted.clone(), &place))
        .collect()
}

fn registered(
    url: &str,
    args: &MintArgs,
    config: &Config,
    known: &Known,
) -> Result<StoredCanary, Failure> {
    let normal = NormalizedUrl::parse(url)
        .map_err(|error| Failure::Usage(format!("--url {url}: {error}")))?;
    let covers = |pattern: &HostPattern| pattern.covers(&normal.host);
    if !config.hosts.iter().any(|host| covers(&host.pattern)) {
        return Err(minting::unwatched(
            &format!("--url {url}"),
            &normal.host,
            config,
        ));
    }
    let id = id_of(&normal);
    if known.urls.contains(&normal) || known.ids.contains(&id) {
        return Err(Failure::Usage(format!(
            "--url {url}: is a canary already (`canarytap canaries` lists them): a URL that two \
             channels know cannot tell them apart"
        )));
    }
    let token = unique_token(&normal).filter(|token| !known.tokens.contains(token));
    Ok(stored(args, id, url.to_owned(), token))
}

fn stored(args: &MintArgs, id: String, url: String, token: Option<String>) -> StoredCanary {
    StoredCanary {
        id,
        url,
        channel: args.channel.clone(),
        label: args.label.clone(),
        token,
        control: args.control,
        created: time::now().to_string(),
    }
}

/// What the owner should know of a URL of their own.
fn remark_on(new: &[StoredCanary]) {
    for canary in new.iter().filter(|canary| canary.token.is_none()) {
        tell(&format!(
            "canarytap: nothing in {} is unique, so that it is found by its path only: whoever \
             guesses the path looks like a visitor, and a link that was shortened is missed",
            canary.url
        ));
    }
}
