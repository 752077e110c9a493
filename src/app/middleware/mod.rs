//! What every request passes on its way to a handler and back.

pub mod answers;
pub mod cors;
pub mod headers;
pub mod meters;
pub mod observe;
