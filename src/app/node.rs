//! Reports this server as a node on its database, and warns if the settings of the nodes differ.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::Settings;
use crate::database::nodes::{self, Node, SettingDifference};
use crate::database::{Database, DatabaseError};
use crate::random;
use crate::tokens::lifetime;

/// The interval between a node's reports.
pub const REPORT_EVERY: Duration = Duration::from_secs(10);

/// The settings that all nodes must share, because each node receives tokens and sessions of the others, and
/// serves the stylesheet that a page of another node links.
const SHARED: [&str; 16] = [
    "public_url",
    "audiences",
    "trusted_proxies",
    "proxy_header",
    "access_token_ttl",
    "refresh_token_ttl",
    "session_ttl",
    "refresh_grace",
    "browser_session_idle_ttl",
    "browser_session_kept_ttl",
    "step_up_max_age",
    "token_ttl_max",
    "signing_algorithm",
    "site_name",
    "site_colour",
    "site_support",
];

/// Creates the report of a server with these settings.
#[must_use]
pub fn of(settings: &Settings) -> Node {
    let host = nix::unistd::gethostname().unwrap_or_default();
    let name = format!("{}:{}", host.to_string_lossy(), settings.listen.port());
    let shared = settings.entries().iter().filter(|entry| SHARED.contains(&entry.setting.key));
    let shared: BTreeMap<&str, String> = shared
        .map(|entry| (entry.setting.environment, in_one_order(entry.value.as_deref().unwrap_or_default())))
        .collect();
    Node::new(random::id(), name, lifetime::in_seconds(settings.access_token_ttl), &shared)
}

/// Sorts a list, because the order has no meaning in these settings.
fn in_one_order(value: &str) -> String {
    let mut values: Vec<&str> = value.split(',').map(str::trim).collect();
    values.sort_unstable();
    let joined = values.join(",");
    if joined.is_empty() { "none".to_owned() } else { joined }
}

/// Reports this node and compares it with the other live nodes. Each set of differences is logged only once.
#[derive(Debug, Default)]
pub struct NodeWatch {
    warned: Vec<SettingDifference>,
}

impl NodeWatch {
    /// Reports the node, and logs a warning if the settings of the live nodes differ.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn report(&mut self, database: &Database, node: &Node) -> Result<(), DatabaseError> {
        let node = node.clone();
        let live = database
            .transaction(move |connection| {
                nodes::update(connection, &node)?;
                nodes::list_live(connection)
            })
            .await?;
        let found = nodes::find_differences(&live);
        metrics::gauge!("doorward_differing_settings").set(found.len() as f64);
        self.log_differences(found);
        Ok(())
    }

    fn log_differences(&mut self, found: Vec<SettingDifference>) {
        for difference in found.iter().filter(|difference| !self.warned.contains(difference)) {
            tracing::warn!(
                setting = difference.setting,
                "live nodes on this database have different settings: {difference}. Give all of them the \
                 same value and restart them"
            );
        }
        if found.is_empty() && !self.warned.is_empty() {
            tracing::info!("the live nodes on this database share their settings again");
        }
        self.warned = found;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Inputs, SETTINGS, resolve};

    #[test]
    fn shared_settings_exist_and_are_not_secret() {
        for key in SHARED {
            let setting = SETTINGS.iter().find(|setting| setting.key == key);
            assert!(setting.is_some_and(|setting| !setting.secret), "{key}");
        }
    }

    #[test]
    fn nodes_with_lists_in_another_order_do_not_differ() {
        let node = |proxies: &str, ttl: &str| {
            let inputs = Inputs::default()
                .variable("DOORWARD_TRUSTED_PROXIES", proxies)
                .variable("DOORWARD_ACCESS_TOKEN_TTL", ttl);
            of(&resolve(&inputs).expect("settings"))
        };
        let nodes = [node("10.0.0.0/8,192.0.2.7", "5m"), node("192.0.2.7,10.0.0.0/8", "300s")];
        assert_eq!(nodes::find_differences(&nodes), []);
        assert_eq!(nodes[0].access_ttl_seconds, 300);
        let found = nodes::find_differences(&[node("", "5m"), node("192.0.2.7", "5m")]);
        assert!(
            found[0].to_string().starts_with("DOORWARD_TRUSTED_PROXIES is 192.0.2.7/32 on "),
            "{found:?}"
        );
        assert!(found[0].to_string().contains("; none on "), "{found:?}");
    }
}
