//! Postgres values to and from `spin:postgres` values: every type that Spin decodes.
use anyhow::{Context, Result, anyhow};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc};
use rust_decimal::Decimal;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql, Type};
use uuid::Uuid;

use super::pg::{Column, DbDataType, DbValue, Error, ParameterValue};
use super::ranges::{RangeDecimal, from_range, to_range};
use super::wire::{Interval, Null, Raw};

/// A parameter in the driver's hands.
pub type Parameter = Box<dyn ToSql + Send + Sync>;

/// All parameters of a statement.
///
/// # Errors
/// `bad-parameter` when one does not parse as what it says it is.
pub fn parameters(values: Vec<ParameterValue>) -> Result<Vec<Parameter>, Error> {
    values
        .into_iter()
        .map(|value| parameter(value).map_err(|error| Error::BadParameter(format!("{error:#}"))))
        .collect()
}

fn parameter(value: ParameterValue) -> Result<Parameter> {
    use ParameterValue as P;
    Ok(match value {
        P::Boolean(v) => Box::new(v),
        P::Int8(v) => Box::new(v),
        P::Int16(v) => Box::new(v),
        P::Int32(v) => Box::new(v),
        P::Int64(v) => Box::new(v),
        P::Floating32(v) => Box::new(v),
        P::Floating64(v) => Box::new(v),
        P::Str(v) => Box::new(v),
        P::Binary(v) => Box::new(v),
        P::Date((y, m, d)) => Box::new(date(y, m, d)?),
        P::Time((h, m, s, n)) => Box::new(time(h, m, s, n)?),
        P::Datetime((y, mo, d, h, mi, s, n)) => {
            Box::new(date(y, mo, d)?.and_time(time(h, mi, s, n)?))
        }
        P::Timestamp(v) => Box::new(
            DateTime::<Utc>::from_timestamp(v, 0)
                .with_context(|| format!("{v} is no timestamp"))?,
        ),
        P::Uuid(v) => Box::new(Uuid::parse_str(&v).with_context(|| format!("{v:?} is no UUID"))?),
        P::Jsonb(v) => Box::new(super::wire::Json::new(v)?),
        P::Decimal(v) => Box::new(decimal(&v)?),
        P::RangeInt32(v) => Box::new(to_range(v)),
        P::RangeInt64(v) => Box::new(to_range(v)),
        P::RangeDecimal(v) => Box::new(super::ranges::to_decimal_range(v)?),
        P::ArrayInt32(v) => Box::new(v),
        P::ArrayInt64(v) => Box::new(v),
        P::ArrayDecimal(v) => Box::new(
            v.iter()
                .map(|d| d.as_deref().map(decimal).transpose())
                .collect::<Result<Vec<_>>>()?,
        ),
        P::ArrayStr(v) => Box::new(v),
        P::Interval(v) => Box::new(Interval(v)),
        P::DbNull => Box::new(Null),
    })
}

/// Parses an exact base 10 number.
pub(super) fn decimal(text: &str) -> Result<Decimal> {
    Decimal::from_str_exact(text).with_context(|| format!("{text:?} is no decimal"))
}

fn date(year: i32, month: u8, day: u8) -> Result<NaiveDate> {
    NaiveDate::from_ymd_opt(year, month.into(), day.into())
        .ok_or_else(|| anyhow!("{year}-{month}-{day} is no date"))
}

fn time(hour: u8, minute: u8, second: u8, nano: u32) -> Result<NaiveTime> {
    NaiveTime::from_hms_nano_opt(hour.into(), minute.into(), second.into(), nano)
        .ok_or_else(|| anyhow!("{hour}:{minute}:{second}.{nano} is no time"))
}

/// A column as the guest sees it.
pub fn column(column: &tokio_postgres::Column) -> Column {
    Column {
        name: column.name().to_owned(),
        data_type: data_type(column.type_()),
    }
}

fn data_type(kind: &Type) -> DbDataType {
    use DbDataType as D;
    match *kind {
        Type::BOOL => D::Boolean,
        Type::BYTEA => D::Binary,
        Type::FLOAT4 => D::Floating32,
        Type::FLOAT8 => D::Floating64,
        Type::INT2 => D::Int16,
        Type::INT4 => D::Int32,
        Type::INT8 => D::Int64,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR => D::Str,
        Type::TIMESTAMP | Type::TIMESTAMPTZ => D::Datetime,
        Type::DATE => D::Date,
        Type::TIME => D::Time,
        Type::UUID => D::Uuid,
        Type::JSONB => D::Jsonb,
        Type::NUMERIC => D::Decimal,
        Type::INT4_RANGE => D::RangeInt32,
        Type::INT8_RANGE => D::RangeInt64,
        Type::NUM_RANGE => D::RangeDecimal,
        Type::INT4_ARRAY => D::ArrayInt32,
        Type::INT8_ARRAY => D::ArrayInt64,
        Type::NUMERIC_ARRAY => D::ArrayDecimal,
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY => D::ArrayStr,
        Type::INTERVAL => D::Interval,
        _ => D::Other(kind.name().to_owned()),
    }
}

/// All values of a row.
///
/// # Errors
/// `value-conversion-failed` when the server's bytes do not fit the type.
pub fn row(row: &Row) -> Result<Vec<DbValue>, Error> {
    (0..row.len())
        .map(|index| {
            value(row, index).map_err(|error| Error::ValueConversionFailed(format!("{error:#}")))
        })
        .collect()
}

fn value(row: &Row, index: usize) -> Result<DbValue> {
    use DbValue as V;
    match *row.columns()[index].type_() {
        Type::BOOL => get(row, index, V::Boolean),
        Type::BYTEA => get(row, index, V::Binary),
        Type::FLOAT4 => get(row, index, V::Floating32),
        Type::FLOAT8 => get(row, index, V::Floating64),
        Type::INT2 => get(row, index, V::Int16),
        Type::INT4 => get(row, index, V::Int32),
        Type::INT8 => get(row, index, V::Int64),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR => get(row, index, V::Str),
        Type::TIMESTAMP => get(row, index, |t: NaiveDateTime| {
            V::Datetime(datetime_parts(t))
        }),
        Type::TIMESTAMPTZ => get(row, index, |t: DateTime<Utc>| {
            V::Datetime(datetime_parts(t.naive_utc()))
        }),
        Type::DATE => get(row, index, |d: NaiveDate| {
            V::Date((d.year(), small(d.month()), small(d.day())))
        }),
        Type::TIME => get(row, index, |t: NaiveTime| {
            V::Time((
                small(t.hour()),
                small(t.minute()),
                small(t.second()),
                t.nanosecond(),
            ))
        }),
        Type::UUID => get(row, index, |id: Uuid| V::Uuid(id.to_string())),
        Type::JSONB => get(row, index, |json: super::wire::Json| {
            V::Jsonb(json.into_bytes())
        }),
        Type::NUMERIC => get(row, index, |d: Decimal| V::Decimal(d.to_string())),
        Type::INT4_RANGE => get(row, index, |r| V::RangeInt32(from_range(&r, |v: &i32| *v))),
        Type::INT8_RANGE => get(row, index, |r| V::RangeInt64(from_range(&r, |v: &i64| *v))),
        Type::NUM_RANGE => get(row, index, |r| {
            V::RangeDecimal(from_range(&r, |v: &RangeDecimal| v.0.to_string()))
        }),
        Type::INT4_ARRAY => get(row, index, V::ArrayInt32),
        Type::INT8_ARRAY => get(row, index, V::ArrayInt64),
        Type::NUMERIC_ARRAY => get(row, index, |all: Vec<Option<Decimal>>| {
            V::ArrayDecimal(all.into_iter().map(|d| d.map(|d| d.to_string())).collect())
        }),
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY => get(row, index, V::ArrayStr),
        Type::INTERVAL => get(row, index, |i: Interval| V::Interval(i.0)),
        _ => get(row, index, |raw: Raw| V::Unsupported(raw.0)),
    }
}

fn get<'a, T: FromSql<'a>>(
    row: &'a Row,
    index: usize,
    wrap: impl FnOnce(T) -> DbValue,
) -> Result<DbValue> {
    Ok(row
        .try_get::<_, Option<T>>(index)?
        .map_or(DbValue::DbNull, wrap))
}

fn datetime_parts(t: NaiveDateTime) -> (i32, u8, u8, u8, u8, u8, u32) {
    (
        t.year(),
        small(t.month()),
        small(t.day()),
        small(t.hour()),
        small(t.minute()),
        small(t.second()),
        t.nanosecond(),
    )
}

/// Months, days, hours, minutes and seconds are below 256.
fn small(value: u32) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_parameters_are_named() {
        for (wrong, hint) in [
            (ParameterValue::Uuid("x".into()), "UUID"),
            (ParameterValue::Decimal("1.2.3".into()), "decimal"),
            (ParameterValue::Date((2024, 2, 30)), "date"),
            (ParameterValue::Jsonb(b"{".to_vec()), "JSON"),
        ] {
            match parameters(vec![wrong]) {
                Err(Error::BadParameter(text)) => assert!(text.contains(hint), "{text}"),
                other => panic!("{hint}: {:?}", other.map(|p| p.len())),
            }
        }
    }
}
