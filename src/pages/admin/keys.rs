//! `/admin/keys`: the keys that sign access tokens, and another in their place.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use crate::guard::input::Form;
use crate::guard::requirements::{ServerRead, ServerWrite};
use crate::guard::{Authorized, Services, refusal};
use crate::pages::answer;
use crate::pages::moment::Moment;
use crate::pages::refused::see_other;
use crate::pages::shell::Shell;
use crate::problem::Problem;
use crate::tokens::key_state::KeyState;
use crate::tokens::signing_key;

#[derive(Template)]
#[template(path = "admin/keys.html")]
struct Keys {
    shell: Shell,
    items: Vec<Item>,
}

struct Item {
    kid: String,
    algorithm: String,
    state: &'static str,
    signs_from: Moment,
    retires: Option<Moment>,
}

/// Lists them, the newest first.
pub async fn show(
    services: web::Data<Services>,
    guarded: Authorized<ServerRead>,
) -> Result<HttpResponse, Problem> {
    let rows = services.database.run(signing_key::list).await.map_err(refusal::database)?;
    let now = services.clock.now();
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
        signs_from: Moment::new(row.signs_from, now),
        retires: row.retires_at.map(|at| Moment::new(at, now)),
    });
    answer(StatusCode::OK, &Keys { shell: Shell::of(&guarded.caller), items: items.collect() })
}

/// Publishes another, which signs as soon as every verifier has had the time to fetch it.
pub async fn rotate(
    services: web::Data<Services>,
    guarded: Authorized<ServerWrite, Form>,
) -> Result<HttpResponse, Problem> {
    services.rotate_signing_key(guarded.origin).await?;
    Ok(see_other("/admin/keys"))
}
