//! Ranges, between the interface's pairs of bounds and the driver's type.
use anyhow::Result;
use bytes::BytesMut;
use postgres_range::{BoundSided, BoundType, Normalizable, Range, RangeBound};
use postgres_types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use rust_decimal::Decimal;

use super::pg::RangeBoundKind;

type Bound<T> = Option<(T, RangeBoundKind)>;
/// A range as the interface has it: lower and upper bound.
pub type Pair<T> = (Bound<T>, Bound<T>);

/// A decimal that may bound a range.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct RangeDecimal(pub Decimal);

impl Normalizable for RangeDecimal {
    fn normalize<S: BoundSided>(bound: RangeBound<S, Self>) -> RangeBound<S, Self> {
        bound
    }
}

impl ToSql for RangeDecimal {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.0.to_sql(kind, out)
    }

    fn accepts(kind: &Type) -> bool {
        <Decimal as ToSql>::accepts(kind)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for RangeDecimal {
    fn from_sql(
        kind: &Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Decimal::from_sql(kind, raw).map(Self)
    }

    fn accepts(kind: &Type) -> bool {
        <Decimal as FromSql>::accepts(kind)
    }
}

/// The driver's range.
pub fn to_range<T: Normalizable + PartialOrd>((lower, upper): Pair<T>) -> Range<T> {
    Range::new(lower.map(to_bound), upper.map(to_bound))
}

/// The driver's range of decimals.
///
/// # Errors
/// When a bound is no decimal.
pub fn to_decimal_range((lower, upper): Pair<String>) -> Result<Range<RangeDecimal>> {
    let parse = |bound: Bound<String>| {
        bound
            .map(|(text, kind)| super::values::decimal(&text).map(|d| (RangeDecimal(d), kind)))
            .transpose()
    };
    Ok(to_range((parse(lower)?, parse(upper)?)))
}

/// The interface's range.
pub fn from_range<T: Normalizable + PartialOrd, U>(
    range: &Range<T>,
    value: impl Fn(&T) -> U,
) -> Pair<U> {
    let lower = range
        .lower()
        .map(|bound| (value(&bound.value), from_kind(bound.type_)));
    let upper = range
        .upper()
        .map(|bound| (value(&bound.value), from_kind(bound.type_)));
    (lower, upper)
}

fn to_bound<S: BoundSided, T: Normalizable + PartialOrd>(
    (value, kind): (T, RangeBoundKind),
) -> RangeBound<S, T> {
    let kind = match kind {
        RangeBoundKind::Inclusive => BoundType::Inclusive,
        RangeBoundKind::Exclusive => BoundType::Exclusive,
    };
    RangeBound::new(value, kind)
}

fn from_kind(kind: BoundType) -> RangeBoundKind {
    match kind {
        BoundType::Inclusive => RangeBoundKind::Inclusive,
        BoundType::Exclusive => RangeBoundKind::Exclusive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_ranges_survive_the_way_there_and_back() {
        let pair = (
            Some(("1.50".to_owned(), RangeBoundKind::Inclusive)),
            Some(("9".to_owned(), RangeBoundKind::Exclusive)),
        );
        let range = to_decimal_range(pair).unwrap();
        let (lower, upper) = from_range(&range, |d| d.0.to_string());
        assert_eq!(lower.unwrap().0, "1.50");
        assert_eq!(upper.unwrap().0, "9");
    }
}
