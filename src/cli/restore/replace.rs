//! Replaces doorward's data in the database with a backup, in one transaction. psql empties the schema and
//! then runs the script from pg_restore. pg_restore alone drops only objects in the backup, so tables of a
//! newer version would be in the way.

use std::io::{self, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::dump::Dump;
use crate::cli::database::DatabaseAccess;
use crate::cli::failure::Failure;
use crate::cli::libpq::{client, judge, not_started, program};
use crate::database::object_names::{FUNCTIONS, TABLES};

/// The table in which diesel lists the migrations that have run.
const MIGRATIONS: &str = "__diesel_schema_migrations";

/// psql's exit code after a failed statement, which rolled the transaction back.
const STATEMENT_FAILED: i32 = 3;

/// Empties the schema and restores the backup, or changes nothing.
///
/// # Errors
/// psql or pg_restore fails. The message has their error output and says in which state the database is.
pub(super) fn replace(access: &DatabaseAccess, dump: &Dump) -> Result<(), Failure> {
    let mut psql = client(access, "psql")?;
    psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--set=SHOW_CONTEXT=never"]);
    psql.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut loading = psql.spawn().map_err(|error| not_started(&psql, &error))?;
    let read = loading.stdin.take().map_or(Ok(()), |mut script| {
        write_script(&mut script, access, dump)?;
        script.write_all(b"COMMIT;\n").map_err(|error| cut_off(&error))
    });
    // A script without its COMMIT has changed nothing.
    let loaded = loading.wait_with_output().map_err(|error| cut_off(&error))?;
    let undone = read.is_err() || loaded.status.code() == Some(STATEMENT_FAILED);
    let left = if undone {
        "nothing was changed: the database is as before"
    } else {
        "it is unknown whether the backup was restored: check the database, and if it was, run `doorward \
         restored`"
    };
    // If the script could not be written, psql has usually stopped reading, so report its error first.
    judge(&psql, loaded.status, &loaded.stderr).and(read).map_err(|failure| match failure {
        Failure::Wrong(mut lines) => {
            lines.push(left.to_owned());
            Failure::Wrong(lines)
        }
        gone => gone,
    })
}

/// Writes the script without the COMMIT.
fn write_script(script: &mut ChildStdin, access: &DatabaseAccess, dump: &Dump) -> Result<(), Failure> {
    script.write_all(empty(&dump.schema).as_bytes()).map_err(|error| cut_off(&error))?;
    let mut pg_restore = program(access, "pg_restore")?;
    pg_restore.args(["--no-owner", "--no-privileges", "--no-comments", "--no-security-labels"]);
    pg_restore.args(["--no-publications", "--no-subscriptions", "--exit-on-error"]);
    pg_restore.args(["--use-list=/dev/stdin", "--file=-"]).arg(&dump.file);
    pg_restore.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let reading = pg_restore.spawn().map_err(|error| not_started(&pg_restore, &error))?;
    hand_on(reading, &pg_restore, &dump.list, script)
}

/// Copies the script that pg_restore writes for this list of objects. Fails if any part of it is missing.
fn hand_on(
    mut reading: Child,
    pg_restore: &Command,
    list: &str,
    script: &mut ChildStdin,
) -> Result<(), Failure> {
    let listed = reading.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(list.as_bytes()));
    let copied = match reading.stdout.take() {
        Some(mut stdout) => io::copy(&mut stdout, script).map(|_| ()),
        None => Ok(()),
    };
    let read = reading.wait_with_output().map_err(|error| cut_off(&error))?;
    copied.map_err(|error| cut_off(&error))?;
    judge(pg_restore, read.status, &read.stderr)?;
    listed.map_err(|error| cut_off(&error))
}

fn cut_off(error: &io::Error) -> Failure {
    Failure::new(format!("the backup could not be read to its end: {error}"))
}

/// Returns the statements that begin the transaction and drop doorward's objects.
fn empty(schema: &str) -> String {
    let array = |names: &[&str]| format!("'{{{}}}'::text[]", names.join(","));
    let schema = format!("'{}'", schema.replace('\'', "''"));
    include_str!("empty.sql")
        .replace("{schema}", &schema)
        .replace("{tables}", &array(&[&[MIGRATIONS], &TABLES[..]].concat()))
        .replace("{functions}", &array(&FUNCTIONS))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Returns the names of the objects that the migrations create, by kind, such as `TABLE` or `FUNCTION`.
    fn made(kinds: &[&str]) -> BTreeSet<String> {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"));
        let mut names = BTreeSet::new();
        for migration in fs::read_dir(folder).unwrap().flatten() {
            let script = fs::read_to_string(migration.path().join("up.sql")).unwrap();
            for statement in script.lines().filter_map(|line| line.strip_prefix("CREATE ")) {
                let statement = statement.strip_prefix("OR REPLACE ").unwrap_or(statement);
                let (kind, rest) = statement.split_once(' ').unwrap();
                if kinds.contains(&kind) {
                    names.insert(rest.split([' ', '(']).next().unwrap().to_owned());
                }
            }
        }
        names
    }

    /// A new table or function must be added to `object_names`, or no backup can be restored over it.
    #[test]
    fn every_object_that_migrations_create_is_listed() {
        assert_eq!(made(&["TABLE"]), TABLES.map(str::to_owned).into());
        assert_eq!(made(&["FUNCTION"]), FUNCTIONS.map(str::to_owned).into());
        let others = [
            "UNLOGGED",
            "SEQUENCE",
            "VIEW",
            "MATERIALIZED",
            "TYPE",
            "DOMAIN",
            "PROCEDURE",
            "AGGREGATE",
            "SCHEMA",
        ];
        assert_eq!(made(&others), BTreeSet::new(), "empty.sql drops none of these yet");
    }

    #[test]
    fn schema_name_is_quoted_as_one_literal() {
        assert!(empty("it's").contains("wanted CONSTANT text := 'it''s';"));
        assert!(!empty("public").contains("{tables}") && !empty("public").contains("{functions}"));
    }
}
