-- What happened, who did it, to whom. No foreign keys: the account may be gone, the event stays.
CREATE TABLE audit_events (
    id           uuid PRIMARY KEY,
    occurred_at  timestamptz NOT NULL DEFAULT now(),
    type         text NOT NULL,
    actor_id     uuid,
    actor_name   text,
    subject_id   uuid,
    subject_name text,
    session_id   uuid,
    address      text,
    request_id   uuid,
    details      jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_events_actor_id ON audit_events (actor_id, id DESC);
CREATE INDEX audit_events_subject_id ON audit_events (subject_id, id DESC);
CREATE INDEX audit_events_type ON audit_events (type, id DESC);
CREATE INDEX audit_events_occurred_at ON audit_events (occurred_at);
