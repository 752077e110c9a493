//! `doorward key`: lists and changes the keys that sign access tokens.

use clap::{Args, Subcommand};

use serde::Serialize;

use super::confirmation::Confirmation;
use super::context::Context;
use super::database::DatabaseAccess;
use super::failure::Failure;
use super::output::{Format, Output};
use crate::app;
use crate::app::start::check_secret_keys;
use crate::audit::Origin;
use crate::clock::Clock;
use crate::clock::rfc3339 as time;
use crate::config::Settings;
use crate::database::{Connection, QueryError, instance, transaction};
use crate::sessions::cookie_key;
use crate::tokens::key_state::KeyState;
use crate::tokens::private_key::PrivateKey;
use crate::tokens::signing_key::{self, Row};

/// Arguments of `doorward key`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  doorward key list\n  doorward key revoke <kid> --yes")]
pub struct KeyArgs {
    /// The action.
    #[command(subcommand)]
    pub action: KeyAction,
}

/// An action on keys.
#[derive(Debug, Subcommand)]
pub enum KeyAction {
    /// List the signing keys.
    List(KeyListArgs),
    /// Create a new signing key. The old one verifies until its last token has expired.
    /// The lifetime of tokens is that of the nodes, and does not depend on this command's settings.
    Rotate(KeyRotateArgs),
    /// Revoke a leaked signing key. Every node immediately refuses the tokens that it signed.
    Revoke(KeyRevokeArgs),
    /// Encrypt the stored keys again with the first of `DOORWARD_SECRET_KEY`.
    Reseal(KeyResealArgs),
}

/// Arguments of `doorward key list`.
#[derive(Args, Debug)]
pub struct KeyListArgs {
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward key rotate`.
#[derive(Args, Debug)]
pub struct KeyRotateArgs {
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward key revoke`.
#[derive(Args, Debug)]
pub struct KeyRevokeArgs {
    /// The key's `kid` from the list. One in 64 starts with a hyphen.
    #[arg(allow_hyphen_values = true)]
    pub kid: String,
    #[command(flatten)]
    pub confirmation: Confirmation,
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward key reseal`.
#[derive(Args, Debug)]
pub struct KeyResealArgs {
    #[command(flatten)]
    pub format: Format,
}

/// A key in the list.
#[derive(Serialize)]
struct Item {
    kid: String,
    algorithm: String,
    state: &'static str,
    published_at: String,
    signs_from: String,
    retires_at: Option<String>,
    longest_ttl_seconds: i64,
    revoked_at: Option<String>,
}

impl Item {
    /// Creates the entry of a key. `all` are all keys, which determine its state.
    fn of(row: &Row, all: &[Row]) -> Self {
        let state = KeyState::of(row, all, Clock::default().now()).as_str();
        Self {
            kid: row.kid.clone(),
            algorithm: row.algorithm.clone(),
            state,
            published_at: time(row.published_at),
            signs_from: time(row.signs_from),
            retires_at: row.retires_at.map(time),
            longest_ttl_seconds: row.longest_ttl_seconds,
            revoked_at: row.revoked_at.map(time),
        }
    }
}

impl KeyArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// The database cannot be reached, or the change is refused. The message gives the reason.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let settings = context.settings()?;
        DatabaseAccess::use_for(&settings, |connection| match &self.action {
            KeyAction::List(args) => list(connection, args),
            KeyAction::Rotate(args) => rotate(connection, &settings, args),
            KeyAction::Revoke(args) => revoke(connection, &settings, args),
            KeyAction::Reseal(args) => reseal(connection, &settings, args),
        })
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}

fn list(connection: &mut Connection, args: &KeyListArgs) -> Result<(), Failure> {
    let rows = signing_key::list(connection).map_err(failed)?;
    let items: Vec<Item> = rows.iter().map(|row| Item::of(row, &rows)).collect();
    Output::stdout(args.format).list(&items, ["kid", "algorithm", "state", "signs from", "retires"], |item| {
        let retires = item.retires_at.clone().unwrap_or_else(|| "-".to_owned());
        [item.kid.clone(), item.algorithm.clone(), item.state.to_owned(), item.signs_from.clone(), retires]
    })
}

fn rotate(connection: &mut Connection, settings: &Settings, args: &KeyRotateArgs) -> Result<(), Failure> {
    let secret_keys = check_secret_keys(connection, settings).map_err(failed)?;
    let private = PrivateKey::generate(app::settings::algorithm(settings)).map_err(failed)?;
    let row = transaction(connection, |connection| {
        signing_key::insert(connection, &private, &secret_keys, &Origin::command_line())
    });
    let row = row.map_err(failed)?.ok_or_else(|| Failure::new("no signing key could be created"))?;
    let rows = signing_key::list(connection).map_err(failed)?;
    let line =
        format!("{} is published, and signs from {}.{}", row.kid, time(row.signs_from), replaced(&rows));
    Output::stdout(args.format).result(&Item::of(&row, &rows), &line)
}

/// Says when the last of the earlier keys retires, and which token lifetime determines this.
fn replaced(rows: &[Row]) -> String {
    let now = Clock::default().now();
    let live = rows.iter().filter(|row| row.times().is_live_at(now));
    let Some((row, retires_at)) =
        live.filter_map(|row| Some((row, row.retires_at?))).max_by_key(|(_, retires_at)| *retires_at)
    else {
        return String::new();
    };
    format!(
        " The previous keys verify until {}, because the longest access token lifetime in this database is \
         {} s.",
        time(retires_at),
        row.longest_ttl_seconds
    )
}

/// The outcome of revoking a signing key.
enum Revocation {
    /// The key does not exist, or is already revoked.
    NotFound,
    /// The key is revoked. The row is that of its replacement; `None` if no replacement was needed.
    Done(Option<Row>),
}

fn revoke(connection: &mut Connection, settings: &Settings, args: &KeyRevokeArgs) -> Result<(), Failure> {
    // Create a replacement first, in case one is needed. If that fails, nothing is revoked.
    let secret_keys = check_secret_keys(connection, settings).map_err(failed)?;
    let private = PrivateKey::generate(app::settings::algorithm(settings)).map_err(failed)?;
    let what = format!(
        "this immediately invalidates every access token that {} signed; clients must refresh",
        args.kid
    );
    args.confirmation.ask(&what)?;
    let origin = Origin::command_line();
    let revoked = transaction(connection, |connection| {
        if !signing_key::revoke(connection, &args.kid, &origin)? {
            return Ok(Revocation::NotFound);
        }
        // The servers must always have a key to sign with.
        let made = match signing_key::may_sign(connection)? {
            true => None,
            false => signing_key::insert(connection, &private, &secret_keys, &origin)?,
        };
        Ok(Revocation::Done(made))
    });
    let Revocation::Done(made) = revoked.map_err(failed)? else {
        return Err(Failure::new(format!("there is no signing key {} that can be revoked", args.kid)));
    };
    let mut line = format!("{} was revoked.", args.kid);
    if let Some(made) = &made {
        line += &format!(" {} signs from now on.", made.kid);
    }
    let made = made.map(|row| row.kid);
    let result = serde_json::json!({ "kid": args.kid, "revoked": true, "new_signing_key": made });
    Output::stdout(args.format).result(&result, &line)
}

/// Reseals all keys, or none if one fails.
fn reseal(connection: &mut Connection, settings: &Settings, args: &KeyResealArgs) -> Result<(), Failure> {
    let secret_keys = check_secret_keys(connection, settings).map_err(failed)?;
    let mut unopened = None;
    let resealed = transaction(connection, |connection| {
        let mut refuse = |why: String| {
            unopened = Some(why);
            QueryError::RollbackTransaction
        };
        let resealed = signing_key::reseal(connection, &secret_keys)?;
        let resealed = resealed.map_err(|error| refuse(error.to_string()))?;
        cookie_key::reseal(connection, &secret_keys)?.map_err(|error| refuse(error.to_string()))?;
        let check_value = secret_keys.check_value().map_err(|error| refuse(error.to_string()))?;
        instance::update_check_value(connection, &check_value)?;
        Ok(resealed)
    });
    if let Some(why) = unopened {
        return Err(Failure::new(format!("{why}; no key was resealed")));
    }
    let resealed = resealed.map_err(failed)?;
    let line = format!("{resealed} keys were resealed with the first secret key.");
    Output::stdout(args.format).result(&serde_json::json!({ "resealed": resealed }), &line)
}
