//! The only source of randomness and of ids.

use std::cell::RefCell;

use aws_lc_rs::rand::SystemRandom;
use uuid::Uuid;

/// `N` bytes from the operating system's generator.
///
/// # Panics
/// Where the operating system has no randomness to give: nothing here may go on without.
#[must_use]
#[allow(clippy::disallowed_methods, clippy::expect_used)] // the one place
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// The same source, for a library that draws from it by itself.
#[must_use]
pub fn source() -> SystemRandom {
    SystemRandom::new()
}

/// A new id: UUID version 7 (RFC 9562, section 5.7), so that rows stand in the order of their making.
#[must_use]
#[allow(clippy::disallowed_methods)] // the one place
pub fn id() -> Uuid {
    Uuid::now_v7()
}

/// Bytes that a thread draws at once for request ids: each request needs one, and the generator's cost is in the call.
const DRAWN: usize = 1024;

thread_local! {
    static FOR_REQUEST_IDS: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) };
}

/// A new request id: UUID version 4, since it tells its reader nothing about the time.
#[must_use]
pub fn request_id() -> Uuid {
    FOR_REQUEST_IDS.with_borrow_mut(|drawn| {
        if drawn.is_empty() {
            drawn.extend_from_slice(bytes::<DRAWN>().as_chunks().0);
        }
        uuid::Builder::from_random_bytes(drawn.pop().unwrap_or_else(bytes)).into_uuid()
    })
}
