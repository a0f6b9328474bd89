//! From the interpreter's values to JSON, as `JSON.stringify` has it, but bounded in depth and size on the way.

use boa_engine::object::JsObject;
use boa_engine::object::builtins::JsFunction;
use boa_engine::{
    Context, JsError, JsNativeError, JsResult, JsString, JsValue, JsVariant, js_string,
};
use serde_json::{Map, Number, Value};

/// Most objects within objects. A cycle is deeper.
const DEEPEST: usize = 100;

/// Why a value cannot be written.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The code that was asked for it failed.
    Thrown(JsError),
    /// It is nested too deeply.
    Deep(usize),
    /// It is too large.
    Large(usize),
}

impl From<JsError> for Stop {
    fn from(error: JsError) -> Self {
        Self::Thrown(error)
    }
}

/// Writes values. Made before the code runs: it holds `Object.keys` as it was.
pub(crate) struct Converter {
    keys: JsFunction,
}

impl Converter {
    pub(crate) fn new(context: &mut Context) -> JsResult<Self> {
        let object = context.intrinsics().constructors().object().constructor();
        let keys = object.get(js_string!("keys"), context)?;
        let keys = keys.as_object().and_then(JsFunction::from_object);
        let missing = || JsNativeError::typ().with_message("Object.keys is not a function");
        Ok(Self {
            keys: keys.ok_or_else(missing)?,
        })
    }

    /// The value as JSON of at most so many bytes; null where there is none.
    pub(crate) fn result(
        &self,
        value: &JsValue,
        most: usize,
        context: &mut Context,
    ) -> Result<Value, Stop> {
        let mut writer = Writer {
            keys: &self.keys,
            most,
            left: most,
            context,
        };
        let written = writer.value(value, &js_string!(), 0)?;
        Ok(written.unwrap_or_default())
    }
}

struct Writer<'a> {
    keys: &'a JsFunction,
    most: usize,
    left: usize,
    context: &'a mut Context,
}

impl Writer<'_> {
    /// Takes bytes from what is left.
    fn spend(&mut self, bytes: usize) -> Result<(), Stop> {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => return Err(Stop::Large(self.most)),
        }
        Ok(())
    }

    /// A value under its key; none for what JSON leaves out.
    fn value(
        &mut self,
        value: &JsValue,
        key: &JsString,
        depth: usize,
    ) -> Result<Option<Value>, Stop> {
        let value = self.replaced(value, key)?;
        Ok(Some(match value.variant() {
            JsVariant::Undefined | JsVariant::Symbol(_) => return Ok(None),
            JsVariant::Null => {
                self.spend(4)?;
                Value::Null
            }
            JsVariant::Boolean(truth) => {
                self.spend(5)?;
                Value::Bool(truth)
            }
            JsVariant::Integer32(number) => {
                self.spend(4)?;
                Value::from(number)
            }
            JsVariant::Float64(number) => {
                self.spend(8)?;
                of_number(number)
            }
            JsVariant::String(text) => Value::String(self.text(&text)?),
            JsVariant::BigInt(_) => {
                let error = JsNativeError::typ();
                let message = "a BigInt has no form in JSON; make it a number or a string";
                return Err(JsError::from(error.with_message(message)).into());
            }
            JsVariant::Object(object) if object.is_callable() => return Ok(None),
            JsVariant::Object(object) => self.object(&object, depth)?,
        }))
    }

    fn text(&mut self, text: &JsString) -> Result<String, Stop> {
        self.spend(text.len() + 2)?;
        Ok(text.to_std_string_lossy())
    }

    /// What an object's `toJSON` says, and what is in a boxed value.
    fn replaced(&mut self, value: &JsValue, key: &JsString) -> Result<JsValue, Stop> {
        let Some(object) = value.as_object() else {
            return Ok(value.clone());
        };
        let method = object.get(js_string!("toJSON"), self.context)?;
        let value = match method.as_callable() {
            Some(method) => method.call(value, &[key.clone().into()], self.context)?,
            None => value.clone(),
        };
        let Some(object) = value.as_object() else {
            return Ok(value);
        };
        if object.is::<JsString>() {
            return Ok(value.to_string(self.context)?.into());
        }
        if object.is::<f64>() {
            return Ok(value.to_number(self.context)?.into());
        }
        let truth = object.downcast_ref::<bool>().map(|truth| *truth);
        Ok(truth.map_or(value, JsValue::from))
    }

    fn object(&mut self, object: &JsObject, depth: usize) -> Result<Value, Stop> {
        if depth >= DEEPEST {
            return Err(Stop::Deep(DEEPEST));
        }
        self.spend(2)?;
        if object.is_array() {
            return self.list(object, depth);
        }
        let names = self.keys.call(
            &JsValue::undefined(),
            &[object.clone().into()],
            self.context,
        )?;
        let Some(names) = names.as_object() else {
            return Ok(Value::Object(Map::new()));
        };
        let count = length(&names, self.context)?;
        let mut map = Map::new();
        for at in 0..count {
            let name = names.get(at, self.context)?.to_string(self.context)?;
            let value = object.get(name.clone(), self.context)?;
            if let Some(value) = self.value(&value, &name, depth + 1)? {
                let name = self.text(&name)?;
                map.insert(name, value);
            }
        }
        Ok(Value::Object(map))
    }

    fn list(&mut self, list: &JsObject, depth: usize) -> Result<Value, Stop> {
        let count = length(list, self.context)?;
        let mut items = Vec::new();
        for at in 0..count {
            self.spend(1)?;
            let item = list.get(at, self.context)?;
            let key = JsString::from(at.to_string());
            let written = self.value(&item, &key, depth + 1)?;
            items.push(written.unwrap_or_default());
        }
        Ok(Value::Array(items))
    }
}

fn length(list: &JsObject, context: &mut Context) -> JsResult<u64> {
    list.get(js_string!("length"), context)?.to_length(context)
}

/// Whole numbers that a double holds exactly are written as such; what is no number is null.
fn of_number(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        return Value::from(number as i64);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}
