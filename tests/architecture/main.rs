//! Checks a table of which module may import which, and the project's rules that the compiler does not check.

#![allow(clippy::expect_used, clippy::panic)] // a source that cannot be read fails the test

mod circle;
mod files;
mod source;
mod style;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use circle::{Import, find_circle};
use source::{Source, read_all};

const INTERFACES: &[&str] = &["api", "pages", "resources", "simplejwt"];
const APPLICATION: &[&str] = &["operations", "explain", "guard", "state", "http", "refusal"];
const DOMAIN: &[&str] = &["users", "sessions", "tokens", "audit", "limits"];
const GROUND: &[&str] = &[
    "database",
    "blocking",
    "clock",
    "random",
    "secret_key",
    "digest",
    "change",
    "files",
    "blank",
    "colour",
];

const INTERFACE: &[&[&str]] = &[APPLICATION, DOMAIN, GROUND];

/// Every module directly under src/, and the others that it may import, as ARCHITECTURE.md shows them. An
/// interface imports no other interface. Code that two of them need is an operation or belongs to the domain.
const MAY_IMPORT: &[(&str, &[&[&str]])] = &[
    ("main", &[&["cli"]]),
    ("lib", &[]),
    (
        "cli",
        &[&["app", "config", "guard", "operations", "explain", "http", "refusal", "state"], DOMAIN, GROUND],
    ),
    ("app", &[&["cache", "config"], INTERFACES, APPLICATION, DOMAIN, GROUND]),
    ("api", INTERFACE),
    ("pages", INTERFACE),
    ("resources", INTERFACE),
    ("simplejwt", INTERFACE),
    ("operations", &[&["guard", "state", "http", "refusal"], DOMAIN, GROUND]),
    ("explain", &[&["operations", "guard", "state", "http", "refusal"], DOMAIN, GROUND]),
    ("guard", &[&["cache", "state", "http", "refusal"], DOMAIN, GROUND]),
    ("state", &[&["cache", "http", "refusal"], DOMAIN, GROUND]),
    ("cache", &[DOMAIN, GROUND]),
    // http needs only one thing of the domain: the audit log's term for an uncertain address.
    ("http", &[&["refusal", "audit"], GROUND]),
    ("refusal", &[&["clock", "random"]]),
    ("limits", &[&["users", "audit"], GROUND]),
    ("users", &[&["sessions", "tokens", "audit"], GROUND]),
    ("sessions", &[&["tokens", "audit"], GROUND]),
    ("tokens", &[&["audit"], GROUND]),
    ("audit", &[GROUND]),
    ("database", &[&["blocking", "clock", "random", "files"]]),
    ("secret_key", &[&["random"]]),
    ("digest", &[]),
    ("change", &[]),
    ("config", &[&["blank", "colour"]]),
    ("blank", &[]),
    ("colour", &[]),
    ("blocking", &[]),
    ("clock", &[]),
    ("random", &[]),
    ("files", &[]),
];

/// Names that may be used only in some places.
struct Reserved {
    /// Names that follow each other in a path. A last `*` stands for the rest of a name, and the path must
    /// begin there.
    names: &'static [&'static str],
    /// Modules directly under src/, or files and folders.
    places: &'static [&'static str],
    instead: &'static str,
}

const RESERVED: &[Reserved] = &[
    Reserved {
        names: &["diesel*"],
        places: &["database", "users", "sessions", "tokens", "audit", "limits", "resources"],
        instead: "a query belongs to its domain module, beside its row",
    },
    Reserved { names: &["r2d2*"], places: &["database"], instead: "use Database::run" },
    Reserved {
        names: &["actix*"],
        places: &[
            "main",
            "cli",
            "app",
            "api",
            "pages",
            "resources",
            "simplejwt",
            "operations",
            "explain",
            "guard",
            "state",
            "http",
            "refusal",
        ],
        instead: "a domain module returns values and small enums; an interface makes HTTP of them",
    },
    Reserved { names: &["Utc", "now"], places: &["src/clock.rs"], instead: "ask a Clock" },
    Reserved { names: &["Local", "now"], places: &["src/clock.rs"], instead: "ask a Clock" },
    Reserved { names: &["SystemTime", "now"], places: &["src/clock.rs"], instead: "ask a Clock" },
    Reserved {
        names: &["web", "block"],
        places: &["src/blocking/"],
        instead: "use a bounded pool of blocking",
    },
    Reserved {
        names: &["spawn_blocking"],
        places: &["src/blocking/"],
        instead: "use a bounded pool of blocking",
    },
    Reserved { names: &["std", "env"], places: &["src/config/"], instead: "make it a setting" },
    Reserved { names: &["rand"], places: &["src/random.rs"], instead: "use crate::random" },
    Reserved { names: &["getrandom*"], places: &["src/random.rs"], instead: "use crate::random" },
    Reserved { names: &["Uuid", "new_v4"], places: &["src/random.rs"], instead: "use crate::random" },
    Reserved { names: &["Uuid", "now_v7"], places: &["src/random.rs"], instead: "use crate::random" },
    Reserved {
        names: &["WWW_AUTHENTICATE"],
        places: &["src/refusal/challenge.rs"],
        instead: "a refusal brings its challenge",
    },
];

/// Names that do not say what is inside.
const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "helper", "helpers", "common", "misc", "type", "types", "manager", "managers", "service",
];

fn sources() -> Vec<Source> {
    read_all(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")))
}

fn row(module: &str) -> Option<&'static [&'static [&'static str]]> {
    MAY_IMPORT.iter().find(|(name, _)| *name == module).map(|(_, groups)| *groups)
}

fn imports(sources: &[Source]) -> Vec<Import> {
    let of = |source: &Source| -> Vec<Import> {
        let names = source.names.iter().filter_map(|name| Some((name.line, source.target(name)?)));
        let others = names.filter(|(_, target)| *target != source.top());
        others
            .map(|(line, to)| Import { from: source.top(), to, place: format!("{}:{line}", source.path) })
            .collect()
    };
    sources.iter().flat_map(of).collect()
}

fn wrong_imports(sources: &[Source]) -> Vec<String> {
    let tops: BTreeSet<String> = sources.iter().map(Source::top).collect();
    let without_row = tops.iter().filter(|top| row(top).is_none()).map(|top| {
        format!("src/{top}: a module without a row in MAY_IMPORT: say there and in ARCHITECTURE.md what it may import")
    });
    let wrong = imports(sources).into_iter().filter_map(|Import { from, to, place }| {
        if row(&to).is_none() {
            return Some(format!(
                "{place}: crate::{to} is no module of MAY_IMPORT: the crate's root holds modules alone"
            ));
        }
        let allowed = row(&from)?.iter().any(|group| group.contains(&to.as_str()));
        (!allowed).then(|| {
            format!("{place}: {from} may not import {to}: see MAY_IMPORT; what both need belongs below both")
        })
    });
    without_row.chain(wrong).collect()
}

fn misplaced_names(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources {
        for rule in RESERVED.iter().filter(|rule| !source.is_in(rule.places)) {
            for name in source.names.iter().filter(|name| name.holds(rule.names)) {
                let (path, line, found) = (&source.path, name.line, name.segments.join("::"));
                let places = rule.places.join(", ");
                wrong.push(format!("{path}:{line}: {found} is for {places} alone: {}", rule.instead));
            }
        }
    }
    wrong
}

fn badly_named(paths: &[String]) -> Vec<String> {
    let empty = paths.iter().filter_map(|path| {
        let name = path.trim_end_matches(".rs").split('/').find(|name| EMPTY_NAMES.contains(name))?;
        Some(format!("{path}:1: `{name}` says nothing of what is inside: name it after its content"))
    });
    let beside = paths.iter().filter_map(|path| {
        let folder = format!("{}/", path.strip_suffix(".rs")?);
        let split = paths.iter().any(|other| other.starts_with(&folder));
        split.then(|| format!("{path}:1: stands beside the folder {folder}: move it to {folder}mod.rs"))
    });
    empty.chain(beside).collect()
}

/// Returns the files that do not say what they are for. Generated files are exempt.
fn without_purpose(sources: &[Source]) -> Vec<String> {
    let headless = sources.iter().filter(|source| {
        let words = source.text.strip_prefix("//!").and_then(|rest| rest.lines().next());
        words.is_none_or(|line| line.trim().is_empty()) && !source.text.starts_with("// @generated")
    });
    headless
        .map(|source| format!("{}:1: begin with a `//!` line that says what it is for", source.path))
        .collect()
}

#[track_caller]
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn modules_import_only_what_the_table_allows() {
    assert_none(&wrong_imports(&sources()));
}

#[test]
fn modules_have_no_import_cycle() {
    assert_none(&find_circle(&imports(&sources())));
}

#[test]
fn files_have_no_import_cycle() {
    assert_none(&find_circle(&files::imports(&sources())));
}

#[test]
fn reserved_names_are_used_only_in_their_place() {
    assert_none(&misplaced_names(&sources()));
}

#[test]
fn file_names_are_specific_and_folders_have_a_mod_rs() {
    let paths: Vec<String> = sources().into_iter().map(|source| source.path).collect();
    assert_none(&badly_named(&paths));
}

#[test]
fn every_file_starts_with_its_purpose() {
    assert_none(&without_purpose(&sources()));
}

#[test]
fn main_rs_is_shorter_than_forty_lines() {
    let main = concat!(env!("CARGO_MANIFEST_DIR"), "/src/main.rs");
    let lines = fs::read_to_string(main).expect("src/main.rs is there").lines().count();
    assert!(lines < 40, "src/main.rs has {lines} lines, 40 are too many: move what it does to cli/");
}

#[test]
fn comments_open_with_their_subject() {
    assert_none(&style::find_in(&[".rs"], style::odd_openings));
}

#[test]
fn documents_and_catalogue_use_plain_words() {
    let texts = &[".md", "src/refusal/code.rs", "src/refusal/help.rs"];
    assert_none(&style::find_in(texts, style::odd_words));
}

#[test]
fn test_names_are_short_and_open_with_their_subject() {
    assert_none(&style::find_in(&[".rs"], style::odd_test_names));
}

// Tests of the rules themselves, with made-up sources, which show that each rule can fail.

#[test]
fn forbidden_import_is_reported_with_its_line() {
    let upward = Source::read("src/users/user.rs", "//! A user.\n\nuse crate::{clock, refusal::Problem};\n");
    let wrong = wrong_imports(&[upward]);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].starts_with("src/users/user.rs:3: users may not import refusal"), "{wrong:?}");
    let sideways = Source::read("src/api/me/mod.rs", "fn f() {\n super::super::pages::render() }");
    assert!(wrong_imports(&[sideways])[0].starts_with("src/api/me/mod.rs:2: api may not import pages"));
}

#[test]
fn module_missing_from_the_table_is_reported() {
    let wrong = wrong_imports(&[Source::read("src/mailer/mod.rs", "use crate::VERSION;")]);
    assert!(wrong[0].starts_with("src/mailer: a module without a row"), "{wrong:?}");
    assert!(wrong[1].starts_with("src/mailer/mod.rs:1: crate::VERSION is no module"), "{wrong:?}");
}

#[test]
fn reserved_name_is_reported_only_outside_its_place() {
    let text = "use std::{env, fs};\nuse actix_web::web;\nasync fn f() { web::block(g).await; }";
    let wrong = misplaced_names(&[Source::read("src/users/user.rs", text)]);
    let lines: Vec<_> = wrong.iter().map(|line| line.split(' ').take(2).collect::<String>()).collect();
    assert_eq!(
        lines,
        [
            "src/users/user.rs:2:actix_web::web",
            "src/users/user.rs:3:web::block",
            "src/users/user.rs:1:std::env"
        ]
    );
    assert_none(&misplaced_names(&[Source::read(
        "src/users/user.rs",
        "use crate::random;\nfn f() { random::id(); }",
    )]));
    assert_none(&misplaced_names(&[Source::read("src/blocking/mod.rs", "fn f() { web::block(g) }")]));
    assert_none(&misplaced_names(&[Source::read(
        "src/config/process.rs",
        "fn f() { std::env::vars_os(); }",
    )]));
    let query = |path| misplaced_names(&[Source::read(path, "use diesel::prelude::*;")]).len();
    assert_eq!([query("src/users/user.rs"), query("src/api/me.rs"), query("src/guard/csrf.rs")], [0, 1, 1]);
}

#[test]
fn bad_names_split_folders_and_silent_files_are_reported() {
    let paths =
        ["src/api/mod.rs", "src/api/utils.rs", "src/users.rs", "src/users/user.rs"].map(str::to_owned);
    let wrong = badly_named(&paths);
    assert!(wrong.len() == 2 && wrong[0].starts_with("src/api/utils.rs:1"), "{wrong:?}");
    assert!(wrong[1].starts_with("src/users.rs:1: stands beside"), "{wrong:?}");
    let silent = ["//!\nfn f() {}", "fn f() {}", "//! Why.\n"].map(|text| Source::read("src/a.rs", text));
    assert_eq!(without_purpose(&silent).len(), 2);
}

#[test]
fn odd_prose_is_reported_with_its_line() {
    let opening =
        style::odd_openings("a.rs", "/// Reads it.\nfn a() {}\n    /// Whether it is.\n    b: bool,\n");
    assert_eq!(opening.len(), 1, "{opening:?}");
    assert!(opening[0].starts_with("a.rs:3: /// Whether it is."), "{opening:?}");
    assert_none(&style::odd_openings("a.rs", "/// Returns true in the cases\n/// Of the table.\n"));
    let words = style::odd_words("a.md", "It is told.\n```\ntold\n```\n`told`, untold. They were\nlet in.\n");
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(words[0].starts_with("a.md:1: “told”") && words[1].starts_with("a.md:6: “let in”"), "{words:?}");
    let names =
        "#[test] fn what_is_there_is_kept() {} fn what() {} #[actix_web::test] async fn row_is_kept() {}";
    let odd = style::odd_test_names("a.rs", names);
    assert!(odd.len() == 1 && odd[0].starts_with("a.rs: what_is_there_is_kept"), "{odd:?}");
    let long = format!("mod tests {{ #[test] fn {}() {{}} }}", "x".repeat(61));
    assert_eq!(style::odd_test_names("a.rs", &long).len(), 1);
}
