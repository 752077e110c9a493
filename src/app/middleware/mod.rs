//! Middleware: refusals in the dialect of their endpoint; logs, metrics and kept refusals; headers of every
//! response; CORS; bounds on responses in memory.

pub(crate) mod answers;
pub(crate) mod cors;
pub mod finish;
pub(crate) mod headers;
pub(crate) mod meters;
pub(crate) mod observe;
