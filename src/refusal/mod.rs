//! The catalogue of refusals: each code with its status, title, action and help page, and the response body
//! that reports it (RFC 9457).

pub mod body;
pub mod challenge;
pub mod code;
pub mod dialect;
pub mod field_errors;
pub mod finish;
pub mod from_actix;
pub mod help;
pub mod redacted;

pub use body::Problem;
pub use code::{Action, Challenge, Code};
pub use dialect::Translated;
pub use field_errors::{FieldError, FieldErrors};
pub use finish::{ACCEPT_PATCH, Asked, PATCHES, Refused, Rendering, RequestId, finish, mark};
pub use from_actix::{from_actix, internal};
pub use redacted::{path_without_secrets, without_credentials};
