//! Requests and answers: reads paths, queries, headers and bodies, and holds the route table. Knows no user, no session and no state.

pub mod client_address;
pub mod conditions;
pub mod cookies;
pub mod cursor;
pub mod fields;
pub mod forwarded;
pub mod json;
pub mod label;
pub mod pagination;
pub mod parameters;
pub mod request;
pub mod response;
pub mod routing;
