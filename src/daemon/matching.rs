//! What is looked for, made ready beside the capture: with 100,000 canaries that takes a while,
//! and neither packets nor lights wait for it.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::config::Config;
use crate::engine::canary::{Home, Matcher};
use crate::store::{StoreError, StoreReader};

/// Builds matchers on a thread of their own.
#[derive(Debug)]
pub struct Matching {
    /// Number of the build that was begun last.
    round: u64,
    /// What the store's canaries were when that was last looked at.
    pub version: Option<(u64, Option<String>)>,
    /// What is ready, with the number of its build.
    pub built: mpsc::UnboundedReceiver<(u64, Result<Built, StoreError>)>,
    ready: mpsc::UnboundedSender<(u64, Result<Built, StoreError>)>,
}

/// A matcher, and what it was made of.
#[derive(Debug)]
pub struct Built {
    /// Ready to be asked.
    pub matcher: Arc<Matcher>,
    /// How many canaries it knows.
    pub canaries: usize,
    /// The home that it knows.
    pub home: Home,
}

impl Matching {
    /// Nothing was built yet.
    pub fn new() -> Self {
        let (ready, built) = mpsc::unbounded_channel();
        Self {
            round: 0,
            version: None,
            built,
            ready,
        }
    }

    /// Begins to build from `config` and the store as they are now.
    pub fn build(&mut self, config: &Config) {
        self.round += 1;
        let (round, config, ready) = (self.round, config.clone(), self.ready.clone());
        tokio::task::spawn_blocking(move || {
            // Nobody listens any more only while the daemon ends.
            let _ending = ready.send((round, Built::of(&config)));
        });
    }

    /// Whether no later build was begun.
    pub const fn is_newest(&self, round: u64) -> bool {
        self.round == round
    }
}

impl Built {
    /// Configured and minted canaries together. Blocks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn of(config: &Config) -> Result<Self, StoreError> {
        let stored = StoreReader::open(&config.store.directory)?.canaries()?;
        let minted = stored
            .iter()
            .filter_map(|canary| canary.to_canary().ok())
            .collect();
        let watch = config.watch(minted, config.home_of_this_machine());
        Ok(Self {
            canaries: watch.canaries.len(),
            home: watch.home.clone(),
            matcher: Arc::new(Matcher::new(watch)),
        })
    }
}
