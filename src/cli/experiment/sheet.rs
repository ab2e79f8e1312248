//! The sheet to work from: what to paste where.

use std::io::{self, Write};

use crate::cli::render::printable;
use crate::experiment::{Member, Plan, Role};
use crate::store::StoredCanary;

/// Prints the sheet of an experiment.
pub(super) fn print(out: &mut impl Write, plan: &Plan, known: &[StoredCanary]) -> io::Result<()> {
    let sheet = Sheet { plan, known };
    writeln!(out, "Experiment {}, {}", printable(&plan.name), plan.time)?;
    writeln!(out, "{RULES}")?;
    for channel in plan.channels() {
        sheet.part(
            out,
            &format!(
                "Send over {}, one message for each link",
                printable(channel)
            ),
            |member| member.role == Role::Sent && member.channel == channel,
        )?;
    }
    for channel in sheet.beside() {
        sheet.part(
            out,
            &format!(
                "Send over {} at the same time as the others (a comparison)",
                printable(channel)
            ),
            |member| member.role == Role::Beside && member.channel == channel,
        )?;
    }
    sheet.part(
        out,
        "Open once in your own browser, from outside your network, and send to nobody \
         (a comparison)",
        |member| member.role == Role::Browser,
    )?;
    sheet.part(out, "Give to nobody, open never (controls)", |member| {
        member.role == Role::Control
    })?;
    writeln!(
        out,
        "\nWhat comes of it: canarytap experiment show \"{}\"",
        printable(&plan.name)
    )
}

struct Sheet<'a> {
    plan: &'a Plan,
    known: &'a [StoredCanary],
}

impl Sheet<'_> {
    fn part(
        &self,
        out: &mut impl Write,
        title: &str,
        is_part: impl Fn(&Member) -> bool,
    ) -> io::Result<()> {
        let mut members = self.plan.members.iter().filter(|member| is_part(member));
        let Some(first) = members.next() else {
            return Ok(());
        };
        writeln!(out, "\n{title}:")?;
        std::iter::once(first)
            .chain(members)
            .try_for_each(|member| self.line(out, member))
    }

    fn line(&self, out: &mut impl Write, member: &Member) -> io::Result<()> {
        let canary = self.known.iter().find(|canary| canary.id == member.id);
        let url = canary.map_or("(gone from the store)", |canary| canary.url.as_str());
        writeln!(out, "  {}", printable(url))?;
        match member.role {
            Role::Sent | Role::Beside => writeln!(out, "      canarytap sent {}", member.id),
            Role::Control | Role::Browser => Ok(()),
        }
    }

    fn beside(&self) -> Vec<&str> {
        let members = self.plan.members.iter();
        let mut channels: Vec<&str> = Vec::new();
        for member in members.filter(|member| member.role == Role::Beside) {
            if !channels.contains(&member.channel.as_str()) {
                channels.push(&member.channel);
            }
        }
        channels
    }
}

const RULES: &str = "\
Paste each link once, into the one place that it is for; do not open it yourself, and do not let it
pass through another program on its way (a clipboard that is shared, a note, a search field).
Run the command under a link right after you have sent it.";
