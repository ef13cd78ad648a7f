//! Modules import one way: no module reaches itself through the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// `kernels::gemm` for `src/kernels/gemm.rs`, `families` for `src/families/mod.rs`.
fn modules(folder: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            modules(&path, &format!("{prefix}{stem}::"), found);
        } else if stem == "mod" {
            found.insert(prefix.trim_end_matches("::").into(), fs::read_to_string(&path).unwrap());
        } else if !["lib", "tests", "testing", "naive"].contains(&stem.as_str()) {
            found.insert(format!("{prefix}{stem}"), fs::read_to_string(&path).unwrap());
        }
    }
}

/// The modules that one names outside its unit tests; a child's `super` is its parent or, through it, a sibling.
fn imports(name: &str, source: &str, all: &BTreeSet<String>) -> BTreeSet<String> {
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
    let parent = name.rsplit_once("::").map_or("", |(parent, _)| parent);
    let mut found = BTreeSet::new();
    for (word, base) in [("crate::", ""), ("super::", parent)] {
        for (at, _) in source.match_indices(word) {
            let rest = &source[at + word.len()..];
            let path: String =
                rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect();
            let mut parts: Vec<&str> = base.split("::").filter(|p| !p.is_empty()).collect();
            parts.extend(path.split("::").filter(|p| !p.is_empty()));
            // The longest prefix that is a module.
            let module = (1..=parts.len()).rev().map(|n| parts[..n].join("::")).find(|m| all.contains(m));
            found.extend(module.filter(|m| m != name && m != parent));
        }
    }
    found
}

#[test]
fn no_module_reaches_itself() {
    let mut sources = BTreeMap::new();
    modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut sources);
    assert!(sources.len() > 30, "the sources have moved");
    let all: BTreeSet<String> = sources.keys().cloned().collect();
    let edges: BTreeMap<&String, BTreeSet<String>> =
        sources.iter().map(|(name, source)| (name, imports(name, source, &all))).collect();
    for start in &all {
        let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut todo = vec![(start.clone(), vec![start.clone()])];
        while let Some((name, path)) = todo.pop() {
            for next in &edges[&name] {
                let longer = [&path[..], std::slice::from_ref(next)].concat();
                assert!(next != start, "modules import each other: {}", longer.join(" > "));
                if seen.insert(next.clone(), longer.clone()).is_none() {
                    todo.push((next.clone(), longer));
                }
            }
        }
    }
}
