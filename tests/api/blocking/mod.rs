//! Tests of the bounded pools of threads.

mod fair_shares;
