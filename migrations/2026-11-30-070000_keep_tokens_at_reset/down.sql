ALTER TABLE password_links DROP COLUMN revokes_tokens;
