//! What files are about, without any I/O.
//!
//! - [`name`]: which names are stored, and how they are cleaned.
//! - [`media`]: the type by content, and which types may be shown in a browser.
//! - [`range`] and [`condition`]: RFC 9110, sections 13 and 14.
//! - [`disposition`]: `Content-Disposition` by RFC 6266 and 8187.
//! - [`hash`]: a SHA-256 that can be put aside and taken up again; [`digest`]: RFC 9530 and checksums of tus.
//! - [`tus`]: the header fields of tus 1.0 and what they ask for.
//! - [`link`]: tokens of links that expire.
//! - [`sigv4`], [`s3`], [`supabase`]: signed requests to object stores, and what they answer.

pub mod condition;
pub mod digest;
pub mod disposition;
pub mod hash;
pub mod link;
pub mod media;
pub mod name;
pub mod range;
pub mod s3;
pub mod sigv4;
pub mod supabase;
pub mod tus;

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of a hex text.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect::<Option<Vec<u8>>>()
        .filter(|_| text.len().is_multiple_of(2))
}
