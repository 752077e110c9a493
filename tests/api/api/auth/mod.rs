//! Tests of signing in, stepping up and signing out.

mod login;
