//! Middleware: the log, the metrics and the record of requests, headers of every answer, CORS, answers in memory.

pub mod answers;
pub mod cors;
pub mod headers;
pub mod meters;
pub mod observe;
