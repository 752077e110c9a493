//! Backups of a database that doorward shares with others. Its owner is not a superuser, and its password
//! needs escaping in a URL.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use diesel::connection::SimpleConnection;
use diesel::migration::Migration;
use diesel::{Connection, PgConnection};
use diesel_migrations::MigrationHarness;
use doorward::database::Database;
use doorward::database::migrate::MIGRATIONS;
use doorward::database::private_postgres::{PrivatePostgres, find_binaries};
use doorward::secret_key::SecretKeys;
use doorward_test::PASSWORD;

use crate::support::{Folder, Server};

const SECRET_KEY: &str = "the-secret-key-of-every-test-in-this-file";
const LATER_KEY: &str = "another-secret-key-which-came-after-that";
/// The password `p?a#s+s%w@o=r/d`, as it is written in a URL.
const HARD_PASSWORD: &str = "p?a#s+s%25w%40o=r%2Fd";

/// A database that belongs to a role other than the superuser.
struct Site {
    folder: Folder,
    url: String,
    superuser_url: String,
    // The database is in the private PostgreSQL of this folder.
    _cluster: (Server, Folder),
}

impl Site {
    fn new() -> Self {
        let cluster = Folder::new();
        let server = cluster.serve();
        let url = PrivatePostgres::superuser_url(&cluster.data_dir()).unwrap();
        let (credentials, location) = url.expose().rsplit_once('@').unwrap();
        let (host, _) = location.rsplit_once('/').unwrap();
        let mut superuser = PgConnection::establish(url.expose()).unwrap();
        superuser.batch_execute("CREATE ROLE site LOGIN PASSWORD 'p?a#s+s%w@o=r/d'").unwrap();
        superuser.batch_execute("CREATE DATABASE site OWNER site").unwrap();
        Self {
            folder: Folder::new(),
            url: format!("postgresql://site:{HARD_PASSWORD}@{host}/site"),
            superuser_url: format!("{credentials}@{host}/site"),
            _cluster: (server, cluster),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.folder.command(arguments);
        command.env("DATABASE_URL", &self.url).env("DOORWARD_SECRET_KEY", SECRET_KEY);
        command
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", complaint(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn fails(&self, mut command: Command) -> String {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", complaint(&output));
        complaint(&output)
    }

    fn execute(&self, url: &str, statements: &str) {
        Database::connect(url).unwrap().batch_execute(statements).unwrap();
    }

    /// Returns the names of all files beside the backups that contain this text.
    fn files_with(&self, part: &str) -> Vec<String> {
        let names = fs::read_dir(self.folder.path()).unwrap().flatten();
        let names = names.map(|entry| entry.file_name().into_string().unwrap());
        let mut found: Vec<String> = names.filter(|name| name.contains(part)).collect();
        found.sort();
        found
    }
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Migrates a new database to doorward's schema of 23 November 2026 in the evening, with a user and what a
/// sign-in leaves.
fn make_old_database(url: &str) {
    let mut connection = Database::connect(url).unwrap();
    let is_later = |name: String| name.as_str() > "20261123215959";
    loop {
        let pending = connection.pending_migrations(MIGRATIONS).unwrap();
        let next = pending.first().expect("there are later ones");
        if is_later(next.name().version().to_string()) {
            break;
        }
        connection.run_next_migration(MIGRATIONS).unwrap();
    }
    let check_value: String = SecretKeys::derive([SECRET_KEY])
        .unwrap()
        .check_value()
        .unwrap()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let rows = format!(
        "INSERT INTO instance (check_value) VALUES ('\\x{check_value}');
         INSERT INTO users (id, username, username_folded, role) VALUES (gen_random_uuid(), 'early', 'early', 'admin');
         INSERT INTO sessions (id, user_id, kind, expires_at)
             SELECT gen_random_uuid(), id, 'api', now() + interval '1 day' FROM users"
    );
    connection.batch_execute(&rows).unwrap();
}

/// Writes a backup as doorward did at that time.
fn back_up_by_hand(url: &str, file: &Path) {
    let path: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect();
    let mut pg_dump = Command::new(find_binaries(&path, None).unwrap().program("pg_dump"));
    pg_dump.args(["--format=custom", "--no-owner", "--no-privileges", "--file"]).arg(file);
    assert!(pg_dump.arg(format!("--dbname={url}")).status().unwrap().success());
}

#[test]
fn backup_from_before_an_upgrade_replaces_the_new_database() {
    let site = Site::new();
    make_old_database(&site.url);
    let file = site.file("old.dump");
    back_up_by_hand(&site.url, &file);
    site.ok(&["migrate"]);
    site.ok(&["user", "add", "late", "--generate"]);
    let known = "INSERT INTO known_addresses SELECT id, '192.0.2.7', now() FROM users";
    site.execute(&site.url, known);
    // The second restore shows that the first one leaves no obstacle.
    for _ in 0..2 {
        let said = site.ok(&["restore", text(&file), "--yes", "--unauthenticated"]);
        assert!(said.contains("Ended: 1 sessions, 0 personal tokens, 0 signing keys"), "{said}");
        let users = site.ok(&["user", "list"]);
        assert!(users.contains("early") && !users.contains("late"), "{users}");
    }
    let server = site.folder.serve_as(site.command(&["serve"]));
    assert!(server.is_ready(), "it is of this version");
}

#[test]
fn backup_restores_into_an_empty_database() {
    let site = Site::new();
    make_old_database(&site.url);
    let file = site.file("old.dump");
    back_up_by_hand(&site.url, &file);
    // The schema was created again, and another role created the extension.
    site.execute(
        &site.superuser_url,
        "DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE EXTENSION pg_trgm",
    );
    site.execute(&site.superuser_url, "GRANT ALL ON SCHEMA public TO site");
    site.ok(&["restore", text(&file), "--yes", "--unauthenticated"]);
    assert!(site.ok(&["user", "list"]).contains("early"));
}

#[test]
fn restore_never_drops_objects_of_other_programs() {
    let site = Site::new();
    site.ok(&["migrate"]);
    site.execute(&site.url, "CREATE SCHEMA billing; CREATE TABLE billing.bills AS SELECT 1 AS amount");
    drop(site.folder.serve_as(site.command(&["serve"])));
    let file = site.file("auth.dump");
    site.ok(&["backup", text(&file)]);
    site.ok(&["user", "add", "later", "--generate"]);

    for (theirs, words, gone) in [
        ("CREATE TABLE bills (amount int)", "schema public: bills. Restore into", "DROP TABLE bills"),
        (
            "CREATE VIEW billing.names AS SELECT username FROM users",
            "billing.names",
            "DROP VIEW billing.names",
        ),
    ] {
        site.execute(&site.url, theirs);
        let refused = site.fails(site.command(&["restore", text(&file), "--yes"]));
        assert!(refused.contains(words) && refused.contains("the database is as before"), "{refused}");
        assert!(site.ok(&["user", "list"]).contains("later"));
        site.execute(&site.url, gone);
    }

    site.execute(&site.url, "UPDATE billing.bills SET amount = 2");
    site.ok(&["restore", text(&file), "--yes"]);
    assert!(!site.ok(&["user", "list"]).contains("later"));
    let kept = "DO $$ BEGIN ASSERT (SELECT amount FROM billing.bills) = 2; END $$";
    site.execute(&site.url, kept);
}

#[test]
fn unverified_backup_does_not_replace_the_database() {
    let site = Site::new();
    drop(site.folder.serve_as(site.command(&["serve"])));
    let file = site.file("auth.dump");
    site.ok(&["backup", text(&file)]);
    site.ok(&["user", "add", "later", "--generate"]);
    let both = format!("{LATER_KEY},{SECRET_KEY}");
    assert!(site.command(&["key", "reseal"]).env("DOORWARD_SECRET_KEY", &both).status().unwrap().success());

    let mut with_later = site.command(&["restore", text(&file), "--yes"]);
    with_later.env("DOORWARD_SECRET_KEY", LATER_KEY);
    let refused = site.fails(with_later);
    assert!(refused.contains("none of the secret keys verifies the backup"), "{refused}");
    let mut without = site.command(&["restore", text(&file), "--yes"]);
    without.env_remove("DOORWARD_SECRET_KEY");
    assert!(site.fails(without).contains("restore the file"));
    let mut list = site.command(&["user", "list"]);
    let listed = list.env("DOORWARD_SECRET_KEY", LATER_KEY).output().unwrap();
    assert!(String::from_utf8(listed.stdout).unwrap().contains("later"), "as it was before");

    let mut with_both = site.command(&["restore", text(&file), "--yes"]);
    assert!(with_both.env("DOORWARD_SECRET_KEY", &both).status().unwrap().success(), "as the refusal says");
}

#[test]
fn truncated_backup_does_not_replace_the_database() {
    let site = Site::new();
    make_old_database(&site.url);
    let file = site.file("old.dump");
    back_up_by_hand(&site.url, &file);
    site.ok(&["migrate"]);
    site.ok(&["user", "add", "later", "--generate"]);
    // The list of the backup is complete, but the data of its last table is not.
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 20]).unwrap();
    let refused = site.fails(site.command(&["restore", text(&file), "--yes", "--unauthenticated"]));
    assert!(refused.contains("end of file") && refused.contains("the database is as before"), "{refused}");
    assert!(site.ok(&["user", "list"]).contains("later"));
}

#[test]
fn parallel_backups_never_overwrite_other_files() {
    let site = Site::new();
    let server = site.folder.serve_as(site.command(&["serve"]));
    assert_eq!(server.login("admin", PASSWORD).0, 200, "the password is told as it is");
    let bystanders = ["auth.unfinished", "auth.mon.unfinished"];
    for name in bystanders {
        fs::write(site.file(name), "mine").unwrap();
        fs::set_permissions(site.file(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let days = ["auth.mon", "auth.tue"].map(|name| site.file(name));
    let backups = days.each_ref().map(|file| site.command(&["backup", text(file)]).spawn().unwrap());
    for mut backup in backups {
        assert!(backup.wait().unwrap().success());
    }
    for file in &days {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::read(file).unwrap().starts_with(b"PGDMP"), "{}", file.display());
    }

    site.execute(&site.superuser_url, "CREATE TABLE closed (id int)");
    let refused = site.fails(site.command(&["backup", text(&site.file("auth.wed"))]));
    assert!(refused.contains("permission denied"), "{refused}");
    let files = ["auth.mon", "auth.mon.unfinished", "auth.tue", "auth.unfinished"];
    assert_eq!(site.files_with("auth."), files, "what failed left nothing");
    for name in bystanders {
        assert_eq!(fs::read_to_string(site.file(name)).unwrap(), "mine");
    }
}

#[test]
fn altered_backup_does_not_replace_the_database() {
    let site = Site::new();
    drop(site.folder.serve_as(site.command(&["serve"])));
    let file = site.file("auth.dump");
    site.ok(&["backup", text(&file)]);
    site.ok(&["user", "add", "later", "--generate"]);
    let whole = fs::read(&file).unwrap();
    let mut changed = whole.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    let cut = whole[..whole.len() - 1].to_vec();
    let mut longer = whole.clone();
    longer.push(b'\n');
    for (bytes, words, flag) in [
        (changed, "none of the secret keys verifies", true),
        (cut, "has no HMAC", false),
        (longer, "has no HMAC", false),
    ] {
        fs::write(&file, bytes).unwrap();
        let refused = site.fails(site.command(&["restore", text(&file), "--yes"]));
        assert!(refused.contains(words) && refused.contains("nothing was changed"), "{refused}");
        if flag {
            let refused = site.fails(site.command(&["restore", text(&file), "--yes", "--unauthenticated"]));
            assert!(refused.contains(words), "a wrong proof is worse than none: {refused}");
        }
        assert!(site.ok(&["user", "list"]).contains("later"));
    }
    fs::write(&file, whole).unwrap();
    site.ok(&["restore", text(&file), "--yes"]);
    assert!(!site.ok(&["user", "list"]).contains("later"));
    assert_eq!(site.files_with("restore"), [""; 0], "no copy is left");
}

#[test]
fn backup_without_hmac_requires_a_flag() {
    let site = Site::new();
    make_old_database(&site.url);
    let file = site.file("old.dump");
    back_up_by_hand(&site.url, &file);
    let refused = site.fails(site.command(&["restore", text(&file), "--yes"]));
    assert!(refused.contains("has no HMAC") && refused.contains("--unauthenticated"), "{refused}");
    site.ok(&["restore", text(&file), "--yes", "--unauthenticated"]);
}

#[test]
fn backup_streams_through_standard_output_and_input() {
    let site = Site::new();
    drop(site.folder.serve_as(site.command(&["serve"])));
    let file = site.file("auth.dump");
    let mut backup = site.command(&["backup", "-"]);
    let done = backup.stdout(fs::File::create(&file).unwrap()).output().unwrap();
    assert!(done.status.success() && complaint(&done).contains("The backup was written"), "{done:?}");
    site.ok(&["user", "add", "later", "--generate"]);
    let restore = |file: &Path, arguments: &[&str]| {
        let mut restore = site.command(arguments);
        restore.stdin(fs::File::open(file).unwrap()).output().unwrap()
    };
    let unasked = restore(&file, &["restore", "-"]);
    assert!(complaint(&unasked).contains("add --yes"), "{unasked:?}");
    let short = site.file("short.dump");
    let whole = fs::read(&file).unwrap();
    fs::write(&short, &whole[..whole.len() / 2]).unwrap();
    let cut = restore(&short, &["restore", "-", "--yes"]);
    assert!(complaint(&cut).contains("has no HMAC"), "{cut:?}");
    assert!(site.ok(&["user", "list"]).contains("later"));
    let restored = restore(&file, &["restore", "-", "--yes"]);
    assert!(restored.status.success(), "{restored:?}");
    assert!(!site.ok(&["user", "list"]).contains("later"));
}

#[test]
fn failed_backup_on_standard_output_has_no_hmac() {
    let site = Site::new();
    drop(site.folder.serve_as(site.command(&["serve"])));
    site.execute(&site.superuser_url, "CREATE TABLE closed (id int)");
    let output = site.command(&["backup", "-"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!output.stdout.ends_with(b"\n") || !String::from_utf8_lossy(&output.stdout).contains("HMAC"));
}
