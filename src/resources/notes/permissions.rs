//! The permissions that notes ask for.

use crate::guard::Requirement;

/// To read notes.
pub struct NotesRead;

impl Requirement for NotesRead {
    const PERMISSION: Option<&'static str> = Some("notes:read");
}

/// To write one's own notes.
pub struct NotesWrite;

impl Requirement for NotesWrite {
    const PERMISSION: Option<&'static str> = Some("notes:write");
}

/// Lifts ownership and visibility.
pub const NOTES_MANAGE: &str = "notes:manage";
