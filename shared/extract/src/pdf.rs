//! PDF: the text of each page, as its fonts' maps say.

use crate::out::Out;
use crate::{Extracted, Limits, Refused};
use lopdf::{DecompressError, Document, Error, LoadOptions};

fn is_bomb(error: &Error) -> bool {
    matches!(
        error,
        Error::Decompress(DecompressError::MemoryLimitExceeded { .. })
    )
}

fn fault(error: Error) -> Refused {
    match is_bomb(&error) {
        true => Refused::Hostile("a stream of it unpacks to more than is read".to_owned()),
        false => Refused::broken(error),
    }
}

pub(crate) fn extract(content: &[u8], limits: Limits) -> Result<Extracted, Refused> {
    let most = usize::try_from(limits.unpacked).unwrap_or(usize::MAX);
    let options = LoadOptions {
        max_decompressed_size: Some(most),
        ..LoadOptions::default()
    };
    let document = Document::load_mem_with_options(content, options).map_err(fault)?;
    if document.is_encrypted() {
        return Err(Refused::Encrypted);
    }
    let pages = document.get_pages();
    if pages.is_empty() {
        return Err(Refused::broken("it has no pages"));
    }
    if pages.len() > limits.pages {
        return Err(Refused::Hostile("it has too many pages".to_owned()));
    }
    let mut out = Out::new(limits);
    let mut unread = None;
    for number in pages.keys() {
        let start = out.at();
        match document.extract_text_with_limit(&[*number], most) {
            Ok(text) => out.push(&text),
            Err(error) if is_bomb(&error) => return Err(fault(error)),
            // One page that cannot be read does not take the others with it.
            Err(error) => unread = Some(error),
        }
        out.end_line();
        out.section("page", &number.to_string(), None, start);
        if out.is_full() {
            break;
        }
    }
    match (out.is_blank(), unread) {
        (true, Some(error)) => Err(Refused::broken(error)),
        (true, None) => Err(Refused::NoText),
        _ => Ok(out.finish("pdf")),
    }
}
