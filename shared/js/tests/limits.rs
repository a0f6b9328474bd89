//! Whatever code does to have no end, or no bounds, is stopped, and it cannot help it.

mod support;

use nodeai_js::{Kind, Limits};
use serde_json::{Value, json};
use support::{fails, job, returns, run, stopped};

#[test]
fn what_has_no_end_is_stopped() {
    for source in [
        "while (true) {}",
        "for (;;);",
        "let i = 0; do { i++ } while (i >= 0)",
        "while (true) await null",
        "while (true) await new Promise(done => done())",
        "const again = () => Promise.resolve().then(again); await again()",
        "for (const x of (function* () { while (true) yield 1 })());",
        "for await (const x of (async function* () { while (true) yield 1 })());",
        "[1, 2, 3].sort(() => { while (true); })",
        "'aaa'.replace(/a/g, () => { while (true); })",
        "JSON.parse('[1]', function () { while (true); })",
        "const o = { get x() { while (true); } }; return o",
        "return new Proxy({}, { ownKeys() { while (true); } })",
        "return new Proxy({}, { get() { while (true); } })",
        "return { toJSON() { while (true); } }",
        "return { then(done) { done(this) } }",
        "const a = { toString() { while (true); } }; return `${a}`",
        "console.log({ toJSON() { while (true); } })",
        "throw { get message() { while (true); }, toJSON() { while (true); } }",
        "const e = new Error(); Object.defineProperty(e, 'message', { get() { while (true); } }); throw e",
    ] {
        let message = stopped(source);
        assert!(message.contains("steps"), "{source}: {message}");
    }
}

#[test]
fn code_cannot_keep_itself_from_being_stopped() {
    for source in [
        "try { while (true); } catch { return 'caught' }",
        "try { while (true); } finally { return 'finally' }",
        "while (true) { try { while (true); } catch {} }",
        "return await (async () => { while (true); })().catch(() => 'caught')",
        "return Promise.race([new Promise(() => { while (true); }), 1])",
        "const f = () => { try { f() } catch { return 'caught' } }; return f()",
    ] {
        stopped(source);
    }
}

#[test]
fn calls_of_calls_are_bounded() {
    for source in [
        "const f = () => f(); f()",
        "const f = () => g(), g = () => f(); f()",
        "const f = () => [1].map(f); f()",
        "const f = () => 'a'.replace('a', f); f()",
        "const o = { get x() { return this.x } }; return o.x",
        "const p = new Proxy({}, { get(target, name, me) { return me[name] } }); return p.x",
        "class A { constructor() { new A() } } new A()",
    ] {
        let message = stopped(source);
        assert!(message.contains("levels deep"), "{source}: {message}");
    }
    assert_eq!(
        returns("const f = n => n === 0 ? 0 : 1 + f(n - 1); return f(800)"),
        json!(800)
    );
}

#[test]
fn results_are_bounded_in_size_and_depth() {
    assert!(stopped("return 'x'.repeat(5_000_000)").contains("result is larger"));
    assert!(stopped("return new Array(4_000_000_000)").contains("result is larger"));
    assert!(
        stopped("const a = 'x'.repeat(100_000); return Array(100).fill(a)")
            .contains("result is larger")
    );
    assert!(stopped("const a = []; a.push(a); return a").contains("holds itself"));
    assert!(stopped("const o = {}; o.o = { o }; return o").contains("holds itself"));
    assert!(
        stopped("let a = 1; for (let i = 0; i < 5_000; i++) a = [a]; return a")
            .contains("levels deep")
    );
    assert!(stopped("return { toJSON() { return [this] } }").contains("levels deep"));
    let deep = returns("let a = 1; for (let i = 0; i < 90; i++) a = [a]; return a");
    assert!(deep.is_array());
}

#[test]
fn limits_can_be_lowered_and_not_raised() {
    let most = Limits::default();
    let mut small = job(
        "let sum = 0; for (let i = 0; i < 1000; i++) sum += i; return sum",
        json!({}),
    );
    small.limits.steps = 100;
    let ended = run(small.clone());
    assert!(matches!(ended.result, Err(failure) if failure.kind == Kind::Limit));
    assert_eq!(ended.steps, 100);
    let higher = Limits {
        steps: u64::MAX,
        output_bytes: usize::MAX,
        wall_ms: u64::MAX,
        ..most
    };
    assert_eq!(higher.within(most), most);
    let parsed: Value = serde_json::to_value(most).expect("JSON");
    assert!(parsed["steps"].is_u64());
}

#[test]
fn large_buffers_and_sparse_lists_are_no_way_out() {
    assert_eq!(
        fails("return new ArrayBuffer(1e10).byteLength").kind,
        Kind::Thrown
    );
    assert_eq!(fails("return 'x'.repeat(2 ** 40)").kind, Kind::Thrown);
    assert_eq!(
        fails("return new Array(-1)").name.as_deref(),
        Some("RangeError")
    );
    assert_eq!(
        returns("const a = []; a[4_000_000_000] = 1; return Object.keys(a)"),
        json!(["4000000000"])
    );
}
