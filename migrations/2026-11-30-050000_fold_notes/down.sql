DROP INDEX IF EXISTS notes_by_owner_and_sharing, notes_by_sharing;
DROP TRIGGER unfold_changed_note ON notes;
DROP FUNCTION unfold_changed_note();
ALTER TABLE notes DROP COLUMN search_text;
