//! The nodes' reports of themselves.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use diesel_migrations::MigrationHarness;
use doorward::app::node::{self, NodeWatch};
use doorward::database::migrate::MIGRATIONS;
use doorward::database::nodes::{self, Node};
use doorward::database::{Database, migrate};
use doorward::tokens::lifetime;
use doorward_test::{TestDatabase, World, settings};

fn node(name: &str, ttl: i64) -> Node {
    let settings = BTreeMap::from([("DOORWARD_ACCESS_TOKEN_TTL", ttl.to_string())]);
    Node::new(uuid::Uuid::now_v7(), name.to_owned(), ttl, &settings)
}

fn live(world: &World) -> Vec<String> {
    let live = nodes::list_live(&mut world.connection()).expect("the database");
    live.into_iter().map(|node| node.name).collect()
}

fn report(world: &World, node: &Node) {
    nodes::update(&mut world.connection(), node).expect("the database");
}

#[actix_web::test]
async fn node_is_live_while_it_reports_and_deleted_after_a_day() {
    let world = World::new().await;
    world.sql("DELETE FROM nodes");
    let (first, second) = (node("a:1", 300), node("b:1", 3_600));
    report(&world, &first);
    report(&world, &second);
    assert_eq!(live(&world), ["a:1", "b:1"]);
    world.advance(TimeDelta::seconds(29));
    report(&world, &first);
    world.advance(TimeDelta::seconds(2));
    assert_eq!(live(&world), ["a:1"]);
    // The silent node may still run slowly, so its lifetime counts.
    let longest = || nodes::find_longest_ttl(&mut world.connection()).expect("the database");
    assert_eq!(longest(), Some(3_600));
    world.advance(TimeDelta::days(1));
    report(&world, &first);
    assert_eq!((longest(), live(&world)), (Some(300), vec!["a:1".to_owned()]));
    // The database's clock was set back.
    world.advance(TimeDelta::days(-1));
    assert!(live(&world).is_empty());
    nodes::delete(&mut world.connection(), first.id).expect("the database");
    assert_eq!(world.count("SELECT count(*) FROM nodes"), 0);
}

#[actix_web::test]
async fn restarted_node_replaces_its_row_and_rows_are_bounded() {
    let world = World::new().await;
    world.sql("DELETE FROM nodes");
    for _ in 0..3 {
        nodes::insert(&mut world.connection(), &node("a:1", 300)).expect("the database");
    }
    assert_eq!(live(&world), ["a:1"]);
    world.sql(
        "INSERT INTO nodes SELECT gen_random_uuid(), 'x', '1', 60, '{}', now(), now() - interval '1 hour'
         FROM generate_series(1, 1500)",
    );
    report(&world, &node("b:1", 300));
    assert_eq!(world.count("SELECT count(*) FROM nodes"), 1_000);
    assert_eq!(live(&world), ["a:1", "b:1"]);
}

#[actix_web::test]
async fn start_reports_the_node_and_its_settings_without_secrets() {
    let world =
        World::with(|settings| settings.access_token_ttl = std::time::Duration::from_secs(7_200)).await;
    assert_eq!(nodes::find_longest_ttl(&mut world.connection()).expect("the database"), Some(7_200));
    assert_eq!(world.count("SELECT max(longest_ttl_seconds) AS count FROM signing_keys"), 7_200);
    let shown = world.text("SELECT settings::text AS text FROM nodes WHERE access_ttl_seconds = 7200");
    assert!(shown.contains("\"DOORWARD_PUBLIC_URL\": \"http://doorward.test\""), "{shown}");
    assert!(
        !shown.contains("a-secret-key-that-only-the-tests-have") && !shown.contains("PASSWORD"),
        "{shown}"
    );
}

#[actix_web::test]
async fn key_lifetime_falls_back_to_the_last_key_without_nodes() {
    let world = World::new().await;
    world.sql("DELETE FROM nodes; UPDATE signing_keys SET longest_ttl_seconds = 1234");
    assert_eq!(lifetime::find_longest_ttl(&mut world.connection()).expect("the database"), 1_234);
    world.sql("DELETE FROM signing_keys");
    assert_eq!(lifetime::find_longest_ttl(&mut world.connection()).expect("the database"), 86_400);
}

#[actix_web::test]
async fn node_whose_row_was_deleted_reports_itself_again() {
    let world = World::new().await;
    let mut watch = NodeWatch::default();
    let own = node::of(&settings());
    watch.report(&world.state.core.database, &own).await.expect("the database");
    world.sql("DELETE FROM nodes");
    watch.report(&world.state.core.database, &own).await.expect("the database");
    assert_eq!(live(&world), [own.name]);
}

/// Nodes of the previous version keep serving while the first new one starts, and their token lifetimes are
/// unknown.
#[test]
fn keys_of_the_previous_version_allow_for_a_day() {
    use diesel::connection::SimpleConnection;
    let database = TestDatabase::make();
    let mut connection = Database::connect(&database.url).expect("the database");
    let mut reverted = 0;
    while reverted == 0 || !migrate::is_pending(&mut connection).expect("the database") {
        connection.revert_last_migration(MIGRATIONS).expect("a migration");
        reverted += 1;
    }
    while connection.batch_execute("SELECT FROM nodes").is_ok() {
        connection.revert_last_migration(MIGRATIONS).expect("a migration");
    }
    migrate::run(&mut connection).expect("the migrations");
    assert_eq!(lifetime::find_longest_ttl(&mut connection).expect("the database"), 86_400);
    let live = nodes::list_live(&mut connection).expect("the database");
    assert!(live.is_empty(), "what counts is no node that could be compared");
}
