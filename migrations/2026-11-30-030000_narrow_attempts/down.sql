ALTER TABLE attempts DROP COLUMN free, DROP COLUMN successes;
