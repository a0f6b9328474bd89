//! What the oracle does not say: regions, own prices, unknown prices, versions, fractions of a pico-USD, heaps.

use nodeai_pricing::{
    MICROS_PER_DAY, Override, Overrides, Terms, Tokens, Unpriced, catalogue, day_of_date,
    reference_of,
};
use serde_json::json;

fn on(date: &str) -> Terms<'static> {
    Terms {
        at_us: day_of_date(date).expect("a date") * MICROS_PER_DAY,
        ..Terms::default()
    }
}

fn text(uncached: i64, output_text: i64) -> Tokens {
    Tokens {
        uncached,
        output_text,
        ..Tokens::default()
    }
}

fn pusd(model: &str, tokens: &Tokens, terms: &Terms<'_>) -> i64 {
    catalogue()
        .price(model, tokens, terms)
        .expect("a price")
        .pusd
}

#[test]
fn a_request_has_the_prices_of_its_day_and_says_which() {
    let (old, new) = (on("2026-04-29"), on("2026-04-30"));
    let tokens = text(1_000_000 / 10, 0);
    let price = |terms| {
        catalogue()
            .price("xai/grok-4.20", &tokens, terms)
            .expect("a price")
    };
    assert_eq!(
        (price(&old).pusd, price(&new).pusd),
        (200_000_000_000, 125_000_000_000)
    );
    let version = &catalogue().version;
    assert_eq!(price(&old).version, format!("{version}/base"));
    assert_eq!(price(&new).version, format!("{version}/2026-04-30"));
    assert!(catalogue().changes()["2026-04-30"].contains(&"xai/grok-4.20"));
}

#[test]
fn a_threshold_counts_for_the_whole_request() {
    let day = on("2026-11-20");
    // Gemini: above 200,000; xAI: from 200,000 on.
    assert_eq!(
        pusd("gemini/gemini-2.5-pro", &text(200_000, 0), &day),
        250_000_000_000
    );
    assert_eq!(
        pusd("gemini/gemini-2.5-pro", &text(200_001, 0), &day),
        500_002_500_000
    );
    assert_eq!(
        pusd("xai/grok-4.20", &text(199_999, 0), &day),
        249_998_750_000
    );
    assert_eq!(
        pusd("xai/grok-4.20", &text(200_000, 0), &day),
        500_000_000_000
    );
}

#[test]
fn a_region_that_is_promised_costs_more() {
    let mut terms = on("2026-11-20");
    let anywhere = pusd("anthropic/claude-opus-4-6", &text(1_000, 10), &terms);
    terms.region = Some("us");
    assert_eq!(
        pusd("anthropic/claude-opus-4-6", &text(1_000, 10), &terms),
        anywhere / 10 * 11
    );
    let before = pusd(
        "anthropic/claude-opus-4-5",
        &text(1_000, 10),
        &on("2026-11-20"),
    );
    assert_eq!(
        pusd("anthropic/claude-opus-4-5", &text(1_000, 10), &terms),
        before,
        "older models have none"
    );
}

#[test]
fn what_is_not_known_has_a_reason_instead_of_a_price() {
    let mut terms = on("2026-11-20");
    let price = |model: &str, terms: &Terms<'_>| catalogue().price(model, &text(1, 1), terms);
    assert_eq!(
        price("acme/x", &terms),
        Err(Unpriced::Model("acme/x".into()))
    );
    terms.tier = Some("gold");
    assert!(matches!(
        price("openai/gpt-4o", &terms),
        Err(Unpriced::Tier(..))
    ));
    terms.tier = Some("default");
    assert!(price("openai/gpt-4o", &terms).is_ok());
}

fn own(json: &str) -> Overrides {
    Overrides(vec![
        serde_json::from_str::<Override>(json).expect("an override"),
    ])
}

#[test]
fn own_prices_come_first_from_their_day_on() {
    let own = own(
        r#"{"id": "o", "version": 3, "model": "openai/gpt-4o", "effective_from": "2026-11-01", "usd": {"input": "1"}}"#,
    );
    let price = |terms: &Terms<'_>| {
        catalogue()
            .price_with(&own, "openai/gpt-4o-2024-08-06", &text(1_000, 100), terms)
            .expect("a price")
    };
    assert_eq!(price(&on("2026-10-31")).pusd, 3_500_000_000);
    assert_eq!(
        price(&on("2026-11-01")).pusd,
        2_000_000_000,
        "what it leaves out costs what it did"
    );
    let version = price(&on("2026-11-01")).version;
    let listed = catalogue().version.as_str();
    assert!(version.starts_with(listed), "{version}");
    assert!(version.ends_with("+override/o/3"), "{version}");
}

#[test]
fn a_discount_counts_for_every_tier_and_an_own_model_has_a_price() {
    let discount = own(r#"{"id": "o", "model": "openai/gpt-4o", "basis_points": 8500}"#);
    let mut terms = on("2026-11-20");
    let price = |own: &Overrides, model: &str, terms: &Terms<'_>| {
        catalogue()
            .price_with(own, model, &text(1_000, 100), terms)
            .expect("a price")
            .pusd
    };
    assert_eq!(
        price(&discount, "openai/gpt-4o", &terms),
        3_500_000_000 * 85 / 100
    );
    terms.tier = Some("batch");
    assert_eq!(
        price(&discount, "openai/gpt-4o", &terms),
        1_750_000_000 * 85 / 100
    );
    let model = own(
        r#"{"id": "o", "model": "acme/x", "usd": {"input": "0.0000005", "output": "0", "kilo_requests": "1"}}"#,
    );
    // 1,000 tokens at half a pico-USD, and a thousandth of a USD.
    assert_eq!(
        price(&model, "acme/x", &on("2026-11-20")),
        500 + 1_000_000_000
    );
}

#[test]
fn a_fraction_of_a_pico_usd_is_rounded_once() {
    let own = own(
        r#"{"id": "o", "model": "acme/x", "usd": {"input": "0.0000005", "output": "0.0000005"}}"#,
    );
    let price = |tokens: &Tokens| {
        catalogue()
            .price_with(&own, "acme/x", tokens, &on("2026-11-20"))
            .expect("a price")
            .pusd
    };
    assert_eq!(
        [text(1, 0), text(1, 1), text(2, 1), text(3, 2)].map(|tokens| price(&tokens)),
        [1, 1, 2, 3]
    );
}

#[test]
fn a_heap_costs_what_its_requests_cost() {
    let terms = on("2026-11-20");
    let one = text(1_234, 56);
    let all = text(1_234 * 1_000, 56 * 1_000);
    let heap = catalogue().price_heap(
        &Overrides::default(),
        "gemini/gemini-2.5-pro",
        &all,
        &terms,
        1_234,
        1_000,
    );
    assert_eq!(
        heap.expect("a price").pusd,
        pusd("gemini/gemini-2.5-pro", &one, &terms) * 1_000
    );
}

#[test]
fn names_of_models_lead_to_their_prices() {
    let id = |provider: &str, model: &str| {
        catalogue()
            .find(&reference_of(provider, model))
            .map(|entry| entry.id.as_str())
    };
    assert_eq!(
        id("gcp.gemini", "models/gemini-2.5-pro"),
        Some("gemini/gemini-2.5-pro")
    );
    assert_eq!(id("openai", "gpt-4o-2024-08-06"), Some("openai/gpt-4o"));
    assert_eq!(
        id("anthropic", "claude-sonnet-4-5-20250929"),
        Some("anthropic/claude-sonnet-4-5")
    );
    assert_eq!(id("openai", "openai/gpt-4o"), Some("openai/gpt-4o"));
    assert_eq!(id("builtin", "echo"), Some("builtin/echo"));
    assert_eq!(id("openai", "gpt-99"), None);
    assert_eq!(id("", ""), None);
    // A provider by its other names, in any case, and none at all.
    assert_eq!(id("OpenAI", "gpt-4o"), Some("openai/gpt-4o"));
    assert_eq!(
        id("google_genai", "gemini-2.5-pro"),
        Some("gemini/gemini-2.5-pro")
    );
    assert_eq!(
        id("", "claude-sonnet-4-5"),
        Some("anthropic/claude-sonnet-4-5")
    );
    assert_eq!(id("", "openai/gpt-4o"), Some("openai/gpt-4o"));
    // Azure's own list first, and OpenAI's for what is not on it; under another provider's name neither.
    assert_eq!(id("azure.ai.openai", "o1"), Some("azure/o1"));
    for name in ["azure", "azure.ai.openai", "az.ai.inference"] {
        assert_eq!(id(name, "gpt-4o-2024-08-06"), Some("openai/gpt-4o"));
    }
    assert_eq!(id("acme", "gpt-4o"), None);
}

#[test]
fn own_prices_of_what_azure_serves_count_under_either_name() {
    let terms = on("2026-11-20");
    for model in ["azure/gpt-4o", "openai/gpt-4o"] {
        let own = json!([{"id": "a", "model": model, "basis_points": 5_000}]);
        let own = Overrides::from_rows(serde_json::from_value(own).expect("rows"));
        let reference = reference_of("azure.ai.openai", "gpt-4o");
        let priced = catalogue().price_with(&own, &reference, &text(1_000, 100), &terms);
        assert_eq!(
            priced.expect("a price").pusd * 2,
            pusd("openai/gpt-4o", &text(1_000, 100), &terms)
        );
    }
}
