//! Finds the paths that the code of a source file names. Ignores comments, strings and tests.

use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A file under src/.
pub struct Source {
    /// The path from the crate's folder, such as `src/users/user.rs`.
    pub path: String,
    pub text: String,
    /// The names in its code, outside of tests.
    pub names: Vec<Name>,
    /// The module's path from the crate's root.
    pub module: Vec<String>,
    tests: Vec<Vec<String>>,
}

/// A path of two or more segments. It is an import, a member of a group, or a path in the code.
#[derive(Debug, PartialEq)]
pub struct Name {
    pub line: usize,
    /// The segments as written. A leading `super` or `self` is resolved to a path from `crate`.
    pub segments: Vec<String>,
    /// True if it is part of a `pub use`.
    pub is_reexport: bool,
}

impl Source {
    /// Parses a file.
    ///
    /// # Panics
    /// The text is not Rust.
    pub fn read(path: &str, text: &str) -> Self {
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let module = module_of(path);
        let mut reader =
            Reader { module: module.clone(), names: Vec::new(), tests: Vec::new(), in_reexport: false };
        reader.read(tokens);
        let Reader { names, tests, .. } = reader;
        Self { path: path.to_owned(), text: text.to_owned(), names, module, tests }
    }

    /// Returns the module directly under src/ that the file belongs to, or `main` or `lib` for the roots.
    pub fn top(&self) -> String {
        let root = || self.path.trim_start_matches("src/").trim_end_matches(".rs").to_owned();
        self.module.first().cloned().unwrap_or_else(root)
    }

    /// Returns the module directly under src/ that a name leads to, unless it belongs to another crate.
    pub fn target(&self, name: &Name) -> Option<String> {
        let is_binary = self.path == "src/main.rs";
        let ours = name.segments[0] == "crate" || (is_binary && name.segments[0] == "doorward");
        ours.then(|| name.segments[1].clone())
    }

    /// Returns whether the file belongs to one of these modules, files or folders (which end with a slash).
    pub fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| match place.strip_suffix('/') {
            Some(_) => self.path.starts_with(place),
            None => self.path == *place || self.top() == *place,
        })
    }
}

impl Name {
    /// Returns whether these names follow each other in the path. A single `name*` must be its beginning.
    pub fn holds(&self, names: &[&str]) -> bool {
        match names {
            [name] if name.ends_with('*') => self.segments[0].starts_with(name.trim_end_matches('*')),
            _ => self.segments.windows(names.len()).any(|window| window == names),
        }
    }
}

/// Reads all files under a folder named src, except those that contain only tests.
///
/// # Panics
/// A file cannot be read.
pub fn read_all(folder: &Path) -> Vec<Source> {
    let mut sources = Vec::new();
    collect(folder, "src", &mut sources);
    assert!(!sources.is_empty(), "no sources under {}", folder.display());
    let tests: Vec<_> = sources.iter().flat_map(|source: &Source| source.tests.clone()).collect();
    sources.retain(|source| !tests.iter().any(|test| source.module.starts_with(test)));
    sources
}

fn collect(folder: &Path, name: &str, sources: &mut Vec<Source>) {
    let entries = fs::read_dir(folder).expect("a folder of sources can be read");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("its entries can be read").path()).collect();
    paths.sort();
    for path in paths {
        let name = format!("{name}/{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_dir() {
            collect(&path, &name, sources);
        } else if name.ends_with(".rs") {
            sources.push(Source::read(&name, &fs::read_to_string(&path).expect("a source can be read")));
        }
    }
}

fn module_of(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") || module == ["main"] || module == ["lib"] {
        module.pop();
    }
    module
}

struct Reader {
    module: Vec<String>,
    names: Vec<Name>,
    tests: Vec<Vec<String>>,
    in_reexport: bool,
}

impl Reader {
    fn read(&mut self, stream: TokenStream) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at = match &tokens[at..] {
                [TokenTree::Punct(hash), TokenTree::Group(attribute), ..]
                    if hash.as_char() == '#' && is_cfg_test(attribute) =>
                {
                    self.skip_item(&tokens, at + 2)
                }
                [TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Group(body), ..]
                    if word == "mod" =>
                {
                    self.module.push(name.to_string());
                    self.read(body.stream());
                    self.module.pop();
                    at + 3
                }
                [TokenTree::Ident(public), TokenTree::Ident(word), ..]
                    if public == "pub" && word == "use" =>
                {
                    self.in_reexport = true;
                    at + 2
                }
                // In `pub(super)`, the words in the brackets import nothing.
                [TokenTree::Ident(public), TokenTree::Group(places), rest @ ..]
                    if public == "pub" && places.delimiter() == Delimiter::Parenthesis =>
                {
                    self.in_reexport = matches!(rest, [TokenTree::Ident(word), ..] if word == "use");
                    at + 2
                }
                [TokenTree::Punct(end), ..] if end.as_char() == ';' => {
                    self.in_reexport = false;
                    at + 1
                }
                [TokenTree::Ident(_), ..] => self.read_path(&tokens, at, &[]),
                [TokenTree::Group(group), ..] => {
                    self.read(group.stream());
                    at + 1
                }
                _ => at + 1,
            };
        }
    }

    /// Reads the path whose first identifier is at `at`, and returns its end.
    fn read_path(&mut self, tokens: &[TokenTree], mut at: usize, prefix: &[String]) -> usize {
        let line = tokens[at].span().start().line;
        let mut segments = prefix.to_vec();
        // `{self}` in a group is the group's own path.
        if prefix.is_empty() || tokens[at].to_string() != "self" {
            segments.push(tokens[at].to_string());
        }
        at += 1;
        while is_colon(tokens.get(at)) && is_colon(tokens.get(at + 1)) {
            match tokens.get(at + 2) {
                Some(TokenTree::Ident(name)) => segments.push(name.to_string()),
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    self.read_group(group, &segments);
                    return at + 3;
                }
                Some(TokenTree::Punct(star)) if star.as_char() == '*' => segments.push(star.to_string()),
                _ => break,
            }
            at += 3;
        }
        self.note(line, segments);
        at
    }

    fn read_group(&mut self, group: &Group, prefix: &[String]) {
        let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
        let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',');
        for member in tokens.split(is_comma) {
            match member.first() {
                Some(TokenTree::Ident(_)) => {
                    self.read_path(member, 0, prefix);
                }
                Some(star) => {
                    self.note(star.span().start().line, [prefix, &[star.to_string()]].concat());
                }
                None => {}
            }
        }
    }

    fn note(&mut self, line: usize, segments: Vec<String>) {
        let upward = segments.iter().take_while(|segment| *segment == "super").count();
        let skipped = if segments[0] == "self" { 1 } else { upward };
        let segments = match skipped {
            0 => segments,
            _ => {
                let base = &self.module[..self.module.len().saturating_sub(upward)];
                let root = ["crate".to_owned()];
                [&root, base, &segments[skipped..]].concat()
            }
        };
        if segments.len() > 1 {
            self.names.push(Name { line, segments, is_reexport: self.in_reexport });
        }
    }

    /// Skips an item that only tests use, and returns its end.
    fn skip_item(&mut self, tokens: &[TokenTree], start: usize) -> usize {
        let ends = |token: &TokenTree| match token {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            TokenTree::Punct(mark) => mark.as_char() == ';',
            _ => false,
        };
        let end = tokens[start..].iter().position(ends).map_or(tokens.len(), |length| start + length + 1);
        if let [.., TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Punct(_)] = &tokens[start..end]
            && word == "mod"
        {
            self.tests.push([self.module.as_slice(), &[name.to_string()]].concat());
        }
        end
    }
}

fn is_cfg_test(attribute: &Group) -> bool {
    attribute.stream().to_string().replace(' ', "") == "cfg(test)"
}

fn is_colon(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(mark)) if mark.as_char() == ':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str, text: &str) -> Vec<String> {
        let told = |name: &Name| format!("{}:{}", name.line, name.segments.join("::"));
        Source::read(path, text).names.iter().map(told).collect()
    }

    #[test]
    fn grouped_imports_are_read_member_by_member() {
        let text =
            "use crate::{\n  clock::{self, Clock as C},\n  users::*, random,\n};\nuse diesel::prelude::*;";
        let expected = [
            "2:crate::clock",
            "2:crate::clock::Clock",
            "3:crate::users::*",
            "3:crate::random",
            "5:diesel::prelude::*",
        ];
        assert_eq!(names("src/a.rs", text), expected);
    }

    #[test]
    fn paths_in_signatures_macros_and_attributes_are_read() {
        let text = "#[diesel(table_name = crate::database::schema::users)]\nfn f(x: &crate::a::B<'_>) -> Vec<crate::c::D> {\n format!(\"{}\", crate::e::f()) }";
        let expected =
            ["1:crate::database::schema::users", "2:crate::a::B", "2:crate::c::D", "3:crate::e::f"];
        assert_eq!(names("src/a.rs", text), expected);
    }

    #[test]
    fn comments_docs_and_strings_are_ignored() {
        let text = "//! See crate::a.\n/// [crate::b::C]\n/* crate::d::e /* crate::f::g */ */\nconst X: &str = \"crate::h::i\";\nconst Y: &str = r#\"use crate::j::k;\"#;\nconst Z: char = '\"'; // crate::l::m";
        assert_eq!(names("src/a.rs", text), [""; 0]);
    }

    #[test]
    fn test_only_code_is_ignored() {
        let text = "#[cfg(test)]\nmod tests { use crate::a::B; }\n#[cfg(test)]\nuse crate::c::{D, E};\n#[cfg(test)]\nmod slow;\nuse crate::f::G;";
        let source = Source::read("src/a/mod.rs", text);
        assert_eq!(
            source.names,
            [Name { line: 7, segments: ["crate", "f", "G"].map(str::to_owned).to_vec(), is_reexport: false }]
        );
        assert_eq!(source.tests, [["a", "slow"]]);
    }

    #[test]
    fn super_and_self_are_resolved_to_their_module() {
        let text = "use super::super::users::User;\nuse super::caller::Caller;\nmod inner { use super::super::X; }\nuse self::y::Z;";
        let expected = ["1:crate::users::User", "2:crate::guard::caller::Caller", "3:crate::guard::X"];
        assert_eq!(names("src/guard/checks.rs", text)[..3], expected);
        assert_eq!(names("src/guard/checks.rs", text)[3], "4:crate::guard::checks::y::Z");
        assert_eq!(names("src/guard/mod.rs", "use super::users::User;"), ["1:crate::users::User"]);
    }

    #[test]
    fn binary_refers_to_the_library_by_its_crate_name() {
        let main = Source::read("src/main.rs", "fn main() { doorward::cli::run(); }");
        assert_eq!((main.top(), main.target(&main.names[0])), ("main".to_owned(), Some("cli".to_owned())));
        let other = Source::read("src/lib.rs", "use serde::Serialize;");
        assert_eq!(other.target(&other.names[0]), None);
    }
}
