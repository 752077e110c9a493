-- How often each code was answered on each day (UTC), by all nodes together.
CREATE TABLE refusal_counts (
    day   date NOT NULL,
    code  text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (day, code)
);
