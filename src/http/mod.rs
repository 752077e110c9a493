//! Reads requests (path, query, headers, body), builds responses, and holds the route table. Knows neither
//! users nor sessions nor the shared state.

pub mod client_address;
pub mod conditions;
pub mod cookies;
pub mod cursor;
pub mod fields;
pub mod forwarded;
pub mod json;
pub mod json_value;
pub mod label;
pub mod pagination;
pub mod parameters;
pub mod request;
pub mod response;
pub mod routing;
