DROP TRIGGER retire_replaced_signing_keys ON signing_keys;
DROP FUNCTION retire_replaced_signing_keys();
ALTER TABLE signing_keys DROP COLUMN longest_ttl_seconds;
