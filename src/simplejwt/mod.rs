//! The routes of djangorestframework-simplejwt (`/api/token/…`) over doorward's own sessions: sign-in,
//! refresh, verification and sign-out. Requests are read, and responses and refusals are written, like Django
//! REST framework does.

pub mod answer;
pub mod blacklist;
pub mod body;
pub mod multipart;
pub mod obtain;
pub mod refresh;
pub mod refusal;
mod shallow;
pub mod verify;

use self::answer::{BLACKLIST, OBTAIN, REFRESH, VERIFY};
use crate::http::routing::Endpoint;

pub use refusal::translate;

/// Returns the routes. A setting decides whether they are served.
#[must_use]
pub fn routes() -> Vec<Endpoint> {
    vec![
        Endpoint::at(OBTAIN).post(obtain::obtain),
        Endpoint::at(REFRESH).post(refresh::refresh),
        Endpoint::at(VERIFY).post(verify::verify),
        Endpoint::at(BLACKLIST).post(blacklist::blacklist),
    ]
}
