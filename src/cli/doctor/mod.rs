//! `doorward doctor`: checks the installation and prints a line for each check, with advice if one fails.

mod database;
mod finding;
mod public_url;

use std::path::Path;

use clap::Args;
use nix::sys::statvfs::statvfs;

use self::finding::{Finding, Level, in_one_line};
use super::context::Context;
use super::database::DatabaseAccess;
use super::failure::Failure;
use super::output::{Format, Output};
use super::terminal::printable;
use crate::app::site;
use crate::config::{Settings, wants_colour};

const MEBIBYTE: u64 = 1024 * 1024;

/// Arguments of `doorward doctor`.
#[derive(Args, Debug)]
#[command(after_help = "Exits with 1 if a check fails. Warnings alone do not count.")]
pub struct DoctorArgs {
    #[command(flatten)]
    pub format: Format,
}

impl DoctorArgs {
    /// Runs all checks and prints the findings.
    ///
    /// # Errors
    /// A check fails. All findings have been printed by then.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let findings = examine(context)?;
        let mut output = Output::stdout(self.format);
        if output.is_json() {
            output.json(&findings)?;
        } else {
            output.verbatim(&text(&findings, wants_colour()))?;
        }
        match findings.iter().filter(|finding| finding.level == Level::Fail).count() {
            0 => Ok(()),
            1 => Err(Failure::new("one check failed")),
            count => Err(Failure::new(format!("{count} checks failed"))),
        }
    }
}

fn examine(context: &Context) -> Result<Vec<Finding>, Failure> {
    let settings = match context.settings() {
        Ok(settings) => settings,
        Err(Failure::Wrong(lines)) => {
            let advice = "Correct the setting. `doorward --help` says what each setting allows.";
            return Ok(lines.into_iter().map(|line| Finding::fail("settings", line, advice)).collect());
        }
        Err(gone) => return Err(gone),
    };
    let mut findings = examine_settings(&settings);
    findings.extend(examine_logo(&settings));
    findings.extend(examine_disk(&settings.data_dir));
    match DatabaseAccess::find(&settings) {
        Ok(access) => {
            findings.extend(database::examine(&settings, &access));
            findings.extend(public_url::examine(&settings, &access));
            access.stop();
        }
        Err(failure) => {
            let advice = "Start PostgreSQL, or correct DATABASE_URL or DOORWARD_DATA_DIR.";
            findings.push(Finding::fail("database", in_one_line(failure), advice));
        }
    }
    Ok(findings)
}

fn examine_settings(settings: &Settings) -> Vec<Finding> {
    let set =
        settings.entries().iter().filter(|entry| entry.source != crate::config::Source::Default).count();
    let mut findings = vec![Finding::pass("settings", format!("{set} are set, and all are valid"))];
    let advice = "See `doorward config`.";
    findings
        .extend(settings.warnings().into_iter().map(|warning| Finding::warn("settings", warning, advice)));
    findings
}

/// Checks the logo. Returns `None` if none is set.
fn examine_logo(settings: &Settings) -> Option<Finding> {
    let path = settings.site_logo.as_ref()?;
    Some(match site::load(settings) {
        Ok(_) => Finding::pass("logo", path.display().to_string()),
        Err(error) => {
            Finding::fail("logo", error.to_string(), "The server does not start before this is corrected.")
        }
    })
}

/// Checks the free space on the data folder's disk. Returns `None` if there is no data folder, because
/// PostgreSQL and the secret key are elsewhere.
fn examine_disk(folder: &Path) -> Option<Finding> {
    let disk = statvfs(folder).ok()?;
    let free = disk.blocks_available() * disk.fragment_size() / MEBIBYTE;
    let found = format!("{free} MiB free at {}", folder.display());
    let advice = "Free some space: a full disk stops every sign-in.";
    Some(match free {
        0..200 => Finding::fail("disk", found, advice),
        200..2_048 => Finding::warn("disk", found, advice),
        _ => Finding::pass("disk", found),
    })
}

fn text(findings: &[Finding], coloured: bool) -> String {
    let mut text = String::new();
    for finding in findings {
        let (mark, colour) = match finding.level {
            Level::Pass => ("pass", "32"),
            Level::Warn => ("warn", "33"),
            Level::Fail => ("fail", "31"),
        };
        let mark = if coloured { format!("\u{1b}[{colour}m{mark}\u{1b}[0m") } else { mark.to_owned() };
        text += &format!("{mark}  {:<15}{}\n", finding.check, printable(&finding.found));
        if let Some(advice) = &finding.advice {
            text += &format!("                  → {}\n", printable(advice));
        }
    }
    text
}
