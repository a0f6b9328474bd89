//! Requests as each provider takes them, answers as each gives them.

use super::*;
use serde_json::json;

fn at(reference: &str) -> Endpoint {
    Endpoint::resolve(reference, None).expect("known")
}

fn embed(texts: &[&str]) -> Work {
    Work::Embed {
        texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        dimensions: Some(3),
        purpose: Some(Purpose::Query),
    }
}

fn rerank(documents: usize, top_n: Option<usize>) -> Work {
    Work::Rerank {
        query: "what?".into(),
        documents: (0..documents).map(|n| format!("text {n}")).collect(),
        top_n,
    }
}

fn sent(reference: &str, work: &Work) -> (String, Value) {
    let request = at(reference).measure_request(work, Some("k"));
    let request = request.expect("a request");
    let body = serde_json::from_slice(request.body()).expect("JSON");
    (request.uri().to_string(), body)
}

#[test]
fn each_provider_is_asked_in_its_own_form() {
    let (url, body) = sent("openai/text-embedding-3-small", &embed(&["a", "b"]));
    assert_eq!(url, "https://api.openai.com/v1/embeddings");
    assert_eq!(
        body,
        json!({"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 3})
    );
    let (url, body) = sent("voyage/voyage-3.5", &embed(&["a"]));
    assert_eq!(url, "https://api.voyageai.com/v1/embeddings");
    assert_eq!(
        body,
        json!({"model": "voyage-3.5", "input": ["a"], "output_dimension": 3, "input_type": "query"})
    );
    let (url, body) = sent("gemini/gemini-embedding-001", &embed(&["a"]));
    assert!(
        url.ends_with("/models/gemini-embedding-001:batchEmbedContents"),
        "{url}"
    );
    assert_eq!(
        body,
        json!({"requests": [{
            "model": "models/gemini-embedding-001", "content": {"parts": [{"text": "a"}]},
            "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 3,
        }]})
    );
    let (url, body) = sent("cohere/rerank-v3.5", &rerank(2, Some(1)));
    assert_eq!(url, "https://api.cohere.ai/v2/rerank");
    assert_eq!(body["top_n"], 1);
    assert_eq!(sent("voyage/rerank-2.5", &rerank(2, Some(1))).1["top_k"], 1);
}

#[test]
fn who_has_no_such_models_is_not_asked() {
    for (reference, work) in [
        ("anthropic/claude-sonnet-4-5", embed(&["a"])),
        ("gemini/gemini-2.5-flash", rerank(1, None)),
    ] {
        let refused = at(reference).measure_request(&work, None);
        assert!(refused.is_err(), "{reference}");
    }
}

#[test]
fn vectors_come_in_the_order_of_the_texts() {
    let body = json!({"model": "m", "usage": {"prompt_tokens": 7, "total_tokens": 7}, "data": [
        {"index": 1, "embedding": [0.0, 1.0]}, {"index": 0, "embedding": [1, 0.5]}]});
    let read = at("openai/m").parse_measured(&embed(&["a", "b"]), body.to_string().as_bytes());
    let read = read.expect("vectors");
    assert_eq!(
        read.numbers,
        Numbers::Vectors(vec![vec![1.0, 0.5], vec![0.0, 1.0]])
    );
    assert_eq!(read.usage.map(|usage| usage.prompt_tokens), Some(7));
}

#[test]
fn what_breaks_the_contract_is_refused() {
    for body in [
        json!({}),
        json!({"data": []}),
        json!({"data": [{"embedding": [1.0]}]}),
        json!({"data": [{"embedding": [1.0]}, {"embedding": [1.0, 2.0]}]}),
        json!({"data": [{"embedding": [1.0]}, {"index": 9, "embedding": [1.0]}]}),
        json!({"data": [{"embedding": ["x"]}, {"embedding": [1.0]}]}),
        json!({"data": [{"embedding": []}, {"embedding": []}]}),
    ] {
        let text = body.to_string();
        let read = at("openai/m").parse_measured(&embed(&["a", "b"]), text.as_bytes());
        assert!(read.is_err(), "{text}");
    }
    for body in [
        json!({}),
        json!({"results": [{"index": 0}]}),
        json!({"results": [{"index": 5, "relevance_score": 1.0}]}),
        json!({"results": [{"index": 0, "relevance_score": 1.0}, {"index": 0, "relevance_score": 1.0}]}),
    ] {
        let text = body.to_string();
        let read = at("cohere/m").parse_measured(&rerank(2, None), text.as_bytes());
        assert!(read.is_err(), "{text}");
    }
}

#[test]
fn ranks_are_sorted_whoever_gives_them() {
    let cohere = json!({"results": [{"index": 0, "relevance_score": 0.1}, {"index": 2, "relevance_score": 0.9}, {"index": 1, "relevance_score": 0.9}],
        "meta": {"billed_units": {"search_units": 1}}});
    let read = at("cohere/m").parse_measured(&rerank(3, Some(2)), cohere.to_string().as_bytes());
    let rank = |index, score| Rank { index, score };
    let read = read.expect("ranks");
    assert_eq!(
        read.numbers,
        Numbers::Ranks(vec![rank(1, 0.9), rank(2, 0.9)])
    );
    assert_eq!(read.usage, None);
    let voyage =
        json!({"data": [{"index": 0, "relevance_score": 0.5}], "usage": {"total_tokens": 26}});
    let read = at("voyage/m").parse_measured(&rerank(1, None), voyage.to_string().as_bytes());
    assert_eq!(
        read.expect("ranks").usage.map(|usage| usage.prompt_tokens),
        Some(26)
    );
}

#[test]
fn the_bound_holds_for_every_byte_and_every_reading_of_the_query() {
    let work = rerank(10, None);
    let body = at("cohere/m").measure_request(&work, None).expect("one");
    let most = work.most_usage(body.body().len()).prompt_tokens;
    let text: usize = (0..10)
        .map(|n| "what?".len() + format!("text {n}").len())
        .sum();
    assert!(most >= i64::try_from(text).expect("small"));
}

#[test]
fn texts_that_share_words_are_near() {
    let texts = ["The red car", "a RED car!", "blue whales sing", ""];
    let work = Work::Embed {
        texts: texts.map(str::to_owned).to_vec(),
        dimensions: None,
        purpose: None,
    };
    let Numbers::Vectors(vectors) = hashed::answer(&work).numbers else {
        panic!("vectors");
    };
    let near = |a: usize, b: usize| -> f64 {
        let pairs = vectors[a].iter().zip(&vectors[b]);
        pairs.map(|(x, y)| x * y).sum()
    };
    assert!((near(0, 0) - 1.0).abs() < 1e-12);
    assert!(near(0, 1) > near(0, 2));
    assert!(vectors[3].iter().all(|x| *x == 0.0));
    let ranked = hashed::answer(&Work::Rerank {
        query: "whales".into(),
        documents: texts.map(str::to_owned).to_vec(),
        top_n: Some(1),
    });
    let Numbers::Ranks(ranks) = ranked.numbers else {
        panic!("ranks");
    };
    assert_eq!((ranks.len(), ranks[0].index), (1, 2));
}
