//! Answers of writes and pages of lists, with their OpenAPI description.

use crate::caller::{Caller, Scope};
use nodeai_http::openapi::Describe;
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::reply::{Json, Response};
use nodeai_http::{IntoReply, Problem};
use nodeai_store::{Column, Select};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// The answer of a write: a `T` with this status.
pub struct Reply<T, const STATUS: u16 = 200>(Response, PhantomData<T>);

/// 201 with a new `T`; `Location` and `ETag` are set.
pub type Created<T> = Reply<T, 201>;

impl<T, const STATUS: u16> From<Response> for Reply<T, STATUS> {
    fn from(response: Response) -> Self {
        Self(response, PhantomData)
    }
}

impl<T: JsonSchema, const STATUS: u16> IntoReply for Reply<T, STATUS> {
    fn into_reply(self) -> Response {
        self.0
    }

    fn describe(op: &mut Describe) {
        let (status, text) = match STATUS {
            201 => ("201", "Created; Location and ETag are set"),
            202 => ("202", "Accepted; it goes on by itself"),
            _ => ("200", "Done"),
        };
        op.json_response::<T>(status, text);
    }
}

/// 204: done, and nothing to say.
pub struct Done(Response);

impl From<Response> for Done {
    fn from(response: Response) -> Self {
        Self(response)
    }
}

impl IntoReply for Done {
    fn into_reply(self) -> Response {
        self.0
    }

    fn describe(op: &mut Describe) {
        op.empty_response("204", "Done");
    }
}

impl<S: Scope> Caller<S> {
    /// A page of rows, newest first by their UUIDv7 `id`. Errors: 400 for a bad limit or cursor.
    pub async fn newest<T: DeserializeOwned + Serialize>(
        &self,
        query: Select,
        id: Column,
        (limit, cursor): (Option<u32>, Option<String>),
        id_of: impl Fn(&T) -> &str,
    ) -> Result<Json<Page<T>>, Problem> {
        let limit = checked_limit(limit)?;
        let after: Option<Keyset> = cursor.as_deref().map(decode_cursor).transpose()?;
        let rows: Vec<T> = self
            .select(query.newest(id, after.map(|k| k.id), limit + 1))
            .await?;
        let position = |row: &T| Keyset {
            at: String::new(),
            id: id_of(row).to_owned(),
        };
        Ok(Json::ok(Page::cut(rows, limit, position)))
    }
}
