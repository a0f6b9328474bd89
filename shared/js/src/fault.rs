//! Why a job failed, in terms of the user's own source: name, message, line and column; nothing of the interpreter's.

use boa_engine::ast::scope::Scope;
use boa_engine::ast::{self, Expression, Statement, StatementListItem};
use boa_engine::builtins::error::Error;
use boa_engine::error::{EngineError, RuntimeLimitError};
use boa_engine::parser::{Error as ParseError, Parser, lexer};
use boa_engine::{Context, JsError, JsNativeErrorKind, JsString, JsValue, Source, js_string};
use serde::{Deserialize, Serialize};

use crate::convert::{Converter, Stop};
use crate::globals::cut;
use crate::{Job, Limits, MOST_CALLS, PATH, host};

/// Most bytes of a message.
const LONGEST: usize = 2_000;

/// What kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The source is no JavaScript.
    Syntax,
    /// The code threw.
    Thrown,
    /// A bound was reached.
    Limit,
    /// The interpreter is at fault.
    Internal,
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Failure {
    /// What kind of failure.
    pub kind: Kind,
    /// `TypeError` and the like; none for a bound, and for a thrown value that is no error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For people.
    pub message: String,
    /// Line of the source, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column of that line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

impl Failure {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            name: None,
            message: cut(message.into(), LONGEST),
            line: None,
            column: None,
        }
    }

    /// A bound was reached.
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(Kind::Limit, message)
    }

    /// The interpreter gave up in the middle of something.
    pub fn gave_up() -> Self {
        Self::limit("the code was stopped: the interpreter cannot go on with it for so many steps")
    }

    /// The interpreter could not even begin.
    pub(crate) fn internal(_: &JsError) -> Self {
        Self::new(Kind::Internal, "the interpreter failed")
    }

    fn at(self, position: Option<(u32, u32)>) -> Self {
        let (line, column) = position.unzip();
        Self {
            line,
            column,
            ..self
        }
    }

    /// The source is a body by itself and none as a part of its function: names that are declared twice and the like.
    pub(crate) fn of_script(error: &JsError) -> Self {
        let text = error.as_native().map_or("", |error| error.message());
        let (words, place) = text.split_once(" at line ").unwrap_or((text, ""));
        let mut numbers = place.split(|c: char| !c.is_ascii_digit());
        let mut next = || numbers.find_map(|number| number.parse::<u32>().ok());
        let line = next().and_then(|line| line.checked_sub(1));
        Self::syntax(words).at(line.zip(next()))
    }

    fn syntax(message: impl Into<String>) -> Self {
        Self {
            name: Some(JsNativeErrorKind::Syntax.to_string()),
            ..Self::new(Kind::Syntax, message)
        }
    }

    /// What ended the code.
    pub(crate) fn of(error: JsError, job: &Job, context: &mut Context) -> Self {
        let position = position(&error, &job.source);
        if context.instructions_remaining() == 0 {
            let steps = job.limits.within(Limits::default()).steps;
            let message = format!("the code was stopped: it takes more than {steps} steps");
            return Self::limit(message).at(position);
        }
        if let Some(engine) = error.as_engine() {
            return match engine {
                EngineError::RuntimeLimit(
                    RuntimeLimitError::Recursion | RuntimeLimitError::StackSize,
                ) => {
                    let message = format!(
                        "the code was stopped: functions call each other more than {MOST_CALLS} levels deep"
                    );
                    Self::limit(message).at(position)
                }
                EngineError::RuntimeLimit(_) | EngineError::NoInstructionsRemain => {
                    Self::limit("the code was stopped: it takes too many steps").at(position)
                }
                EngineError::Panic(_) => {
                    Self::new(Kind::Internal, "the interpreter failed").at(position)
                }
            };
        }
        let (name, message) = words(error, context);
        if context.instructions_remaining() == 0 {
            return Self::of(host::out_of_steps(), job, context);
        }
        // The interpreter does not say where a name is that it does not know.
        let unknown = message.strip_suffix(" is not defined");
        let position = position.or_else(|| place_of(unknown?, &job.source));
        Self {
            name,
            ..Self::new(Kind::Thrown, message).at(position)
        }
    }

    /// Why what the code returned cannot be written.
    pub(crate) fn of_stop(stop: Stop, job: &Job, context: &mut Context) -> Self {
        match stop {
            Stop::Thrown(error) => Self::of(error, job, context),
            Stop::Large(most) => Self::limit(format!(
                "the code was stopped: its result is larger than {most} bytes"
            )),
            Stop::Deep(most) => Self::limit(format!(
                "the result is nested more than {most} levels deep, or holds itself"
            )),
        }
    }
}

/// Name and message of what was thrown. To ask an error for them may run more of the code.
fn words(error: JsError, context: &mut Context) -> (Option<String>, String) {
    let Ok(thrown) = error.into_opaque(context) else {
        return (None, "the code failed".to_owned());
    };
    if let Some(object) = thrown.as_object().filter(|object| object.is::<Error>()) {
        let mut text = |name: JsString| -> Option<String> {
            let value = object.get(name, context).ok()?;
            Some(value.to_string(context).ok()?.to_std_string_lossy())
        };
        let name = text(js_string!("name")).map(|name| cut(name, 100));
        let message = text(js_string!("message")).unwrap_or_default();
        return (name, message);
    }
    (None, format!("the code threw {}", shown(&thrown, context)))
}

fn shown(value: &JsValue, context: &mut Context) -> String {
    let json = Converter::new(context)
        .map_err(Stop::from)
        .and_then(|converter| converter.result(value, LONGEST, context));
    json.map_or_else(|_| value.display().to_string(), |json| json.to_string())
}

/// The innermost place in the user's source, from the interpreter's trace: lines such as `    at f (code:3:5)`.
fn position(error: &JsError, source: &str) -> Option<(u32, u32)> {
    let text = error.to_string();
    let lines = u32::try_from(source.lines().count()).unwrap_or(u32::MAX);
    let places = text.lines().rev().take_while(|line| {
        let line = line.trim_start();
        line.starts_with("at ") && line.ends_with(')')
    });
    let places: Vec<&str> = places.collect();
    places.into_iter().rev().find_map(|line| {
        let (_, place) = line.rsplit_once('(')?;
        let place = place.trim_end_matches(')').strip_prefix(PATH)?;
        let (line, column) = place.strip_prefix(':')?.split_once(':')?;
        // The first line is ours, and what stands behind the source.
        let line = line.parse::<u32>().ok()?.checked_sub(1)?;
        (1..=lines)
            .contains(&line)
            .then_some((line, column.parse().ok()?))
    })
}

/// Where a name stands that the source has once.
fn place_of(name: &str, source: &str) -> Option<(u32, u32)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let whole = |at: &usize| {
        !source[..*at].ends_with(is_word) && !source[at + name.len()..].starts_with(is_word)
    };
    let mut found = source.match_indices(name).map(|(at, _)| at).filter(whole);
    let at = found
        .next()
        .filter(|_| !name.is_empty() && found.next().is_none())?;
    let before = &source[..at];
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    Some((u32::try_from(line).ok()?, u32::try_from(column).ok()?))
}

/// Whether the source is the body of an async function, all by itself, and stays in the function that is put around it.
pub(crate) fn check_syntax(
    source: &str,
    wrapped: &str,
    context: &mut Context,
) -> Result<(), Failure> {
    let mut parser = Parser::new(Source::from_bytes(source));
    let parsed = parser.parse_function_body(context.interner_mut(), false, true);
    if let Err(error) = parsed {
        let (message, position) = of_parser(&error);
        return Err(Failure::syntax(message).at(position));
    }
    // That parser is content with the beginning of a text.
    let mut parser = Parser::new(Source::from_bytes(wrapped));
    let script = parser.parse_script(&Scope::new_global(), context.interner_mut());
    match script {
        Ok(script) if is_one_call(&script) => Ok(()),
        Ok(_) => Err(Failure::syntax("a bracket is closed that was not opened")),
        Err(error) => {
            let (message, position) = of_parser(&error);
            let lines = u32::try_from(source.lines().count()).unwrap_or(u32::MAX);
            let position = position.map(|(line, column)| (line.saturating_sub(1), column));
            Err(Failure::syntax(message)
                .at(position.filter(|place| (1..=lines).contains(&place.0))))
        }
    }
}

/// Whether a script is the call of one async function and nothing else.
fn is_one_call(script: &ast::Script) -> bool {
    let [StatementListItem::Statement(statement)] = script.statements().statements() else {
        return false;
    };
    let Statement::Expression(Expression::Call(call)) = &**statement else {
        return false;
    };
    let mut callee = call.function();
    while let Expression::Parenthesized(inner) = callee {
        callee = inner.expression();
    }
    matches!(callee, Expression::AsyncFunctionExpression(_)) && call.args().is_empty()
}

fn of_parser(error: &ParseError) -> (String, Option<(u32, u32)>) {
    let position = match error {
        ParseError::Expected { span, .. } | ParseError::Unexpected { span, .. } => {
            Some(span.start())
        }
        ParseError::General { position, .. } => Some(*position),
        ParseError::Lex { err } => match err {
            lexer::Error::Syntax(_, position) => Some(*position),
            lexer::Error::IO(_) => None,
        },
        _ => None,
    };
    let text = error.to_string();
    // The position is said apart.
    let words = text.split(" at line ").next().unwrap_or(&text).to_owned();
    let position = position.map(|position| (position.line_number(), position.column_number()));
    (words, position)
}
