//! Our prices against those of the package genai-prices, to the pico-dollar.

use std::collections::BTreeSet;

use nodeai_pricing::{Terms, Tokens, catalogue};
use serde::Deserialize;

#[derive(Deserialize)]
struct Oracle {
    cases: Vec<(String, i64, Option<String>, [i64; 9], i64)>,
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("oracle.json")).expect("the oracle is JSON")
}

fn tokens(n: [i64; 9]) -> Tokens {
    Tokens {
        uncached: n[0],
        cache_read: n[1],
        cache_write: n[2],
        cache_write_1h: n[3],
        audio_input: n[4],
        image_input: n[5],
        output_text: n[6],
        reasoning: n[7],
        audio_output: n[8],
    }
}

#[test]
fn every_price_equals_genai_prices_to_the_pico_dollar() {
    let cases = oracle().cases;
    let mut wrong = Vec::new();
    for (model, at_us, tier, n, pusd) in &cases {
        let terms = Terms {
            at_us: *at_us,
            tier: tier.as_deref(),
            region: None,
        };
        let ours = catalogue().price(model, &tokens(*n), &terms);
        if !ours.as_ref().is_ok_and(|ours| ours.pusd == *pusd) {
            wrong.push(format!(
                "{model} {at_us} {tier:?} {n:?}: {pusd}, ours {ours:?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

#[test]
fn the_oracle_has_what_was_promised() {
    let cases = oracle().cases;
    let models: BTreeSet<_> = cases.iter().map(|case| case.0.as_str()).collect();
    let providers: BTreeSet<_> = models
        .iter()
        .filter_map(|model| model.split('/').next())
        .collect();
    assert!(cases.len() >= 500, "{} cases", cases.len());
    assert!(
        models.len() >= 40 && providers.len() >= 8,
        "{} models, {} providers",
        models.len(),
        providers.len()
    );
    for edge in [199_999, 200_000, 200_001, 272_000, 272_001] {
        assert!(
            cases.iter().any(|case| tokens(case.3).prompt() == edge),
            "{edge}"
        );
    }
    for at in 0..9 {
        assert!(cases.iter().any(|case| case.3[at] > 0), "bucket {at}");
    }
    for tier in ["batch", "flex", "priority", "fast"] {
        assert!(
            cases.iter().any(|case| case.2.as_deref() == Some(tier)),
            "{tier}"
        );
    }
    let days: BTreeSet<_> = cases.iter().map(|case| case.1 / 86_400_000_000).collect();
    assert!(days.len() >= 10, "historic prices of {} days", days.len());
}
