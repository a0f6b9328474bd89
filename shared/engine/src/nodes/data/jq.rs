//! `jq`: a jq program over a value, by jaq. No clock, environment, input or output of its own; bounded in work, depth and size.

mod bounds;
mod guard;

use std::sync::OnceLock;

use jaq_core::load::parse::Def;
use jaq_core::load::{Arena, Error as LoadError, File, Loader};
use jaq_core::{Compiler, Ctx, Vars};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::bounds::{Bounds, World};
use super::{done, entry, given};
use crate::fault::Faults;
use crate::log::NodeError;
use crate::nodes::{Call, Effect, Spec, port};

/// Most bytes of a program.
const LONGEST: usize = 8 * 1024;
/// Most brackets within brackets, and most tokens, of a program: the parser recurses.
const DEEPEST: usize = 32;
const MOST_TOKENS: usize = 1_500;
/// Most values that a program gives.
const MOST_OUTPUTS: usize = 10_000;

pub(super) fn spec() -> Spec {
    entry(
        "jq",
        "jq",
        "Runs a jq program over a value. There are no clock, environment and files in it; work, depth and size are bounded.",
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["program"],
            "properties": {
                "program": {"type": "string", "minLength": 1, "maxLength": LONGEST, "x-nodeai": "literal",
                    "description": "The program, such as .people | map(select(.age > 18) | .name)"},
                "input": {"description": "What . is; without it what comes in over the edge"},
                "args": {"type": "object", "additionalProperties": {}, "description": "Values that the program sees as $name"},
                "results": {"type": "string", "enum": ["auto", "first", "all"], "default": "auto", "x-nodeai": "literal",
                    "description": "auto: the one result, null for none, a list for several; first: the first; all: always a list"},
            },
        }),
        port("output", "The result", json!({})),
        json!({"input": "{{ inputs.people }}", "program": "map(select(.age >= $least) | {name, age})", "args": {"least": 18}}),
    )
}

#[derive(Deserialize)]
struct Config {
    program: String,
    #[serde(default, deserialize_with = "given")]
    input: Option<Value>,
    #[serde(default)]
    args: Map<String, Value>,
    results: Option<String>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let input = call.value_or_incoming("input", config.input)?;
    let first_only = config.results.as_deref() == Some("first");
    let mut results = run(&config.program, &input, &config.args, first_only)?;
    Ok(done(match (config.results.as_deref(), results.len()) {
        (Some("all"), _) => Value::Array(results),
        (_, 0 | 1) => results.pop().unwrap_or_default(),
        _ => Value::Array(results),
    }))
}

/// Programs are literals: they are compiled when a workflow is saved.
pub(super) fn check(data: &Map<String, Value>, at: &str, faults: &mut Faults) {
    let Some(program) = data.get("program").and_then(Value::as_str) else {
        return;
    };
    let args = data
        .get("args")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    if let Err(message) = with_filter(program, &args, |_| ()) {
        faults.add(format!("{at}/program"), "bad_program", message);
    }
}

fn run(
    program: &str,
    input: &Value,
    args: &Map<String, Value>,
    first_only: bool,
) -> Result<Vec<Value>, NodeError> {
    let ran = with_filter(program, args, |filter| {
        let world = World::new(&filter.lut);
        let vars = args.values().map(bounds::to_val);
        let ctx = Ctx::<Bounds>::new(&world, Vars::new(vars));
        let mut results = Vec::new();
        for result in filter.id.run((ctx, bounds::to_val(input))) {
            let value = result.map_err(|stop| match stop.get_err() {
                Ok(error) => failed(&bounds::words_of(error)),
                Err(_) => failed("a break without its label"),
            })?;
            results.push(bounds::to_json(&value, &world).map_err(|message| failed(&message))?);
            if first_only {
                break;
            }
            if results.len() > MOST_OUTPUTS {
                return Err(failed(&format!(
                    "more than {MOST_OUTPUTS} results; gather them with [ … ]"
                )));
            }
        }
        Ok(results)
    });
    ran.map_err(|message| NodeError::config(format!("/program: {message}")))?
}

fn failed(message: &str) -> NodeError {
    let message: String = message.chars().take(500).collect();
    NodeError::new("jq", format!("/program: {message}"), false)
}

type Filter = jaq_core::compile::Filter<jaq_core::Native<Bounds>>;

/// Compiles a program and does something with it. It becomes a definition of the guarded prelude, with its arguments as
/// parameters, and the main program only calls that.
fn with_filter<T>(
    program: &str,
    args: &Map<String, Value>,
    then: impl FnOnce(&Filter) -> T,
) -> Result<T, String> {
    check_size(program)?;
    let params: Vec<String> = args.keys().map(|name| format!("${name}")).collect();
    if let Some(bad) = args.keys().find(|name| !is_name(name)) {
        return Err(format!(
            "the argument {bad:?} has no name that a program can use"
        ));
    }
    let term =
        jaq_core::load::parse(program, |parser| parser.term()).ok_or_else(|| fault_in(program))?;
    let args: Vec<&str> = params.iter().map(String::as_str).collect();
    let main = Def {
        name: "__main",
        args: args.clone(),
        body: guard::term(term),
    };
    let call = match args.is_empty() {
        true => "__main".to_owned(),
        false => format!("__main({})", args.join("; ")),
    };
    let arena = Arena::default();
    let loader = Loader::new(prelude().iter().cloned().chain([main]));
    let modules = loader.load(
        &arena,
        File {
            code: call.as_str(),
            path: (),
        },
    );
    let modules = modules.map_err(|_| "cannot be loaded".to_owned())?;
    let compiler = Compiler::default()
        .with_funs(bounds::funs())
        .with_global_vars(args.iter().copied());
    let filter = compiler.compile(modules).map_err(|errors| {
        let undefined = errors.into_iter().flat_map(|(_, errors)| errors);
        let undefined =
            undefined.map(|(name, kind)| format!("the {} {name} is not defined", kind.as_str()));
        undefined.collect::<Vec<_>>().join("; ")
    })?;
    Ok(then(&filter))
}

/// The standard definitions, guarded; without those that would talk to the outside.
fn prelude() -> &'static [Def<&'static str>] {
    static PRELUDE: OnceLock<Vec<Def<&'static str>>> = OnceLock::new();
    PRELUDE.get_or_init(|| {
        let outside = ["stderr", "debug", "halt", "halt_error"];
        let own = jaq_core::load::parse(include_str!("jq/own.jq"), |parser| parser.defs());
        let all = jaq_core::defs()
            .chain(jaq_std::defs())
            .chain(jaq_json::defs());
        let kept = all
            .filter(|def| !outside.contains(&def.name))
            .map(guard::def);
        own.into_iter().flatten().chain(kept).collect()
    })
}

/// Where and why a program cannot be read.
fn fault_in(program: &str) -> String {
    let arena = Arena::default();
    let loaded = Loader::new([]).load(
        &arena,
        File {
            code: program,
            path: (),
        },
    );
    let Err(errors) = loaded else {
        return "modules cannot be used here".to_owned();
    };
    let found = errors.into_iter().find_map(|(_, error)| match error {
        LoadError::Lex(faults) => faults
            .into_iter()
            .next()
            .map(|(wanted, at)| (wanted.as_str(), at)),
        LoadError::Parse(faults) => faults
            .into_iter()
            .next()
            .map(|(wanted, at)| (wanted.as_str(), at)),
        LoadError::Io(_) => None,
    });
    let Some((wanted, at)) = found else {
        return "modules cannot be used here".to_owned();
    };
    let offset = (at.as_ptr() as usize).saturating_sub(program.as_ptr() as usize);
    let before = program.get(..offset.min(program.len())).unwrap_or(program);
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    format!(
        "expected {wanted} (line {}, column {column})",
        before.matches('\n').count() + 1
    )
}

fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.chars().all(is_part) && text.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// Refuses programs that the parser could not take.
fn check_size(program: &str) -> Result<(), String> {
    if program.len() > LONGEST {
        return Err(format!("longer than {LONGEST} bytes"));
    }
    if program.contains("__") {
        return Err("two underscores cannot stand together".to_owned());
    }
    let (mut depth, mut deepest, mut tokens, mut in_word) = (0usize, 0, 0usize, false);
    for c in program.chars() {
        let is_word = c.is_alphanumeric() || matches!(c, '_' | ' ' | '\n' | '"');
        tokens += usize::from(!is_word || !in_word);
        in_word = is_word && c != ' ' && c != '\n';
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    if deepest > DEEPEST || tokens > MOST_TOKENS {
        return Err("too large; use several nodes".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check as gives, refuse};
    use super::*;

    fn jq(program: &str, input: Value, expected: Value) {
        gives("jq", json!({"program": program}), input, expected);
    }

    fn stops(program: &str, words: &str) {
        refuse("jq", json!({"program": program}), json!(null), words);
    }

    /// Programs and results from the jq 1.7 manual.
    #[test]
    fn programs_of_the_manual_give_its_results() {
        jq(".foo", json!({"foo": 42}), json!(42));
        jq(".[] | .a?", json!([{"a": 1}, {"a": 2}]), json!([1, 2]));
        jq(
            "{user, title: .titles[]}",
            json!({"user": "stedolan", "titles": ["JQ Primer", "More JQ"]}),
            json!([{"user": "stedolan", "title": "JQ Primer"}, {"user": "stedolan", "title": "More JQ"}]),
        );
        jq("map(.+1)", json!([1, 2, 3]), json!([2, 3, 4]));
        jq(
            "to_entries",
            json!({"a": 1, "b": 2}),
            json!([{"key": "a", "value": 1}, {"key": "b", "value": 2}]),
        );
        jq(
            "with_entries(.key |= \"KEY_\" + .)",
            json!({"a": 1}),
            json!({"KEY_a": 1}),
        );
        jq(
            "group_by(.foo)",
            json!([{"foo": 1, "bar": 10}, {"foo": 3}, {"foo": 1, "bar": 1}]),
            json!([[{"foo": 1, "bar": 10}, {"foo": 1, "bar": 1}], [{"foo": 3}]]),
        );
        jq(
            "reduce .[] as $item (0; . + $item)",
            json!([10, 2, 5, 3]),
            json!(20),
        );
        jq(
            "[.[] | tostring]",
            json!([1, "1", [1]]),
            json!(["1", "1", "[1]"]),
        );
        jq(
            "(.posts, .comments) |= sort",
            json!({"posts": [2, 1], "comments": [3, 1]}),
            json!({"posts": [1, 2], "comments": [1, 3]}),
        );
        jq(
            "[recurse(if . < 3 then .+1 else empty end)]",
            json!(0),
            json!([0, 1, 2, 3]),
        );
        jq("[limit(3; repeat(1))]", json!(null), json!([1, 1, 1]));
        jq("[(1, 2) + (10, 20)]", json!(null), json!([11, 12, 21, 22]));
        jq(".a += 1", json!({"a": 1}), json!({"a": 2}));
        jq("[paths]", json!([1, [2]]), json!([[0], [1], [1, 0]]));
        jq(
            "walk(if type == \"object\" then del(.x) else . end)",
            json!({"x": 1, "y": {"x": 2}}),
            json!({"y": {}}),
        );
        jq("\"a,b\" | split(\",\")", json!(null), json!(["a", "b"]));
        jq("test(\"^a+$\")", json!("aa"), json!(true));
        jq(
            "[.[] | gsub(\"(?<d>[0-9])\"; \"<\\(.d)>\")]",
            json!(["a1b2"]),
            json!(["a<1>b<2>"]),
        );
        jq(
            "@base64",
            json!("This is a message"),
            json!("VGhpcyBpcyBhIG1lc3NhZ2U="),
        );
        jq("fromjson | .a", json!("{\"a\": [1]}"), json!([1]));
        jq("todate", json!(1425599621), json!("2015-03-05T23:53:41Z"));
        jq(". - [2]", json!([1, 2, 3]), json!([1, 3]));
        jq(
            "index(\", \"), contains(\"b\")",
            json!("a, b"),
            json!([1, true]),
        );
        jq(
            "def fac: if . <= 1 then 1 else . * (. - 1 | fac) end; fac",
            json!(5),
            json!(120),
        );
        jq("..|numbers", json!([[1], {"a": 2}]), json!([1, 2]));
        jq("limit(0; 1)", json!(null), json!(null));
    }

    #[test]
    fn arguments_and_results() {
        let data = json!({"program": "$a + $b", "args": {"a": 1, "b": 2}, "results": "all"});
        gives("jq", data, json!(null), json!([3]));
        gives(
            "jq",
            json!({"program": "1, error(\"never\")", "results": "first"}),
            json!(null),
            json!(1),
        );
        gives("jq", json!({"program": "empty"}), json!(null), json!(null));
    }

    #[test]
    fn nothing_hangs_or_blows_up() {
        for program in [
            "def f: f; f",
            "[repeat(1)]",
            "last(range(infinite))",
            "[range(1e9)] | length",
            "until(false; .)",
            "last(recurse(.))",
            "reduce range(99999999) as $i (0; .)",
            "def f: try f catch f; f",
            "[limit(999999999; repeat(0))]",
            "[range(40000)] | . - .",
            "[range(30000)] | contains(.)",
            "last([range(9999)] | combinations(9))",
        ] {
            stops(program, "does too much work");
        }
        for program in [
            "reduce range(60) as $i (\"x\"; . + .)",
            "reduce range(60) as $i ([0]; . + .)",
            "reduce range(60) as $i (1; [., .])",
            "reduce range(60) as $i (1; {a: ., b: .})",
            "\"x\" * 1000000000",
            "reduce range(60) as $i (\"x\"; \"\\(.)\\(.)\")",
            "reduce range(40) as $i (9; . * .)",
            "reduce range(60) as $i ({}; .a |= [., .])",
            "{} | .a[1000000000] = 1",
        ] {
            let error = super::super::testing::run("jq", json!({"program": program}), json!(null))
                .expect_err(program);
            assert_eq!(error.kind, "jq", "{program}: {error}");
        }
        stops("reduce range(5000) as $i (.; [.])", "too deep");
        stops("def f: 1 + f; f", "too deep");
        stops("def f: [f]; f", "too deep");
        let nested = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
        refuse(
            "jq",
            json!({"program": "fromjson"}),
            json!(nested),
            "fromjson",
        );
    }

    #[test]
    fn there_is_no_outside() {
        for program in [
            "env",
            "$ENV",
            "now",
            "input",
            "halt",
            "debug",
            "localtime",
            "$__loc",
            "__cost",
            "include \"x\"; .",
        ] {
            let error = super::super::testing::run("jq", json!({"program": program}), json!(null))
                .expect_err(program);
            assert_eq!(error.kind, "config", "{program}: {error}");
        }
    }

    #[test]
    fn faults_say_where() {
        stops(".a |\n  map(", "line 2");
        stops("nope(1)", "the filter nope is not defined");
        stops("error(\"mine\")", "/program: mine");
        stops("1 + {}", "/program: cannot calculate");
        stops(&"(".repeat(40), "too large");
    }
}
