//! `canarytap status`: what the daemon is doing now.

use std::io::{self, Write, stdout};

use clap::{Args, ValueEnum};

use crate::cli::render::printable;
use crate::cli::time;
use crate::cli::{CommandResult, Failure, Globals, Outcome};
use crate::daemon::HEARTBEAT;
use crate::daemon::lock::DaemonLock;
use crate::daemon::status::{Remark, Status};
use crate::engine::frame::Timestamp;

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
    let directory = globals.load_config()?.run_directory();
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
    let mut status = Status::read(&directory).map_err(unusable)?;
    note_age(&mut status);
    print(&status, args.format, &mut stdout().lock())?;
    Ok(if status.healthy {
        Outcome::Done
    } else {
        Outcome::Bad
    })
}

/// A file that nobody has written for a while means that the daemon hangs.
fn note_age(status: &mut Status) {
    let updated: Option<jiff::Timestamp> = status.updated.parse().ok();
    let written = updated.and_then(|at| u64::try_from(at.as_nanosecond()).ok());
    let age = written.map(|at| time::now().since(Timestamp::from_nanos(at)));
    if age.is_none_or(|age| age > 3 * HEARTBEAT) {
        status.healthy = false;
        status.faults.push(Remark {
            name: "daemon_stuck".into(),
            text: format!("the daemon last said something at {}", status.updated),
            cure: "sudo systemctl restart canarytap".into(),
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
    let health = if status.healthy { "well" } else { "FAULT" };
    writeln!(out, "health    {health}")?;
    for fault in &status.faults {
        writeln!(out, "fault     {}: {}", fault.name, printable(&fault.text))?;
        writeln!(out, "  cure    {}", fault.cure)?;
    }
    for warning in &status.warnings {
        writeln!(
            out,
            "warning   {}: {}",
            warning.name,
            printable(&warning.text)
        )?;
        writeln!(out, "  cure    {}", warning.cure)?;
    }
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
    )?;
    let counted = status.counters.iter().filter(|(_, value)| **value > 0);
    for (name, value) in counted {
        writeln!(out, "  {name:28}{value}")?;
    }
    let store = &status.store;
    writeln!(
        out,
        "store     {}, newest seq {}, {} waiting, dropped {} requests, {} visits",
        store.directory.display(),
        store.last_seq,
        store.pending,
        store.dropped_requests,
        store.dropped_visits
    )?;
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
    writeln!(
        out,
        "daemon    {} pid {} since {}",
        status.version, status.pid, status.started
    )
}
