//! Middleware: logs, metrics and kept refusals; headers of every response; CORS; bounds on responses in
//! memory.

pub mod answers;
pub mod cors;
pub mod headers;
pub mod meters;
pub mod observe;
