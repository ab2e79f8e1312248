//! `canarytap selftest`: a link for the owner's own phone, followed from the wire to the light.
//!
//! Its canary is watched for as long as the test lasts, and belongs to the channel `selftest`,
//! which no experiment has. The alert that it causes is acknowledged at the end.

use std::io::{self, Write, stdout};
use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use crate::cli::minting::{self, Known, Place, Scheme, Wanted};
use crate::cli::render::printable;
use crate::cli::{CommandResult, Failure, Globals, Outcome, time};
use crate::config::Config;
use crate::daemon::lock::DaemonLock;
use crate::daemon::status::Status;
use crate::experiment::SELFTEST;
use crate::outbound::FOLDER;
use crate::store::{
    Acknowledge, EventQuery, EventRecord, Outbox, Store, StoreError, StoreOptions, StoreReader,
    StoredCanary,
};

/// Arguments of `selftest`.
#[derive(Clone, Debug, Args)]
pub struct SelftestArgs {
    /// The watched host that the link shall lie on; the first of the configuration unless told
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Give the link a host name of its own below a watched `*.name`, as `mint --subdomain` does
    #[arg(long)]
    subdomain: bool,
    /// How the link begins
    #[arg(long, value_enum, default_value_t)]
    scheme: Scheme,
    /// How long to wait for the phone
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 300,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    timeout: u64,
}

/// Runs the command.
pub fn run(globals: &Globals, args: &SelftestArgs) -> CommandResult {
    let config = globals.load_config()?;
    running(&config)?; // what is missing first is said first
    let mut store = Store::open_existing(&config.store.directory, StoreOptions::default())?;
    let before = settled(&config, &store)?;
    let canary = mint(args, &config, &store)?;
    store.add_canaries(std::slice::from_ref(&canary))?;
    let mut test = Test {
        config: &config,
        timeout: Duration::from_secs(args.timeout),
        canary: &canary,
        before,
        began: Instant::now(),
        out: stdout(),
    };
    let outcome = test.follow();
    let acknowledged = test.acknowledge(&mut store);
    // What is not watched any more raises no alert when a browser looks again.
    store.remove_canary(&canary.id)?;
    acknowledged?;
    match outcome? {
        Ok(()) => {
            writeln!(stdout(), "well: the link was seen, kept and shown")?;
            Ok(Outcome::Done)
        }
        Err(missing) => {
            let mut out = stdout();
            writeln!(out, "MISSING {}", printable(&missing.what))?;
            writeln!(out, "  cure  {}", printable(&missing.cure))?;
            Ok(Outcome::Bad)
        }
    }
}

/// Whether a visit was made by the owner to test the tap, and says nothing about anybody.
pub(super) fn made(visit: &EventRecord) -> bool {
    visit.channel.as_deref() == Some(SELFTEST)
}

fn mint(args: &SelftestArgs, config: &Config, store: &Store) -> Result<StoredCanary, Failure> {
    let place = match args.subdomain {
        true => Place::Below(minting::parent(args.host.as_deref(), config)?),
        false => Place::Host(minting::host(args.host.as_deref(), config)?),
    };
    let wanted = Wanted {
        channel: SELFTEST.into(),
        label: Some("canarytap selftest".into()),
        control: false,
        scheme: args.scheme,
    };
    Known::read(config, store)?.mint(wanted, &place)
}

/// What the daemon says before the test.
fn running(config: &Config) -> Result<Status, Failure> {
    let directory = config.run_directory();
    let held = DaemonLock::is_held(&directory).unwrap_or(false);
    let status = Status::read(&directory).ok().filter(|_| held);
    status.ok_or_else(|| {
        Failure::Bad(
            "the daemon is not running; start it: sudo systemctl start canarytap".to_owned(),
        )
    })
}

/// The same once the daemon counts the canaries that there are: one that was just taken away, by
/// the test before this one, may be counted still.
fn settled(config: &Config, store: &Store) -> Result<Status, Failure> {
    let canaries = config.canaries.len() + store.canaries()?.len();
    let began = Instant::now();
    loop {
        let status = running(config)?;
        if status.capture.canaries == canaries || began.elapsed() >= WATCHED_WAIT {
            return Ok(status);
        }
        thread::sleep(LOOK);
    }
}

/// The stage that did not happen.
struct Missing {
    what: String,
    cure: String,
}

fn missing(what: impl Into<String>, cure: &str) -> Missing {
    Missing {
        what: what.into(),
        cure: cure.into(),
    }
}

struct Test<'a, W: Write> {
    config: &'a Config,
    timeout: Duration,
    canary: &'a StoredCanary,
    before: Status,
    began: Instant,
    out: W,
}

type Followed = Result<Result<(), Missing>, Failure>;

impl<W: Write> Test<'_, W> {
    /// Through every stage, in the order of the packet's way.
    fn follow(&mut self) -> Followed {
        if !self.wait(WATCHED_WAIT, |test| Ok(test.is_watched()))? {
            return Ok(Err(missing(
                "the daemon does not watch the new link",
                "canarytap status; else: sudo systemctl restart canarytap",
            )));
        }
        self.say("watched", "the daemon looks for the link from now on")?;
        self.show_link()?;
        let visit = self.wait_for_visit()?;
        let Some(visit) = visit else {
            return Ok(Err(self.why_no_visit()));
        };
        self.say_visit(&visit)?;
        if !visit.alert {
            return Ok(Err(missing(
                format!(
                    "the visit came from inside ({}), so that no light comes on",
                    visit
                        .client
                        .map_or_else(|| "?".into(), |client| client.to_string())
                ),
                "take the phone off your Wi-Fi and try again",
            )));
        }
        if !self.wait(LIGHT_WAIT, |test| Ok(test.is_lit()))? {
            return Ok(Err(missing(
                "the alert light did not come on",
                "canarytap status names what is wrong with it; canarytap led test plays it",
            )));
        }
        let driver = self.status().map(|status| status.lights.driver);
        let driver = driver.unwrap_or_default();
        self.say(
            "light",
            &format!("the alert light blinks (driver {driver})"),
        )?;
        self.follow_sinks(visit.seq.unwrap_or_default())
    }

    /// Looks until something is there; false when it did not come in time.
    fn wait(
        &self,
        at_most: Duration,
        mut look: impl FnMut(&Self) -> Result<bool, Failure>,
    ) -> Result<bool, Failure> {
        let began = Instant::now();
        loop {
            if look(self)? {
                return Ok(true);
            }
            if began.elapsed() >= at_most {
                return Ok(false);
            }
            thread::sleep(LOOK);
        }
    }

    fn say(&mut self, stage: &str, text: &str) -> io::Result<()> {
        let seconds = self.began.elapsed().as_secs_f64();
        writeln!(self.out, "{seconds:8.3} s  {stage:8} {}", printable(text))?;
        self.out.flush()
    }

    fn show_link(&mut self) -> io::Result<()> {
        let url = &self.canary.url;
        // One that is too long for a picture can still be typed.
        if let Ok(code) = QrCode::new(url.as_bytes()) {
            let picture = code.render::<Dense1x2>().build();
            writeln!(self.out, "\n{picture}")?;
        }
        writeln!(
            self.out,
            "\n{url}\n\nopen it on a phone that is not on your Wi-Fi, within {} s\n",
            self.timeout.as_secs()
        )?;
        self.out.flush()
    }

    fn status(&self) -> Option<Status> {
        Status::read(&self.config.run_directory()).ok()
    }

    fn is_watched(&self) -> bool {
        let status = self.status();
        status.is_some_and(|status| status.capture.canaries > self.before.capture.canaries)
    }

    fn is_lit(&self) -> bool {
        self.status()
            .is_some_and(|status| status.lights.alert != "dark" && status.unacknowledged > 0)
    }

    fn wait_for_visit(&self) -> Result<Option<EventRecord>, Failure> {
        let mut found = None;
        self.wait(self.timeout, |test| {
            found = test.visit()?;
            Ok(found.is_some())
        })?;
        Ok(found)
    }

    fn visit(&self) -> Result<Option<EventRecord>, StoreError> {
        let query = EventQuery {
            canary: Some(self.canary.id.clone()),
            ..EventQuery::default()
        };
        let mut found = None;
        let reader = StoreReader::open(&self.config.store.directory)?;
        reader.for_each(&query, |event| {
            found = Some(event);
            Ok::<_, StoreError>(ControlFlow::Break(()))
        })?;
        Ok(found)
    }

    /// The time of the packet by the capture; how long all from there to the disk took is known
    /// to a look's length.
    fn say_visit(&mut self, visit: &EventRecord) -> io::Result<()> {
        let seen = visit.time.parse::<jiff::Timestamp>().ok();
        let passed = seen.map(|seen| jiff::Timestamp::now().duration_since(seen));
        let passed = passed.map_or(0.0, |passed| passed.as_secs_f64() * 1000.0);
        let client = visit.client.map(|client| client.to_string());
        self.say("packet", &format!("on the wire at {}", visit.time))?;
        let (method, origin) = (
            visit.method.as_deref().unwrap_or("TLS hello"),
            visit.origin.as_deref().unwrap_or("unknown"),
        );
        self.say(
            "engine",
            &format!(
                "{method} from {} ({origin}) met the link",
                client.unwrap_or_default()
            ),
        )?;
        self.say(
            "store",
            &format!(
                "on disk as number {}, {passed:.0} ms after the packet at most",
                visit.seq.unwrap_or_default()
            ),
        )
    }

    /// Each sink that the second service knows.
    fn follow_sinks(&mut self, seq: u64) -> Followed {
        let folder = self.config.store.directory.join(FOLDER);
        for alert in &self.config.alerts {
            let took = |_: &Self| {
                let known = Outbox::look(&folder)?;
                let mut sinks = known.iter().filter(|sink| sink.name == alert.name);
                Ok(sinks.any(|sink| sink.after >= seq))
            };
            if !self.wait(SINK_WAIT, took)? {
                return Ok(Err(missing(
                    format!("{} was not told of the alert", alert.name),
                    &format!(
                        "canarytap alert test {:?}; sudo systemctl status canarytap-alert",
                        alert.name
                    ),
                )));
            }
            self.say("alert", &format!("{} has it", alert.name))?;
        }
        Ok(Ok(()))
    }

    /// Nothing came: how far did what came get?
    fn why_no_visit(&self) -> Missing {
        let Some(now) = self.status() else {
            return missing(
                "the daemon ended meanwhile",
                "sudo systemctl status canarytap",
            );
        };
        if let Some(fault) = now.faults.first() {
            return missing(fault.text.clone(), &fault.cure);
        }
        judge_silence(&self.before, &now)
    }

    fn acknowledge(&self, store: &mut Store) -> Result<(), Failure> {
        if let Some(seq) = self
            .visit()?
            .filter(|visit| visit.alert)
            .and_then(|one| one.seq)
        {
            store.acknowledge(&Acknowledge::Seqs(vec![seq]), time::now())?;
        }
        Ok(())
    }
}

/// By what the counters did while nothing was told.
fn judge_silence(before: &Status, now: &Status) -> Missing {
    let grew = |name: &str| now.counters.get(name) > before.counters.get(name);
    if now.capture.frames_on_interface == before.capture.frames_on_interface
        && now.capture.received == before.capture.received
    {
        return missing(
            "no packet came in at all",
            "check the cable and the switch's mirror port: sudo canarytap doctor",
        );
    }
    if !grew("segments") && !grew("segments_to_servers") {
        return missing(
            "packets came in, but none for the web server's ports",
            "mirror the web server's port, and check capture.ports: sudo canarytap doctor",
        );
    }
    if grew("tls_no_key") || (grew("tls_hellos") && !grew("requests")) {
        return missing(
            "connections came in, but encrypted: what they asked for cannot be read",
            "give the tap the server's keys, or try --subdomain: README, \"HTTPS, three ways\"",
        );
    }
    if grew("requests") {
        return missing(
            "requests came in, but none for the link",
            "was it opened? If so: does its host name lead to this web server?",
        );
    }
    missing(
        "segments came in, but no request in them",
        "was the link opened? If so: sudo canarytap doctor",
    )
}

/// How often is looked: what is told of times is true to this.
const LOOK: Duration = Duration::from_millis(20);
const WATCHED_WAIT: Duration = Duration::from_secs(15);
const LIGHT_WAIT: Duration = Duration::from_secs(10);
const SINK_WAIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn status(frames: u64, counters: &[(&str, u64)]) -> Status {
        let mut status = Status::default();
        status.capture.frames_on_interface = frames;
        status.counters = counters
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect::<BTreeMap<_, _>>();
        status
    }

    #[test]
    fn what_did_not_happen_is_named_by_how_far_it_came() {
        let before = status(10, &[]);
        for (now, words) in [
            (status(10, &[]), "no packet"),
            (status(11, &[]), "none for the web server's ports"),
            (
                status(11, &[("segments", 1), ("tls_hellos", 1)]),
                "encrypted",
            ),
            (
                status(11, &[("segments", 1), ("tls_no_key", 1)]),
                "encrypted",
            ),
            (
                status(11, &[("segments", 1), ("requests", 1)]),
                "none for the link",
            ),
            (status(11, &[("segments", 1)]), "no request in them"),
        ] {
            let missing = judge_silence(&before, &now);
            assert!(missing.what.contains(words), "{}", missing.what);
            assert!(!missing.cure.is_empty());
        }
    }
}
