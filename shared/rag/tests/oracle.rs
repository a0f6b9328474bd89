//! 1,000 generated runs with equal scores, missing queries and short lists: scores as trec_eval and ranx give them.

use std::collections::BTreeMap;

use nodeai_rag::metrics::{Hit, Judged, Metric};
use serde::Deserialize;

#[derive(Deserialize)]
struct Oracle {
    metrics: Vec<String>,
    trec: Vec<Vec<f64>>,
    ranx: Vec<Option<Vec<f64>>>,
}

/// Knuth's MMIX generator, as `tools/make_oracle.py` has it.
struct Generator(u64);

impl Generator {
    fn below(&mut self, most: u64) -> u64 {
        let next = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = next.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

type Query = (Judged, Vec<Hit>);

fn run(number: u64) -> Vec<Query> {
    let mut g = Generator(number + 1);
    let tied = number % 2 == 1;
    let queries = 1 + g.below(6);
    let mut all = Vec::new();
    for _ in 0..queries {
        let mut judged = Judged::new();
        for _ in 0..=g.below(12) {
            let document = format!("d{}", g.below(40));
            judged.insert(document, g.below(4) as i64);
        }
        judged.insert("d40".to_owned(), 1);
        let mut scores = BTreeMap::new();
        for place in 0..g.below(31) {
            let document = format!("d{}", g.below(60));
            let score = if tied {
                g.below(6) as f64
            } else {
                1_000.0 - place as f64
            };
            scores.entry(document).or_insert(score);
        }
        let hits = scores.into_iter().map(|(id, score)| Hit { id, score });
        all.push((judged, hits.collect()));
    }
    all
}

#[test]
fn scores_are_those_of_trec_eval_and_ranx() {
    let oracle: Oracle = serde_json::from_str(include_str!("oracle.json")).expect("an oracle");
    let metrics: Vec<Metric> = oracle
        .metrics
        .iter()
        .filter_map(|name| Metric::parse(name))
        .collect();
    assert_eq!(
        (metrics.len(), oracle.trec.len()),
        (oracle.metrics.len(), 1_000)
    );
    let mut by_ranx = 0;
    for (number, trec) in oracle.trec.iter().enumerate() {
        let queries = run(number as u64);
        for (at, metric) in metrics.iter().enumerate() {
            let scores = queries
                .iter()
                .map(|(judged, hits)| metric.score(judged, hits));
            let ours = scores.sum::<f64>() / queries.len() as f64;
            let differs = |theirs: f64| (ours - theirs).abs() > 1e-8;
            assert!(
                !differs(trec[at]),
                "run {number}: {metric} is {ours}, trec_eval says {}",
                trec[at]
            );
            if let Some(ranx) = &oracle.ranx[number] {
                assert!(
                    !differs(ranx[at]),
                    "run {number}: {metric} is {ours}, ranx says {}",
                    ranx[at]
                );
                by_ranx += 1;
            }
        }
    }
    assert!(by_ranx > 3_000, "ranx was asked, too");
}
