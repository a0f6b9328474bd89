//! Prometheus' text format 0.0.4, and OpenMetrics 1.0.

use crate::row::Row;
use nodeai_http::money;
use std::fmt::Write;

/// Which text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    Prometheus,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics,
}

impl Format {
    /// What the client asks for by `Accept`; Prometheus' text unless it names the other.
    pub fn accepted(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

type Value = fn(&Row) -> Option<String>;

/// Name, help and value of each counter, without the `_total` of its samples.
const COUNTERS: [(&str, &str, Value); 6] = [
    (
        "nodeai_calls",
        "Calls of models, tools and nodes this month (UTC).",
        |r| Some(r.calls.to_string()),
    ),
    ("nodeai_call_errors", "Of them, those that failed.", |r| {
        Some(r.errors.to_string())
    }),
    ("nodeai_prompt_tokens", "Tokens read.", |r| {
        Some(r.prompt_tokens.to_string())
    }),
    ("nodeai_completion_tokens", "Tokens written.", |r| {
        Some(r.completion_tokens.to_string())
    }),
    ("nodeai_cost_usd", "What calls cost, in US dollars.", |r| {
        Some(money::usd(r.pusd()))
    }),
    (
        "nodeai_unpriced_calls",
        "Model calls whose price is not known.",
        |r| Some(r.unpriced_calls.to_string()),
    ),
];

/// Name of the percentiles.
const LATENCY: &str = "nodeai_call_duration_seconds";

/// The rows, one sample of each metric for each.
pub fn render(rows: &[Row], format: Format) -> String {
    let mut text = String::new();
    for (name, help, value) in COUNTERS {
        // The older text names a counter as its samples are named.
        let family = match format {
            Format::Prometheus => format!("{name}_total"),
            Format::OpenMetrics => name.to_owned(),
        };
        head(&mut text, &family, "counter", help);
        for row in rows {
            if let Some(value) = value(row) {
                let _ = writeln!(text, "{name}_total{{{}}} {value}", labels(row));
            }
        }
    }
    head(
        &mut text,
        LATENCY,
        "gauge",
        "Percentiles of how long calls took, off by 1 % at most.",
    );
    for row in rows {
        for (quantile, us) in [
            ("0.5", row.p50_us),
            ("0.95", row.p95_us),
            ("0.99", row.p99_us),
        ] {
            if let Some(us) = us {
                let labels = labels(row);
                let _ = writeln!(
                    text,
                    "{LATENCY}{{{labels},percentile=\"{quantile}\"}} {}",
                    us / 1e6
                );
            }
        }
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn labels(row: &Row) -> String {
    let label = |(name, value): (&String, &String)| {
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        format!("{name}=\"{value}\"")
    };
    row.key.iter().map(label).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn rows() -> Vec<Row> {
        let key = |model: &str| {
            BTreeMap::from([
                ("model".to_owned(), model.to_owned()),
                ("provider".to_owned(), "openai".to_owned()),
            ])
        };
        let first = Row {
            key: key("gpt-4o"),
            calls: 12,
            errors: 1,
            prompt_tokens: 3_000,
            completion_tokens: 40,
            cost_pusd: "1500000000001".to_owned(),
            p50_us: Some(250_000.0),
            p95_us: Some(1_500_000.0),
            p99_us: Some(2_000_000.0),
            ..Row::default()
        };
        let odd = Row {
            key: key("a \"b\" \\ c\nd"),
            cost_pusd: "0".to_owned(),
            ..Row::default()
        };
        vec![first, odd]
    }

    // `fixtures/parse.py` reads both with the official parsers.
    #[test]
    fn the_texts_are_those_that_the_official_parsers_read() {
        let (plain, open) = (
            include_str!("../fixtures/metrics.txt"),
            include_str!("../fixtures/metrics.openmetrics"),
        );
        assert_eq!(render(&rows(), Format::Prometheus), plain);
        assert_eq!(render(&rows(), Format::OpenMetrics), open);
    }

    #[test]
    fn the_client_chooses() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("*/*"), Format::Prometheus);
    }
}
