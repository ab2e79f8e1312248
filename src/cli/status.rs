//! `canarytap status`: what the daemon is doing now.

use std::io::{self, Write, stdout};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::render::printable;
use crate::cli::time;
use crate::cli::{CommandResult, Failure, Globals, Outcome};
use crate::config::Config;
use crate::daemon::clock;
use crate::daemon::lock::DaemonLock;
use crate::daemon::status::{HEARTBEAT, Remark, SinkStatus, Status};
use crate::engine::frame::Timestamp;
use crate::outbound::FOLDER;
use crate::store::{Outbox, StoreReader};

/// Arguments of `status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Table,
    /// One object
    Jsonl,
}

/// Runs the command.
pub fn run(globals: &Globals, args: &StatusArgs) -> CommandResult {
    let config = globals.load_config()?;
    let directory = config.run_directory();
    let unusable = |error: io::Error| {
        Failure::Bad(format!(
            "cannot look into {}: {error}; members of the group canarytap may: sudo adduser $USER canarytap",
            directory.display()
        ))
    };
    if !DaemonLock::is_held(&directory).map_err(unusable)? {
        return Err(Failure::Bad(format!(
            "the daemon is not running (nobody holds {}/daemon.lock); start it: sudo systemctl start canarytap",
            directory.display()
        )));
    }
    let read = Status::read(&directory);
    let mut status = read.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::Bad("the daemon is starting, or about to end; ask again".into())
        }
        _ => unusable(error),
    })?;
    note_age(&mut status, time::now(), clock::uptime());
    note_sinks(&mut status, &config);
    print(&status, args.format, &mut stdout().lock())?;
    Ok(if status.healthy {
        Outcome::Done
    } else {
        Outcome::Bad
    })
}

/// A file that nobody has written for a while means that the daemon hangs.
fn note_age(status: &mut Status, now: Timestamp, uptime: Duration) {
    let age = status.age(now, uptime);
    if age.is_none_or(|age| age > 3 * HEARTBEAT) {
        status.healthy = false;
        status.faults.push(Remark {
            name: "daemon_stuck".into(),
            text: format!("the daemon last said something at {}", status.updated),
            cure: "sudo systemctl restart canarytap".into(),
        });
    }
}

/// What the second service says of those whom it tells. One that takes nothing is a warning: the
/// light and the log have every alert.
fn note_sinks(status: &mut Status, config: &Config) {
    let directory = &config.store.directory;
    let known = Outbox::look(&directory.join(FOLDER)).unwrap_or_default();
    let reader = StoreReader::open(directory).ok();
    for alert in &config.alerts {
        let progress = known.iter().find(|one| one.name == alert.name);
        let Some(progress) = progress.cloned() else {
            status.warnings.push(Remark {
                name: "alert_not_running".into(),
                text: format!(
                    "{} was never told of an alert: nothing hands them on",
                    alert.name
                ),
                cure: "sudo systemctl enable --now canarytap-alert".into(),
            });
            continue;
        };
        let waiting = reader.as_ref().map(|one| one.alerts_after(progress.after));
        if let Some(error) = &progress.error {
            status.warnings.push(Remark {
                name: "alert_failing".into(),
                text: format!("{} takes no alerts: {error}", alert.name),
                cure: format!("canarytap alert test {:?}", alert.name),
            });
        }
        status.sinks.push(SinkStatus {
            name: progress.name,
            kind: alert.sink.kind().into(),
            waiting: waiting.and_then(Result::ok).unwrap_or_default(),
            delivered: progress.delivered,
            refused: progress.refused,
            error: progress.error,
            error_time: progress.error_time,
        });
    }
}

fn print(status: &Status, format: Format, out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Jsonl => writeln!(out, "{}", serde_json::to_string(status)?),
        Format::Table => table(status, out),
    }
}

fn table(status: &Status, out: &mut impl Write) -> io::Result<()> {
    health(status, out)?;
    capture(status, out)?;
    let counted = status.counters.iter().filter(|(_, value)| **value > 0);
    for (name, value) in counted {
        writeln!(out, "  {name:28}{value}")?;
    }
    store(status, out)?;
    keys(status, out)?;
    lights(status, out)?;
    sinks(status, out)?;
    writeln!(
        out,
        "daemon    {} pid {} since {}, Landlock {}",
        status.version, status.pid, status.started, status.landlock
    )
}

/// What is wrong goes first, with its cure.
fn health(status: &Status, out: &mut impl Write) -> io::Result<()> {
    let health = if status.healthy { "well" } else { "FAULT" };
    writeln!(out, "health    {health}")?;
    let faults = status.faults.iter().map(|fault| ("fault", fault));
    let warnings = status.warnings.iter().map(|warning| ("warning", warning));
    for (word, remark) in faults.chain(warnings) {
        writeln!(out, "{word:10}{}: {}", remark.name, printable(&remark.text))?;
        writeln!(out, "  cure    {}", printable(&remark.cure))?;
    }
    Ok(())
}

fn capture(status: &Status, out: &mut impl Write) -> io::Result<()> {
    let capture = &status.capture;
    let link = if capture.link_up { "up" } else { "down" };
    writeln!(
        out,
        "capture   {} ({link}), {} packets, dropped {} by the kernel, {} by the interface",
        capture.interface, capture.received, capture.dropped_kernel, capture.dropped_interface
    )?;
    writeln!(
        out,
        "engine    {} flows, {} KiB, {} canaries",
        capture.flows,
        capture.heap_bytes / 1024,
        capture.canaries
    )
}

fn store(status: &Status, out: &mut impl Write) -> io::Result<()> {
    let store = &status.store;
    writeln!(
        out,
        "store     {}, newest seq {}, {} waiting",
        store.directory.display(),
        store.last_seq,
        store.pending,
    )?;
    if store.dropped_requests + store.dropped_visits + store.dropped_details > 0 {
        writeln!(
            out,
            "dropped   {} requests, {} visits, {} statuses",
            store.dropped_requests, store.dropped_visits, store.dropped_details
        )?;
    }
    if let Some(written) = store.written_bytes_day {
        let mebibytes = written.div_ceil(1 << 20);
        writeln!(
            out,
            "disk      {mebibytes} MiB written in the last 24 hours"
        )?;
    }
    if store.dropped_packets > 0 {
        writeln!(
            out,
            "dropped   {} packets of visits: the disk was too slow for them",
            store.dropped_packets
        )?;
    }
    Ok(())
}

fn keys(status: &Status, out: &mut impl Write) -> io::Result<()> {
    let keys = &status.keys;
    if keys.logs.is_empty() && keys.secrets + keys.refused == 0 {
        return Ok(());
    }
    writeln!(
        out,
        "keys      {} secrets came, {} wait for their connections, {} lines were none",
        keys.secrets, keys.waiting, keys.refused
    )?;
    keys.logs
        .iter()
        .try_for_each(|log| writeln!(out, "key log   {}: {}", log.path.display(), log.state))
}

fn lights(status: &Status, out: &mut impl Write) -> io::Result<()> {
    let lights = &status.lights;
    writeln!(
        out,
        "lights    {}: armed light {}, alert light {}",
        lights.driver, lights.armed, lights.alert
    )?;
    writeln!(out, "alerts    {} not acknowledged", status.unacknowledged)?;
    if let Some(time) = &status.last_event {
        writeln!(out, "last      event at {time}")?;
    }
    if let Some(seq) = status.last_alert {
        writeln!(out, "last      alert {seq}")?;
    }
    Ok(())
}

fn sinks(status: &Status, out: &mut impl Write) -> io::Result<()> {
    status.sinks.iter().try_for_each(|sink| {
        writeln!(
            out,
            "alert to  {}: {}, {} waiting, {} taken, {} refused",
            printable(&sink.name),
            sink.kind,
            sink.waiting,
            sink.delivered,
            sink.refused
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(status: &Status) -> Vec<String> {
        let mut out = Vec::new();
        print(status, Format::Table, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn well() -> Status {
        Status {
            healthy: true,
            updated: "2013-04-30T17:28:32.000000Z".into(),
            ..Status::default()
        }
    }

    #[test]
    fn what_is_wrong_stands_first_with_its_cure() {
        let status = Status {
            healthy: false,
            faults: vec![Remark {
                name: "store_failing".into(),
                text: "the disk is full\u{1b}[2J".into(),
                cure: "make room".into(),
            }],
            warnings: vec![Remark {
                name: "clock_unsynced".into(),
                ..Remark::default()
            }],
            ..Status::default()
        };
        let lines = shown(&status);
        assert_eq!(lines[0], "health    FAULT");
        assert!(lines[1].starts_with("fault     store_failing: the disk is full"));
        assert!(!lines[1].contains('\u{1b}'));
        assert_eq!(lines[2], "  cure    make room");
        assert_eq!(lines[3], "warning   clock_unsynced: ");
    }

    #[test]
    fn what_the_card_has_to_bear_is_shown_where_the_kernel_counts_it() {
        let mut status = well();
        assert!(!shown(&status).join("\n").contains("disk"));
        status.store.written_bytes_day = Some((5 << 20) + 1);
        let lines = shown(&status);
        assert!(lines.contains(&"disk      6 MiB written in the last 24 hours".to_owned()));
    }

    #[test]
    fn counters_that_are_zero_are_left_out() {
        let mut status = well();
        status.counters.insert("frames".into(), 7);
        status.counters.insert("gaps".into(), 0);
        let lines = shown(&status).join("\n");
        assert!(lines.contains("  frames                      7"));
        assert!(!lines.contains("gaps"));
        assert!(!lines.contains("dropped   "));
    }

    #[test]
    fn a_status_that_nobody_wrote_for_a_while_is_a_fault() {
        let written = Timestamp::from_secs_nanos(1_367_342_912, 0);
        let mut status = well();
        note_age(&mut status, written.plus(2 * HEARTBEAT), Duration::ZERO);
        assert!(status.healthy);
        note_age(&mut status, written.plus(4 * HEARTBEAT), Duration::ZERO);
        assert!(!status.healthy);
        assert_eq!(status.faults[0].name, "daemon_stuck");
    }

    #[test]
    fn a_clock_that_was_set_makes_no_daemon_stuck() {
        let set = Timestamp::from_secs_nanos(1_900_000_000, 0);
        let mut status = well();
        status.updated_uptime_micros = Some(50_000_000);
        note_age(&mut status, set, Duration::from_secs(50) + 2 * HEARTBEAT);
        assert!(status.healthy);
        note_age(&mut status, set, Duration::from_secs(50) + 4 * HEARTBEAT);
        assert_eq!(status.faults[0].name, "daemon_stuck");
    }

    #[test]
    fn a_status_as_one_line_reads_back_as_it_was() {
        let mut out = Vec::new();
        print(&well(), Format::Jsonl, &mut out).unwrap();
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(serde_json::from_slice::<Status>(&out).unwrap(), well());
    }
}
