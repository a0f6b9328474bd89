//! Templates: minijinja with a fuel limit, strict about undefined values, and native JSON
//! values where a string is exactly one `{{ expression }}`.

use std::cell::OnceCell;

use indexmap::IndexMap;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value as Jinja};
use serde_json::{Map, Value};

use crate::plain;
pub(crate) use crate::references::References;
use crate::references::references;
use crate::scope::Scope;

/// Instructions that one template may execute.
const FUEL: u64 = 200_000;
/// Instructions that one template may execute where it is rendered once per item of a list.
const FUEL_PER_ITEM: u64 = 5_000;
/// Most bytes that one rendered string may have.
const LONGEST_TEXT: usize = 8 * 1024 * 1024;

/// Why a template cannot be compiled or rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// For people, without the template's text (it may hold data).
    pub message: String,
    /// Line and column in the field's text, both from 1, where they are known.
    pub place: Option<(usize, usize)>,
}

impl TemplateError {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            place: None,
        }
    }
}

impl std::fmt::Display for TemplateError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.message)?;
        match self.place {
            Some((line, column)) => write!(out, " (line {line}, column {column})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for TemplateError {}

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
        // Spans are kept anyway; this would only copy sources and values into errors.
        env.set_debug(false);
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
        let template = self.env.template_from_str(text);
        let template = template.map_err(|error| explain(&error, text, text))?;
        Ok(references(template.undeclared_variables(true), text))
    }

    /// Compiles a bare expression, with or without braces around it.
    ///
    /// # Errors
    /// A syntax error.
    pub fn check_expression(&self, text: &str) -> Result<References, TemplateError> {
        let expression = bare(text);
        let compiled = self.env.compile_expression(expression);
        let compiled = compiled.map_err(|error| explain(&error, text, expression))?;
        Ok(references(compiled.undeclared_variables(true), text))
    }

    /// Renders to a native value where the string is one expression, else to text.
    ///
    /// # Errors
    /// An undefined value, a wrong operation, or no fuel left.
    pub(crate) fn render(&self, text: &str, scope: &Scope<'_>) -> Result<Value, TemplateError> {
        if let Some(expression) = whole_expression(text) {
            if let Some(found) = plain::find(expression, scope) {
                return Ok(found.to_value());
            }
            if let Ok(compiled) = self.env.compile_expression(expression) {
                let value = compiled.eval(scope.context(text));
                return defined(value, text, expression);
            }
        }
        self.render_text(text, scope).map(Value::String)
    }

    /// Renders to text; objects and lists become JSON.
    ///
    /// # Errors
    /// As for [`Templates::render`].
    pub(crate) fn render_text(
        &self,
        text: &str,
        scope: &Scope<'_>,
    ) -> Result<String, TemplateError> {
        if !is_template(text) {
            return Ok(text.to_owned());
        }
        if let Some(rendered) = plain::render_text(text, scope, LONGEST_TEXT) {
            return Ok(rendered);
        }
        let rendered = self.env.render_str(text, scope.context(text));
        let rendered = rendered.map_err(|error| explain(&error, text, text))?;
        if rendered.len() > LONGEST_TEXT {
            return Err(TemplateError::new("the rendered text is longer than 8 MiB"));
        }
        Ok(rendered)
    }

    /// Evaluates a bare expression, with or without braces around it.
    ///
    /// # Errors
    /// As for [`Templates::render`]; also when the value is undefined.
    pub(crate) fn evaluate(&self, text: &str, scope: &Scope<'_>) -> Result<Value, TemplateError> {
        let expression = bare(text);
        match plain::find(expression, scope) {
            Some(found) => Ok(found.to_value()),
            None => defined(self.eval(text, scope), text, expression),
        }
    }

    /// Evaluates an expression for its truth; undefined is false.
    ///
    /// # Errors
    /// As for [`Templates::render`].
    pub(crate) fn is_true(&self, text: &str, scope: &Scope<'_>) -> Result<bool, TemplateError> {
        let value = self.eval(text, scope);
        value
            .map(|value| value.is_true())
            .map_err(|error| explain(&error, text, bare(text)))
    }

    fn eval(&self, text: &str, scope: &Scope<'_>) -> Result<Jinja, minijinja::Error> {
        let compiled = self.env.compile_expression(bare(text))?;
        compiled.eval(scope.context(text))
    }

    /// A template that is rendered often.
    pub(crate) fn prepare<'t>(&'t self, text: &'t str, is_expression: bool) -> Prepared<'t> {
        Prepared {
            templates: self,
            text,
            is_expression,
            compiled: OnceCell::new(),
        }
    }

    /// The same engine with less fuel, for expressions that are evaluated once per item.
    pub(crate) fn per_item() -> Self {
        let mut templates = Self::new();
        templates.env.set_fuel(Some(FUEL_PER_ITEM));
        templates
    }

    /// What the full engine alone makes of a text, for comparison.
    #[cfg(test)]
    pub(crate) fn render_in_full(
        &self,
        text: &str,
        scope: &Scope<'_>,
    ) -> Result<Value, TemplateError> {
        if let Some(expression) = whole_expression(text)
            && let Ok(compiled) = self.env.compile_expression(expression)
        {
            return defined(compiled.eval(scope.context(text)), text, expression);
        }
        let rendered = self.env.render_str(text, scope.context(text));
        rendered
            .map(Value::String)
            .map_err(|error| explain(&error, text, text))
    }
}

/// A template that is compiled at most once.
pub(crate) struct Prepared<'t> {
    templates: &'t Templates,
    text: &'t str,
    is_expression: bool,
    compiled: OnceCell<Option<minijinja::Expression<'t, 't>>>,
}

impl Prepared<'_> {
    /// As [`Templates::render`], or for a bare expression [`Templates::evaluate`], of this text.
    pub(crate) fn render(&self, scope: &Scope<'_>) -> Result<Value, TemplateError> {
        match self.compiled(scope) {
            Some(Ok(found)) => Ok(found),
            Some(Err(compiled)) => defined(
                compiled.eval(scope.context(self.text)),
                self.text,
                bare(self.text),
            ),
            None if self.is_expression => self.templates.evaluate(self.text, scope),
            None => self.templates.render(self.text, scope),
        }
    }

    /// As [`Templates::is_true`] of this text.
    pub(crate) fn is_true(&self, scope: &Scope<'_>) -> Result<bool, TemplateError> {
        match self.compiled(scope) {
            Some(Err(compiled)) => compiled
                .eval(scope.context(self.text))
                .map(|value| value.is_true())
                .map_err(|error| explain(&error, self.text, bare(self.text))),
            _ => self.templates.is_true(self.text, scope),
        }
    }

    /// The value of a plain path, or else the compiled expression.
    fn compiled(&self, scope: &Scope<'_>) -> Option<Result<Value, &minijinja::Expression<'_, '_>>> {
        if !self.is_expression && whole_expression(self.text).is_none() {
            return None;
        }
        if let Some(found) = plain::find(bare(self.text), scope) {
            return Some(Ok(found.to_value()));
        }
        let compile = || self.templates.env.compile_expression(bare(self.text)).ok();
        self.compiled.get_or_init(compile).as_ref().map(Err)
    }
}

/// The value of an expression, which must have one.
fn defined(
    value: Result<Jinja, minijinja::Error>,
    text: &str,
    expression: &str,
) -> Result<Value, TemplateError> {
    let value = value.map_err(|error| explain(&error, text, expression))?;
    if value.is_undefined() {
        return Err(TemplateError {
            message: format!("`{expression}` is undefined"),
            place: Some(place(text, expression, 0)),
        });
    }
    to_json(&value)
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
    serde_json::to_value(value)
        .map_err(|error| TemplateError::new(format!("not a JSON value: {error}")))
}

fn as_engine_error(error: TemplateError) -> minijinja::Error {
    minijinja::Error::new(minijinja::ErrorKind::BadSerialization, error.message)
}

/// Words for people: kind, detail and place, without the template's text (it may hold data). `part` is the part of `text`
/// that was compiled.
fn explain(error: &minijinja::Error, text: &str, part: &str) -> TemplateError {
    use minijinja::ErrorKind;
    let message = match error.kind() {
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
    let at = error.range().map(|range| range.start);
    TemplateError {
        message,
        place: at.map(|at| place(text, part, at)),
    }
}

/// Line and column in `text`, both from 1, of the byte `at` of `part`, which is a part of it.
fn place(text: &str, part: &str, at: usize) -> (usize, usize) {
    let offset = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize) + at;
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line..].chars().count() + 1,
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn all() -> Value {
        json!({
            "inputs": {"n": 2, "name": "Ada", "tags": ["a", "b"], "none": null},
            "nodes": {"ask-1": {"output": {"text": "hi"}}},
        })
    }

    fn check(text: &str, expected: Value) {
        assert_eq!(
            Templates::new()
                .render(text, &Scope::of(&all()))
                .expect(text),
            expected,
            "{text}"
        );
    }

    fn refuse(text: &str, words: &str) {
        let error = Templates::new().render(text, &Scope::of(&all()));
        let error = error.expect_err(text).to_string();
        assert!(error.contains(words), "{text}: {error}");
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
    fn errors_name_line_and_column() {
        refuse("{{ inputs.nope }}", "(line 1, column 4)");
        refuse("  {{ 1 + inputs.name }}", "(line 1, column 6)");
        refuse("é\n é {{ inputs.nope.x }}", "(line 2, column 13)");
        let error = Templates::new().check_expression("inputs.n +* 2");
        assert_eq!(error.expect_err("bad").place, Some((1, 11)));
    }

    #[test]
    fn syntax_errors_name_the_line() {
        let error = Templates::new().check("a\n{{ inputs. }}").expect_err("bad");
        assert!(
            error.message.contains("syntax error") && error.place.is_some_and(|at| at.0 == 2),
            "{error}"
        );
    }
}
