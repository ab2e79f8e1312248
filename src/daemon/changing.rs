//! What changes while it runs: canaries, the home's networks, the configuration.

use std::time::{Duration, Instant};

use crate::config::Config;
use crate::daemon::Daemon;
use crate::daemon::journal::{Priority, say};
use crate::daemon::matching::Built;
use crate::daemon::notify;
use crate::daemon::tap::TapSettings;
use crate::store::{StoreError, StoreReader};

impl Daemon {
    /// Who counts as inside may change while the daemon runs.
    pub(super) fn look_at_home(&mut self, now: Instant) {
        if now.duration_since(self.home_looked) < HOME_LOOK {
            return;
        }
        self.home_looked = now;
        if self.config.home_of_this_machine() != self.home {
            say(Priority::Info, "this machine's networks have changed");
            self.rematch();
        }
    }

    /// Somebody minted a canary, or only acknowledged.
    pub(super) fn look_for_canaries(&mut self) {
        let minted = StoreReader::open(&self.config.store.directory)
            .and_then(|reader| reader.canaries_version());
        match minted {
            Ok(version) if self.matching.version.as_ref() == Some(&version) => {}
            Ok(version) => {
                self.matching.version = Some(version);
                self.rematch();
            }
            Err(error) => say_unread(&error),
        }
    }

    /// Makes ready what store and configuration name now.
    fn rematch(&mut self) {
        self.matching.build(&self.config);
    }

    pub(super) fn match_by(&mut self, built: (u64, Result<Built, StoreError>)) {
        let (round, built) = built;
        match built {
            Ok(built) if self.matching.is_newest(round) => {
                self.canaries = built.canaries;
                self.home = built.home;
                self.tap.set_matcher(built.matcher);
            }
            Ok(_) => {} // one that knows more is on its way
            Err(error) => say_unread(&error),
        }
    }

    pub(super) fn reload(&mut self, reload: &impl Fn() -> Result<Config, String>) {
        notify::reloading();
        match reload() {
            Ok(config) => self.take_over(config),
            Err(message) => say(
                Priority::Error,
                &format!("the configuration is not valid, the old one stays:\n{message}"),
            ),
        }
        notify::ready();
    }

    fn take_over(&mut self, mut config: Config) {
        if config.store != self.config.store
            || config.evidence != self.config.evidence
            || config.capture.memory_bytes != self.config.capture.memory_bytes
        {
            say(
                Priority::Warning,
                "[store], [evidence] and capture.memory are taken over at the next start only",
            );
        }
        config.store.clone_from(&self.config.store);
        config.evidence = self.config.evidence;
        if config.led != self.config.led {
            if let Err(error) = self.lights.reopen(&config.led, &self.config.led) {
                say(Priority::Error, &format!("{error}; the old lights stay"));
                config.led.clone_from(&self.config.led);
            }
        }
        for log in config
            .key_logs
            .iter()
            .filter(|log| !self.sandbox.may_read(log))
        {
            say(
                Priority::Warning,
                &format!("{} can be read at the next start only", log.display()),
            );
        }
        self.keys.set_logs(config.key_logs.clone());
        if !config.key_logs.is_empty() {
            self.tap.follow_secrets();
        }
        self.config = config;
        self.rematch();
        if let Some(settings) = TapSettings::of(&self.config) {
            self.tap.set_settings(settings);
        }
        say(
            Priority::Info,
            &format!("configuration read again: {}", self.greeting()),
        );
    }
}

fn say_unread(error: &StoreError) {
    let text = format!("cannot read the canaries: {error}");
    say(Priority::Error, &text);
}

/// How often this machine's own networks are read: providers change a home's prefix, and early
/// in a boot there may be none yet.
const HOME_LOOK: Duration = Duration::from_secs(30);
