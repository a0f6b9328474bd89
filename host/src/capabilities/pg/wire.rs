//! Wire forms that the driver does not bring: NULL of any type, intervals, raw bytes, and JSON without
//! building a tree of it.
use bytes::{BufMut, BytesMut};
use postgres_types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::pg;

type AnyError = Box<dyn std::error::Error + Sync + Send>;

/// NULL, whatever the parameter's type.
#[derive(Debug)]
pub struct Null;

impl ToSql for Null {
    fn to_sql(&self, _: &Type, _: &mut BytesMut) -> Result<IsNull, AnyError> {
        Ok(IsNull::Yes)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// An interval: microseconds, days, months.
#[derive(Debug)]
pub struct Interval(pub pg::Interval);

impl ToSql for Interval {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, AnyError> {
        out.put_i64(self.0.micros);
        out.put_i32(self.0.days);
        out.put_i32(self.0.months);
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::INTERVAL
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Interval {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, AnyError> {
        let wrong = || AnyError::from("an interval has 16 bytes");
        let micros = raw
            .get(..8)
            .and_then(|b| b.try_into().ok())
            .map(i64::from_be_bytes)
            .ok_or_else(wrong)?;
        let days = raw
            .get(8..12)
            .and_then(|b| b.try_into().ok())
            .map(i32::from_be_bytes)
            .ok_or_else(wrong)?;
        let months = raw
            .get(12..16)
            .and_then(|b| b.try_into().ok())
            .map(i32::from_be_bytes)
            .ok_or_else(wrong)?;
        Ok(Self(pg::Interval {
            micros,
            days,
            months,
        }))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::INTERVAL
    }
}

/// The bytes of a type that has no form of its own in the interface.
#[derive(Debug)]
pub struct Raw(pub Vec<u8>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, AnyError> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// JSON text, checked but never taken apart.
#[derive(Debug)]
pub struct Json(Vec<u8>);

impl Json {
    /// Checks that `text` is JSON.
    ///
    /// # Errors
    /// When it is not.
    pub fn new(text: Vec<u8>) -> anyhow::Result<Self> {
        serde_json::from_slice::<serde::de::IgnoredAny>(&text)
            .map_err(|error| anyhow::anyhow!("this is no JSON: {error}"))?;
        Ok(Self(text))
    }

    /// The text.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The version byte that jsonb's binary form begins with.
const JSONB_VERSION: u8 = 1;

impl ToSql for Json {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, AnyError> {
        if *kind == Type::JSONB {
            out.put_u8(JSONB_VERSION);
        }
        out.put_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::JSON | Type::JSONB)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Json {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, AnyError> {
        match raw.split_first() {
            Some((&JSONB_VERSION, text)) if *kind == Type::JSONB => Ok(Self(text.to_vec())),
            _ if *kind == Type::JSON => Ok(Self(raw.to_vec())),
            _ => Err("unknown jsonb version".into()),
        }
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::JSON | Type::JSONB)
    }
}
