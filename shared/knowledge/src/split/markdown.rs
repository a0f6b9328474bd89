//! Sections of Markdown: from a heading to the next one, with the headings above.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::ops::Range;

/// A section. Places are bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) place: Range<usize>,
    /// The way to it, its own heading last.
    pub(super) headings: Vec<String>,
}

/// All sections; together they are the whole text.
pub(super) fn sections(text: &str) -> Vec<Section> {
    let mut way: Vec<(usize, String)> = Vec::new();
    let mut sections = Vec::new();
    let mut from = 0;
    // A heading in a quotation or a list is no section.
    let mut depth = 0_usize;
    let mut heading: Option<(usize, usize, String)> = None;
    for (event, place) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level, .. }) if depth == 0 => {
                heading = Some((place.start, level as usize, String::new()));
            }
            Event::Start(Tag::BlockQuote(_) | Tag::List(_)) => depth += 1,
            Event::End(TagEnd::BlockQuote(_) | TagEnd::List(_)) => depth = depth.saturating_sub(1),
            Event::Text(words) | Event::Code(words) => {
                if let Some((.., title)) = &mut heading {
                    title.push_str(&words);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let Some((start, level, title)) = heading.take() else {
                    continue;
                };
                if start > from {
                    sections.push(section(from..start, &way));
                }
                from = start;
                way.retain(|(above, _)| *above < level);
                way.push((level, title.trim().to_owned()));
            }
            _ => {}
        }
    }
    if from < text.len() {
        sections.push(section(from..text.len(), &way));
    }
    sections
}

fn section(place: Range<usize>, way: &[(usize, String)]) -> Section {
    Section {
        place,
        headings: way.iter().map(|(_, title)| title.clone()).collect(),
    }
}
