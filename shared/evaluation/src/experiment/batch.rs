//! A batch of questions as a run that searches, and what has come of it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Taken;
use super::lists::{Candidate, Effort, Lists};
use crate::judged::question;
use crate::run::Run;

/// Most characters of a reason.
const LONGEST: usize = 500;

/// A batch whose run has ended.
#[derive(Debug, Clone, Deserialize)]
pub struct Ended {
    batch: i64,
    run: Run,
    /// Ids of items, in the order in which they were asked.
    items: Vec<String>,
}

/// A batch that waits.
#[derive(Debug, Clone, Deserialize)]
pub struct Waiting {
    batch: i64,
    items: Vec<Asked>,
}

#[derive(Debug, Clone, Deserialize)]
struct Asked {
    question: Value,
}

/// What is stored, and asked next.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Step {
    ended: Vec<Value>,
    runs: Vec<Value>,
}

/// One question's searches, as the run's loop gives them.
#[derive(Debug, Deserialize)]
struct Searched {
    #[serde(default)]
    lexical: Option<Listed>,
    #[serde(default)]
    vector: Option<Listed>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    list: Vec<Candidate>,
    #[serde(default)]
    took_ms: Option<f64>,
    #[serde(default)]
    usd_micros: Option<f64>,
}

/// Works out a step.
pub fn step(taken: &Taken, ended: &[Ended], waiting: &[Waiting]) -> Step {
    let definition = match waiting.is_empty() {
        true => Value::Null,
        false => definition(taken),
    };
    let runs = waiting.iter().map(|batch| {
        let questions = batch.items.iter().map(|item| question(&item.question));
        let questions: Vec<String> = questions.collect();
        json!({"batch": batch.batch, "definition": definition, "inputs": {"questions": questions}})
    });
    Step {
        ended: ended.iter().map(Ended::read).collect(),
        runs: runs.collect(),
    }
}

/// The run: for each question a search by words and one by vectors, as far as they are needed. Their texts do not come along.
fn definition(taken: &Taken) -> Value {
    let search = |id: &str| {
        json!({"id": id, "type": "retrieve", "parentId": "each", "data": {
            "knowledge_base": taken.knowledge_base_id, "index": taken.index, "query": "{{ item }}", "mode": id,
            "k": taken.depth, "candidates": taken.depth, "content": false, "retry": {"max_attempts": 3}}})
    };
    let needed = match taken.needs() {
        (true, true) => vec!["lexical", "vector"],
        (false, _) => vec!["vector"],
        (true, false) => vec!["lexical"],
    };
    let part = "{list: [.results[] | [.chunk_id, .document_id, .score]], took_ms: .took_ms, usd_micros: .usage.cost_usd_micros}";
    let parts: Vec<String> = needed
        .iter()
        .map(|id| format!("{id}: (.{id} | {part})"))
        .collect();
    let found = needed.iter().map(|id| {
        (
            (*id).to_owned(),
            json!(format!("{{{{ nodes.{id}.output }}}}")),
        )
    });
    let found: serde_json::Map<String, Value> = found.collect();
    let mut nodes = vec![
        json!({"id": "in", "type": "input", "data": {}}),
        json!({"id": "each", "type": "for_each", "data": {"items": "{{ inputs.questions }}", "concurrency": 2, "result": "pack",
            "on_item_error": "continue"}}),
        json!({"id": "pack", "type": "jq", "parentId": "each", "data": {"input": found,
            "program": format!("{{{}}}", parts.join(", "))}}),
        json!({"id": "out", "type": "output", "data": {"value": "{{ nodes.each.output }}"}}),
    ];
    let mut edges = vec![("in", "each"), ("each", "out")];
    // One after the other, so that how long each takes is its own.
    let chain: Vec<&str> = needed.iter().copied().chain(["pack"]).collect();
    edges.extend(chain.windows(2).map(|two| (two[0], two[1])));
    nodes.extend(needed.iter().map(|id| search(id)));
    let edges: Vec<Value> = edges
        .iter()
        .map(|(a, b)| json!({"id": format!("{a}-{b}"), "source": a, "target": b}))
        .collect();
    json!({"nodes": nodes, "edges": edges})
}

impl Ended {
    /// What of it is stored.
    fn read(&self) -> Value {
        let failed = match (self.run.status.as_str(), &self.run.error) {
            ("succeeded", _) => None,
            (_, Some(error)) => Some(format!("{}: {}", error.kind, error.message)),
            (status, None) => Some(format!("the run was {status}")),
        };
        let mut cost_pusd = self.run.cost_pusd;
        let questions = self.items.iter().enumerate().map(|(at, item)| {
            let read = match &failed {
                Some(why) => Err(why.clone()),
                None => lists(&self.run.outputs["out"][at]),
            };
            match read {
                Ok(lists) => {
                    let micros = lists.effort.vector_usd_micros.unwrap_or_default();
                    // A question's vector is paid for by a run of its own.
                    cost_pusd = cost_pusd.saturating_add((micros * 1e6) as i64);
                    json!({"item_id": item, "lists": lists})
                }
                Err(why) => {
                    let why: String = why.chars().take(LONGEST).collect();
                    json!({"item_id": item, "error": why})
                }
            }
        });
        let questions: Vec<Value> = questions.collect();
        json!({"batch": self.batch, "cost_pusd": cost_pusd, "questions": questions})
    }
}

fn lists(given: &Value) -> Result<Lists, String> {
    if let Some(error) = given.get("error") {
        let message = error["message"].as_str().unwrap_or("the search failed");
        let kind = error["kind"].as_str().unwrap_or("failed");
        return Err(format!("{kind}: {message}"));
    }
    let searched = Searched::deserialize(given)
        .map_err(|_| "the search gave no list of candidates".to_owned())?;
    if searched.lexical.is_none() && searched.vector.is_none() {
        return Err("the search gave no list of candidates".to_owned());
    }
    let list = |found: &Option<Listed>| {
        let found = found.as_ref();
        found.map(|one| one.list.clone()).unwrap_or_default()
    };
    let vector = searched.vector.as_ref();
    let effort = Effort {
        lexical_ms: searched.lexical.as_ref().and_then(|one| one.took_ms),
        vector_ms: vector.and_then(|one| one.took_ms),
        vector_usd_micros: vector.and_then(|one| one.usd_micros),
    };
    Ok(Lists::of(
        &list(&searched.lexical),
        &list(&searched.vector),
        effort,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::tests::taken;

    fn ended(run: Value) -> Ended {
        let batch = json!({"batch": 3, "items": ["i", "j"], "run": run});
        serde_json::from_value(batch).expect("ended")
    }

    #[test]
    fn the_run_is_a_workflow_that_can_be_run() {
        for space in [json!({}), json!({"mode": ["lexical"]})] {
            let taken = taken(space, json!({"mode": "lexical"}));
            let waiting = json!({"batch": 0, "items": [{"item_id": "i", "question": {"question": "When?", "user": "u"}}]});
            let waiting: Waiting = serde_json::from_value(waiting).expect("a batch");
            let step = step(&taken, &[], &[waiting]);
            assert_eq!(step.runs[0]["inputs"], json!({"questions": ["When?"]}));
            if let Err(faults) = nodeai_engine::compile(&step.runs[0]["definition"]) {
                panic!("{faults:?}");
            }
        }
    }

    #[test]
    fn lists_are_kept_without_texts_and_failures_say_why() {
        let found = json!({"lexical": {"list": [["c1", "d1", 2.5]], "took_ms": 3.0, "usd_micros": 0},
            "vector": {"list": [["c2", "d2", 0.5]], "took_ms": 9.0, "usd_micros": 2}});
        let failed = json!({"error": {"kind": "timeout", "message": "too slow"}});
        let run =
            json!({"status": "succeeded", "outputs": {"out": [found, failed]}, "cost_pusd": 5});
        let read = ended(run).read();
        assert_eq!(read["cost_pusd"], 2_000_005);
        let lists = &read["questions"][0]["lists"];
        assert_eq!(lists["documents"], json!(["d1", "d2"]));
        assert_eq!(lists["lexical"], json!([[0, 2.5]]));
        assert_eq!(lists["effort"]["vector_ms"], 9.0);
        assert_eq!(read["questions"][1]["error"], "timeout: too slow");
    }

    #[test]
    fn a_failed_run_fails_all_its_questions() {
        let run =
            json!({"status": "failed", "error": {"kind": "missing", "message": "the run is gone"}});
        let read = ended(run).read();
        assert_eq!(read["questions"][1]["error"], "missing: the run is gone");
    }
}
