//! Parses the settings file `doorward.toml` into keys with their line numbers, or reports all syntax errors.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::nearest::nearest;
use super::secret::BYTE_ORDER_MARK;

/// A key of the file, with its value.
pub(super) struct FileValue {
    pub key: String,
    /// The value as text, with lists joined by commas. An error says why it is not a valid value.
    pub text: Result<String, String>,
    /// The line of the key, counted from 1.
    pub line: usize,
}

#[derive(Default)]
pub(super) struct SettingsFile {
    path: PathBuf,
    values: Vec<FileValue>,
}

impl SettingsFile {
    /// Parses the text of the file.
    ///
    /// # Errors
    /// One line for each syntax error, with its line and column.
    pub(super) fn read(path: &Path, text: &str) -> Result<Self, Vec<String>> {
        let text = text.trim_start_matches(BYTE_ORDER_MARK);
        let (table, mut errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
            errors.sort_by_key(start);
            let shown = errors.iter().map(|error| {
                let (line, column) = position(text, start(error));
                format!("{}:{line}:{column}: {}", path.display(), error.message().escape_debug())
            });
            return Err(shown.collect());
        }
        let mut values: Vec<FileValue> = table
            .into_inner()
            .into_iter()
            .map(|(key, value)| FileValue {
                line: position(text, key.span().start).0,
                key: key.into_inner().into_owned(),
                text: as_text(value.get_ref()),
            })
            .collect();
        values.sort_by_key(|value| value.line);
        Ok(Self { path: path.to_owned(), values })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a key with its value, if the file has it.
    pub(super) fn find(&self, key: &str) -> Option<&FileValue> {
        self.values.iter().find(|value| value.key == key)
    }

    /// Returns a line for every key that is not in `known`.
    pub(super) fn unknown<'a>(&'a self, known: &'a [&'a str]) -> impl Iterator<Item = String> + 'a {
        let strange = self.values.iter().filter(|value| !known.contains(&value.key.as_str()));
        strange.map(|value| {
            let hint = nearest(&value.key, known.iter().copied());
            let hint = hint.map(|key| format!("; did you mean {key}?")).unwrap_or_default();
            let (key, path) = (value.key.escape_debug(), self.path.display());
            format!("{key} ({path}:{}): there is no such setting{hint}", value.line)
        })
    }
}

/// Returns a value as text, which is what the kinds of settings parse.
fn as_text(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(number.to_string()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Ok(flag.to_string()),
        DeValue::Datetime(time) => Ok(time.to_string()),
        DeValue::Array(items) => {
            let items: Result<Vec<String>, String> =
                items.iter().map(|item| as_item(item.get_ref())).collect();
            items.map(|items| items.join(","))
        }
        DeValue::Table(_) => Err("it is a table".to_owned()),
    }
}

fn as_item(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::Array(_) | DeValue::Table(_) => Err("it contains a list or a table".to_owned()),
        simple => as_text(simple),
    }
}

/// Returns the line and column of a byte, both counted from 1. The column counts characters.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SettingsFile, Vec<String>> {
        SettingsFile::read(Path::new("doorward.toml"), text)
    }

    #[test]
    fn simple_values_become_text_and_keep_their_line() {
        let file = read("# a note\na = \"x\"\nb = 12\nc = [\"p\", \"q\"]\n\nd = true\n").unwrap();
        for (key, text, line) in [("a", "x", 2), ("b", "12", 3), ("c", "p,q", 4), ("d", "true", 6)] {
            let value = file.find(key).unwrap();
            assert_eq!((value.text.clone(), value.line), (Ok(text.to_owned()), line));
        }
        assert!(file.find("e").is_none());
    }

    #[test]
    fn byte_order_mark_is_skipped() {
        let file = read("\u{feff}a = \"x\"\n").unwrap();
        assert_eq!(
            file.find("a").map(|value| (value.text.clone(), value.line)),
            Some((Ok("x".to_owned()), 1))
        );
        let errors = read("\u{feff}a = \n").err().unwrap();
        assert!(errors[0].starts_with("doorward.toml:1:5:"), "{errors:?}");
    }

    #[test]
    fn table_is_not_a_value() {
        let file = read("[a]\nb = 1\n[[c]]\n").unwrap();
        assert!(file.find("a").unwrap().text.is_err());
        assert!(file.find("c").unwrap().text.is_err());
    }

    #[test]
    fn every_syntax_error_is_reported_with_line_and_column() {
        let errors = read("a = 1\nb = \nc = \"ü\" x\n").err().unwrap();
        assert!(errors[0].starts_with("doorward.toml:2:"), "{errors:?}");
        assert!(errors.iter().any(|error| error.starts_with("doorward.toml:3:9:")), "{errors:?}");
        let twice = read("a = 1\na = 2\n").err().unwrap();
        assert!(twice[0].starts_with("doorward.toml:2:1: duplicate key"), "{twice:?}");
    }

    #[test]
    fn unknown_key_is_reported_with_its_line_and_the_nearest() {
        let file = read("listen = 1\n\nlisetn = 2\n\"\\u001b\" = 3\n").unwrap();
        let lines: Vec<String> = file.unknown(&["listen"]).collect();
        assert_eq!(
            lines,
            [
                "lisetn (doorward.toml:3): there is no such setting; did you mean listen?",
                "\\u{1b} (doorward.toml:4): there is no such setting",
            ]
        );
    }
}
