//! Tests of the checks that every guarded request passes.

mod checks;
mod client_mistakes;
mod late_requests;
mod session_cookie;
