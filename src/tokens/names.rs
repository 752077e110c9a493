//! Names of permissions, as roles, scopes and callers have them.

use std::ops::Deref;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Names, sorted. Clones share them: a caller is made for each request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Names(Arc<[String]>);

impl Names {
    /// Of a scope in its one text (RFC 6749, section 3.3).
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
