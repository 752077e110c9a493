DROP TRIGGER announce_revocation ON revocations;
DROP FUNCTION announce_revocation();
DROP TABLE revocations;
DROP TABLE instance;
DROP TABLE signing_keys;
DROP TABLE personal_tokens;
