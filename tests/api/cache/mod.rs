//! Tests of the cache of each node.

mod remembered;
mod restored;
