//! `doorward token`: lists and revokes personal access tokens.

use clap::{Args, Subcommand};
use serde::Serialize;
use uuid::Uuid;

use super::context::Context;
use super::database::DatabaseAccess;
use super::failure::Failure;
use super::output::{Format, Output};
use super::user::find;
use crate::audit::Origin;
use crate::clock::rfc3339 as time;
use crate::database::{Connection, transaction};
use crate::tokens::personal_token::{self, PersonalToken, RevokeReason, TokenSelection};
use crate::users::user;

/// Arguments of `doorward token`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  doorward token list --user alice\n  doorward token revoke <id>\n  doorward token revoke --all-of alice"
)]
pub struct TokenArgs {
    /// The action.
    #[command(subcommand)]
    pub action: TokenAction,
}

/// An action on tokens.
#[derive(Debug, Subcommand)]
pub enum TokenAction {
    /// List the tokens, without their secrets.
    List(TokenListArgs),
    /// Revoke a token, or all tokens of a user, from the next request on.
    Revoke(TokenRevokeArgs),
}

/// Arguments of `doorward token list`.
#[derive(Args, Debug)]
pub struct TokenListArgs {
    /// List only this user's tokens: the username, e-mail address or id.
    #[arg(long)]
    pub user: Option<String>,
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward token revoke`.
#[derive(Args, Debug)]
pub struct TokenRevokeArgs {
    /// The token's id from the list.
    #[arg(required_unless_present = "all_of", conflicts_with = "all_of")]
    pub id: Option<Uuid>,
    /// Revoke every token of this user: the username, e-mail address or id.
    #[arg(long, value_name = "USER")]
    pub all_of: Option<String>,
    #[command(flatten)]
    pub format: Format,
}

/// The number of rows that a list fetches at a time.
const BATCH: i64 = 500;

/// A token in the list.
#[derive(Serialize)]
struct Row {
    id: Uuid,
    name: String,
    user: String,
    scope: String,
    expires_at: String,
    last_used_at: Option<String>,
}

impl TokenArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// The database cannot be reached, or the user or token does not exist.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let settings = context.settings()?;
        DatabaseAccess::use_for(&settings, |connection| match &self.action {
            TokenAction::List(args) => list(connection, args),
            TokenAction::Revoke(args) => revoke(connection, args),
        })
    }
}

fn list(connection: &mut Connection, args: &TokenListArgs) -> Result<(), Failure> {
    let user = args.user.as_deref().map(|named| find(connection, named)).transpose()?;
    let mut tokens: Vec<PersonalToken> = Vec::new();
    loop {
        let before = tokens.last().map(|token| token.id);
        let batch = personal_token::list(connection, user.as_ref().map(|user| user.id), before, BATCH);
        let batch = batch?;
        if batch.is_empty() {
            break;
        }
        tokens.extend(batch);
    }
    let mut rows = Vec::with_capacity(tokens.len());
    for token in tokens {
        let owner = match (&user, token.user_id) {
            (Some(user), _) => user.username.clone(),
            (None, Some(id)) => user::find(connection, id)?.map_or_else(String::new, |user| user.username),
            (None, None) => String::new(),
        };
        rows.push(Row {
            id: token.id,
            name: token.name,
            user: owner,
            scope: token.scope.join(" "),
            expires_at: time(token.expires_at),
            last_used_at: token.last_used_at.map(time),
        });
    }
    let mut output = Output::stdout(args.format);
    if rows.is_empty() && !output.is_json() {
        return output.line("There are no personal access tokens.");
    }
    output.list(&rows, ["name", "user", "scope", "expires", "last used", "id"], |row| {
        let used = row.last_used_at.clone().unwrap_or_else(|| "never".to_owned());
        [
            row.name.clone(),
            row.user.clone(),
            row.scope.clone(),
            row.expires_at.clone(),
            used,
            row.id.to_string(),
        ]
    })
}

fn revoke(connection: &mut Connection, args: &TokenRevokeArgs) -> Result<(), Failure> {
    match (args.id, &args.all_of) {
        (Some(id), _) => revoke_one(connection, id, args.format),
        (None, Some(named)) => revoke_all(connection, named, args.format),
        // clap requires one of the two.
        (None, None) => Err(Failure::new("give a token's id, or a user with --all-of")),
    }
}

fn revoke_one(connection: &mut Connection, id: Uuid, format: Format) -> Result<(), Failure> {
    let revoked = revoke_which(connection, TokenSelection::One(id))?;
    if revoked.is_empty() {
        return Err(Failure::new(format!("there is no valid personal access token {id}")));
    }
    let line = format!("{id} was revoked, from the next request on.");
    Output::stdout(format).result(&serde_json::json!({ "id": id, "revoked": true }), &line)
}

fn revoke_all(connection: &mut Connection, named: &str, format: Format) -> Result<(), Failure> {
    let user = find(connection, named)?;
    let revoked = revoke_which(connection, TokenSelection::AllOf(user.id))?.len();
    let line =
        format!("{revoked} personal tokens of {} were revoked, from the next request on.", user.username);
    Output::stdout(format)
        .result(&serde_json::json!({ "username": user.username, "revoked": revoked }), &line)
}

fn revoke_which(connection: &mut Connection, which: TokenSelection) -> Result<Vec<Uuid>, Failure> {
    let revoked = transaction(connection, |connection| {
        if let TokenSelection::AllOf(user_id) = which {
            // The lock waits for a token that is being created, so that it is revoked too. Later
            // tokens are created after this revocation.
            user::lock(connection, user_id)?;
        }
        personal_token::revoke(connection, which, RevokeReason::ByAdmin, &Origin::command_line())
    });
    Ok(revoked?)
}
