//! `/admin/keys`: lists the keys that sign access tokens, and rotates them.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use crate::guard::Authorized;
use crate::guard::requirements::{ServerRead, ServerWrite};
use crate::http::request::Form;
use crate::operations::signing_keys::RotateSigningKey;
use crate::pages::answer::answer;
use crate::pages::redirect::see_other;
use crate::pages::shell::Shell;
use crate::pages::timestamp::Timestamp;
use crate::refusal::Refusal;
use crate::state::State;
use crate::tokens::key_state::KeyState;
use crate::tokens::signing_key;

#[derive(Template)]
#[template(path = "admin/keys.html")]
struct KeysPage {
    shell: Shell,
    items: Vec<Item>,
}

struct Item {
    kid: String,
    algorithm: String,
    state: &'static str,
    signs_from: Timestamp,
    retires: Option<Timestamp>,
}

/// Lists the keys, newest first.
pub(crate) async fn show(
    state: web::Data<State>,
    guarded: Authorized<ServerRead>,
) -> Result<HttpResponse, Refusal> {
    let rows = state.core.database.run(signing_key::list).await?;
    let now = state.core.clock.now();
    let items = rows.iter().rev().map(|row| Item {
        kid: row.kid.clone(),
        algorithm: row.algorithm.clone(),
        state: match KeyState::of(row, &rows, now) {
            KeyState::Signs => "Signs new tokens",
            KeyState::Published => "Published, and signs soon",
            KeyState::Verifies => "Verifies until its last token has expired",
            KeyState::Retired => "Retired",
            KeyState::Revoked => "Revoked",
        },
        signs_from: Timestamp::new(row.signs_from, now),
        retires: row.retires_at.map(|at| Timestamp::new(at, now)),
    });
    answer(StatusCode::OK, &KeysPage { shell: Shell::of(&guarded.caller), items: items.collect() })
}

/// Publishes a new key. It signs once all verifiers have had time to fetch it.
pub(crate) async fn rotate(
    state: web::Data<State>,
    guarded: Authorized<ServerWrite, Form>,
) -> Result<HttpResponse, Refusal> {
    RotateSigningKey.run(&state, &guarded.caller, guarded.origin).await?;
    Ok(see_other("/admin/keys"))
}
