//! `canarytap setup`: asks for what has no default, shows what it would write, and tries it.
//!
//! Questions go to standard error, the changes and the first link to standard output.

use std::io::{Write as _, stdout};
use std::time::Duration;

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use similar::TextDiff;

use crate::cli::minting::{self, Known, Place, Scheme, Wanted};
use crate::cli::{CommandResult, Failure, Globals, Outcome, tell};
use crate::config::units::parse_words;
use crate::config::{Config, LightRole};
use crate::daemon::lock::DaemonLock;
use crate::engine::canary::HostPattern;

use ask::Asker;
use edit::{Answers, BUTTON, edited};
use file::ConfigFile;

mod ask;
mod edit;
mod file;
mod interfaces;
mod trial;

/// Arguments of `setup`. What is not told is asked for.
#[derive(Clone, Debug, Args)]
pub struct SetupArgs {
    /// The interface on the mirror port; "any" for all
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// How long to count frames on each interface before asking which it is
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    count: u64,
    /// The host to watch, such as www.example.org
    #[arg(long, value_name = "HOST", value_parser = watchable)]
    host: Option<String>,
    /// The channel that a first canary is for; "none" makes no canary
    #[arg(long, value_name = "NAME", value_parser = parse_words)]
    channel: Option<String>,
    /// How the first canary's link begins
    #[arg(long, value_enum, default_value_t)]
    scheme: Scheme,
    /// The alert light's pin, BCM numbering; "none" for no such light
    #[arg(long, value_name = "PIN", value_parser = pin)]
    alert_pin: Option<Pin>,
    /// The armed light's pin
    #[arg(long, value_name = "PIN", value_parser = pin)]
    armed_pin: Option<Pin>,
    /// The activity light's pin
    #[arg(long, value_name = "PIN", value_parser = pin)]
    activity_pin: Option<Pin>,
    /// The button's pin
    #[arg(long, value_name = "PIN", value_parser = pin)]
    button_pin: Option<Pin>,
    /// Blink the alert light before anything is written
    #[arg(long)]
    blink: bool,
    /// Wait so long for a first test visit
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
    /// Ask nothing: take what would be suggested, and write it
    #[arg(long, short)]
    yes: bool,
}

/// How long a first visit is waited for when that was agreed to.
const PATIENCE_SECONDS: u64 = 300;

/// A pin, or that there shall be none.
type Pin = (Option<u8>,);

fn pin(text: &str) -> Result<Pin, String> {
    match text {
        "none" => Ok((None,)),
        _ => match text.parse() {
            Ok(pin @ 0..=27) => Ok((Some(pin),)),
            _ => Err("a pin is 0 to 27 in BCM numbering, or none".into()),
        },
    }
}

fn watchable(text: &str) -> Result<String, String> {
    HostPattern::parse(text.trim())
        .map(|pattern| pattern.to_string())
        .map_err(|error| error.to_string())
}

/// Runs the command.
pub fn run(globals: &Globals, args: &SetupArgs) -> CommandResult {
    let file = ConfigFile::open(globals.config_path())?;
    let setup = Setup {
        globals,
        args,
        asker: Asker::new(args.yes),
        before: parse(globals, file.text())?,
    };
    let (text, config) = setup.decide(&file)?;
    let newest = trial::newest(&config);
    if file.before.as_deref() == Some(text.as_str()) {
        tell("Nothing is to be changed.");
    } else if !setup.write(&file, &text)? {
        return Ok(Outcome::Bad);
    }
    setup.finish(&config, newest)
}

fn parse(globals: &Globals, text: &str) -> Result<Config, Failure> {
    Config::parse(text, globals.config_path())
        .map(|config| config.with_data_directory(globals.data.as_deref()))
        .map_err(|errors| Failure::Usage(errors.to_string()))
}

/// What is known when the questions begin.
struct Setup<'a> {
    globals: &'a Globals,
    args: &'a SetupArgs,
    asker: Asker,
    before: Config,
}

impl Setup<'_> {
    /// Asks until the lights are where they were said to be.
    fn decide(&self, file: &ConfigFile) -> Result<(String, Config), Failure> {
        let mut answers = Answers {
            interface: Some(self.interface()?),
            host: Some(self.host()?),
            ..Answers::default()
        };
        let watched = self.edited(file, &answers)?.1;
        answers.canary = self.canary(&watched)?;
        loop {
            answers.pins = self.pins()?;
            let (text, config) = self.edited(file, &answers)?;
            if self.lights_are_right(&config)? {
                return Ok((text, config));
            }
        }
    }

    fn edited(&self, file: &ConfigFile, answers: &Answers) -> Result<(String, Config), Failure> {
        let text = edited(file.text(), answers).map_err(Failure::Usage)?;
        let config = parse(self.globals, &text)?;
        Ok((text, config))
    }

    fn interface(&self) -> Result<String, Failure> {
        let how_long = Duration::from_secs(self.args.count);
        if let Some(name) = &self.args.interface {
            let found = interfaces::watch(Duration::ZERO);
            return interfaces::chosen(name, &found)
                .map_err(|error| Failure::Usage(format!("--interface {name}: {error}")));
        }
        tell(
            "Looking at the interfaces. The mirror port's has no address and carries frames for others.",
        );
        let found = interfaces::watch(how_long);
        interfaces::show(&found, how_long);
        let now = self.before.capture.interface.as_deref();
        let likely = interfaces::likely(&found).map(|one| one.name.as_str());
        self.asker.ask(
            "Interface on the mirror port (number or name)",
            now.or(likely),
            "--interface",
            |answer| interfaces::chosen(answer, &found),
        )
    }

    fn host(&self) -> Result<String, Failure> {
        if let Some(host) = &self.args.host {
            return Ok(host.clone());
        }
        let now = self
            .before
            .hosts
            .first()
            .map(|host| host.pattern.to_string());
        self.asker.ask(
            "Host that your web server answers for, such as www.example.org",
            now.as_deref(),
            "--host",
            watchable,
        )
    }

    /// A new canary's URL and channel. Who has some already is not pressed for more.
    fn canary(&self, config: &Config) -> Result<Option<(String, String)>, Failure> {
        let channel = match &self.args.channel {
            Some(channel) => channel.clone(),
            None => {
                let suggested =
                    (!config.canaries.is_empty() || !self.asker.present).then_some("none");
                self.asker.ask(
                    "Channel that a first canary link is for, such as signal (none: no link)",
                    suggested,
                    "--channel",
                    parse_words,
                )?
            }
        };
        let taken = |pattern: &HostPattern| matches!(pattern, HostPattern::Exact(_));
        if channel == "none" || config.canaries.iter().any(|one| one.channel == channel) {
            return Ok(None);
        }
        let place = if config.hosts.iter().any(|host| taken(&host.pattern)) {
            Place::Host(minting::host(None, config)?)
        } else {
            Place::Below(minting::parent(None, config)?)
        };
        let wanted = Wanted {
            channel: channel.clone(),
            label: None,
            control: false,
            scheme: self.args.scheme,
        };
        let canary = Known::of(config).mint(wanted, &place)?;
        Ok(Some((canary.url, channel)))
    }

    fn pins(&self) -> Result<Vec<(&'static str, Option<u8>)>, Failure> {
        let light = |role| {
            let lights = &self.before.led.lights;
            lights
                .iter()
                .find(|light| light.role == role)
                .map(|light| light.pin)
        };
        let button = self.before.led.button.map(|button| button.pin);
        let args = self.args;
        [
            ("alert", args.alert_pin, light(LightRole::Alert)),
            ("armed", args.armed_pin, light(LightRole::Armed)),
            ("activity", args.activity_pin, light(LightRole::Activity)),
            (BUTTON, args.button_pin, button),
        ]
        .into_iter()
        .map(|(role, told, now)| Ok((role, self.pin(role, told, now)?)))
        .collect()
    }

    fn pin(&self, role: &str, told: Option<Pin>, now: Option<u8>) -> Result<Option<u8>, Failure> {
        if let Some((pin,)) = told {
            return Ok(pin);
        }
        let now = now.map_or_else(|| "none".to_owned(), |pin| pin.to_string());
        let what = if role == BUTTON { "button" } else { "light" };
        let name = if role == BUTTON {
            String::new()
        } else {
            format!("{role} ")
        };
        let question = format!("Pin of the {name}{what} (BCM number, or none)");
        let (pin,) = self
            .asker
            .ask(&question, Some(&now), &format!("--{role}-pin"), pin)?;
        Ok(pin)
    }

    /// Blinks the alert light if that is wanted; false when it was not the right one.
    fn lights_are_right(&self, config: &Config) -> Result<bool, Failure> {
        let has_alert = config
            .led
            .lights
            .iter()
            .any(|light| light.role == LightRole::Alert);
        let wanted = self.args.blink
            || (self.asker.present
                && has_alert
                && self.asker.agrees("Blink the alert light now?", false)?);
        if !wanted {
            return Ok(true);
        }
        match trial::blink(&config.led) {
            Ok(()) if self.asker.present => self.asker.agrees("Did the right light blink?", true),
            Ok(()) => Ok(true),
            Err(error) if self.asker.present => {
                tell(&error.to_string());
                self.asker.agrees("Keep these pins all the same?", true)
            }
            Err(error) => Err(Failure::Bad(error.to_string())),
        }
    }

    /// Shows what changes, and writes it if that is agreed to.
    fn write(&self, file: &ConfigFile, text: &str) -> Result<bool, Failure> {
        let path = self.globals.config_path().display().to_string();
        let diff = TextDiff::from_lines(file.text(), text);
        let mut shown = diff.unified_diff();
        let mut out = stdout().lock();
        write!(out, "{}", shown.context_radius(1).header(&path, &path))?;
        out.flush()?;
        drop(out);
        if !self.asker.present && !self.args.yes {
            tell("Nothing was written: say --yes to write this without being asked.");
            return Ok(false);
        }
        if !self.asker.agrees("Write this?", true)? {
            tell("Nothing was written.");
            return Ok(false);
        }
        file.write(text)?;
        Ok(true)
    }

    fn finish(&self, config: &Config, newest: u64) -> CommandResult {
        tell(&start(config));
        if let Some(canary) = config.canaries.last() {
            tell("A link to try it with, from a phone that is not in your Wi-Fi:");
            let mut out = stdout().lock();
            writeln!(out, "{}", canary.url)?;
        }
        let seconds = match self.args.wait {
            Some(seconds) => seconds,
            None if self.asker.present && self.asker.agrees("Wait for a first visit?", true)? => {
                PATIENCE_SECONDS
            }
            None => 0,
        };
        if seconds == 0 {
            return Ok(Outcome::Done);
        }
        trial::await_visit(config, newest, Duration::from_secs(seconds))
    }
}

/// Lets a running daemon read the file again, or says how to start one.
fn start(config: &Config) -> String {
    let run_directory = config.run_directory();
    let running = DaemonLock::is_held(&run_directory).unwrap_or(false);
    let process = DaemonLock::holder(&run_directory)
        .filter(|_| running)
        .and_then(|process| Pid::from_raw(i32::try_from(process).ok()?));
    match process.map(|process| kill_process(process, Signal::HUP)) {
        Some(Ok(())) => "The daemon reads it again.".into(),
        Some(Err(_)) => "Let the daemon read it: sudo systemctl reload canarytap".into(),
        None => "The daemon starts with: sudo systemctl enable --now canarytap".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_a_number_of_the_header_or_none() {
        assert_eq!(pin("17"), Ok((Some(17),)));
        assert_eq!(pin("none"), Ok((None,)));
        for wrong in ["28", "-1", "", "GPIO17"] {
            assert!(pin(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_host_is_a_name_and_no_link() {
        assert_eq!(watchable("WWW.Example.org."), Ok("www.example.org".into()));
        assert_eq!(watchable("*.example.org"), Ok("*.example.org".into()));
        assert!(watchable("https://www.example.org/").is_err());
    }
}
