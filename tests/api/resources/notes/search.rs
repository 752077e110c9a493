//! Searching notes works the same in every locale, by folded text, and within limits.

use doorward::database::{Database, migrate};
use doorward::resources::notes::refold;
use doorward_test::{TestDatabase, Tokens, World};
use serde_json::{Value, json};

async fn write(world: &World, tokens: &Tokens, title: &str, body: &str) -> String {
    let note = json!({ "title": title, "body": body });
    let made = world.post("/api/v1/notes", &tokens.access, note).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.text("id")
}

fn titles(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap()).collect()
}

async fn search(world: &World, tokens: &Tokens, q: &str) -> Value {
    let q: String = url::form_urlencoded::byte_serialize(q.as_bytes()).collect();
    let page = world.get(&format!("/api/v1/notes?q={q}"), &tokens.access).await;
    assert_eq!(page.status, 200, "{}", page.body);
    page.body
}

/// Follows the cursors to the last page. Returns the titles and the number of pages.
async fn search_all(world: &World, tokens: &Tokens, q: &str) -> (Vec<String>, usize) {
    let (mut found, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = world.get(&format!("/api/v1/notes?q={q}{cursor}"), &tokens.access).await;
        assert_eq!(page.status, 200, "{}", page.body);
        pages += 1;
        found.extend(titles(&page.body).into_iter().map(str::to_owned));
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (found, pages),
        }
    }
}

async fn refold_all(world: &World) {
    while refold::run_batch(&world.state.core.database).await.unwrap() {}
}

#[actix_web::test]
async fn search_finds_every_spelling_in_every_locale() {
    for locale in TestDatabase::locales() {
        let world = World::on(TestDatabase::with_locale(&locale).into(), |_| {}).await;
        let alice = world.signed_in("alice", "member").await;
        for (title, body) in [
            ("Ärger", "im Büro"),
            ("TITLE", "INDEX"),
            ("Straße", "ΣΊΣΥΦΟΣ"),
            ("Привет", "МИР"),
            ("日本語", "ﬁle"),
        ] {
            write(&world, &alice, title, body).await;
        }
        for folded in [true, false] {
            if !folded {
                world.sql("UPDATE notes SET search_text = NULL");
            }
            for (q, title) in [
                ("ärger", "Ärger"),
                ("a\u{308}RGER", "Ärger"),
                ("BÜRO", "Ärger"),
                ("title", "TITLE"),
                ("index", "TITLE"),
                ("STRASSE", "Straße"),
                ("σίσυφος", "Straße"),
                ("мир", "Привет"),
                ("本", "日本語"),
                ("FILE", "日本語"),
                ("ß", "Straße"),
            ] {
                let page = search(&world, &alice, q).await;
                assert_eq!(titles(&page), [title], "{q} on {locale}, folded: {folded}");
            }
            for q in ["arger", "title index", "100%", "_____", "\u{308}"] {
                let page = search(&world, &alice, q).await;
                assert!(titles(&page).is_empty(), "{q} on {locale}, folded: {folded}");
            }
        }
    }
}

#[actix_web::test]
async fn search_finds_notes_written_by_an_earlier_version() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let id = write(&world, &alice, "Apfel", "").await;
    // A node that does not know folded text writes like this.
    world.sql(&format!("UPDATE notes SET title = 'Öl', version = version + 1 WHERE id = '{id}'"));
    world.sql(
        "INSERT INTO notes (id, owner_id, title, body) SELECT gen_random_uuid(), id, 'ÖLUNG', '' FROM users",
    );
    for _ in 0..2 {
        let mut found = search_all(&world, &alice, "%C3%B6l").await.0;
        found.sort();
        assert_eq!(found, ["ÖLUNG", "Öl"]);
        assert!(titles(&search(&world, &alice, "apfel").await).is_empty());
        refold_all(&world).await;
        assert_eq!(world.count("SELECT count(*) FROM notes WHERE search_text IS NULL"), 0);
    }
}

#[actix_web::test]
async fn notes_are_folded_in_batches_without_other_changes() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    world.sql(
        "INSERT INTO notes (id, owner_id, title, body, shared)
         SELECT gen_random_uuid(), users.id, 'N' || n, 'B', n % 2 = 0 FROM users, generate_series(1, 450) n
         WHERE username = 'alice'",
    );
    let unfolded = || world.count("SELECT count(*) FROM notes WHERE search_text IS NULL");
    let fingerprint = || {
        world.text("SELECT md5(string_agg(notes.id || title || body || shared || version || updated_at, ',' ORDER BY notes.id)) AS text FROM notes")
    };
    let before = fingerprint();
    let mut left = vec![unfolded()];
    while refold::run_batch(&world.state.core.database).await.unwrap() {
        left.push(unfolded());
    }
    assert_eq!((left, unfolded()), (vec![450, 250, 50], 0));
    assert_eq!(fingerprint(), before);
    assert_eq!(search_all(&world, &alice, "n4").await.0.len(), 62);
}

#[actix_web::test]
async fn only_one_node_folds_at_a_time() {
    let world = World::new().await;
    world.sql(
        "INSERT INTO notes (id, owner_id, title, body) SELECT gen_random_uuid(), id, 'x', '' FROM users",
    );
    let mut owner = Database::connect(&world.database.url).unwrap();
    let take = "SELECT pg_advisory_lock(x'7265666f6c64'::bigint)";
    diesel::RunQueryDsl::execute(diesel::sql_query(take), &mut owner).unwrap();
    assert!(!refold::run_batch(&world.state.core.database).await.unwrap());
    assert_eq!(world.count("SELECT count(*) FROM notes WHERE search_text IS NULL"), 1);
    drop(owner);
}

#[actix_web::test]
async fn short_search_reads_a_bounded_number_of_notes_per_page() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    world.sql(
        "INSERT INTO notes (id, owner_id, title, body, search_text)
         SELECT ('0190' || lpad(to_hex(n), 28, '0'))::uuid, users.id, 'needle zq', '', 'needle zq'
           FROM users, generate_series(1, 1) n WHERE username = 'alice';
         INSERT INTO notes (id, owner_id, title, body, search_text)
         SELECT ('0190' || lpad(to_hex(n), 28, '0'))::uuid, users.id, 'hay', '', 'hay'
           FROM users, generate_series(2, 10001) n WHERE username = 'alice'",
    );
    assert_eq!(search_all(&world, &alice, "zq").await, (vec!["needle zq".to_owned()], 2));
    assert_eq!(search_all(&world, &alice, "NEEDLE").await, (vec!["needle zq".to_owned()], 1));
    let common = world.get("/api/v1/notes?q=ha&limit=200", &alice.access).await.body;
    assert_eq!((titles(&common).len(), common["next_cursor"].is_string()), (200, true));
}

#[actix_web::test]
async fn search_reads_a_bounded_number_of_unfolded_notes_per_page() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    world.sql(
        "INSERT INTO notes (id, owner_id, title, body)
         SELECT ('0190' || lpad(to_hex(n), 28, '0'))::uuid, users.id, CASE n WHEN 1 THEN 'Needle' ELSE 'hay' END, ''
           FROM users, generate_series(1, 5001) n WHERE username = 'alice'",
    );
    write(&world, &alice, "Needle, folded", "").await;
    let (found, pages) = search_all(&world, &alice, "needle").await;
    assert_eq!((found, pages), (vec!["Needle, folded".to_owned(), "Needle".to_owned()], 2));
}

#[actix_web::test]
async fn search_pages_through_own_and_shared_notes() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let bob = world.signed_in("bob", "member").await;
    for n in 0..9 {
        let owner = if n % 3 == 0 { &bob } else { &alice };
        let note = json!({ "title": format!("number {n}"), "body": "", "shared": n % 2 == 0 });
        assert_eq!(world.post("/api/v1/notes", &owner.access, note).await.status, 201);
    }
    for q in ["number&limit=2", "r&limit=2", "", "&limit=2"] {
        let (found, _) = search_all(&world, &alice, q).await;
        let numbers: Vec<&str> = found.iter().map(|title| &title[7..]).collect();
        assert_eq!(numbers, ["8", "7", "6", "5", "4", "2", "1", "0"], "{q}");
    }
    for (filter, numbers) in [
        ("&owner=me", "8 7 5 4 2 1"),
        ("&shared=true", "8 6 4 2 0"),
        ("&shared=false", "7 5 1"),
        ("&owner=me&shared=true", "8 4 2"),
        ("&owner=me&shared=false", "7 5 1"),
    ] {
        for q in ["number", "b", ""] {
            let (found, _) = search_all(&world, &alice, &format!("{q}{filter}&limit=2")).await;
            let found: Vec<&str> = found.iter().map(|title| &title[7..]).collect();
            assert_eq!(found.join(" "), numbers, "{q}{filter}");
        }
    }
    let admin = world.login("admin").await;
    assert_eq!(search_all(&world, &admin, "number").await.0.len(), 9);
    assert_eq!(search_all(&world, &admin, "number&shared=false").await.0.len(), 4);
}

#[actix_web::test]
async fn folding_waits_for_its_index() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    write(&world, &alice, "Tea", "green").await;
    world.sql("UPDATE notes SET search_text = NULL; DROP INDEX notes_unfolded");
    let unfolded = || world.count("SELECT count(*) FROM notes WHERE search_text IS NULL");
    refold_all(&world).await;
    assert_eq!(unfolded(), 1);
    assert_eq!(titles(&search(&world, &alice, "gree").await), ["Tea"], "it is found meanwhile");
    migrate::make_indexes(&mut world.connection()).unwrap();
    refold_all(&world).await;
    assert_eq!(unfolded(), 0);
}
