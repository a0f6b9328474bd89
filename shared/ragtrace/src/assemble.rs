//! From a trace's spans to its queries.

use crate::chunk::{Document, Names};
use crate::cite::{Citable, cites};
use crate::group::{Group, groups};
use crate::json::whole;
use crate::prompt::{chunks, prompt, said, text_of};
use crate::query::{
    Answer, Candidate, Kind, Prompt, PromptChunk, PromptHow, Query, Rewrite, Settings, Stage, Usage,
};
use crate::read::{Raw, asked, embedded};
use crate::role::{Role, role};
use crate::span::Span;
use nodeai_otel::content_of;
use serde_json::Value;
use std::collections::HashSet;

/// The queries of a trace, by their start; none when nothing was retrieved or ranked in it.
pub fn assemble(spans: &[Span]) -> Vec<Query> {
    let groups = groups(spans);
    groups.iter().map(|group| query(spans, group)).collect()
}

fn query(spans: &[Span], group: &Group) -> Query {
    let mut stages = stages(spans, group);
    let question = question(spans, group, &stages);
    let model = answering(spans, group);
    let prompt = model.map(|model| {
        let mut prompt = prompt(&spans[model]);
        prompt.chunks = in_prompt(&prompt, &stages);
        prompt
    });
    let selected = prompt
        .as_ref()
        .and_then(|prompt| selection(prompt, &stages));
    stages.extend(selected);
    let answer = model.and_then(|model| answer(&spans[model], prompt.as_ref(), &stages));
    let (from, to) = times(spans, group);
    let around = group.root.map(|root| &spans[root].base);
    let first = group.stages.first().map(|(i, _)| &spans[*i].base);
    let named = around.or(first);
    Query {
        span_id: named.map(|span| span.span_id.clone()).unwrap_or_default(),
        name: named.map(|span| span.name.clone()).unwrap_or_default(),
        status: named.map(|span| span.status.clone()).unwrap_or_default(),
        rewrites: rewrites(spans, group, question.as_deref(), &stages),
        question,
        stages,
        prompt,
        answer,
        usage: usage(spans, group),
        latency_ms: to.saturating_sub(from).max(0) as f64 / 1_000.0,
    }
}

fn times(spans: &[Span], group: &Group) -> (i64, i64) {
    let of = |i: &usize| (spans[*i].base.start_us, spans[*i].base.end_us);
    if let Some(root) = &group.root {
        return of(root);
    }
    let all = group.members.iter().map(of);
    let bounds = all.reduce(|(from, to), (start, end)| (from.min(start), to.max(end)));
    bounds.unwrap_or_default()
}

fn stages(spans: &[Span], group: &Group) -> Vec<Stage> {
    let lists = group.stages.iter().flat_map(|(_, raw)| {
        let received = raw.received.as_deref().into_iter();
        received.chain(std::iter::once(raw.gave.as_slice()))
    });
    let names = Names::of(lists);
    let stage = |(i, raw): &(usize, Raw)| {
        let span = &spans[*i];
        let ids = |list: &Vec<Document>| list.iter().map(|d| names.name(d)).collect();
        Stage {
            kind: raw.kind,
            name: span.base.name.clone(),
            span_id: span.base.span_id.clone(),
            took_ms: span.took_ms(),
            query: raw.query.clone(),
            settings: raw.settings.clone(),
            received: raw.received.as_ref().map(ids),
            candidates: candidates(&raw.gave, &names),
            incomplete: raw.incomplete,
            inferred: false,
        }
    };
    group.stages.iter().map(stage).collect()
}

fn candidates(list: &[Document], names: &Names) -> Vec<Candidate> {
    let ranked = list.iter().enumerate().map(|(at, document)| Candidate {
        chunk_id: names.name(document),
        rank: at + 1,
        score: document.score,
        content: document.text.clone(),
    });
    ranked.collect()
}

/// The call whose answer is the query's: the one that says what the span around says, else the last one that begins
/// after a stage has.
fn answering(spans: &[Span], group: &Group) -> Option<usize> {
    let first = group
        .stages
        .iter()
        .map(|(i, _)| spans[*i].base.start_us)
        .min()?;
    let after = group.models.iter().copied();
    let after = after.filter(|i| spans[*i].base.start_us >= first);
    let after: Vec<usize> = after.collect();
    let outer = group.root.and_then(|root| said(&spans[root]));
    let same = outer.and_then(|(outer, _)| {
        let says = |i: &usize| said(&spans[*i]).is_some_and(|(t, _)| t.trim() == outer.trim());
        after.iter().copied().rfind(says)
    });
    same.or(after.last().copied())
}

fn question(spans: &[Span], group: &Group, stages: &[Stage]) -> Option<String> {
    let root = group.root.map(|root| content_of(&spans[root].attributes));
    let of_root = root.and_then(|content| {
        let user = content.input_messages.iter().rev();
        let mut user = user.filter(|message| message["role"] == "user");
        let message = user.next().map(text_of).filter(|text| !text.is_empty());
        message.or_else(|| asked(&whole(content.input.as_ref()?).0))
    });
    of_root
        .or_else(|| stages.iter().find_map(|stage| stage.query.clone()))
        .or_else(|| {
            let mut made = embeddings(spans, group);
            made.find_map(|span| embedded(span))
        })
}

fn embeddings<'a>(spans: &'a [Span], group: &'a Group) -> impl Iterator<Item = &'a Span> {
    let members = group.members.iter().map(|i| &spans[*i]);
    members.filter(|span| role(span) == Role::Embedding)
}

fn rewrites(
    spans: &[Span],
    group: &Group,
    question: Option<&str>,
    stages: &[Stage],
) -> Vec<Rewrite> {
    let of_stages = stages
        .iter()
        .filter_map(|stage| Some((stage.query.clone()?, stage.span_id.clone())));
    let of_embeddings = embeddings(spans, group)
        .filter_map(|span| Some((embedded(span)?, span.base.span_id.clone())));
    let models = group.models.iter().chain(&group.inner);
    let said: Vec<(String, &str)> = models
        .filter_map(|i| Some((said(&spans[*i])?.0, spans[*i].base.span_id.as_str())))
        .collect();
    let mut found: Vec<Rewrite> = Vec::new();
    for (text, span_id) in of_stages.chain(of_embeddings) {
        let text = text.trim();
        if question.is_none_or(|question| question.trim() == text) {
            continue;
        }
        match found.iter_mut().find(|rewrite| rewrite.text == text) {
            Some(same) => same.used_by.push(span_id),
            None => found.push(Rewrite {
                text: text.to_owned(),
                used_by: vec![span_id],
                made_by: said
                    .iter()
                    .find(|(said, _)| said.contains(text))
                    .map(|(_, id)| (*id).to_owned()),
            }),
        }
    }
    found
}

/// What goes on behind the stages: the last one that is no retrieval, and the retrievals after it.
pub fn pool(stages: &[Stage]) -> Vec<&Candidate> {
    let last = stages
        .iter()
        .rposition(|stage| stage.kind != Kind::Retrieval);
    let open = &stages[last.unwrap_or(0)..];
    let mut seen = HashSet::new();
    let all = open.iter().flat_map(|stage| &stage.candidates);
    all.filter(|candidate| seen.insert(candidate.chunk_id.as_str()))
        .collect()
}

fn in_prompt(prompt: &Prompt, stages: &[Stage]) -> Vec<PromptChunk> {
    let known: Vec<&Candidate> = stages.iter().flat_map(|stage| &stage.candidates).collect();
    let mut found = chunks(prompt, &known);
    if found.is_empty() || prompt.incomplete {
        let assumed = pool(stages).into_iter().map(|candidate| PromptChunk {
            chunk_id: candidate.chunk_id.clone(),
            how: PromptHow::Assumed,
        });
        let have: HashSet<String> = found.iter().map(|chunk| chunk.chunk_id.clone()).collect();
        found.extend(assumed.filter(|chunk| !have.contains(&chunk.chunk_id)));
    }
    found
}

/// The selection that no span says: what the last stage gave and the prompt has not.
fn selection(prompt: &Prompt, stages: &[Stage]) -> Option<Stage> {
    let pool = pool(stages);
    let chosen: HashSet<&str> = prompt.chunks.iter().map(|c| c.chunk_id.as_str()).collect();
    let is_open = pool.iter().any(|c| !chosen.contains(c.chunk_id.as_str()));
    is_open.then(|| Stage {
        kind: Kind::Select,
        name: "prompt".to_owned(),
        span_id: prompt.span_id.clone(),
        took_ms: 0.0,
        query: None,
        settings: Settings::default(),
        received: Some(pool.iter().map(|c| c.chunk_id.clone()).collect()),
        candidates: kept(prompt, stages),
        incomplete: false,
        inferred: true,
    })
}

fn kept(prompt: &Prompt, stages: &[Stage]) -> Vec<Candidate> {
    let all = || stages.iter().rev().flat_map(|stage| &stage.candidates);
    let known = prompt.chunks.iter().enumerate().map(|(at, chunk)| {
        let seen = all().find(|candidate| candidate.chunk_id == chunk.chunk_id);
        Candidate {
            chunk_id: chunk.chunk_id.clone(),
            rank: at + 1,
            score: seen.and_then(|candidate| candidate.score),
            content: None,
        }
    });
    known.collect()
}

fn answer(span: &Span, prompt: Option<&Prompt>, stages: &[Stage]) -> Option<Answer> {
    let (text, incomplete) = said(span)?;
    let all: Vec<&Candidate> = stages.iter().flat_map(|stage| &stage.candidates).collect();
    let content = |id: &str| {
        let mut texts = all.iter().filter(|candidate| candidate.chunk_id == id);
        texts.find_map(|candidate| candidate.content.as_deref())
    };
    let placed: Vec<&str> = prompt
        .into_iter()
        .flat_map(|prompt| &prompt.chunks)
        .map(|chunk| chunk.chunk_id.as_str())
        .collect();
    let mut seen: HashSet<&str> = HashSet::new();
    let rest = all
        .iter()
        .map(|candidate| (candidate.chunk_id.as_str(), false));
    let citable: Vec<Citable<'_>> = placed
        .iter()
        .map(|id| (*id, true))
        .chain(rest)
        .filter(|(id, _)| seen.insert(id))
        .map(|(chunk_id, in_prompt)| Citable {
            chunk_id,
            content: content(chunk_id).filter(|_| in_prompt),
            in_prompt,
        })
        .collect();
    let given = prompt.map(|prompt| text_of(&Value::Array(prompt.messages.clone())));
    Some(Answer {
        span_id: span.base.span_id.clone(),
        cites: cites(&text, given.as_deref().unwrap_or_default(), &citable),
        text,
        incomplete,
    })
}

/// Each call once: what is counted as a model's, or would be if it were stored.
fn usage(spans: &[Span], group: &Group) -> Usage {
    let mut usage = Usage::default();
    let mut pusd: Option<i64> = None;
    let known: HashSet<usize> = group.models.iter().chain(&group.inner).copied().collect();
    for i in &group.members {
        let base = &spans[*i].base;
        let is_call = base.measure.as_deref() == Some("model")
            || base.measure.is_none() && (known.contains(i) || role(&spans[*i]) == Role::Embedding);
        if !is_call {
            continue;
        }
        usage.calls += 1;
        usage.prompt_tokens += base.prompt_tokens.unwrap_or(0);
        usage.completion_tokens += base.completion_tokens.unwrap_or(0);
        match base.cost_pusd {
            Some(cost) => pusd = Some(pusd.unwrap_or(0).saturating_add(cost)),
            None => usage.unpriced_calls += 1,
        }
    }
    usage.tokens = usage.prompt_tokens + usage.completion_tokens;
    usage.cost_usd_micros = pusd.map(micros);
    usage
}

/// Half away from zero, as everywhere.
fn micros(pusd: i64) -> i64 {
    pusd.saturating_add(500_000 * pusd.signum()) / 1_000_000
}
