//! The names of everything that the migrations create, including what a later one drops: an older backup or
//! database may still contain it. Tests compare the lists with the migrations and with a migrated database.

/// The tables. Each also has a row type of its name.
pub const TABLES: [&str; 18] = [
    "attempts",
    "audit_events",
    "former_secrets",
    "instance",
    "known_addresses",
    "login_names",
    "nodes",
    "notes",
    "password_links",
    "personal_tokens",
    "refresh_tokens",
    "refusal_counts",
    "refusals",
    "revocations",
    "roles",
    "sessions",
    "signing_keys",
    "users",
];

/// The indexes with names of their own. PostgreSQL names those of constraints, and avoids names that are
/// taken.
pub const INDEXES: [&str; 27] = [
    "audit_events_actor_id",
    "audit_events_occurred_at",
    "audit_events_request_id",
    "audit_events_session_id",
    "audit_events_subject_id",
    "audit_events_type",
    "former_secrets_session_id",
    "known_addresses_last_used_at",
    "login_names_user_id",
    "notes_owner_id",
    "notes_shared",
    "password_links_user_id",
    "personal_tokens_user_id",
    "refusals_code",
    "refusals_lane",
    "refusals_occurred_at",
    "refusals_request_id",
    "refusals_user_id",
    "revocations_matters_until",
    "revocations_subject",
    "revocations_transaction",
    "sessions_expires_at",
    "sessions_user_id",
    "users_email_trigrams",
    "users_password_cost",
    "users_role",
    "users_username_trigrams",
];

/// The functions.
pub const FUNCTIONS: [&str; 8] = [
    "announce_revocation",
    "attempt_wait",
    "event_counted",
    "event_repeat_key",
    "keep_login_names",
    "note_presentable_until",
    "retire_replaced_signing_keys",
    "unfold_changed_note",
];
