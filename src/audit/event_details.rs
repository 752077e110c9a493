//! Defines the details of each type of audit event, as the database stores them and the API shows them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::event_type::EventType;

/// The details of an event. The variants have the names of [`EventType`].
///
/// Nodes of other versions read and write these rows too. A member that is absent has its default, and
/// unknown members are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventDetails {
    LoginSucceeded {
        /// The kind of the session.
        #[serde(default)]
        kind: String,
        /// The name that the device gave itself.
        device: Option<String>,
        /// The requested scope. `None` means all of the user's permissions.
        scope: Option<Vec<String>>,
    },
    LoginFailed {
        /// The code of the refusal, or `wrong_password` within a session.
        #[serde(default)]
        code: String,
        /// True if the account exists. `None` if the password was right, or was asked for within a session.
        #[serde(skip_serializing_if = "Option::is_none")]
        known: Option<bool>,
    },
    SteppedUp {},
    StepUpFailed {},
    /// A client that must wait has `retry_after`. A network past its limit has `network` and `limit`.
    TooManyAttempts {
        /// The name of the limit.
        #[serde(default)]
        by: String,
        /// The wait in seconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        network: Option<String>,
        /// The number of attempts that the network has.
        #[serde(skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
    },
    /// The rotating statement in `sessions/rotate.rs` writes these members itself.
    RefreshRepeated {
        #[serde(default)]
        presented_generation: i32,
        /// The generation of the current token. `None` if the presented token's secret is no longer stored.
        live_generation: Option<i32>,
    },
    /// The rotating statement in `sessions/rotate.rs` writes these members itself.
    RefreshTokenReused {
        #[serde(default)]
        presented_generation: i32,
        /// The generation of the current token. `None` if the presented token's secret is no longer stored.
        live_generation: Option<i32>,
    },
    SessionEnded {
        #[serde(default)]
        reason: String,
        /// The name that the device gave itself.
        device: Option<String>,
    },
    UserCreated {
        #[serde(default)]
        role: String,
    },
    /// A name is null if it was removed or is unchanged. It may be absent if it is unchanged.
    UserUpdated {
        #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
        username: Option<Option<String>>,
        #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
        email: Option<Option<String>>,
        /// The reason, if nobody requested the change.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    UserRoleChanged {
        #[serde(default)]
        from: String,
        #[serde(default)]
        to: String,
    },
    UserDisabled {
        /// The lost change that was re-applied, if this was one.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    UserEnabled {},
    UserUnlocked {},
    UserDeleted {
        #[serde(default)]
        role: String,
    },
    PasswordChanged {
        #[serde(default)]
        sessions_ended: usize,
        /// `None` if the personal tokens were kept.
        #[serde(skip_serializing_if = "Option::is_none")]
        tokens_revoked: Option<usize>,
    },
    PasswordLinkCreated {
        #[serde(default)]
        expires_at: DateTime<Utc>,
        #[serde(default)]
        sessions_ended: usize,
        /// `None` if the personal tokens were kept.
        #[serde(skip_serializing_if = "Option::is_none")]
        tokens_revoked: Option<usize>,
    },
    PersonalTokenCreated {
        #[serde(default)]
        token_id: Uuid,
        #[serde(default)]
        name: String,
        #[serde(default)]
        scope: Vec<String>,
    },
    PersonalTokenRevoked {
        #[serde(default)]
        token_id: Uuid,
        #[serde(default)]
        name: String,
        #[serde(default)]
        reason: String,
    },
    SigningKeyPublished {
        #[serde(default)]
        kid: String,
        #[serde(default)]
        algorithm: String,
        #[serde(default)]
        signs_from: DateTime<Utc>,
    },
    SigningKeyRevoked {
        #[serde(default)]
        kid: String,
    },
    DatabaseRestored {
        /// Only credentials that are older than this were ended. `None` means all.
        since: Option<String>,
        #[serde(default)]
        sessions_ended: usize,
        #[serde(default)]
        personal_tokens_revoked: usize,
        #[serde(default)]
        signing_keys_revoked: usize,
        #[serde(default)]
        password_links_consumed: usize,
    },
    DatabaseWentBack {
        #[serde(default)]
        sessions_ended: usize,
        #[serde(default)]
        personal_tokens_revoked: usize,
        #[serde(default)]
        signing_keys_revoked: usize,
        /// The accounts whose role or status had changed, with a description of the action.
        #[serde(default)]
        accounts: BTreeMap<String, String>,
    },
    /// Details that this version cannot read. It is never written.
    #[serde(skip)]
    Unknown(EventType),
}

/// Reads a member that is present. Null is `Some(None)`.
fn nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl EventDetails {
    /// Reads the details of an event of this type.
    #[must_use]
    pub(super) fn read(event_type: &EventType, details: &Value) -> Self {
        let tagged = Map::from_iter([(event_type.to_string(), details.clone())]);
        serde_json::from_value(tagged.into()).unwrap_or_else(|_| Self::Unknown(event_type.clone()))
    }

    /// Returns the type whose name the variant has.
    #[must_use]
    pub fn event_type(&self) -> EventType {
        self.to_columns().0
    }

    /// Returns the members as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.to_columns().1
    }

    /// Returns the type and the members. Serde writes a variant as an object with one member, whose name is
    /// that of the type.
    pub(super) fn to_columns(&self) -> (EventType, Value) {
        let tagged = match serde_json::to_value(self) {
            Ok(Value::Object(tagged)) => tagged.into_iter().next(),
            _ => None,
        };
        match (self, tagged) {
            (_, Some((name, details))) => (EventType::from(name), details),
            (Self::Unknown(event_type), None) => (event_type.clone(), Map::new().into()),
            (_, None) => (EventType::from(String::new()), Map::new().into()),
        }
    }
}

/// The details that events of every type may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SharedDetails {
    /// The reason why the address is uncertain. See [`AddressDoubt`](super::event::AddressDoubt).
    pub address_doubt: Option<String>,
    /// The client address in `Forwarded`, if it differs.
    pub forwarded_address: Option<String>,
    /// The number of times that the event happened within a minute, if it was repeated.
    pub count: Option<u64>,
    /// The client addresses of the repetitions, if they differ.
    pub other_addresses: Vec<String>,
}

impl SharedDetails {
    /// Reads the members. They have their defaults if one does not fit.
    #[must_use]
    pub(super) fn read(details: &Value) -> Self {
        Self::deserialize(details).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Returns details of each type, with the JSON that the API shows.
    fn samples() -> Vec<(&'static str, EventDetails, Value)> {
        let text = str::to_owned;
        let id = Uuid::nil();
        let at = DateTime::UNIX_EPOCH;
        vec![
            (
                "login_succeeded",
                EventDetails::LoginSucceeded { kind: text("api"), device: None, scope: None },
                json!({ "kind": "api", "device": null, "scope": null }),
            ),
            (
                "login_failed",
                EventDetails::LoginFailed { code: text("invalid_credentials"), known: Some(false) },
                json!({ "code": "invalid_credentials", "known": false }),
            ),
            (
                "login_failed",
                EventDetails::LoginFailed { code: text("wrong_password"), known: None },
                json!({ "code": "wrong_password" }),
            ),
            ("stepped_up", EventDetails::SteppedUp {}, json!({})),
            ("step_up_failed", EventDetails::StepUpFailed {}, json!({})),
            (
                "too_many_attempts",
                EventDetails::TooManyAttempts {
                    by: text("name"),
                    retry_after: Some(3),
                    network: None,
                    limit: None,
                },
                json!({ "by": "name", "retry_after": 3 }),
            ),
            (
                "too_many_attempts",
                EventDetails::TooManyAttempts {
                    by: text("spray"),
                    retry_after: None,
                    network: Some(text("192.0.2.1")),
                    limit: Some(50),
                },
                json!({ "by": "spray", "network": "192.0.2.1", "limit": 50 }),
            ),
            (
                "refresh_repeated",
                EventDetails::RefreshRepeated { presented_generation: 1, live_generation: Some(2) },
                json!({ "presented_generation": 1, "live_generation": 2 }),
            ),
            (
                "refresh_token_reused",
                EventDetails::RefreshTokenReused { presented_generation: 1, live_generation: None },
                json!({ "presented_generation": 1, "live_generation": null }),
            ),
            (
                "session_ended",
                EventDetails::SessionEnded { reason: text("logout"), device: None },
                json!({ "reason": "logout", "device": null }),
            ),
            ("user_created", EventDetails::UserCreated { role: text("member") }, json!({ "role": "member" })),
            (
                "user_updated",
                EventDetails::UserUpdated {
                    username: Some(Some(text("alice"))),
                    email: Some(None),
                    reason: None,
                },
                json!({ "username": "alice", "email": null }),
            ),
            (
                "user_updated",
                EventDetails::UserUpdated { username: None, email: Some(None), reason: Some(text("x")) },
                json!({ "email": null, "reason": "x" }),
            ),
            (
                "user_role_changed",
                EventDetails::UserRoleChanged { from: text("viewer"), to: text("member") },
                json!({ "from": "viewer", "to": "member" }),
            ),
            ("user_disabled", EventDetails::UserDisabled { reason: None }, json!({})),
            ("user_enabled", EventDetails::UserEnabled {}, json!({})),
            ("user_unlocked", EventDetails::UserUnlocked {}, json!({})),
            ("user_deleted", EventDetails::UserDeleted { role: text("member") }, json!({ "role": "member" })),
            (
                "password_changed",
                EventDetails::PasswordChanged { sessions_ended: 2, tokens_revoked: None },
                json!({ "sessions_ended": 2 }),
            ),
            (
                "password_link_created",
                EventDetails::PasswordLinkCreated {
                    expires_at: at,
                    sessions_ended: 2,
                    tokens_revoked: Some(1),
                },
                json!({ "expires_at": at, "sessions_ended": 2, "tokens_revoked": 1 }),
            ),
            (
                "personal_token_created",
                EventDetails::PersonalTokenCreated { token_id: id, name: text("ci"), scope: vec![text("a")] },
                json!({ "token_id": id, "name": "ci", "scope": ["a"] }),
            ),
            (
                "personal_token_revoked",
                EventDetails::PersonalTokenRevoked { token_id: id, name: text("ci"), reason: text("x") },
                json!({ "token_id": id, "name": "ci", "reason": "x" }),
            ),
            (
                "signing_key_published",
                EventDetails::SigningKeyPublished {
                    kid: text("k"),
                    algorithm: text("EdDSA"),
                    signs_from: at,
                },
                json!({ "kid": "k", "algorithm": "EdDSA", "signs_from": at }),
            ),
            (
                "signing_key_revoked",
                EventDetails::SigningKeyRevoked { kid: text("k") },
                json!({ "kid": "k" }),
            ),
            (
                "database_restored",
                EventDetails::DatabaseRestored {
                    since: None,
                    sessions_ended: 1,
                    personal_tokens_revoked: 2,
                    signing_keys_revoked: 3,
                    password_links_consumed: 4,
                },
                json!({ "since": null, "sessions_ended": 1, "personal_tokens_revoked": 2,
                    "signing_keys_revoked": 3, "password_links_consumed": 4 }),
            ),
            (
                "database_went_back",
                EventDetails::DatabaseWentBack {
                    sessions_ended: 1,
                    personal_tokens_revoked: 2,
                    signing_keys_revoked: 3,
                    accounts: BTreeMap::from([(text("alice"), text("disabled"))]),
                },
                json!({ "sessions_ended": 1, "personal_tokens_revoked": 2, "signing_keys_revoked": 3,
                    "accounts": { "alice": "disabled" } }),
            ),
        ]
    }

    #[test]
    fn every_variant_has_the_name_of_its_type() {
        let mut names: Vec<&str> = samples().iter().map(|(name, ..)| *name).collect();
        names.dedup();
        assert_eq!(names, EventType::NAMES, "each type has details here");
        for (name, details, _) in samples() {
            assert_eq!(details.event_type(), EventType::from(name));
        }
    }

    #[test]
    fn every_variant_is_read_as_it_is_written() {
        for (name, details, json) in samples() {
            assert_eq!(details.to_json(), json, "{name}");
            assert_eq!(EventDetails::read(&name.into(), &json), details);
        }
    }

    #[test]
    fn members_may_be_absent_or_unknown() {
        for name in EventType::NAMES {
            let read = EventDetails::read(&(*name).into(), &json!({ "of_a_later_version": 1, "count": 2 }));
            assert!(!matches!(read, EventDetails::Unknown(_)), "{name}");
            assert_eq!(read.event_type().as_str(), *name);
        }
        let ended = EventDetails::read(&EventType::SessionEnded, &json!({ "reason": "logout", "later": 1 }));
        assert_eq!(ended, EventDetails::SessionEnded { reason: "logout".into(), device: None });
    }

    #[test]
    fn unreadable_details_are_unknown() {
        for (name, details) in [
            ("of_a_later_version", json!({ "reason": "logout" })),
            ("unknown", json!({})),
            ("session_ended", json!({ "reason": 7 })),
            ("session_ended", json!(null)),
        ] {
            let read = EventDetails::read(&name.into(), &details);
            assert_eq!(read, EventDetails::Unknown(name.into()));
            assert_eq!(read.event_type().as_str(), name);
        }
    }

    #[test]
    fn shared_details_are_read_from_every_type() {
        let details = json!({ "reason": "logout", "count": 3, "other_addresses": ["192.0.2.2"] });
        let shared = SharedDetails::read(&details);
        assert_eq!((shared.count, shared.other_addresses), (Some(3), vec!["192.0.2.2".to_owned()]));
        assert_eq!(SharedDetails::read(&json!({ "count": "x" })), SharedDetails::default());
    }
}
