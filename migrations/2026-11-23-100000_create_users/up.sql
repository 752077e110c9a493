-- A role names what its users may do. Resources add their own permissions in their own migrations.
CREATE TABLE roles (
    name        text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_-]{0,62}$'),
    permissions text[] NOT NULL CHECK (array_position(permissions, NULL) IS NULL)
);

INSERT INTO roles (name, permissions) VALUES
    ('viewer', ARRAY['account:read', 'account:write']),
    ('member', ARRAY['account:read', 'account:write']),
    ('admin',  ARRAY['account:read', 'account:write', 'audit:read', 'users:read', 'users:write']);

CREATE TABLE users (
    id              uuid PRIMARY KEY,
    username        text NOT NULL CHECK (length(username) BETWEEN 1 AND 254),
    username_folded text NOT NULL CHECK (username_folded <> ''),
    email           text,
    email_folded    text CHECK (email_folded <> ''),
    -- NULL: signs in by a set-password link first.
    password_hash   text,
    -- The bcrypt cost within the hash: a failed sign-in costs what the highest in use costs.
    password_cost   smallint GENERATED ALWAYS AS
        (substring(password_hash FROM '(?:r=|[$]2[aby][$]0?)([0-9]+)')::smallint) STORED,
    role            text NOT NULL REFERENCES roles (name) ON UPDATE CASCADE,
    status          text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
    -- Raised by each change of role or status; an access token with a lower one is refused.
    version         bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    last_login_at   timestamptz,
    CHECK ((email IS NULL) = (email_folded IS NULL))
);
CREATE INDEX users_role ON users (role, id);
CREATE INDEX users_password_cost ON users (password_cost);

-- The one namespace of usernames and e-mail addresses: nobody's username is another's address.
CREATE TABLE login_names (
    folded  text PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX login_names_user_id ON login_names (user_id);

CREATE FUNCTION keep_login_names() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM login_names
     WHERE user_id = NEW.id AND folded <> NEW.username_folded AND folded IS DISTINCT FROM NEW.email_folded;
    INSERT INTO login_names (folded, user_id)
    SELECT DISTINCT name, NEW.id
      FROM unnest(ARRAY[NEW.username_folded, NEW.email_folded]) AS name
     WHERE name IS NOT NULL
       AND NOT EXISTS (SELECT FROM login_names l WHERE l.folded = name AND l.user_id = NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER keep_login_names AFTER INSERT OR UPDATE OF username_folded, email_folded ON users
    FOR EACH ROW EXECUTE FUNCTION keep_login_names();

-- One-time links by which a user sets a password; only the digest of the token is kept.
CREATE TABLE password_links (
    digest      bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    user_id     uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    consumed_at timestamptz
);
CREATE INDEX password_links_user_id ON password_links (user_id);
