//! The catalogue of refusals: each code with its status, title, action and page, and the body that carries it
//! (RFC 9457).

pub mod body;
pub mod challenge;
pub mod code;
pub mod field_errors;
pub mod finish;
pub mod foreign;
pub mod pages;
pub mod redacted;
pub mod translated;

pub use body::Problem;
pub use code::{Action, Challenge, Code};
pub use field_errors::{FieldError, FieldErrors};
pub use finish::{ACCEPT_PATCH, Asked, PATCHES, Refused, Rendering, RequestId, finish, mark};
pub use foreign::from_actix;
pub use redacted::{unmatched_path, without_credentials};
pub use translated::Translated;
