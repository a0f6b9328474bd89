//! `date`: reads, writes and computes dates and times, in every time zone. There is no clock: now is when the run began.

mod read;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{RoundMode, Span, Unit, Zoned, ZonedRound};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{done, entry, given};
use crate::log::NodeError;
use crate::nodes::{Call, Effect, Spec, port};

pub(super) fn spec() -> Spec {
    let units = [
        "years",
        "quarters",
        "months",
        "weeks",
        "days",
        "hours",
        "minutes",
        "seconds",
        "milliseconds",
    ];
    let date =
        |description: &str| json!({"type": ["string", "number"], "description": description});
    entry(
        "date",
        "Date and time",
        "Reads, formats and computes dates and times in any time zone. Days, months and years are those of the calendar of the zone, so that a day may have 23 or 25 hours. Now is when the run began.",
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["operation"],
            "properties": {
                "operation": {"type": "string", "x-nodeai": "literal", "enum": ["now", "parse", "format", "add", "subtract", "difference", "truncate", "end_of"]},
                "value": date("A date: ISO 8601, RFC 2822, seconds or milliseconds since 1970, or by input_format; without it what comes in over the edge"),
                "input_format": {"type": "string", "minLength": 1, "maxLength": 200, "description": "How the value is written, in strptime's letters, such as %d.%m.%Y %H:%M"},
                "zone": {"type": "string", "minLength": 1, "maxLength": 64, "default": "UTC", "description": "Of the result, and of values that name none: an IANA name such as Europe/Berlin, or an offset such as +02:00"},
                "ambiguous": {"type": "string", "enum": ["compatible", "earlier", "later", "reject"], "default": "compatible",
                    "description": "What a time means that comes twice or not at all when clocks change; compatible: the first, or as if clocks had not changed"},
                "format": {"type": "string", "minLength": 1, "maxLength": 200, "description": "How text is written: iso, date, time, rfc2822, http, unix, unix_ms, or strftime's letters; iso unless given"},
                "amount": {"type": "number", "description": "Of add and subtract"},
                "unit": {"type": "string", "enum": units, "description": "Of add and subtract; of difference: what to count; of truncate and end_of: the unit whose beginning or end"},
                "other": date("Of difference: the later date"),
                "week_starts": {"type": "string", "enum": ["monday", "sunday"], "default": "monday"},
            },
        }),
        port(
            "output",
            "The date and its parts; of difference the amount",
            json!({"type": "object", "properties": {
                "text": {"type": "string", "description": "In the format asked for"}, "iso": {"type": "string"}, "unix_ms": {"type": "integer"},
                "zone": {"type": "string"}, "offset": {"type": "string"}, "date": {"type": "string"}, "time": {"type": "string"},
                "year": {"type": "integer"}, "month": {"type": "integer"}, "day": {"type": "integer"}, "hour": {"type": "integer"},
                "minute": {"type": "integer"}, "second": {"type": "integer"}, "weekday": {"type": "string"}, "week": {"type": "integer"},
                "day_of_year": {"type": "integer"}, "is_summer_time": {"type": "boolean"},
                "amount": {"type": "number", "description": "Of difference, in the unit"}, "duration": {"type": "string", "description": "Of difference, ISO 8601"},
            }}),
        ),
        json!({"operation": "add", "value": "{{ inputs.due }}", "amount": 3, "unit": "days", "zone": "Europe/Berlin", "format": "%d.%m.%Y"}),
    )
}

#[derive(Deserialize)]
struct Config {
    operation: String,
    #[serde(default, deserialize_with = "given")]
    value: Option<Value>,
    input_format: Option<String>,
    zone: Option<String>,
    ambiguous: Option<String>,
    format: Option<String>,
    amount: Option<f64>,
    unit: Option<String>,
    other: Option<Value>,
    week_starts: Option<String>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let mut config: Config = call.config()?;
    let zone = read::zone(config.zone.as_deref().unwrap_or("UTC"))?;
    let value = match config.operation.as_str() {
        "now" => call
            .scope
            .run
            .as_ref()
            .map(|run| run.value["started_at"].clone())
            .unwrap_or_default(),
        _ => call.value_or_incoming("value", config.value.take())?,
    };
    let at = config.read("value", &value, &zone)?;
    let done_with = |zoned: Zoned| config.describe(&zoned).map(done);
    match config.operation.as_str() {
        "add" => done_with(config.shift(&at, 1.0)?),
        "subtract" => done_with(config.shift(&at, -1.0)?),
        "truncate" => done_with(config.start_of(&at)?),
        "end_of" => done_with(config.end_of(&at)?),
        "difference" => {
            let other = config.other.clone().ok_or_else(|| missing("other"))?;
            let other = config.read("other", &other, &zone)?;
            Ok(done(config.difference(&at, &other)?))
        }
        _ => done_with(at),
    }
}

fn missing(field: &str) -> NodeError {
    NodeError::config(format!("/{field}: is required for this operation"))
}

/// A result that the calendar does not have.
fn out_of_range(error: &jiff::Error) -> NodeError {
    NodeError::new("date", format!("the result is no date: {error}"), false)
}

impl Config {
    fn read(&self, field: &str, value: &Value, zone: &TimeZone) -> Result<Zoned, NodeError> {
        let how = read::How {
            zone,
            format: self.input_format.as_deref(),
            ambiguous: self.ambiguous.as_deref().unwrap_or("compatible"),
        };
        how.read(value)
            .map_err(|words| NodeError::new("date", format!("/{field}: {words}"), false))
    }

    fn shift(&self, at: &Zoned, sign: f64) -> Result<Zoned, NodeError> {
        let amount = self.amount.ok_or_else(|| missing("amount"))? * sign;
        let unit = self.unit.as_deref().ok_or_else(|| missing("unit"))?;
        let whole = amount.fract() == 0.0 && amount.abs() < 1e15;
        let exact = |seconds: f64| {
            Span::new().try_milliseconds((amount * seconds * 1_000.0).round() as i64)
        };
        let count = amount as i64;
        let span = match (unit, whole) {
            ("years", true) => Span::new().try_years(count),
            ("quarters", true) => Span::new().try_months(count.saturating_mul(3)),
            ("months", true) => Span::new().try_months(count),
            ("weeks", true) => Span::new().try_weeks(count),
            ("days", true) => Span::new().try_days(count),
            ("hours", _) => exact(3_600.0),
            ("minutes", _) => exact(60.0),
            ("seconds", _) => exact(1.0),
            ("milliseconds", _) => exact(0.001),
            _ => {
                return Err(NodeError::config(format!(
                    "/amount: a part of {unit} has no fixed length; use hours or less"
                )));
            }
        };
        let span = span.map_err(|error| out_of_range(&error))?;
        at.checked_add(span).map_err(|error| out_of_range(&error))
    }

    fn start_of(&self, at: &Zoned) -> Result<Zoned, NodeError> {
        let unit = self.unit.as_deref().ok_or_else(|| missing("unit"))?;
        let rounded = |unit| at.round(ZonedRound::new().smallest(unit).mode(RoundMode::Trunc));
        let date = at.date();
        let day = match unit {
            "years" => date.first_of_year(),
            "quarters" => {
                let months = (date.month() - 1) % 3;
                date.first_of_month()
                    .saturating_sub(Span::new().months(months))
            }
            "months" => date.first_of_month(),
            "weeks" => {
                let first = match self.week_starts.as_deref() {
                    Some("sunday") => Weekday::Sunday,
                    _ => Weekday::Monday,
                };
                date.saturating_sub(Span::new().days(date.weekday().since(first)))
            }
            "days" => date,
            "hours" => return rounded(Unit::Hour).map_err(|error| out_of_range(&error)),
            "minutes" => return rounded(Unit::Minute).map_err(|error| out_of_range(&error)),
            "seconds" => return rounded(Unit::Second).map_err(|error| out_of_range(&error)),
            _ => return rounded(Unit::Millisecond).map_err(|error| out_of_range(&error)),
        };
        // Where clocks change at midnight, a day begins later.
        let start = day
            .to_zoned(at.time_zone().clone())
            .and_then(|zoned| zoned.start_of_day());
        start.map_err(|error| out_of_range(&error))
    }

    /// The last millisecond before the next one begins.
    fn end_of(&self, at: &Zoned) -> Result<Zoned, NodeError> {
        let unit = self.unit.as_deref().ok_or_else(|| missing("unit"))?;
        let start = self.start_of(at)?;
        let next = Span::new();
        let next = match unit {
            "years" => next.years(1),
            "quarters" => next.months(3),
            "months" => next.months(1),
            "weeks" => next.weeks(1),
            "days" => next.days(1),
            "hours" => next.hours(1),
            "minutes" => next.minutes(1),
            "seconds" => next.seconds(1),
            _ => next.milliseconds(1),
        };
        let end = start
            .checked_add(next)
            .and_then(|next| next.checked_sub(Span::new().milliseconds(1)));
        end.map_err(|error| out_of_range(&error))
    }

    fn difference(&self, from: &Zoned, to: &Zoned) -> Result<Value, NodeError> {
        let unit = self.unit.as_deref().unwrap_or("days");
        let (total, largest) = match unit {
            "years" | "quarters" => (Unit::Year, Unit::Year),
            "months" => (Unit::Month, Unit::Month),
            "weeks" => (Unit::Week, Unit::Week),
            "days" => (Unit::Day, Unit::Day),
            "hours" => (Unit::Hour, Unit::Hour),
            "minutes" => (Unit::Minute, Unit::Minute),
            "seconds" => (Unit::Second, Unit::Second),
            _ => (Unit::Millisecond, Unit::Millisecond),
        };
        let span = from
            .until((largest, to))
            .map_err(|error| out_of_range(&error))?;
        let amount = span
            .total((total, from))
            .map_err(|error| out_of_range(&error))?;
        let amount = if unit == "quarters" {
            amount * 4.0
        } else {
            amount
        };
        Ok(json!({"amount": amount, "unit": unit, "duration": span.to_string()}))
    }

    fn describe(&self, at: &Zoned) -> Result<Value, NodeError> {
        let iso = || at.strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string();
        let written = |format: &str| {
            let tm = jiff::fmt::strtime::BrokenDownTime::from(at);
            let text = tm.to_string(format);
            text.map_err(|error| NodeError::config(format!("/format: {error}")))
        };
        let text = match self.format.as_deref().unwrap_or("iso") {
            "iso" => iso(),
            "date" => written("%Y-%m-%d")?,
            "time" => written("%H:%M:%S")?,
            "rfc2822" => written("%a, %d %b %Y %H:%M:%S %z")?,
            "http" => at
                .with_time_zone(TimeZone::UTC)
                .strftime("%a, %d %b %Y %H:%M:%S GMT")
                .to_string(),
            "unix" => at.timestamp().as_second().to_string(),
            "unix_ms" => at.timestamp().as_millisecond().to_string(),
            format => written(format)?,
        };
        let zone = at
            .time_zone()
            .iana_name()
            .map_or_else(|| at.offset().to_string(), str::to_owned);
        let summer = at.time_zone().to_offset_info(at.timestamp()).dst().is_dst();
        Ok(json!({
            "text": text, "iso": iso(), "unix_ms": at.timestamp().as_millisecond(),
            "zone": zone, "offset": at.strftime("%:z").to_string(), "date": at.date().to_string(), "time": at.strftime("%H:%M:%S").to_string(),
            "year": at.year(), "month": at.month(), "day": at.day(), "hour": at.hour(), "minute": at.minute(), "second": at.second(),
            "weekday": at.strftime("%A").to_string().to_lowercase(), "week": at.date().iso_week_date().week(),
            "day_of_year": at.day_of_year(), "is_summer_time": summer,
        }))
    }
}
