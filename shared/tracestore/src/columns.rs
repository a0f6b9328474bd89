//! A trace as the store gives it: a list of values for each field, a value a span.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Error, Map, Value};
use std::fmt;
use std::marker::PhantomData;

/// A trace with its spans, flat, by start, as they were written by the store.
#[derive(Debug, Deserialize)]
pub struct Columns {
    /// The summary.
    pub trace: Map<String, Value>,
    /// Fields that every span has.
    columns: Named<Box<RawValue>>,
    /// Fields that are shown where they are not null; null for those that no span has.
    optional: Named<Option<Box<RawValue>>>,
}

/// What an object holds, in its order.
#[derive(Debug)]
struct Named<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = Named<T>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("the columns of a trace")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
                let mut named = Vec::with_capacity(32);
                while let Some(column) = map.next_entry()? {
                    named.push(column);
                }
                Ok(Named(named))
            }
        }
        deserializer.deserialize_map(Reader(PhantomData))
    }
}

impl Columns {
    /// The spans, each with the text of its fields' values. Those of the list are all as long as it.
    ///
    /// # Errors
    /// When a column is no list, or not as long as the others.
    pub fn rows(&self) -> Result<Vec<Vec<(&str, &str)>>, Error> {
        let whole = self.columns.0.iter();
        let whole = whole.map(|(name, values)| (name, values, false));
        let some = self.optional.0.iter();
        let some = some.filter_map(|(name, values)| Some((name, values.as_ref()?, true)));
        let mut rows: Option<Vec<Vec<(&str, &str)>>> = None;
        for (name, values, may_lack) in whole.chain(some) {
            // What is made of no span is null.
            let values: Option<Vec<&RawValue>> = serde_json::from_str(values.get())?;
            let values = values.unwrap_or_default();
            let rows = rows.get_or_insert_with(|| vec![Vec::with_capacity(24); values.len()]);
            if rows.len() != values.len() {
                return Err(Error::custom("columns of unequal length"));
            }
            let cells = rows.iter_mut().zip(values);
            for (row, value) in cells.filter(|(_, value)| !may_lack || value.get() != "null") {
                row.push((name, value.get()));
            }
        }
        Ok(rows.unwrap_or_default())
    }

    /// The spans as objects, with the id of the trace and their ends.
    ///
    /// # Errors
    /// As of [`Self::rows`].
    pub fn spans(&self, trace_id: &str) -> Result<Vec<Map<String, Value>>, Error> {
        let rows = self.rows()?.into_iter();
        let spans = rows.map(|row| {
            let fields = row.into_iter();
            let fields = fields.map(|(name, value)| {
                serde_json::from_str(value).map(|value: Value| (name.to_owned(), value))
            });
            let mut span: Map<String, Value> = fields.collect::<Result<_, _>>()?;
            let time = |name: &str| span.get(name).and_then(Value::as_i64).unwrap_or(0);
            let end = time("start_us").saturating_add(time("duration_us"));
            span.insert("end_us".to_owned(), end.into());
            span.insert("trace_id".to_owned(), trace_id.into());
            Ok(span)
        });
        spans.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(columns: Value, optional: Value) -> Columns {
        let whole = json!({"trace": {"name": "t"}, "columns": columns, "optional": optional});
        serde_json::from_str(&whole.to_string()).expect("columns")
    }

    #[test]
    fn spans_have_their_values_and_no_empty_optional_field() {
        let read = read(
            json!({"span_id": ["a", "b"], "start_us": [1, 5], "duration_us": [10, 20], "node_id": [null, "n"]}),
            json!({"model": null, "tags": [null, ["x", "y"]]}),
        );
        let spans = read.spans("t1").expect("spans");
        let wanted = json!([
            {"span_id": "a", "start_us": 1, "duration_us": 10, "node_id": null, "end_us": 11, "trace_id": "t1"},
            {"span_id": "b", "start_us": 5, "duration_us": 20, "node_id": "n", "tags": ["x", "y"], "end_us": 25, "trace_id": "t1"},
        ]);
        assert_eq!(json!(spans), wanted);
    }

    #[test]
    fn a_trace_without_spans_has_none() {
        for columns in [json!({}), json!({"span_id": null, "name": null})] {
            let spans = read(columns, json!({"model": null})).spans("t1");
            assert_eq!(spans.expect("spans").len(), 0);
        }
    }

    #[test]
    fn columns_of_unequal_length_are_refused() {
        let read = read(json!({"a": [1, 2], "b": [1]}), json!({}));
        assert!(read.rows().is_err());
    }
}
