//! Tests of the cache of each node.

mod restored;
