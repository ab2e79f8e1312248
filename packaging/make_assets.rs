//! Writes what the package has beside the program: man pages and shell completions.
//!
//! ```text
//! cargo run --example make-assets -- FOLDER
//! ```
//!
//! What they say of commands comes from the commands themselves, what they say of counters from the
//! counters; what they say of the configuration from the commented example.

#![allow(
    clippy::print_stderr,
    reason = "a tool of the build speaks to who builds"
)]

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use canarytap::cli::Cli;
use canarytap::engine::counters::Counters;
use clap::{Command, CommandFactory as _};
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("make-assets: name the folder to write to");
        return ExitCode::from(2);
    };
    match write_all(&PathBuf::from(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("make-assets: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_all(folder: &Path) -> io::Result<()> {
    let mut command = Cli::command();
    command.build();
    for name in ["man1", "man5", "completions"] {
        fs::create_dir_all(folder.join(name))?;
    }
    program_page(&command, &folder.join("man1/canarytap.1"))?;
    for subcommand in command.get_subcommands().filter(|one| is_shown(one)) {
        let name = subcommand.get_display_name().unwrap_or_default();
        let page = folder.join(format!("man1/{name}.1"));
        Man::new(subcommand.clone()).render(&mut File::create(page)?)?;
    }
    config_page(&folder.join("man5/canarytap.toml.5"))?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(
            shell,
            &mut Cli::command(),
            "canarytap",
            folder.join("completions"),
        )?;
    }
    Ok(())
}

fn is_shown(command: &Command) -> bool {
    !command.is_hide_set() && command.get_name() != "help"
}

/// The commands as clap knows them, then what is true of them all.
fn program_page(command: &Command, path: &Path) -> io::Result<()> {
    let page = Man::new(command.clone());
    let mut out = File::create(path)?;
    page.render_title(&mut out)?;
    page.render_name_section(&mut out)?;
    page.render_synopsis_section(&mut out)?;
    page.render_description_section(&mut out)?;
    page.render_options_section(&mut out)?;
    page.render_subcommands_section(&mut out)?;
    counters_section(&mut out)?;
    out.write_all(include_bytes!("canarytap.1.roff"))
}

/// What `status` and the summary of a replay count.
fn counters_section(out: &mut impl Write) -> io::Result<()> {
    out.write_all(
        b".SH COUNTERS\nCounts of frames, packets, segments, messages or bytes, shown by ",
    )?;
    out.write_all(b"\n.B status\nand at the end of a replay when they are not 0.\n")?;
    for (name, text) in Counters::DESCRIPTIONS {
        writeln!(out, ".TP\n.B {}\n{}", as_roff(name), as_roff(text.trim()))?;
    }
    Ok(())
}

/// The commented example is the reference: every line of it shows a default or how to write one.
fn config_page(path: &Path) -> io::Result<()> {
    let mut out = File::create(path)?;
    out.write_all(include_bytes!("canarytap.toml.5.roff"))?;
    writeln!(out, ".nf")?;
    for line in include_str!("../config/canarytap.toml").lines() {
        writeln!(out, "{}", as_roff(line))?;
    }
    writeln!(out, ".fi")?;
    out.write_all(SEE_ALSO)
}

const SEE_ALSO: &[u8] = b".SH SEE ALSO\n.BR canarytap (1)\n";

/// A line that roff takes for text, whatever it begins with.
fn as_roff(line: &str) -> String {
    let text = line.replace('\\', "\\e").replace('-', "\\-");
    match text.chars().next() {
        Some('.' | '\'') => format!("\\&{text}"),
        _ => text,
    }
}
