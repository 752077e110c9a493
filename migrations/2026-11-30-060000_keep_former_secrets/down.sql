ALTER TABLE sessions DROP COLUMN is_kept;
ALTER TABLE refresh_tokens DROP COLUMN renewals, DROP COLUMN first_generation;
DROP TABLE former_secrets;
