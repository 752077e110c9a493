//! The programs that verify access tokens offline, as the README prints them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use doorward_test::{World, settings_at};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::client::FOLDER;

#[path = "../../../docs/examples/verify.rs"]
mod printed;

pub const EXAMPLES: [(&str, &str); 3] =
    [("python", "verify.py"), ("js", "verify.mjs"), ("rust", "verify.rs")];
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The issuer that the examples name.
const ISSUER: &str = "http://127.0.0.1:8080";
/// The audience that the examples name.
const AUDIENCE: &str = "https://api.example.org";
const KEYS: &str = "/.well-known/jwks.json";

const PYTHON: &str = "
import json, sys
def claims(token):
    try:
        return verify(token)
    except jwt.PyJWTError as refused:
        print(repr(refused), file=sys.stderr)
print(json.dumps([claims(token) for token in json.load(sys.stdin)]))
";
const JAVASCRIPT: &str = "
import { text } from 'node:stream/consumers';
import { errors } from 'jose';
const claims = (token) => verify(token).catch((refused) => {
  if (!(refused instanceof errors.JOSEError)) throw refused;
  console.error(refused.message);
  return null;
});
const tokens = JSON.parse(await text(process.stdin));
console.log(JSON.stringify(await Promise.all(tokens.map(claims))));
";

#[test]
fn readme_prints_the_verifiers_word_for_word() {
    let readme = std::fs::read_to_string(format!("{ROOT}/README.md")).unwrap();
    for (language, name) in EXAMPLES {
        let file = std::fs::read_to_string(format!("{FOLDER}/{name}")).unwrap();
        assert!(readme.contains(&format!("](docs/examples/{name})")), "{name}");
        assert!(readme.contains(&format!("```{language}\n{file}```\n")), "{name}");
    }
}

/// A server with the examples' issuer and audience, and tokens of its key.
struct Issuer {
    world: World,
    access: String,
}

impl Issuer {
    async fn new() -> Self {
        let world = World::with(|settings| {
            *settings = settings_at(ISSUER);
            settings.audiences = vec![AUDIENCE.to_owned()];
        })
        .await;
        let access = world.signed_in("alice", "member").await.access;
        Self { world, access }
    }

    /// Signs the access token again, with another header and other claims.
    fn signed(&self, change: impl FnOnce(&mut Header, &mut Value)) -> String {
        let decoded = jsonwebtoken::dangerous::insecure_decode::<Value>(&self.access).unwrap();
        let (mut header, mut claims) = (decoded.header, decoded.claims);
        change(&mut header, &mut claims);
        let ring = self.world.state.tokens.keys.current();
        let key = ring.signing_at(self.world.clock.now()).unwrap();
        let secret = EncodingKey::from_secret(b"a secret that is long enough for it");
        let key = if header.alg == Algorithm::HS256 { &secret } else { key.encoding_key() };
        jsonwebtoken::encode(&header, &claims, key).unwrap()
    }

    /// Tokens that no verifier may accept, each with what is wrong with it.
    fn bad_tokens(&self) -> Vec<(&'static str, String)> {
        let claim = |name: &'static str, value: Value| self.signed(|_, claims| claims[name] = value);
        let now = self.world.clock.now().timestamp();
        let (signed, signature) = self.access.rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { "B" } else { "A" };
        let without_expiry = self.signed(|_, claims| {
            claims.as_object_mut().unwrap().remove("exp");
        });
        vec![
            ("issuer", claim("iss", json!("https://id.example.org"))),
            ("audience", claim("aud", json!([ISSUER, "https://other.example.org"]))),
            ("expiry", claim("exp", json!(now - 60))),
            ("no expiry", without_expiry),
            ("type", self.signed(|header, _| header.typ = Some("JWT".to_owned()))),
            ("no type", self.signed(|header, _| header.typ = None)),
            ("algorithm", self.signed(|header, _| header.alg = Algorithm::HS256)),
            ("key", self.signed(|header, _| header.kid = Some("unknown".to_owned()))),
            ("signature", format!("{signed}.{other}{}", &signature[1..])),
            ("form", "garbage".to_owned()),
        ]
    }

    /// Checks that a verifier accepts the good token and none of the others.
    fn check(&self, verified: &[Option<Value>]) {
        let (good, refused) = verified.split_first().unwrap();
        let good = good.as_ref().expect("the access token");
        assert_eq!(
            (&good["iss"], &good["scope"]),
            (&json!(ISSUER), &json!("account:read account:write notes:read notes:write"))
        );
        let bad = self.bad_tokens();
        assert_eq!(bad.len(), refused.len());
        for ((wrong, _), claims) in bad.iter().zip(refused) {
            assert_eq!(*claims, None, "{wrong}");
        }
    }

    fn tokens(&self) -> Vec<String> {
        let bad = self.bad_tokens().into_iter().map(|(_, token)| token);
        std::iter::once(self.access.clone()).chain(bad).collect()
    }

    /// Writes an example into a folder of its own, with a program behind it that verifies the tokens on its
    /// standard input.
    fn program(&self, folder: &Path, name: &str, driver: &str) -> PathBuf {
        let printed = std::fs::read_to_string(format!("{FOLDER}/{name}")).unwrap();
        let address = format!("{ISSUER}{KEYS}");
        assert!(printed.contains(&address));
        let file = folder.join(name);
        let text = printed.replace(&address, &format!("{}{KEYS}", self.world.base));
        std::fs::write(&file, format!("{text}{driver}")).unwrap();
        file
    }

    async fn run(&self, mut command: Command) -> Vec<Option<Value>> {
        let input = json!(self.tokens()).to_string();
        let output = spawn_blocking(move || {
            command.env("no_proxy", "*").stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            child.wait_with_output().unwrap()
        });
        let output = output.await.unwrap();
        assert!(output.status.success(), "standard error says why");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

#[actix_web::test]
async fn python_example_accepts_only_valid_tokens() {
    let issuer = Issuer::new().await;
    let folder = tempfile::tempdir().unwrap();
    let python =
        std::env::var("DOORWARD_TEST_PYTHON").expect("DOORWARD_TEST_PYTHON is not set: run `make test`");
    let mut command = Command::new(python);
    command.arg("-B").arg(issuer.program(folder.path(), "verify.py", PYTHON));
    issuer.check(&issuer.run(command).await);
}

#[actix_web::test]
async fn node_example_accepts_only_valid_tokens() {
    let issuer = Issuer::new().await;
    let folder = tempfile::tempdir().unwrap();
    let jose = Command::new(format!("{ROOT}/scripts/jose")).stderr(Stdio::inherit()).output().unwrap();
    assert!(jose.status.success(), "scripts/jose");
    let modules = String::from_utf8(jose.stdout).unwrap();
    std::os::unix::fs::symlink(modules.trim_end(), folder.path().join("node_modules")).unwrap();
    let mut command = Command::new("node");
    command.arg(issuer.program(folder.path(), "verify.mjs", JAVASCRIPT));
    issuer.check(&issuer.run(command).await);
}

#[actix_web::test]
async fn rust_example_accepts_only_valid_tokens() {
    let issuer = Issuer::new().await;
    let published = issuer.world.ask(Method::GET, KEYS).send().await;
    let keys: JwkSet = serde_json::from_value(published.body).unwrap();
    let verified: Vec<Option<Value>> =
        issuer.tokens().iter().map(|token| printed::verify(token, &keys).ok()).collect();
    issuer.check(&verified);
}
