//! SQL text. Every statement yields one row of text columns and, after admission, checks that the session is still
//! the one that admission made (`nodeai.nonce`): a transaction pooler would silently swap it.

use crate::port::{Column, Filter, Order, Select, Ty};
use nodeai_ports::PgParam;

/// A statement and its parameters.
pub(crate) type Statement = (String, Vec<PgParam>);

/// Admits a caller and makes the session: columns principal, claims, role. `function` is `admit` or `admit_run`.
pub(crate) fn admission(function: &str, request: String, nonce: &str) -> Statement {
    let sql = format!(
        "SELECT a.principal::text, a.claims, a.role, \
         set_config('request.jwt.claims', a.claims, false), \
         set_config('nodeai.nonce', $2::text, false), \
         set_config('role', a.role, false) \
         FROM nodeai.{function}(($1::text)::jsonb) a"
    );
    (sql, vec![PgParam::Text(request), text(nonce)])
}

/// Takes up a queued run and makes its owner's session: columns answer, claims, role.
pub(crate) fn claim(request: String, nonce: &str) -> Statement {
    let sql = "SELECT c.answer::text, c.claims, c.role, \
         set_config('request.jwt.claims', c.claims, false), \
         set_config('nodeai.nonce', $2::text, false), \
         set_config('role', c.role, false) \
         FROM nodeai.queue_claim(($1::text)::jsonb) c";
    (sql.to_owned(), vec![PgParam::Text(request), text(nonce)])
}

/// Makes an admitted session anew on another connection.
pub(crate) fn restore(claims: &str, role: &str, nonce: &str) -> Statement {
    let sql = "SELECT set_config('request.jwt.claims', $1::text, false), \
         set_config('nodeai.nonce', $2::text, false), \
         set_config('role', $3::text, false)";
    (sql.to_owned(), vec![text(claims), text(nonce), text(role)])
}

/// Calls `public.<name>(jsonb)` in the admitted session.
pub(crate) fn function(name: &str, args: String, nonce: &str) -> Statement {
    let sql = fenced(&format!(
        "coalesce(public.{name}(($2::text)::jsonb)::text, 'null')"
    ));
    (sql, vec![text(nonce), PgParam::Text(args)])
}

/// Calls a function with the claims of an admitted caller on a connection that has no session, in one statement.
pub(crate) fn act(name: &str, args: String, claims: &str, role: &str) -> Statement {
    let sql = "SELECT coalesce(nodeai.act($1::text, $2::text, $3::text, ($4::text)::jsonb)::text, 'null')";
    let params = vec![text(claims), text(role), text(name), PgParam::Text(args)];
    (sql.to_owned(), params)
}

/// Reads rows as one JSON array.
pub(crate) fn select(query: &Select, nonce: &str) -> Statement {
    let mut params = vec![text(nonce)];
    let columns: Vec<&str> = query.columns.iter().map(|c| c.name).collect();
    let mut inner = format!("SELECT {} FROM public.{}", columns.join(", "), query.table);
    if !query.filters.is_empty() {
        inner += &format!(" WHERE {}", all(&query.filters, " AND ", &mut params));
    }
    if !query.order.is_empty() {
        let keys: Vec<String> = query.order.iter().map(order).collect();
        inner += &format!(" ORDER BY {}", keys.join(", "));
    }
    inner += &format!(" LIMIT {}", query.limit);
    let rows = format!("(SELECT coalesce(json_agg(t), '[]'::json)::text FROM ({inner}) t)");
    (fenced(&rows), params)
}

fn fenced(expression: &str) -> String {
    format!(
        "SELECT CASE WHEN current_setting('nodeai.nonce', true) = $1::text THEN {expression} END"
    )
}

fn text(value: &str) -> PgParam {
    PgParam::Text(value.to_owned())
}

fn order(order: &Order) -> String {
    match order {
        Order::Asc(column) => format!("{} ASC", column.name),
        Order::Desc(column) => format!("{} DESC", column.name),
    }
}

fn all(filters: &[Filter], operator: &str, params: &mut Vec<PgParam>) -> String {
    let parts: Vec<String> = filters.iter().map(|f| condition(f, params)).collect();
    format!("({})", parts.join(operator))
}

fn condition(filter: &Filter, params: &mut Vec<PgParam>) -> String {
    match filter {
        Filter::Eq(c, v) => compare(c, "=", v, params),
        Filter::Ne(c, v) => compare(c, "<>", v, params),
        Filter::Lt(c, v) => compare(c, "<", v, params),
        Filter::Lte(c, v) => compare(c, "<=", v, params),
        Filter::Gt(c, v) => compare(c, ">", v, params),
        Filter::Gte(c, v) => compare(c, ">=", v, params),
        Filter::In(c, values) => {
            let list = array_literal(values);
            let n = push(params, list);
            format!("{} = ANY((${n}::text)::{}[])", c.name, c.ty.sql())
        }
        Filter::IsNull(c) => format!("{} IS NULL", c.name),
        Filter::NotNull(c) => format!("{} IS NOT NULL", c.name),
        Filter::ContainsText(c, v) => {
            let n = push(params, like_pattern(v));
            format!("{} ILIKE ${n}::text", c.name)
        }
        Filter::HasElement(c, v) => {
            let n = push(params, array_literal(std::slice::from_ref(v)));
            format!("{} @> (${n}::text)::{}", c.name, c.ty.sql())
        }
        Filter::And(filters) => all(filters, " AND ", params),
        Filter::Or(filters) => all(filters, " OR ", params),
    }
}

fn compare(column: &Column, operator: &str, value: &str, params: &mut Vec<PgParam>) -> String {
    let n = push(params, value.to_owned());
    match column.ty {
        Ty::Text => format!("{} {operator} ${n}::text", column.name),
        ty => format!("{} {operator} (${n}::text)::{}", column.name, ty.sql()),
    }
}

fn push(params: &mut Vec<PgParam>, value: String) -> usize {
    params.push(PgParam::Text(value));
    params.len()
}

/// `%text%` with LIKE's own characters escaped.
pub(crate) fn like_pattern(value: &str) -> String {
    let escaped = value
        .replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_");
    format!("%{escaped}%")
}

/// A Postgres array literal with every element quoted.
pub(crate) fn array_literal(values: &[String]) -> String {
    let quoted: Vec<String> = values
        .iter()
        .map(|v| format!("\"{}\"", v.replace('\\', "\\\\").replace('"', "\\\"")))
        .collect();
    format!("{{{}}}", quoted.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Column = Column::new("id", Ty::Uuid);
    const NAME: Column = Column::new("name", Ty::Text);
    const TAGS: Column = Column::new("tags", Ty::TextArray);

    #[test]
    fn values_are_parameters_and_never_text() {
        let query = Select::from("workflows", &[ID, NAME])
            .filter(Filter::Eq(NAME, "'; DROP TABLE x; --".into()))
            .filter(Filter::HasElement(TAGS, "a\"b".into()));
        let (sql, params) = select(&query, "n");
        assert!(sql.contains("WHERE (name = $2::text AND tags @> ($3::text)::text[]) LIMIT 1"));
        assert!(!sql.contains("DROP"));
        assert_eq!(params[2], PgParam::Text("{\"a\\\"b\"}".into()));
    }

    #[test]
    fn every_statement_checks_the_session() {
        let query = Select::from("workflows", &[ID]);
        assert!(select(&query, "n").0.contains("'nodeai.nonce', true) = $1"));
        assert!(
            function("write", "{}".into(), "n")
                .0
                .contains("'nodeai.nonce', true) = $1")
        );
    }

    #[test]
    fn like_patterns_match_the_text_itself() {
        assert_eq!(like_pattern("50%_\\"), "%50\\%\\_\\\\%");
    }
}
