//! Creates random bytes and IDs. No other module creates them.

use std::cell::RefCell;

use aws_lc_rs::rand::SystemRandom;
use uuid::Uuid;

/// Returns `N` bytes from the operating system's generator.
///
/// # Panics
/// If the operating system has no randomness. Nothing here may continue without it.
#[must_use]
#[allow(clippy::disallowed_methods, clippy::expect_used)] // the one place
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Returns the generator itself, for libraries that draw from it.
#[must_use]
pub fn source() -> SystemRandom {
    SystemRandom::new()
}

/// Returns a new ID: UUID version 7 (RFC 9562, section 5.7), so that rows sort by creation.
#[must_use]
#[allow(clippy::disallowed_methods)] // the one place
pub fn id() -> Uuid {
    Uuid::now_v7()
}

/// The bytes that a thread draws at once for request IDs. Each request needs an ID, and the cost of the
/// generator is in the call.
const DRAWN: usize = 1024;

thread_local! {
    static FOR_REQUEST_IDS: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) };
}

/// Returns a new request ID: UUID version 4, because it must not reveal the time.
#[must_use]
pub fn request_id() -> Uuid {
    FOR_REQUEST_IDS.with_borrow_mut(|drawn| {
        if drawn.is_empty() {
            drawn.extend_from_slice(bytes::<DRAWN>().as_chunks().0);
        }
        uuid::Builder::from_random_bytes(drawn.pop().unwrap_or_else(bytes)).into_uuid()
    })
}
