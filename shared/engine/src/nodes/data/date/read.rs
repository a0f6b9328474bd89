//! Reading dates in the forms in which they come.

use jiff::civil::{Date, DateTime};
use jiff::fmt::{rfc2822, strtime};
use jiff::tz::{Disambiguation, Offset, TimeZone};
use jiff::{Timestamp, Zoned};
use serde_json::Value;

use crate::log::NodeError;

/// A time zone by its IANA name or by an offset.
pub(super) fn zone(name: &str) -> Result<TimeZone, NodeError> {
    if let Ok(zone) = TimeZone::get(name) {
        return Ok(zone);
    }
    let sign = match name.as_bytes().first() {
        Some(b'+') => Some(1),
        Some(b'-') => Some(-1),
        _ => None,
    };
    let digits: String = name.chars().skip(1).filter(|c| *c != ':').collect();
    let parts = digits.get(..2).zip(digits.get(2..4).or(Some("00")));
    let minutes = parts.and_then(|(h, m)| {
        Some(h.parse::<i32>().ok()? * 60 + m.parse::<i32>().ok().filter(|m| *m < 60)?)
    });
    let offset = sign
        .zip(minutes)
        .and_then(|(sign, minutes)| Offset::from_seconds(sign * minutes * 60).ok());
    offset.map(TimeZone::fixed).ok_or_else(|| {
        NodeError::config(format!("/zone: there is no time zone {name:?}; use an IANA name such as Europe/Berlin, or an offset such as +02:00"))
    })
}

/// How a value is read.
pub(super) struct How<'a> {
    /// The zone of values that name none, and of the result.
    pub(super) zone: &'a TimeZone,
    /// In strptime's letters.
    pub(super) format: Option<&'a str>,
    /// What an ambiguous time means.
    pub(super) ambiguous: &'a str,
}

impl How<'_> {
    pub(super) fn read(&self, value: &Value) -> Result<Zoned, String> {
        match value {
            Value::Number(number) => self.of_number(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => self.of_text(text.trim()),
            other => Err(format!(
                "expected a date, found {}",
                super::super::type_of(other)
            )),
        }
    }

    /// Seconds, or milliseconds where seconds would be far off (after the year 5138, or before 1653).
    fn of_number(&self, number: f64) -> Result<Zoned, String> {
        let ms = if number.abs() >= 1e11 {
            number
        } else {
            number * 1_000.0
        };
        let stamp = Timestamp::from_millisecond(ms.round() as i64)
            .ok()
            .filter(|_| number.is_finite());
        let stamp = stamp.ok_or_else(|| format!("{number} is no time"))?;
        Ok(stamp.to_zoned(self.zone.clone()))
    }

    fn of_text(&self, text: &str) -> Result<Zoned, String> {
        if let Some(format) = self.format {
            return self.by_format(text, format);
        }
        if let Ok(zoned) = text.parse::<Zoned>() {
            return Ok(zoned.with_time_zone(self.zone.clone()));
        }
        if let Ok(stamp) = text.parse::<Timestamp>() {
            return Ok(stamp.to_zoned(self.zone.clone()));
        }
        if let Ok(local) = text.parse::<DateTime>() {
            return self.local(local);
        }
        if let Ok(zoned) = rfc2822::parse(text) {
            return Ok(zoned.with_time_zone(self.zone.clone()));
        }
        match text.parse::<f64>() {
            Ok(number) => self.of_number(number),
            Err(_) => {
                let shown: String = text.chars().take(64).collect();
                Err(format!(
                    "{shown:?} is no date that is known here; say how it is written by input_format"
                ))
            }
        }
    }

    fn by_format(&self, text: &str, format: &str) -> Result<Zoned, String> {
        let parsed = strtime::parse(format, text).map_err(|error| error.to_string())?;
        if let Ok(stamp) = parsed.to_timestamp() {
            return Ok(stamp.to_zoned(self.zone.clone()));
        }
        let local = parsed
            .to_datetime()
            .or_else(|_| parsed.to_date().map(Date::into));
        self.local(local.map_err(|error| error.to_string())?)
    }

    fn local(&self, local: DateTime) -> Result<Zoned, String> {
        let how = match self.ambiguous {
            "earlier" => Disambiguation::Earlier,
            "later" => Disambiguation::Later,
            "reject" => Disambiguation::Reject,
            _ => Disambiguation::Compatible,
        };
        let found = self.zone.to_ambiguous_zoned(local).disambiguate(how);
        found.map_err(|_| format!("{local} comes twice or not at all where clocks change"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::{refuse, run};
    use super::*;

    fn iso(data: Value, value: Value) -> String {
        let mut data = data;
        if data.get("operation").is_none() {
            data["operation"] = json!("parse");
        }
        let found =
            run("date", data.clone(), value).unwrap_or_else(|error| panic!("{data}: {error}"));
        found["iso"].as_str().unwrap_or_default().to_owned()
    }

    #[test]
    fn dates_are_read_as_they_come() {
        for value in [
            json!("2024-02-29T12:30:00Z"),
            json!("2024-02-29T13:30:00+01:00"),
            json!("2024-02-29T07:30:00-05:00[America/New_York]"),
            json!("Thu, 29 Feb 2024 12:30:00 +0000"),
            json!(1_709_209_800),
            json!(1_709_209_800_000i64),
            json!("1709209800"),
            json!("2024-02-29 12:30"),
        ] {
            assert_eq!(
                iso(json!({}), value.clone()),
                "2024-02-29T12:30:00+00:00",
                "{value}"
            );
        }
        assert_eq!(
            iso(json!({"zone": "Europe/Berlin"}), json!("2024-07-01")),
            "2024-07-01T00:00:00+02:00"
        );
        assert_eq!(
            iso(
                json!({"input_format": "%d.%m.%Y %H:%M", "zone": "+05:30"}),
                json!("01.02.2024 03:04")
            ),
            "2024-02-01T03:04:00+05:30"
        );
        assert_eq!(
            iso(json!({"input_format": "%d/%m/%Y"}), json!("03/02/2024")),
            "2024-02-03T00:00:00+00:00"
        );
        assert_eq!(
            iso(json!({"operation": "now"}), json!(null)),
            "2024-03-10T06:30:00+00:00"
        );
        refuse(
            "date",
            json!({"operation": "parse"}),
            json!("soon"),
            "/value: \"soon\" is no date",
        );
        refuse(
            "date",
            json!({"operation": "parse"}),
            json!([]),
            "/value: expected a date, found a list",
        );
        refuse(
            "date",
            json!({"operation": "parse", "zone": "Mars/Base"}),
            json!(0),
            "/zone: there is no time zone",
        );
        refuse(
            "date",
            json!({"operation": "parse"}),
            json!(1e300),
            "/value: ",
        );
    }

    /// New York: 2024-03-10 02:00 does not exist, 2024-11-03 01:30 comes twice (tz database).
    #[test]
    fn clocks_change() {
        let ny = |ambiguous: &str| json!({"zone": "America/New_York", "ambiguous": ambiguous});
        assert_eq!(
            iso(ny("compatible"), json!("2024-03-10T02:30")),
            "2024-03-10T03:30:00-04:00"
        );
        assert_eq!(
            iso(ny("earlier"), json!("2024-03-10T02:30")),
            "2024-03-10T01:30:00-05:00"
        );
        assert_eq!(
            iso(ny("earlier"), json!("2024-11-03T01:30")),
            "2024-11-03T01:30:00-04:00"
        );
        assert_eq!(
            iso(ny("later"), json!("2024-11-03T01:30")),
            "2024-11-03T01:30:00-05:00"
        );
        refuse(
            "date",
            json!({"operation": "parse", "zone": "America/New_York", "ambiguous": "reject"}),
            json!("2024-11-03T01:30"),
            "comes twice or not at all",
        );
        let add = |unit: &str, amount: f64| json!({"operation": "add", "unit": unit, "amount": amount, "zone": "America/New_York"});
        assert_eq!(
            iso(add("days", 1.0), json!("2024-03-09T12:00")),
            "2024-03-10T12:00:00-04:00"
        );
        assert_eq!(
            iso(add("hours", 24.0), json!("2024-03-09T12:00")),
            "2024-03-10T13:00:00-04:00"
        );
    }

    #[test]
    fn dates_are_computed() {
        let with = |operation: &str, unit: &str, amount: f64| json!({"operation": operation, "unit": unit, "amount": amount});
        assert_eq!(
            iso(with("add", "months", 1.0), json!("2024-01-31")),
            "2024-02-29T00:00:00+00:00"
        );
        assert_eq!(
            iso(with("subtract", "years", 1.0), json!("2024-02-29")),
            "2023-02-28T00:00:00+00:00"
        );
        assert_eq!(
            iso(with("add", "minutes", 1.5), json!("2024-01-01")),
            "2024-01-01T00:01:30+00:00"
        );
        assert_eq!(
            iso(with("add", "quarters", -1.0), json!("2024-01-01")),
            "2023-10-01T00:00:00+00:00"
        );
        let day = json!("2024-08-15T13:45:30.250");
        for (unit, start, end) in [
            ("years", "2024-01-01T00:00:00", "2024-12-31T23:59:59.999"),
            ("quarters", "2024-07-01T00:00:00", "2024-09-30T23:59:59.999"),
            ("months", "2024-08-01T00:00:00", "2024-08-31T23:59:59.999"),
            ("weeks", "2024-08-12T00:00:00", "2024-08-18T23:59:59.999"),
            ("days", "2024-08-15T00:00:00", "2024-08-15T23:59:59.999"),
            ("hours", "2024-08-15T13:00:00", "2024-08-15T13:59:59.999"),
            ("seconds", "2024-08-15T13:45:30", "2024-08-15T13:45:30.999"),
        ] {
            assert_eq!(
                iso(json!({"operation": "truncate", "unit": unit}), day.clone()),
                format!("{start}+00:00"),
                "{unit}"
            );
            assert_eq!(
                iso(json!({"operation": "end_of", "unit": unit}), day.clone()),
                format!("{end}+00:00"),
                "{unit}"
            );
        }
        let sunday = json!({"operation": "truncate", "unit": "weeks", "week_starts": "sunday"});
        assert_eq!(
            iso(sunday, json!("2024-08-15")),
            "2024-08-11T00:00:00+00:00"
        );
        // In Asuncion clocks went forward at midnight of 2023-10-01: the day began at one.
        let late = json!({"operation": "truncate", "unit": "days", "zone": "America/Asuncion"});
        assert_eq!(
            iso(late, json!("2023-10-01T12:00")),
            "2023-10-01T01:00:00-03:00"
        );
        refuse(
            "date",
            with("add", "days", 0.5),
            json!("2024-01-01"),
            "/amount: a part of days has no fixed length",
        );
        refuse(
            "date",
            with("add", "years", 99_999.0),
            json!("2024-01-01"),
            "the result is no date",
        );
        refuse(
            "date",
            json!({"operation": "add"}),
            json!("2024-01-01"),
            "/amount: is required",
        );
    }

    #[test]
    fn differences_are_counted() {
        let between = |unit: &str, from: &str, to: &str, zone: &str| {
            run(
                "date",
                json!({"operation": "difference", "unit": unit, "other": to, "zone": zone}),
                json!(from),
            )
            .expect("valid")
        };
        assert_eq!(
            between("days", "2024-01-01", "2024-03-01", "UTC")["amount"],
            60.0
        );
        assert_eq!(
            between("months", "2024-01-31", "2024-02-29", "UTC")["duration"],
            "P29D"
        );
        assert_eq!(
            between(
                "hours",
                "2024-03-10T00:00",
                "2024-03-11T00:00",
                "America/New_York"
            )["amount"],
            23.0
        );
        assert_eq!(
            between(
                "days",
                "2024-03-10T00:00",
                "2024-03-11T00:00",
                "America/New_York"
            )["amount"],
            1.0
        );
        assert_eq!(
            between("quarters", "2024-01-01", "2025-07-01", "UTC")["amount"]
                .as_f64()
                .map(|n| (n * 100.0).round()),
            Some(598.0)
        );
        assert_eq!(
            between("seconds", "2024-01-01T00:00:01", "2024-01-01", "UTC")["amount"],
            -1.0
        );
    }

    #[test]
    fn dates_are_written() {
        let text = |format: &str| {
            run(
                "date",
                json!({"operation": "format", "format": format, "zone": "Europe/Paris"}),
                json!("2024-07-14T10:00:00Z"),
            )
            .expect("valid")["text"]
                .clone()
        };
        for (format, expected) in [
            ("iso", "2024-07-14T12:00:00+02:00"),
            ("date", "2024-07-14"),
            ("time", "12:00:00"),
            ("rfc2822", "Sun, 14 Jul 2024 12:00:00 +0200"),
            ("http", "Sun, 14 Jul 2024 10:00:00 GMT"),
            ("unix", "1720951200"),
            ("unix_ms", "1720951200000"),
            ("%d.%m.%y %A", "14.07.24 Sunday"),
        ] {
            assert_eq!(text(format), expected, "{format}");
        }
        let all = run(
            "date",
            json!({"operation": "parse", "zone": "Europe/Paris"}),
            json!("2024-12-30"),
        )
        .expect("valid");
        assert_eq!(
            (
                &all["weekday"],
                &all["week"],
                &all["day_of_year"],
                &all["is_summer_time"]
            ),
            (&json!("monday"), &json!(1), &json!(365), &json!(false))
        );
        refuse(
            "date",
            json!({"operation": "format", "format": "%!"}),
            json!("2024-01-01"),
            "/format: ",
        );
    }
}
