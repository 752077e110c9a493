-- Whether using the link revokes the account's personal tokens. True for links that nodes of an earlier version make.
ALTER TABLE password_links ADD COLUMN revokes_tokens boolean NOT NULL DEFAULT true;
