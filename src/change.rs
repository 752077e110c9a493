//! A change of a value that may be absent, such as a member of a merge patch (RFC 7396).

/// A change to a value that may be absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// Leaves the value as it is.
    #[default]
    Keep,
    /// Removes the value.
    Clear,
    /// Replaces the value.
    Set(T),
}

impl<T> Change<T> {
    /// Returns true if the value stays as it is.
    #[must_use]
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// Returns a reference to the new value.
    #[must_use]
    pub const fn as_ref(&self) -> Change<&T> {
        match self {
            Self::Keep => Change::Keep,
            Self::Clear => Change::Clear,
            Self::Set(value) => Change::Set(value),
        }
    }

    /// Returns the new value, or `None` if the value is kept or removed.
    #[must_use]
    pub fn new_value(self) -> Option<T> {
        match self {
            Self::Keep | Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }

    /// Converts the new value. The value is kept if the conversion returns `None`.
    #[must_use]
    pub fn and_then<U>(self, convert: impl FnOnce(T) -> Option<U>) -> Change<U> {
        match self {
            Self::Keep => Change::Keep,
            Self::Clear => Change::Clear,
            Self::Set(value) => convert(value).map_or(Change::Keep, Change::Set),
        }
    }

    /// Returns this change, or [`Change::Keep`] if the value already is as the change would make it.
    #[must_use]
    pub fn unless_done(self, is_current: impl FnOnce(Option<&T>) -> bool) -> Self {
        let is_done = match &self {
            Self::Keep => true,
            Self::Clear => is_current(None),
            Self::Set(value) => is_current(Some(value)),
        };
        if is_done { Self::Keep } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_that_is_done_already_is_kept() {
        for (change, current, expected) in [
            (Change::Keep, Some(1), Change::Keep),
            (Change::Clear, None, Change::Keep),
            (Change::Clear, Some(1), Change::Clear),
            (Change::Set(1), Some(1), Change::Keep),
            (Change::Set(1), Some(2), Change::Set(1)),
            (Change::Set(1), None, Change::Set(1)),
        ] {
            assert_eq!(
                change.unless_done(|new| new.copied() == current),
                expected,
                "{change:?} of {current:?}"
            );
        }
    }

    #[test]
    fn value_is_kept_if_its_conversion_fails() {
        let parse = |text: &str| text.parse::<u8>().ok();
        assert_eq!(Change::Set("7").and_then(parse), Change::Set(7));
        assert_eq!(Change::Set("x").and_then(parse), Change::Keep);
        assert_eq!(Change::Clear.and_then(parse), Change::Clear);
        assert_eq!(Change::Set(7).new_value(), Some(7));
        assert_eq!(Change::<u8>::Clear.new_value(), None);
    }
}
