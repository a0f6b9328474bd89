//! An OpenAPI document: read from a text, and what its references lead to.

use crate::Fault;
use serde_json::Value;

/// Largest document, bytes.
pub const LARGEST: usize = 4 << 20;
/// A document that was read.
pub struct Document {
    pub(super) root: Value,
    v3_0: bool,
}

impl Document {
    /// Reads a document of JSON or YAML.
    ///
    /// # Errors
    /// It is neither, too large, or not of OpenAPI 3.0 or 3.1.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > LARGEST {
            return Err(Fault::new("", "length", "a document has at most 4 MiB"));
        }
        let json: Result<Value, _> = serde_json::from_str(text);
        let root = match json {
            Ok(root) => root,
            Err(_) => serde_saphyr::from_str(text).map_err(|error| {
                Fault::new("", "format", format!("neither JSON nor YAML: {error}"))
            })?,
        };
        Self::of(root)
    }

    /// A document that was read already.
    ///
    /// # Errors
    /// It is not of OpenAPI 3.0 or 3.1.
    pub fn of(root: Value) -> Result<Self, Fault> {
        let version = root
            .get("openapi")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let v3_0 = version.starts_with("3.0.");
        if !v3_0 && !version.starts_with("3.1.") {
            let detail = "must be a document of OpenAPI 3.0 or 3.1";
            return Err(Fault::new("/openapi", "version", detail));
        }
        match root.get("paths").is_some_and(Value::is_object) {
            true => Ok(Self { root, v3_0 }),
            false => Err(Fault::new("/paths", "required", "must be an object")),
        }
    }

    /// The document as it is stored.
    pub fn root(&self) -> &Value {
        &self.root
    }

    pub(super) fn is_3_0(&self) -> bool {
        self.v3_0
    }

    /// What a JSON pointer, perhaps percent-encoded as in a URL's fragment, leads to.
    pub(super) fn at(&self, pointer: &str) -> Option<&Value> {
        let decoded = percent_encoding::percent_decode_str(pointer)
            .decode_utf8()
            .ok()?;
        self.root.pointer(&decoded)
    }

    /// A thing, or what it refers to.
    pub(super) fn resolve<'a>(&'a self, value: &'a Value, at: &str) -> Result<&'a Value, Fault> {
        let mut value = value;
        for _ in 0..10 {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
                return Ok(value);
            };
            let local = reference
                .strip_prefix('#')
                .and_then(|pointer| self.at(pointer));
            value = local.ok_or_else(|| {
                let detail = format!("{reference:?} leads to nothing in the document");
                Fault::new(at, "reference", detail)
            })?;
        }
        Err(Fault::new(
            at,
            "reference",
            "references go round in a circle",
        ))
    }
}
