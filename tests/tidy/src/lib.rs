//! What the tidy tests look at: the tree, the areas, the generated OpenAPI document.

use nodeai_app::Routes;
use nodeai_http::openapi::Document;
use std::path::{Path, PathBuf};

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the root")
}

/// The routes of every area; `every_area_is_described` fails when one is missing.
pub fn areas() -> Vec<(&'static str, Routes)> {
    vec![
        ("api-keys", api_keys::routes()),
        ("cost-forecast", cost_forecast::routes()),
        ("cost-intelligence", cost_intelligence::routes()),
        ("deployments", deployments::routes()),
        ("execute", execute::routes()),
        ("files", files::routes()),
        ("finetune", finetune::routes()),
        ("knowledge-base", knowledge_base::routes()),
        ("metrics", metrics::routes()),
        ("models", models::routes()),
        ("nodes", nodes::routes()),
        ("oauth", oauth::routes()),
        ("observability", observability::routes()),
        ("profiles", profiles::routes()),
        ("prompt-playground", prompt_playground::routes()),
        ("query-tracer", query_tracer::routes()),
        ("rag-evaluation", rag_evaluation::routes()),
        ("rag-optimization", rag_optimization::routes()),
        ("secrets", secrets::routes()),
        ("system", system::routes()),
        ("tools", tools::routes()),
        ("traces", traces::routes()),
        ("webhooks", webhooks::routes()),
        ("workflows", workflows::routes()),
    ]
}

/// The OpenAPI document of all areas, as it is committed.
pub fn openapi() -> String {
    let mut document = Document::default();
    for (_, routes) in areas() {
        routes.describe_into(&mut document);
    }
    let description = "Workflows, runs, traces and costs. Errors are RFC 9457 problems; lists are cursor pages; every \
                       POST honours Idempotency-Key.";
    let value = document.finish("NodeAI", env!("CARGO_PKG_VERSION"), description);
    let mut text = serde_json::to_string_pretty(&value).expect("JSON");
    text.push('\n');
    text
}

/// Every file below `folder` that ends with `ending`, relative to the root; build output is left out.
pub fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut stack = vec![root().join(folder)];
    while let Some(folder) = stack.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') && name != "node_modules"
            {
                stack.push(path);
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Functions without routes of their own: only other functions reach them.
pub const INTERNAL: [&str; 2] = ["code", "extract"];

/// The areas: folders of `functions/` with routes.
pub fn area_folders() -> Vec<String> {
    let mut names = function_folders();
    names.retain(|name| !INTERNAL.contains(&name.as_str()));
    names
}

/// All folders of `functions/`.
pub fn function_folders() -> Vec<String> {
    let folders = std::fs::read_dir(root().join("functions")).expect("functions/");
    let mut names: Vec<String> = folders
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
