//! For every code, runs a request that produces it, exactly as its help page prints it. Checks the page, the
//! record and the explanation, and fails if a code lacks any of the four. Writes the responses into the pages
//! if `DOORWARD_WRITE_EXAMPLES` is set.

use std::cell::Cell;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta};
use diesel::connection::SimpleConnection;
use doorward::app::settings::cores;
use doorward::blocking::{Lane, WorkOwner};
use doorward::database::Database;
use doorward::refusal::Code;
use doorward::refusal::help::Example;
use doorward_test::{PASSWORD, PUBLIC_URL, Tokens, World, limit_tries};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

/// The headers of a response that a page shows.
const SHOWN: [&str; 4] = ["content-type", "www-authenticate", "allow", "retry-after"];

/// The environment variables of a command.
type Variables = Vec<(&'static str, String)>;

/// Sets up the conditions for the example of a code, on a server with an admin and one other user.
async fn arrange(code: Code, world: &World) -> Variables {
    let alice = world.signed_in("alice", "member").await;
    let token = || ("TOKEN", alice.access.clone());
    match code {
        Code::CredentialsMissing
        | Code::SchemeUnsupported
        | Code::CredentialsMalformed
        | Code::CredentialsAmbiguous
        | Code::TokenMalformed
        | Code::InvalidCredentials
        | Code::MalformedJson
        | Code::ValidationFailed
        | Code::UnsupportedMediaType
        | Code::PayloadTooLarge
        | Code::NotFound
        | Code::PreflightRefused
        | Code::MethodNotAllowed => Vec::new(),
        Code::TokenSignatureInvalid => vec![("FORGED", altered(&alice.access))],
        Code::TokenExpired => {
            world.advance(TimeDelta::minutes(6));
            vec![("EXPIRED", alice.access)]
        }
        Code::TokenNotYetValid => {
            world.advance(TimeDelta::minutes(2));
            let ahead = world.login("alice").await;
            world.advance(TimeDelta::minutes(-2));
            vec![("FUTURE", ahead.access)]
        }
        Code::TokenIssuerMismatch => {
            vec![("OTHER_ISSUER", resigned(world, &alice.access, "iss", "https://old.example"))]
        }
        Code::TokenAudienceMismatch => {
            vec![("OTHER_AUDIENCE", resigned(world, &alice.access, "aud", "https://reports.example"))]
        }
        Code::TokenTypeMismatch => vec![("REFRESH_TOKEN", alice.refresh)],
        Code::TokenUnknown | Code::CsrfFailed => {
            vec![("PERSONAL_TOKEN", world.personal_token(&alice.access, "notes:read notes:write").await.0)]
        }
        Code::TokenRevoked => {
            let (token, id) = world.personal_token(&alice.access, "notes:read").await;
            world.delete(&format!("/api/v1/me/tokens/{id}"), &alice.access).await;
            vec![("REVOKED", token)]
        }
        Code::SessionEnded => {
            world.post("/api/v1/auth/logout", &alice.access, json!({})).await;
            vec![("SIGNED_OUT", alice.access)]
        }
        Code::SessionExpired => {
            world.advance(TimeDelta::days(31));
            vec![("OLD", alice.refresh)]
        }
        Code::AuthenticationTooOld => {
            world.advance(TimeDelta::hours(1));
            vec![("HOUR_OLD", Tokens::of(&world.refresh(&alice.refresh).await).access)]
        }
        Code::AccountDisabled => {
            let id = world.text("SELECT id::text AS text FROM users WHERE username = 'alice'");
            let admin = world.login("admin").await;
            world.patch(&format!("/api/v1/users/{id}"), &admin.access, json!({ "status": "disabled" })).await;
            vec![("OF_DISABLED", alice.access)]
        }
        Code::AccountDeleted => {
            let id = world.text("SELECT id::text AS text FROM users WHERE username = 'alice'");
            let admin = world.login("admin").await;
            world.delete(&format!("/api/v1/users/{id}"), &admin.access).await;
            vec![("OF_DELETED", alice.access)]
        }
        Code::RefreshTokenReused => {
            let second = Tokens::of(&world.refresh(&alice.refresh).await);
            world.refresh(&second.refresh).await;
            world.advance(TimeDelta::minutes(1));
            vec![("SPENT", alice.refresh)]
        }
        Code::RefreshTokenUnknown => {
            world.sql_and_clear_cache("DELETE FROM sessions");
            vec![("PRUNED", alice.refresh)]
        }
        Code::InsufficientScope => {
            vec![("READ_ONLY", world.personal_token(&alice.access, "notes:read").await.0)]
        }
        Code::PermissionDenied => vec![("OF_A_MEMBER", alice.access)],
        Code::NotOwner => {
            let bob = world.signed_in("bob", "member").await;
            vec![("NOTE", shared_note(world, &bob.access).await), token()]
        }
        Code::PreconditionFailed => vec![("NOTE", shared_note(world, &alice.access).await), token()],
        Code::Conflict | Code::LastAdmin => {
            let id = world.text("SELECT id::text AS text FROM users WHERE username = 'admin'");
            vec![("ADMIN", world.login("admin").await.access), ("ADMIN_ID", id)]
        }
        Code::Overloaded => {
            HELD.set(Some(fill_hashing(world).await));
            Vec::new()
        }
        Code::DatabaseUnavailable => {
            let name = world.text("SELECT current_database()::text AS text");
            on_cluster(&format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"));
            on_cluster(&format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            ));
            vec![token(), ("DATABASE", name)]
        }
        Code::InternalError => {
            world.sql("ALTER TABLE notes RENAME TO notes_that_a_hand_has_moved");
            vec![token()]
        }
        Code::TooManyAttempts => {
            world.stop_time();
            let wrong = json!({"username": "alice", "password": "a guess"});
            for _ in 0..5 {
                world.ask(Method::POST, "/api/v1/auth/login").json(&wrong).send().await;
            }
            Vec::new()
        }
    }
}

/// Undoes what would prevent looking up the refusal.
fn put_right(code: Code, variables: &Variables) {
    HELD.set(None);
    if code == Code::DatabaseUnavailable {
        let (_, name) = variables.iter().find(|(name, _)| *name == "DATABASE").unwrap();
        on_cluster(&format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true"));
    }
}

fn on_cluster(statement: &str) {
    let url = std::env::var("DOORWARD_TEST_DATABASE_URL").unwrap();
    Database::connect(&url).unwrap().batch_execute(statement).unwrap();
}

/// Returns the token with another character in the middle of its signature.
fn altered(token: &str) -> String {
    let at = token.len() - 20;
    let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}

/// Returns the token with another value of one claim, signed by the server's key.
fn resigned(world: &World, token: &str, claim: &str, value: &str) -> String {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let mut claims: Value = serde_json::from_slice(&payload).unwrap();
    claims[claim] = json!(value);
    let ring = world.state.tokens.keys.current();
    let key = ring.signing_at(world.clock.now()).unwrap();
    jsonwebtoken::encode(&jsonwebtoken::decode_header(token).unwrap(), &claims, key.encoding_key()).unwrap()
}

async fn shared_note(world: &World, token: &str) -> String {
    let body = json!({"title": "for all", "body": "", "shared": true});
    world.post("/api/v1/notes", token, body).await.text("id")
}

thread_local! {
    /// Keeps the hashing threads busy until it is dropped.
    static HELD: Cell<Option<Held>> = const { Cell::new(None) };
}

/// The threads wait for the sender, and the queued calls wait for the threads.
type Held = (mpsc::Sender<()>, Vec<doorward::blocking::Answer<()>>);

/// Keeps every hashing thread busy, and fills every place for sign-ins from known addresses, each from
/// another network.
async fn fill_hashing(world: &World) -> Held {
    let threads = world.state.core.passwords.threads();
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let ask = |number: usize| {
        let held = Arc::clone(&held);
        let network = Ipv4Addr::from_bits(0x0a00_0000 + number as u32);
        let claim = WorkOwner::at(Some(network.into())).claim_of_account(Lane::KnownAddress, &number);
        threads.ask(claim, move || {
            let _ = held.lock().unwrap().recv();
        })
    };
    let mut answers: Vec<_> = (0..cores()).map(ask).collect();
    while threads.depth() != (cores(), 0) {
        tokio::task::yield_now().await;
    }
    answers.extend((cores()..13 * cores()).map(ask));
    (release, answers)
}

/// Runs a page's command in a shell, as a reader would.
async fn run(command: String, world: &World, variables: &Variables) -> String {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).env("BASE", &world.base).env("no_proxy", "*");
    shell.envs(variables.iter().map(|(name, value)| (*name, value)));
    let output = tokio::task::spawn_blocking(move || shell.output().unwrap()).await.unwrap();
    String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n")
}

/// Returns a response as a page shows it, and its body.
fn shown(answer: &str) -> (String, Value) {
    // curl -i also prints a `100 Continue`.
    let answer = answer.strip_prefix("HTTP/1.1 100 Continue\n\n").unwrap_or(answer);
    let (head, body) = answer.split_once("\n\n").unwrap_or_else(|| panic!("no answer: {answer}"));
    let (status, headers) = head.split_once('\n').unwrap();
    let mut headers: Vec<&str> = headers
        .lines()
        .filter(|line| SHOWN.contains(&line.split(':').next().unwrap().to_ascii_lowercase().as_str()))
        .collect();
    headers.sort_unstable();
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {answer}"));
    let pretty = serde_json::to_string_pretty(&body).unwrap();
    (format!("{status}\n{}\n\n{pretty}\n", headers.join("\n")), body)
}

/// Replaces everything that differs between two runs by placeholders: IDs, times, durations, and the server's
/// URL.
fn masked(answer: &str, base: &str) -> String {
    let answer = answer.replace(PUBLIC_URL, "$BASE").replace(base, "$BASE");
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.');
    let mask = |word: &str| {
        let bare = word.trim_start_matches("urn:uuid:").trim_end_matches('.');
        match () {
            () if Uuid::try_parse(bare).is_ok() => "<id>".to_owned(),
            () if DateTime::parse_from_rfc3339(bare).is_ok() => "<time>".to_owned(),
            () if bare.len() > 6 && bare.bytes().all(|byte| byte.is_ascii_digit()) => "<number>".to_owned(),
            () => word.to_owned(),
        }
    };
    let mut text = String::new();
    let mut rest = answer.as_str();
    while !rest.is_empty() {
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        text += &mask(&rest[..end]);
        let other = rest[end..].find(is_part).map_or(rest.len(), |at| end + at);
        text += &rest[end..other];
        rest = &rest[other..];
    }
    text
}

/// Returns a page's HTML without the elements that colour code, and without escapes.
fn text_of_code(html: &str) -> String {
    let marks = ["k", "s", "c", "n", "f"].map(|kind| format!("<span class=\"{kind}\">"));
    let html = marks.iter().fold(html.replace("</span>", ""), |html, mark| html.replace(mark, ""));
    let escapes =
        [("&#34;", "\""), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&#38;", "&"), ("&amp;", "&")];
    escapes.iter().fold(html, |html, (escape, letter)| html.replace(escape, letter))
}

async fn shows_its_page(code: Code, world: &World) {
    let path = format!("/problems/{code}");
    let page = world.ask(Method::GET, &path).header("accept", "text/html").send().await;
    let shown = text_of_code(page.body.as_str().unwrap());
    let example = Example::read(code.page().example, PUBLIC_URL);
    assert!(shown.contains(&example.command), "{code}: {shown}");
    assert!(shown.contains(&example.answer), "{code}: {shown}");
    let entry = world.ask(Method::GET, &path).header("accept", "application/json").send().await;
    assert_eq!(entry.body["example"]["command"], example.command);
    for reader in ["for_client", "for_user", "for_operator"] {
        assert!(entry.body["page"][reader].as_str().is_some_and(|text| text.len() > 5), "{code}: {reader}");
    }
}

async fn stands_in_the_record(code: Code, request_id: &str, world: &World) {
    world.state.recorder.kept_refusals.flush(&world.state.core.database).await.unwrap();
    let kept = format!("SELECT code AS text FROM refusals WHERE request_id = '{request_id}'");
    assert_eq!(world.text(&kept), code.as_str());
}

/// Signs the admin in, and retries until the conditions of the example allow it.
async fn admin(world: &World) -> Tokens {
    let login = json!({"username": "admin", "password": PASSWORD});
    loop {
        let answer = world.ask(Method::POST, "/api/v1/auth/login").json(&login).send().await;
        if answer.status != 503 {
            return Tokens::of(&answer);
        }
    }
}

async fn is_explained(code: Code, request_id: &str, world: &World) {
    let admin = admin(world).await;
    let asked = json!({ "request_id": request_id });
    let explained = world.post("/api/v1/auth/explain", &admin.access, asked).await;
    assert_eq!(explained.status, 200, "{code}: {}", explained.body);
    assert_eq!(explained.body["verdict"], "refused");
    assert_eq!(explained.body["problem"]["code"], code.as_str());
    assert_eq!(explained.body["request"]["request_id"], request_id);
    assert_eq!(explained.body["checks"].as_array().unwrap().len(), 16);
    let who: Vec<&str> =
        explained.body["next"].as_array().unwrap().iter().map(|step| step["who"].as_str().unwrap()).collect();
    assert_eq!(who, ["client", "user", "operator"]);
}

async fn holds(code: Code) {
    let world = World::with(|settings| {
        if code == Code::TooManyAttempts {
            limit_tries(settings);
        }
    });
    let world = world.await;
    let variables = arrange(code, &world).await;
    let example = Example::read(code.page().example, "$BASE");
    let ran = run(example.command.clone(), &world, &variables).await;
    put_right(code, &variables);
    let (answer, body) = shown(&ran);
    assert_eq!(body["code"], code.as_str(), "{}\n{answer}", example.command);
    if std::env::var_os("DOORWARD_WRITE_EXAMPLES").is_some() {
        let file = format!("{}/src/refusal/examples/{code}.txt", env!("CARGO_MANIFEST_DIR"));
        let (request, _) = code.page().example.split_once("\n\n").unwrap();
        let answer = answer.replace(PUBLIC_URL, "$BASE").replace(&world.base, "$BASE");
        std::fs::write(file, format!("{request}\n\n{answer}")).unwrap();
    } else {
        let printed = masked(&example.answer, &world.base);
        assert_eq!(
            masked(answer.trim_end(), &world.base),
            printed,
            "set DOORWARD_WRITE_EXAMPLES to write it again"
        );
        shows_its_page(code, &world).await;
    }
    let request_id = body["request_id"].as_str().unwrap();
    stands_in_the_record(code, request_id, &world).await;
    is_explained(code, request_id, &world).await;
}

/// Creates a test for each code, which runs its example.
macro_rules! test_each_example {
    ($($name:ident $code:ident)*) => {
        const TESTED: &[(&str, Code)] = &[$((stringify!($name), Code::$code)),*];

        mod produced_documented_recorded_and_explained {$(
            #[actix_web::test]
            async fn $name() {
                super::holds(super::Code::$code).await;
            }
        )*}
    };
}

test_each_example! {
    credentials_missing CredentialsMissing
    scheme_unsupported SchemeUnsupported
    credentials_malformed CredentialsMalformed
    credentials_ambiguous CredentialsAmbiguous
    token_malformed TokenMalformed
    token_signature_invalid TokenSignatureInvalid
    token_expired TokenExpired
    token_not_yet_valid TokenNotYetValid
    token_issuer_mismatch TokenIssuerMismatch
    token_audience_mismatch TokenAudienceMismatch
    token_type_mismatch TokenTypeMismatch
    token_unknown TokenUnknown
    token_revoked TokenRevoked
    session_ended SessionEnded
    session_expired SessionExpired
    authentication_too_old AuthenticationTooOld
    account_disabled AccountDisabled
    account_deleted AccountDeleted
    invalid_credentials InvalidCredentials
    refresh_token_reused RefreshTokenReused
    refresh_token_unknown RefreshTokenUnknown
    insufficient_scope InsufficientScope
    permission_denied PermissionDenied
    not_owner NotOwner
    csrf_failed CsrfFailed
    preflight_refused PreflightRefused
    too_many_attempts TooManyAttempts
    overloaded Overloaded
    database_unavailable DatabaseUnavailable
    malformed_json MalformedJson
    validation_failed ValidationFailed
    unsupported_media_type UnsupportedMediaType
    payload_too_large PayloadTooLarge
    not_found NotFound
    method_not_allowed MethodNotAllowed
    conflict Conflict
    last_admin LastAdmin
    precondition_failed PreconditionFailed
    internal_error InternalError
}

#[test]
fn every_code_has_a_test_of_its_example() {
    let codes: Vec<(&str, Code)> = Code::ALL.iter().map(|code| (code.as_str(), *code)).collect();
    assert_eq!(TESTED, codes);
}

#[test]
fn masking_replaces_only_values_that_differ_between_runs() {
    let answer =
        "\"urn:uuid:0192d7a0-0000-7000-8000-000000000000\" at 2026-01-02T03:04:05Z. In 900 s, http://h:1/a";
    assert_eq!(masked(answer, "http://h:1"), "\"<id>\" at <time> In 900 s, $BASE/a");
}
