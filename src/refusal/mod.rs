//! The catalogue of refusals: each code with its status, title, action and help page, and the response body
//! that reports it (RFC 9457).

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod challenge;
pub(crate) mod code;
pub(crate) mod dialect;
pub(crate) mod field_errors;
pub(crate) mod from_actix;
pub mod help;
pub(crate) mod redacted;

pub use answer::{ACCEPT_PATCH, AnsweredRefusal, PATCHES, RenderContext, mark_refused};
pub use body::Refusal;
pub use code::{Action, Challenge, Code};
pub use dialect::{Dialect, RequestId, RequestSummary};
pub use field_errors::{FieldError, FieldErrors};
pub use from_actix::{from_actix, internal, not_found};
pub use redacted::{path_without_secrets, without_credentials};
