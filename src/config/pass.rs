//! Reads each setting's value in force, and collects all errors.

use std::ffi::OsStr;

use super::file::SettingsFile;
use super::inputs::Inputs;
use super::kinds::{self, ValueKind, quote};
use super::secret::MASK;
use super::setting::{DefaultValue, DefaultsContext, Entry, Setting, Source};

/// One pass over all settings.
pub(super) struct Pass<'a> {
    inputs: &'a Inputs,
    pub(super) file: SettingsFile,
    place: DefaultsContext,
    pub(super) entries: Vec<Entry>,
    pub(super) errors: Vec<String>,
}

impl<'a> Pass<'a> {
    /// Starts a pass. `errors` are those found before.
    pub(super) fn new(inputs: &'a Inputs, settings: &[Setting], mut errors: Vec<String>) -> Self {
        let read = inputs.toml.as_ref().map(|(path, text)| SettingsFile::read(path, text));
        let file = read.unwrap_or_else(|| Ok(SettingsFile::default())).unwrap_or_else(|wrong| {
            errors.extend(wrong);
            SettingsFile::default()
        });
        let keys: Vec<&str> = settings.iter().map(|setting| setting.key).collect();
        errors.extend(file.unknown(&keys));
        let place = DefaultsContext { is_root: inputs.is_root, processors: inputs.processors, listen: None };
        let mut pass = Self { inputs, file, place, entries: Vec::new(), errors };
        let listen = settings.iter().find(|setting| setting.key == "listen");
        pass.place.listen = listen.and_then(|it| pass.value(it, &kinds::socket_address()).0.ok());
        pass
    }

    /// Returns the value in force for a setting. If it is wrong, records an error and returns `None`.
    pub(super) fn take<T: 'static>(&mut self, setting: &'static Setting, kind: &ValueKind<T>) -> Option<T> {
        let (value, source) = self.value(setting, kind);
        match value {
            Ok(value) => {
                self.entries.push(Entry { setting, value: (kind.show)(&value), source });
                Some(value)
            }
            Err(InvalidValue { shown, reason }) => {
                let (name, allowed) = (setting.environment, &setting.allowed);
                self.errors.push(format!("{name} = {shown} ({source}): {reason}; allowed: {allowed}"));
                None
            }
        }
    }

    fn value<T: 'static>(&self, setting: &Setting, kind: &ValueKind<T>) -> (Result<T, InvalidValue>, Source) {
        let Some((text, source)) = self.given(setting) else {
            return (self.default(setting, kind), Source::Default);
        };
        let read = |text: String| {
            let text = if kind.secret { without_line_break(&text) } else { &text };
            (kind.read)(text).map_err(|reason| InvalidValue { shown: quote(text), reason })
        };
        let value = text.and_then(read);
        let value = value.map_err(|wrong| if kind.secret { wrong.masked() } else { wrong });
        (value, source)
    }

    /// Returns the text from the first source that has the setting.
    fn given(&self, setting: &Setting) -> Option<(Result<String, InvalidValue>, Source)> {
        let flag = self.inputs.flags.iter().find(|(key, _)| *key == setting.key);
        if let Some((_, text)) = flag {
            return Some((utf8(text), Source::Flag(setting.flag.clone())));
        }
        if let Some(text) = self.inputs.find_variable(setting.environment) {
            return Some((utf8(text), Source::Environment));
        }
        let found = self.file.find(setting.key)?;
        let text = found.text.clone().map_err(|reason| InvalidValue { shown: "…".to_owned(), reason });
        Some((text, Source::File(self.file.path().to_owned(), found.line)))
    }

    fn default<T: 'static>(&self, setting: &Setting, kind: &ValueKind<T>) -> Result<T, InvalidValue> {
        let text = match setting.default {
            DefaultValue::Nothing(_) => {
                let wrong = InvalidValue { shown: "none".to_owned(), reason: "it has no value".to_owned() };
                return kind.absent.map(|absent| absent()).ok_or(wrong);
            }
            DefaultValue::Text(text) => text.to_owned(),
            DefaultValue::Computed(_, of) => of(&self.place),
        };
        (kind.read)(&text).map_err(|reason| InvalidValue { shown: quote(&text), reason })
    }
}

/// Removes one line break from the end, which `echo` and editors add.
fn without_line_break(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// A value that is not allowed, as a message shows it, and the reason.
struct InvalidValue {
    shown: String,
    reason: String,
}

impl InvalidValue {
    fn masked(self) -> Self {
        Self { shown: MASK.to_owned(), ..self }
    }
}

fn utf8(text: &OsStr) -> Result<String, InvalidValue> {
    let shown = quote(&text.to_string_lossy());
    text.to_str().map(str::to_owned).ok_or(InvalidValue { shown, reason: "it is not UTF-8".to_owned() })
}
