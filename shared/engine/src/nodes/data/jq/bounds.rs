//! What bounds a jq program: fuel for calls and for the parts of values, depth of values and of calls, size of texts and
//! numbers. The native filters that the guard puts into programs are here.

use std::cell::Cell;

use jaq_core::box_iter::box_once;
use jaq_core::data::HasLut;
use jaq_core::native::{Fun, bome, run, v};
use jaq_core::{DataT, Error, Exn, Lut, Native, ValR, ValT};
use jaq_json::{Num, Val};
use serde_json::{Map, Value};

/// Calls and parts of values that a program may cost.
const FUEL: u64 = 20_000_000;
/// What one call costs.
const CALL: u64 = 20;
/// Most parts of one value.
const LARGEST: u64 = 1_000_000;
/// Deepest value.
const DEEPEST: usize = 200;
/// Most bytes of one text, and most bits of one number.
const LONGEST: u64 = 8 * 1024 * 1024;
const MOST_BITS: u64 = 4_096;
/// Most bytes of the stack that calls within calls may take.
const MOST_STACK: usize = 192 * 1024;

/// The values and the data of a bounded run.
pub(super) struct Bounds;

impl DataT for Bounds {
    type V<'a> = Val;
    type Data<'a> = &'a World<'a>;
}

/// What is left for one run.
pub(super) struct World<'a> {
    lut: &'a Lut<Bounds>,
    fuel: Cell<u64>,
    stack: usize,
}

impl<'a> HasLut<'a, Bounds> for &'a World<'a> {
    fn lut(&self) -> &'a Lut<Bounds> {
        self.lut
    }
}

impl<'a> World<'a> {
    pub(super) fn new(lut: &'a Lut<Bounds>) -> Self {
        Self {
            lut,
            fuel: Cell::new(FUEL),
            stack: here(),
        }
    }

    fn spend(&self, units: u64) -> Result<(), String> {
        let left = self.fuel.get().checked_sub(units);
        self.fuel.set(left.unwrap_or(0));
        left.map(|_| ())
            .ok_or_else(|| "the program does too much work".to_owned())
    }

    fn tick(&self) -> Result<(), String> {
        if self.stack.abs_diff(here()) > MOST_STACK {
            return Err("calls within calls are too deep".to_owned());
        }
        self.spend(CALL)
    }

    /// The number of parts of a value; fails where it is too large in any respect.
    fn measure(&self, value: &Val) -> Result<u64, String> {
        let mut stack = vec![(value, 0usize)];
        let mut parts = 0;
        while let Some((value, depth)) = stack.pop() {
            parts += 1;
            if parts > LARGEST {
                return Err("a value has too many parts".to_owned());
            }
            if depth > DEEPEST {
                return Err("a value is nested too deep".to_owned());
            }
            match value {
                Val::Arr(items) => stack.extend(items.iter().map(|item| (item, depth + 1))),
                Val::Obj(map) => stack.extend(
                    map.iter()
                        .flat_map(|(key, item)| [(key, depth + 1), (item, depth + 1)]),
                ),
                Val::TStr(bytes) | Val::BStr(bytes) => {
                    parts += bytes.len() as u64 / 64;
                    check_length(bytes.len() as u64)?;
                }
                Val::Num(Num::BigInt(number)) if number.bits() > MOST_BITS => {
                    return Err("a number is too large".to_owned());
                }
                _ => {}
            }
        }
        self.spend(parts)?;
        Ok(parts)
    }

    fn add(&self, left: Val, right: Val) -> Result<(), String> {
        let parts = self.measure(&left)? + self.measure(&right)?;
        if parts > LARGEST {
            return Err("a value has too many parts".to_owned());
        }
        check_length(text_len(&left).saturating_add(text_len(&right)))
    }

    fn multiply(&self, left: &Val, right: &Val) -> Result<(), String> {
        self.measure(left)?;
        self.measure(right)?;
        let times = |value: &Val| match value {
            Val::Num(number) => number
                .as_isize()
                .map_or(u64::MAX, |n| u64::try_from(n).unwrap_or(0)),
            _ => 1,
        };
        match (left, right) {
            (Val::TStr(_) | Val::BStr(_), by @ Val::Num(_)) => {
                check_length(text_len(left).saturating_mul(times(by)))
            }
            (by @ Val::Num(_), Val::TStr(_) | Val::BStr(_)) => {
                check_length(text_len(right).saturating_mul(times(by)))
            }
            _ => Ok(()),
        }
    }

    /// For what compares every part of one value with every part of another.
    fn product(&self, left: &Val, right: &Val) -> Result<(), String> {
        let (left, right) = (self.measure(left)?, self.measure(right)?);
        self.spend(left.saturating_mul(right))
    }

    fn pattern(&self, text: &Val, pattern: &Val) -> Result<(), String> {
        let Val::TStr(source) = pattern else {
            return Ok(());
        };
        if source.len() > 2_000 {
            return Err("a pattern is too long".to_owned());
        }
        // Counted repetitions make large patterns of small ones.
        let states = if source.contains(&b'{') {
            2_000
        } else {
            source.len() as u64 + 1
        };
        self.spend(text_len(text).saturating_mul(states) / 16)
    }
}

fn check_length(bytes: u64) -> Result<(), String> {
    match bytes > LONGEST {
        true => Err("a text is too long".to_owned()),
        false => Ok(()),
    }
}

fn text_len(value: &Val) -> u64 {
    match value {
        Val::TStr(bytes) | Val::BStr(bytes) => bytes.len() as u64,
        _ => 0,
    }
}

/// About where the stack is.
#[inline(never)]
fn here() -> usize {
    let local = 0u8;
    std::ptr::from_ref(std::hint::black_box(&local)) as usize
}

fn checked(result: Result<(), String>, value: Val) -> ValR<Val> {
    result.map(|()| value).map_err(Error::str)
}

/// The native filters: jaq's own without those that talk to the outside, and those of the guard.
pub(super) fn funs() -> impl Iterator<Item = Fun<Bounds>> {
    let outside = [
        "env",
        "now",
        "halt",
        "input",
        "inputs",
        "debug_empty",
        "stderr_empty",
        "localtime",
        "strflocaltime",
        "mktime_local",
    ];
    let replaced = ["range", "fromjson"];
    let all = jaq_core::funs::<Bounds>()
        .chain(jaq_std::funs())
        .chain(jaq_json::funs());
    let kept = all.filter(move |(name, ..)| !outside.contains(name) && !replaced.contains(name));
    let renamed = kept.map(|(name, args, native)| {
        let name = match name {
            "contains" => "__contains",
            "indices" => "__indices",
            "matches" => "__matches",
            "split_matches" => "__split_matches",
            "split_" => "__split_",
            name => name,
        };
        (name, args, native)
    });
    renamed.chain(own())
}

fn own() -> impl Iterator<Item = Fun<Bounds>> {
    let tick: Fun<Bounds> = (
        "__tick",
        v(0),
        Native::<Bounds>::new(|(ctx, value)| bome(checked(ctx.data().tick(), value)))
            .with_paths(|(ctx, path)| match ctx.data().tick() {
                Ok(()) => box_once(Ok(path)),
                Err(message) => box_once(Err(Exn::from(Error::str(message)))),
            })
            .with_update(|(ctx, value), update| match ctx.data().tick() {
                Ok(()) => update(value),
                Err(message) => box_once(Err(Exn::from(Error::str(message)))),
            }),
    );
    let filters = [
        run::<Bounds>(("__measure", v(0), |(ctx, value)| {
            let fits = ctx.data().measure(&value).map(|_| ());
            bome(checked(fits, value))
        })),
        run::<Bounds>(("__add", v(2), |(mut ctx, _)| {
            let (left, right) = (ctx.pop_var(), ctx.pop_var());
            let fits = ctx.data().add(left.clone(), right.clone());
            bome(fits.map_err(Error::str).and_then(|()| left + right))
        })),
        run::<Bounds>(("__sub", v(2), |(mut ctx, _)| {
            let (left, right) = (ctx.pop_var(), ctx.pop_var());
            let fits = match (&left, &right) {
                (Val::Arr(_), Val::Arr(_)) => ctx.data().product(&left, &right),
                _ => Ok(()),
            };
            bome(fits.map_err(Error::str).and_then(|()| left - right))
        })),
        run::<Bounds>(("__mul", v(2), |(mut ctx, _)| {
            let (left, right) = (ctx.pop_var(), ctx.pop_var());
            let fits = ctx.data().multiply(&left, &right);
            bome(fits.map_err(Error::str).and_then(|()| left * right))
        })),
        run::<Bounds>(("__cost", v(1), |(mut ctx, value)| {
            let other = ctx.pop_var();
            bome(checked(ctx.data().product(&value, &other), value))
        })),
        run::<Bounds>(("__cost_of_pattern", v(1), |(mut ctx, value)| {
            let pattern = ctx.pop_var();
            bome(checked(ctx.data().pattern(&value, &pattern), value))
        })),
        run::<Bounds>(("fromjson", v(0), |(_, value)| bome(from_json(&value)))),
        run::<Bounds>(("range", v(3), |(mut ctx, _)| {
            let (by, to, from) = (ctx.pop_var(), ctx.pop_var(), ctx.pop_var());
            let world = *ctx.data();
            let mut next = Some(from);
            let zero = Val::from(0isize);
            Box::new(std::iter::from_fn(move || {
                let at = next.take()?;
                let goes_on = if by > zero {
                    at < to
                } else if by < zero {
                    at > to
                } else {
                    at != to
                };
                if !goes_on {
                    return None;
                }
                if let Err(message) = world.spend(CALL) {
                    return Some(Err(Exn::from(Error::str(message))));
                }
                match at.clone() + by.clone() {
                    Ok(after) => {
                        next = Some(after);
                        Some(Ok(at))
                    }
                    Err(error) => Some(Err(Exn::from(error))),
                }
            }))
        })),
    ];
    std::iter::once(tick).chain(filters)
}

/// By serde_json, which bounds the depth.
fn from_json(value: &Val) -> ValR<Val> {
    let Val::TStr(text) = value else {
        return Err(Error::typ(value.clone(), "string"));
    };
    let parsed: Result<Value, _> = serde_json::from_slice(text);
    parsed
        .map(|value| to_val(&value))
        .map_err(|error| Error::str(format!("fromjson: {error}")))
}

/// A JSON value as jaq's.
pub(super) fn to_val(value: &Value) -> Val {
    match value {
        Value::Null => Val::Null,
        Value::Bool(truth) => Val::Bool(*truth),
        Value::Number(number) => match number.as_i64().and_then(|n| isize::try_from(n).ok()) {
            Some(integer) => Val::from(integer),
            None => match number.is_f64() {
                true => Val::from(number.as_f64().unwrap_or(f64::NAN)),
                false => Val::from_num(&number.to_string()).unwrap_or_default(),
            },
        },
        Value::String(text) => Val::from(text.clone()),
        Value::Array(items) => items.iter().map(to_val).collect(),
        Value::Object(map) => Val::obj(
            map.iter()
                .map(|(name, value)| (Val::from(name.clone()), to_val(value)))
                .collect(),
        ),
    }
}

/// jaq's value as JSON.
pub(super) fn to_json(value: &Val, world: &World<'_>) -> Result<Value, String> {
    world.measure(value)?;
    convert(value)
}

/// Recurses: the value has been measured.
fn convert(value: &Val) -> Result<Value, String> {
    Ok(match value {
        Val::Null => Value::Null,
        Val::Bool(truth) => Value::Bool(*truth),
        Val::Num(number) => to_number(number),
        Val::TStr(bytes) | Val::BStr(bytes) => {
            Value::String(String::from_utf8_lossy(bytes).into_owned())
        }
        Val::Arr(items) => Value::Array(items.iter().map(convert).collect::<Result<_, _>>()?),
        Val::Obj(map) => {
            let pairs = map.iter().map(|(key, value)| match key {
                Val::TStr(bytes) => {
                    Ok((String::from_utf8_lossy(bytes).into_owned(), convert(value)?))
                }
                _ => Err("an object has a key that is no string".to_owned()),
            });
            Value::Object(pairs.collect::<Result<Map<_, _>, _>>()?)
        }
    })
}

/// What JSON has no number for (NaN, infinity) is null.
fn to_number(number: &Num) -> Value {
    match number {
        Num::Int(integer) => Value::from(*integer as i64),
        Num::Float(float) => {
            serde_json::Number::from_f64(*float).map_or(Value::Null, Value::Number)
        }
        other => serde_json::from_str(&other.to_string()).unwrap_or_default(),
    }
}

/// An error for people: a text as it is, another value as JSON.
pub(super) fn words_of(error: Error<Val>) -> String {
    match error.into_val() {
        Val::TStr(text) => String::from_utf8_lossy(&text).into_owned(),
        other => other.to_string(),
    }
}
