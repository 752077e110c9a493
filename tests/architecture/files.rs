//! Finds the imports between files. A name that a `mod.rs` re-exports counts as a name of the file that
//! defines it.

use std::collections::BTreeMap;

use crate::circle::Import;
use crate::source::{Name, Source};

/// The maximum number of re-exports that are followed.
const STEPS_MAX: usize = 4;

type Module = Vec<String>;

/// Lists the imports between files, each with the paths of both files.
pub fn imports(sources: &[Source]) -> Vec<Import> {
    let files: BTreeMap<Module, &str> =
        sources.iter().map(|source| (source.module.clone(), source.path.as_str())).collect();
    let crate_files = Files { reexports: reexports(sources, &files), files };
    sources.iter().flat_map(|source| crate_files.imports_of(source)).collect()
}

fn reexports(sources: &[Source], files: &BTreeMap<Module, &str>) -> BTreeMap<Module, Module> {
    let of = |source: &Source| -> Vec<(Module, Module)> {
        let names = source.names.iter().filter(|name| name.is_reexport);
        let pairs = names.filter_map(|name| {
            let target = absolute(source, name, files)?;
            Some(([source.module.as_slice(), &target[target.len() - 1..]].concat(), target))
        });
        pairs.collect()
    };
    sources.iter().flat_map(of).collect()
}

/// Returns the path that a name leads to, from the crate's root, or `None` if it leads to another crate.
fn absolute(source: &Source, name: &Name, files: &BTreeMap<Module, &str>) -> Option<Module> {
    if name.segments[0] == "crate" {
        return Some(name.segments[1..].to_vec());
    }
    let child = [source.module.as_slice(), &name.segments[..1]].concat();
    let is_child = files.contains_key(&child);
    is_child.then(|| [source.module.as_slice(), &name.segments].concat())
}

struct Files<'a> {
    files: BTreeMap<Module, &'a str>,
    reexports: BTreeMap<Module, Module>,
}

impl Files<'_> {
    fn imports_of(&self, source: &Source) -> Vec<Import> {
        let names = source.names.iter().filter(|name| !name.is_reexport);
        let targets = names.filter_map(|name| {
            let to = self.file_of(absolute(source, name, &self.files)?)?;
            let place = format!("{}:{}", source.path, name.line);
            (to != source.path).then(|| Import { from: source.path.clone(), to: to.to_owned(), place })
        });
        targets.collect()
    }

    fn file_of(&self, mut path: Module) -> Option<&str> {
        for _ in 0..STEPS_MAX {
            let reexported =
                (1..=path.len()).rev().find_map(|end| Some((end, self.reexports.get(&path[..end])?)));
            let Some((end, target)) = reexported else { break };
            path = [target.as_slice(), &path[end..]].concat();
        }
        (1..=path.len()).rev().find_map(|end| self.files.get(&path[..end]).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circle::find_circle;

    fn targets(sources: &[Source]) -> Vec<(String, String)> {
        imports(sources).into_iter().map(|import| (import.from, import.to)).collect()
    }

    #[test]
    fn reexport_leads_to_the_defining_file() {
        let sources = [
            Source::read("src/a/mod.rs", "mod b;\nmod c;\npub use b::B;\npub use self::c::C;"),
            Source::read("src/a/b.rs", "pub struct B;"),
            Source::read("src/a/c.rs", "use super::B;\npub struct C;"),
            Source::read("src/d.rs", "use crate::a::{B, C};\nfn f() { crate::a::g() }"),
        ];
        let expected = [
            ("src/a/c.rs", "src/a/b.rs"),
            ("src/d.rs", "src/a/b.rs"),
            ("src/d.rs", "src/a/c.rs"),
            ("src/d.rs", "src/a/mod.rs"),
        ];
        assert_eq!(targets(&sources), expected.map(|(from, to)| (from.to_owned(), to.to_owned())));
        assert!(find_circle(&imports(&sources)).is_empty());
    }

    #[test]
    fn cycle_between_files_of_one_folder_is_found() {
        let sources = [
            Source::read("src/a/mod.rs", "mod b;\nmod c;"),
            Source::read("src/a/b.rs", "use super::c::C;\npub struct B;"),
            Source::read("src/a/c.rs", "fn f() { super::b::B }\npub struct C;"),
        ];
        let circle = find_circle(&imports(&sources));
        assert!(circle[0].starts_with("src/a/b.rs:1: src/a/b.rs imports src/a/c.rs"), "{circle:?}");
    }
}
