//! New canaries out of random numbers: what `mint` and `experiment` share.

use std::collections::HashSet;

use clap::ValueEnum;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::cli::{Failure, time};
use crate::config::Config;
use crate::engine::canary::{Canary, HostPattern, NormalizedUrl, mint, parse_host_name};
use crate::store::{Store, StoredCanary};

/// How a link begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Scheme {
    /// https://
    #[default]
    Https,
    /// http://
    Http,
}

/// What a new canary is to be like.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The channel that it is for.
    pub(super) channel: String,
    /// The owner's words for it.
    pub(super) label: Option<String>,
    /// Whether nobody will be given it.
    pub(super) control: bool,
    /// How its link begins.
    pub(super) scheme: Scheme,
}

/// Where a new canary lies.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// Somewhere on this host.
    Host(String),
    /// On a host of its own below this name.
    Below(String),
}

/// The canaries that are there already.
pub(super) struct Known {
    pub(super) ids: HashSet<String>,
    pub(super) urls: HashSet<NormalizedUrl>,
    pub(super) tokens: HashSet<String>,
}

impl Known {
    /// Those of configuration and store.
    pub(super) fn read(config: &Config, store: &Store) -> Result<Self, Failure> {
        let stored = store.canaries()?;
        let mut known = Self::of(config);
        let stored = stored.iter().filter_map(|canary| canary.to_canary().ok());
        stored.for_each(|canary| known.add(canary));
        Ok(known)
    }

    /// Those of the configuration.
    pub(super) fn of(config: &Config) -> Self {
        let mut known = Self {
            ids: HashSet::new(),
            urls: HashSet::new(),
            tokens: HashSet::new(),
        };
        let named = config.canaries().into_iter();
        named.for_each(|canary| known.add(canary));
        known
    }

    fn add(&mut self, canary: Canary) {
        self.ids.insert(canary.id);
        self.urls.insert(canary.url);
        self.tokens.extend(canary.token);
    }

    /// A new one, unlike all that are known; it is known from now on.
    pub(super) fn mint(&mut self, wanted: Wanted, place: &Place) -> Result<StoredCanary, Failure> {
        let (id, choice) = self.draw()?;
        let url = match place {
            Place::Below(parent) => format!("https://{id}.{parent}/"),
            Place::Host(host) => mint::url(host, &id, choice),
        };
        let url = match wanted.scheme {
            Scheme::Https => url,
            Scheme::Http => url.replacen("https://", "http://", 1),
        };
        Ok(StoredCanary {
            id: id.clone(),
            url,
            channel: wanted.channel,
            label: wanted.label,
            token: Some(id),
            control: wanted.control,
            created: time::now().to_string(),
        })
    }

    /// An id that is nobody's yet, and a choice of how its link looks.
    fn draw(&mut self) -> Result<(String, u8), Failure> {
        let random = SystemRandom::new();
        loop {
            let (id, choice) = draw(&random)?;
            // Never in practice, but an id that is there must not be given twice.
            if self.ids.insert(id.clone()) {
                return Ok((id, choice));
            }
        }
    }
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
pub(super) fn parent(asked: Option<&str>, config: &Config) -> Result<String, Failure> {
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
pub(super) fn host(asked: Option<&str>, config: &Config) -> Result<String, Failure> {
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

/// A host that canaries cannot lie on.
pub(super) fn unwatched(argument: &str, host: &str, config: &Config) -> Failure {
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
