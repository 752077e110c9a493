//! Detects whether the fields of an account that people edit have changed since someone saw them.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::user::User;

/// The number of bytes of the digest that a tag contains.
const TAG_LEN: usize = 12;

/// An account's fields as a page or a client saw them. A field that it did not see is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeenFields {
    pub username: String,
    /// The e-mail address. `None` if the account had none.
    pub email: Option<String>,
    pub role: Option<String>,
    /// `active` or `disabled`.
    pub status: Option<String>,
}

/// A field that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldDifference {
    /// The field's name.
    pub field: &'static str,
    /// The value when it was seen. Empty if there was none.
    pub seen: String,
    /// The current value. Empty if there is none.
    pub now: String,
}

impl SeenFields {
    /// Returns the current fields of an account.
    #[must_use]
    pub(crate) fn of(user: &User) -> Self {
        Self {
            username: user.username.clone(),
            email: user.email.clone(),
            role: Some(user.role.clone()),
            status: Some(user.status.to_string()),
        }
    }

    /// Returns the fields that have changed since then.
    #[must_use]
    pub(crate) fn differences(&self, user: &User) -> Vec<FieldDifference> {
        let email = |email: &Option<String>| email.clone().unwrap_or_default();
        let fields = [
            ("username", Some(self.username.clone()), user.username.clone()),
            ("address", Some(email(&self.email)), email(&user.email)),
            ("role", self.role.clone(), user.role.clone()),
            ("status", self.status.clone(), user.status.to_string()),
        ];
        let changed = fields.into_iter().filter_map(|(field, seen, now)| {
            let seen = seen.filter(|seen| *seen != now)?;
            Some(FieldDifference { field, seen, now })
        });
        changed.collect()
    }
}

impl User {
    /// Returns a digest of the fields that people edit. It changes only with them. The version is not
    /// included, because it concerns access tokens.
    #[must_use]
    pub fn edit_tag(&self) -> String {
        edit_tag(&self.username, self.email.as_deref(), &self.role, self.status.as_str())
    }
}

/// Returns the [`User::edit_tag`] of an account with these fields.
#[must_use]
pub(crate) fn edit_tag(username: &str, email: Option<&str>, role: &str, status: &str) -> String {
    let has_email = if email.is_some() { "1" } else { "0" };
    let mut fields = Vec::with_capacity(256);
    // Each field is preceded by its length, so that different accounts never produce the same bytes.
    for field in [username, has_email, email.unwrap_or_default(), role, status] {
        fields.extend_from_slice(&(field.len() as u64).to_be_bytes());
        fields.extend_from_slice(field.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(&digest(&SHA256, &fields).as_ref()[..TAG_LEN])
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;

    fn user(fields: [&str; 4]) -> User {
        let [username, email, role, status] = fields.map(str::to_owned);
        User {
            id: Uuid::nil(),
            username,
            email: Some(email).filter(|email| !email.is_empty()),
            role,
            status: status.into(),
            version: 1,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
            last_login_at: None,
        }
    }

    #[test]
    fn each_edited_field_changes_the_tag_and_is_a_difference() {
        let before = user(["alice", "a@example.org", "admin", "active"]);
        let seen = SeenFields::of(&before);
        assert_eq!(seen.differences(&before), []);
        for (fields, field, was, is) in [
            (["alicia", "a@example.org", "admin", "active"], "username", "alice", "alicia"),
            (["alice", "", "admin", "active"], "address", "a@example.org", ""),
            (["alice", "a@example.org", "viewer", "active"], "role", "admin", "viewer"),
            (["alice", "a@example.org", "admin", "disabled"], "status", "active", "disabled"),
        ] {
            let after = user(fields);
            assert_ne!(after.edit_tag(), before.edit_tag(), "{field}");
            let difference = FieldDifference { field, seen: was.to_owned(), now: is.to_owned() };
            assert_eq!(seen.differences(&after), [difference]);
        }
        let names_alone = SeenFields { role: None, status: None, ..seen };
        assert_eq!(names_alone.differences(&user(["alice", "a@example.org", "viewer", "disabled"])), []);
    }

    #[test]
    fn version_and_times_leave_the_tag_unchanged() {
        let before = user(["alice", "", "member", "active"]);
        let later = User { version: 2, last_login_at: Some(DateTime::UNIX_EPOCH), ..before.clone() };
        assert_eq!(later.edit_tag(), before.edit_tag());
        assert_ne!(user(["ab", "c", "x", "y"]).edit_tag(), user(["a", "bc", "x", "y"]).edit_tag());
    }
}
