//! Why a chunk is, or is not, in an answer: where it fell out, and the smallest change that would have kept it there.

use crate::query::{Candidate, How, Kind, Query, Stage};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashSet;

/// What became of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// No stage has found it.
    NeverRetrieved,
    /// A list was longer than what went on, and it stood too low.
    CutByK,
    /// Its score was below a stage's least.
    BelowThreshold,
    /// A stage left it out, and neither its place nor its score says why.
    DroppedByFilter,
    /// The reranker gave it a place too low.
    BelowTopN,
    /// The model had it and does not refer to it.
    InPromptNotCited,
    /// The answer refers to it.
    Cited,
    /// It came through all stages, and the trace has no prompt after them.
    NoPrompt,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct At {
    /// What it does.
    pub kind: Kind,
    /// Name of its span.
    pub name: String,
    /// Its span.
    pub span_id: String,
}

/// Where the chunk was.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Seen {
    /// The stage.
    #[serde(flatten)]
    pub at: At,
    /// Its best place, from 1.
    pub rank: usize,
    /// Its score there.
    pub score: Option<f64>,
    /// Length of the list.
    pub of: usize,
}

/// What could be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// How many chunks a stage gives.
    K,
    /// How many the reranker gives.
    TopN,
    /// The least score.
    Threshold,
    /// A filter's condition.
    Filter,
    /// The words that are looked for, or the embedding of them.
    Query,
    /// What the model is told to do with its chunks.
    Prompt,
}

/// The smallest change that would have kept the chunk at that stage. What later stages would have done with it, a trace
/// cannot say.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Change {
    /// What to change.
    pub setting: Setting,
    /// Where.
    pub at: Option<At>,
    /// What it was, when known.
    pub from: Option<Value>,
    /// Nothing below this could be enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Value>,
    /// Nothing above this is (of a least score).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Value>,
    /// This is enough, as far as the trace shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enough: Option<Value>,
    /// In words.
    pub advice: String,
}

/// What became of a chunk, and why.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Why {
    /// The chunk.
    pub chunk_id: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Where it fell out; null when it did not, or was nowhere.
    pub stage: Option<At>,
    /// Its place in the list that it fell out of, from 1.
    pub rank: Option<usize>,
    /// Its score there.
    pub score: Option<f64>,
    /// In words.
    pub detail: String,
    /// The smallest change; null when it is cited.
    pub change: Option<Change>,
    /// The stages that had it, in their order.
    pub path: Vec<Seen>,
}

/// Follows `chunk` (an id as the query shows it) through the query.
pub fn why(query: &Query, chunk: &str) -> Why {
    let path: Vec<Seen> = query
        .stages
        .iter()
        .filter_map(|stage| seen(stage, chunk))
        .collect();
    let mut verdict = match path.is_empty() {
        true => absent(query, chunk),
        false => followed(query, chunk),
    };
    verdict.chunk_id = chunk.to_owned();
    verdict.path = path;
    verdict
}

fn at(stage: &Stage) -> At {
    At {
        kind: stage.kind,
        name: stage.name.clone(),
        span_id: stage.span_id.clone(),
    }
}

fn best<'a>(stage: &'a Stage, chunk: &str) -> Option<&'a Candidate> {
    stage.candidates.iter().find(|c| c.chunk_id == chunk)
}

fn seen(stage: &Stage, chunk: &str) -> Option<Seen> {
    let candidate = best(stage, chunk)?;
    Some(Seen {
        at: at(stage),
        rank: candidate.rank,
        score: candidate.score,
        of: stage.candidates.len(),
    })
}

fn verdict(outcome: Outcome, stage: Option<&Stage>, detail: String) -> Why {
    Why {
        chunk_id: String::new(),
        outcome,
        stage: stage.map(at),
        rank: None,
        score: None,
        detail,
        change: None,
        path: Vec::new(),
    }
}

/// In no list that a stage gave; a stage may still have been given it by something that is no span.
fn absent(query: &Query, chunk: &str) -> Why {
    let given = query.stages.iter().find(|stage| {
        let mut received = stage.received.iter().flatten();
        received.any(|id| id == chunk)
    });
    if let Some(stage) = given {
        return inside(stage, None);
    }
    let retrievals = query.stages.iter().filter(|s| s.kind == Kind::Retrieval);
    let widest = retrievals.max_by_key(|stage| stage.candidates.len());
    let Some(stage) = widest else {
        let detail = "no span of this query shows a retrieval".to_owned();
        return verdict(Outcome::NeverRetrieved, None, detail);
    };
    let seen = stage.candidates.len();
    let most = stage
        .settings
        .k
        .map_or(seen, |k| usize::try_from(k).unwrap_or(seen).max(seen));
    let mut why = verdict(
        Outcome::NeverRetrieved,
        None,
        format!(
            "no stage has it; the longest list is that of {} with {seen}",
            stage.name
        ),
    );
    why.change = Some(Change {
        setting: Setting::K,
        at: Some(at(stage)),
        from: stage.settings.k.map(Value::from),
        min: Some(json!(most + 1)),
        max: None,
        enough: None,
        advice: format!(
            "not a candidate at any k seen: raise k of {} beyond {most} or change the query or the embedding",
            stage.name
        ),
    });
    noted(why, stage)
}

/// From the last list that has it to what became of it.
fn followed(query: &Query, chunk: &str) -> Why {
    let last = query.stages.iter().rposition(|s| best(s, chunk).is_some());
    let Some((last, stage)) = last.map(|place| (place, &query.stages[place])) else {
        return absent(query, chunk);
    };
    let placed = query.prompt.iter().flat_map(|prompt| &prompt.chunks);
    let mut placed = placed.filter(|c| c.chunk_id == chunk);
    if placed.next().is_some() || cited(query, chunk).is_some() {
        return reached(query, chunk);
    }
    let later = &query.stages[last + 1..];
    match later.iter().find(|next| next.kind != Kind::Retrieval) {
        Some(next) => lost(stage, next, chunk),
        None => {
            let detail = "it came through all stages; no prompt follows them".to_owned();
            verdict(Outcome::NoPrompt, None, detail)
        }
    }
}

fn cited<'a>(query: &'a Query, chunk: &str) -> Option<&'a crate::query::Cite> {
    let mut cites = query.answer.iter().flat_map(|answer| &answer.cites);
    cites.find(|cite| cite.chunk_id == chunk)
}

fn reached(query: &Query, chunk: &str) -> Why {
    if let Some(cite) = cited(query, chunk) {
        let how = match (cite.how, &cite.marker, cite.words) {
            (How::Marker, Some(marker), _) => format!("the answer refers to it as {marker}"),
            (_, _, Some(words)) => format!("the answer has {words} of its words in a row"),
            _ => "the answer refers to it".to_owned(),
        };
        return verdict(Outcome::Cited, None, how);
    }
    let detail = match &query.answer {
        Some(_) => "the model had it; its answer neither names nor quotes it",
        None => "the model had it and gave no answer",
    };
    let mut why = verdict(Outcome::InPromptNotCited, None, detail.to_owned());
    why.change = Some(Change {
        setting: Setting::Prompt,
        at: None,
        from: None,
        min: None,
        max: None,
        enough: None,
        advice: "no setting of retrieval: ask for citations in the prompt, or move the chunk up"
            .to_owned(),
    });
    why
}

/// Between the list that had it and the next stage, or within that stage.
fn lost(last: &Stage, next: &Stage, chunk: &str) -> Why {
    let candidate = best(last, chunk);
    let (rank, score) = candidate.map_or((0, None), |c| (c.rank, c.score));
    let received = next.received.as_deref();
    if !next.inferred && received.is_none_or(|list| list.iter().any(|id| id == chunk)) {
        return inside(next, candidate.map(|c| (last, c)));
    }
    let went_on: HashSet<&str> = match (next.inferred, received) {
        (false, Some(list)) => list.iter().map(String::as_str).collect(),
        _ => next
            .candidates
            .iter()
            .map(|c| c.chunk_id.as_str())
            .collect(),
    };
    let mut why = match kept_until(last, &went_on) {
        _ if is_below(last, score) || is_below(next, score) => {
            let by = if is_below(last, score) { last } else { next };
            below(by, score)
        }
        Some(k) if rank > k => too_low(last, rank, k),
        _ => filtered(next, "its place and its score are not why"),
    };
    (why.rank, why.score) = (Some(rank), score);
    why
}

fn is_below(stage: &Stage, score: Option<f64>) -> bool {
    stage
        .settings
        .threshold
        .zip(score)
        .is_some_and(|(t, s)| s < t)
}

/// The last place of a list whose chunk went on.
fn kept_until(stage: &Stage, went_on: &HashSet<&str>) -> Option<usize> {
    let kept = stage.candidates.iter().rev();
    let mut kept = kept.filter(|c| went_on.contains(c.chunk_id.as_str()));
    kept.next().map(|candidate| candidate.rank)
}

/// Below what went on from a list that is whole: by its own setting, or by whoever took its beginning.
fn too_low(stage: &Stage, rank: usize, k: usize) -> Why {
    let (outcome, setting, name) = limit(stage.kind);
    let mut why = verdict(
        outcome,
        Some(stage),
        format!("{} gave it place {rank}; the first {k} went on", stage.name),
    );
    why.change = Some(Change {
        setting,
        at: Some(at(stage)),
        from: Some(json!(k)),
        min: Some(json!(rank)),
        max: None,
        enough: Some(json!(rank)),
        advice: format!("{name} of what goes on from {} at least {rank}", stage.name),
    });
    why
}

fn limit(kind: Kind) -> (Outcome, Setting, &'static str) {
    match kind {
        Kind::Rerank => (Outcome::BelowTopN, Setting::TopN, "top_n"),
        _ => (Outcome::CutByK, Setting::K, "k"),
    }
}

/// A stage had it and did not give it: by what the stage is. `from` is the list before it, which has its old score.
fn inside(stage: &Stage, from: Option<(&Stage, &Candidate)>) -> Why {
    let score = from.and_then(|(_, candidate)| candidate.score);
    let scores = stage.kind == Kind::Rerank || stage.kind == Kind::Fusion;
    let mut why = match stage.kind {
        // Their thresholds are of scores that they give themselves.
        _ if !scores && is_below(stage, score) => below(stage, score),
        Kind::Filter => filtered(stage, "it is not among what the filter gave"),
        Kind::Rerank | Kind::Fusion | Kind::Select | Kind::Retrieval => cut_inside(stage, from),
    };
    why.rank = from.map(|(_, candidate)| candidate.rank);
    why.score = score;
    noted(why, stage)
}

/// Says so where a list is not whole: the chunk may be in the rest of it.
fn noted(mut why: Why, stage: &Stage) -> Why {
    if stage.incomplete {
        why.detail += "; the trace has only the beginning of its list";
    }
    why
}

fn cut_inside(stage: &Stage, from: Option<(&Stage, &Candidate)>) -> Why {
    let gave = stage.candidates.len();
    let (outcome, setting, name) = limit(stage.kind);
    let set = if setting == Setting::TopN {
        stage.settings.top_n
    } else {
        stage.settings.k
    };
    let set_place = set.and_then(|n| usize::try_from(n).ok());
    let full = set_place.is_none_or(|n| gave >= n);
    if !full && stage.settings.threshold.is_some() {
        return below(stage, None);
    }
    if !full {
        return filtered(stage, "it gave fewer chunks than it may, and not this one");
    }
    let cut = set_place.unwrap_or(gave);
    let most = stage.received.as_ref().map(Vec::len);
    // A selection keeps the order that it is given, so the place before it is the place in it.
    let known = from
        .filter(|_| stage.kind == Kind::Select)
        .map(|(_, candidate)| candidate.rank)
        .filter(|rank| *rank > cut);
    let most = known.or(most.filter(|most| *most > cut));
    let mut why = verdict(
        outcome,
        Some(stage),
        format!("{} was given it and kept {gave} others", stage.name),
    );
    let min = known.unwrap_or(cut + 1);
    let advice = match (known, most) {
        (Some(rank), _) => format!("{name} of {} at least {rank}", stage.name),
        (None, Some(most)) => format!(
            "{name} of {} above {cut}; its place there is not in the trace, {most} keeps all",
            stage.name
        ),
        (None, None) => format!("{name} of {} above {cut}", stage.name),
    };
    why.change = Some(Change {
        setting,
        at: Some(at(stage)),
        from: Some(json!(cut)),
        min: Some(json!(min)),
        max: None,
        enough: most.map(|most| json!(most)),
        advice,
    });
    why
}

fn below(stage: &Stage, score: Option<f64>) -> Why {
    let threshold = stage.settings.threshold;
    let least = threshold.map(|n| n.to_string()).unwrap_or_default();
    let detail = match score {
        Some(score) => format!(
            "its score {score} is below the least of {}, {least}",
            stage.name
        ),
        None => format!(
            "{} gave fewer chunks than it may, with a least score of {least}",
            stage.name
        ),
    };
    let mut why = verdict(Outcome::BelowThreshold, Some(stage), detail);
    why.change = Some(Change {
        setting: Setting::Threshold,
        at: Some(at(stage)),
        from: threshold.map(Value::from),
        min: None,
        max: score.or(threshold).map(Value::from),
        enough: score.map(Value::from),
        advice: match score {
            Some(score) => format!("threshold of {} at most {score}", stage.name),
            None => format!("threshold of {} below {least}", stage.name),
        },
    });
    why
}

fn filtered(stage: &Stage, detail: &str) -> Why {
    let mut why = verdict(
        Outcome::DroppedByFilter,
        Some(stage),
        format!("{} left it out: {detail}", stage.name),
    );
    why.change = Some(Change {
        setting: Setting::Filter,
        at: Some(at(stage)),
        from: stage.settings.filter.clone(),
        min: None,
        max: None,
        enough: None,
        advice: format!("look at the condition of {}", stage.name),
    });
    why
}
