//! What the code sees beside the language: its values, a console that keeps lines, and seeded chance.

use std::cell::RefCell;

use boa_engine::builtins::error::Error;
use boa_engine::object::ObjectInitializer;
use boa_engine::property::Attribute;
use boa_engine::{Context, JsResult, JsString, JsValue, NativeFunction, js_string};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Limits;
use crate::convert::Converter;

/// A line on the console.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Line {
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// The text.
    pub text: String,
}

/// Most bytes of one line.
const LONGEST_LINE: usize = 2_000;

/// What one run has at hand; one run at a time has its thread.
#[derive(Default)]
struct State {
    lines: Vec<Line>,
    lines_left: usize,
    bytes_left: usize,
    unkept: usize,
    chance: u64,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// Before a run.
pub(crate) fn begin(limits: &Limits, seed: &str) {
    STATE.set(State {
        lines_left: limits.log_lines,
        bytes_left: limits.log_bytes,
        chance: fnv(seed),
        ..State::default()
    });
}

/// After it: what is on the console.
pub(crate) fn end() -> Vec<Line> {
    let mut state = STATE.take();
    if state.unkept > 0 {
        let text = format!("… and {} more lines, which were not kept", state.unkept);
        let level = "warn".to_owned();
        state.lines.push(Line { level, text });
    }
    state.lines
}

/// What is on the console so far, for whoever has to end a run from within an allocation.
pub fn written() -> Vec<Line> {
    STATE.with(|state| {
        let state = state.try_borrow();
        state.map_or_else(|_| Vec::new(), |state| state.lines.clone())
    })
}

/// FNV-1a.
fn fnv(text: &str) -> u64 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, mix)
}

/// Puts the values, `console` and `Math.random` in place, and takes out what shares memory.
pub(crate) fn define(values: &Map<String, Value>, context: &mut Context) -> JsResult<()> {
    let console = console(context);
    let hidden = Attribute::WRITABLE | Attribute::CONFIGURABLE;
    context.register_global_property(js_string!("console"), console, hidden)?;
    let global = context.global_object();
    for name in ["Atomics", "SharedArrayBuffer"] {
        global.delete_property_or_throw(JsString::from(name), context)?;
    }
    let random = NativeFunction::from_fn_ptr(random).to_js_function(context.realm());
    let math = global.get(js_string!("Math"), context)?;
    if let Some(math) = math.as_object() {
        math.set(js_string!("random"), random, true, context)?;
    }
    for (name, value) in values {
        let value = JsValue::from_json(value, context)?;
        let name = JsString::from(name.as_str());
        context.register_global_property(name, value, Attribute::all())?;
    }
    Ok(())
}

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014), its upper 53 bits.
fn random(_: &JsValue, _: &[JsValue], _: &mut Context) -> JsResult<JsValue> {
    let drawn = STATE.with_borrow_mut(|state| {
        state.chance = state.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = state.chance;
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    });
    let fraction = (drawn >> 11) as f64 / (1_u64 << 53) as f64;
    Ok(fraction.into())
}

fn console(context: &mut Context) -> JsValue {
    type Write = fn(&JsValue, &[JsValue], &mut Context) -> JsResult<JsValue>;
    let methods: [(&str, Write); 5] = [
        ("log", |_, words, context| write("info", words, context)),
        ("info", |_, words, context| write("info", words, context)),
        ("debug", |_, words, context| write("debug", words, context)),
        ("warn", |_, words, context| write("warn", words, context)),
        ("error", |_, words, context| write("error", words, context)),
    ];
    let mut console = ObjectInitializer::new(context);
    for (name, method) in methods {
        let method = NativeFunction::from_fn_ptr(method);
        console.function(method, JsString::from(name), 0);
    }
    console.build().into()
}

fn write(level: &str, words: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let room = STATE.with_borrow_mut(|state| {
        let room = state.bytes_left.min(LONGEST_LINE);
        let keeps = state.lines_left > 0 && room > 0;
        state.unkept += usize::from(!keeps);
        if keeps { room } else { 0 }
    });
    if room == 0 {
        return Ok(JsValue::undefined());
    }
    let mut text = String::new();
    for word in words {
        if text.len() > room {
            break;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text += &said(word, room, context)?;
    }
    let text = cut(text, room);
    STATE.with_borrow_mut(|state| {
        state.lines_left -= 1;
        state.bytes_left = state.bytes_left.saturating_sub(text.len());
        let level = level.to_owned();
        state.lines.push(Line { level, text });
    });
    Ok(JsValue::undefined())
}

/// A value in words: text as it is, an error by its message, everything else as JSON.
fn said(value: &JsValue, room: usize, context: &mut Context) -> JsResult<String> {
    if let Some(text) = value.as_string() {
        return Ok(text.to_std_string_lossy());
    }
    let Some(object) = value.as_object().filter(|object| !object.is_callable()) else {
        return Ok(value.display().to_string());
    };
    if object.is::<Error>() {
        return Ok(value.to_string(context)?.to_std_string_lossy());
    }
    let written = Converter::new(context)?.result(value, room, context);
    Ok(match written {
        Ok(json) => json.to_string(),
        Err(_) if context.instructions_remaining() == 0 => String::new(),
        Err(_) => "[object, too large to be shown]".to_owned(),
    })
}

/// A text, or its beginning if it is too long.
pub(crate) fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}
