//! `spin.toml`, manifest version 2: the only list of components, routes and permissions.
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use indexmap::IndexMap;
use serde::Deserialize;

/// The parts of a manifest that this host acts on.
#[derive(Debug, Clone, Deserialize)]
pub struct Manifest {
    spin_manifest_version: u32,
    /// Name, version and the base path.
    pub application: Application,
    /// Application variables, by name.
    #[serde(default)]
    pub variables: IndexMap<String, Variable>,
    /// Triggers; only `http` is served.
    #[serde(default)]
    pub trigger: Triggers,
    /// Components, by id.
    #[serde(default)]
    pub component: IndexMap<String, Component>,
}

/// `[application]`.
#[derive(Debug, Clone, Deserialize)]
pub struct Application {
    /// The application's name.
    pub name: String,
    #[serde(default)]
    trigger: ApplicationTriggers,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct ApplicationTriggers {
    #[serde(default)]
    http: HttpBase,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct HttpBase {
    base: Option<String>,
}

/// One entry of `[variables]`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Variable {
    /// The value when nothing else gives one.
    pub default: Option<String>,
    /// Whether a start without a value is refused.
    #[serde(default)]
    pub required: bool,
    /// Whether the value is kept out of output.
    #[serde(default)]
    pub secret: bool,
}

/// `[[trigger.*]]`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Triggers {
    /// The HTTP triggers, in order.
    #[serde(default)]
    pub http: Vec<HttpTrigger>,
}

/// One `[[trigger.http]]`.
#[derive(Debug, Clone, Deserialize)]
pub struct HttpTrigger {
    /// A pattern, or `{ private = true }` for a component that is only chained to.
    pub route: Route,
    /// The component's id.
    pub component: String,
}

/// What a trigger listens on.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Route {
    /// A path pattern such as `/api/...` or `/users/:id`.
    Pattern(String),
    /// No public route.
    Private {
        /// Must be true.
        private: bool,
    },
}

/// One `[component.<id>]`.
#[derive(Debug, Clone, Deserialize)]
pub struct Component {
    /// Path of the built artefact, relative to the manifest.
    pub source: String,
    /// Whom the component may call, Spin's syntax, may hold templates.
    #[serde(default)]
    pub allowed_outbound_hosts: Vec<String>,
    /// Labels of the key-value stores it may open.
    #[serde(default)]
    pub key_value_stores: Vec<String>,
    /// The component's variables, as templates over the application's.
    #[serde(default)]
    pub variables: IndexMap<String, String>,
    /// Plain environment variables.
    #[serde(default)]
    pub environment: IndexMap<String, String>,
    /// How to build it.
    pub build: Option<Build>,
    /// Components that give what this one imports, by the name of the import.
    #[serde(default)]
    pub dependencies: IndexMap<String, Dependency>,
    /// Whether they may reach what this one may.
    #[serde(default)]
    pub dependencies_inherit_configuration: bool,
    #[serde(default)]
    tool: Tool,
}

/// One entry of `[component.<id>.dependencies]`: a file, the one kind that needs no registry.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    /// Path of the built artefact, relative to the manifest.
    pub path: String,
    /// Its export that is meant, where the names differ.
    pub export: Option<String>,
    /// Whether it may reach what the component may, when not all of them may.
    #[serde(default)]
    pub inherit_configuration: bool,
}

/// `[component.<id>.build]`.
#[derive(Debug, Clone, Deserialize)]
pub struct Build {
    /// The shell command.
    pub command: String,
    /// Where to run it, relative to the manifest.
    pub workdir: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Tool {
    #[serde(default)]
    nodeai: ToolNodeai,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct ToolNodeai {
    concurrent_requests: Option<usize>,
}

impl Component {
    /// How many requests one instance may serve at a time (`tool.nodeai.concurrent_requests`, 1 unless told).
    pub fn concurrent_requests(&self) -> usize {
        self.tool.nodeai.concurrent_requests.unwrap_or(1).max(1)
    }
}

impl Manifest {
    /// Reads and checks `root/spin.toml`.
    ///
    /// # Errors
    /// When the file cannot be read, is not a version 2 manifest, or a trigger names no component.
    pub fn load(root: &Path) -> Result<Self> {
        let path = root.join("spin.toml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is not usable", path.display()))
    }

    /// Parses a manifest's text; see [`Manifest::load`] for the errors.
    pub fn parse(text: &str) -> Result<Self> {
        let manifest: Self = toml::from_str(text)?;
        ensure!(
            manifest.spin_manifest_version == 2,
            "spin_manifest_version must be 2"
        );
        for trigger in &manifest.trigger.http {
            ensure!(
                manifest.component.contains_key(&trigger.component),
                "a trigger names the component {:?}, which is not there",
                trigger.component
            );
            if let Route::Private { private: false } = trigger.route {
                bail!(
                    "the route of {:?} must be a pattern or {{ private = true }}",
                    trigger.component
                );
            }
        }
        Ok(manifest)
    }

    /// The path all routes are under, `/` unless the manifest says otherwise.
    pub fn base(&self) -> &str {
        self.application.trigger.http.base.as_deref().unwrap_or("/")
    }

    /// Where a component's artefact lies.
    pub fn source_path(&self, root: &Path, component: &Component) -> PathBuf {
        root.join(&component.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"
spin_manifest_version = 2
[application]
name = "sample"
version = "0.1.0"
[variables]
greeting = { default = "hi" }
token = { required = true, secret = true }
[[trigger.http]]
route = "/hello/..."
component = "hello"
[[trigger.http]]
route = { private = true }
component = "inner"
[component.hello]
source = "hello.wasm"
allowed_outbound_hosts = ["postgres://*:*"]
key_value_stores = ["default"]
[component.hello.variables]
text = "{{ greeting }}!"
[component.hello.build]
command = "cargo build"
[component.inner]
source = "inner.wasm"
[component.inner.tool.nodeai]
concurrent_requests = 8
"#;

    #[test]
    fn reads_what_spin_writes() {
        let manifest = Manifest::parse(SAMPLE).unwrap();
        assert_eq!(manifest.base(), "/");
        assert_eq!(manifest.trigger.http.len(), 2);
        assert_eq!(
            manifest.component["hello"].variables["text"],
            "{{ greeting }}!"
        );
        assert_eq!(manifest.component["hello"].concurrent_requests(), 1);
        assert_eq!(manifest.component["inner"].concurrent_requests(), 8);
        assert!(manifest.variables["token"].required);
    }

    #[test]
    fn refuses_a_trigger_without_component() {
        let text = SAMPLE.replace("component = \"inner\"", "component = \"gone\"");
        assert!(
            Manifest::parse(&text)
                .unwrap_err()
                .to_string()
                .contains("gone")
        );
    }
}
