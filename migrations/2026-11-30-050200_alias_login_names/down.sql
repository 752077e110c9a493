DELETE FROM login_names WHERE alias_of IS NOT NULL;
CREATE OR REPLACE FUNCTION keep_login_names() RETURNS trigger LANGUAGE plpgsql AS $$
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
ALTER TABLE login_names DROP COLUMN alias_of;
