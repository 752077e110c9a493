-- Another spelling of the address `alias_of`, which is a name of the same user: the domain in ASCII beside the one in
-- Unicode. So one identity belongs to one account, whichever version of doorward writes the row.
ALTER TABLE login_names ADD COLUMN alias_of text;

CREATE OR REPLACE FUNCTION keep_login_names() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM login_names
     WHERE user_id = NEW.id AND coalesce(alias_of, folded) <> NEW.username_folded
       AND coalesce(alias_of, folded) IS DISTINCT FROM NEW.email_folded;
    INSERT INTO login_names (folded, user_id)
    SELECT DISTINCT name, NEW.id
      FROM unnest(ARRAY[NEW.username_folded, NEW.email_folded]) AS name
     WHERE name IS NOT NULL
       AND NOT EXISTS (SELECT FROM login_names l WHERE l.folded = name AND l.user_id = NEW.id);
    RETURN NULL;
END $$;
