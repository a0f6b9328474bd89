//! Where values come from: `SPIN_VARIABLE_*`, `.env`, the manifest's defaults, and what the host itself adds.
use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::manifest::{Component, Manifest};
use crate::template;

/// The environment that the host reads: the process's own before `.env`.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    values: HashMap<String, String>,
}

impl Environment {
    /// The process environment, completed from `root/.env`.
    ///
    /// # Errors
    /// When `.env` is there but cannot be read.
    pub fn load(root: &Path) -> Result<Self> {
        let path = root.join(".env");
        let mut values = match std::fs::read_to_string(&path) {
            Ok(text) => parse_dotenv(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => HashMap::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        values.extend(
            std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))),
        );
        Ok(Self { values })
    }

    /// A value that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The application variable `name` as `SPIN_VARIABLE_<NAME>`, when it is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.get(&variable_key(name))
    }

    /// The application variable `name`, also when it was set to nothing on purpose.
    fn raw_variable(&self, name: &str) -> Option<&str> {
        self.values.get(&variable_key(name)).map(String::as_str)
    }
}

fn variable_key(name: &str) -> String {
    format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase())
}

/// Reads `KEY=value` lines; `#` comments, `export `, and single or double quotes are understood.
fn parse_dotenv(text: &str) -> HashMap<String, String> {
    let mut values = HashMap::new();
    for line in text.lines() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        if line.starts_with('#') {
            continue;
        }
        if let Some((key, value)) = line.split_once('=') {
            values.insert(key.trim().to_owned(), unquote(value.trim()));
        }
    }
    values
}

fn unquote(value: &str) -> String {
    if let Some(inner) = value.strip_prefix('\'').and_then(|v| v.strip_suffix('\'')) {
        return inner.to_owned();
    }
    if let Some(inner) = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) {
        return inner
            .replace("\\n", "\n")
            .replace("\\\"", "\"")
            .replace("\\\\", "\\");
    }
    value
        .split(" #")
        .next()
        .unwrap_or(value)
        .trim_end()
        .to_owned()
}

/// The values of all application variables.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    values: HashMap<String, String>,
}

impl Variables {
    /// Each variable of the manifest: the host's own value, else the environment's, else the default.
    ///
    /// # Errors
    /// When a required variable has no value.
    pub fn resolve(
        manifest: &Manifest,
        environment: &Environment,
        own: &HashMap<String, String>,
    ) -> Result<Self> {
        let mut values = HashMap::new();
        for (name, variable) in &manifest.variables {
            let value = own
                .get(name)
                .map(String::as_str)
                .or_else(|| environment.raw_variable(name))
                .or(variable.default.as_deref());
            match value {
                Some(value) => {
                    values.insert(name.clone(), value.to_owned());
                }
                None if variable.required => bail!(
                    "the variable {name:?} has no value; set {}",
                    variable_key(name)
                ),
                None => {}
            }
        }
        Ok(Self { values })
    }

    /// Renders a template of the manifest over these values.
    ///
    /// # Errors
    /// When it names a variable without a value.
    pub fn render(&self, text: &str) -> Result<String> {
        template::render(text, |name| {
            self.values
                .get(name)
                .cloned()
                .with_context(|| format!("the variable {name:?} has no value"))
        })
    }

    /// The values that one component sees.
    ///
    /// # Errors
    /// When one of its templates names a variable without a value.
    pub fn for_component(
        &self,
        id: &str,
        component: &Component,
    ) -> Result<HashMap<String, String>> {
        component
            .variables
            .iter()
            .map(|(name, text)| {
                let value = self
                    .render(text)
                    .with_context(|| format!("variable {name:?} of component {id:?}"))?;
                Ok((name.clone(), value))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest::parse(
            r#"
spin_manifest_version = 2
[application]
name = "x"
[variables]
a = { default = "one" }
b = { default = "two" }
[component.c]
source = "c.wasm"
[component.c.variables]
both = "{{ a }}-{{ b }}"
"#,
        )
        .unwrap()
    }

    #[test]
    fn the_environment_wins_over_defaults_and_the_host_over_both() {
        let environment = Environment {
            values: HashMap::from([("SPIN_VARIABLE_A".into(), "env".into())]),
        };
        let own = HashMap::from([("b".to_owned(), "host".to_owned())]);
        let manifest = manifest();
        let variables = Variables::resolve(&manifest, &environment, &own).unwrap();
        let seen = variables
            .for_component("c", &manifest.component["c"])
            .unwrap();
        assert_eq!(seen["both"], "env-host");
    }

    #[test]
    fn reads_dotenv_files() {
        let values = parse_dotenv("# no\nA=1\nexport B='two words'\nC=\"x\\ny\"\nD=v # note\n");
        assert_eq!(values["A"], "1");
        assert_eq!(values["B"], "two words");
        assert_eq!(values["C"], "x\ny");
        assert_eq!(values["D"], "v");
        assert_eq!(values.len(), 4);
    }
}
