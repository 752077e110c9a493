//! Checks a database before doorward creates anything in it: its version, encoding, isolation level and
//! privileges, and that no other program uses it.

use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Integer, Nullable, Text};

use super::indexes;
use super::object_names::{FUNCTIONS, INDEXES, TABLES};

/// PostgreSQL 13, since the feed reads `pg_current_xact_id()`.
const LEAST_VERSION: i32 = 130_000;
/// The version of the first migration, as diesel stores it.
const FIRST_MIGRATION: &str = "20261123100000";
const MIGRATIONS_TABLE: &str = "__diesel_schema_migrations";
/// A requirement that the database does not meet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found}: {advice}")]
pub struct Unfit {
    /// The actual state.
    pub found: String,
    /// The action to take.
    pub advice: String,
}

#[derive(Clone, Debug, QueryableByName)]
struct Facts {
    #[diesel(sql_type = Integer)]
    version: i32,
    #[diesel(sql_type = Text)]
    encoding: String,
    #[diesel(sql_type = Text)]
    isolation: String,
    #[diesel(sql_type = Text)]
    database: String,
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Nullable<Text>)]
    schema: Option<String>,
    /// A schema of the search path that the role has no USAGE privilege on.
    #[diesel(sql_type = Nullable<Text>)]
    closed_schema: Option<String>,
    #[diesel(sql_type = Bool)]
    may_create: bool,
    /// The source of `default_transaction_read_only`, as `pg_settings` names it, if that setting is on.
    #[diesel(sql_type = Nullable<Text>)]
    read_only_by: Option<String>,
    /// True if plpgsql is installed, the language of doorward's triggers.
    #[diesel(sql_type = Bool)]
    has_plpgsql: bool,
    /// True if `session_replication_role` keeps doorward's triggers from running.
    #[diesel(sql_type = Bool)]
    skips_triggers: bool,
    /// The tables, indexes, types, functions and so on that have one of doorward's names.
    #[diesel(sql_type = Array<Text>)]
    objects: Vec<String>,
    /// The tables among them that the role cannot read and write.
    #[diesel(sql_type = Array<Text>)]
    closed: Vec<String>,
}

const FACTS: &str = "
WITH schema AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema()),
here AS (
    SELECT c.oid, relname::text AS name FROM pg_catalog.pg_class c JOIN schema ON schema.oid = relnamespace
     WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND relname::text = ANY ($1)
),
object AS (
    SELECT relname::text AS name FROM pg_catalog.pg_class JOIN schema ON schema.oid = relnamespace
     WHERE relname::text = ANY ($1 || $2)
    UNION
    SELECT typname::text FROM pg_catalog.pg_type JOIN schema ON schema.oid = typnamespace
     WHERE typrelid = 0 AND typname::text = ANY ($1)
    UNION
    SELECT proname::text FROM pg_catalog.pg_proc JOIN schema ON schema.oid = pronamespace
     WHERE proname::text = ANY ($3)
)
SELECT current_setting('server_version_num')::int AS version,
       current_setting('server_encoding') AS encoding,
       current_setting('default_transaction_isolation') AS isolation,
       current_database()::text AS database, current_user::text AS role, current_schema()::text AS schema,
       coalesce(has_schema_privilege(current_schema()::text, 'CREATE'), false) AS may_create,
       (SELECT nspname::text FROM pg_catalog.pg_namespace
         WHERE nspname::text = ANY (string_to_array(translate(current_setting('search_path'), chr(34) || ' ', ''), ','))
           AND NOT has_schema_privilege(oid, 'USAGE') ORDER BY 1 LIMIT 1) AS closed_schema,
       (SELECT source FROM pg_catalog.pg_settings WHERE name = 'default_transaction_read_only' AND setting = 'on'
           AND NOT pg_is_in_recovery()) AS read_only_by,
       EXISTS (SELECT FROM pg_catalog.pg_language WHERE lanname = 'plpgsql') AS has_plpgsql,
       current_setting('session_replication_role') = 'replica' AS skips_triggers,
       ARRAY(SELECT name FROM object ORDER BY name) AS objects,
       ARRAY(SELECT name FROM here WHERE NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
             AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')) ORDER BY name) AS closed";

/// Returns every requirement that the database does not meet. The list is empty if doorward can use it.
pub(crate) fn find_unfit(connection: &mut PgConnection) -> QueryResult<Vec<Unfit>> {
    let tables: Vec<&str> = TABLES.into_iter().chain([MIGRATIONS_TABLE]).collect();
    let indexes: Vec<&str> = INDEXES.into_iter().chain(indexes::names()).collect();
    let facts: Facts = diesel::sql_query(FACTS)
        .bind::<Array<Text>, _>(tables)
        .bind::<Array<Text>, _>(indexes)
        .bind::<Array<Text>, _>(FUNCTIONS.to_vec())
        .get_result(connection)?;
    let ours = if has_migrations(&facts.objects) && !has_migrations(&facts.closed) {
        Migrations::find(connection)?
    } else {
        Migrations::default()
    };
    Ok(judge(&facts, ours))
}

fn has_migrations(objects: &[String]) -> bool {
    objects.iter().any(|name| name == MIGRATIONS_TABLE)
}

/// The migrations that diesel has recorded.
#[derive(Clone, Copy, Debug, Default, QueryableByName)]
struct Migrations {
    #[diesel(sql_type = Bool)]
    has_first: bool,
    #[diesel(sql_type = Bool)]
    has_any: bool,
}

impl Migrations {
    fn find(connection: &mut PgConnection) -> QueryResult<Self> {
        let question = format!(
            "SELECT EXISTS (SELECT FROM {MIGRATIONS_TABLE} WHERE version = $1) AS has_first, \
             EXISTS (SELECT FROM {MIGRATIONS_TABLE}) AS has_any"
        );
        diesel::sql_query(question).bind::<Text, _>(FIRST_MIGRATION).get_result(connection)
    }
}

fn judge(facts: &Facts, ours: Migrations) -> Vec<Unfit> {
    let mut unfit = judge_server(facts);
    unfit.extend(judge_rights(facts, ours));
    unfit
}

fn judge_server(facts: &Facts) -> Vec<Unfit> {
    let Facts { version, encoding, isolation, database, .. } = facts;
    let mut unfit = Vec::new();
    if *version < LEAST_VERSION {
        unfit.push(Unfit {
            found: format!("PostgreSQL {} serves the database", version / 10_000),
            advice: format!("doorward needs PostgreSQL {} or later", LEAST_VERSION / 10_000),
        });
    }
    if encoding != "UTF8" {
        unfit.push(Unfit {
            found: format!("the database {database} has the encoding {encoding}"),
            advice: "doorward needs UTF8. Create a database with it: CREATE DATABASE … ENCODING 'UTF8' \
                     LOCALE 'C.UTF-8' TEMPLATE template0, and set DATABASE_URL to that"
                .to_owned(),
        });
    }
    if !facts.has_plpgsql {
        unfit.push(Unfit {
            found: format!("the database {database} has no plpgsql"),
            advice: "run CREATE EXTENSION plpgsql in it, as its owner".to_owned(),
        });
    }
    if isolation != "read committed" {
        unfit.push(Unfit {
            found: format!("transactions start with the isolation level {isolation}"),
            advice: format!(
                "doorward needs read committed. Run ALTER DATABASE {database} RESET \
                 default_transaction_isolation, and the same with ALTER ROLE, or remove it from DATABASE_URL \
                 or postgresql.conf"
            ),
        });
    }
    if facts.skips_triggers {
        unfit.push(Unfit {
            found: "triggers do not run, because session_replication_role is replica".to_owned(),
            advice: format!(
                "doorward needs its triggers. Run ALTER DATABASE {database} RESET session_replication_role, \
                 and the same with ALTER ROLE, or remove it from DATABASE_URL or postgresql.conf"
            ),
        });
    }
    unfit.extend(judge_writes(facts));
    unfit
}

/// Advises which setting to reset if the database, the role or the connection makes transactions read-only. A
/// server-wide setting is accepted, since a failover or a full disk may set it for a time.
fn judge_writes(facts: &Facts) -> Option<Unfit> {
    const SETTING: &str = "default_transaction_read_only";
    let Facts { database, role, .. } = facts;
    let advice = match facts.read_only_by.as_deref()? {
        "database" => format!("run ALTER DATABASE {database} RESET {SETTING}"),
        "user" => format!("run ALTER ROLE {role} RESET {SETTING}"),
        "database user" => format!("run ALTER ROLE {role} IN DATABASE {database} RESET {SETTING}"),
        "global" => format!("run ALTER ROLE ALL RESET {SETTING}"),
        "client" | "environment variable" => {
            format!("remove {SETTING} from the options of DATABASE_URL, or from PGOPTIONS")
        }
        _ => return None,
    };
    Some(Unfit { found: "transactions start read-only, but doorward must write".to_owned(), advice })
}

fn judge_rights(facts: &Facts, ours: Migrations) -> Option<Unfit> {
    let Facts { database, role, closed, .. } = facts;
    let Some(schema) = &facts.schema else {
        if let Some(closed) = &facts.closed_schema {
            return Some(Unfit {
                found: format!("the role {role} cannot use the schema {closed} of the database {database}"),
                advice: format!("run GRANT CREATE, USAGE ON SCHEMA {closed} TO {role}"),
            });
        }
        return Some(Unfit {
            found: format!(
                "no schema of the search_path exists in the database {database}, or {role} cannot use it"
            ),
            advice: format!(
                "run CREATE SCHEMA … AUTHORIZATION {role}, or ALTER ROLE {role} RESET search_path"
            ),
        });
    };
    // A migrations table that the role cannot read does not show which program owns it.
    let is_known = !has_migrations(closed);
    if is_known
        && !ours.has_first
        && (ours.has_any || facts.objects.iter().any(|name| name != MIGRATIONS_TABLE))
    {
        let theirs = facts.objects.join(", ");
        return Some(Unfit {
            found: format!(
                "the schema {schema} of the database {database} has objects of another program: {theirs}"
            ),
            advice: "doorward needs its own database: run CREATE DATABASE, and set DATABASE_URL to the new \
                     one"
            .to_owned(),
        });
    }
    // diesel runs CREATE TABLE IF NOT EXISTS, for which PostgreSQL requires the CREATE privilege even if the
    // table exists.
    let on_schema = format!("GRANT CREATE, USAGE ON SCHEMA {schema} TO {role}");
    if !closed.is_empty() {
        let on_schema = if facts.may_create { String::new() } else { format!("{on_schema}, and then ") };
        return Some(Unfit {
            found: format!("the role {role} cannot read and write {}", closed.join(", ")),
            advice: format!(
                "set DATABASE_URL to the role that owns them, or run {on_schema}GRANT SELECT, INSERT, UPDATE, DELETE ON ALL \
                 TABLES IN SCHEMA {schema} TO {role}; migrations need the owner"
            ),
        });
    }
    (!facts.may_create).then(|| Unfit {
        found: format!("the role {role} cannot create anything in the schema {schema}"),
        advice: format!("run {on_schema}, or ALTER DATABASE {database} OWNER TO {role}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            version: 150_004,
            encoding: "UTF8".to_owned(),
            isolation: "read committed".to_owned(),
            database: "auth".to_owned(),
            role: "site".to_owned(),
            schema: Some("public".to_owned()),
            closed_schema: None,
            may_create: true,
            read_only_by: None,
            has_plpgsql: true,
            skips_triggers: false,
            objects: Vec::new(),
            closed: Vec::new(),
        }
    }

    const OURS: Migrations = Migrations { has_first: true, has_any: true };

    #[test]
    fn new_database_and_a_migrated_one_are_fit() {
        assert_eq!(judge(&facts(), Migrations::default()), []);
        let migrated = Facts { objects: vec![MIGRATIONS_TABLE.into(), "users".into()], ..facts() };
        assert_eq!(judge(&migrated, OURS), []);
        let broken_off = Facts { objects: vec![MIGRATIONS_TABLE.into()], ..facts() };
        assert_eq!(judge(&broken_off, Migrations::default()), [], "diesel made its table, and nothing else");
    }

    fn read_only_by(source: &str) -> Facts {
        Facts { read_only_by: Some(source.to_owned()), ..facts() }
    }

    #[test]
    fn temporarily_read_only_server_is_fit() {
        assert_eq!(judge(&read_only_by("configuration file"), OURS), []);
    }

    #[test]
    fn each_obstacle_is_reported_with_advice() {
        let theirs = vec!["users".to_owned()];
        for (facts, ours, found, advice) in [
            (Facts { version: 120_022, ..facts() }, OURS, "PostgreSQL 12", "13 or later"),
            (Facts { encoding: "LATIN1".into(), ..facts() }, OURS, "LATIN1", "ENCODING 'UTF8'"),
            (Facts { isolation: "serializable".into(), ..facts() }, OURS, "serializable", "RESET"),
            (Facts { has_plpgsql: false, ..facts() }, OURS, "no plpgsql", "CREATE EXTENSION plpgsql"),
            (Facts { skips_triggers: true, ..facts() }, OURS, "triggers do not run", "RESET"),
            (Facts { schema: None, ..facts() }, OURS, "search_path", "CREATE SCHEMA"),
            (Facts { objects: theirs, ..facts() }, Migrations::default(), "users", "its own database"),
            (
                Facts { objects: vec![MIGRATIONS_TABLE.into()], ..facts() },
                Migrations { has_first: false, has_any: true },
                "another program",
                "its own database",
            ),
            (
                Facts { may_create: false, ..facts() },
                Migrations::default(),
                "cannot create anything in the schema public",
                "GRANT CREATE, USAGE ON SCHEMA public TO site",
            ),
            (Facts { closed: vec!["users".into()], ..facts() }, OURS, "users", "or run GRANT SELECT, INSERT"),
            (
                Facts { closed: vec!["users".into()], may_create: false, ..facts() },
                OURS,
                "users",
                "GRANT CREATE, USAGE ON SCHEMA public TO site, and then GRANT SELECT, INSERT",
            ),
            (Facts { may_create: false, ..facts() }, OURS, "cannot create anything", "GRANT CREATE, USAGE"),
            (
                Facts { schema: None, closed_schema: Some("public".into()), ..facts() },
                OURS,
                "cannot use the schema public",
                "GRANT CREATE, USAGE ON SCHEMA public TO site",
            ),
            (read_only_by("database"), OURS, "read-only", "ALTER DATABASE auth RESET"),
            (read_only_by("user"), OURS, "read-only", "ALTER ROLE site RESET"),
            (read_only_by("database user"), OURS, "read-only", "ALTER ROLE site IN DATABASE auth RESET"),
            (read_only_by("global"), OURS, "read-only", "ALTER ROLE ALL RESET"),
            (read_only_by("client"), OURS, "read-only", "from the options of DATABASE_URL"),
            (
                Facts {
                    objects: vec![MIGRATIONS_TABLE.into(), "users".into()],
                    closed: vec![MIGRATIONS_TABLE.into(), "users".into()],
                    ..facts()
                },
                Migrations::default(),
                "cannot read and write",
                "GRANT SELECT, INSERT",
            ),
        ] {
            let unfit = judge(&facts, ours);
            assert_eq!(unfit.len(), 1, "{unfit:?}");
            assert!(unfit[0].found.contains(found) && unfit[0].advice.contains(advice), "{unfit:?}");
        }
    }
}
