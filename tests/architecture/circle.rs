//! Finds a circle among the modules' imports.

use std::collections::BTreeMap;

/// An import of one module by another, and its place.
pub struct Import {
    pub from: String,
    pub to: String,
    pub place: String,
}

type Graph<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>;

/// Returns the first circle, with one import per line, or nothing if there is none.
pub fn find_circle(imports: &[Import]) -> Vec<String> {
    let mut graph = Graph::new();
    for import in imports {
        graph.entry(&import.from).or_default().entry(&import.to).or_insert(&import.place);
    }
    let mut done = Vec::new();
    let found = graph.keys().find_map(|start| follow(&graph, start, &mut Vec::new(), &mut done));
    let Some(circle) = found else { return Vec::new() };
    let step = |(at, from): (usize, &&str)| {
        let to = circle[(at + 1) % circle.len()];
        format!("{}: {from} imports {to}", graph[from][to])
    };
    let advice = "these run in a circle: turn one around, or move what both need below both".to_owned();
    circle.iter().enumerate().map(step).chain([advice]).collect()
}

/// Searches depth first. A module that is already on the path closes the circle.
fn follow<'a>(
    graph: &Graph<'a>,
    module: &'a str,
    way: &mut Vec<&'a str>,
    done: &mut Vec<&'a str>,
) -> Option<Vec<&'a str>> {
    if let Some(start) = way.iter().position(|passed| *passed == module) {
        return Some(way[start..].to_vec());
    }
    if done.contains(&module) {
        return None;
    }
    way.push(module);
    let targets = graph.get(module).into_iter().flat_map(BTreeMap::keys);
    for target in targets {
        let circle = follow(graph, target, way, done);
        if circle.is_some() {
            return circle;
        }
    }
    way.pop();
    done.push(module);
    None
}

#[test]
fn cycle_is_reported_import_by_import() {
    let import = |from: &str, to: &str| Import {
        from: from.to_owned(),
        to: to.to_owned(),
        place: format!("src/{from}.rs:1"),
    };
    let straight = [import("a", "b"), import("b", "c"), import("a", "c")];
    assert!(find_circle(&straight).is_empty());
    let round = [import("a", "b"), import("b", "c"), import("c", "d"), import("d", "b")];
    let told = find_circle(&round);
    let expected =
        ["src/b.rs:1: b imports c", "src/c.rs:1: c imports d", "src/d.rs:1: d imports b"].map(str::to_owned);
    assert_eq!(told[..3], expected);
}
