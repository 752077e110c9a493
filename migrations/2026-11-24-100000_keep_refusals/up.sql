-- Requests that were refused, and those whose trace was asked for, for a while. No foreign keys: what they name may be
-- gone. Written in batches; of each lane only the latest stay.
CREATE TABLE refusals (
    position        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_id      uuid NOT NULL,
    -- proven: a credential was; unproven: none was; let_in: a trace that was asked for.
    lane            text NOT NULL CHECK (lane IN ('proven', 'unproven', 'let_in')),
    occurred_at     timestamptz NOT NULL,
    method          text NOT NULL,
    route           text NOT NULL,
    path            text NOT NULL,
    status          smallint NOT NULL,
    address         text,
    peer            text,
    forwarded_for   text,
    credential_kind text,
    credential_id   uuid,
    session_id      uuid,
    user_id         uuid,
    code            text,
    problem         jsonb NOT NULL,
    checks          jsonb NOT NULL
);
CREATE INDEX refusals_request_id ON refusals (request_id);
CREATE INDEX refusals_lane ON refusals (lane, position);
CREATE INDEX refusals_user_id ON refusals (user_id, position) WHERE user_id IS NOT NULL;
CREATE INDEX refusals_code ON refusals (code, position);
CREATE INDEX refusals_occurred_at ON refusals (occurred_at);

-- What else happened in a request, and to a session.
CREATE INDEX audit_events_request_id ON audit_events (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX audit_events_session_id ON audit_events (session_id, id) WHERE session_id IS NOT NULL;
