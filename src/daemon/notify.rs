//! What systemd is told (sd_notify(3)). Without systemd nobody listens, and that is no failure.

use sd_notify::NotifyState;

use crate::daemon::journal::{Priority, say};

/// Everything runs.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// The configuration is read again; [`ready`] follows. Announced with the time at which it began.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(time) => notify(&[NotifyState::Reloading, time]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
}

/// The end has begun.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// A sign of life, where somebody waits for it.
pub fn alive() {
    if sd_notify::watchdog_enabled().is_some() {
        notify(&[NotifyState::Watchdog]);
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        say(
            Priority::Warning,
            &format!("cannot notify systemd: {error}"),
        );
    }
}
