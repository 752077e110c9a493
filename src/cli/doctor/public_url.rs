//! Checks the public URL: what a client reaches there, and how the server sees that client.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::tls::{RootCerts, TlsConfig};
use uuid::Uuid;

use super::finding::{Finding, in_one_line};
use crate::app::start;
use crate::audit::refusals::{self, KeptRefusal};
use crate::cli::database::DatabaseAccess;
use crate::config::Settings;

const CHECK: &str = "public URL";
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// The number of lookups for the refusal. A server writes its refusals once a second.
const LOOKS: u32 = 15;
/// The pause between two lookups.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// Requests a guarded resource without a credential, and compares the refusal with what the server has
/// recorded.
pub(super) fn examine(settings: &Settings, access: &DatabaseAccess) -> Vec<Finding> {
    let url = settings.public_url_for(settings.listen);
    let url = url.as_str();
    let refusal = match ask(&format!("{url}/api/v1/me")) {
        Ok(refusal) => refusal,
        Err(error) => {
            let advice = "Start the server, or check DNS, the proxy and DOORWARD_PUBLIC_URL.";
            return vec![Finding::warn(CHECK, format!("{url} does not answer: {error}"), advice)];
        }
    };
    let mut findings = vec![issuer(url, &refusal)];
    findings.push(keys(settings, access, url));
    let request_id = refusal["request_id"].as_str().and_then(|id| Uuid::try_parse(id).ok());
    findings.extend(request_id.map(|id| proxy(settings, access, id)));
    findings
}

fn ask(url: &str) -> Result<Value, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    let agent = ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(ANSWERED_WITHIN))
        .http_status_as_error(false)
        .max_redirects(0)
        .build()
        .new_agent();
    let mut answer = agent.get(url).call().map_err(|error| error.to_string())?;
    let text = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
    serde_json::from_str(&text)
        .map_err(|_| format!("another program answers there, not doorward (status {})", answer.status()))
}

fn issuer(url: &str, refusal: &Value) -> Finding {
    let kind = refusal["type"].as_str().unwrap_or_default();
    match kind.split_once("/problems/") {
        Some((issuer, _)) if issuer == url => {
            Finding::pass(CHECK, format!("{url} answers, and is the issuer"))
        }
        Some((issuer, _)) => Finding::fail(
            CHECK,
            format!("{url} answers, but its issuer is {issuer}"),
            "Give the server and this command the same DOORWARD_PUBLIC_URL.",
        ),
        None => Finding::fail(
            CHECK,
            format!("another program answers at {url}, not doorward"),
            "Check DNS and the proxy.",
        ),
    }
}

/// Checks that the keys that clients fetch are those of this database.
fn keys(settings: &Settings, access: &DatabaseAccess, url: &str) -> Finding {
    let check = "published keys";
    let served = match ask(&format!("{url}/.well-known/jwks.json")) {
        Ok(served) => served,
        Err(error) => {
            return Finding::fail(check, error, "Configure the proxy to pass on /.well-known/jwks.json.");
        }
    };
    let prepared = access
        .connect()
        .map_err(in_one_line)
        .and_then(|mut connection| start::open(&mut connection, settings).map_err(|error| error.to_string()));
    let ring = match prepared {
        Ok(prepared) => prepared.ring,
        Err(error) => return Finding::fail(check, error, "Correct the failed check above."),
    };
    let kids: Vec<&str> =
        served["keys"].as_array().into_iter().flatten().filter_map(|key| key["kid"].as_str()).collect();
    match ring
        .newest_at(crate::clock::Clock::default().now())
        .map(crate::tokens::signing_key::SigningKey::kid)
    {
        Some(kid) if kids.contains(&kid) => {
            Finding::pass(check, format!("{} at {url}, the newest among them", kids.len()))
        }
        _ => Finding::fail(
            check,
            format!("the newest key of this database is not among the {} keys that {url} serves", kids.len()),
            "That server uses another database, or a cache returns an old answer.",
        ),
    }
}

/// Checks how the server saw the request of this check.
fn proxy(settings: &Settings, access: &DatabaseAccess, request_id: Uuid) -> Finding {
    let check = "proxy";
    if settings.refusal_retention.is_zero() {
        let advice = "DOORWARD_REFUSAL_RETENTION is 0s. Set it above 0s to check this.";
        return Finding::warn(check, "the client address that the server sees cannot be looked up", advice);
    }
    let Some(seen) = find(access, request_id) else {
        let advice = "That server uses another database, or is very busy.";
        return Finding::warn(check, "this database does not have the request that was made there", advice);
    };
    let address = seen.address.clone().unwrap_or_default();
    let peer = seen.peer.clone().unwrap_or_default();
    match &seen.forwarded_for {
        None => Finding::pass(check, format!("no proxy: the server saw {address}")),
        Some(forwarded) if address == peer => Finding::warn(
            check,
            format!("the server saw {peer}, an untrusted proxy that forwards for {forwarded}"),
            format!("If {peer} is your proxy, set DOORWARD_TRUSTED_PROXIES={peer}."),
        ),
        Some(_) => Finding::pass(check, format!("{peer} is a trusted proxy: the server saw {address}")),
    }
}

fn find(access: &DatabaseAccess, request_id: Uuid) -> Option<KeptRefusal> {
    let mut connection = access.connect().ok()?;
    for _ in 0..LOOKS {
        if let Some(found) = refusals::find(&mut connection, request_id).ok()? {
            return Some(found);
        }
        #[allow(clippy::disallowed_methods)] // a command has nothing else to do
        std::thread::sleep(BETWEEN_LOOKS);
    }
    None
}
