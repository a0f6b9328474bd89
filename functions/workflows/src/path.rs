//! Path parameters beside `{id}`.

use nodeai_app::Cx;
use nodeai_http::openapi::Describe;
use nodeai_http::{FromCx, Problem};
use std::rc::Rc;

/// `{number}` of a version. Anything but a number cannot exist and is a 404.
pub struct Number(pub i64);

impl FromCx<Cx> for Number {
    async fn from_cx(cx: Rc<Cx>) -> Result<Self, Problem> {
        let number = cx
            .parameter("number")
            .and_then(|text| text.parse::<i32>().ok());
        number
            .map(|number| Self(number.into()))
            .ok_or_else(|| Problem::not_found("there is no version with that number"))
    }

    fn describe(_: &mut Describe) {}
}

/// `{share_id}`: a UUID. Anything else cannot exist and is a 404.
pub struct ShareId(pub String);

impl FromCx<Cx> for ShareId {
    async fn from_cx(cx: Rc<Cx>) -> Result<Self, Problem> {
        let id = uuid::Uuid::parse_str(cx.parameter("share_id").unwrap_or_default());
        id.map(|id| Self(id.to_string()))
            .map_err(|_| Problem::not_found("there is no such share"))
    }

    fn describe(_: &mut Describe) {}
}
