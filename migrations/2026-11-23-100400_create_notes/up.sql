CREATE TABLE notes (
    id         uuid PRIMARY KEY,
    owner_id   uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    title      text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    body       text NOT NULL CHECK (length(body) <= 20000),
    shared     boolean NOT NULL DEFAULT false,
    -- Raised by each change: the entity tag.
    version    bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX notes_owner_id ON notes (owner_id, id DESC);
CREATE INDEX notes_shared ON notes (id DESC) WHERE shared;

UPDATE roles SET permissions = permissions || ARRAY['notes:read'] WHERE name = 'viewer';
UPDATE roles SET permissions = permissions || ARRAY['notes:read', 'notes:write'] WHERE name = 'member';
UPDATE roles SET permissions = permissions || ARRAY['notes:manage', 'notes:read', 'notes:write'] WHERE name = 'admin';
