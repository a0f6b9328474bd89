//! A judge that tests can predict: a model whose name contains `judge` answers by the JSON Schema that it is given, and judges by
//! words. A statement is a sentence; a context supports it when it contains it.

use serde_json::{Value, json};

use crate::plan::content_text;

/// The answer to a chat request, when it is one to a judge. `judge-garbage` answers with no JSON.
pub(crate) fn answer(body: &Value) -> Option<String> {
    let model = body["model"].as_str()?;
    let schema = &body["response_format"]["json_schema"]["schema"];
    if !model.contains("judge") || !schema.is_object() {
        return None;
    }
    if model.contains("garbage") {
        return Some("I would rather not say.".to_owned());
    }
    let messages = body["messages"].as_array()?;
    // A repair asks again behind the prompt.
    let users = messages.iter().filter(|message| message["role"] == "user");
    let prompt = content_text(&users.into_iter().next()?["content"]);
    Some(judged(&schema["properties"], &prompt).to_string())
}

/// A part of the prompt below its heading.
fn part(prompt: &str, heading: &str) -> String {
    let start = format!("{heading}:\n<<<\n");
    let found = prompt.split_once(&start).map(|(_, rest)| rest);
    let found = found.and_then(|rest| rest.split_once("\n>>>"));
    found.map_or_else(String::new, |(text, _)| text.to_owned())
}

fn sentences(text: &str) -> Vec<String> {
    let sentences = text.split_inclusive(['.', '!', '?']).map(str::trim);
    let sentences = sentences.filter(|sentence| !sentence.is_empty());
    sentences.map(str::to_owned).collect()
}

fn listed(prompt: &str, heading: &str) -> Vec<String> {
    serde_json::from_str(&part(prompt, heading)).unwrap_or_default()
}

fn holds(context: &str, statement: &str) -> bool {
    let plain = |text: &str| text.to_lowercase().trim_end_matches('.').to_owned();
    plain(context).contains(&plain(statement))
}

fn bit(holds: bool) -> u8 {
    u8::from(holds)
}

fn judged(asked: &Value, prompt: &str) -> Value {
    let has = |name: &str| !asked[name].is_null();
    let (context, answer) = (part(prompt, "Context"), part(prompt, "Answer"));
    if has("questions") {
        // A sentence with `rumour` in it is quoted wrongly.
        let one = |sentence: &String| {
            let quote = match sentence.contains("rumour") {
                true => "nobody has said that".to_owned(),
                false => sentence.clone(),
            };
            json!({"question": format!("What about this: {sentence}"), "answer": sentence, "quote": quote})
        };
        json!({"questions": sentences(&part(prompt, "Text")).iter().map(one).collect::<Vec<_>>()})
    } else if has("statements") {
        let text = if answer.is_empty() {
            part(prompt, "Text")
        } else {
            answer
        };
        json!({"statements": sentences(&text)})
    } else if has("verdicts") {
        let verdict = |statement: &String| json!({"statement": statement, "reason": "by its words", "verdict": bit(holds(&context, statement))});
        json!({"verdicts": listed(prompt, "Statements").iter().map(verdict).collect::<Vec<_>>()})
    } else if has("noncommittal") {
        json!({"question": format!("What about {answer}"), "noncommittal": bit(holds(&answer, "not sure"))})
    } else if has("classifications") {
        let one = |sentence: &String| json!({"statement": sentence, "reason": "by its words", "attributed": bit(holds(&context, sentence))});
        json!({"classifications": sentences(&answer).iter().map(one).collect::<Vec<_>>()})
    } else if has("TP") {
        let said = listed(prompt, "Statements of the answer");
        let wanted = listed(prompt, "Statements of the ground truth");
        let with = |all: &[String], other: &[String], there: bool| -> Value {
            let chosen = all.iter().filter(|one| other.contains(one) == there);
            chosen
                .map(|one| json!({"statement": one, "reason": "by its words"}))
                .collect()
        };
        json!({"TP": with(&said, &wanted, true), "FP": with(&said, &wanted, false), "FN": with(&wanted, &said, false)})
    } else if has("feedback") {
        let polite = holds(&answer, "please");
        let whole = asked["score"]["type"] == "integer";
        let score = match (polite, whole) {
            (true, true) => json!(5),
            (false, true) => json!(2),
            (polite, false) => json!(if polite { 1.0 } else { 0.25 }),
        };
        json!({"feedback": if polite { "polite" } else { "curt" }, "score": score})
    } else {
        json!({"reason": "by its words", "verdict": bit(holds(&context, &answer))})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(properties: Value, prompt: &str) -> Value {
        let body = json!({"model": "judge", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": prompt}],
            "response_format": {"json_schema": {"schema": {"type": "object", "properties": properties}}}});
        serde_json::from_str(&answer(&body).expect("an answer")).expect("JSON")
    }

    #[test]
    fn it_judges_by_words() {
        let prompt = "Context:\n<<<\nIt opens at nine. It is red.\n>>>\n\nStatements:\n<<<\n[\"It opens at nine.\",\"It is blue.\"]\n>>>\n";
        let said = ask(json!({"verdicts": {}}), prompt);
        assert_eq!(
            (
                &said["verdicts"][0]["verdict"],
                &said["verdicts"][1]["verdict"]
            ),
            (&json!(1), &json!(0))
        );
        let said = ask(
            json!({"statements": {}}),
            "Question:\n<<<\nq\n>>>\n\nAnswer:\n<<<\nOne. Two.\n>>>\n",
        );
        assert_eq!(said, json!({"statements": ["One.", "Two."]}));
        assert_eq!(answer(&json!({"model": "gpt", "messages": []})), None);
    }
}
