//! What a caller needs of a model, and which models fit it, the cheapest first.

use nodeai_pricing::{MICROS_PER_DAY, Overrides, Terms, Tokens, date_of_day};

use crate::{Capability, Kind, Modality, Model};

/// What is needed. Everything is optional but the kind.
#[derive(Debug, Clone)]
pub struct Need {
    /// What the model is for.
    pub kind: Kind,
    /// What it must be able to do.
    pub capabilities: Vec<Capability>,
    /// What it must read.
    pub input: Vec<Modality>,
    /// What it must write.
    pub output: Vec<Modality>,
    /// Tokens of a usual prompt.
    pub prompt_tokens: i64,
    /// How many of them the provider's cache is expected to have.
    pub cached_tokens: i64,
    /// Tokens of a usual answer.
    pub completion_tokens: i64,
    /// Prefixes of the providers in question; all but the test models when empty.
    pub providers: Vec<String>,
    /// Most that one request may cost, pico-USD.
    pub most_pusd: Option<i64>,
    /// The day (`YYYY-MM-DD`) until which it must be served; today when none.
    pub served_until: Option<String>,
}

impl Need {
    /// A chat model for a prompt and an answer of so many tokens.
    pub fn chat(prompt_tokens: i64, completion_tokens: i64) -> Self {
        Self {
            kind: Kind::Chat,
            capabilities: Vec::new(),
            input: Vec::new(),
            output: Vec::new(),
            prompt_tokens,
            cached_tokens: 0,
            completion_tokens,
            providers: Vec::new(),
            most_pusd: None,
            served_until: None,
        }
    }

    fn suits(&self, model: &Model, today: &str) -> bool {
        let provider = model.provider();
        let wanted = match self.providers.as_slice() {
            [] => provider != "builtin",
            providers => providers.iter().any(|name| name == provider),
        };
        let until = self.served_until.as_deref().unwrap_or(today).max(today);
        let holds = |limit: Option<i64>, tokens: i64| limit.is_none_or(|most| tokens <= most);
        wanted
            && model.kind == self.kind
            && !model.is_retired(until)
            && self.capabilities.iter().all(|one| model.can(*one))
            && self.input.iter().all(|one| model.input.contains(one))
            && self.output.iter().all(|one| model.output.contains(one))
            && holds(model.max_input_tokens, self.prompt_tokens)
            && holds(model.max_output_tokens, self.completion_tokens)
    }

    fn tokens(&self) -> Tokens {
        let cache_read = self.cached_tokens.clamp(0, self.prompt_tokens);
        Tokens {
            uncached: self.prompt_tokens - cache_read,
            cache_read,
            output_text: match self.kind {
                Kind::Chat => self.completion_tokens,
                Kind::Embedding | Kind::Rerank => 0,
            },
            ..Tokens::default()
        }
    }
}

/// What one request costs, by which prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// Pico-USD.
    pub pusd: i64,
    /// The catalogue's version, or the own price's.
    pub version: String,
}

/// A model that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit<'a> {
    /// The model.
    pub model: &'a Model,
    /// What one request costs; none where the price is not known.
    pub quote: Option<Quote>,
}

/// The models that fit at a time (µs since the epoch): the cheapest first, those without a known price last, equal ones by
/// reference. With a limit for the cost those without a price do not fit.
pub fn fitting<'a>(
    models: impl IntoIterator<Item = &'a Model>,
    need: &Need,
    own: &Overrides,
    at_us: i64,
) -> Vec<Fit<'a>> {
    let today = date_of_day(at_us.div_euclid(MICROS_PER_DAY));
    let suited = models.into_iter().filter(|model| need.suits(model, &today));
    let mut fits: Vec<Fit<'a>> = suited
        .map(|model| Fit {
            model,
            quote: quote(model, need, own, at_us),
        })
        .filter(|fit| {
            need.most_pusd
                .is_none_or(|most| fit.quote.as_ref().is_some_and(|quote| quote.pusd <= most))
        })
        .collect();
    fits.sort_by(|a, b| {
        let key = |fit: &Fit<'_>| fit.quote.as_ref().map_or(i64::MAX, |quote| quote.pusd);
        key(a)
            .cmp(&key(b))
            .then_with(|| a.model.id.cmp(&b.model.id))
    });
    fits
}

fn quote(model: &Model, need: &Need, own: &Overrides, at_us: i64) -> Option<Quote> {
    let terms = Terms {
        at_us,
        ..Terms::default()
    };
    let book = nodeai_pricing::catalogue();
    let priced = book
        .price_with(own, &model.id, &need.tokens(), &terms)
        .ok()?;
    Some(Quote {
        pusd: priced.pusd,
        version: priced.version,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;
    use nodeai_pricing::day_of_date;

    fn at(day: &str) -> i64 {
        day_of_date(day).expect("a day") * MICROS_PER_DAY
    }

    fn found(need: &Need) -> Vec<Fit<'static>> {
        let all = &catalogue().models;
        fitting(all, need, &Overrides::default(), at("2026-11-26"))
    }

    #[test]
    fn the_cheapest_comes_first_and_everything_asked_for_holds() {
        let mut need = Need::chat(10_000, 1_000);
        need.capabilities = vec![Capability::Tools, Capability::JsonSchema];
        need.input = vec![Modality::Image];
        let fits = found(&need);
        assert!(fits.len() > 20);
        let costs: Vec<i64> = fits
            .iter()
            .filter_map(|f| Some(f.quote.as_ref()?.pusd))
            .collect();
        assert!(costs.is_sorted());
        for fit in &fits {
            assert!(fit.model.can(Capability::Tools) && fit.model.can(Capability::JsonSchema));
            assert!(fit.model.input.contains(&Modality::Image));
            assert!(!fit.model.is_retired("2026-11-26"));
            assert_ne!(fit.model.provider(), "builtin");
        }
    }

    #[test]
    fn what_does_not_fit_into_the_window_is_left_out() {
        let huge = found(&Need::chat(900_000, 1_000));
        assert!(!huge.is_empty());
        for fit in huge {
            assert!(
                fit.model
                    .max_input_tokens
                    .is_none_or(|most| most >= 900_000)
            );
        }
    }

    #[test]
    fn a_limit_for_the_cost_holds() {
        let mut need = Need::chat(1_000_000, 0);
        need.providers = vec!["openai".to_owned()];
        need.most_pusd = Some(1_000_000_000_000);
        let fits = found(&need);
        assert!(!fits.is_empty());
        assert!(fits.iter().all(|fit| fit.model.provider() == "openai"));
        assert!(fits.iter().all(|fit| {
            fit.quote
                .as_ref()
                .is_some_and(|q| q.pusd <= 1_000_000_000_000)
        }));
    }

    #[test]
    fn own_prices_count_and_a_retirement_that_comes_too_early_does_not_fit() {
        let read =
            r#"{"id": "o", "model": "openai/gpt-5-mini", "usd": {"input": "0", "output": "0"}}"#;
        let own = Overrides(vec![serde_json::from_str(read).expect("an override")]);
        let mut need = Need::chat(1_000, 100);
        need.providers = vec!["openai".to_owned()];
        let first = |need: &Need| {
            let fits = fitting(&catalogue().models, need, &own, at("2026-11-26"));
            fits[0].model.id.clone()
        };
        assert_eq!(first(&need), "openai/gpt-5-mini");
        // It is announced to end on 2026-12-11.
        need.served_until = Some("2027-01-31".to_owned());
        assert_ne!(first(&need), "openai/gpt-5-mini");
    }

    #[test]
    fn test_models_are_offered_only_by_name() {
        let mut need = Need::chat(10, 10);
        need.providers = vec!["builtin".to_owned()];
        assert_eq!(found(&need)[0].model.id, "builtin/echo");
    }
}
