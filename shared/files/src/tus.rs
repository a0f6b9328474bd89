//! tus 1.0 (<https://tus.io/protocols/resumable-upload>): core, creation, creation-with-upload, creation-defer-length,
//! termination, checksum, expiration.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::collections::BTreeMap;

/// The version.
pub const VERSION: &str = "1.0.0";
/// The extensions.
pub const EXTENSIONS: &str =
    "creation,creation-with-upload,creation-defer-length,termination,checksum,expiration";
/// The media type of a `PATCH`.
pub const MEDIA_TYPE: &str = "application/offset+octet-stream";
/// The status of a piece whose checksum is another one.
pub const CHECKSUM_MISMATCH: u16 = 460;

/// Why a request does not follow the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// 412: another version, or none.
    #[error("Tus-Resumable must be 1.0.0")]
    Version,
    /// 400: a field that cannot be read.
    #[error("{0} {1}")]
    Field(&'static str, &'static str),
    /// 415: another media type.
    #[error("Content-Type must be application/offset+octet-stream")]
    MediaType,
    /// 409: the upload is elsewhere.
    #[error("the upload is at the offset {at}")]
    Offset {
        /// Where it is.
        at: u64,
    },
    /// 413: more than the upload has.
    #[error("the upload has {size} bytes in all")]
    TooLong {
        /// Its size.
        size: u64,
    },
}

/// Checks `Tus-Resumable`.
///
/// # Errors
/// [`Refused::Version`].
pub fn version(value: Option<&str>) -> Result<(), Refused> {
    (value == Some(VERSION))
        .then_some(())
        .ok_or(Refused::Version)
}

/// A field that is a number of bytes.
///
/// # Errors
/// [`Refused::Field`] when it is missing or none.
pub fn bytes(name: &'static str, value: Option<&str>) -> Result<u64, Refused> {
    let text = value.ok_or(Refused::Field(name, "is missing"))?;
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = text
        .parse()
        .ok()
        .filter(|n| digits && *n <= i64::MAX as u64);
    number.ok_or(Refused::Field(name, "must be a number of bytes"))
}

/// The size of a new upload: `Upload-Length`, or `Upload-Defer-Length: 1` for one that is said later.
///
/// # Errors
/// When neither or both are there.
pub fn length(length: Option<&str>, defer: Option<&str>) -> Result<Option<u64>, Refused> {
    match (length, defer) {
        (Some(_), None) => bytes("Upload-Length", length).map(Some),
        (None, Some("1")) => Ok(None),
        (None, None) => Err(Refused::Field("Upload-Length", "is missing")),
        _ => Err(Refused::Field(
            "Upload-Defer-Length",
            "must be 1, and stand without Upload-Length",
        )),
    }
}

/// `Upload-Metadata`: pairs of a key and a value in Base64, with commas between them.
///
/// # Errors
/// A key that is empty or there twice, a value that is not Base64 of UTF-8.
pub fn metadata(value: &str) -> Result<BTreeMap<String, String>, Refused> {
    const NAME: &str = "Upload-Metadata";
    let mut pairs = BTreeMap::new();
    for pair in value.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (key, encoded) = pair.split_once(' ').unwrap_or((pair, ""));
        let decoded = BASE64_STANDARD.decode(encoded.trim()).ok();
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or(Refused::Field(NAME, "must have values in Base64 of UTF-8"))?;
        if pairs.insert(key.to_owned(), text).is_some() {
            return Err(Refused::Field(NAME, "has a key twice"));
        }
    }
    Ok(pairs)
}

/// `Upload-Metadata` as it is answered.
pub fn write_metadata(pairs: &BTreeMap<String, String>) -> String {
    let pair = |(key, text): (&String, &String)| format!("{key} {}", BASE64_STANDARD.encode(text));
    pairs.iter().map(pair).collect::<Vec<_>>().join(",")
}

/// Where an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Bytes that are kept.
    pub offset: u64,
    /// All bytes, once that is known.
    pub size: Option<u64>,
}

impl State {
    /// Whether all bytes are there.
    pub fn is_complete(self) -> bool {
        self.size == Some(self.offset)
    }

    /// Whether a piece may be written: its media type, where it says that it begins, and its length where that is known.
    ///
    /// # Errors
    /// What does not fit.
    pub fn piece(
        self,
        media_type: Option<&str>,
        offset: u64,
        length: Option<u64>,
    ) -> Result<(), Refused> {
        if media_type.map(str::trim) != Some(MEDIA_TYPE) {
            return Err(Refused::MediaType);
        }
        if offset != self.offset {
            return Err(Refused::Offset { at: self.offset });
        }
        match (self.size, length) {
            (Some(size), Some(length)) if length > size - self.offset => {
                Err(Refused::TooLong { size })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_refused() {
        assert_eq!(version(Some("1.0.0")), Ok(()));
        assert_eq!(version(Some("0.2.2")), Err(Refused::Version));
        assert_eq!(version(None), Err(Refused::Version));
    }

    #[test]
    fn a_length_is_said_or_put_off() {
        assert_eq!(length(Some("100"), None), Ok(Some(100)));
        assert_eq!(length(None, Some("1")), Ok(None));
        for (said, put_off) in [
            (None, None),
            (Some("1"), Some("1")),
            (None, Some("0")),
            (Some("-1"), None),
            (Some("+1"), None),
            (Some("1.5"), None),
            (Some("99999999999999999999"), None),
        ] {
            assert!(length(said, put_off).is_err(), "{said:?} {put_off:?}");
        }
    }

    #[test]
    fn the_example_of_the_protocol_is_read() {
        let pairs =
            metadata("filename d29ybGRfZG9taW5hdGlvbl9wbGFuLnBkZg==,is_confidential").unwrap();
        assert_eq!(pairs["filename"], "world_domination_plan.pdf");
        assert_eq!(pairs["is_confidential"], "");
        assert_eq!(metadata(&write_metadata(&pairs)), Ok(pairs));
        assert!(metadata("a !!").is_err());
        assert!(metadata("a YQ==,a YQ==").is_err());
        assert_eq!(metadata(""), Ok(BTreeMap::new()));
    }

    #[test]
    fn a_piece_goes_where_the_upload_is() {
        let state = State {
            offset: 70,
            size: Some(100),
        };
        let media_type = Some(MEDIA_TYPE);
        assert_eq!(state.piece(media_type, 70, Some(30)), Ok(()));
        assert_eq!(state.piece(media_type, 70, None), Ok(()));
        assert_eq!(
            state.piece(media_type, 0, Some(30)),
            Err(Refused::Offset { at: 70 })
        );
        assert_eq!(
            state.piece(media_type, 70, Some(31)),
            Err(Refused::TooLong { size: 100 })
        );
        assert_eq!(
            state.piece(Some("text/plain"), 70, None),
            Err(Refused::MediaType)
        );
        assert!(!state.is_complete());
        let done = State {
            offset: 100,
            ..state
        };
        assert!(done.is_complete());
        let open = State {
            offset: 100,
            size: None,
        };
        assert!(!open.is_complete());
    }
}
