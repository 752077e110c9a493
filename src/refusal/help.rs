//! The help text of each code: its meaning, its causes and what to do. It is shown at `/problems/{code}`.

use serde::Serialize;

/// The help page of a code.
#[derive(Debug, Serialize)]
pub struct HelpPage {
    pub meaning: &'static str,
    /// The usual causes.
    pub causes: &'static [&'static str],
    /// Advice for the developers of clients.
    pub for_client: &'static str,
    /// Advice for users who meet the refusal.
    pub for_user: &'static str,
    /// Advice for the operator of this server.
    pub for_operator: &'static str,
    /// A request that causes the refusal, and its response; see [`Example::read`].
    #[serde(skip)]
    pub example: &'static str,
}

/// A request that causes a refusal, and its response when the examples were last run. `$BASE` is the
/// public URL.
#[derive(Clone, Debug, Serialize)]
pub struct Example {
    /// The meaning of the command's variables, if it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given: Option<String>,
    /// The shell command.
    pub command: String,
    /// The response: the status line, the relevant headers and the body.
    pub answer: String,
}

impl Example {
    /// Parses an example: an optional line that begins with `# `, the command, an empty line, the response.
    #[must_use]
    pub fn read(text: &str, base: &str) -> Self {
        let (request, answer) = text.split_once("\n\n").unwrap_or((text, ""));
        let (given, command) = match request.strip_prefix("# ").and_then(|request| request.split_once('\n')) {
            Some((given, command)) => (Some(given.to_owned()), command),
            None => (None, request),
        };
        let in_place = |text: &str| text.replace("$BASE", base).trim_end().to_owned();
        Self { given, command: in_place(command), answer: in_place(answer) }
    }
}

pub(super) static CREDENTIALS_MISSING: HelpPage = HelpPage {
    meaning: "The request needs a credential, and none was sent.",
    causes: &[
        "No Authorization header was set.",
        "A proxy dropped the header, or the client dropped it when it followed a redirect to another host.",
        "The token was sent in the query string, which is never read for tokens.",
    ],
    for_client: "Sign in at POST /api/v1/auth/login and send `Authorization: Bearer <access token>` with every request.",
    for_user: "Sign in. If you are signed in, the program did not send your token: tell its developer.",
    for_operator: "If the clients do send the header, check the proxies in front of this server. Some remove \
                   Authorization unless configured to pass it on.",
    example: include_str!("examples/credentials_missing.txt"),
};

pub(super) static SCHEME_UNSUPPORTED: HelpPage = HelpPage {
    meaning: "The Authorization header uses a scheme that this server does not support.",
    causes: &[
        "`Token …`, as in Django REST framework, or `JWT …`, as in older clients.",
        "A tool chose Digest or Negotiate automatically.",
        "The token was sent alone, without a scheme in front of it.",
    ],
    for_client: "Send `Authorization: Bearer <token>`, or `Basic` with a personal access token as the \
                 password.",
    for_user: "Your account is fine. Tell the program's developer what this page says.",
    for_operator: "No action needed. The `scheme` member shows what the client sent.",
    example: include_str!("examples/scheme_unsupported.txt"),
};

pub(super) static CREDENTIALS_MALFORMED: HelpPage = HelpPage {
    meaning: "The Authorization header has a supported scheme, but its credential cannot be read.",
    causes: &[
        "`Bearer` is followed by nothing, because the variable that should hold the token is empty.",
        "The token contains a line break or a space.",
        "The `Basic` value is not the Base64 encoding of `name:token`.",
    ],
    for_client: "Print the header that you send. It must have one scheme, one space and one token.",
    for_user: "Copy the whole token again and paste it as one line where the program asks for it.",
    for_operator: "No action needed.",
    example: include_str!("examples/credentials_malformed.txt"),
};

pub(super) static CREDENTIALS_AMBIGUOUS: HelpPage = HelpPage {
    meaning: "The request has two Authorization headers, so it is unclear which one to use.",
    causes: &[
        "The client library sets one header and the calling code adds another.",
        "A proxy adds its own header beside the client's.",
    ],
    for_client: "Send exactly one Authorization header.",
    for_user: "Your account is fine. Tell the program's developer what this page says.",
    for_operator: "If a proxy adds a header, configure it to replace the client's or to leave it alone.",
    example: include_str!("examples/credentials_ambiguous.txt"),
};

pub(super) static TOKEN_MALFORMED: HelpPage = HelpPage {
    meaning: "The token is not a JWT. It does not start with one of this server's prefixes either, or its \
              checksum is wrong.",
    causes: &[
        "The token was not copied completely.",
        "The token belongs to another service.",
        "A password was sent in Basic, which accepts only a personal access token.",
    ],
    for_client: "Copy the whole token again. Personal access tokens start with dwp_, refresh tokens with \
                 dwr_.",
    for_user: "Copy the whole token again and paste it. Programs that ask for a token do not accept your \
               password.",
    for_operator: "Many of these from one address mean that someone is guessing tokens.",
    example: include_str!("examples/token_malformed.txt"),
};

pub(super) static TOKEN_SIGNATURE_INVALID: HelpPage = HelpPage {
    meaning: "The token has the right form, but no key of this server signed it.",
    causes: &[
        "Another installation issued the token, for example production instead of staging.",
        "The key that signed the token was revoked.",
        "The token was forged, or altered on the way.",
    ],
    for_client: "Refresh the token. If that fails too, sign in again.",
    for_user: "Sign in again. Make sure that you use this installation and not another one.",
    for_operator: "After `doorward key revoke`, every token that the revoked key signed gets this \
                   response. Otherwise check that all nodes use the same database and the same secret keys.",
    example: include_str!("examples/token_signature_invalid.txt"),
};

pub(super) static TOKEN_EXPIRED: HelpPage = HelpPage {
    meaning: "The token was valid, but it has expired.",
    causes: &[
        "Access tokens are valid for a few minutes only, on purpose.",
        "The client does not refresh its token, or does so only after an error that it does not handle.",
        "The client's machine was asleep.",
    ],
    for_client: "Refresh the token and send the request again, once. If a personal access token has expired, \
                 sign in and create a new one.",
    for_user: "Most programs renew the token automatically. If yours does not, sign in again. If a script's \
               token has expired, create a new one on your account page.",
    for_operator: "DOORWARD_ACCESS_TOKEN_TTL sets how long access tokens are valid.",
    example: include_str!("examples/token_expired.txt"),
};

pub(super) static TOKEN_NOT_YET_VALID: HelpPage = HelpPage {
    meaning: "The token becomes valid at a time that is more than 5 s in the future.",
    causes: &["The clocks of two nodes differ.", "The clock of this node was set back."],
    for_client: "Wait until `valid_from`. The client's clock does not matter.",
    for_user: "Wait a moment and try again. Your own clock does not matter.",
    for_operator: "Run a time service such as NTP on every node. `server_time` in the body shows this node's \
                   clock.",
    example: include_str!("examples/token_not_yet_valid.txt"),
};

pub(super) static TOKEN_ISSUER_MISMATCH: HelpPage = HelpPage {
    meaning: "A key of this server signed the token, but for another public URL.",
    causes: &["DOORWARD_PUBLIC_URL was changed.", "Two installations share a database."],
    for_client: "Refresh the token. The new one is issued for this server.",
    for_user: "Sign in again.",
    for_operator: "Set the same DOORWARD_PUBLIC_URL on every node, and do not change it.",
    example: include_str!("examples/token_issuer_mismatch.txt"),
};

pub(super) static TOKEN_AUDIENCE_MISMATCH: HelpPage = HelpPage {
    meaning: "A key of this server signed the token, but for other services.",
    causes: &["The client sent a token that was issued for another service."],
    for_client: "Send the token that was issued for this server, or refresh it here.",
    for_user: "Sign in again. If that does not help, tell the program's developer what this page says.",
    for_operator: "DOORWARD_AUDIENCES lists additional audiences. The public URL is always included.",
    example: include_str!("examples/token_audience_mismatch.txt"),
};

pub(super) static TOKEN_TYPE_MISMATCH: HelpPage = HelpPage {
    meaning: "The token is genuine, but this endpoint needs another type of token.",
    causes: &[
        "The client sent the refresh token as its access token.",
        "The client sent the access token to the refresh endpoint.",
    ],
    for_client: "Send the access token in the Authorization header. Send the refresh token in the body of \
                 POST /api/v1/auth/refresh.",
    for_user: "Your account is fine. Tell the program's developer what this page says.",
    for_operator: "No action needed.",
    example: include_str!("examples/token_type_mismatch.txt"),
};

pub(super) static TOKEN_UNKNOWN: HelpPage = HelpPage {
    meaning: "The token has the right form, but this server's database does not have it.",
    causes: &[
        "The personal access token belongs to another installation.",
        "The token expired so long ago that its record was deleted.",
        "In Basic, the username is not that of the token's owner.",
        "The session cookie is older than a step-up or a password change (`reason` is `session_renewed`). \
         The new cookie has been used since, or the password was changed.",
    ],
    for_client: "Sign in and create a new personal access token. With Basic, send the username of the \
                 token's owner.",
    for_user: "Sign in again. If this is a script's token, create a new one on your account page.",
    for_operator: "After a restore, tokens that were created after the backup are unknown.",
    example: include_str!("examples/token_unknown.txt"),
};

pub(super) static TOKEN_REVOKED: HelpPage = HelpPage {
    meaning: "The token was valid, but it was revoked before it expired.",
    causes: &[
        "The owner or an administrator revoked the personal access token, or an administrator reset the \
         owner's password.",
        "The user's role or status changed, so access tokens issued before the change are no longer \
         accepted.",
        "A step-up replaced the access token (`reason` is `session_renewed`), and the new one has been used.",
        "The database was restored to an earlier state and no longer knows which tokens were revoked since \
         then.",
    ],
    for_client: "If it is an access token, refresh it: the session is still active. If it is a personal \
                 access token (`terminal` is true), create a new one.",
    for_user: "Your account page shows when and why your token was revoked. If it was not you, change your \
               password.",
    for_operator: "The audit log shows who revoked it and when.",
    example: include_str!("examples/token_revoked.txt"),
};

pub(super) static SESSION_ENDED: HelpPage = HelpPage {
    meaning: "The session that the token belongs to was ended.",
    causes: &[
        "The user signed out.",
        "The user ended the session from another device, or changed the password.",
        "A used refresh token was presented again, which ended the session.",
        "The database was restored to an earlier state and no longer knows which sessions ended since then.",
    ],
    for_client: "Discard both tokens and sign in again. `reason` says why the session ended.",
    for_user: "Sign in again. If you did not sign out, check the activity on your account page. It shows who \
               ended the session.",
    for_operator: "The audit log has a `session_ended` event with the session's id and who ended it. If a \
                   used refresh token ended it, the event is `refresh_token_reused`, with the address that \
                   presented the token.",
    example: include_str!("examples/session_ended.txt"),
};

pub(super) static SESSION_EXPIRED: HelpPage = HelpPage {
    meaning: "The session was not refreshed within its idle lifetime, or it reached its maximum lifetime.",
    causes: &[
        "The client did not refresh the session for longer than a refresh token is valid.",
        "The session reached its maximum lifetime.",
    ],
    for_client: "Discard both tokens and sign in again.",
    for_user: "Sign in again. You were away for longer than a session lasts.",
    for_operator: "DOORWARD_REFRESH_TOKEN_TTL sets the idle lifetime, and DOORWARD_SESSION_TTL sets the \
                   maximum lifetime.",
    example: include_str!("examples/session_expired.txt"),
};

pub(super) static AUTHENTICATION_TOO_OLD: HelpPage = HelpPage {
    meaning: "The request grants power, so it requires a more recent sign-in than the session's (RFC 9470).",
    causes: &[
        "The user signed in more than 15 minutes ago (the default), and now creates a token or manages \
         users.",
    ],
    for_client: "Ask the user for the password, send it to POST /api/v1/auth/step-up, and repeat the request \
                 with the new access token. Store the new refresh token: it replaces the one you have.",
    for_user: "Enter your password again. This action requires a recent sign-in.",
    for_operator: "DOORWARD_STEP_UP_MAX_AGE sets how old the sign-in may be.",
    example: include_str!("examples/authentication_too_old.txt"),
};

pub(super) static ACCOUNT_DISABLED: HelpPage = HelpPage {
    meaning: "An administrator disabled the account. Its sessions, access tokens and personal tokens are all \
              refused with this code.",
    causes: &["The person has left, or the account was misused."],
    for_client: "Show the detail to the user, and keep the tokens. Once the account is enabled again, \
                 refresh the access token. Sessions that have not ended continue to work.",
    for_user: "Ask the operator of this service why, and ask them to enable the account again.",
    for_operator: "`doorward user enable <name>` or PATCH /api/v1/users/{id} enables the account again, with \
                   its remaining sessions and personal tokens. To end those first, run `doorward user logout \
                   <name>` and `doorward token revoke --all-of <name>`.",
    example: include_str!("examples/account_disabled.txt"),
};

pub(super) static ACCOUNT_DELETED: HelpPage = HelpPage {
    meaning: "The credential's account no longer exists.",
    causes: &["An administrator deleted it."],
    for_client: "Discard the tokens.",
    for_user: "Ask the operator of this service. A deleted account cannot be restored.",
    for_operator: "The audit log shows who deleted it and when.",
    example: include_str!("examples/account_deleted.txt"),
};

pub(super) static INVALID_CREDENTIALS: HelpPage = HelpPage {
    meaning: "The username or the password is wrong. The response is the same, and takes the same time, if \
              no such account exists.",
    causes: &[
        "A typo, or a different keyboard layout.",
        "The password was changed, or an administrator created a link to set a new one.",
    ],
    for_client: "Ask the user for the username and the password again. Do not retry automatically.",
    for_user: "Enter your username and your password again. The operator of this service can send you a link \
               to set a new password.",
    for_operator: "The audit log has a login_failed event with the name that was entered. `known` in its \
                   details says whether the account exists.",
    example: include_str!("examples/invalid_credentials.txt"),
};

pub(super) static REFRESH_TOKEN_REUSED: HelpPage = HelpPage {
    meaning: "A used refresh token was presented again after its replacement had been used. Two parties have \
              a copy, so the session was ended.",
    causes: &[
        "The client keeps the old refresh token and ignores the new one.",
        "The client keeps its refresh token from before a step-up and ignores the one in the response.",
        "Two processes share one refresh token, but not the tokens that replace it.",
        "The token was stolen.",
    ],
    for_client: "Discard both tokens and sign in again. Store the new refresh token before using the new access token.",
    for_user: "Sign in again. If this happens again, or your account's activity shows an address that you do \
               not know, change your password.",
    for_operator: "The audit log has a refresh_token_reused event with the address that presented the token.",
    example: include_str!("examples/refresh_token_reused.txt"),
};

pub(super) static REFRESH_TOKEN_UNKNOWN: HelpPage = HelpPage {
    meaning: "The refresh token is genuine, but its session no longer exists.",
    causes: &[
        "The session expired so long ago that its record was deleted.",
        "The database was restored from a backup that is older than the session.",
    ],
    for_client: "Discard both tokens and sign in again.",
    for_user: "Sign in again.",
    for_operator: "Expected after a restore, for sessions that started after the backup.",
    example: include_str!("examples/refresh_token_unknown.txt"),
};

pub(super) static INSUFFICIENT_SCOPE: HelpPage = HelpPage {
    meaning: "The user has the permission, but the credential's scope does not include it.",
    causes: &[
        "The client asked for a narrower scope when the user signed in.",
        "The personal access token was created for something else.",
        "A personal access token tries to change its owner's account, or an account that can change it. That \
         needs `account:write`, which personal access tokens cannot have.",
    ],
    for_client: "Refresh or sign in with the scope in `required`, or use another token.",
    for_user: "You may do this, but not with this token. Sign in again, or create a token with this scope on \
               your account page.",
    for_operator: "No action needed. The user has the permission.",
    example: include_str!("examples/insufficient_scope.txt"),
};

pub(super) static PERMISSION_DENIED: HelpPage = HelpPage {
    meaning: "The user's role does not have the permission that this request needs.",
    causes: &[
        "A viewer tries to change something.",
        "Someone who is not an administrator manages users, or changes an account that has more permissions \
         than theirs.",
    ],
    for_client: "Tell the user. Another token does not help.",
    for_user: "Ask an administrator for a role with this permission.",
    for_operator: "`doorward user set-role <name> <role>` changes the user's role.",
    example: include_str!("examples/permission_denied.txt"),
};

pub(super) static NOT_OWNER: HelpPage = HelpPage {
    meaning: "The user can see the object, but it belongs to someone else.",
    causes: &["Everyone can read a shared note, but only its owner can change it."],
    for_client: "Show it as read-only, or make a copy.",
    for_user: "Ask its owner to change it, or make your own copy.",
    for_operator: "The permission `notes:manage` lets a user change the notes of others.",
    example: include_str!("examples/not_owner.txt"),
};

pub(super) static CSRF_FAILED: HelpPage = HelpPage {
    meaning: "A browser sent the credential automatically, and nothing proves that the user wanted this \
              request.",
    causes: &[
        "A form or script on another site sent the request.",
        "The browser remembers a Basic credential and sent it.",
    ],
    for_client: "Send the token as `Authorization: Bearer`, which browsers never send automatically.",
    for_user: "Go back, reload the page and try again. If another site led you here, leave it.",
    for_operator: "Many of these mean that a site tries to make your users' browsers send requests.",
    example: include_str!("examples/csrf_failed.txt"),
};

pub(super) static PREFLIGHT_REFUSED: HelpPage = HelpPage {
    meaning: "A browser asked whether a script from another origin may send this request. This server does \
              not allow it.",
    causes: &[
        "The script's origin is not in DOORWARD_CORS_ORIGINS. Scheme, host and port must match exactly.",
        "A library adds a request header that scripts from other origins cannot send.",
        "The page was opened at an address other than DOORWARD_PUBLIC_URL, so its own requests count as \
         cross-origin.",
    ],
    for_client: "Open the preflight response in the browser's network panel. Its `detail` names the origin, \
                 method or header that is not allowed. Use another method, leave the header out, or ask the \
                 operator to allow the origin.",
    for_user: "Your account is fine. Tell the program's developer what this page says.",
    for_operator: "If scripts from this origin should call this server, add the origin to \
                   DOORWARD_CORS_ORIGINS.",
    example: include_str!("examples/preflight_refused.txt"),
};

pub(super) static TOO_MANY_ATTEMPTS: HelpPage = HelpPage {
    meaning: "There were too many attempts before this one, so it was not made and no password was checked. \
              Each further failed attempt doubles the next wait, up to a limit. Attempts that get this \
              response do not.",
    causes: &[
        "Wrong passwords were sent for the account. Attempts from where its user has signed in before are \
         counted separately, so attackers elsewhere cannot delay the user.",
        "Too many sign-ins failed, or too many accounts were created, from the same address.",
        "The same address sent many unknown refresh tokens or one-time links.",
        "A client retries without waiting.",
    ],
    for_client: "Wait for the number of seconds in `Retry-After`, and do not send a wrong password again. \
                 Refreshing an active session still works.",
    for_user: "Wait for as long as the response says, then try again. Or sign in from where you have signed \
               in before. The operator of this service can lift the wait.",
    for_operator: "The audit log has one `too_many_attempts` event for each burst, with the address and what \
                   was counted. doorward_attempts_held_total counts all of them. `doorward user unlock` \
                   lifts an account's wait. DOORWARD_LOGIN_FAILURES and the settings beside it set the \
                   limits. `by: spray` names a network that tried wrong passwords for many accounts that \
                   have signed in from there; doorward_password_spray_failures_total counts them. If all \
                   requests seem to come from one address, set DOORWARD_TRUSTED_PROXIES. If \
                   doorward_addresses_in_doubt_total grows, set DOORWARD_PROXY_HEADER.",
    example: include_str!("examples/too_many_attempts.txt"),
};

pub(super) static OVERLOADED: HelpPage = HelpPage {
    meaning: "More requests arrive than the server can answer in time, so it refused this one immediately.",
    causes: &[
        "There are too many sign-ins at once. Each costs a password hash.",
        "Your network, account or user has more requests waiting than any other. Its newest requests are \
         refused first.",
        "Requests arrive faster than the database can answer them.",
        "A search took too long. The detail then asks to narrow it.",
        "You, or others on your network, requested large responses and have not read them.",
    ],
    for_client: "Wait for the number of seconds in `Retry-After` and try again. Nothing was changed. Narrow \
                 a search before you send it again. Read each response to its end, or close its connection. \
                 Request fewer large pages at once.",
    for_user: "Wait a moment and try again. Your account is fine.",
    for_operator: "The metrics show the length of both queues (doorward_pool_waiting) and the number of \
                   refused requests by lane (doorward_pool_shed_total): signed_in, known_address, ordinary, \
                   expensive.",
    example: include_str!("examples/overloaded.txt"),
};

pub(super) static DATABASE_UNAVAILABLE: HelpPage = HelpPage {
    meaning: "The database cannot be reached or does not respond. This says nothing about the credential.",
    causes: &[
        "PostgreSQL is restarting, or its disk is full.",
        "The network between this server and the database is down.",
    ],
    for_client: "Keep your tokens, wait for the number of seconds in `Retry-After`, and try again. A refresh \
                 can be repeated safely.",
    for_user: "Wait a moment and try again. You are still signed in.",
    for_operator: "The log shows the error from PostgreSQL. /readyz shows only whether PostgreSQL responds. \
                   The service resumes automatically once PostgreSQL works again.",
    example: include_str!("examples/database_unavailable.txt"),
};

pub(super) static MALFORMED_JSON: HelpPage = HelpPage {
    meaning: "The body cannot be read as JSON.",
    causes: &[
        "A quote or a brace is missing.",
        "The shell removed the quotes.",
        "The body is nested too deeply, or contains a number or an escape that cannot be represented.",
        "The body ended too early, or did not arrive within 10 s.",
    ],
    for_client: "Check the line and the column that the detail names.",
    for_user: "Your account is fine. Tell the program's developer what this page says.",
    for_operator: "No action needed.",
    example: include_str!("examples/malformed_json.txt"),
};

pub(super) static VALIDATION_FAILED: HelpPage = HelpPage {
    meaning: "The request can be read, but some values in it are invalid. All errors are listed at once.",
    causes: &[
        "A member is missing, misspelled or has the wrong type.",
        "A query parameter is unknown. Every API endpoint refuses those that it does not read.",
        "A text is too long, or a password is too common.",
        "A member, a parameter or a field was sent twice.",
    ],
    for_client: "Correct every entry of `errors`. Each entry's `pointer` shows where the error is.",
    for_user: "Correct the fields that the form marks.",
    for_operator: "No action needed.",
    example: include_str!("examples/validation_failed.txt"),
};

pub(super) static UNSUPPORTED_MEDIA_TYPE: HelpPage = HelpPage {
    meaning: "This endpoint does not accept the body's media type.",
    causes: &["Content-Type is missing, or says that the body is a form."],
    for_client: "Send `Content-Type: application/json`.",
    for_user: "Your account is fine. Tell the program's developer what this page says.",
    for_operator: "No action needed.",
    example: include_str!("examples/unsupported_media_type.txt"),
};

pub(super) static PAYLOAD_TOO_LARGE: HelpPage = HelpPage {
    meaning: "The body is larger than 64 KiB.",
    causes: &["A file was sent instead of text."],
    for_client: "Send a smaller body.",
    for_user: "Send something shorter.",
    for_operator: "No action needed.",
    example: include_str!("examples/payload_too_large.txt"),
};

pub(super) static NOT_FOUND: HelpPage = HelpPage {
    meaning: "Nothing exists at this address, or the user does not have access to it.",
    causes: &[
        "A typo in the path.",
        "The object was deleted.",
        "The object is private and belongs to someone else.",
    ],
    for_client: "Check the path against /openapi.json.",
    for_user: "Check the address. The page may have been deleted, or may be private to someone else.",
    for_operator: "No action needed.",
    example: include_str!("examples/not_found.txt"),
};

pub(super) static METHOD_NOT_ALLOWED: HelpPage = HelpPage {
    meaning: "The address exists, but it does not support this method.",
    causes: &["POST was sent instead of PATCH."],
    for_client: "The `Allow` header lists the methods that you can use.",
    for_user: "Your account is fine. Tell the program's developer what this page says.",
    for_operator: "No action needed.",
    example: include_str!("examples/method_not_allowed.txt"),
};

pub(super) static CONFLICT: HelpPage = HelpPage {
    meaning: "The request conflicts with an existing record.",
    causes: &[
        "The username or e-mail address is already in use, as a username or as an address.",
        "Others keep changing the same object.",
    ],
    for_client: "If there is a `pointer`, choose another value for the member that it names. Otherwise read \
                 the object again and repeat the change.",
    for_user: "Choose another name. This one is taken.",
    for_operator: "No action needed.",
    example: include_str!("examples/conflict.txt"),
};

pub(super) static LAST_ADMIN: HelpPage = HelpPage {
    meaning: "This account is the last active administrator.",
    causes: &["The request would disable, demote or delete the only active administrator."],
    for_client: "Make someone else an administrator first.",
    for_user: "Make someone else an administrator first.",
    for_operator: "`doorward user set-role <name> admin` makes a user an administrator.",
    example: include_str!("examples/last_admin.txt"),
};

pub(super) static PRECONDITION_FAILED: HelpPage = HelpPage {
    meaning: "The object has changed since the client read it: `If-Match` names another version.",
    causes: &[
        "Someone else, or another tab, saved a change in the meantime.",
        "A form was sent from a page that shows an earlier state of the account.",
        "`If-Match` names a version of an object that has no versions, such as a session.",
        "`If-Match` has a value that is not an entity tag, such as one without double quotes.",
    ],
    for_client: "Read the object again, apply the change again, and send it with the new ETag.",
    for_user: "Reload the page, because someone has changed it in the meantime. Then make your change again.",
    for_operator: "No action needed.",
    example: include_str!("examples/precondition_failed.txt"),
};

pub(super) static INTERNAL_ERROR: HelpPage = HelpPage {
    meaning: "The server failed. Your request is fine.",
    causes: &["A bug in the server."],
    for_client: "Try again later. Report the error with its request id.",
    for_user: "Try again later. If the error persists, send the request id to the operator of this service.",
    for_operator: "Search the log for this request id to find the cause. Please report it.",
    example: include_str!("examples/internal_error.txt"),
};
