//! Texts that are texts already: plain, Markdown, tables.

use crate::out::Out;
use crate::{Extracted, Limits, Refused};
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use std::borrow::Cow;

/// The text of bytes: by their mark (UTF-8, UTF-16), else UTF-8, else Windows-1252, which every byte has a meaning in.
pub(crate) fn decoded(content: &[u8]) -> Cow<'_, str> {
    if let Some((encoding, mark)) = Encoding::for_bom(content) {
        return encoding.decode_without_bom_handling(&content[mark..]).0;
    }
    match UTF_8.decode_without_bom_handling_and_without_replacement(content) {
        Some(text) => text,
        None => WINDOWS_1252.decode_without_bom_handling(content).0,
    }
}

pub(crate) fn plain(content: &[u8], limits: Limits) -> Result<Extracted, Refused> {
    let mut out = Out::new(limits);
    out.push(&decoded(content));
    Ok(out.finish("text"))
}

/// A table of values with separators stays as it is: one sheet, called as the file is.
pub(crate) fn table(content: &[u8], name: &str, limits: Limits) -> Result<Extracted, Refused> {
    let mut out = Out::new(limits);
    out.push(&decoded(content));
    out.section("sheet", name, None, 0);
    Ok(out.finish("csv"))
}

/// Markdown stays as it is; its headings are the sections.
pub(crate) fn markdown(content: &[u8], limits: Limits) -> Result<Extracted, Refused> {
    let text = decoded(content);
    let mut out = Out::new(limits);
    let mut heading: Option<(u8, String, usize)> = None;
    let mut done = 0;
    for (event, range) in Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                // A heading inside of another block begins behind what was written of it.
                let at = range.start.max(done);
                out.push(&text[done..at]);
                done = at;
                heading = Some((number(level), String::new(), out.at()));
            }
            Event::Text(part) | Event::Code(part) => {
                if let Some((_, title, _)) = &mut heading {
                    title.push_str(&part);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                if let Some((level, title, start)) = heading.take() {
                    out.section("heading", &title, Some(level), start);
                }
            }
            _ => {}
        }
        if out.is_full() {
            break;
        }
    }
    out.push(&text[done..]);
    Ok(out.finish("markdown"))
}

fn number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}
