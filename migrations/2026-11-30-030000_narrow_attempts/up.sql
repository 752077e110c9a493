-- Free tries an hour that next_at was computed with; null: a node of the version before wrote the row.
ALTER TABLE attempts ADD COLUMN free integer;
-- Right passwords that were counted in the row. A try that waited for one of them is its owner's.
ALTER TABLE attempts ADD COLUMN successes bigint NOT NULL DEFAULT 0;
