//! A component and its dependencies as one component, as Spin composes them: each dependency is instantiated, and its export
//! becomes the component's import.
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, NodeId, PackageId};

use crate::manifest::{Component, Dependency};

/// Imports that reach out of the machine or to the application's configuration.
const REACHING: [&str; 5] = [
    "spin:",
    "fermyon:",
    "wasi:http/outgoing-handler",
    "wasi:http/client",
    "wasi:sockets/",
];

/// The bytes of a component, with its dependencies in it.
///
/// # Errors
/// When a file cannot be read, a dependency gives nothing that is imported or less than that, or it reaches out without leave.
pub fn compose(root: &Path, id: &str, component: &Component) -> Result<Vec<u8>> {
    let bytes = read(root, &component.source)?;
    if component.dependencies.is_empty() {
        return Ok(bytes);
    }
    let mut graph = CompositionGraph::new();
    let (main, instance) = add(&mut graph, id, bytes)?;
    for (name, dependency) in &component.dependencies {
        let given = read(root, &dependency.path)?;
        let (package, part) = add(&mut graph, &format!("{id}:dependency"), given)?;
        if !(component.dependencies_inherit_configuration || dependency.inherit_configuration) {
            check_reach(&graph, package, name)?;
        }
        let import = import_of(&graph, main, name)?;
        let export = export_of(&graph, package, dependency, &import, name)?;
        let value = graph.alias_instance_export(part, &export)?;
        graph
            .set_instantiation_argument(instance, &import, value)
            .with_context(|| format!("the dependency {name:?} does not fit the import"))?;
    }
    let exports: Vec<String> = graph.types()[graph[main].ty()]
        .exports
        .keys()
        .cloned()
        .collect();
    for export in exports {
        let value = graph.alias_instance_export(instance, &export)?;
        graph.export(value, &export)?;
    }
    Ok(graph.encode(EncodeOptions::default())?)
}

fn read(root: &Path, path: &str) -> Result<Vec<u8>> {
    let path = root.join(path);
    std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}

fn add(graph: &mut CompositionGraph, name: &str, bytes: Vec<u8>) -> Result<(PackageId, NodeId)> {
    let name = format!("nodeai:{}-{}", name.replace([':', '_'], "-"), bytes.len());
    let package = Package::from_bytes(&name, None, bytes, graph.types_mut())?;
    let package = graph.register_package(package)?;
    let instance = graph.instantiate(package);
    Ok((package, instance))
}

/// The import that a dependency's name means: a whole one, with or without version, or a package with one import.
fn import_of(graph: &CompositionGraph, main: PackageId, name: &str) -> Result<String> {
    let imports = &graph.types()[graph[main].ty()].imports;
    let fits = |import: &&String| {
        let bare = import.split('@').next().unwrap_or_default();
        *import == name || bare == name || bare.split('/').next() == Some(name)
    };
    let found: Vec<&String> = imports.keys().filter(fits).collect();
    match found[..] {
        [import] => Ok(import.clone()),
        [] => bail!("the dependency {name:?} is no import of the component"),
        _ => bail!("the dependency {name:?} fits several imports of the component"),
    }
}

fn export_of(
    graph: &CompositionGraph,
    package: PackageId,
    dependency: &Dependency,
    import: &str,
    name: &str,
) -> Result<String> {
    let export = dependency.export.as_deref().unwrap_or(import);
    let exports = &graph.types()[graph[package].ty()].exports;
    ensure!(
        exports.contains_key(export),
        "the dependency {name:?} does not export {export:?}"
    );
    Ok(export.to_owned())
}

fn check_reach(graph: &CompositionGraph, package: PackageId, name: &str) -> Result<()> {
    let imports = &graph.types()[graph[package].ty()].imports;
    let reaching = |import: &&String| REACHING.iter().any(|start| import.starts_with(start));
    match imports.keys().find(reaching) {
        Some(import) => bail!(
            "the dependency {name:?} imports {import}, which only dependencies_inherit_configuration = true lets it have"
        ),
        None => Ok(()),
    }
}
