//! What code sees, returns and writes, and how it fails.

mod support;

use nodeai_js::Kind;
use serde_json::{Value, json};
use support::{fails, job, returns, run};

#[test]
fn values_go_in_and_come_out() {
    assert_eq!(
        returns("return input.list.map(x => x * input.n)"),
        json!([2, 4, 6])
    );
    assert_eq!(
        returns("input.list.push(4); return input"),
        json!({"n": 2, "list": [1, 2, 3, 4]})
    );
    assert_eq!(
        returns("const { n, ...rest } = input; return { rest, n: n ?? 0 }"),
        json!({"rest": {"list": [1, 2, 3]}, "n": 2})
    );
    assert_eq!(returns("let input = 5; return input"), json!(5));
    assert_eq!(returns(""), Value::Null);
    assert_eq!(returns("// nothing\nreturn"), Value::Null);
}

#[test]
fn what_is_awaited_is_waited_for() {
    assert_eq!(
        returns("const a = await Promise.all([1, Promise.resolve(2)]); return a"),
        json!([1, 2])
    );
    assert_eq!(
        returns("return Promise.resolve().then(() => ({ late: true }))"),
        json!({"late": true})
    );
    assert_eq!(
        returns(
            "const out = []; for await (const x of (async function* () { yield 1; yield 2 })()) out.push(x); return out"
        ),
        json!([1, 2])
    );
    let failure = fails("await new Promise(() => {})");
    assert_eq!(failure.kind, Kind::Thrown);
    assert!(failure.message.contains("never comes"), "{failure:?}");
}

#[test]
fn results_are_json_as_stringify_has_it() {
    let source = "return { date: new Date(0), none: undefined, not: NaN, list: [undefined, () => 1], big: 2 ** 53, \
                  minus: -0, half: 0.5, boxed: [new Number(1), new String('x'), new Boolean(false)], map: new Map([[1, 2]]), \
                  symbol: Symbol('s'), own: { toJSON(key) { return 'as ' + key } }, text: 'é\\u0000😀' }";
    assert_eq!(
        returns(source),
        json!({"date": "1970-01-01T00:00:00.000Z", "not": null, "list": [null, null], "big": 9_007_199_254_740_992_i64,
            "minus": 0, "half": 0.5, "boxed": [1, "x", false], "map": {}, "own": "as own", "text": "é\u{0}😀"})
    );
    assert_eq!(
        returns("return JSON.parse('{\"__proto__\": {\"a\": 1}}')"),
        json!({"__proto__": {"a": 1}})
    );
    assert_eq!(
        returns("Object.keys = JSON.stringify = () => { throw 1 }; return { a: 1 }"),
        json!({"a": 1})
    );
    let failure = fails("return 10n");
    assert_eq!(
        (failure.kind, failure.name.as_deref()),
        (Kind::Thrown, Some("TypeError"))
    );
}

#[test]
fn the_console_keeps_lines() {
    let source = "console.log('a', 1, { b: [true] }, undefined); console.warn(new TypeError('odd')); console.error('c'); \
                  console.debug('d'); console.info('e')";
    let ended = run(job(source, json!({})));
    let lines: Vec<_> = ended
        .logs
        .iter()
        .map(|line| (line.level.as_str(), line.text.as_str()))
        .collect();
    assert_eq!(
        lines,
        [
            ("info", "a 1 {\"b\":[true]} undefined"),
            ("warn", "TypeError: odd"),
            ("error", "c"),
            ("debug", "d"),
            ("info", "e")
        ]
    );
    // What was written before a failure is kept.
    let ended = run(job("console.log('before'); null.x", json!({})));
    assert_eq!(ended.logs.len(), 1);
}

#[test]
fn the_console_is_bounded() {
    let ended = run(job(
        "for (let i = 0; i < 1000; i++) console.log('line ' + i)",
        json!({}),
    ));
    assert_eq!(ended.logs.len(), 101);
    assert_eq!(
        ended.logs[100].text,
        "… and 900 more lines, which were not kept"
    );
    let ended = run(job(
        "for (let i = 0; i < 50; i++) console.log('é'.repeat(100000))",
        json!({}),
    ));
    let bytes: usize = ended.logs.iter().map(|line| line.text.len()).sum();
    assert!(bytes < 20_000, "{bytes}");
}

#[test]
fn time_stands_still_and_chance_is_seeded() {
    let source = "const a = Date.now(); for (let i = 0; i < 10000; i++); \
                  return [a, Date.now() - a, new Date().toISOString(), new Date(2024, 0, 1).getTimezoneOffset(), Math.random(), Math.random()]";
    let first = returns(source);
    assert_eq!(first, returns(source));
    assert_eq!(first[0], json!(1_700_000_000_123_i64));
    assert_eq!((&first[1], &first[3]), (&json!(0), &json!(0)));
    assert_eq!(first[2], "2023-11-14T22:13:20.123Z");
    assert_ne!(first[4], first[5]);
    let mut other = job(source, json!({}));
    other.seed = "another seed".to_owned();
    let other = run(other).result.expect("values");
    assert_ne!(first[4], other[4]);
    let mean = returns(
        "let sum = 0; for (let i = 0; i < 20000; i++) sum += Math.random(); return sum / 20000",
    );
    assert!(
        mean.as_f64().is_some_and(|mean| (mean - 0.5).abs() < 0.02),
        "{mean}"
    );
}

#[test]
fn nothing_of_a_host_is_there() {
    for name in [
        "fetch",
        "XMLHttpRequest",
        "WebSocket",
        "require",
        "process",
        "Deno",
        "Bun",
        "setTimeout",
        "setInterval",
        "importScripts",
        "WebAssembly",
        "Worker",
        "SharedArrayBuffer",
        "Atomics",
        "navigator",
        "window",
        "secrets",
        "crypto",
    ] {
        assert_eq!(
            returns(&format!("return typeof {name}")),
            "undefined",
            "{name}"
        );
    }
    let failure = fails("const reply = await fetch('http://example.com/')");
    assert_eq!(
        (failure.name.as_deref(), failure.line),
        (Some("ReferenceError"), Some(1))
    );
    for source in [
        "return eval('1')",
        "return (0, eval)('1')",
        "return new Function('return 1')()",
        "return (async () => {}).constructor('return 1')()",
        "return (function* () {}).constructor('yield 1')()",
    ] {
        assert_eq!(fails(source).name.as_deref(), Some("EvalError"), "{source}");
    }
    for path in [
        "/etc/passwd",
        "./Cargo.toml",
        "node:fs",
        "http://example.com/x.js",
    ] {
        let failure = fails(&format!(
            "const it = await import('{path}'); return Object.keys(it)"
        ));
        assert_eq!(failure.kind, Kind::Thrown, "{path}: {failure:?}");
    }
}

#[test]
fn nothing_is_left_for_the_next_run() {
    let first = "Object.prototype.polluted = 1; Array.prototype.map = () => 'mine'; globalThis.left = 1; \
                 Promise.prototype.then = null; JSON.parse = null; console.log = null; Math.random = () => 4; return 1";
    let thread = std::thread::Builder::new().stack_size(512 << 20);
    let both = thread.spawn(move || {
        let first = nodeai_js::run(&job(first, json!({})));
        let second = "return [({}).polluted, [1].map(x => x + 1), typeof left, Math.random() < 1, typeof JSON.parse]";
        (first.result, nodeai_js::run(&job(second, json!({}))).result)
    });
    let (first, second) = both.expect("a thread").join().expect("no panic");
    // An async function does not need what it has broken.
    assert_eq!(first, Ok(json!(1)));
    assert_eq!(
        second,
        Ok(json!([null, [2], "undefined", true, "function"]))
    );
}

#[test]
fn errors_say_where_in_the_users_own_source() {
    let failure = fails("const a = 1;\n\n   a.b.c = 2;");
    assert_eq!(
        (failure.kind, failure.name.as_deref(), failure.line),
        (Kind::Thrown, Some("TypeError"), Some(3))
    );
    let failure = fails(
        "function deep() {\n  throw new RangeError('mine');\n}\nconst x = 1;\n[1].forEach(() => deep());",
    );
    assert_eq!(
        (
            failure.name.as_deref(),
            failure.message.as_str(),
            failure.line
        ),
        (Some("RangeError"), "mine", Some(2))
    );
    let failure = fails("const a = 1;\n  missing.b();");
    assert_eq!(
        (failure.message.as_str(), failure.line, failure.column),
        ("missing is not defined", Some(2), Some(3))
    );
    let failure =
        fails("await Promise.resolve();\nconst x = await Promise.reject(new Error('later'));");
    assert_eq!((failure.message.as_str(), failure.line), ("later", Some(2)));
    let failure = fails("throw { code: 7 }");
    assert_eq!(
        (failure.name.as_deref(), failure.message.as_str()),
        (None, "the code threw {\"code\":7}")
    );
    assert_eq!(fails("throw 'text'").message, "the code threw \"text\"");
    assert_eq!(fails("throw undefined").kind, Kind::Thrown);
    class_errors();
}

fn class_errors() {
    let failure = fails(
        "class Mine extends Error { constructor(m) { super(m); this.name = 'Mine' } }\nthrow new Mine('it')",
    );
    assert_eq!(
        (failure.name.as_deref(), failure.message.as_str()),
        (Some("Mine"), "it")
    );
    // An error whose own words fail is still one.
    let failure = fails(
        "const e = new Error('x'); Object.defineProperty(e, 'message', { get() { throw 1 } }); throw e",
    );
    assert_eq!((failure.kind, failure.message.as_str()), (Kind::Thrown, ""));
}

#[test]
fn syntax_errors_say_where_and_a_body_stays_in_its_function() {
    let failure = fails("const a = 1;\nconst b = ;\n");
    assert_eq!(
        (failure.kind, failure.name.as_deref()),
        (Kind::Syntax, Some("SyntaxError"))
    );
    assert_eq!((failure.line, failure.column), (Some(2), Some(11)));
    for source in [
        "})(); (async function () {",
        "}, 1), (async function () {",
        "})()\n(async function () {",
        "}) || (async function () {",
        "}, async function () {",
        "}, async () => {",
        "}",
        "return 1 }",
        "`open",
        "import x from 'y'",
        "export default 1",
        "yield 1",
        "await = 1",
        "/[/",
        "\u{0}",
    ] {
        let failure = fails(source);
        assert_eq!(failure.kind, Kind::Syntax, "{source}: {failure:?}");
    }
    assert!(!format!("{:?}", fails("const b = ;")).contains(".rs"));
}
