//! Encodes positions in a list as cursors. A client can neither forge one nor use it for another list.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::refusal::{FieldError, Refusal};
use crate::secret_key::{Purpose, SecretKeys};

/// Encodes the cursor of the page after the item `last`. `list` names the list: its route, its caller and its
/// filters.
#[must_use]
pub fn seal(keys: &SecretKeys, list: &str, last: Uuid) -> String {
    let mac = keys.mac(Purpose::Cursor, &[list.as_bytes(), last.as_bytes()]);
    let mut bytes = last.as_bytes().to_vec();
    bytes.extend_from_slice(&mac[..16]);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The detail of the error for a refused cursor.
pub const REFUSED: &str =
    "this cursor does not belong to this list; start again without a cursor, with the same filters";

/// Returns true if a string has the form of a cursor.
#[must_use]
pub fn has_form(cursor: &str) -> bool {
    cursor.len() == 43 && URL_SAFE_NO_PAD.decode(cursor).is_ok()
}

/// Decodes a cursor.
///
/// # Errors
/// `validation_failed` for a cursor that this server did not issue for this list.
pub fn open(keys: &SecretKeys, list: &str, cursor: &str) -> Result<Uuid, Refusal> {
    read(keys, list, cursor).ok_or_else(|| {
        Refusal::validation(vec![FieldError::new("/cursor", "invalid_cursor", REFUSED.into())])
    })
}

fn read(keys: &SecretKeys, list: &str, cursor: &str) -> Option<Uuid> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (id, mac) = bytes.split_at_checked(16)?;
    let id = Uuid::from_slice(id).ok()?;
    keys.verify_mac(Purpose::Cursor, &[list.as_bytes(), id.as_bytes()], mac).then_some(id)
}
