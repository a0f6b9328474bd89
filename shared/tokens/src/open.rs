//! Tokenisers of models with open weights, whose vocabularies their licences let anybody hand on (`data/README.md`).

use flate2::read::GzDecoder;
use std::io::Read;
use std::sync::OnceLock;
use tiktoken_rs::CoreBPE;
use unicode_normalization::UnicodeNormalization;

/// A provider's own tokeniser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Qwen 2 to 3, without those of 3.5 and later.
    Qwen2,
    /// Mistral's Tekken as of September 2024.
    Tekken,
    /// DeepSeek V3 to V3.2 and R1.
    DeepSeekV3,
}

/// How text is cut before pairs are merged, as the tokenisers' own files say.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
/// Numbers are their own pieces already; what none of the alternatives of the file takes stays one piece, up to a letter's neighbour.
const DEEPSEEK_V3: &str = concat!(
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"##,
    r"|\s*[\r\n]+|\s+(?!\S)|\s+|\p{N}+|[^\s\p{L}\p{M}\p{N}\p{P}\p{S}]+(?![\p{L}\p{M}])|[^\s\p{L}\p{M}\p{N}\p{P}\p{S}]",
);

impl Open {
    /// The tokeniser of a model, by its name without the provider. Only names whose tokeniser is known are found.
    pub fn of(model: &str) -> Option<Self> {
        let name = model.to_ascii_lowercase();
        let name = name.rsplit('/').next().unwrap_or_default();
        let has = |part: &str| name.contains(part);
        // Distilled models keep the tokeniser of the model that learnt; hosted ones without weights may have any.
        if has("distill") || ["-max", "-plus", "-turbo", "-flash"].iter().any(|x| has(x)) {
            return None;
        }
        let version = |of: &str| {
            let rest = name.strip_prefix("qwen")?.trim_start_matches('-');
            let rest = rest.strip_prefix(of)?;
            (!rest.starts_with(|c: char| c.is_ascii_digit() || c == '.' || c == 'p')).then_some(())
        };
        let qwen = ["2", "2.5", "2p5", "3"]
            .iter()
            .any(|of| version(of).is_some());
        let tekken = [
            "mistral-nemo",
            "pixtral-12b",
            "ministral-3b-2410",
            "ministral-8b-2410",
        ];
        if qwen || name.starts_with("qwq") {
            Some(Self::Qwen2)
        } else if tekken.iter().any(|x| has(x)) {
            Some(Self::Tekken)
        } else if ["deepseek-v3", "deepseek-r1"].iter().any(|x| has(x)) {
            Some(Self::DeepSeekV3)
        } else {
            None
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Qwen2 => "qwen2",
            Self::Tekken => "tekken_240911",
            Self::DeepSeekV3 => "deepseek_v3",
        }
    }

    /// Tokens of a text; what looks like a special token is text.
    pub fn count(self, text: &str) -> usize {
        let bpe = self.bpe();
        match self {
            Self::Qwen2 => bpe.count_ordinary(&text.nfc().collect::<String>()),
            Self::Tekken => bpe.count_ordinary(text),
            Self::DeepSeekV3 => pieces(text).map(|piece| bpe.count_ordinary(piece)).sum(),
        }
    }

    fn bpe(self) -> &'static CoreBPE {
        static ALL: [OnceLock<CoreBPE>; 3] = [const { OnceLock::new() }; 3];
        let (at, packed, pattern): (_, &[u8], _) = match self {
            Self::Qwen2 => (0, include_bytes!("../data/qwen2.gz"), QWEN2),
            Self::Tekken => (1, include_bytes!("../data/tekken.gz"), TEKKEN),
            Self::DeepSeekV3 => (2, include_bytes!("../data/deepseek_v3.gz"), DEEPSEEK_V3),
        };
        ALL[at].get_or_init(|| {
            let ranks = unpacked(packed).into_iter().zip(0..).collect();
            CoreBPE::new(ranks, std::iter::empty().collect(), pattern)
                .expect("the pattern is a constant")
        })
    }
}

/// Tokens in the order of their ranks: each its length in a byte, and its bytes.
fn unpacked(packed: &[u8]) -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed)
        .read_to_end(&mut bytes)
        .expect("the file is a constant");
    let mut rest = bytes.as_slice();
    let mut tokens = Vec::new();
    while let Some((length, after)) = rest.split_first() {
        let (token, after) = after.split_at(usize::from(*length));
        tokens.push(token.to_vec());
        rest = after;
    }
    tokens
}

/// Up to three digits, a run of Chinese or Japanese characters, or what is between.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = kind(rest.chars().next()?);
        let same = rest
            .char_indices()
            .enumerate()
            .find(|(at, (_, c))| kind(*c) != first || first == Kind::Number && *at == 3);
        let end = same.map_or(rest.len(), |(_, (at, _))| at);
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Kind {
    Number,
    Asian,
    Other,
}

fn kind(c: char) -> Kind {
    match c {
        '一'..='龥' | '\u{3040}'..='ゟ' | '゠'..='ヿ' => Kind::Asian,
        c if c.is_numeric() => Kind::Number,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Row {
        text: String,
        qwen2: usize,
        tekken: usize,
        deepseek_v3: usize,
    }

    /// What the providers' own packages count (`tools/make_vocabularies.py`).
    #[test]
    fn counts_are_those_of_the_providers_packages() {
        let rows: Vec<Row> =
            serde_json::from_str(include_str!("../tests/data/counts.json")).unwrap();
        assert!(rows.len() > 200);
        for row in rows {
            let counts =
                [Open::Qwen2, Open::Tekken, Open::DeepSeekV3].map(|of| of.count(&row.text));
            assert_eq!(
                counts,
                [row.qwen2, row.tekken, row.deepseek_v3],
                "{:?}",
                row.text
            );
        }
    }

    #[test]
    fn only_what_is_known_has_a_tokeniser() {
        for (model, wanted) in [
            ("Qwen/Qwen3-235B-A22B", Some(Open::Qwen2)),
            ("qwen3:8b", Some(Open::Qwen2)),
            ("qwen-3-32b", Some(Open::Qwen2)),
            (
                "accounts/fireworks/models/qwen2p5-vl-72b-instruct",
                Some(Open::Qwen2),
            ),
            ("qwen2.5-coder", Some(Open::Qwen2)),
            ("QwQ-32B", Some(Open::Qwen2)),
            ("Qwen/Qwen3.5-9B", None),
            ("accounts/fireworks/models/qwen3p7-plus", None),
            ("qwen3-max", None),
            ("qwen-30b", None),
            ("open-mistral-nemo", Some(Open::Tekken)),
            ("mistral-large-latest", None),
            ("deepseek-ai/DeepSeek-V3.1", Some(Open::DeepSeekV3)),
            ("deepseek-r1-0528", Some(Open::DeepSeekV3)),
            ("deepseek-r1-distill-llama-70b", None),
            ("deepseek-v4-pro", None),
            ("deepseek-chat", None),
        ] {
            assert_eq!(Open::of(model), wanted, "{model}");
        }
    }
}
