//! The nodes that serve on this database. Each node reports its settings and when it was last seen.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Jsonb, Nullable, Text, Uuid as SqlUuid};
use uuid::Uuid;

/// A node counts as live if it reported within this many seconds. It reports three times as often.
pub const LIVE_FOR_SECONDS: i64 = 30;
/// The maximum number of rows kept.
const MOST: i64 = 1_000;
/// The maximum number of node names in a message. The rest are counted.
const NAMED: usize = 3;

/// A node, as it reports itself.
#[derive(Clone, Debug, QueryableByName)]
pub struct Node {
    /// The ID of the node's process.
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    /// The node's host name and port.
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = Text)]
    pub version: String,
    /// The lifetime of the access tokens that the node issues.
    #[diesel(sql_type = BigInt)]
    pub access_ttl_seconds: i64,
    #[diesel(sql_type = Jsonb)]
    settings: serde_json::Value,
}

impl Node {
    /// Creates a node's report. `settings` maps the names of the settings that all nodes must share to their
    /// values.
    #[must_use]
    pub fn new(id: Uuid, name: String, access_ttl_seconds: i64, settings: &BTreeMap<&str, String>) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { id, name, version, access_ttl_seconds, settings: serde_json::json!(settings) }
    }

    fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name)?.as_str()
    }
}

/// Inserts a starting node's row. Deletes a row with the same name, which a killed node may have left.
pub fn insert(connection: &mut PgConnection, node: &Node) -> QueryResult<()> {
    diesel::sql_query("DELETE FROM nodes WHERE name = $1").bind::<Text, _>(&node.name).execute(connection)?;
    update(connection, node)
}

/// Reports that a node is live. Deletes the rows of nodes not seen for a day, and the oldest rows beyond
/// `MOST`.
pub fn update(connection: &mut PgConnection, node: &Node) -> QueryResult<()> {
    diesel::sql_query(
        "INSERT INTO nodes (id, name, version, access_ttl_seconds, settings, started_at, seen_at)
         VALUES ($1, $2, $3, $4, $5, now(), now())
         ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at",
    )
    .bind::<SqlUuid, _>(node.id)
    .bind::<Text, _>(&node.name)
    .bind::<Text, _>(&node.version)
    .bind::<BigInt, _>(node.access_ttl_seconds)
    .bind::<Jsonb, _>(&node.settings)
    .execute(connection)?;
    // Other nodes may delete the same rows at the same time, so locked rows are skipped.
    diesel::sql_query(
        "DELETE FROM nodes WHERE id IN (
            SELECT id FROM nodes WHERE seen_at < now() - interval '1 day'
                OR id IN (SELECT id FROM nodes ORDER BY seen_at DESC OFFSET $1)
            FOR UPDATE SKIP LOCKED)",
    )
    .bind::<BigInt, _>(MOST)
    .execute(connection)
    .map(|_| ())
}

/// Deletes the row of a node that stops.
pub fn delete(connection: &mut PgConnection, id: Uuid) -> QueryResult<()> {
    diesel::sql_query("DELETE FROM nodes WHERE id = $1")
        .bind::<SqlUuid, _>(id)
        .execute(connection)
        .map(|_| ())
}

/// Lists the live nodes by name.
pub fn list_live(connection: &mut PgConnection) -> QueryResult<Vec<Node>> {
    // `abs` also excludes rows from the future, which a clock that was set back leaves.
    diesel::sql_query(
        "SELECT id, name, version, access_ttl_seconds, settings FROM nodes
         WHERE abs(extract(epoch FROM now() - seen_at)) <= $1 ORDER BY name, id",
    )
    .bind::<BigInt, _>(LIVE_FOR_SECONDS)
    .load(connection)
}

/// Returns the longest access token lifetime among the nodes of the last day, in seconds.
pub fn find_longest_ttl(connection: &mut PgConnection) -> QueryResult<Option<i64>> {
    #[derive(QueryableByName)]
    struct Longest {
        #[diesel(sql_type = Nullable<BigInt>)]
        longest: Option<i64>,
    }
    let found: Longest =
        diesel::sql_query("SELECT max(access_ttl_seconds) AS longest FROM nodes").get_result(connection)?;
    Ok(found.longest)
}

/// A setting that live nodes must share but do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingDifference {
    /// The setting's environment variable.
    pub setting: String,
    /// The names of the nodes for each value.
    values: BTreeMap<String, Vec<String>>,
}

impl std::fmt::Display for SettingDifference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = |(value, names): (&String, &Vec<String>)| {
            let named = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = names.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{value} on {named}{more}")
        };
        let values: Vec<String> = self.values.iter().map(value).collect();
        write!(formatter, "{} is {}", self.setting, values.join("; "))
    }
}

/// Finds the settings in which nodes differ. Ignores nodes of other versions that do not report the setting.
#[must_use]
pub fn find_differences(nodes: &[Node]) -> Vec<SettingDifference> {
    let mut settings: BTreeMap<&str, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for node in nodes {
        let names = node.settings.as_object().into_iter().flat_map(|settings| settings.keys());
        for (name, value) in names.filter_map(|name| Some((name, node.setting(name)?))) {
            settings.entry(name).or_default().entry(value.to_owned()).or_default().push(node.name.clone());
        }
    }
    let differing = settings.into_iter().filter(|(_, values)| values.len() > 1);
    differing.map(|(setting, values)| SettingDifference { setting: setting.to_owned(), values }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, settings: &[(&str, &str)]) -> Node {
        let settings = settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Node::new(crate::random::id(), name.to_owned(), 300, &settings)
    }

    #[test]
    fn nodes_with_equal_settings_do_not_differ() {
        let both = [("A", "1"), ("B", "2")];
        assert_eq!(find_differences(&[node("a", &both), node("b", &both)]), []);
        assert_eq!(find_differences(&[]), []);
        // A node of another version reports other settings.
        assert_eq!(find_differences(&[node("a", &both), node("b", &both[..1]), node("c", &[])]), []);
    }

    #[test]
    fn differences_name_each_value_and_its_nodes() {
        let names = ["a", "b", "c", "d", "e"];
        let mut nodes = names.map(|name| node(name, &[("A", "1"), ("B", "2")])).to_vec();
        nodes.push(node("f", &[("A", "9"), ("B", "2")]));
        let found = find_differences(&nodes);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string(), "A is 1 on a, b, c and 2 more; 9 on f");
    }
}
