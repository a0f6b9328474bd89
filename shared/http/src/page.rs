//! Cursor pages: `?limit=` (default 50, at most 200) and an opaque cursor over a keyset.

use crate::problem::{FieldError, Problem};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Rows on a page when `limit` is not given.
pub const DEFAULT_LIMIT: u32 = 50;
/// The largest `limit`.
pub const MAX_LIMIT: u32 = 200;

/// The position after the last row of a page: the sort key's values. Opaque to clients.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Keyset {
    /// The sort value of the last row, as JSON text of the column.
    pub at: String,
    /// The id of the last row, which makes the order total.
    pub id: String,
}

/// Writes a cursor.
pub fn encode_cursor(position: &Keyset) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(position).unwrap_or_default())
}

/// Reads a cursor back. Errors: 400 when it was not made by [`encode_cursor`].
pub fn decode_cursor<T: DeserializeOwned>(cursor: &str) -> Result<T, Problem> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| {
            Problem::fields(vec![FieldError::parameter(
                "cursor",
                "invalid",
                "the cursor is not one that this API gave",
            )])
        })
}

/// Checks `limit` against 1..=200. Errors: 400.
pub fn checked_limit(limit: Option<u32>) -> Result<u32, Problem> {
    match limit.unwrap_or(DEFAULT_LIMIT) {
        n @ 1..=MAX_LIMIT => Ok(n),
        _ => Err(Problem::fields(vec![FieldError::parameter(
            "limit",
            "out_of_range",
            format!("limit must be between 1 and {MAX_LIMIT}"),
        )])),
    }
}

/// A page of a list.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Cursor of the next page; null on the last one.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of `limit` rows from `limit + 1` fetched ones; `key` gives a row's position.
    pub fn cut(mut rows: Vec<T>, limit: u32, key: impl Fn(&T) -> Keyset) -> Self {
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next_cursor = rows
            .last()
            .filter(|_| more)
            .map(|last| encode_cursor(&key(last)));
        Self {
            data: rows,
            next_cursor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: &u32) -> Keyset {
        Keyset {
            at: n.to_string(),
            id: n.to_string(),
        }
    }

    #[test]
    fn the_last_page_has_no_cursor() {
        assert_eq!(Page::cut(vec![1, 2], 2, key).next_cursor, None);
    }

    #[test]
    fn a_full_page_points_behind_its_last_row() {
        let page = Page::cut(vec![1, 2, 3], 2, key);
        assert_eq!(page.data, [1, 2]);
        let position: Keyset = decode_cursor(&page.next_cursor.unwrap()).unwrap();
        assert_eq!(position, key(&2));
    }

    #[test]
    fn a_foreign_cursor_is_a_400() {
        assert_eq!(decode_cursor::<Keyset>("%%%").unwrap_err().status, 400);
        assert_eq!(decode_cursor::<Keyset>("AAAA").unwrap_err().status, 400);
    }
}
