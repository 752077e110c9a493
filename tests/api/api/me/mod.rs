//! The caller's own account: profile, password, sessions and tokens.

use doorward_test::{Answer, World};

mod password;
mod profile;
mod sessions;
mod tokens;

/// Counts the personal tokens whose use is stored.
fn uses_of_tokens(world: &World) -> i64 {
    world.count("SELECT count(*) FROM personal_tokens WHERE last_used_at IS NOT NULL")
}

fn pointers(refused: &Answer) -> Vec<&str> {
    let errors = refused.body["errors"].as_array().unwrap();
    errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect()
}
