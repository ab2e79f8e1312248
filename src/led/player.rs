//! Plays what the daemon knows on the lights: one task that sleeps until the next change.
//!
//! Of its own accord it wakes at a pattern's changes only: in quiet times twice in three
//! seconds. Times are monotonic, so that setting the clock stalls no light.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use crate::config::LightRole;
use crate::led::player::alarm::Alarm;
use crate::led::{LedError, LedPattern, Lights, ROLES};

mod alarm;

/// What the lights are to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LightState {
    /// The newest alert that waits to be acknowledged.
    pub alert: Option<AlertKind>,
    /// How the tap is.
    pub armed: Armed,
}

/// What kind of request an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlertKind {
    /// HEAD.
    Head,
    /// GET.
    Get,
    /// Any other method, or one that could not be read.
    Other,
}

impl AlertKind {
    /// The kind for a request's method; none where only its hello was read.
    pub fn of_method(method: Option<&str>) -> Self {
        match method {
            Some("HEAD") => Self::Head,
            Some("GET") => Self::Get,
            _ => Self::Other,
        }
    }
}

/// How the tap is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Armed {
    /// Not watching (yet).
    #[default]
    Dark,
    /// Packets are seen and kept.
    Ok,
    /// Something is wrong.
    Fault,
}

impl LightState {
    /// What the lights of `role` play.
    pub const fn pattern(self, role: LightRole) -> LedPattern {
        match role {
            LightRole::Alert => match self.alert {
                None => LedPattern::Dark,
                Some(AlertKind::Head) => LedPattern::AlertHead,
                Some(AlertKind::Get) => LedPattern::AlertGet,
                Some(AlertKind::Other) => LedPattern::AlertOther,
            },
            LightRole::Armed => match self.armed {
                Armed::Dark => LedPattern::Dark,
                Armed::Ok => LedPattern::ArmedFlash,
                Armed::Fault => LedPattern::Fault,
            },
            LightRole::Activity => LedPattern::Dark, // it is pulsed
        }
    }
}

/// Asks for a flash of the activity light. Clones ask the same player; asking again before it
/// came costs nothing and changes nothing.
#[derive(Clone, Debug, Default)]
pub struct Activity(Arc<Notify>);

impl Activity {
    /// One flash, as soon as the one before is over.
    pub fn pulse(&self) {
        self.0.notify_one();
    }
}

/// A player on a thread of its own, so that neither a disk nor a busy runtime delays a light.
/// Dropping it waits until the lights are dark and their pins free; what it plays, `state` and
/// `activity`, can then be given to the next one.
#[derive(Debug)]
pub struct Player {
    fault: watch::Receiver<Option<LedError>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Player {
    /// Begins to play.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        lights: Lights,
        state: watch::Receiver<LightState>,
        activity: Activity,
    ) -> io::Result<Self> {
        let (found, fault) = watch::channel(None);
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("lights".into())
            .spawn(move || {
                let alarm = Alarm::default();
                alarm.block_on(async {
                    tokio::select! {
                        () = play(lights, state, activity, found, |at| alarm.ring(at)) => {}
                        _ = stopped => {} // the lights go dark as they are dropped
                    }
                });
            })?;
        Ok(Self {
            fault,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// What is wrong with a light, while something is.
    pub fn fault(&self) -> Option<LedError> {
        self.fault.borrow().clone()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was printed there, and its lights were dropped all the same.
            let _panicked = thread.join();
        }
    }
}

/// Plays until every sender of `state` is dropped, then leaves all lights dark and frees them.
///
/// `fault` says what is wrong with a light, from its first failure until it works again;
/// `sleep_until` waits for a time.
pub async fn play<S: Future<Output = ()>>(
    lights: Lights,
    mut state: watch::Receiver<LightState>,
    activity: Activity,
    fault: watch::Sender<Option<LedError>>,
    sleep_until: impl Fn(Instant) -> S,
) {
    let mut show = Show::new(lights, *state.borrow_and_update());
    loop {
        let next = show.advance(Instant::now());
        report(&fault, show.fault.take());
        let ready = show.ready_for_pulse();
        tokio::select! {
            biased; // an alert goes before a flash
            changed = state.changed() => match changed {
                Ok(()) => show.change(*state.borrow_and_update(), Instant::now()),
                Err(_) => break, // the daemon is done
            },
            () = activity.0.notified(), if ready => show.flash(Instant::now()),
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
        }
    }
    report(&fault, show.lights.dark().err());
}

struct Show {
    lights: Lights,
    state: LightState,
    /// When the alert pattern and the armed pattern began.
    alert_since: Instant,
    armed_since: Instant,
    /// When the last flash of activity began, until its rest is over.
    flash: Option<Instant>,
    /// What went wrong when the lights were last shown.
    fault: Option<LedError>,
}

impl Show {
    fn new(lights: Lights, state: LightState) -> Self {
        let now = Instant::now();
        Self {
            lights,
            state,
            alert_since: now,
            armed_since: now,
            flash: None,
            fault: None,
        }
    }

    /// A pattern begins anew when it becomes another, never when it stays.
    fn change(&mut self, state: LightState, now: Instant) {
        if state.alert != self.state.alert {
            self.alert_since = now;
        }
        if state.armed != self.state.armed {
            self.armed_since = now;
        }
        self.state = state;
    }

    fn flash(&mut self, now: Instant) {
        self.flash = Some(now);
    }

    fn ready_for_pulse(&self) -> bool {
        self.flash.is_none()
    }

    /// Gives every light its level at `now`, and says when one changes next.
    fn advance(&mut self, now: Instant) -> Option<Instant> {
        self.flash = self.flash.filter(|begun| now < *begun + FLASH + REST);
        ROLES
            .into_iter()
            .filter_map(|role| {
                let (level, next) = self.level(role, now);
                let outcome = self.lights.set(role, level);
                self.fault = self.fault.take().or(outcome.err());
                next.filter(|_| self.lights.has(role))
            })
            .min()
    }

    /// A role's level, and when to look again.
    fn level(&self, role: LightRole, now: Instant) -> (bool, Option<Instant>) {
        let since = match role {
            LightRole::Alert => self.alert_since,
            LightRole::Armed => self.armed_since,
            LightRole::Activity => return self.flash_level(now),
        };
        let pattern = self.state.pattern(role);
        let into = now.saturating_duration_since(since);
        let next = pattern.next_change(into).map(|next| since + next);
        (pattern.level_at(into), next)
    }

    fn flash_level(&self, now: Instant) -> (bool, Option<Instant>) {
        match self.flash {
            None => (false, None),
            Some(begun) if now < begun + FLASH => (true, Some(begun + FLASH)),
            Some(begun) => (false, Some(begun + FLASH + REST)),
        }
    }
}

fn report(fault: &watch::Sender<Option<LedError>>, found: Option<LedError>) {
    fault.send_if_modified(|told| {
        let news = *told != found;
        *told = found;
        news
    });
}

/// How long activity shines: the shortest flash that is seen from across a room.
const FLASH: Duration = Duration::from_millis(60);
/// How long it is dark at least before the next: flashes must be seen apart.
const REST: Duration = Duration::from_millis(60);

#[cfg(test)]
mod tests;
