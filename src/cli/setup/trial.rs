//! What is tried at the end: the lights before they are the daemon's, a first visit after.

use std::ops::ControlFlow;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cli::{Failure, Outcome, tell};
use crate::config::{Config, LedConfig, LightRole};
use crate::led::{self, LedError};
use crate::store::{EventQuery, EventRecord, StoreReader};

/// Blinks the alert light some times.
///
/// # Errors
/// When it cannot be had; its text says the cure.
pub(super) fn blink(config: &LedConfig) -> Result<(), LedError> {
    let mut lights = led::open(config)?;
    lights.remarks().iter().for_each(|remark| tell(remark));
    for on in [true, false].into_iter().cycle().take(2 * BLINKS) {
        lights.set(LightRole::Alert, on)?;
        sleep(BLINK);
    }
    Ok(())
}

const BLINKS: usize = 5;
const BLINK: Duration = Duration::from_millis(300);

/// The newest number of the store; 0 where there is none yet.
pub(super) fn newest(config: &Config) -> u64 {
    StoreReader::open(&config.store.directory)
        .and_then(|reader| reader.last_seq())
        .unwrap_or(0)
}

/// Waits for a visit to any canary with a number beyond `after`, and says what it was.
///
/// # Errors
/// When the store cannot be read though it is there.
pub(super) fn await_visit(
    config: &Config,
    after: u64,
    patience: Duration,
) -> Result<Outcome, Failure> {
    let begun = Instant::now();
    while begun.elapsed() < patience {
        if let Some(visit) = first_visit(config, after)? {
            tell(&format!("There it is: {}", in_words(&visit)));
            tell("`canarytap log` shows it in full, `canarytap ack --all` makes the light dark.");
            return Ok(Outcome::Done);
        }
        sleep(LOOK);
    }
    tell(&format!(
        "No visit within {} s. `canarytap status` says whether the daemon runs, and `sudo canarytap \
         doctor` what is not right.",
        patience.as_secs()
    ));
    Ok(Outcome::Bad)
}

const LOOK: Duration = Duration::from_millis(300);

/// A store that is not there yet has none.
fn first_visit(config: &Config, after: u64) -> Result<Option<EventRecord>, Failure> {
    let Ok(reader) = StoreReader::open(&config.store.directory) else {
        return Ok(None);
    };
    let query = EventQuery {
        after,
        ..EventQuery::default()
    };
    let mut found = None;
    reader.for_each::<Failure>(&query, |event| {
        if event.kind != "visit" {
            return Ok(ControlFlow::Continue(()));
        }
        found = Some(event);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}

fn in_words(visit: &EventRecord) -> String {
    let client = visit
        .client
        .map_or_else(|| "?".into(), |client| client.to_string());
    let method = visit.method.as_deref().unwrap_or("a hello");
    let origin = visit.origin.as_deref().unwrap_or("?");
    let alert = if visit.alert {
        "the alert light blinks"
    } else {
        "no alert: from inside; take the phone off the Wi-Fi for one"
    };
    format!(
        "{method} from {client} ({origin}) at {}: {alert}",
        visit.time
    )
}
