//! The documents for readers of the repository: their links lead somewhere, and the files that they name exist.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const DECISIONS: &str = "docs/decisions";
/// The files that ARCHITECTURE.md adds as an example.
const EXAMPLE: &str = "tasks";

/// Returns the Markdown files of a folder, as paths below the root.
fn documents_in(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(Path::new(ROOT).join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut paths: Vec<String> =
        names.filter(|name| name.ends_with(".md")).map(|name| format!("{folder}/{name}")).collect();
    paths.sort();
    paths
}

fn documents() -> BTreeMap<String, String> {
    let top = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "benches/README.md"].map(str::to_owned);
    let paths = top.into_iter().chain(documents_in("docs")).chain(documents_in(DECISIONS));
    paths.map(|path| (path.clone(), fs::read_to_string(Path::new(ROOT).join(path)).unwrap())).collect()
}

/// Returns the text without its blocks of code.
fn prose(text: &str) -> String {
    let blocks = text.split("\n```").enumerate().filter(|(index, _)| index % 2 == 0);
    blocks.map(|(_, text)| text).collect::<Vec<_>>().join("\n")
}

/// Returns the anchors of the headings, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let text = prose(text);
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().chars();
        let kept = kept.filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect::<String>().to_lowercase()
    };
    headings.map(anchor).collect()
}

/// Returns the targets of links and pictures.
fn targets(text: &str) -> Vec<String> {
    let text = prose(text);
    let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let pictures = ["src=\"", "srcset=\""].map(|start| text.split(start).skip(1));
    let pictures = pictures.into_iter().flatten().filter_map(|rest| rest.split_once('"'));
    links.chain(pictures).map(|(target, _)| target.to_owned()).collect()
}

/// Says what is wrong with a link, if anything. A server resolves those that begin with a slash.
fn broken(documents: &BTreeMap<String, String>, document: &str, target: &str) -> Option<String> {
    if target.starts_with("https://") || target.starts_with('/') {
        return None;
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let file = if path.is_empty() { PathBuf::from(document) } else { beside(document, path) };
    if !Path::new(ROOT).join(&file).exists() {
        return Some(format!("{document}: {target}: there is no such file"));
    }
    let anchor = anchor?;
    let text = documents.get(file.to_str().unwrap())?;
    let found = anchors(text).iter().any(|found| found == anchor);
    (!found).then(|| format!("{document}: {target}: there is no such heading"))
}

/// Resolves a path that is relative to a document.
fn beside(document: &str, path: &str) -> PathBuf {
    let mut resolved = PathBuf::from(document);
    resolved.pop();
    for step in path.split('/') {
        if step == ".." {
            resolved.pop();
        } else {
            resolved.push(step);
        }
    }
    resolved
}

/// Returns the paths of files and folders that a text names between backticks. They lie in the repository, `src/` or `tests/`.
fn named_files(text: &str) -> Vec<String> {
    const FOLDERS: [&str; 5] = ["src/", "tests/", "docs/", "benches/", "scripts/"];
    let text = prose(text);
    let is_path = |text: &&str| {
        let letters = text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-./".contains(letter));
        let is_source = text.contains('/') && (text.ends_with(".rs") || text.ends_with(".sql"));
        letters && (is_source || FOLDERS.iter().any(|folder| text.starts_with(folder)))
    };
    let named = text.split('`').skip(1).step_by(2).filter(is_path);
    named.filter(|path| !path.contains(EXAMPLE)).map(str::to_owned).collect()
}

#[test]
fn links_of_documents_lead_somewhere() {
    let documents = documents();
    let mut wrong = Vec::new();
    for (document, text) in &documents {
        wrong.extend(targets(text).iter().filter_map(|target| broken(&documents, document, target)));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn files_that_documents_name_exist() {
    let is_there =
        |path: &str| ["", "src", "tests"].iter().any(|at| Path::new(ROOT).join(at).join(path).exists());
    let mut wrong = Vec::new();
    for (document, text) in documents() {
        let missing = named_files(&text).into_iter().filter(|path| !is_there(path));
        wrong.extend(missing.map(|path| format!("{document}: {path}: there is no such file")));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn decisions_have_their_parts_and_a_row() {
    const PARTS: [&str; 5] = ["Context", "Decision", "Consequences", "Rejected", "Where in the code"];
    let architecture = fs::read_to_string(Path::new(ROOT).join("ARCHITECTURE.md")).unwrap();
    for (index, path) in documents_in(DECISIONS).iter().enumerate() {
        let text = fs::read_to_string(Path::new(ROOT).join(path)).unwrap();
        let number = format!("{:04}", index + 1);
        let title = text.lines().next().and_then(|line| line.strip_prefix(&format!("# {number} ")));
        assert!(title.is_some() && path.starts_with(&format!("{DECISIONS}/{number}-")), "{path}: its number");
        let parts: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(parts, PARTS, "{path}");
        let row = format!("| [{number}]({path}) | {} |", title.unwrap_or_default());
        assert!(architecture.contains(&row), "ARCHITECTURE.md lacks: {row}");
    }
}
