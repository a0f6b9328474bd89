//! Text and structure out of documents: PDF, DOCX, XLSX, CSV, HTML, Markdown, plain text.
//!
//! A document is somebody else's: it may be broken, or made to hurt. What is unpacked is bounded by [`Limits`] before anybody
//! reads it, entities are never expanded, and nothing here does I/O. What a parser of others takes in memory and time is bounded
//! by the component that this runs in, which has an instance for each file.

mod archive;
mod docx;
mod out;
mod pdf;
mod text;
mod web;
mod xlsx;

use serde::{Deserialize, Serialize};

/// What is read at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Characters of the text; more are cut off.
    pub characters: usize,
    /// Bytes of everything in an archive, unpacked.
    pub unpacked: u64,
    /// Unpacked bytes for each packed one, of entries that are large.
    pub ratio: u64,
    /// Entries of an archive.
    pub entries: usize,
    /// Pages of a PDF.
    pub pages: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            characters: 4_000_000,
            unpacked: 64 << 20,
            ratio: 200,
            entries: 2_000,
            pages: 5_000,
        }
    }
}

/// The text of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extracted {
    /// `pdf`, `docx`, `xlsx`, `csv`, `html`, `markdown`, `text`.
    pub format: String,
    /// The text.
    pub text: String,
    /// Its parts, in order.
    pub sections: Vec<Section>,
    /// Whether it was cut off.
    pub truncated: bool,
}

/// A part of a text; `start` and `end` count characters (Unicode code points).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// `page`, `sheet`, `heading`.
    pub kind: String,
    /// A page's number, a sheet's name, a heading.
    pub title: String,
    /// Level of a heading, 1 to 6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// Where it begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// Why a file is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a kind of document that is read.
    #[error(
        "text is not taken out of {0}; PDF, DOCX, XLSX, CSV, HTML, Markdown and plain text are read"
    )]
    Unsupported(String),
    /// It needs a password.
    #[error("the document is encrypted")]
    Encrypted,
    /// It is not what it says.
    #[error("the document is broken: {0}")]
    Broken(String),
    /// It would unpack to more than is read.
    #[error("the document is refused: {0}")]
    Hostile(String),
    /// There is nothing but pictures.
    #[error("the document has no text: its pages are pictures")]
    NoText,
}

impl Refused {
    fn broken(why: impl std::fmt::Display) -> Self {
        Self::Broken(why.to_string())
    }
}

/// Takes the text out of `content`, which has the (sniffed) media type `media_type` and is called `name`.
///
/// # Errors
/// [`Refused`].
pub fn extract(
    content: &[u8],
    media_type: &str,
    name: &str,
    limits: Limits,
) -> Result<Extracted, Refused> {
    if content.starts_with(b"PK\x03\x04") || content.starts_with(b"PK\x05\x06") {
        let mut archive = archive::Archive::open(content, limits)?;
        return match (
            archive.has("word/document.xml"),
            archive.has("xl/workbook.xml"),
        ) {
            (true, _) => docx::extract(&mut archive, limits),
            (_, true) => {
                archive.check_all()?;
                xlsx::extract(content, limits)
            }
            _ => Err(Refused::Unsupported("archives".to_owned())),
        };
    }
    match media_type {
        "application/pdf" => pdf::extract(content, limits),
        "text/html" | "application/xhtml+xml" => web::html(content, limits),
        "text/markdown" => text::markdown(content, limits),
        "text/csv" | "text/tab-separated-values" => text::table(content, name, limits),
        "application/json" | "application/yaml" => text::plain(content, limits),
        other if other.starts_with("text/") => text::plain(content, limits),
        other => Err(Refused::Unsupported(other.to_owned())),
    }
}
