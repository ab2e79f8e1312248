//! `canarytap mint`: new canaries, or a URL of the owner's own registered as one.

use std::collections::HashSet;
use std::io::{self, Write as _, stdout};

use clap::{Args, ValueEnum};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::cli::{CommandResult, Failure, Globals, Outcome, tell, time};
use crate::config::units::parse_words;
use crate::config::{Config, id_of};
use crate::engine::canary::{HostPattern, NormalizedUrl, mint, parse_host_name, unique_token};
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

/// How a link begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Scheme {
    /// https://
    #[default]
    Https,
    /// http://
    Http,
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
    let known = Known::read(&config, &store)?;
    let new = match &args.url {
        Some(url) => vec![registered(url, args, &config, &known)?],
        None => minted(args, &config, &known)?,
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

/// The canaries that are there already.
struct Known {
    ids: HashSet<String>,
    urls: HashSet<NormalizedUrl>,
    tokens: HashSet<String>,
}

impl Known {
    fn read(config: &Config, store: &Store) -> Result<Self, Failure> {
        let stored = store.canaries()?;
        let stored = stored.iter().filter_map(|canary| canary.to_canary().ok());
        let mut known = Self {
            ids: HashSet::new(),
            urls: HashSet::new(),
            tokens: HashSet::new(),
        };
        for canary in config.canaries().into_iter().chain(stored) {
            known.ids.insert(canary.id);
            known.urls.insert(canary.url);
            known.tokens.extend(canary.token);
        }
        Ok(known)
    }
}

fn minted(args: &MintArgs, config: &Config, known: &Known) -> Result<Vec<StoredCanary>, Failure> {
    let host = match args.subdomain {
        true => parent(args.host.as_deref(), config)?,
        false => host(args.host.as_deref(), config)?,
    };
    let random = SystemRandom::new();
    let mut taken = known.ids.clone();
    let mut new = Vec::new();
    while new.len() < args.count as usize {
        let (id, choice) = draw(&random)?;
        // Never in practice, but an id that is there must not be given twice.
        if taken.insert(id.clone()) {
            let url = match args.subdomain {
                true => format!("https://{id}.{host}/"),
                false => mint::url(&host, &id, choice),
            };
            let url = match args.scheme {
                Scheme::Https => url,
                Scheme::Http => url.replacen("https://", "http://", 1),
            };
            new.push(stored(args, id.clone(), url, Some(id)));
        }
    }
    Ok(new)
}

/// An id, and a choice of how its link looks.
fn draw(random: &SystemRandom) -> Result<(String, u8), Failure> {
    loop {
        let mut bytes = [0; mint::RANDOM_BYTES];
        let mut choice = [0];
        random
            .fill(&mut bytes)
            .and_then(|()| random.fill(&mut choice))
            .map_err(|_| Failure::Bad("the system gives no random numbers".into()))?;
        if let Some(id) = mint::id(&bytes) {
            let [choice] = choice;
            return Ok((id, choice));
        }
    }
}

/// The name below which each new canary has a host name of its own.
fn parent(asked: Option<&str>, config: &Config) -> Result<String, Failure> {
    let parents = || {
        let patterns = config.hosts.iter().map(|host| &host.pattern);
        patterns.filter_map(|pattern| match pattern {
            HostPattern::Subdomains(parent) => Some(parent.as_str()),
            HostPattern::Exact(_) => None,
        })
    };
    let asked = asked.map(|name| name.trim_start_matches("*.").trim_end_matches('.'));
    let found = parents().find(|parent| asked.is_none_or(|name| name.eq_ignore_ascii_case(parent)));
    found.map(str::to_owned).ok_or_else(|| {
        Failure::Usage(format!(
            "--subdomain: the names below {} are not watched; add [[host]] with name = \"*.{}\" \
             to {}",
            asked.unwrap_or("any host"),
            asked.unwrap_or("canary.example.org"),
            config.path.display()
        ))
    })
}

/// The host that new canaries lie on, in its normal form.
fn host(asked: Option<&str>, config: &Config) -> Result<String, Failure> {
    let patterns = || config.hosts.iter().map(|host| &host.pattern);
    let Some(asked) = asked else {
        return patterns()
            .find_map(|pattern| match pattern {
                HostPattern::Exact(name) => Some(name.clone()),
                HostPattern::Subdomains(_) => None,
            })
            .ok_or_else(|| {
                Failure::Usage(format!(
                    "{}: which host shall the link lie on? Name it with --host, and watch it by \
                     [[host]] with name = \"www.example.org\"",
                    config.path.display()
                ))
            });
    };
    let name = parse_host_name(asked)
        .map_err(|error| Failure::Usage(format!("--host {asked}: {error}")))?;
    if patterns().any(|pattern| pattern.covers(&name)) {
        return Ok(name);
    }
    Err(unwatched(&format!("--host {asked}"), &name, config))
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
        return Err(unwatched(&format!("--url {url}"), &normal.host, config));
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

fn unwatched(argument: &str, host: &str, config: &Config) -> Failure {
    let watched: Vec<String> = config
        .hosts
        .iter()
        .map(|host| host.pattern.to_string())
        .collect();
    let watched = if watched.is_empty() {
        "none yet".to_owned()
    } else {
        watched.join(", ")
    };
    Failure::Usage(format!(
        "{argument}: {host} is not watched (watched: {watched}); add [[host]] with name = \
         \"{host}\" to {}",
        config.path.display()
    ))
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
