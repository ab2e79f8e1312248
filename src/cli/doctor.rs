//! `canarytap doctor`: can this machine tap, point by point, each failed point with its cure.

use std::io::{self, Write, stdout};
use std::time::Duration;

use clap::{Args, ValueEnum, value_parser};

use crate::cli::render::{Look, printable};
use crate::cli::{CommandResult, Globals, Outcome, tell};
use crate::doctor::{self, Point, State};

/// Arguments of `doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// How long it looks at the wire
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Table,
    /// One object a point
    Jsonl,
}

/// Runs the command.
pub fn run(globals: &Globals, args: &DoctorArgs) -> CommandResult {
    let config = globals.load_config()?;
    if let Some(interface) = &config.capture.interface {
        tell(&format!(
            "canarytap: looking at {interface} for {} s; open a page of {} meanwhile",
            args.seconds,
            doctor::what_is_watched(&config)
        ));
    }
    let points = doctor::examine(&config, Duration::from_secs(args.seconds.into()));
    let mut out = stdout().lock();
    match args.format {
        Format::Table => table(&points, Look::of_stdout().colours, &mut out)?,
        Format::Jsonl => lines(&points, &mut out)?,
    }
    out.flush()?;
    let failed = points.iter().any(|point| point.state == State::Failed);
    Ok(if failed { Outcome::Bad } else { Outcome::Done })
}

fn table(points: &[Point], colours: bool, out: &mut impl Write) -> io::Result<()> {
    for point in points {
        let state = format!("{:<13}", point.state.text());
        let (on, off) = match (colours, colour(point.state)) {
            (true, Some(colour)) => (colour, "\x1b[0m"),
            _ => ("", ""),
        };
        writeln!(
            out,
            "{on}{state}{off} {:<13}{}",
            point.point,
            printable(&point.found)
        )?;
        if let Some(cure) = &point.cure {
            writeln!(out, "{:14}{:<13}{}", "", word(point.state), printable(cure))?;
        }
    }
    Ok(())
}

fn lines(points: &[Point], out: &mut impl Write) -> io::Result<()> {
    for point in points {
        writeln!(out, "{}", serde_json::to_string(&made_safe(point))?)?;
    }
    Ok(())
}

/// What the second line of a point says.
const fn word(state: State) -> &'static str {
    match state {
        State::NotLookedAt => "  how",
        _ => "  cure",
    }
}

const fn colour(state: State) -> Option<&'static str> {
    match state {
        State::Failed => Some("\x1b[1;31m"),
        State::Warning => Some("\x1b[33m"),
        State::Ok | State::NotLookedAt => None,
    }
}

/// What came from the wire cannot drive a terminal here either.
fn made_safe(point: &Point) -> Point {
    let safe = |text: &String| printable(text).into_owned();
    Point {
        found: safe(&point.found),
        cure: point.cure.as_ref().map(safe),
        ..point.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(points: &[Point], colours: bool) -> String {
        let mut out = Vec::new();
        table(points, colours, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_point_has_its_line_and_each_trouble_its_cure() {
        let points = [
            Point::ok("clock", "it is set"),
            Point::failed("directions", "one only\u{1b}[2J", "mirror both"),
            Point::not_looked_at("duplicates", "no packet", "look as root"),
        ];
        let text = shown(&points, false);
        assert!(!text.contains('\u{1b}'));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "ok            clock        it is set");
        assert!(lines[1].starts_with("FAILED        directions   one only"));
        assert_eq!(lines[2], "                cure       mirror both");
        assert_eq!(lines[4], "                how        look as root");
    }

    #[test]
    fn colours_are_for_troubles_only() {
        assert!(!shown(&[Point::ok("clock", "set")], true).contains('\u{1b}'));
        assert!(shown(&[Point::failed("disk", "full", "room")], true).contains("\u{1b}[1;31m"));
    }

    #[test]
    fn a_point_is_one_object_with_point_state_found_and_cure() {
        let point = Point::not_looked_at("clock", "nobody says", "timedatectl");
        let mut out = Vec::new();
        lines(&[point, Point::ok("disk", "room")], &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"point\":\"clock\",\"state\":\"not_looked_at\",\"found\":\"nobody says\",\
             \"cure\":\"timedatectl\"}\n{\"point\":\"disk\",\"state\":\"ok\",\"found\":\"room\"}\n"
        );
    }
}
