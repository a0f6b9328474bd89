//! Places are exact, sizes hold, and nothing but blanks is lost.

use super::*;
use crate::settings::{Strategy, Unit};
use proptest::prelude::*;
use proptest::strategy::Strategy as _;

fn how(strategy: Strategy, size: usize, overlap: usize) -> Chunking {
    Chunking {
        strategy,
        size,
        overlap,
        ..Chunking::default()
    }
}

fn texts(text: &str, how: &Chunking) -> Vec<String> {
    split(text, how)
        .into_iter()
        .map(|chunk| chunk.text)
        .collect()
}

fn at(text: &str, place: &Range<usize>) -> String {
    text.chars().skip(place.start).take(place.len()).collect()
}

/// All that must hold of any text.
fn check(text: &str, how: &Chunking) {
    let chunks = split(text, how);
    let mut seen = vec![false; text.chars().count()];
    for chunk in &chunks {
        assert_eq!(at(text, &chunk.place), chunk.text);
        assert_eq!(chunk.text.trim(), chunk.text, "no blanks around");
        assert!(!chunk.text.is_empty());
        let size = match how.unit {
            Unit::Characters => chunk.text.chars().count(),
            Unit::Tokens => crate::estimated_tokens(&chunk.text),
        };
        assert!(size <= how.size, "{size} > {}", how.size);
        seen[chunk.place.clone()].fill(true);
        if let Some((_, parent)) = &chunk.parent {
            assert!(parent.start <= chunk.place.start && chunk.place.end <= parent.end);
        }
    }
    let lost: String = text
        .chars()
        .zip(seen)
        .filter(|(_, seen)| !seen)
        .map(|(c, _)| c)
        .collect();
    assert_eq!(lost.trim(), "", "nothing but blanks is lost");
}

#[test]
fn paragraphs_stay_whole_where_they_fit() {
    let text = "One is short.\n\nTwo is short, too.\n\nThree is a paragraph with two sentences. Here is the other one, which is longer.";
    let cut = texts(text, &how(Strategy::Recursive, 60, 0));
    assert_eq!(
        cut,
        [
            "One is short.\n\nTwo is short, too.",
            "Three is a paragraph with two sentences.",
            "Here is the other one, which is longer.",
        ]
    );
}

#[test]
fn a_chunk_begins_with_the_end_of_the_one_before() {
    let text = "a1 a2 a3 a4 a5 a6 a7 a8 a9 b1 b2 b3 b4 b5 b6 b7 b8 b9";
    let chunks = split(text, &how(Strategy::Token, 24, 6));
    for pair in chunks.windows(2) {
        assert!(pair[1].place.start < pair[0].place.end, "{pair:?}");
    }
    assert!(chunks.len() > 2);
}

#[test]
fn sections_know_their_headings() {
    let text = "Intro\n\n# Guide\n\nHello.\n\n## Set-up `x`\n\nDo this.\n\n> # no section\n\n```\n# nor this\n```\n\n# Other\n\nBye.\n";
    let chunks = split(text, &how(Strategy::Markdown, 200, 0));
    let ways: Vec<Value> = chunks
        .iter()
        .map(|c| c.metadata.get("headings").cloned().unwrap_or_default())
        .collect();
    assert_eq!(
        ways,
        [
            Value::Null,
            json!(["Guide"]),
            json!(["Guide", "Set-up x"]),
            json!(["Other"]),
        ]
    );
    assert!(chunks[2].text.contains("# nor this"));
    check(text, &how(Strategy::Markdown, 200, 0));
}

#[test]
fn a_sentence_has_its_window_around_it() {
    let text = "One. Two is here. Three! Four? Five.";
    let set = Chunking {
        window: 1,
        ..how(Strategy::Sentence, 100, 0)
    };
    let chunks = split(text, &set);
    assert_eq!(chunks.len(), 5);
    let (_, parent) = chunks[2].parent.clone().unwrap();
    assert_eq!(at(text, &parent), "Two is here. Three! Four?");
}

#[test]
fn children_lie_in_their_parents() {
    let text = "The first sentence of many. ".repeat(40);
    let set = Chunking {
        parent_size: Some(400),
        ..how(Strategy::Recursive, 100, 20)
    };
    let chunks = split(&text, &set);
    check(&text, &set);
    let parents: std::collections::BTreeSet<usize> = chunks
        .iter()
        .filter_map(|c| Some(c.parent.as_ref()?.0))
        .collect();
    assert!(parents.len() >= 3, "{parents:?}");
}

#[test]
fn an_ideograph_is_a_token_and_a_latin_letter_a_quarter() {
    assert_eq!(crate::estimated_tokens("abcdefgh"), 2);
    assert_eq!(crate::estimated_tokens("東京都"), 3);
    let set = Chunking {
        unit: Unit::Tokens,
        ..how(Strategy::Recursive, 50, 0)
    };
    check(&"東京都は日本の首都です。".repeat(20), &set);
}

fn any_how() -> impl proptest::strategy::Strategy<Value = Chunking> {
    let strategies = vec![
        Strategy::Recursive,
        Strategy::Markdown,
        Strategy::Sentence,
        Strategy::Token,
    ];
    (
        prop::sample::select(strategies),
        50_usize..120,
        0_usize..24,
        prop::sample::select(vec![Unit::Characters, Unit::Tokens]),
        prop::option::of(130_usize..300),
    )
        .prop_map(|(strategy, size, overlap, unit, parent)| Chunking {
            strategy,
            size,
            overlap,
            unit,
            window: 2,
            breakpoint: 95.0,
            parent_size: parent.filter(|_| strategy != Strategy::Sentence),
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_cut_exactly(text in "(\\PC{0,40}|[a-z ,.!?]{0,80}|\n{1,3}|#{1,3} |> |\t|[\u{300}-\u{36f}]{1,80}|\u{1F468}\u{200D}\u{1F469}|[一-龠]{0,60}){0,12}", set in any_how()) {
        check(&text, &set);
    }
}
