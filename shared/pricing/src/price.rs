//! What a request costs: prices times buckets, thresholds that count for the whole request, tiers, hours, regions.

use crate::book::{Entry, Usd};
use crate::civil::{day_of_us, minute_of_us};
use crate::{Book, Bucket, Overrides, Tokens};

/// Parts of a pico-USD in which sums are kept until they are rounded: prices are per million tokens, and uplifts and
/// discounts are basis points.
pub(crate) const PARTS_PER_PICO: i128 = 1_000_000 * 10_000;
const WHOLE: i64 = 10_000;

/// On which terms a request was made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms<'a> {
    /// When, µs since the epoch: says which prices and hours count.
    pub at_us: i64,
    /// `batch`, `flex`, `priority`, `fast`; none, `default`, `auto` and `standard` are the usual one.
    pub tier: Option<&'a str>,
    /// Where it must be processed, as the provider names it, such as `us`; none for anywhere.
    pub region: Option<&'a str>,
}

/// Why a request has no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unpriced {
    /// Nobody said what the model costs.
    #[error("the price of {0} is not known")]
    Model(String),
    /// The model has a price, but not for this kind of token.
    #[error("{0} has no price for {1} tokens")]
    Bucket(String, &'static str),
    /// The model has a price, but not in this tier at that time.
    #[error("{0} has no price in the tier {1}")]
    Tier(String, String),
}

/// The cost of each bucket, and the fee of the request last, in parts of which 10¹⁰ are a pico-USD: exact.
pub type Parts = [i128; 10];

/// What a request costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced {
    /// Pico-USD, rounded half up once; saturates.
    pub pusd: i64,
    /// Which prices those are: the catalogue, and the day from which they count (`base`: from the beginning); then
    /// `+override/` with the id and version of the organisation's own price that changed them, or `override/…` alone where
    /// the catalogue does not know the model.
    pub version: String,
    /// What it is made of, before rounding.
    pub parts: Parts,
}

/// Whole pico-USD of exact parts, rounded half up; saturates.
pub fn rounded(parts: &Parts) -> i64 {
    let sum: i128 = parts
        .iter()
        .fold(0, |sum: i128, part| sum.saturating_add(*part));
    let half = PARTS_PER_PICO / 2;
    i64::try_from(sum.saturating_add(half).div_euclid(PARTS_PER_PICO)).unwrap_or(i64::MAX)
}

/// Whether a tier is the usual one, by the names that providers have for it and for what they choose themselves.
pub fn is_usual_tier(name: &str) -> bool {
    matches!(
        name,
        "" | "default" | "auto" | "standard" | "on_demand" | "standard_only"
    )
}

/// The tier as the catalogue names it; none for the usual one.
pub(crate) fn tier_of<'a>(terms: &Terms<'a>) -> Option<&'a str> {
    terms.tier.filter(|tier| !is_usual_tier(tier))
}

impl Book {
    /// Prices a request of the model with this reference (`provider/model`).
    ///
    /// # Errors
    /// When the price is not known, with the reason.
    pub fn price(
        &self,
        reference: &str,
        tokens: &Tokens,
        terms: &Terms<'_>,
    ) -> Result<Priced, Unpriced> {
        self.price_with(&Overrides::default(), reference, tokens, terms)
    }

    /// The same, where an organisation's own prices come first.
    ///
    /// # Errors
    /// When the price is not known, with the reason.
    pub fn price_with(
        &self,
        overrides: &Overrides,
        reference: &str,
        tokens: &Tokens,
        terms: &Terms<'_>,
    ) -> Result<Priced, Unpriced> {
        self.price_heap(overrides, reference, tokens, terms, tokens.prompt(), 1)
    }

    /// Prices the sum of `requests` requests on the same terms whose prompts lie between the same thresholds, one of them with
    /// `prompt` tokens. Exact: prices are linear there.
    ///
    /// # Errors
    /// When the price is not known, with the reason.
    pub fn price_heap(
        &self,
        overrides: &Overrides,
        reference: &str,
        tokens: &Tokens,
        terms: &Terms<'_>,
        prompt: i64,
        requests: i64,
    ) -> Result<Priced, Unpriced> {
        let entry = self.find(reference);
        let own = overrides.find(reference, entry.map(|entry| entry.id.as_str()), terms);
        let listed = match entry {
            Some(entry) => self.listed(entry, terms),
            None => Err(Unpriced::Model(reference.to_owned())),
        };
        let (usd, mut version, mut points) = match (listed, own.and_then(|own| own.usd.as_ref())) {
            (Ok((usd, version, points)), None) => (usd, version, points),
            (Ok((usd, version, points)), Some(own)) => (own.over(&usd), version, points),
            (Err(_), Some(own)) => (own.clone(), String::new(), WHOLE),
            (Err(why), None) => return Err(why),
        };
        if let Some(own) = own {
            let changed = format!("override/{}/{}", own.id, own.version);
            version = match version.as_str() {
                "" => changed,
                listed => format!("{listed}+{changed}"),
            };
            points = points * own.basis_points / WHOLE;
        }
        let mut parts = parts_of(reference, &usd, tokens, points, prompt)?;
        parts[9] = parts[9].saturating_mul(i128::from(requests));
        Ok(Priced {
            pusd: rounded(&parts),
            version,
            parts,
        })
    }

    fn listed(&self, entry: &Entry, terms: &Terms<'_>) -> Result<(Usd, String, i64), Unpriced> {
        let (day, minute) = (day_of_us(terms.at_us), minute_of_us(terms.at_us));
        let row = entry.row_at(day, minute);
        let mut usd = row.usd.clone();
        if let Some(tier) = tier_of(terms) {
            let mut known = false;
            // The first variant that states a price for a bucket wins, as in the source of the catalogue.
            let rows = entry
                .tiers
                .iter()
                .filter(|row| row.tier == tier && row.counts_on(day));
            for variant in rows.rev() {
                usd = variant.usd.over(&usd);
                known = true;
            }
            if !known {
                return Err(Unpriced::Tier(entry.id.clone(), tier.to_owned()));
            }
        }
        let uplift = terms
            .region
            .map_or(0, |region| self.uplift(&entry.id, region));
        let version = format!("{}/{}", self.version, row.name());
        Ok((usd, version, WHOLE + uplift))
    }

    /// Most that so many tokens of a model can cost in the usual tier, at any time from `day` (since the epoch) on, however
    /// they fall into buckets and hours; none when the price is not known. An organisation's own prices only make it more:
    /// when they begin and end is not asked. A bound, not an estimate.
    pub fn most_with(
        &self,
        overrides: &Overrides,
        reference: &str,
        prompt: i64,
        completion: i64,
        day: i64,
    ) -> Option<i64> {
        let entry = self.find(reference);
        let first = entry.map_or(0, |entry| entry.row_at(day, 0).from_day);
        let rows = entry.iter().flat_map(|entry| &entry.prices);
        let listed = rows.filter(|row| row.from_day >= first).map(|row| &row.usd);
        let catalogued = entry.map(|entry| entry.id.as_str());
        let own = || overrides.of(reference, catalogued);
        let mut all = listed
            .chain(own().filter_map(|own| own.usd.as_ref()))
            .peekable();
        all.peek()?;
        let points = own().map(|own| own.basis_points).fold(WHOLE, i64::max);
        let (mut input, mut output, mut request) = (0, 0, 0);
        for usd in all {
            for bucket in Bucket::ALL {
                let dearest = usd.price(bucket).map_or(0, |price| price.most());
                let side = if bucket.is_input() {
                    &mut input
                } else {
                    &mut output
                };
                *side = dearest.max(*side);
            }
            request = usd.request().max(request);
        }
        let parts = [(prompt, input), (completion, output)]
            .map(|(n, price)| i128::from(n.max(0)) * i128::from(price));
        let sum = parts[0].saturating_add(parts[1]) + i128::from(request) * 1_000_000;
        let parts = sum.saturating_mul(i128::from(points));
        let pusd = parts.saturating_add(PARTS_PER_PICO - 1) / PARTS_PER_PICO;
        i64::try_from(pusd).map_or(Some(i64::MAX), Some)
    }

    /// The same by the catalogue's prices alone.
    pub fn most(&self, reference: &str, prompt: i64, completion: i64, day: i64) -> Option<i64> {
        self.most_with(&Overrides::default(), reference, prompt, completion, day)
    }
}

fn parts_of(
    reference: &str,
    usd: &Usd,
    tokens: &Tokens,
    points: i64,
    prompt: i64,
) -> Result<Parts, Unpriced> {
    let mut parts = [0; 10];
    for (part, bucket) in parts.iter_mut().zip(Bucket::ALL) {
        let count = tokens.of(bucket).max(0);
        if count == 0 {
            continue;
        }
        let price = usd.price(bucket);
        let price = price.ok_or_else(|| Unpriced::Bucket(reference.to_owned(), bucket.as_str()))?;
        let exact = i128::from(count) * i128::from(price.at(prompt));
        *part = exact.saturating_mul(i128::from(points));
    }
    parts[9] = i128::from(usd.request()) * 1_000_000 * i128::from(points);
    Ok(parts)
}
