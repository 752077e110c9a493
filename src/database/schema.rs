// @generated automatically by Diesel CLI.

diesel::table! {
    attempts (kind, digest) {
        kind -> Text,
        digest -> Bytea,
        level -> Float8,
        pending -> Int4,
        counted_at -> Timestamptz,
        next_at -> Timestamptz,
        noted_at -> Nullable<Timestamptz>,
        free -> Nullable<Int4>,
        successes -> Int8,
    }
}

diesel::table! {
    audit_events (id) {
        id -> Uuid,
        occurred_at -> Timestamptz,
        #[sql_name = "type"]
        type_ -> Text,
        actor_id -> Nullable<Uuid>,
        actor_name -> Nullable<Text>,
        subject_id -> Nullable<Uuid>,
        subject_name -> Nullable<Text>,
        session_id -> Nullable<Uuid>,
        address -> Nullable<Text>,
        request_id -> Nullable<Uuid>,
        details -> Jsonb,
        repeat_key -> Nullable<Uuid>,
    }
}

diesel::table! {
    former_secrets (digest) {
        digest -> Bytea,
        session_id -> Uuid,
        successor -> Int4,
        auth_time -> Timestamptz,
        replaced_at -> Timestamptz,
        superseded_at -> Nullable<Timestamptz>,
        is_over -> Bool,
        generation -> Nullable<Int4>,
        rotated_at -> Array<Timestamptz>,
    }
}

diesel::table! {
    instance (only_row) {
        only_row -> Bool,
        check_value -> Bytea,
        created_at -> Timestamptz,
        sealed_cookie_key -> Nullable<Bytea>,
    }
}

diesel::table! {
    known_addresses (user_id, network) {
        user_id -> Uuid,
        network -> Text,
        last_used_at -> Timestamptz,
    }
}

diesel::table! {
    login_names (folded) {
        folded -> Text,
        user_id -> Uuid,
        alias_of -> Nullable<Text>,
    }
}

diesel::table! {
    nodes (id) {
        id -> Uuid,
        name -> Text,
        version -> Text,
        access_ttl_seconds -> Int8,
        settings -> Jsonb,
        started_at -> Timestamptz,
        seen_at -> Timestamptz,
    }
}

diesel::table! {
    notes (id) {
        id -> Uuid,
        owner_id -> Uuid,
        title -> Text,
        body -> Text,
        shared -> Bool,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        search_text -> Nullable<Text>,
    }
}

diesel::table! {
    password_links (digest) {
        digest -> Bytea,
        user_id -> Uuid,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        consumed_at -> Nullable<Timestamptz>,
        revokes_tokens -> Bool,
    }
}

diesel::table! {
    personal_tokens (id) {
        id -> Uuid,
        user_id -> Nullable<Uuid>,
        name -> Text,
        digest -> Bytea,
        scope -> Array<Text>,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        last_used_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        revoked_reason -> Nullable<Text>,
    }
}

diesel::table! {
    refusal_counts (day, code) {
        day -> Date,
        code -> Text,
        count -> Int8,
    }
}

diesel::table! {
    refusals (position) {
        position -> Int8,
        request_id -> Uuid,
        lane -> Text,
        occurred_at -> Timestamptz,
        method -> Text,
        route -> Text,
        path -> Text,
        status -> Int2,
        address -> Nullable<Text>,
        peer -> Nullable<Text>,
        forwarded_for -> Nullable<Text>,
        credential_kind -> Nullable<Text>,
        credential_id -> Nullable<Uuid>,
        session_id -> Nullable<Uuid>,
        user_id -> Nullable<Uuid>,
        code -> Nullable<Text>,
        problem -> Jsonb,
        checks -> Jsonb,
    }
}

diesel::table! {
    refresh_tokens (session_id) {
        session_id -> Uuid,
        secret_digest -> Bytea,
        generation -> Int4,
        used_generation -> Int4,
        rotated_at -> Array<Timestamptz>,
        expires_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
        ended_reason -> Nullable<Text>,
        outcome -> Text,
        first_generation -> Int4,
        renewals -> Int4,
    }
}

diesel::table! {
    revocations (position) {
        position -> Int8,
        kind -> Text,
        subject -> Text,
        least_version -> Nullable<Int8>,
        reason -> Text,
        revoked_at -> Timestamptz,
        matters_until -> Timestamptz,
        transaction -> Int8,
    }
}

diesel::table! {
    roles (name) {
        name -> Text,
        permissions -> Array<Text>,
    }
}

diesel::table! {
    sessions (id) {
        id -> Uuid,
        user_id -> Nullable<Uuid>,
        kind -> Text,
        device -> Nullable<Text>,
        address -> Nullable<Text>,
        scope -> Nullable<Array<Text>>,
        auth_time -> Timestamptz,
        created_at -> Timestamptz,
        last_used_at -> Timestamptz,
        expires_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
        ended_reason -> Nullable<Text>,
        cookie_digest -> Nullable<Bytea>,
        idle_seconds -> Nullable<Int4>,
        is_kept -> Nullable<Bool>,
        presentable_until -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    signing_keys (kid) {
        kid -> Text,
        algorithm -> Text,
        sealed_key -> Bytea,
        public_jwk -> Jsonb,
        published_at -> Timestamptz,
        signs_from -> Timestamptz,
        retires_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        longest_ttl_seconds -> Int8,
    }
}

diesel::table! {
    users (id) {
        id -> Uuid,
        username -> Text,
        username_folded -> Text,
        email -> Nullable<Text>,
        email_folded -> Nullable<Text>,
        password_hash -> Nullable<Text>,
        password_cost -> Nullable<Int2>,
        role -> Text,
        status -> Text,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        last_login_at -> Nullable<Timestamptz>,
    }
}

diesel::joinable!(users -> roles (role));
diesel::joinable!(known_addresses -> users (user_id));
diesel::joinable!(login_names -> users (user_id));
diesel::joinable!(password_links -> users (user_id));
diesel::joinable!(sessions -> users (user_id));
diesel::joinable!(refresh_tokens -> sessions (session_id));
diesel::joinable!(former_secrets -> sessions (session_id));
diesel::joinable!(personal_tokens -> users (user_id));
diesel::joinable!(notes -> users (owner_id));

diesel::allow_tables_to_appear_in_same_query!(
    attempts,
    audit_events,
    former_secrets,
    instance,
    known_addresses,
    login_names,
    nodes,
    notes,
    password_links,
    personal_tokens,
    refresh_tokens,
    refusal_counts,
    refusals,
    revocations,
    roles,
    sessions,
    signing_keys,
    users,
);
