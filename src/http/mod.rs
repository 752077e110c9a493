//! Reads requests (path, query, headers, body), builds responses, and holds the route table. Knows neither
//! users nor sessions nor the shared state.

pub mod client_address;
pub(crate) mod compressed;
pub mod conditions;
pub mod cookies;
pub mod cursor;
pub mod fields;
pub mod forwarded;
pub mod json;
pub(crate) mod json_value;
pub mod label;
pub(crate) mod pagination;
pub(crate) mod parameters;
pub mod request;
pub(crate) mod response;
pub mod routing;
