//! The promises. Each message says how to mend what it found.

use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use tidy::{INTERNAL, area_folders, areas, files, function_folders, openapi, root};

fn read(path: impl AsRef<std::path::Path>) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_default()
}

#[test]
fn openapi_json_matches_the_code() {
    let committed = read("functions/system/openapi.json");
    assert!(
        committed == openapi(),
        "functions/system/openapi.json is stale: run `cargo run -p tidy`"
    );
}

#[test]
fn every_area_is_described() {
    let described: Vec<&str> = areas().into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        described,
        area_folders(),
        "add the area to tests/tidy/src/lib.rs and its Cargo.toml"
    );
}

#[test]
fn every_area_has_its_manifest_entry_tests_and_readme_row() {
    let (manifest, readme) = (read("spin.toml"), read("README.md"));
    for area in function_folders() {
        assert!(
            readme.contains(&format!("`functions/{area}`")),
            "functions/{area} has no row in README.md"
        );
        assert!(
            manifest.contains(&format!("component = \"{area}\"")),
            "functions/{area} has no trigger in spin.toml"
        );
        assert!(
            manifest.contains(&format!("-p {area}\"")),
            "functions/{area} has no build command in spin.toml"
        );
    }
}

/// `test = false` saves the build of a test binary; in a crate that has unit tests it would leave them out in silence.
#[test]
fn crates_that_build_no_unit_tests_have_none() {
    for folder in ["functions", "shared"] {
        for manifest in files(folder, "Cargo.toml") {
            let text = std::fs::read_to_string(&manifest).unwrap_or_default();
            if !text.contains("\ntest = false\n") {
                continue;
            }
            let sources = manifest.with_file_name("src");
            for source in files(&sources.to_string_lossy(), ".rs") {
                let tests = std::fs::read_to_string(&source).unwrap_or_default();
                assert!(
                    !tests.contains("#[cfg(test)]"),
                    "{} has unit tests: take `test = false` out of its Cargo.toml",
                    source.display()
                );
            }
        }
    }
}

#[test]
fn what_is_internal_has_a_private_route_and_no_way_out() {
    let manifest = read("spin.toml");
    for name in INTERNAL {
        let route = format!("route = {{ private = true }}\ncomponent = \"{name}\"\n");
        assert!(manifest.contains(&route), "{name} needs a private route");
        let all = manifest.matches(&format!("component = \"{name}\"")).count();
        assert_eq!(all, 1, "{name} has a route beside its private one");
        let entry = manifest.split(&format!("[component.{name}]")).nth(1);
        let entry = entry
            .and_then(|rest| rest.split("\n[").next())
            .unwrap_or("");
        assert!(
            entry.contains("allowed_outbound_hosts = []"),
            "{name} must not reach anything"
        );
    }
}

/// The texts in quotes of the first list behind `mark`.
fn listed(text: &str, mark: &str) -> Vec<String> {
    let list = text
        .split(mark)
        .nth(1)
        .unwrap_or_else(|| panic!("no {mark}"));
    let list = list.split('\n').next().unwrap_or_default();
    let list = list.split(']').next().unwrap_or_default();
    let texts = list.split('"').skip(1).step_by(2);
    let bare = texts.map(|text| text.split_once("://").map_or(text, |(_, host)| host));
    bare.map(str::to_owned).collect()
}

#[test]
fn custom_nodes_declare_the_hosts_that_their_components_reach() {
    let readme = read("examples/nodes/README.md");
    for (name, source) in [("slugify", "slugify/src/lib.rs"), ("mask", "mask/mask.js")] {
        let entry = readme.split(&format!("[component.node-{name}]")).nth(1);
        let entry = entry.and_then(|rest| rest.split("\n[").next());
        let entry = entry.unwrap_or_else(|| panic!("{name} is in no manifest"));
        let reaches = listed(entry, "allowed_outbound_hosts = ");
        let declares = listed(&read(format!("examples/nodes/{source}")), "hosts: ");
        assert_eq!(declares, reaches, "{name}");
    }
}

#[test]
fn routes_are_below_what_spin_toml_sends_there() {
    let manifest = read("spin.toml");
    for (area, routes) in areas() {
        let prefixes: Vec<String> = manifest
            .split("[[trigger.http]]")
            .filter(|block| block.contains(&format!("component = \"{area}\"")))
            .filter_map(|block| {
                block
                    .split("route = \"")
                    .nth(1)?
                    .split('"')
                    .next()
                    .map(str::to_owned)
            })
            .collect();
        for (method, path) in routes.list() {
            let served = prefixes
                .iter()
                .any(|prefix| match prefix.strip_suffix("/...") {
                    Some(start) => path == start || path.starts_with(&format!("{start}/")),
                    None => path == prefix,
                });
            assert!(
                served,
                "{method} {path} of {area} is not routed to it by spin.toml"
            );
        }
    }
}

#[test]
fn only_the_edge_names_the_host() {
    for path in files("shared", "Cargo.toml") {
        let text = std::fs::read_to_string(&path).unwrap();
        let edge = path.ends_with("edge/Cargo.toml");
        assert!(
            edge || !text.contains("spin-sdk"),
            "{}: I/O belongs behind nodeai-ports",
            path.display()
        );
    }
    let engine = read("shared/engine/Cargo.toml");
    for forbidden in [
        "tokio",
        "reqwest",
        "getrandom",
        "rand",
        "nodeai-store",
        "nodeai-ports",
    ] {
        assert!(
            !engine.contains(&format!("\n{forbidden}")),
            "the engine must not depend on {forbidden}"
        );
    }
}

#[test]
fn every_source_file_says_what_it_is_and_stays_small() {
    for folder in ["functions", "shared", "host", "tests", "benches"] {
        for path in files(folder, ".rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(
                text.starts_with("//!"),
                "{} does not begin with a //! line",
                path.display()
            );
            let lines = text.lines().count();
            assert!(
                lines <= 520,
                "{} has {lines} lines: split it by what it does",
                path.display()
            );
        }
    }
}

#[test]
fn merged_migrations_keep_their_content() {
    let listed = read("migrations/SHA256SUMS");
    for path in files("migrations", ".sql") {
        let sum: String = Sha256::digest(std::fs::read(&path).unwrap())
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let line = format!("{sum}  {}", path.file_name().unwrap().to_string_lossy());
        assert!(
            listed.contains(&line),
            "{} has changed or is new. A merged migration must not change; a new one is listed by `cargo run -p tidy`",
            path.display()
        );
    }
}

#[test]
fn every_kind_of_problem_has_its_page() {
    let pages: BTreeSet<String> = files("docs/problems", ".md")
        .iter()
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "README")
        .collect();
    let kinds: BTreeSet<String> = nodeai_http::Problem::SLUGS
        .iter()
        .map(|slug| (*slug).to_owned())
        .collect();
    assert_eq!(
        pages, kinds,
        "docs/problems/<slug>.md and shared/http/src/problem.rs do not agree"
    );
}

#[test]
fn the_schema_version_that_readiness_asks_for_is_the_newest() {
    let newest = files("migrations", ".sql").len();
    let health = read("functions/system/src/health.rs");
    assert!(
        health.contains(&format!("NEEDED_SCHEMA: i64 = {newest};")),
        "functions/system/src/health.rs: NEEDED_SCHEMA must be {newest}"
    );
}
