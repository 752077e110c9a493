//! The words of the OpenAPI document: its groups, and a sentence for each operation.

/// A group of operations in the OpenAPI document.
pub(super) struct Tag {
    /// The tag in the code of the handlers.
    pub name: &'static str,
    pub title: &'static str,
    pub about: &'static str,
}

/// The groups, in the order of the reference.
pub(super) const TAGS: [Tag; 8] = [
    Tag {
        name: "auth",
        title: "Sign in and tokens",
        about: "Sign in, refresh and sign out, and find out why a request was refused.",
    },
    Tag {
        name: "me",
        title: "Your account",
        about: "The account of the caller, with its sessions and personal access tokens.",
    },
    Tag {
        name: "users",
        title: "Users",
        about: "Manage the accounts of others, up to the permissions that you have.",
    },
    Tag { name: "audit", title: "Audit log", about: "What happened to accounts, and who did it." },
    Tag { name: "notes", title: "Notes", about: "A guarded resource, as an example for your own." },
    Tag {
        name: "simplejwt",
        title: "djangorestframework-simplejwt",
        about: "The routes of djangorestframework-simplejwt, for clients that already use them.",
    },
    Tag {
        name: "operation",
        title: "Health and keys",
        about: "Health checks for load balancers, and the keys that verify access tokens.",
    },
    Tag {
        name: "documentation",
        title: "This document",
        about: "The description of the API for programs that generate clients.",
    },
];

/// A sentence for each operation, by its `operationId`, in the order of the reference.
const SUMMARIES: [(&str, &str); 42] = [
    ("auth_login", "Sign in with a password."),
    ("auth_refresh", "Exchange a refresh token for a new access token."),
    ("auth_logout", "Sign out by ending the session."),
    ("auth_register", "Create your own account."),
    ("auth_step_up", "Enter the password again, for what needs a recent sign-in."),
    ("auth_explain", "Explain why a token or a request is accepted or refused."),
    ("me_show", "Get your account."),
    ("me_update", "Update your account."),
    ("me_password_change", "Change your password."),
    ("me_sessions_list", "List your active sessions."),
    ("me_sessions_end_others", "End all your sessions except this one."),
    ("me_sessions_end", "End one of your sessions."),
    ("me_tokens_list", "List your personal access tokens."),
    ("me_tokens_create", "Create a personal access token."),
    ("me_tokens_revoke", "Revoke one of your personal access tokens."),
    ("users_list", "List users, newest first."),
    ("users_create", "Create a user."),
    ("users_show", "Get a user."),
    ("users_update", "Update a user."),
    ("users_delete", "Delete a user and their data."),
    ("users_password_set", "Set a user's password, or create a link with which they set it."),
    ("users_sessions_list", "List the active sessions of a user."),
    ("users_sessions_end_all", "End all sessions of a user."),
    ("users_sessions_end", "End one session of a user."),
    ("users_tokens_list", "List the personal access tokens of a user."),
    ("users_tokens_revoke_all", "Revoke all personal access tokens of a user."),
    ("users_tokens_revoke", "Revoke one personal access token of a user."),
    ("audit_events_list", "List the events of the audit log, newest first."),
    ("notes_list", "List your notes and the shared ones, newest first."),
    ("notes_create", "Create a note."),
    ("notes_show", "Get a note."),
    ("notes_update", "Change some members of a note."),
    ("notes_replace", "Replace the content of a note."),
    ("notes_delete", "Delete a note."),
    ("simplejwt_obtain", "Sign in with a password, like TokenObtainPairView."),
    ("simplejwt_refresh", "Get a new access token, like TokenRefreshView."),
    ("simplejwt_verify", "Check a token, like TokenVerifyView."),
    ("simplejwt_blacklist", "End the session of a refresh token, like TokenBlacklistView."),
    ("healthz", "Check that the process is alive."),
    ("readyz", "Check that the server is ready for requests."),
    ("jwks", "Get the public keys that verify access tokens."),
    ("openapi_json", "Get this description of the API."),
];

/// Returns the place of an operation among the others of its group.
pub(super) fn position(operation_id: &str) -> Option<usize> {
    SUMMARIES.iter().position(|(id, _)| *id == operation_id)
}

/// Returns the sentence for an operation.
pub(super) fn summary(operation_id: &str) -> Option<&'static str> {
    SUMMARIES.iter().find(|(id, _)| *id == operation_id).map(|(_, summary)| *summary)
}
