//! OpenAPI 3.1 description of routes, built from the argument and answer types of their handlers.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// Describes one operation; handlers' arguments and answers add to it.
pub struct Describe {
    operation: Map<String, Value>,
    parameters: Vec<Value>,
    responses: Map<String, Value>,
    generator: SchemaGenerator,
}

/// A generator whose named schemas land in `#/components/schemas`.
pub fn schema_generator() -> SchemaGenerator {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    settings.into_generator()
}

impl Describe {
    /// Starts an operation with its summary.
    pub fn new(summary: &str, tag: &str, generator: SchemaGenerator) -> Self {
        let mut operation = Map::new();
        operation.insert("summary".into(), summary.into());
        operation.insert("tags".into(), json!([tag]));
        Self {
            operation,
            parameters: Vec::new(),
            responses: Map::new(),
            generator,
        }
    }

    /// The request body is JSON of type `T`.
    pub fn json_body<T: JsonSchema>(&mut self) {
        let schema = self.generator.subschema_for::<T>();
        let content = json!({"application/json": {"schema": schema}});
        self.operation.insert(
            "requestBody".into(),
            json!({"required": true, "content": content}),
        );
    }

    /// The request body, given as the `content` of an OpenAPI request body.
    pub fn body(&mut self, content: Value) {
        let body = json!({"required": true, "content": content});
        self.operation.insert("requestBody".into(), body);
    }

    /// A response with a JSON body of type `T`.
    pub fn json_response<T: JsonSchema>(&mut self, status: &str, description: &str) {
        let schema = self.generator.subschema_for::<T>();
        self.response(
            status,
            json!({"description": description, "content": {"application/json": {"schema": schema}}}),
        );
    }

    /// A response without a body.
    pub fn empty_response(&mut self, status: &str, description: &str) {
        self.response(status, json!({"description": description}));
    }

    /// A problem response.
    pub fn problem(&mut self, status: &str, description: &str) {
        self.response(
            status,
            json!({"description": description, "content":
            {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}),
        );
    }

    /// A response given as an OpenAPI response object.
    pub fn response(&mut self, status: &str, response: Value) {
        self.responses.insert(status.to_owned(), response);
    }

    /// Each property of `T` is a query parameter.
    pub fn query<T: JsonSchema>(&mut self) {
        let schema = T::json_schema(&mut self.generator).to_value();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let mut property = property.clone();
            let description = property
                .as_object_mut()
                .and_then(|p| p.remove("description"));
            self.parameters.push(json!({
                "name": name, "in": "query",
                "required": required.contains(&json!(name)),
                "description": description, "schema": property,
            }));
        }
    }

    /// A request header.
    pub fn header(&mut self, name: &str, required: bool, description: &str) {
        self.parameters
            .push(json!({"name": name, "in": "header", "required": required,
            "description": description, "schema": {"type": "string"}}));
    }

    /// The route needs a credential with this scope.
    pub fn scope(&mut self, scope: &str) {
        self.operation.insert(
            "security".into(),
            json!([{"api_key": [scope]}, {"user_token": [scope]}]),
        );
        self.operation
            .insert("x-required-scope".into(), scope.into());
        self.problem("401", "No valid credential");
        self.problem("403", "The scope is missing");
        self.problem("429", "Rate limit reached; see Retry-After");
        self.problem("503", "Storage is not available; see Retry-After");
    }

    fn finish(mut self, path: &str) -> (Value, SchemaGenerator) {
        for name in path_parameters(path) {
            self.parameters
                .push(json!({"name": name, "in": "path", "required": true,
                "schema": {"type": "string"}}));
        }
        for parameter in &mut self.parameters {
            if let Some(fields) = parameter.as_object_mut() {
                fields.retain(|_, value| !value.is_null());
            }
        }
        if !self.parameters.is_empty() {
            self.operation
                .insert("parameters".into(), Value::Array(self.parameters));
        }
        self.operation
            .insert("responses".into(), Value::Object(self.responses));
        (Value::Object(self.operation), self.generator)
    }
}

fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// How a route describes itself.
pub type DescribeFn = fn(&mut Describe);

/// Collects operations of all areas into one document.
pub struct Document {
    paths: Map<String, Value>,
    generator: SchemaGenerator,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            paths: Map::new(),
            generator: schema_generator(),
        }
    }
}

impl Document {
    /// Adds one operation.
    pub fn add(
        &mut self,
        tag: &str,
        method: &str,
        path: &str,
        summary: &str,
        describe: DescribeFn,
    ) {
        // OpenAPI has no parameters of several segments; to its readers it is one that may have slashes.
        let path = &path.replace("{*", "{");
        let generator = std::mem::replace(&mut self.generator, schema_generator());
        let mut operation = Describe::new(summary, tag, generator);
        describe(&mut operation);
        let (operation, generator) = operation.finish(path);
        self.generator = generator;
        let item = self.paths.entry(path).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(method.to_ascii_lowercase(), operation);
        }
    }

    /// The document, with paths in alphabetical order.
    pub fn finish(mut self, title: &str, version: &str, description: &str) -> Value {
        self.paths.sort_keys();
        let mut schemas = self.generator.take_definitions(true);
        schemas.insert("Problem".into(), problem_schema());
        schemas.sort_keys();
        json!({
            "openapi": "3.1.0",
            "info": {"title": title, "version": version, "description": description,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
            "servers": [{"url": "/"}],
            "paths": self.paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": {
                    "api_key": {"type": "http", "scheme": "bearer",
                        "description": "An API key: nai_live_… or nai_test_…"},
                    "user_token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                        "description": "A Supabase user token"},
                },
            },
        })
    }
}

fn problem_schema() -> Value {
    json!({
        "type": "object", "description": "RFC 9457 problem details",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "instance": {"type": "string"},
            "trace_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
            "errors": {"type": "array", "items": {"type": "object", "required": ["code", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "JSON pointer into the body"},
                    "parameter": {"type": "string"},
                    "code": {"type": "string"},
                    "detail": {"type": "string"}}}},
        },
    })
}
