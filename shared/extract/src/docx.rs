//! Word documents (ECMA-376, WordprocessingML): paragraphs, tables, headings.

use crate::archive::Archive;
use crate::out::Out;
use crate::{Extracted, Limits, Refused};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// A paragraph that is being read.
#[derive(Default)]
struct Paragraph {
    start: usize,
    text: String,
    level: Option<u8>,
    /// Tabs and breaks elsewhere are settings.
    in_run: bool,
}

pub(crate) fn extract(archive: &mut Archive<'_>, limits: Limits) -> Result<Extracted, Refused> {
    let xml = archive.read("word/document.xml")?;
    let xml = std::str::from_utf8(&xml).map_err(Refused::broken)?;
    let mut reader = Reader::from_str(xml);
    let mut out = Out::new(limits);
    let mut paragraph: Option<Paragraph> = None;
    let mut in_text = false;
    let mut cells = 0_usize;
    loop {
        if out.is_full() {
            break;
        }
        match reader.read_event().map_err(Refused::broken)? {
            // Office documents have none; who writes one has entities in mind.
            Event::DocType(_) => {
                return Err(Refused::Hostile(
                    "it has a document type declaration".to_owned(),
                ));
            }
            Event::Start(tag) => match tag.local_name().as_ref() {
                "p" => {
                    paragraph = Some(Paragraph {
                        start: out.at(),
                        ..Paragraph::default()
                    });
                }
                "t" => in_text = true,
                "tc" => cells += 1,
                _ => note(&tag, &mut paragraph),
            },
            Event::Empty(tag) => note(&tag, &mut paragraph),
            Event::Text(part) if in_text => add(&mut paragraph, &part),
            Event::CData(part) if in_text => add(&mut paragraph, &part),
            Event::GeneralRef(entity) if in_text => {
                let written = format!("&{};", &*entity);
                let plain = quick_xml::escape::unescape(&written)
                    .map_err(|_| Refused::Hostile(format!("it has the entity {written}")))?;
                add(&mut paragraph, &plain);
            }
            Event::End(tag) => match tag.local_name().as_ref() {
                "t" => in_text = false,
                "r" => {
                    if let Some(paragraph) = &mut paragraph {
                        paragraph.in_run = false;
                    }
                }
                "p" => match paragraph.take() {
                    Some(done) if cells > 0 => {
                        out.space();
                        out.push(&done.text);
                    }
                    Some(done) => end_paragraph(&mut out, &done),
                    None => {}
                },
                "tc" => {
                    cells = cells.saturating_sub(1);
                    out.push("\t");
                }
                "tr" => out.push("\n"),
                _ => {}
            },
            Event::Eof => break,
            _ => {}
        }
    }
    Ok(out.finish("docx"))
}

fn add(paragraph: &mut Option<Paragraph>, text: &str) {
    if let Some(paragraph) = paragraph {
        paragraph.text.push_str(text);
    }
}

fn end_paragraph(out: &mut Out, paragraph: &Paragraph) {
    out.push(&paragraph.text);
    if let Some(level) = paragraph
        .level
        .filter(|_| !paragraph.text.trim().is_empty())
    {
        out.section("heading", &paragraph.text, Some(level), paragraph.start);
    }
    out.push("\n");
}

/// Tabs, breaks and the style of a paragraph: `Heading1` to `Heading6`, `Title`.
fn note(tag: &BytesStart<'_>, paragraph: &mut Option<Paragraph>) {
    let Some(paragraph) = paragraph else { return };
    match tag.local_name().as_ref() {
        "r" => paragraph.in_run = true,
        "tab" if paragraph.in_run => paragraph.text.push('\t'),
        "br" | "cr" if paragraph.in_run => paragraph.text.push('\n'),
        "noBreakHyphen" => paragraph.text.push('-'),
        "pStyle" => {
            let style = tag
                .attributes()
                .flatten()
                .find(|a| a.key.local_name().as_ref() == "val");
            let style = style
                .map(|a| a.value.to_ascii_lowercase())
                .unwrap_or_default();
            paragraph.level = match style.strip_prefix("heading") {
                Some(digit) => digit.parse().ok().filter(|n| (1..=6).contains(n)),
                None => (style == "title").then_some(1),
            };
        }
        _ => {}
    }
}
