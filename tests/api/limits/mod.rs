//! Tests of the limits on unread responses.

mod unread_answers;
