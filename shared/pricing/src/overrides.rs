//! An organisation's own prices: what it agreed with a provider, or the price of a model of its own.

use serde::Deserialize;

use crate::book::Usd;
use crate::civil::day_of_us;
use crate::price::tier_of;
use crate::{Terms, day_of_date};

/// One agreed price.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Override {
    /// Its id.
    pub id: String,
    /// How often it was changed, from 1.
    #[serde(default = "one")]
    pub version: i64,
    /// The reference of the model, `provider/model`.
    pub model: String,
    /// The day (`YYYY-MM-DD`) from which it counts; none for always.
    #[serde(default)]
    pub effective_from: Option<String>,
    /// The tier for which the prices count; none for the usual one.
    #[serde(default)]
    pub tier: Option<String>,
    /// Prices; what is left out is the catalogue's.
    #[serde(default)]
    pub usd: Option<Usd>,
    /// What is paid of the price, in hundredths of a percent: 8500 is 15 % off.
    #[serde(default = "whole")]
    pub basis_points: i64,
}

fn one() -> i64 {
    1
}

fn whole() -> i64 {
    10_000
}

/// All of an organisation's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides(pub Vec<Override>);

impl Overrides {
    /// From rows of the store, each with the members of an [`Override`]. One that cannot be read is left out: the
    /// catalogue's price counts then.
    pub fn from_rows(rows: Vec<serde_json::Value>) -> Self {
        let read = rows.into_iter();
        Self(
            read.filter_map(|row| serde_json::from_value(row).ok())
                .collect(),
        )
    }

    /// The newest that counts for a request of a model, which the catalogue may know by another name.
    pub fn find(
        &self,
        reference: &str,
        catalogued: Option<&str>,
        terms: &Terms<'_>,
    ) -> Option<&Override> {
        let day = day_of_us(terms.at_us);
        let tier = tier_of(terms);
        let from = |own: &Override| match own.effective_from.as_deref() {
            Some(date) => day_of_date(date),
            None => Some(i64::MIN),
        };
        let fits = |own: &&Override| own.usd.is_none() || own.tier.as_deref() == tier;
        let all = self.of(reference, catalogued).filter(fits);
        let begun = all.filter_map(|own| Some((from(own)?, own)));
        begun
            .filter(|(first, _)| *first <= day)
            .max_by_key(|(first, _)| *first)
            .map(|(_, own)| own)
    }

    /// All of a model, which the catalogue may know by another name, whenever they count.
    pub(crate) fn of(
        &self,
        reference: &str,
        catalogued: Option<&str>,
    ) -> impl Iterator<Item = &Override> {
        let named =
            move |own: &&Override| own.model == reference || Some(own.model.as_str()) == catalogued;
        self.0.iter().filter(named)
    }
}
