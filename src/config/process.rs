//! Reads the process's environment, user and terminals, and the settings file. No other module reads them.

use std::ffi::OsStr;
use std::io::{ErrorKind, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use super::definitions::Settings;
use super::file_trust::find_untrusted;
use super::flags::SettingFlags;
use super::inputs::{CONFIG_VARIABLE, Inputs};
use super::resolve::{SettingsErrors, resolve};
use super::setting::Source;

const DEFAULT_FILE: &str = "doorward.toml";
/// The maximum size of a settings file in bytes.
const SETTINGS_MAX: u64 = 1024 * 1024;

/// Loads the settings from the flags, this process's environment and the settings file.
///
/// # Errors
/// All errors in the settings at once.
pub fn load(flags: &SettingFlags) -> Result<Settings, SettingsErrors> {
    let mut inputs = Inputs {
        flags: flags.values.clone(),
        environment: std::env::vars_os().collect(),
        toml: None,
        is_root: nix::unistd::geteuid().is_root(),
        processors: available_parallelism().map_or(0, usize::from),
        libpq_has_tls: cfg!(feature = "tls"),
    };
    let file = settings_file(flags.config.as_deref(), inputs.find_variable(CONFIG_VARIABLE));
    match judge(&file, inputs.is_root).and_then(|()| read_file(&file)) {
        Ok(toml) => {
            inputs.toml = toml;
            resolve(&inputs)
        }
        Err(unreadable) => {
            let others = resolve(&inputs).map_or_else(|errors| errors.lines, |_| Vec::new());
            Err(SettingsErrors { lines: [unreadable].into_iter().chain(others).collect() })
        }
    }
}

/// Returns the folders in which programs are searched (`PATH`).
#[must_use]
#[allow(clippy::disallowed_methods)] // the only place that may
pub fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map_or_else(Vec::new, |path| std::env::split_paths(&path).collect())
}

#[must_use]
pub fn temporary_folder() -> PathBuf {
    std::env::temp_dir()
}

/// Returns the path of this program.
pub fn executable() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

/// Returns whether standard input is a terminal.
#[must_use]
pub fn stdin_is_terminal() -> bool {
    std::io::stdin().is_terminal()
}

/// Returns whether standard output is a terminal.
#[must_use]
pub fn stdout_is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Returns whether to colour the output. Colours are used if it goes to a terminal and `NO_COLOR` is not set.
#[must_use]
#[allow(clippy::disallowed_methods)] // the only place that may
pub fn wants_colour() -> bool {
    stdout_is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Returns whether standard error, which has errors and the log, is a terminal.
#[must_use]
pub fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Returns the settings file to read, and the source of its name.
fn settings_file(flag: Option<&Path>, variable: Option<&OsStr>) -> (PathBuf, Source) {
    match (flag, variable) {
        (Some(path), _) => (path.to_owned(), Source::Flag("config".to_owned())),
        (None, Some(path)) => (PathBuf::from(path), Source::Environment),
        (None, None) => (PathBuf::from(DEFAULT_FILE), Source::Default),
    }
}

/// Refuses a file that root did not name and that another user could have put there. A named file is the
/// operator's choice.
fn judge((path, source): &(PathBuf, Source), is_root: bool) -> Result<(), String> {
    let is_found = *source == Source::Default && std::fs::symlink_metadata(path).is_ok();
    if !is_root || !is_found {
        return Ok(());
    }
    find_untrusted(path, 0).map_or(Ok(()), Err)
}

/// Returns the file's text. Returns `None` if no one named the file and it does not exist.
fn read_file((path, source): &(PathBuf, Source)) -> Result<Option<(PathBuf, String)>, String> {
    let wrong = |reason: String| {
        format!("{CONFIG_VARIABLE} = {path:?} ({source}): {reason}; allowed: a readable file")
    };
    let bytes = match read_bounded(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound && *source == Source::Default => return Ok(None),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        wrong(format!("line {} is not UTF-8", valid.split(|byte| *byte == b'\n').count()))
    })?;
    Ok(Some((path.clone(), text)))
}

/// Reads a regular file, because a pipe or a device may never end.
fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let found = std::fs::metadata(path)?;
    if !found.is_file() && !found.is_dir() {
        return Err(std::io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(SETTINGS_MAX + 1).read_to_end(&mut bytes)?;
    let is_whole = bytes.len() as u64 <= SETTINGS_MAX;
    if is_whole { Ok(bytes) } else { Err(std::io::Error::other(format!("longer than {SETTINGS_MAX} bytes"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_file_must_be_a_regular_file_of_bounded_size() {
        let device = read_file(&("/dev/zero".into(), Source::Flag("config".into()))).unwrap_err();
        assert!(device.contains("not a regular file; allowed: a readable file"), "{device}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("doorward.toml");
        std::fs::write(&path, " ".repeat(1024 * 1024)).unwrap();
        assert!(read_file(&(path.clone(), Source::Environment)).is_ok());
        std::fs::write(&path, " ".repeat(1024 * 1024 + 1)).unwrap();
        let long = read_file(&(path, Source::Environment)).unwrap_err();
        assert!(long.contains("longer than 1048576 bytes"), "{long}");
    }

    #[test]
    fn flag_for_the_settings_file_overrides_the_environment() {
        let (one, two) = (Path::new("one.toml"), OsStr::new("two.toml"));
        assert_eq!(settings_file(Some(one), Some(two)), (one.into(), Source::Flag("config".into())));
        assert_eq!(settings_file(None, Some(two)), (two.into(), Source::Environment));
        assert_eq!(settings_file(None, None), ("doorward.toml".into(), Source::Default));
    }

    #[test]
    fn only_the_default_settings_file_may_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("doorward.toml");
        assert_eq!(read_file(&(path.clone(), Source::Default)), Ok(None));
        let missing = read_file(&(path.clone(), Source::Environment)).unwrap_err();
        assert!(missing.contains("(environment): No such file"), "{missing}");
        std::fs::write(&path, "listen = 1").unwrap();
        assert_eq!(read_file(&(path.clone(), Source::Default)), Ok(Some((path, "listen = 1".into()))));
        let directory = read_file(&(folder.path().into(), Source::Default)).unwrap_err();
        assert!(directory.contains("Is a directory"), "{directory}");
    }

    #[test]
    fn file_that_is_not_utf8_is_refused_with_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("doorward.toml");
        std::fs::write(&path, b"a = 1\nb = \"\xff\"\n").unwrap();
        let wrong = read_file(&(path, Source::Flag("config".into()))).unwrap_err();
        assert!(wrong.contains("(flag --config): line 2 is not UTF-8"), "{wrong}");
    }
}
