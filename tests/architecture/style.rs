//! The rules of writing that a program can check: how comments open, words that have a plain synonym, and the names
//! of tests. CONTRIBUTING.md has the rules and the glossary.

use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};

/// The openings of a comment that hide its subject.
const OPENINGS: &[&str] = &["What", "Who", "Whether", "How", "Of", "Where", "Which", "The same"];

/// The words that documents and the catalogue of refusals do not use, each with its plain synonym.
const ODD_WORDS: &[(&str, &str)] = &[
    ("anew", "again"),
    ("begun", "started"),
    ("flaw", "error"),
    ("flaws", "errors"),
    ("lapse", "expire"),
    ("lapsed", "expired"),
    ("let in", "accepted"),
    ("of late", "recently"),
    ("spent", "used"),
    ("stand", "exist"),
    ("stands", "exists"),
    ("stood", "existed"),
    ("told", "reported"),
    ("wish", "request"),
    ("wishes", "requests"),
];

/// Lines that may break a rule: a part of each, and the reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("How long an address is remembered", "the help of a setting answers this question"),
    ("How long refused requests are kept", "the help of a setting answers this question"),
    ("How long audit events are kept", "the help of a setting answers this question"),
];

/// The longest name of a test, in characters.
const TEST_NAME_MAX: usize = 60;

/// Returns the files of the repository whose names end with one of these.
fn files(endings: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    walk(Path::new(env!("CARGO_MANIFEST_DIR")), Path::new(""), &mut found);
    found.retain(|file| endings.iter().any(|ending| file.ends_with(ending)));
    found.sort();
    found
}

/// Collects the files of a folder, except what builds leave there and hidden folders.
fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(root.join(folder)).expect("a folder of the repository is readable") {
        let entry = entry.expect("a folder of the repository is readable");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = folder.join(&name);
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && name != "target" && !name.starts_with('.') => {
                walk(root, &path, found)
            }
            Ok(kind) if kind.is_file() => found.push(path.to_string_lossy().into_owned()),
            _ => {}
        }
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("a listed file is readable")
}

fn is_exempt(line: &str) -> bool {
    EXCEPTIONS.iter().any(|(part, _)| line.contains(part))
}

/// Returns the text of a doc comment; `None` for other lines.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("/// ").or_else(|| line.strip_prefix("//! "))
}

/// Finds comments that open with a word that hides their subject. Only the first line of a paragraph counts.
pub fn odd_openings(file: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let opens = |index: usize| index == 0 || lines.get(index - 1).is_none_or(|line| comment(line).is_none());
    let is_odd = |(index, line): &(usize, &&str)| {
        let opening = |words: &&str| comment(line).is_some_and(|text| text.starts_with(&format!("{words} ")));
        opens(*index) && !is_exempt(line) && OPENINGS.iter().any(opening)
    };
    let odd = lines.iter().enumerate().filter(is_odd);
    odd.map(|(index, line)| format!("{file}:{}: {}: begin with a verb or a noun", index + 1, line.trim()))
        .collect()
}

/// Finds odd words outside of code.
pub fn odd_words(file: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code || is_exempt(line) {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ").to_lowercase();
        let words: Vec<&str> =
            prose.split(|letter: char| !letter.is_alphanumeric() && letter != '_').collect();
        for (odd, plain) in ODD_WORDS {
            let parts: Vec<&str> = odd.split(' ').collect();
            if words.windows(parts.len()).any(|window| window == parts.as_slice()) {
                found.push(format!("{file}:{}: “{odd}”: write “{plain}” or another plain word", index + 1));
            }
        }
    }
    found
}

/// Finds names of tests that are too long, or that open with a word that hides their subject.
pub fn odd_test_names(file: &str, text: &str) -> Vec<String> {
    let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut names = Vec::new();
    test_names(tokens, &mut names);
    let opens_oddly = |name: &str| {
        OPENINGS.iter().any(|words| name.starts_with(&format!("{}_", words.to_lowercase().replace(' ', "_"))))
    };
    let is_odd = |name: &&String| name.chars().count() > TEST_NAME_MAX || opens_oddly(name);
    let odd = names.iter().filter(is_odd);
    odd.map(|name| {
        format!(
            "{file}: {name}: write subject_does_expected_when_condition, {TEST_NAME_MAX} characters at most"
        )
    })
    .collect()
}

/// Collects the names of the functions below a test attribute.
fn test_names(tokens: TokenStream, names: &mut Vec<String>) {
    let mut is_test = false;
    let mut follows_fn = false;
    for tree in tokens {
        match tree {
            TokenTree::Group(group) => {
                let attribute = group.to_string().replace(' ', "");
                if attribute == "[test]" || attribute.starts_with('[') && attribute.ends_with("::test]") {
                    is_test = true;
                }
                test_names(group.stream(), names);
            }
            TokenTree::Ident(word) if follows_fn => {
                if is_test {
                    names.push(word.to_string());
                }
                (is_test, follows_fn) = (false, false);
            }
            TokenTree::Ident(word) => follows_fn = word == "fn",
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// Applies a rule to files.
pub fn find_in(endings: &[&str], rule: fn(&str, &str) -> Vec<String>) -> Vec<String> {
    files(endings).iter().flat_map(|file| rule(file, &read(file))).collect()
}
