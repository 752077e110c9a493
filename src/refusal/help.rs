//! The help text of each code: its meaning, its causes and what to do. It is shown at `/problems/{code}`.

use serde::Serialize;

/// The help page of a code.
#[derive(Debug, Serialize)]
pub struct Page {
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

/// A request that causes a refusal, and its response when the examples were last run. `$BASE` stands for the
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

pub(super) static CREDENTIALS_MISSING: Page = Page {
    meaning: "The request asks for something guarded and carries no credential at all.",
    causes: &[
        "No Authorization header was set.",
        "A proxy or a redirect to another host dropped the header.",
        "The token was put into the query string, where it is never looked for.",
    ],
    for_client: "Sign in at POST /api/v1/auth/login and send `Authorization: Bearer <access token>` with every request.",
    for_user: "Sign in. If you did, the program forgot to say so: tell those who make it.",
    for_operator: "If clients swear they send it, look at the proxies in between: some drop Authorization unless told otherwise.",
    example: include_str!("examples/credentials_missing.txt"),
};

pub(super) static SCHEME_UNSUPPORTED: Page = Page {
    meaning: "The Authorization header names a scheme that is not spoken here.",
    causes: &[
        "`Token …` of Django REST framework, or `JWT …` of an older client.",
        "Digest or Negotiate, chosen by a tool by itself.",
        "The token alone, without a scheme before it.",
    ],
    for_client: "Send `Authorization: Bearer <token>`, or `Basic` with a personal access token for the password.",
    for_user: "Nothing is wrong with your account: tell those who make the program what this page says.",
    for_operator: "Nothing to do here; the `scheme` member says what the client sent.",
    example: include_str!("examples/scheme_unsupported.txt"),
};

pub(super) static CREDENTIALS_MALFORMED: Page = Page {
    meaning: "The Authorization header has a known scheme and no credential that can be read.",
    causes: &[
        "`Bearer` with nothing behind it: the variable that holds the token is empty.",
        "A token that was broken over two lines or has a space in it.",
        "Basic whose content is not base64 of `name:token`.",
    ],
    for_client: "Print the header that you send, and compare: one word, one space, one token.",
    for_user: "Paste the token again, whole and in one line, where the program asks for it.",
    for_operator: "Nothing to do here.",
    example: include_str!("examples/credentials_malformed.txt"),
};

pub(super) static CREDENTIALS_AMBIGUOUS: Page = Page {
    meaning: "The request has two Authorization headers, and nothing says which one counts.",
    causes: &[
        "The client library sets one and the calling code adds another.",
        "A proxy adds its own beside the client's.",
    ],
    for_client: "Send exactly one Authorization header.",
    for_user: "Nothing is wrong with your account: tell those who make the program what this page says.",
    for_operator: "If a proxy adds one, tell it to replace or to leave the client's.",
    example: include_str!("examples/credentials_ambiguous.txt"),
};

pub(super) static TOKEN_MALFORMED: Page = Page {
    meaning: "What was sent is neither a JWT nor a token that begins like ours and has the right checksum.",
    causes: &[
        "The token was cut when it was copied.",
        "A token of another service.",
        "A password in Basic, where only a personal access token is taken.",
    ],
    for_client: "Copy the token again, whole. A personal access token begins with dwp_, a refresh token with dwr_.",
    for_user: "Paste the token again, whole. Where a program asks for a token, your password does not help.",
    for_operator: "Many of these from one address are somebody guessing.",
    example: include_str!("examples/token_malformed.txt"),
};

pub(super) static TOKEN_SIGNATURE_INVALID: Page = Page {
    meaning: "The token has the right form, but no key of this server made it.",
    causes: &[
        "It was issued by another installation: production against staging.",
        "The key that signed it was revoked.",
        "It was altered on the way, or forged.",
    ],
    for_client: "Refresh; where that fails too, sign in again.",
    for_user: "Sign in again, here and not at another installation.",
    for_operator: "After `key revoke` this is what every token of that key gets. Otherwise check that all nodes share one database and one secret key.",
    example: include_str!("examples/token_signature_invalid.txt"),
};

pub(super) static TOKEN_EXPIRED: Page = Page {
    meaning: "The token was good and its time is over.",
    causes: &[
        "Access tokens live for minutes on purpose.",
        "The client does not refresh, or only after an error that it does not expect.",
        "The client's machine slept.",
    ],
    for_client: "Refresh and send the request again, once. For a personal access token: sign in and make a new one.",
    for_user: "Most programs renew it by themselves; where one does not, sign in again. A token of a script is made anew on your account's page.",
    for_operator: "DOORWARD_ACCESS_TOKEN_TTL sets the life of access tokens.",
    example: include_str!("examples/token_expired.txt"),
};

pub(super) static TOKEN_NOT_YET_VALID: Page = Page {
    meaning: "The token says that it is good only from a time that lies ahead by more than 5 s.",
    causes: &["The clocks of two nodes differ.", "The clock of this node was set back."],
    for_client: "Wait until `valid_from`. The clock of the client plays no part.",
    for_user: "Wait a moment and try again. Your own clock plays no part.",
    for_operator: "Run a time service on every node; `server_time` in the body shows this one's clock.",
    example: include_str!("examples/token_not_yet_valid.txt"),
};

pub(super) static TOKEN_ISSUER_MISMATCH: Page = Page {
    meaning: "A key of ours signed the token, for another public URL than this server has.",
    causes: &["DOORWARD_PUBLIC_URL was changed.", "Two installations share a database."],
    for_client: "Refresh here: the new token names this server.",
    for_user: "Sign in again.",
    for_operator: "Set the same DOORWARD_PUBLIC_URL on every node, and keep it.",
    example: include_str!("examples/token_issuer_mismatch.txt"),
};

pub(super) static TOKEN_AUDIENCE_MISMATCH: Page = Page {
    meaning: "A key of ours signed the token, for services that do not include this one.",
    causes: &["A token that was issued for another service was sent here."],
    for_client: "Send the token that was issued for this server, or refresh here.",
    for_user: "Sign in again; if that does not help, tell those who make the program what this page says.",
    for_operator: "DOORWARD_AUDIENCES lists further audiences; the public URL is always among them.",
    example: include_str!("examples/token_audience_mismatch.txt"),
};

pub(super) static TOKEN_TYPE_MISMATCH: Page = Page {
    meaning: "A genuine token of ours, of a kind that does not belong here.",
    causes: &[
        "The refresh token was sent as the access token.",
        "The access token was sent to the refresh endpoint.",
    ],
    for_client: "Swap the two: the access token goes into Authorization, the refresh token into the body of POST /api/v1/auth/refresh.",
    for_user: "Nothing is wrong with your account: tell those who make the program what this page says.",
    for_operator: "Nothing to do here.",
    example: include_str!("examples/token_type_mismatch.txt"),
};

pub(super) static TOKEN_UNKNOWN: Page = Page {
    meaning: "The token has our form, and nothing of it stands in the database.",
    causes: &[
        "A personal access token of another installation.",
        "It expired so long ago that its row is gone.",
        "With Basic: the user name is not that of the token's owner.",
        "A session cookie of before a step-up or a change of password (`reason` is `session_renewed`): the new one was used since, or the password changed.",
    ],
    for_client: "Sign in and make a new personal access token; with Basic, send its owner's username.",
    for_user: "Sign in again. A token of a script is made anew on your account's page.",
    for_operator: "After a restore, tokens that were made after the backup are unknown.",
    example: include_str!("examples/token_unknown.txt"),
};

pub(super) static TOKEN_REVOKED: Page = Page {
    meaning: "The token was good and was revoked before its time.",
    causes: &[
        "The owner or an admin revoked the personal access token, or an admin reset the owner's password.",
        "The user's role or status changed, so access tokens have to be issued anew.",
        "A step-up replaced the access token (`reason` is `session_renewed`), and its answer was used.",
        "The database was restored to an earlier state, and cannot tell which tokens were revoked since.",
    ],
    for_client: "For an access token: refresh, the session goes on. For a personal access token (`terminal` is true): make a new one.",
    for_user: "Your account's page says when a token of yours was revoked, and why. If it was not you, change your password.",
    for_operator: "The audit log says who revoked it and when.",
    example: include_str!("examples/token_revoked.txt"),
};

pub(super) static SESSION_ENDED: Page = Page {
    meaning: "The session that the token belongs to was ended.",
    causes: &[
        "Somebody signed out.",
        "The user ended it from another device, or changed the password.",
        "A spent refresh token was used again, which ends the session.",
        "The database was restored to an earlier state, and cannot tell which sessions were ended since.",
    ],
    for_client: "Discard both tokens and sign in again. `reason` says why.",
    for_user: "Sign in again. If you did not sign out, look at the activity on your account's page: it says who ended the session.",
    for_operator: "The audit log has a `session_ended` event with the session's id and who ended it; where a spent refresh token did, it is `refresh_token_reused`, with the address that presented it.",
    example: include_str!("examples/session_ended.txt"),
};

pub(super) static SESSION_EXPIRED: Page = Page {
    meaning: "The session was not refreshed for its idle lifetime, or its whole lifetime is over.",
    causes: &[
        "The client was away for longer than a refresh token lives.",
        "The session has reached its absolute end.",
    ],
    for_client: "Discard both tokens and sign in again.",
    for_user: "Sign in again: you were away for longer than a session lasts.",
    for_operator: "DOORWARD_REFRESH_TOKEN_TTL sets the idle lifetime, DOORWARD_SESSION_TTL the whole one.",
    example: include_str!("examples/session_expired.txt"),
};

pub(super) static AUTHENTICATION_TOO_OLD: Page = Page {
    meaning: "The request grants power and asks for a sign-in more recent than the session's (RFC 9470).",
    causes: &[
        "The user signed in more than 15 minutes ago (the default) and makes a token or manages users.",
    ],
    for_client: "Ask for the password, send it to POST /api/v1/auth/step-up, and repeat the request with the access token that it gives. Store its refresh token: it replaces the one in hand.",
    for_user: "Give your password once more: what you are about to do needs a recent sign-in.",
    for_operator: "DOORWARD_STEP_UP_MAX_AGE sets the age.",
    example: include_str!("examples/authentication_too_old.txt"),
};

pub(super) static ACCOUNT_DISABLED: Page = Page {
    meaning: "An administrator has disabled the account. Its sessions, access tokens and personal tokens are all refused with this code.",
    causes: &["The person has left, or the account was abused."],
    for_client: "Show the detail to the user, and keep what you hold. Once the account is enabled again, refresh the access token: sessions that were not ended go on.",
    for_user: "Ask whoever runs this service why, and to be let in again.",
    for_operator: "`doorward user enable <name>` or PATCH /api/v1/users/{id} lets the user in again, with the sessions and personal tokens that are left. `doorward user logout <name>` and `doorward token revoke --all-of <name>` end those first.",
    example: include_str!("examples/account_disabled.txt"),
};

pub(super) static ACCOUNT_DELETED: Page = Page {
    meaning: "The account that the credential belongs to no longer exists.",
    causes: &["An administrator deleted it."],
    for_client: "Discard what you hold of it.",
    for_user: "Ask whoever runs this service; a deleted account does not come back.",
    for_operator: "The audit log says who deleted it and when.",
    example: include_str!("examples/account_deleted.txt"),
};

pub(super) static INVALID_CREDENTIALS: Page = Page {
    meaning: "The username or the password is wrong. The answer is the same, and takes as long, for a name that nobody has.",
    causes: &[
        "A typing error, or another keyboard layout.",
        "The password was changed, or an administrator has made a link to set another.",
    ],
    for_client: "Ask the user for both again. Do not retry by yourself.",
    for_user: "Type both again. Whoever runs this service can send you a link to set a new password.",
    for_operator: "The audit log has a login_failed event with the name that was typed; `known` in its details says whether the account exists.",
    example: include_str!("examples/invalid_credentials.txt"),
};

pub(super) static REFRESH_TOKEN_REUSED: Page = Page {
    meaning: "A refresh token that was traded before was presented again, after somebody had used what it was traded for. One of two has a copy, so the session was ended.",
    causes: &[
        "The client keeps an old token and ignores the new one.",
        "The client keeps the refresh token of before a step-up, and ignores the one in its answer.",
        "Two processes share one token and do not share what it is traded for.",
        "The token was stolen.",
    ],
    for_client: "Discard both tokens and sign in again. Store the new refresh token before using the new access token.",
    for_user: "Sign in again. If it happens again, or you do not know the address in your account's activity, change your password.",
    for_operator: "The audit log has a refresh_token_reused event with the address that presented it.",
    example: include_str!("examples/refresh_token_reused.txt"),
};

pub(super) static REFRESH_TOKEN_UNKNOWN: Page = Page {
    meaning: "The refresh token is genuine, but its session stands nowhere.",
    causes: &[
        "It expired so long ago that its row is gone.",
        "The database was restored from a backup that is older than the session.",
    ],
    for_client: "Discard both tokens and sign in again.",
    for_user: "Sign in again.",
    for_operator: "Expected after a restore, for what was begun after the backup.",
    example: include_str!("examples/refresh_token_unknown.txt"),
};

pub(super) static INSUFFICIENT_SCOPE: Page = Page {
    meaning: "The user may do this, but the credential was issued for less.",
    causes: &[
        "The sign-in asked for a narrower scope.",
        "The personal access token was made for something else.",
        "A personal access token asks to change its owner's account, or one that could change that: this needs `account:write`, which no such token carries.",
    ],
    for_client: "Refresh or sign in with the scope in `required`, or use another token.",
    for_user: "You may do this, but not with this token: sign in anew, or make a token on your account's page that may.",
    for_operator: "Nothing to do here: the user has the permission.",
    example: include_str!("examples/insufficient_scope.txt"),
};

pub(super) static PERMISSION_DENIED: Page = Page {
    meaning: "The user's role does not have the permission that this needs.",
    causes: &[
        "A viewer tries to write.",
        "Somebody who is no admin manages users, or an account that may more than he.",
    ],
    for_client: "Say so to the user; another token will not help.",
    for_user: "Ask an administrator for a role that may do this.",
    for_operator: "`doorward user set-role <name> <role>` gives the user another role.",
    example: include_str!("examples/permission_denied.txt"),
};

pub(super) static NOT_OWNER: Page = Page {
    meaning: "The object is visible to the user and belongs to somebody else.",
    causes: &["A shared note can be read by everybody and changed by its owner alone."],
    for_client: "Offer reading only, or make a copy.",
    for_user: "Ask its owner to change it, or make a copy of your own.",
    for_operator: "`notes:manage` lifts ownership.",
    example: include_str!("examples/not_owner.txt"),
};

pub(super) static CSRF_FAILED: Page = Page {
    meaning: "A browser sent a credential by itself, and nothing proves that the user meant it.",
    causes: &["A form or script of another site.", "A browser that remembers a Basic credential."],
    for_client: "Send the token as `Authorization: Bearer`, which no browser does by itself.",
    for_user: "Go back, load the page again and try once more. If another site led you here, leave it.",
    for_operator: "Many of these point to a page that tries to make your users' browsers do things.",
    example: include_str!("examples/csrf_failed.txt"),
};

pub(super) static PREFLIGHT_REFUSED: Page = Page {
    meaning: "A browser asked whether a script of another origin may send a request here, and it may not.",
    causes: &[
        "The script's origin is not in the setting DOORWARD_CORS_ORIGINS: scheme, host and port must match exactly.",
        "A library adds a request header that scripts of other origins may not send.",
        "The page is open at another address than DOORWARD_PUBLIC_URL, so its own requests count as another origin's.",
    ],
    for_client: "Read the answer in the browser's network panel, where `detail` names the origin, method or header. \
                 Leave the header out, or ask the operator to allow the origin.",
    for_user: "Nothing is wrong with your account: tell those who make the program what this page says.",
    for_operator: "Add the origin to DOORWARD_CORS_ORIGINS if its scripts should call this server.",
    example: include_str!("examples/preflight_refused.txt"),
};

pub(super) static TOO_MANY_ATTEMPTS: Page = Page {
    meaning: "Too many tries came before this one, which was not made: no password was looked at. Each further try that \
              fails makes the next wait twice as long, up to a bound; those that are refused do not.",
    causes: &[
        "Wrong passwords were given for the account. Where its user has signed in before, his tries have a count of \
         their own: somebody elsewhere cannot hold him up.",
        "Sign-ins failed, or accounts were made, from the same address.",
        "Many refresh tokens or links that stand nowhere came from the same address.",
        "A client that retries without waiting.",
    ],
    for_client: "Wait for as many seconds as `Retry-After` says, and do not send a password again that was wrong. A \
                 session that lives is refreshed all the same.",
    for_user: "Wait for as long as the answer says, then try again, or sign in from where you have signed in before. \
               Whoever runs the service can lift the wait.",
    for_operator: "The audit log says `too_many_attempts` once for each burst, with the address and what was counted; \
                   doorward_attempts_held_total counts all. `doorward user unlock` lifts an account's wait, and \
                   DOORWARD_LOGIN_FAILURES and the settings beside it move the limits. `by: spray` names a network \
                   that tried wrong passwords for many accounts known there; doorward_password_spray_failures_total \
                   counts them. If all requests seem to come from one address, set DOORWARD_TRUSTED_PROXIES. If \
                   doorward_addresses_in_doubt_total grows, set DOORWARD_PROXY_HEADER.",
    example: include_str!("examples/too_many_attempts.txt"),
};

pub(super) static OVERLOADED: Page = Page {
    meaning: "More requests arrive than can be answered in time, so this one was refused at once.",
    causes: &[
        "A flood of sign-ins: each costs a password hash.",
        "Your network, account or user has more requests waiting than anybody else; the newest of them are refused first.",
        "The database is slower than the requests that come in.",
        "A search that took too long; the detail then says to narrow it.",
        "Large answers that you, or others at your network, have asked for and not read.",
    ],
    for_client: "Wait for as many seconds as `Retry-After` says and try again. Nothing was done. Narrow a search before it \
                 is sent again. Read each answer to its end, or close its connection; ask for fewer large pages at once.",
    for_user: "Wait a moment and try again. Nothing is wrong with your account.",
    for_operator: "The metrics show the depth of both queues (doorward_pool_waiting), and how much was refused of which \
                   lane (doorward_pool_shed_total): signed_in, known_address, ordinary, expensive.",
    example: include_str!("examples/overloaded.txt"),
};

pub(super) static DATABASE_UNAVAILABLE: Page = Page {
    meaning: "The database cannot be reached or does not answer. This says nothing about the credential.",
    causes: &["PostgreSQL is being restarted, or is full.", "The network between the two is down."],
    for_client: "Keep your tokens, wait for as many seconds as `Retry-After` says, and try again. A refresh may be repeated.",
    for_user: "Wait a moment and try again. You are still signed in.",
    for_operator: "The log says what PostgreSQL answered; /readyz says only whether it does. Service resumes by itself.",
    example: include_str!("examples/database_unavailable.txt"),
};

pub(super) static MALFORMED_JSON: Page = Page {
    meaning: "The body cannot be read as JSON.",
    causes: &[
        "A quote or a brace is missing.",
        "The shell ate the quotes.",
        "It is nested too deep, or holds a number or an escape that stands for nothing.",
        "It ended before it was whole, or did not arrive within 10 s.",
    ],
    for_client: "Look at the line and the column that the detail names.",
    for_user: "Nothing is wrong with your account: tell those who make the program what this page says.",
    for_operator: "Nothing to do here.",
    example: include_str!("examples/malformed_json.txt"),
};

pub(super) static VALIDATION_FAILED: Page = Page {
    meaning: "The request can be read, and something in it is not as it must be. All that is wrong is listed at once.",
    causes: &[
        "A member is missing, misspelt or of the wrong type.",
        "A text is too long, a password too common.",
        "A member, a parameter or a field of one name was sent twice.",
    ],
    for_client: "Correct every entry of `errors`; `pointer` says where it stands.",
    for_user: "Correct what the form marks.",
    for_operator: "Nothing to do here.",
    example: include_str!("examples/validation_failed.txt"),
};

pub(super) static UNSUPPORTED_MEDIA_TYPE: Page = Page {
    meaning: "The body is not of a type that is taken here.",
    causes: &["Content-Type is missing, or says that the body is a form."],
    for_client: "Send `Content-Type: application/json`.",
    for_user: "Nothing is wrong with your account: tell those who make the program what this page says.",
    for_operator: "Nothing to do here.",
    example: include_str!("examples/unsupported_media_type.txt"),
};

pub(super) static PAYLOAD_TOO_LARGE: Page = Page {
    meaning: "The body is larger than 64 KiB.",
    causes: &["A file was sent where a text belongs."],
    for_client: "Send less.",
    for_user: "Send something shorter.",
    for_operator: "Nothing to do here.",
    example: include_str!("examples/payload_too_large.txt"),
};

pub(super) static NOT_FOUND: Page = Page {
    meaning: "Nothing stands at this address, or nothing that this user may see.",
    causes: &["A typing error in the path.", "It was deleted.", "It is somebody else's, and private."],
    for_client: "Check the path against /openapi.json.",
    for_user: "Check the address. What was there may be deleted, or private to somebody else.",
    for_operator: "Nothing to do here.",
    example: include_str!("examples/not_found.txt"),
};

pub(super) static METHOD_NOT_ALLOWED: Page = Page {
    meaning: "The address exists and does not answer this method.",
    causes: &["POST where PATCH belongs."],
    for_client: "`Allow` lists the methods that are answered.",
    for_user: "Nothing is wrong with your account: tell those who make the program what this page says.",
    for_operator: "Nothing to do here.",
    example: include_str!("examples/method_not_allowed.txt"),
};

pub(super) static CONFLICT: Page = Page {
    meaning: "The request would conflict with what stands there already.",
    causes: &[
        "A username or address is taken, as a username or an address.",
        "Others keep changing the same object.",
    ],
    for_client: "Where there is a `pointer`, choose another name for the member that it names. Where there is none, read again and repeat the change.",
    for_user: "Choose another name: this one is taken.",
    for_operator: "Nothing to do here.",
    example: include_str!("examples/conflict.txt"),
};

pub(super) static LAST_ADMIN: Page = Page {
    meaning: "Without this account nobody would be left to administer.",
    causes: &["The only active admin is to be disabled, demoted or deleted."],
    for_client: "Make another admin first.",
    for_user: "Make somebody else an administrator first.",
    for_operator: "`doorward user set-role <name> admin` makes one.",
    example: include_str!("examples/last_admin.txt"),
};

pub(super) static PRECONDITION_FAILED: Page = Page {
    meaning: "The object has changed since the client read it: `If-Match` names another version.",
    causes: &[
        "Somebody else, or another tab, saved in between.",
        "A form was sent from a page that shows the account as it was before.",
        "`If-Match` names a version of something that has no versions, such as a session.",
    ],
    for_client: "Read it again, apply the change anew, and send the new ETag.",
    for_user: "Load it again: somebody changed it meanwhile. Then make your change anew.",
    for_operator: "Nothing to do here.",
    example: include_str!("examples/precondition_failed.txt"),
};

pub(super) static INTERNAL_ERROR: Page = Page {
    meaning: "Something went wrong in the server. Nothing is wrong with the request.",
    causes: &["A bug."],
    for_client: "Try again later, and report it with the request id.",
    for_user: "Try again later. If it stays, send the request id to whoever runs this service.",
    for_operator: "The log has the cause under this request id. Please report it.",
    example: include_str!("examples/internal_error.txt"),
};
