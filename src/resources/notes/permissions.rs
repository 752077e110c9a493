//! The permissions that the endpoints of notes require.

use crate::guard::Requirement;

/// Requires permission to read notes.
pub(crate) struct NotesRead;

impl Requirement for NotesRead {
    const PERMISSION: Option<&'static str> = Some("notes:read");
}

/// Requires permission to write one's own notes.
pub(crate) struct NotesWrite;

impl Requirement for NotesWrite {
    const PERMISSION: Option<&'static str> = Some("notes:write");
}

/// The permission to see and change the notes of all users.
pub(crate) const NOTES_MANAGE: &str = "notes:manage";
