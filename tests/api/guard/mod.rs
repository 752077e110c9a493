//! Tests of the checks that every guarded request passes.

mod checks;
mod client_mistakes;
mod csrf;
mod late_requests;
mod session_cookie;
