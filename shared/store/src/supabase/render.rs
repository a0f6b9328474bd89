//! PostgREST requests (docs.postgrest.org: horizontal filtering, logical operators, ordering, functions as RPC).

use crate::port::{Column, Filter, Order, Select};
use crate::postgres::{array_literal, like_pattern};
use bytes::Bytes;
use http::{Request, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Where a project's REST interface is and how to speak to it.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint<'a> {
    pub base: &'a str,
    pub apikey: &'a str,
    pub bearer: Option<&'a str>,
}

/// `GET /rest/v1/<table>?…`
pub(crate) fn select(
    endpoint: &Endpoint<'_>,
    query: &Select,
) -> Result<Request<Bytes>, http::Error> {
    let columns: Vec<&str> = query.columns.iter().map(|c| c.name).collect();
    let mut parts = vec![format!("select={}", columns.join(","))];
    parts.extend(query.filters.iter().map(top_level));
    if !query.order.is_empty() {
        let keys: Vec<String> = query.order.iter().map(order).collect();
        parts.push(format!("order={}", keys.join(",")));
    }
    parts.push(format!("limit={}", query.limit));
    let uri = format!(
        "{}/rest/v1/{}?{}",
        endpoint.base,
        query.table,
        parts.join("&")
    );
    request(endpoint, Request::get(uri)).body(Bytes::new())
}

/// `POST /rest/v1/rpc/<name>` with the single jsonb argument `p`; without arguments for a function that takes none.
pub(crate) fn function(
    endpoint: &Endpoint<'_>,
    name: &str,
    args: Option<&str>,
) -> Result<Request<Bytes>, http::Error> {
    let uri = format!("{}/rest/v1/rpc/{name}", endpoint.base);
    let body = args.map_or("{}".to_owned(), |args| format!("{{\"p\":{args}}}"));
    request(endpoint, Request::post(uri))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Bytes::from(body))
}

fn request(endpoint: &Endpoint<'_>, builder: http::request::Builder) -> http::request::Builder {
    let builder = builder
        .header("apikey", endpoint.apikey)
        .header(header::ACCEPT, "application/json");
    match endpoint.bearer {
        Some(token) => builder.header(header::AUTHORIZATION, format!("Bearer {token}")),
        None => builder,
    }
}

fn order(order: &Order) -> String {
    match order {
        Order::Asc(column) => format!("{}.asc", column.name),
        Order::Desc(column) => format!("{}.desc", column.name),
    }
}

/// `column=op.value` or `or=(…)`.
fn top_level(filter: &Filter) -> String {
    match filter {
        Filter::And(filters) => format!("and=({})", nested_list(filters)),
        Filter::Or(filters) => format!("or=({})", nested_list(filters)),
        simple => {
            let (column, operator, value) = operation(simple, false);
            format!("{column}={operator}.{}", encode(&value))
        }
    }
}

/// `column.op.value`, `and(…)`, `or(…)` inside a logical operator; values are quoted there.
fn nested(filter: &Filter) -> String {
    match filter {
        Filter::And(filters) => format!("and({})", nested_list(filters)),
        Filter::Or(filters) => format!("or({})", nested_list(filters)),
        simple => {
            let (column, operator, value) = operation(simple, true);
            format!("{column}.{operator}.{}", encode(&value))
        }
    }
}

fn nested_list(filters: &[Filter]) -> String {
    let parts: Vec<String> = filters.iter().map(nested).collect();
    parts.join(",")
}

fn operation(filter: &Filter, quote_values: bool) -> (&'static str, &'static str, String) {
    let value = |c: &Column, operator: &'static str, v: &str| {
        (
            c.name,
            operator,
            if quote_values { quote(v) } else { v.to_owned() },
        )
    };
    match filter {
        Filter::Eq(c, v) => value(c, "eq", v),
        Filter::Ne(c, v) => value(c, "neq", v),
        Filter::Lt(c, v) => value(c, "lt", v),
        Filter::Lte(c, v) => value(c, "lte", v),
        Filter::Gt(c, v) => value(c, "gt", v),
        Filter::Gte(c, v) => value(c, "gte", v),
        Filter::In(c, values) => {
            let list: Vec<String> = values.iter().map(|v| quote(v)).collect();
            (c.name, "in", format!("({})", list.join(",")))
        }
        Filter::IsNull(c) => (c.name, "is", "null".to_owned()),
        Filter::NotNull(c) => (c.name, "not.is", "null".to_owned()),
        Filter::ContainsText(c, v) => value(c, "ilike", &like_pattern(v)),
        Filter::HasElement(c, v) => value(c, "cs", &array_literal(std::slice::from_ref(v))),
        Filter::And(_) | Filter::Or(_) => ("", "", String::new()),
    }
}

/// Double quotes keep PostgREST's reserved characters (`,.:()`) literal; `"` and `\` are escaped.
fn quote(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

fn encode(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::Ty;

    const ID: Column = Column::new("id", Ty::Uuid);
    const NAME: Column = Column::new("name", Ty::Text);
    const AT: Column = Column::new("created_at", Ty::Time);

    fn uri(query: &Select) -> String {
        let endpoint = Endpoint {
            base: "http://x",
            apikey: "k",
            bearer: Some("t"),
        };
        select(&endpoint, query).unwrap().uri().to_string()
    }

    #[test]
    fn a_page_renders_as_nested_logic() {
        let query = Select::from("workflows", &[ID, NAME]).page(
            AT,
            ID,
            Some(("2026-01-01T00:00:00+00:00".into(), "7".into())),
            3,
        );
        let decoded = percent_encoding::percent_decode_str(&uri(&query))
            .decode_utf8()
            .unwrap()
            .into_owned();
        assert_eq!(
            decoded,
            "http://x/rest/v1/workflows?select=id,name\
             &created_at=lte.2026-01-01T00:00:00+00:00\
             &or=(created_at.lt.\"2026-01-01T00:00:00+00:00\",id.lt.\"7\")\
             &order=created_at.desc,id.desc&limit=3"
        );
    }

    #[test]
    fn values_cannot_add_parameters() {
        let query =
            Select::from("workflows", &[ID]).filter(Filter::Eq(NAME, "a&org_id=eq.1".into()));
        assert!(!uri(&query).contains("&org_id"));
    }
}
