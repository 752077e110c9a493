-- Title and body as a search compares them, in ASCII: doorward folds them, since a database's locale may know no letters
-- beyond ASCII or fold some of its own way. NULL: not folded yet. The server fills it in batches; until then a search
-- reads title and body.
ALTER TABLE notes ADD COLUMN search_text text;

-- A node of the version before changes title and body alone.
CREATE FUNCTION unfold_changed_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.title, NEW.body) IS DISTINCT FROM (OLD.title, OLD.body)
       AND NEW.search_text IS NOT DISTINCT FROM OLD.search_text THEN
        NEW.search_text := NULL;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER unfold_changed_note BEFORE UPDATE OF title, body ON notes
    FOR EACH ROW EXECUTE FUNCTION unfold_changed_note();
