//! `/api/token/…`: sign-in, refresh, check and sign-out in the words of djangorestframework-simplejwt, over the same
//! sessions as everything else. What its clients send is taken as Django REST framework takes it, and they are answered
//! and refused as it does.

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

/// The routes, where the setting asks for them.
#[must_use]
pub fn routes() -> Vec<Endpoint> {
    vec![
        Endpoint::at(OBTAIN).post(obtain::obtain),
        Endpoint::at(REFRESH).post(refresh::refresh),
        Endpoint::at(VERIFY).post(verify::verify),
        Endpoint::at(BLACKLIST).post(blacklist::blacklist),
    ]
}
