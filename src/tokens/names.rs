//! Stores the names of permissions of a role, a scope or a caller.

use std::ops::Deref;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Sorted names. Clones share them, because a caller is created for each request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Names(Arc<[String]>);

impl Names {
    /// Splits a scope at its spaces (RFC 6749, section 3.3).
    #[must_use]
    pub fn of_scope(scope: &str) -> Self {
        scope.split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>().into()
    }
}

impl From<Vec<String>> for Names {
    fn from(mut names: Vec<String>) -> Self {
        names.sort();
        Self(names.into())
    }
}

impl Deref for Names {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl Serialize for Names {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}
