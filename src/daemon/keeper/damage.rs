//! A database that is damaged: found out, set aside, and told of.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::daemon::keeper::lock;
use crate::store::{Salvage, StoreReader};

/// What the daemon knows of databases that were set aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetAside {
    /// Those that lie in the data directory.
    pub files: Vec<PathBuf>,
    /// The newest that this daemon set aside: when, and in words.
    pub news: Option<(Instant, String)>,
}

impl SetAside {
    /// What lies in the directory.
    pub(super) fn look(directory: &Path) -> Self {
        Self {
            files: crate::store::set_aside(directory),
            news: None,
        }
    }

    /// Whether it is so new that it is a fault.
    pub fn is_new(&self, now: Instant) -> bool {
        let age = |(at, _): &(Instant, String)| now.saturating_duration_since(*at);
        self.news.as_ref().is_some_and(|news| age(news) < NEWS)
    }
}

/// What happened, in words.
pub(super) fn text(salvage: &Salvage) -> String {
    let holes = match salvage.holes {
        0 => String::new(),
        1 => ", with 1 place where records are missing".into(),
        holes => format!(", with {holes} places where records are missing"),
    };
    format!(
        "the database was damaged ({}) and lies in {} now; {} records of the chain were salvaged \
         into a new one{holes}",
        salvage.reason,
        salvage.aside.display(),
        salvage.links,
    )
}

/// Reads the whole database once, beside everything else: damage shows only where somebody looks.
/// What is wrong stands there when it is known.
pub(super) fn check(directory: PathBuf) -> Arc<Mutex<Option<String>>> {
    let found = Arc::new(Mutex::new(None));
    let told = Arc::clone(&found);
    let check = move || {
        let damage = StoreReader::open(&directory).and_then(|reader| reader.damage());
        match damage {
            Ok(damage) => *lock(&told) = damage,
            Err(error) => *lock(&told) = error.damage(),
        }
    };
    // Without a thread to spare the database is not looked at; its writer finds the rest.
    let _unchecked = thread::Builder::new().name("check".into()).spawn(check);
    found
}

/// For so long the armed light shows it; `status` as long as the file lies there.
const NEWS: Duration = Duration::from_secs(3600);
