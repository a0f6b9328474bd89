//! Templates: minijinja with a fuel limit, strict about undefined values, and native JSON
//! values where a string is exactly one `{{ expression }}`.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value as Jinja};
use serde_json::{Map, Value};

/// Instructions that one template may execute.
const FUEL: u64 = 200_000;
/// Most bytes that one rendered string may have.
const LONGEST_TEXT: usize = 8 * 1024 * 1024;

/// Why a template cannot be compiled or rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(pub String);

/// What a template refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Top-level names that are neither ours nor built in.
    pub unknown: BTreeSet<String>,
    /// Node ids.
    pub nodes: BTreeSet<String>,
    /// Secret names.
    pub secrets: BTreeSet<String>,
    /// `nodes` or `secrets` used as a whole or by a computed name.
    pub computed: BTreeSet<String>,
}

impl References {
    /// Adds those of another template.
    pub fn extend(&mut self, other: References) {
        self.unknown.extend(other.unknown);
        self.nodes.extend(other.nodes);
        self.secrets.extend(other.secrets);
        self.computed.extend(other.computed);
    }
}

/// Whether a string needs rendering at all.
pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// A JSON value as templates see it. Written out rather than by serde, through which numbers would become objects in a
/// build where anything turns on serde_json's `arbitrary_precision`.
pub(crate) fn jinja(value: &Value) -> Jinja {
    match value {
        Value::Null => Jinja::from(()),
        Value::Bool(truth) => Jinja::from(*truth),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Jinja::from(integer),
            (None, Some(integer)) => Jinja::from(integer),
            (None, None) => Jinja::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Jinja::from(text.as_str()),
        Value::Array(items) => items.iter().map(jinja).collect(),
        Value::Object(fields) => jinja_map(fields),
    }
}

/// A JSON object as templates see it, its fields in their order.
pub(crate) fn jinja_map(fields: &Map<String, Value>) -> Jinja {
    let fields = fields
        .iter()
        .map(|(name, value)| (Jinja::from(name.as_str()), jinja(value)));
    Jinja::from_object(fields.collect::<IndexMap<Jinja, Jinja>>())
}

/// The template engine, set up once per run.
pub struct Templates {
    env: Environment<'static>,
}

impl Default for Templates {
    fn default() -> Self {
        Self::new()
    }
}

impl Templates {
    /// An engine with our limits and formats.
    pub fn new() -> Self {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        env.set_auto_escape_callback(|_| AutoEscape::None);
        env.set_fuel(Some(FUEL));
        env.set_recursion_limit(64);
        if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
            env.set_syntax(syntax);
        }
        env.set_formatter(|out, state, value| match value.kind() {
            ValueKind::Map | ValueKind::Seq if !value.is_undefined() => {
                out.write_str(&to_json(value).map_err(as_engine_error)?.to_string())?;
                Ok(())
            }
            _ => minijinja::escape_formatter(out, state, value),
        });
        crate::filters::add_to(&mut env);
        Self { env }
    }

    /// Compiles a string that may hold templates and says what it refers to.
    ///
    /// # Errors
    /// A syntax error, with its line.
    pub fn check(&self, text: &str) -> Result<References, TemplateError> {
        if !is_template(text) {
            return Ok(References::default());
        }
        if let Some(expression) = whole_expression(text)
            && let Ok(compiled) = self.env.compile_expression(expression)
        {
            return Ok(references(compiled.undeclared_variables(true), text));
        }
        let template = self.env.template_from_str(text).map_err(explain)?;
        Ok(references(template.undeclared_variables(true), text))
    }

    /// Compiles a bare expression, with or without braces around it.
    ///
    /// # Errors
    /// A syntax error.
    pub fn check_expression(&self, text: &str) -> Result<References, TemplateError> {
        let expression = bare(text);
        let compiled = self.env.compile_expression(expression).map_err(explain)?;
        Ok(references(compiled.undeclared_variables(true), text))
    }

    /// Renders to a native value where the string is one expression, else to text.
    ///
    /// # Errors
    /// An undefined value, a wrong operation, or no fuel left.
    pub fn render(&self, text: &str, scope: &Jinja) -> Result<Value, TemplateError> {
        if let Some(expression) = whole_expression(text)
            && self.env.compile_expression(expression).is_ok()
        {
            return self.evaluate(expression, scope);
        }
        self.render_text(text, scope).map(Value::String)
    }

    /// Renders to text; objects and lists become JSON.
    ///
    /// # Errors
    /// As for [`Templates::render`].
    pub fn render_text(&self, text: &str, scope: &Jinja) -> Result<String, TemplateError> {
        if !is_template(text) {
            return Ok(text.to_owned());
        }
        let rendered = self.env.render_str(text, scope.clone()).map_err(explain)?;
        if rendered.len() > LONGEST_TEXT {
            return Err(TemplateError(
                "the rendered text is longer than 8 MiB".to_owned(),
            ));
        }
        Ok(rendered)
    }

    /// Evaluates a bare expression, with or without braces around it.
    ///
    /// # Errors
    /// As for [`Templates::render`]; also when the value is undefined.
    pub fn evaluate(&self, text: &str, scope: &Jinja) -> Result<Value, TemplateError> {
        let value = self.eval(bare(text), scope)?;
        if value.is_undefined() {
            return Err(TemplateError(format!("`{}` is undefined", bare(text))));
        }
        to_json(&value)
    }

    /// Evaluates an expression for its truth; undefined is false.
    ///
    /// # Errors
    /// As for [`Templates::render`].
    pub fn is_true(&self, text: &str, scope: &Jinja) -> Result<bool, TemplateError> {
        Ok(self.eval(bare(text), scope)?.is_true())
    }

    fn eval(&self, expression: &str, scope: &Jinja) -> Result<Jinja, TemplateError> {
        let compiled = self.env.compile_expression(expression).map_err(explain)?;
        compiled.eval(scope.clone()).map_err(explain)
    }
}

/// The expression, if the whole string is `{{ … }}`. It may still turn out to be two
/// expressions with text between them, so callers try to compile it.
fn whole_expression(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix('-').unwrap_or(inner);
    let inner = inner.strip_suffix('-').unwrap_or(inner);
    Some(inner.trim())
}

fn bare(text: &str) -> &str {
    whole_expression(text).unwrap_or(text.trim())
}

fn to_json(value: &Jinja) -> Result<Value, TemplateError> {
    if let Some(bytes) = value
        .as_bytes()
        .filter(|_| value.kind() == ValueKind::Bytes)
    {
        return Ok(Value::String(String::from_utf8_lossy(bytes).into_owned()));
    }
    serde_json::to_value(value).map_err(|error| TemplateError(format!("not a JSON value: {error}")))
}

fn as_engine_error(error: TemplateError) -> minijinja::Error {
    minijinja::Error::new(minijinja::ErrorKind::BadSerialization, error.0)
}

/// Words for people: kind, detail and line, without the template's text (it may hold data).
fn explain(error: minijinja::Error) -> TemplateError {
    use minijinja::ErrorKind;
    let mut text = match error.kind() {
        ErrorKind::OutOfFuel => "the template does too much work".to_owned(),
        ErrorKind::UndefinedError => match error.detail() {
            Some(detail) => format!("undefined value: {detail}"),
            None => "undefined value".to_owned(),
        },
        kind => match error.detail() {
            Some(detail) => format!("{kind}: {detail}"),
            None => kind.to_string(),
        },
    };
    if let Some(line) = error.line().filter(|line| *line > 1) {
        text.push_str(&format!(" (line {line})"));
    }
    TemplateError(text)
}

/// Names that templates may use beside our own.
const BUILT_IN: [&str; 6] = ["range", "dict", "namespace", "debug", "loop", "lipsum"];

fn references(undeclared: impl IntoIterator<Item = String>, text: &str) -> References {
    let mut found = References::default();
    for path in undeclared {
        let mut parts = path.split('.');
        let (root, name) = (parts.next().unwrap_or_default(), parts.next());
        match (root, name) {
            ("nodes", Some(id)) => drop(found.nodes.insert(id.to_owned())),
            ("secrets", Some(name)) => drop(found.secrets.insert(name.to_owned())),
            ("nodes", None) => by_subscript(text, "nodes", &mut found.nodes, &mut found.computed),
            ("secrets", None) => {
                by_subscript(text, "secrets", &mut found.secrets, &mut found.computed);
            }
            ("inputs" | "vars" | "run", _) => {}
            (name, _) if BUILT_IN.contains(&name) => {}
            (name, _) => drop(found.unknown.insert(name.to_owned())),
        }
    }
    found
}

/// Finds `root["name"]` and `root['name']`; the syntax tree does not give them to us.
fn by_subscript(
    text: &str,
    root: &str,
    names: &mut BTreeSet<String>,
    computed: &mut BTreeSet<String>,
) {
    let mut rest = text;
    while let Some(at) = rest.find(root) {
        let before = rest[..at].chars().next_back();
        rest = &rest[at + root.len()..];
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        if before.is_some_and(is_word) || rest.starts_with(is_word) {
            continue;
        }
        match quoted_subscript(rest.trim_start()) {
            Some(name) => drop(names.insert(name.to_owned())),
            None => drop(computed.insert(root.to_owned())),
        }
    }
}

fn quoted_subscript(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?.trim_start();
    let quote = inner.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (name, after) = inner[1..].split_once(quote)?;
    after.trim_start().starts_with(']').then_some(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scope() -> Jinja {
        jinja(&json!({
            "inputs": {"n": 2, "name": "Ada", "tags": ["a", "b"], "none": null},
            "nodes": {"ask-1": {"output": {"text": "hi"}}},
        }))
    }

    fn check(text: &str, expected: Value) {
        assert_eq!(
            Templates::new().render(text, &scope()).expect(text),
            expected,
            "{text}"
        );
    }

    fn refuse(text: &str, words: &str) {
        let error = Templates::new().render(text, &scope()).expect_err(text);
        assert!(error.0.contains(words), "{text}: {error}");
    }

    #[test]
    fn one_expression_keeps_its_type() {
        check("{{ inputs.n }}", json!(2));
        check(" {{ inputs.tags }} ", json!(["a", "b"]));
        check("{{ {'a': {'b': inputs.n + 1}} }}", json!({"a": {"b": 3}}));
        check("{{ inputs.none }}", json!(null));
        check("{{ '[1,2]' | fromjson }}", json!([1, 2]));
    }

    #[test]
    fn anything_around_it_makes_text() {
        check("n={{ inputs.n }}", json!("n=2"));
        check("{{ inputs.n }} and {{ inputs.n }}", json!("2 and 2"));
        check("{{ inputs.tags }}!", json!("[\"a\",\"b\"]!"));
        check("<{{ inputs.name }}> & {{ '<b>' }}", json!("<Ada> & <b>"));
        check("{{ inputs.tags | tojson }}.", json!("[\"a\", \"b\"]."));
        check("plain", json!("plain"));
    }

    #[test]
    fn undefined_values_are_errors_unless_asked_for() {
        refuse("{{ inputs.nope }}", "undefined");
        refuse("x {{ inputs.nope }}", "undefined");
        refuse("x {{ inputs.nope.deeper }}", "undefined");
        check("{{ inputs.nope | default('d') }}", json!("d"));
        check("{% if inputs.nope %}a{% else %}b{% endif %}", json!("b"));
    }

    #[test]
    fn endless_work_runs_out_of_fuel() {
        refuse(
            "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}",
            "too much work",
        );
    }

    #[test]
    fn references_are_found_in_both_spellings() {
        let found = Templates::new()
            .check("{{ nodes.a.output.x }} {{ nodes['b-1'].output }} {{ secrets.KEY }} {{ foo }} {{ inputs.x }}")
            .expect("valid");
        assert_eq!(found.nodes, ["a", "b-1"].map(String::from).into());
        assert_eq!(found.secrets, ["KEY"].map(String::from).into());
        assert_eq!(found.unknown, ["foo"].map(String::from).into());
        assert!(found.computed.is_empty());
        let computed = Templates::new()
            .check("{{ nodes[inputs.x] }}")
            .expect("valid")
            .computed;
        assert_eq!(computed, ["nodes"].map(String::from).into());
    }

    #[test]
    fn local_names_are_not_unknown() {
        let text =
            "{% for t in inputs.tags %}{{ loop.index }}{{ t }}{% endfor %}{% set y = 1 %}{{ y }}";
        assert_eq!(
            Templates::new().check(text).expect("valid").unknown,
            BTreeSet::new()
        );
    }

    #[test]
    fn syntax_errors_name_the_line() {
        let error = Templates::new().check("a\n{{ inputs. }}").expect_err("bad");
        assert!(
            error.0.contains("syntax error") && error.0.contains("line 2"),
            "{error}"
        );
    }
}
