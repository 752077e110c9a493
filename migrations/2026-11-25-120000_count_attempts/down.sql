DROP TABLE known_addresses;
DROP FUNCTION attempt_wait;
DROP TABLE attempts;
