//! Finds PostgreSQL's server programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::Error;

/// A folder with PostgreSQL's server programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    folder: PathBuf,
    major: u32,
}

impl Binaries {
    /// Returns the path of a program.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns the major version of the programs.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    /// Returns the programs in this folder, if `postgres` and `initdb` exist and `postgres` prints its
    /// version.
    fn of(folder: &Path) -> Option<Self> {
        // The programs look for related files beside the real file, not beside the link.
        let folder = folder.join("postgres").canonicalize().ok()?.parent()?.to_owned();
        if !folder.join("initdb").is_file() {
            return None;
        }
        let said = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
        let major = major(std::str::from_utf8(&said.stdout).ok()?)?;
        Some(Self { folder, major })
    }
}

/// Parses the major version out of the output of `postgres --version`.
fn major(said: &str) -> Option<u32> {
    let version = said.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Searches PATH, then the folders that distributions use, newest version first. Prefers the wanted major
/// version.
///
/// # Errors
/// Returns [`Error::NoBinaries`] if no programs are found.
pub fn find_binaries(path: &[PathBuf], wanted_major: Option<u32>) -> Result<Binaries, Error> {
    let mut folders = path.to_vec();
    folders.extend(by_pg_config(path));
    for (parent, inner) in [
        ("/usr/lib/postgresql", "bin"),
        ("/usr/pgsql", "bin"),
        ("/opt/homebrew/opt", "bin"),
        ("/usr/local/opt", "bin"),
    ] {
        folders.extend(versions(Path::new(parent), inner));
    }
    choose(folders.iter().filter_map(|folder| Binaries::of(folder)), wanted_major)
        .ok_or_else(|| Error::NoBinaries(String::new()))
}

fn choose(found: impl Iterator<Item = Binaries>, wanted_major: Option<u32>) -> Option<Binaries> {
    let mut first = None;
    for binaries in found {
        if wanted_major.is_none_or(|wanted| wanted == binaries.major) {
            return Some(binaries);
        }
        first.get_or_insert(binaries);
    }
    first
}

fn by_pg_config(path: &[PathBuf]) -> Option<PathBuf> {
    let program = path.iter().map(|folder| folder.join("pg_config")).find(|file| file.is_file())?;
    let said = Command::new(program).arg("--bindir").output().ok()?;
    Some(PathBuf::from(std::str::from_utf8(&said.stdout).ok()?.trim()))
}

/// Returns the folders `<parent>/<name with a version>/<inner>`, highest version first.
fn versions(parent: &Path, inner: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let version = |name: &str| {
        let digits = name.trim_start_matches("postgresql").trim_start_matches('@');
        digits.parse::<f64>().ok().or_else(|| (name == "postgresql").then_some(0.0))
    };
    let mut found: Vec<(f64, PathBuf)> =
        names.filter_map(|name| Some((version(&name)?, parent.join(&name).join(inner)))).collect();
    found.sort_by(|one, other| other.0.total_cmp(&one.0));
    found.into_iter().map(|(_, folder)| folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_parsed_and_sorted_newest_first() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major("nonsense"), None);
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["9.6", "16", "15", "postgresql@17", "postgresql", "other"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let found = versions(folder.path(), "bin");
        let names: Vec<_> = found
            .iter()
            .filter_map(|path| Some(path.parent()?.file_name()?.to_string_lossy().into_owned()))
            .collect();
        assert_eq!(names, ["postgresql@17", "16", "15", "9.6", "postgresql"]);
    }

    #[test]
    fn wanted_version_is_preferred_over_the_newest() {
        let at = |major| Binaries { folder: PathBuf::from(format!("/{major}")), major };
        assert_eq!(choose([at(17), at(15)].into_iter(), Some(15)), Some(at(15)));
        assert_eq!(choose([at(17), at(15)].into_iter(), None), Some(at(17)));
        assert_eq!(choose([at(17)].into_iter(), Some(15)), Some(at(17)));
        assert_eq!(choose(std::iter::empty(), None), None);
    }

    #[test]
    fn missing_programs_error_says_what_to_install() {
        let said = Error::NoBinaries(String::new()).to_string();
        assert!(said.contains("apt-get install postgresql") && said.contains("DATABASE_URL"), "{said}");
    }
}
