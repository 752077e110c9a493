//! Frequent queries use indexes, however large the tables are.

use diesel::connection::SimpleConnection;
use diesel::result::Error;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, PgConnection, QueryResult, QueryableByName, RunQueryDsl};
use doorward::audit::refusals::{self, Lane};
use doorward::digest::Digest;
use doorward::sessions::end::{self, SessionSelection};
use doorward::sessions::history;
use doorward_test::World;

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Returns the tables that `work` reads completely. Sequential scans are disabled, so the planner uses any
/// index that helps, as it would on large tables.
fn find_scanned(
    connection: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection) -> QueryResult<()>,
) -> Vec<String> {
    let mut scanned = Vec::new();
    let ended: QueryResult<()> = connection.transaction(|connection| {
        connection.batch_execute("SET LOCAL enable_seqscan = off")?;
        work(connection)?;
        let tables: Vec<Table> = diesel::sql_query(
            "SELECT relname::text AS name FROM pg_stat_xact_user_tables WHERE seq_scan > 0 ORDER BY relname",
        )
        .load(connection)?;
        scanned = tables.into_iter().map(|table| table.name).collect();
        Err(Error::RollbackTransaction)
    });
    assert_eq!(ended, Err(Error::RollbackTransaction));
    scanned
}

#[actix_web::test]
async fn session_queries_use_indexes() {
    let world = World::new().await;
    world.signed_in("alice", "member").await;
    let connection = &mut world.connection();
    // The session must exist, or PostgreSQL does not evaluate the other conditions.
    let id = world.text("SELECT session_id::text AS text FROM refresh_tokens").parse().unwrap();
    let digest = Digest::from([7; 32]);
    for which in [
        SessionSelection::These(vec![id]),
        SessionSelection::AllOf(id),
        SessionSelection::OthersOf(id, id),
        SessionSelection::OneOf(id, id),
        SessionSelection::OfRefreshToken(id, digest),
    ] {
        let find = |connection: &mut PgConnection| end::find_unended(connection, &which).map(|_| ());
        assert_eq!(find_scanned(connection, find), Vec::<String>::new(), "{which:?}");
    }
    let find =
        |connection: &mut PgConnection| history::find_history(connection, id, Some(digest)).map(|_| ());
    assert_eq!(find_scanned(connection, find), Vec::<String>::new());
    let by_digest = |connection: &mut PgConnection| {
        diesel::sql_query("SELECT FROM refresh_tokens WHERE secret_digest = ''")
            .execute(connection)
            .map(|_| ())
    };
    assert_eq!(
        find_scanned(connection, by_digest),
        ["refresh_tokens"],
        "a read of the whole table is noticed"
    );
}

#[actix_web::test]
async fn lane_within_its_bound_is_not_counted() {
    #[derive(QueryableByName)]
    struct Read {
        #[diesel(sql_type = BigInt)]
        rows: i64,
    }
    let world = World::new().await;
    world.sql(
        "INSERT INTO refusals (request_id, lane, occurred_at, method, route, path, status, problem, checks)
         SELECT gen_random_uuid(), 'proven', now(), 'GET', '', '', 403, '{}', '{}' FROM generate_series(1, 5000);
         ANALYZE refusals",
    );
    let find = |room| {
        let mut found = (None, 0);
        let ended: QueryResult<()> = world.connection().transaction(|connection| {
            let newest = refusals::find_newest_to_go(connection, Lane::Verified, room)?;
            let read: Read = diesel::sql_query(
                "SELECT seq_tup_read + idx_tup_fetch AS rows FROM pg_stat_xact_user_tables WHERE relname = 'refusals'",
            )
            .get_result(connection)?;
            found = (newest, read.rows);
            Err(Error::RollbackTransaction)
        });
        assert_eq!(ended, Err(Error::RollbackTransaction));
        found
    };
    let (newest, rows) = find(5_000);
    assert!(newest.is_none() && rows < 5, "{newest:?}: {rows}");
    let first = world.count("SELECT min(position) AS count FROM refusals");
    assert_eq!(find(4_999).0, Some(first));
}
