//! The routes of djangorestframework-simplejwt (`/api/token/…`) over doorward's own sessions: sign-in,
//! refresh, verification and sign-out. Requests are read, and responses and refusals are written, like Django
//! REST framework does.

pub(crate) mod answer;
pub(crate) mod blacklist;
pub(crate) mod body;
pub mod multipart;
pub(crate) mod obtain;
pub(crate) mod refresh;
pub(crate) mod refusal;
mod shallow;
pub(crate) mod verify;

use self::answer::{BLACKLIST, OBTAIN, REFRESH, VERIFY};
use crate::http::routing::Endpoint;
use crate::refusal::Dialect;

pub use refusal::refused;

/// Returns the routes. A setting decides whether they are served.
#[must_use]
pub fn routes() -> Vec<Endpoint> {
    let routes = [
        Endpoint::at(OBTAIN).post(obtain::obtain),
        Endpoint::at(REFRESH).post(refresh::refresh),
        Endpoint::at(VERIFY).post(verify::verify),
        Endpoint::at(BLACKLIST).post(blacklist::blacklist),
    ];
    routes.map(|route| route.refused_as(Dialect::SimpleJwt)).into()
}
