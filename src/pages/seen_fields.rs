//! Reads the hidden fields that record the state a form's page showed, so that a stale form changes nothing.

use crate::http::request::Form;
use crate::operations::user_tag::Expected;
use crate::users::edit_tag::SeenFields;

/// Reads the fields. The macro `seen` in fields.html writes them.
#[must_use]
pub(crate) fn read(sent: &Form) -> Expected {
    let seen = || {
        let username = sent.field("seen_username")?.to_owned();
        let email = Some(sent.field("seen_email")?.to_owned()).filter(|email| !email.is_empty());
        let [role, status] = ["seen_role", "seen_status"].map(|name| sent.field(name).map(str::to_owned));
        Some(SeenFields { username, email, role, status })
    };
    Expected::Shown(seen())
}
