//! The promises of each parser for any input. The fuzzer (fuzz/src/main.rs) searches for bytes that break a
//! promise. tests/corpus/main.rs checks those in fuzz/corpus/.

use std::net::IpAddr;
use std::sync::LazyLock;

use actix_web::cookie::Cookie;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use actix_web::test::{self, TestRequest};
use actix_web::{App, HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use doorward::api::auth::login::LoginRequest;
use doorward::config::{Inputs, resolve};
use doorward::explain::pasted;
use doorward::guard::credential::{self, SentCredential};
use doorward::guard::session_cookie::{self, SentCookie};
use doorward::http::client_address::{ProxyHeader, TrustedProxies};
use doorward::http::conditions::Conditions;
use doorward::http::cookies::BrowserSettings;
use doorward::http::fields::Fields;
use doorward::http::request::Form;
use doorward::http::{cursor, forwarded as forwarded_header, json, label};
use doorward::pages::return_to;
use doorward::refusal::Code;
use doorward::secret_key::SecretKeys;
use doorward::sessions::{CookieKey, refresh_token};
use doorward::simplejwt::multipart;
use doorward::tokens::access_token::{self, Issuer};
use doorward::tokens::key_times::Times;
use doorward::tokens::personal_token;
use doorward::tokens::private_key::{Algorithm, PrivateKey};
use doorward::tokens::signing_key::{KeyRing, SigningKey};
use doorward::users::name::{EmailAddress, Username, fold_typed};
use uuid::Uuid;

/// A function that panics if a parser breaks one of its promises.
pub type Target = fn(&[u8]);

/// All targets, by the names of their folders in fuzz/corpus/.
pub const TARGETS: [(&str, Target); 17] = [
    ("access_token", access_token),
    ("conditions", conditions),
    ("cookie", cookie),
    ("credential", credential),
    ("cursor", cursor),
    ("email", email),
    ("form", form),
    ("forwarded", forwarded),
    ("json", json),
    ("label", label),
    ("multipart", multipart),
    ("next", next),
    ("pasted", pasted),
    ("personal_token", personal_token),
    ("refresh_token", refresh_token),
    ("settings", settings),
    ("username", username),
];

const SECRET: &str = "a-secret-key-that-only-the-fuzzer-has";

static KEYS: LazyLock<SecretKeys> = LazyLock::new(|| SecretKeys::derive([SECRET]).expect("a key"));

/// Returns the bytes before the first line break, and those after it.
fn first_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    (&bytes[..at], bytes.get(at + 1..).unwrap_or_default())
}

/// Returns headers with this name, one for each line, as far as the HTTP parser accepts them.
fn headers(name: &HeaderName, lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in lines.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()) {
        headers.append(name.clone(), value);
    }
    headers
}

/// Checks that a valid header has one credential, which is the same when it is written and read again.
fn credential(bytes: &[u8]) {
    let headers = headers(&AUTHORIZATION, bytes);
    let again = |text: String| {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&text).expect("header text"));
        credential::read_header(&headers).expect("good").expect("sent")
    };
    match credential::read_header(&headers) {
        Ok(None) => assert!(headers.is_empty()),
        Ok(Some(SentCredential::Bearer(token))) => {
            assert!(headers.len() == 1 && !token.is_empty());
            assert!(token.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_whitespace()));
            assert!(again(format!("Bearer {token}")) == SentCredential::Bearer(token));
        }
        Ok(Some(SentCredential::Basic { username, token })) => {
            // Older usernames may contain a colon, so the parser searches for the token from the right.
            assert!(!username.contains(':') || token.starts_with("dwp_"));
            let pair = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{token}"));
            assert!(again(format!("Basic {pair}")) == SentCredential::Basic { username, token });
        }
        Ok(Some(SentCredential::Cookie(_))) => panic!("a header is no cookie"),
        Err(problem) => assert!(matches!(
            problem.code(),
            Code::CredentialsAmbiguous
                | Code::CredentialsMalformed
                | Code::CredentialsMissing
                | Code::SchemeUnsupported
                | Code::TokenMalformed
        )),
    }
}

const NOW: i64 = 1_800_000_000;

static SIGNING_KEY: LazyLock<SigningKey> = LazyLock::new(|| {
    let (retires_at, revoked_at) = (None, None);
    let longest_ttl = TimeDelta::minutes(5);
    let times = Times { signs_from: DateTime::UNIX_EPOCH, retires_at, revoked_at, longest_ttl };
    let private = PrivateKey::generate(Algorithm::EdDsa).expect("a key");
    SigningKey::new(private, times).expect("a working key")
});
static RING: LazyLock<KeyRing> = LazyLock::new(|| KeyRing::new(vec![SIGNING_KEY.clone()]));
static ISSUER: LazyLock<Issuer> = LazyLock::new(|| Issuer {
    url: "https://auth.example".to_owned(),
    audiences: vec!["https://reports.example".to_owned()],
});

/// Checks that no token is accepted that this key did not sign. The input is also signed as a header, a line
/// break and claims. Even then the token is only valid for this issuer, audience, type and time.
fn access_token(bytes: &[u8]) {
    let now = DateTime::<Utc>::from_timestamp(NOW, 0).expect("a time");
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(access_token::verify_signature(&RING, &ISSUER, text).is_err());
    }
    let (header, claims) = first_line(bytes);
    let header = String::from_utf8_lossy(header).replace("$KID", SIGNING_KEY.kid());
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(claims));
    let signature = SIGNING_KEY.sign(message.as_bytes()).expect("a signature");
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
    let Ok(signed) = access_token::verify_signature(&RING, &ISSUER, &token) else { return };
    if signed.judge(&ISSUER, now).is_err() {
        return;
    }
    let header: serde_json::Value = serde_json::from_str(&header).expect("a header");
    let claims: serde_json::Value = serde_json::from_slice(claims).expect("claims");
    assert!(header.get("crit").is_none_or(serde_json::Value::is_null), "{header}");
    let typ = header["typ"].as_str().expect("a type").to_ascii_lowercase();
    assert!(typ.trim_start_matches("application/") == "at+jwt" && header["alg"] == "EdDSA", "{header}");
    assert_eq!(claims["iss"], ISSUER.url);
    assert!(claims["aud"].to_string().contains("https://"), "{claims}");
    let time = |name: &str| claims[name].as_i64().expect("a time");
    assert!(time("exp") > NOW && time("nbf") <= NOW + 5 && time("iat") <= NOW + 5, "{claims}");
}

/// Checks that an accepted token equals the one that is issued for its content.
fn refresh_token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(token) = refresh_token::parse(&KEYS, text) {
        let made = refresh_token::issue(&KEYS, token.session_id, token.secret, token.generation);
        assert_eq!(made.expose(), text);
    }
    // An issued token is accepted, but not with anything appended.
    let mut seed = [0; 36];
    let length = bytes.len().min(36);
    seed[..length].copy_from_slice(&bytes[..length]);
    let (id, rest) = seed.split_at(16);
    let (secret, generation) = rest.split_at(16);
    let id = Uuid::from_slice(id).expect("16 bytes");
    let (secret, generation) = (secret.try_into().expect("16"), generation.try_into().expect("4"));
    let made = refresh_token::issue(&KEYS, id, secret, i32::from_be_bytes(generation));
    assert!(refresh_token::parse(&KEYS, made.expose()).is_ok());
    assert!(refresh_token::parse(&KEYS, &format!("{}{text}", made.expose())).is_err() || text.is_empty());
}

/// Checks that an accepted token has exactly the expected form.
fn personal_token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if personal_token::parse(text).is_ok() {
        assert!(text.starts_with("dwp_") && text[4..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let mut other = text.to_owned();
        other.replace_range(4..5, if text[4..].starts_with('a') { "b" } else { "a" });
        assert!(personal_token::parse(&other).is_err(), "one letter is another");
        assert!(personal_token::parse(&format!("{text} ")).is_err());
    }
}

/// Checks that an accepted cursor is the one that was issued for this list.
fn cursor(bytes: &[u8]) {
    let (list, text) = first_line(bytes);
    let (Ok(list), Ok(text)) = (std::str::from_utf8(list), std::str::from_utf8(text)) else { return };
    if let Ok(id) = cursor::open(&KEYS, list, text) {
        assert!(text.starts_with(&cursor::seal(&KEYS, list, id)[..42]), "{text}");
    }
    let sealed = cursor::seal(&KEYS, list, Uuid::nil());
    assert_eq!(cursor::open(&KEYS, list, &sealed).ok(), Some(Uuid::nil()));
    assert!(cursor::open(&KEYS, &format!("{list} "), &sealed).is_err());
}

/// Checks that settings errors have a line each, without control characters and without the secret. The input
/// has lines `NAME=value` for the environment, a line `---`, and a settings file.
fn settings(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (variables, file) = text.split_once("---\n").unwrap_or((&text, ""));
    let mut environment: Vec<_> = variables
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    environment.push(("DOORWARD_SECRET_KEY".into(), SECRET.into()));
    let toml = Some(("doorward.toml".into(), file.to_owned()));
    let inputs = Inputs { environment, toml, processors: 2, ..Inputs::default() };
    let lines = match resolve(&inputs) {
        Ok(settings) => settings.entries().iter().filter_map(|entry| entry.value.clone()).collect(),
        Err(errors) => {
            assert!(!errors.lines.is_empty());
            errors.lines
        }
    };
    for line in lines {
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(!line.contains(SECRET) || text.contains(SECRET), "{line:?}");
    }
}

struct Browsers {
    settings: BrowserSettings,
    key: CookieKey,
}

static BROWSERS: LazyLock<Browsers> = LazyLock::new(|| Browsers {
    settings: BrowserSettings {
        origin: "https://auth.example".to_owned(),
        script_origins: Vec::new(),
        secure: true,
        idle_ttl: std::time::Duration::from_secs(60),
        kept_ttl: std::time::Duration::from_secs(60),
    },
    key: CookieKey::generate(),
});

/// Checks that a cookie that this server did not sign is refused, and never causes a server error.
fn cookie(bytes: &[u8]) {
    thread_local! {
        static SYSTEM: actix_web::rt::SystemRunner = actix_web::rt::System::new();
    }
    async fn look(request: HttpRequest) -> HttpResponse {
        match session_cookie::read_cookie(&request, &BROWSERS.settings) {
            SentCookie::Signed(_) => HttpResponse::Ok().finish(),
            SentCookie::Missing | SentCookie::Forged => HttpResponse::Unauthorized().finish(),
        }
    }
    let ask = async {
        let app = App::new()
            .wrap(session_cookie::middleware(&BROWSERS.settings, &BROWSERS.key))
            .default_service(web::to(look));
        let app = test::init_service(app).await;
        let mut request = TestRequest::get();
        if let Ok(value) = HeaderValue::from_bytes(bytes) {
            request = request.insert_header(("cookie", value));
        }
        let text = String::from_utf8_lossy(bytes).into_owned();
        let alone = TestRequest::get().cookie(Cookie::new("__Host-doorward", text));
        for request in [request, alone] {
            let answer = test::call_service(&app, request.to_request()).await;
            assert_eq!(answer.status(), 401);
        }
    };
    SYSTEM.with(|system| system.block_on(ask));
}

/// Checks that the client address is the peer's or one in the header, and always the peer's if the peer is
/// not a trusted proxy. The first byte selects `Forwarded` or `X-Forwarded-For`.
fn forwarded(bytes: &[u8]) {
    let Some((which, lines)) = bytes.split_first() else { return };
    let is_standard = *which == b'f';
    let name = if is_standard { "forwarded" } else { "x-forwarded-for" };
    let headers = headers(&HeaderName::from_static(name), lines);
    let peer: IpAddr = "10.0.0.1".parse().expect("an address");
    assert_eq!(TrustedProxies::default().behind(peer, &headers), peer.into());
    let networks = vec!["10.0.0.0/8".parse().expect("a network")];
    let trusted = TrustedProxies::new(networks, ProxyHeader::Auto);
    let found = trusted.behind(peer, &headers).address;
    let text = String::from_utf8_lossy(lines);
    let mut hops = text.split([',', '\n']).filter_map(|hop| forwarded_header::address(hop.trim()));
    // Addresses in `Forwarded` may be quoted. Its parser has its own test that the address is in the header.
    assert!(is_standard || found == peer || hops.any(|hop| hop.to_canonical() == found), "{found}");
    let stranger: IpAddr = "192.0.2.1".parse().expect("an address");
    assert_eq!(trusted.behind(stranger, &headers), stranger.into());
}

/// Checks that an entity tag which is not listed never matches. A change with more tags than the parser reads
/// may be refused.
fn conditions(bytes: &[u8]) {
    const TAG: &str = "\"a tag that no input of the fuzzer's holds\"";
    let text = String::from_utf8_lossy(bytes);
    let is_possible = text.contains('*') || text.contains(TAG);
    let changes = headers(&HeaderName::from_static("if-match"), bytes);
    let conditions = Conditions::of(&changes);
    assert!(conditions.check(TAG).is_err() || changes.is_empty() || is_possible);
    assert!(!conditions.is_unmodified(TAG));
    let reads = headers(&HeaderName::from_static("if-none-match"), bytes);
    let conditions = Conditions::of(&reads);
    assert!(!conditions.is_unmodified(TAG) || is_possible);
    let is_long = bytes.iter().filter(|byte| b",\n".contains(byte)).count() >= 100;
    // `*` in `If-None-Match` refuses a change of an existing resource (RFC 9110, section 13.1.2).
    assert!(conditions.check(TAG).is_ok() || is_possible || is_long);
}

/// Checks that the parser agrees with serde_json, except for duplicate names and for anything beyond the
/// number of values that it reads. Also checks that a body is accepted, or refused with one of two codes.
fn json(bytes: &[u8]) {
    match (json::parse(bytes), serde_json::from_slice::<serde_json::Value>(bytes)) {
        (Ok(parsed), _) if parsed.is_cut => assert!(parsed.repeated.len() <= 50),
        (Ok(parsed), Ok(value)) => assert!(!parsed.repeated.is_empty() || parsed.value == value),
        (Err(problem), Err(_)) => assert_eq!(problem.code(), Code::MalformedJson),
        (ours, theirs) => panic!("{ours:?} and {theirs:?}"),
    }
    match Fields::read_text::<LoginRequest>(bytes) {
        Ok(request) => assert!(!request.username.contains('\0')),
        Err(problem) => {
            assert!(matches!(problem.code(), Code::MalformedJson | Code::ValidationFailed));
            assert!(problem.to_record().to_string().len() < 8 * 1024);
        }
    }
}

/// Checks that the fields are not longer than the body. The input has a Content-Type, a line break and a
/// body.
fn multipart(bytes: &[u8]) {
    let (content_type, body) = first_line(bytes);
    let Ok(content_type) = std::str::from_utf8(content_type) else { return };
    match multipart::read(content_type, body) {
        Ok(fields) => {
            let length = |(name, value): (&String, &serde_json::Value)| {
                name.chars().count() + value.as_str().map_or(0, |text| text.chars().count())
            };
            assert!(fields.iter().map(length).sum::<usize>() <= body.len());
        }
        Err(problem) => assert_eq!(problem.code(), Code::MalformedJson),
    }
}

/// Checks that a form has the same fields after it is written and read again.
fn form(bytes: &[u8]) {
    let fields = Form::parse(bytes).into_fields();
    let written = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    assert_eq!(Form::parse(written.as_bytes()).into_fields(), fields);
}

/// Checks that a pasted text gives a path that begins with a slash, or one of the expected refusals.
fn pasted(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let found = pasted::read(text);
    assert!(found.target.is_none_or(|target| target.path.starts_with('/') && !target.path.contains('?')));
    if let Err(problem) = found.credential {
        assert!(matches!(
            problem.code(),
            Code::CredentialsMissing
                | Code::CredentialsMalformed
                | Code::CredentialsAmbiguous
                | Code::SchemeUnsupported
                | Code::TokenMalformed
        ));
    }
}

/// Checks that a valid username is valid again as it is shown, and folds to the same name.
fn username(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let folded = fold_typed(text);
    if let Ok(name) = Username::parse(text) {
        let again = Username::parse(name.as_str()).expect("as it is shown");
        assert_eq!((again.as_str(), again.folded()), (name.as_str(), name.folded()));
        assert_eq!(folded.as_deref(), Some(name.folded()));
        assert!(!name.as_str().chars().any(|letter| letter.is_control() || letter.is_whitespace()));
        assert_eq!(fold_typed(name.folded()).as_deref(), Some(name.folded()));
    }
}

/// Checks that a valid address is valid again as it is shown, and folds to the same address.
fn email(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(address) = EmailAddress::parse(text) {
        let again = EmailAddress::parse(address.as_str()).expect("as it is shown");
        assert_eq!(again.folded(), address.folded());
        assert_eq!(address.as_str().matches('@').count(), 1);
        assert!(address.as_str().len() <= 254);
    }
}

/// Checks that a valid label has one line and is not blank.
fn label(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if label::check(text).is_ok() {
        assert!(!text.chars().any(char::is_control) && !text.trim().is_empty());
    }
}

/// Checks that an accepted path leads to this origin in every browser.
fn next(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(path) = return_to::path(Some(text)) {
        let here = url::Url::parse("https://auth.example/login").expect("a URL");
        let there = here.join(path).expect("a path");
        assert_eq!(there.origin(), here.origin(), "{path}");
    }
}
