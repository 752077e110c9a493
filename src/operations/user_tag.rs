//! Computes the entity tag of an account, and checks that an account is as a client or a page saw it before
//! it is changed.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::guard::Caller;
use crate::http::conditions::Conditions;
use crate::refusal::{self, Code, Refusal};
use crate::tokens::owner::UserStatus;
use crate::users::User;
use crate::users::edit_tag::{self, SeenFields};

/// Separates the digest of the editable fields from the rest of the tag. Neither part contains it.
const SEPARATOR: char = '.';

/// Returns the strong entity tag of an account. It consists of a digest of the editable fields and the times
/// shown with them.
#[must_use]
pub(crate) fn entity_tag(user: &User) -> String {
    let times = [Some(user.updated_at), user.last_login_at];
    let [updated, login] = times.map(|time| time.map_or(0, |time| time.timestamp_micros()));
    format!("\"{}{SEPARATOR}{updated:x}-{login:x}\"", user.edit_tag())
}

/// Returns the strong entity tag of the caller's own account, as shown with the credential that was sent. It
/// stays current as long as the account's [`entity_tag`] does.
#[must_use]
pub(crate) fn own_entity_tag(caller: &Caller, shown: &str) -> String {
    let edited = edit_tag::edit_tag(
        &caller.username,
        caller.email.as_deref(),
        &caller.role,
        UserStatus::Active.as_str(),
    );
    let mut rest = DefaultHasher::new();
    shown.hash(&mut rest);
    format!("\"{edited}{SEPARATOR}{:x}\"", rest.finish())
}

/// Returns whether a listed tag belongs to the account with this edit tag. Only the editable fields are
/// compared. A sign-in gives the account another tag, but must not cause a change to be refused.
fn is_current(listed: &str, edit_tag: &str) -> bool {
    let edited = listed.strip_prefix('"').and_then(|rest| rest.split_once(SEPARATOR));
    edited.is_some_and(|(tag, rest)| rest.ends_with('"') && tag == edit_tag)
}

fn check(conditions: &Conditions, user: &User) -> Result<(), Refusal> {
    let edit_tag = user.edit_tag();
    conditions.check_by(&entity_tag(user), |listed| is_current(listed, &edit_tag))
}

/// The state of an account that a change expects.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// Any state.
    Anything,
    /// The tags in `If-Match`.
    Tagged(Conditions),
    /// The fields that a page showed. `None` if the form does not contain them.
    Shown(Option<SeenFields>),
}

impl Expected {
    /// Returns whether the account is as expected.
    #[must_use]
    pub(crate) fn holds(&self, user: &User) -> bool {
        match self {
            Self::Anything => true,
            Self::Tagged(conditions) => check(conditions, user).is_ok(),
            Self::Shown(seen) => seen.as_ref().is_some_and(|seen| seen.differences(user).is_empty()),
        }
    }

    /// Refuses a change of an account that is not as expected.
    #[must_use]
    pub(crate) fn refuse(&self, user: &User) -> Refusal {
        match self {
            Self::Tagged(conditions) => check(conditions, user).err().unwrap_or_else(refusal::internal),
            Self::Anything => refusal::internal(),
            Self::Shown(None) => {
                let detail = "The form does not say which values it showed, so nothing was saved. Check the \
                              fields, then send it again.";
                Refusal::new(Code::PreconditionFailed, detail)
            }
            Self::Shown(Some(seen)) => Refusal::new(Code::PreconditionFailed, in_words(seen, user)),
        }
    }
}

fn in_words(seen: &SeenFields, user: &User) -> String {
    let quoted = |value: &str| if value.is_empty() { "none".to_owned() } else { format!("“{value}”") };
    let changes: Vec<String> = seen
        .differences(user)
        .iter()
        .map(|change| {
            format!("the {} was {} and is now {}", change.field, quoted(&change.seen), quoted(&change.now))
        })
        .collect();
    let changes = changes.join("; ");
    format!(
        "Nothing was saved, because the account has changed since this page was opened: {changes}. Check the fields, \
         then send the form again."
    )
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::users::role;

    #[test]
    fn tag_is_current_until_an_edited_field_changes() {
        let user = User {
            id: Uuid::nil(),
            username: "alice".to_owned(),
            email: None,
            role: role::MEMBER.to_owned(),
            status: UserStatus::Active,
            version: 1,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
            last_login_at: None,
        };
        let tag = entity_tag(&user);
        assert!(is_current(&tag, &user.edit_tag()));
        let signed_in = User { last_login_at: DateTime::from_timestamp(7, 0), ..user.clone() };
        assert_ne!(entity_tag(&signed_in), tag);
        assert!(is_current(&tag, &signed_in.edit_tag()));
        let promoted = User { role: role::ADMIN.to_owned(), ..user.clone() };
        assert!(!is_current(&tag, &promoted.edit_tag()));
        for odd in [
            "",
            "\"",
            "\"\"",
            "\".\"",
            "W/",
            &format!("W/{tag}"),
            tag.trim_matches('"'),
            &tag[..tag.len() - 1],
        ] {
            assert!(!is_current(odd, &user.edit_tag()), "{odd}");
        }
    }
}
