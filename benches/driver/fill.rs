//! Fills a database with users, sessions and notes in batches, and continues where it stopped the last time.
//! The ids show which rows exist. The random bytes of a session's refresh token are computed from its number,
//! so that the load can present it.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Uuid as SqlUuid};
use diesel::{PgConnection, sql_query};
use doorward::users::password::{PasswordHash, PlainPassword};
use uuid::Uuid;

/// A kind of row. In its statements `$1` and `$2` are the first and the last number, `$3` is the number of
/// users, and `$4` is a password hash.
pub struct Kind {
    pub table: &'static str,
    first_id: u128,
    batch: u64,
    statements: &'static [&'static str],
}

pub const USERS: Kind = Kind {
    table: "users",
    first_id: 0x019b_0000_0000_7000_8001_0000_0000_0000,
    batch: 5_000,
    statements: &["INSERT INTO users (id, username, username_folded, email, email_folded, password_hash, role)
        SELECT ('019b0000-0000-7000-8001-' || lpad(to_hex(n), 12, '0'))::uuid, name, name, name || '@example.org',
            name || '@example.org', $4, 'member'
        FROM generate_series($1, $2) AS n,
            LATERAL (SELECT translate(left(md5(n::text), 8), '0123456789', 'ghijklmnop') || n AS name) AS named
        WHERE $3 = $3"],
};

pub const SESSIONS: Kind = Kind {
    table: "sessions",
    first_id: 0x019b_0000_0000_7000_8002_0000_0000_0000,
    batch: 10_000,
    statements: &[
        "INSERT INTO sessions (id, user_id, kind, device, address, expires_at)
        SELECT ('019b0000-0000-7000-8002-' || lpad(to_hex(n), 12, '0'))::uuid,
            ('019b0000-0000-7000-8001-' || lpad(to_hex(n % $3), 12, '0'))::uuid,
            'api', 'a telephone', '192.0.2.7', now() + interval '90 days'
        FROM generate_series($1, $2) AS n WHERE $4 = $4",
        "INSERT INTO refresh_tokens (session_id, secret_digest, expires_at)
        SELECT ('019b0000-0000-7000-8002-' || lpad(to_hex(n), 12, '0'))::uuid,
            sha256(substring(sha256(convert_to('session ' || n, 'UTF8')) FOR 16)), now() + interval '30 days'
        FROM generate_series($1, $2) AS n WHERE $3 = $3 AND $4 = $4",
    ],
};

pub const NOTES: Kind = Kind {
    table: "notes",
    first_id: 0x019b_0000_0000_7000_8003_0000_0000_0000,
    batch: 50_000,
    statements: &["INSERT INTO notes (id, owner_id, title, body, shared, search_text)
        SELECT ('019b0000-0000-7000-8003-' || lpad(to_hex(n), 12, '0'))::uuid,
            ('019b0000-0000-7000-8001-' || lpad(to_hex(n % $3), 12, '0'))::uuid,
            'note ' || n, body, n % 20 = 0, 'note ' || n || E'\\nA\\n' || body
        FROM generate_series($1, $2) AS n, LATERAL (SELECT repeat(md5(n::text) || ' ', 6) AS body) AS written
        WHERE $4 = $4"],
};

/// Returns the random bytes of a generated session's refresh token.
pub fn secret(number: u64) -> [u8; 16] {
    let mut secret = [0; 16];
    secret.copy_from_slice(&digest(&SHA256, format!("session {number}").as_bytes()).as_ref()[..16]);
    secret
}

impl Kind {
    pub fn id(&self, number: u64) -> Uuid {
        Uuid::from_u128(self.first_id + u128::from(number))
    }

    pub fn number(&self, id: Uuid) -> u64 {
        u64::try_from(id.as_u128() - self.first_id).unwrap_or_default()
    }

    /// Returns the number of existing rows. They are inserted in order, so this is the last number.
    pub fn count(&self, connection: &mut PgConnection) -> u64 {
        #[derive(QueryableByName)]
        struct Last {
            #[diesel(sql_type = SqlUuid)]
            id: Uuid,
        }
        let table = self.table;
        let last: Option<Last> =
            sql_query(format!("SELECT id FROM {table} WHERE id BETWEEN $1 AND $2 ORDER BY id DESC LIMIT 1"))
                .bind::<SqlUuid, _>(self.id(0))
                .bind::<SqlUuid, _>(self.id(0xffff_ffff_ffff))
                .get_result(connection)
                .optional()
                .expect("the database");
        last.map_or(0, |last| self.number(last.id) + 1)
    }

    fn fill(&self, connection: &mut PgConnection, wanted: u64, users: u64, hash: &str) -> u64 {
        let there = self.count(connection);
        let mut bar = Bar::new(self.table, there, wanted);
        let mut next = there;
        while next < wanted {
            let last = (next + self.batch).min(wanted) - 1;
            connection
                .transaction(|connection| {
                    for statement in self.statements {
                        sql_query(*statement)
                            .bind::<BigInt, _>(next as i64)
                            .bind::<BigInt, _>(last as i64)
                            .bind::<BigInt, _>(users as i64)
                            .bind::<Text, _>(hash)
                            .execute(connection)?;
                    }
                    QueryResult::Ok(())
                })
                .expect("a batch");
            next = last + 1;
            bar.show(next);
        }
        bar.end();
        wanted.saturating_sub(there)
    }
}

/// Fills the tables up to these numbers of rows. Does not delete any that are beyond them.
pub fn fill(url: &str, users: u64, sessions: u64, notes: u64) {
    let started = Instant::now();
    let mut connection = PgConnection::establish(url).expect("the database");
    let password = std::env::var("DOORWARD_ADMIN_PASSWORD").unwrap_or("an unusual pass phrase".into());
    let hash = PasswordHash::new(&PlainPassword::new(&password), 10).expect("a hash").expose().to_owned();
    let mut made = USERS.fill(&mut connection, users, users, &hash);
    let users = USERS.count(&mut connection).max(1);
    // Disables foreign key checks if the role may, because the new rows refer to existing ones and each check
    // would be a lookup.
    let _ = connection.batch_execute("SET session_replication_role = replica");
    made += SESSIONS.fill(&mut connection, sessions, users, &hash);
    made += NOTES.fill(&mut connection, notes, users, &hash);
    if made > 0 {
        eprintln!("vacuum and checkpoint");
        connection.batch_execute("VACUUM (ANALYZE)").expect("a vacuum");
        let _ = connection.batch_execute("CHECKPOINT");
    }
    report(&mut connection, made, started.elapsed());
}

fn report(connection: &mut PgConnection, made: u64, took: Duration) {
    #[derive(QueryableByName)]
    struct Size {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = BigInt)]
        rows: i64,
        #[diesel(sql_type = BigInt)]
        bytes: i64,
    }
    let sizes: Vec<Size> = sql_query(
        "SELECT relname::text AS name, greatest(reltuples, 0)::bigint AS rows, pg_total_relation_size(oid) AS bytes
         FROM pg_class WHERE relname IN ('users', 'login_names', 'sessions', 'refresh_tokens', 'notes') AND relkind = 'r'
         UNION ALL SELECT 'the whole database', 0, pg_database_size(current_database()) ORDER BY bytes",
    )
    .load(connection)
    .expect("sizes");
    println!("{made} rows made in {:.0} s", took.as_secs_f64());
    for Size { name, rows, bytes } in sizes {
        let each = if rows > 0 {
            format!(", {rows} rows, {} bytes each with indexes", bytes / rows)
        } else {
            String::new()
        };
        println!("  {name}: {:.1} MB{each}", bytes as f64 / 1e6);
    }
}

/// Shows the progress: one line that changes on a terminal, and otherwise a line for each tenth.
struct Bar {
    name: &'static str,
    from: u64,
    to: u64,
    started: Instant,
    shown: u64,
}

impl Bar {
    fn new(name: &'static str, from: u64, to: u64) -> Self {
        if from > 0 && from < to {
            eprintln!("{name}: {from} of {to} are there already");
        }
        Self { name, from, to, started: Instant::now(), shown: 0 }
    }

    fn show(&mut self, done: u64) {
        let percent = done * 100 / self.to;
        let is_terminal = std::io::stderr().is_terminal();
        if !is_terminal && percent / 10 == self.shown / 10 {
            return;
        }
        self.shown = percent;
        let made = (done - self.from).max(1) as f64;
        let left = self.started.elapsed().as_secs_f64() * (self.to - done) as f64 / made;
        let bar = "#".repeat((percent / 4) as usize);
        let end = if is_terminal { "\x1b[K\r" } else { "\n" };
        eprint!("{:<9} [{bar:<25}] {percent:>3} %  {done} of {}, {left:.0} s left{end}", self.name, self.to);
        let _ = std::io::stderr().flush();
    }

    fn end(&self) {
        if std::io::stderr().is_terminal() && self.shown > 0 {
            eprintln!();
        }
    }
}
