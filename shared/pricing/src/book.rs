//! The price catalogue: models, the history of their prices, tiers, hours and uplifts.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize, Serializer};

use crate::Bucket;
use crate::civil::{date_of_day, day_of_date};
use crate::number::{parse_usd, usd};
use crate::reference::{normal_provider, without_date};

/// A price in pico-USD per million tokens that may depend on the length of the whole prompt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Price {
    base: i64,
    /// Above so many tokens of the whole prompt all tokens cost this; ascending.
    above: Vec<(i64, i64)>,
}

impl Price {
    /// The price of each token of a request with so long a prompt.
    pub fn at(&self, prompt: i64) -> i64 {
        let last = self.above.iter().rev().find(|(above, _)| prompt > *above);
        last.map_or(self.base, |(_, price)| *price)
    }

    /// The highest.
    pub fn most(&self) -> i64 {
        self.above
            .iter()
            .map(|(_, price)| *price)
            .fold(self.base, i64::max)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Flat(String),
    Stepped(Vec<Step>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    Base(String),
    Above(i64, String),
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = |text: &str| {
            parse_usd(text).ok_or_else(|| {
                D::Error::custom("a price is USD in decimal notation, such as \"2.5\"")
            })
        };
        let steps = match Written::deserialize(from)? {
            Written::Flat(text) => {
                return Ok(Self {
                    base: number(&text)?,
                    above: Vec::new(),
                });
            }
            Written::Stepped(steps) => steps,
        };
        let mut price = Self::default();
        for (at, step) in steps.iter().enumerate() {
            let last = price.above.last().map_or(-1, |(above, _)| *above);
            match step {
                Step::Base(text) if at == 0 => price.base = number(text)?,
                Step::Above(above, text) if at > 0 && *above > last => {
                    price.above.push((*above, number(text)?))
                }
                _ => {
                    return Err(D::Error::custom(
                        "a stepped price is [\"base\", [above, \"price\"], …], ascending",
                    ));
                }
            }
        }
        Ok(price)
    }
}

impl Serialize for Price {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let base = usd(i128::from(self.base));
        if self.above.is_empty() {
            return base.serialize(to);
        }
        let above = self
            .above
            .iter()
            .map(|(above, price)| serde_json::json!([above, usd(i128::from(*price))]));
        let all: Vec<_> = std::iter::once(base.into()).chain(above).collect();
        all.serialize(to)
    }
}

/// Prices by bucket, in USD per million tokens. A bucket without a price has that of what it is part of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usd(BTreeMap<Key, Price>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Key {
    Input,
    CacheRead,
    CacheWrite,
    #[serde(rename = "cache_write_1h")]
    CacheWrite1h,
    AudioInput,
    ImageInput,
    Output,
    Reasoning,
    AudioOutput,
    KiloRequests,
}

impl Usd {
    /// The price of a bucket.
    pub fn price(&self, bucket: Bucket) -> Option<&Price> {
        let keys: &[Key] = match bucket {
            Bucket::Uncached => &[Key::Input],
            Bucket::CacheRead => &[Key::CacheRead, Key::Input],
            Bucket::CacheWrite => &[Key::CacheWrite, Key::Input],
            Bucket::CacheWrite1h => &[Key::CacheWrite1h, Key::CacheWrite, Key::Input],
            Bucket::AudioInput => &[Key::AudioInput, Key::Input],
            Bucket::ImageInput => &[Key::ImageInput, Key::Input],
            Bucket::OutputText => &[Key::Output],
            Bucket::Reasoning => &[Key::Reasoning, Key::Output],
            Bucket::AudioOutput => &[Key::AudioOutput, Key::Output],
        };
        keys.iter().find_map(|key| self.0.get(key))
    }

    /// The fee of one request in pico-USD. What 1,000 cost is a whole number of nano-USD in every list, so this is exact.
    pub fn request(&self) -> i64 {
        self.0
            .get(&Key::KiloRequests)
            .map_or(0, |price| price.base / 1_000)
    }

    /// These prices, and the others where these say nothing.
    pub fn over(&self, others: &Self) -> Self {
        let mut all = others.0.clone();
        all.extend(self.0.iter().map(|(key, price)| (*key, price.clone())));
        Self(all)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A model's prices from a day on, or in some hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The first UTC day on which they count; none for always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Minutes of the UTC day: from the first, before the second, maybe across midnight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<(i64, i64)>,
    /// The prices.
    pub usd: Usd,
    #[serde(skip)]
    pub(crate) from_day: i64,
}

impl Row {
    fn counts_at(&self, day: i64, minute: i64) -> bool {
        let in_hours = self.hours.is_none_or(|(start, end)| match end < start {
            true => minute >= start || minute < end,
            false => (start..end).contains(&minute),
        });
        day >= self.from_day && in_hours
    }

    pub(crate) fn name(&self) -> String {
        let from = self.from.as_deref().unwrap_or("base");
        let clock = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
        match self.hours {
            Some((start, end)) => format!("{from}/{}-{}", clock(start), clock(end)),
            None => from.to_owned(),
        }
    }
}

/// Prices of a tier; buckets that it leaves out cost what they cost in the usual one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierRow {
    /// `batch`, `flex`, `priority` or `fast`.
    pub tier: String,
    /// The first UTC day on which they count; none for always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The prices.
    pub usd: Usd,
}

impl TierRow {
    pub(crate) fn counts_on(&self, day: i64) -> bool {
        let first = self.from.as_deref().map_or(Some(i64::MIN), day_of_date);
        first.is_some_and(|first| first <= day)
    }
}

/// One model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `provider/model`.
    pub id: String,
    /// Other names of it at the same provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Names that begin so are its, where no other fits better.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<String>,
    /// In the order of the list; the last that counts wins, the first counts where none does.
    pub prices: Vec<Row>,
    /// The tiers that have prices of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<TierRow>,
}

impl Entry {
    pub(crate) fn row_at(&self, day: i64, minute: i64) -> &Row {
        let last = self
            .prices
            .iter()
            .rev()
            .find(|row| row.counts_at(day, minute));
        last.unwrap_or(&self.prices[0])
    }
}

/// The price catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Book {
    /// Its name; a span's `price_version` begins with it.
    pub version: String,
    /// The day of which it is, `YYYY-MM-DD`.
    pub as_of: String,
    /// Where it comes from.
    pub source: String,
    /// The models.
    pub models: Vec<Entry>,
    #[serde(skip)]
    by_name: BTreeMap<String, usize>,
    #[serde(skip)]
    by_prefix: BTreeMap<String, usize>,
}

/// What a provider adds for a promise where a request is processed, in basis points, for the models whose names begin so.
/// Anthropic: `inference_geo` `us`, Claude Opus 4.6 and newer. OpenAI: regional processing, GPT-5.4 and newer.
/// Not part of the catalogue; by the providers' price pages as known in October 2025, not looked up since: check them before you
/// rely on a tier, region or off-peak price.
const UPLIFTS: &[(&str, &[&str], i64, &[&str])] = &[
    (
        "anthropic",
        &["us"],
        1_000,
        &[
            "claude-opus-4-6",
            "claude-opus-4-7",
            "claude-opus-4-8",
            "claude-opus-5",
            "claude-sonnet-4-6",
            "claude-sonnet-5",
            "claude-haiku-5",
            "claude-fable-5",
            "claude-mythos-5",
        ],
    ),
    (
        "openai",
        &["us", "eu"],
        1_000,
        &["gpt-5.4", "gpt-5.5", "gpt-5.6", "gpt-6"],
    ),
];

impl Book {
    fn read(text: &str) -> serde_json::Result<Self> {
        let mut book: Self = serde_json::from_str(text)?;
        book.models
            .extend(["builtin/echo", "builtin/hash"].map(free));
        for at in 0..book.models.len() {
            let entry = &mut book.models[at];
            let provider = entry.id.split('/').next().unwrap_or_default().to_owned();
            for row in &mut entry.prices {
                let first = row.from.as_deref().map_or(Some(i64::MIN), day_of_date);
                row.from_day =
                    first.ok_or_else(|| serde_json::Error::custom("a date is YYYY-MM-DD"))?;
            }
            book.by_name.insert(entry.id.clone(), at);
            for name in &entry.names {
                book.by_name
                    .entry(format!("{provider}/{name}"))
                    .or_insert(at);
            }
            for prefix in &entry.prefixes {
                book.by_prefix
                    .entry(format!("{provider}/{prefix}"))
                    .or_insert(at);
            }
        }
        Ok(book)
    }

    /// Finds a model by reference: by its name, by another of its names, without the date at its end
    /// (`claude-sonnet-4-20250514`), or by the longest beginning. What Azure serves costs what OpenAI takes, where the
    /// catalogue does not list it for Azure.
    pub fn find(&self, reference: &str) -> Option<&Entry> {
        let (provider, model) = reference.split_once('/')?;
        let provider = normal_provider(provider);
        let model = model.trim_start_matches("models/").to_ascii_lowercase();
        let found = self.find_at(provider, &model);
        found.or_else(|| {
            let of_openai = provider == "azure";
            of_openai.then(|| self.find_at("openai", &model)).flatten()
        })
    }

    fn find_at(&self, provider: &str, model: &str) -> Option<&Entry> {
        let reference = format!("{provider}/{model}");
        let named = |name: &str| self.by_name.get(name);
        let at = named(&reference).or_else(|| named(without_date(&reference)));
        let at = at.or_else(|| {
            let cut = |end: usize| {
                reference
                    .get(..end)
                    .and_then(|start| self.by_prefix.get(start))
            };
            (0..=reference.len()).rev().find_map(cut)
        });
        at.map(|at| &self.models[*at])
    }

    pub(crate) fn uplift(&self, id: &str, region: &str) -> i64 {
        let (provider, model) = id.split_once('/').unwrap_or_default();
        let fits = |(of, regions, _, models): &&(&str, &[&str], i64, &[&str])| {
            *of == provider
                && regions.contains(&region)
                && models.iter().any(|start| model.starts_with(start))
        };
        UPLIFTS
            .iter()
            .find(fits)
            .map_or(0, |(_, _, points, _)| *points)
    }

    /// All numbers of tokens above which a prompt costs more, ascending.
    pub fn thresholds(&self) -> Vec<i64> {
        let rows = self.models.iter().flat_map(|entry| {
            let tiers = entry.tiers.iter().map(|row| &row.usd);
            entry.prices.iter().map(|row| &row.usd).chain(tiers)
        });
        let above = rows
            .flat_map(|usd| usd.0.values())
            .flat_map(|price| price.above.iter().map(|(above, _)| *above));
        let all: std::collections::BTreeSet<i64> = above.collect();
        all.into_iter().collect()
    }

    /// The names, as a provider knows them, of models whose prices depend on the hour.
    pub fn hourly(&self) -> Vec<&str> {
        let all = self
            .models
            .iter()
            .filter(|entry| entry.prices.iter().any(|row| row.hours.is_some()));
        let names = all.flat_map(|entry| {
            let id = entry
                .id
                .split_once('/')
                .map_or(entry.id.as_str(), |(_, model)| model);
            std::iter::once(id).chain(entry.names.iter().map(String::as_str))
        });
        names.collect()
    }

    /// The days on which prices changed, ascending, each with the models that it is about: the versions of the catalogue.
    /// What counted before the first is the version `base`.
    pub fn changes(&self) -> BTreeMap<String, Vec<&str>> {
        let mut days: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for entry in &self.models {
            let rows = entry.prices.iter().filter_map(|row| row.from.clone());
            let tiers = entry.tiers.iter().filter_map(|row| row.from.clone());
            for day in rows.chain(tiers) {
                let models = days.entry(day).or_default();
                if models.last() != Some(&entry.id.as_str()) {
                    models.push(&entry.id);
                }
            }
        }
        days
    }

    /// The version that was in force on a day since the epoch: the day of the last change, or `base`.
    pub fn version_on(&self, day: i64) -> String {
        let date = date_of_day(day);
        let last = self
            .changes()
            .into_keys()
            .rev()
            .find(|change| *change <= date);
        last.unwrap_or_else(|| "base".to_owned())
    }
}

/// The test models cost nothing.
fn free(id: &str) -> Entry {
    let price = || Price::default();
    Entry {
        id: id.to_owned(),
        names: Vec::new(),
        prefixes: Vec::new(),
        prices: vec![Row {
            from: None,
            hours: None,
            usd: Usd(BTreeMap::from([
                (Key::Input, price()),
                (Key::Output, price()),
            ])),
            from_day: i64::MIN,
        }],
        tiers: Vec::new(),
    }
}

/// The catalogue that is built in.
pub fn catalogue() -> &'static Book {
    static BOOK: OnceLock<Book> = OnceLock::new();
    // The file is part of the program and a test reads it: this cannot fail at run time.
    BOOK.get_or_init(|| Book::read(include_str!("prices.json")).expect("prices.json is valid"))
}
