//! The workflows in `examples/connectors` against stand-ins for their sources: all comes in, stays as it is there, and a token that is
//! refused removes nothing.

mod server;
mod sources;

use self::sources::{Sources, TOKEN, World};
use super::app;
use super::knowledge::{base, hashed, ready, search, titles};
use e2e::{Reply, Tenant, assert_status};
use serde_json::{Value, json};

const REPOSITORY: &str = include_str!("../../../../examples/connectors/github-repository.json");
const ISSUES: &str = include_str!("../../../../examples/connectors/github-issues.json");
const NOTION: &str = include_str!("../../../../examples/connectors/notion-database.json");
const SHEET: &str = include_str!("../../../../examples/connectors/google-sheet.json");
const FEED: &str = include_str!("../../../../examples/connectors/rss-feed.json");

/// An example, stored as a workflow, and the knowledge base that it fills.
struct Connector {
    me: Tenant,
    base: String,
    workflow: String,
    inputs: Value,
}

impl Connector {
    /// For a new user who has the secret, if one is needed.
    fn new(example: &str, secret: Option<&str>, inputs: Value) -> Self {
        let me = app().tenant();
        let base = base(&me, hashed());
        if let Some(name) = secret {
            let made = me.post("/api/v1/secrets", &json!({"name": name, "value": TOKEN}));
            assert_status(&made, 201);
        }
        let example: Value = serde_json::from_str(example).unwrap();
        let workflow = me.workflow("connector", &example["definition"]);
        let mut all = inputs;
        all["knowledge_base"] = base.rsplit('/').next().unwrap().into();
        Self {
            me,
            base,
            workflow,
            inputs: all,
        }
    }

    fn run(&self) -> Reply {
        let body = json!({"workflow_id": self.workflow, "inputs": self.inputs});
        let run = self.me.post("/api/v1/workflows/execute", &body);
        assert_status(&run, 200);
        run
    }

    /// What a run that went well gives.
    #[track_caller]
    fn result(&self) -> Value {
        let run = self.run();
        assert_eq!(run.json["status"], "succeeded", "{}", run.text);
        run.json["outputs"]["result"].clone()
    }

    /// Runs, and wants so many added, changed, unchanged and removed.
    #[track_caller]
    fn gives(&self, wanted: [i64; 4]) {
        let result = self.result();
        let names = ["added", "changed", "unchanged", "removed"];
        let found = names.map(|name| result[name].as_i64().unwrap());
        assert_eq!(found, wanted, "{result}");
    }

    /// Runs with a token that the source refuses: that is said, and everything stays.
    #[track_caller]
    fn refuses_another_token(&self, secret: &str, keys: usize) {
        let found = self.me.get(&format!("/api/v1/secrets?name={secret}")).json["data"][0].clone();
        let path = format!("/api/v1/secrets/{}/versions", found["id"].as_str().unwrap());
        let fields = [("if-match", "*")];
        let added = self
            .me
            .post_with(&path, &fields, &json!({"value": "another-token"}));
        assert_status(&added, 201);
        let run = self.run();
        assert_eq!(run.json["status"], "failed", "{}", run.text);
        let error = &run.json["error"];
        assert_eq!(
            (&error["node_id"], &error["kind"]),
            (&json!("refused"), &json!("source_refused")),
            "{error}"
        );
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains("the server answered 401") && message.contains(secret),
            "{message}"
        );
        assert!(!run.text.contains("another-token"));
        assert_eq!(self.documents().len(), keys);
    }

    /// The documents, without their texts.
    fn documents(&self) -> Vec<Value> {
        let path = format!("{}/documents?source_kind=connector&limit=200", self.base);
        let listed = self.me.get(&path);
        assert_status(&listed, 200);
        listed.json["data"].as_array().unwrap().clone()
    }

    /// The document under a key, with the text that it has or will have.
    #[track_caller]
    fn document(&self, key: &str) -> Value {
        let all = self.documents();
        let found = all.iter().find(|one| one["source_uri"] == key);
        let found = found.unwrap_or_else(|| panic!("{key} is not among {all:?}"));
        let id = found["id"].as_str().unwrap();
        let mut whole = self.me.get(&format!("{}/documents/{id}", self.base)).json;
        let text = whole["pending_content"].take();
        if text.is_string() {
            whole["content"] = text;
        }
        whole
    }
}

#[test]
fn markdown_files_of_a_repository() {
    let mut files: Vec<(String, String)> = (0..42)
        .map(|n| (format!("notes/{n}.md"), format!("Note {n}.")))
        .collect();
    let more = [
        ("README.md", "# The *handbook* #\r\n\r\nHow we work.\n"),
        ("docs/a b/Leave?.MDX", "Six weeks."),
        ("docs/empty.md", " \n"),
        ("src/main.rs", "fn main() {}"),
    ];
    files.extend(more.map(|(path, text)| (path.to_owned(), text.to_owned())));
    let sources = Sources::start(World {
        files: files.into_iter().collect(),
        ..World::default()
    });
    let inputs = json!({"repository": "acme/handbook", "api": format!("{}/github", sources.url)});
    let connector = Connector::new(REPOSITORY, Some("GITHUB_TOKEN"), inputs);
    connector.gives([44, 0, 0, 0]);
    let read = connector.document("README.md");
    assert_eq!(
        (&read["title"], &read["connector"], &read["content_type"]),
        (
            &json!("The *handbook*"),
            &json!("github:acme/handbook"),
            &json!("text/markdown")
        ),
        "{read}"
    );
    assert_eq!(read["content"], "# The *handbook* #\r\n\r\nHow we work.\n");
    let leave = connector.document("docs/a b/Leave?.MDX");
    let metadata = &leave["metadata"];
    assert_eq!(
        metadata["url"],
        "https://github.com/acme/handbook/blob/main/docs/a%20b/Leave%3F.MDX"
    );
    assert_eq!(
        (&metadata["repo"], &metadata["path"]),
        (&json!("acme/handbook"), &json!("docs/a b/Leave?.MDX"))
    );
    assert!(metadata["sha"].is_string(), "{metadata}");
    connector.gives([0, 0, 44, 0]);
    sources.change(|world| {
        world.files.remove("notes/7.md");
        world
            .files
            .insert("notes/8.md".to_owned(), "Another.".to_owned());
    });
    connector.gives([0, 1, 42, 1]);
    connector.refuses_another_token("GITHUB_TOKEN", 43);
}

#[test]
fn issues_of_a_repository() {
    let issue = |n: usize| {
        let body = (n % 2 == 0).then(|| format!("It breaks at {n}."));
        let mut one = json!({"number": n, "title": format!("Bug {n}"), "body": body, "state": "open",
            "labels": [{"name": "bug"}], "html_url": format!("https://github.com/acme/handbook/issues/{n}")});
        if n.is_multiple_of(10) {
            one["pull_request"] = json!({"url": "…"});
        }
        one
    };
    let sources = Sources::start(World {
        issues: (1..=60).map(issue).collect(),
        ..World::default()
    });
    let inputs = json!({"repository": "acme/handbook", "api": format!("{}/github", sources.url)});
    let connector = Connector::new(ISSUES, Some("GITHUB_TOKEN"), inputs);
    connector.gives([54, 0, 0, 0]);
    assert_eq!(sources.came("/issues"), 2, "two pages");
    let one = connector.document("52");
    assert_eq!(
        (&one["title"], &one["content"]),
        (&json!("Bug 52"), &json!("Bug 52\n\nIt breaks at 52.")),
        "{one}"
    );
    let url = "https://github.com/acme/handbook/issues/52";
    assert_eq!(
        one["metadata"],
        json!({"repo": "acme/handbook", "number": 52, "state": "open", "labels": ["bug"], "url": url})
    );
    connector.gives([0, 0, 54, 0]);
    sources.change(|world| {
        world.issues.remove(2);
        world.issues[0]["state"] = "closed".into();
    });
    connector.gives([0, 1, 52, 1]);
    connector.refuses_another_token("GITHUB_TOKEN", 53);
}

#[test]
fn pages_of_a_notion_database() {
    let page = |n: usize| {
        let lines = match n {
            3 => (0..102).map(|line| format!("Line {line}.")).collect(),
            _ => vec![format!("Answer {n}."), String::new()],
        };
        (format!("page-{n}"), format!("Question {n}"), lines)
    };
    let sources = Sources::start(World {
        pages: (0..30).map(page).collect(),
        ..World::default()
    });
    let inputs = json!({"database": "faq", "api": format!("{}/notion/v1", sources.url)});
    let connector = Connector::new(NOTION, Some("NOTION_TOKEN"), inputs);
    connector.gives([30, 0, 0, 0]);
    assert_eq!(sources.came("/query"), 2, "two parts");
    let long = connector.document("page-3");
    let text = long["content"].as_str().unwrap();
    assert!(
        text.starts_with("Question 3\n\nLine 0.\n\n") && text.ends_with("Line 101."),
        "{text}"
    );
    let one = connector.document("page-29");
    assert_eq!(
        (&one["title"], &one["content"]),
        (&json!("Question 29"), &json!("Question 29\n\nAnswer 29."))
    );
    let metadata = json!({"Area": "people", "Tags": ["new", "hot"], "database": "faq", "url": "https://www.notion.so/page-29",
        "last_edited": "2026-03-01T09:00:00.000Z"});
    assert_eq!(one["metadata"], metadata);
    connector.gives([0, 0, 30, 0]);
    sources.change(|world| {
        world.pages.remove(28);
        world.pages[1].2.push("More.".to_owned());
    });
    connector.gives([0, 1, 28, 1]);
    connector.refuses_another_token("NOTION_TOKEN", 29);
}

#[test]
fn rows_of_a_google_sheet() {
    let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
    let mut rows = vec![row(["Id", "Question", "Answer"])];
    rows.extend((0..105).map(|n| row([&format!("q{n}"), &format!("Question {n}"), "Yes."])));
    rows.push(row(["", "", ""]));
    rows.push(row(["last", "", ""]));
    rows.push(row(["", "Without a key", ""]));
    let sources = Sources::start(World {
        rows,
        ..World::default()
    });
    let inputs = json!({"spreadsheet": "sheet1", "range": "FAQ!A:C", "key_column": "Id", "title_column": "Question",
        "api": format!("{}/sheets/v4", sources.url)});
    let mut connector = Connector::new(SHEET, Some("GOOGLE_TOKEN"), inputs);
    connector.gives([106, 0, 0, 0]);
    let one = connector.document("q104");
    assert_eq!(
        (&one["title"], &one["content"]),
        (
            &json!("Question 104"),
            &json!("Id: q104\nQuestion: Question 104\nAnswer: Yes.")
        ),
        "{one}"
    );
    assert_eq!(one["metadata"]["Answer"], "Yes.");
    assert_eq!(connector.document("last")["title"], "last");
    let again = connector.result();
    assert_eq!(
        (&again["unchanged"], &again["without_key"]),
        (&json!(106), &json!([109])),
        "{again}"
    );
    sources.change(|world| {
        world.rows.remove(5);
        world.rows[101][2] = "No.".to_owned();
    });
    connector.gives([0, 1, 104, 1]);
    // What is no key, and a range without names, change nothing.
    let fails = |connector: &Connector, words: &str| {
        let run = connector.run();
        assert_eq!(run.json["status"], "failed", "{}", run.text);
        let message = run.json["error"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
        assert_eq!(connector.documents().len(), 105);
    };
    connector.inputs["key_column"] = "Answer".into();
    fails(
        &connector,
        "several rows have the same value in Answer: Yes.",
    );
    connector.inputs["key_column"] = "Nothing".into();
    fails(&connector, "no column is called Nothing");
    connector.inputs["key_column"] = "Id".into();
    let mut rows = Vec::new();
    sources.change(|world| std::mem::swap(&mut rows, &mut world.rows));
    fails(&connector, "the range is empty");
    sources.change(|world| world.rows = rows);
    connector.refuses_another_token("GOOGLE_TOKEN", 105);
}

fn rss(items: &[(&str, &str)]) -> String {
    let items = items.iter().map(|(guid, html)| {
        format!(
            "<item><title>On {guid}</title><link>https://news.example/{guid}</link><guid isPermaLink=\"false\">{guid}</guid>\
             <description>In short</description><content:encoded><![CDATA[{html}]]></content:encoded><category>news</category>\
             <pubDate>Mon, 02 Mar 2026 09:00:00 GMT</pubDate></item>"
        )
    });
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><rss version=\"2.0\" xmlns:content=\"http://purl.org/rss/1.0/modules/content/\">\
         <channel><title>News</title><link>https://news.example/</link>{}</channel></rss>",
        items.collect::<String>()
    )
}

#[test]
fn entries_of_a_feed() {
    let feed = rss(&[
        ("whales", "<p>Whales <b>sing</b> &amp; dive.</p>"),
        ("cars", "<p>Cars need fuel.</p>"),
    ]);
    let sources = Sources::start(World {
        feed,
        ..World::default()
    });
    let inputs = json!({"feed": format!("{}/feed.xml", sources.url)});
    let connector = Connector::new(FEED, None, inputs);
    connector.gives([2, 0, 0, 0]);
    let one = connector.document("whales");
    assert_eq!(
        (&one["title"], &one["content"]),
        (
            &json!("On whales"),
            &json!("On whales\n\nWhales sing & dive.")
        ),
        "{one}"
    );
    let metadata = &one["metadata"];
    assert_eq!(
        (&metadata["url"], &metadata["categories"]),
        (&json!("https://news.example/whales"), &json!(["news"]))
    );
    ready(
        &connector.me,
        &connector.base,
        &[one["id"].as_str().unwrap().to_owned()],
    );
    let asked = json!({"query": "sing", "mode": "lexical"});
    assert_eq!(
        titles(&search(&connector.me, &connector.base, asked)),
        ["On whales"]
    );
    connector.gives([0, 0, 2, 0]);
    // What has left the feed stays.
    let feed = rss(&[
        ("cars", "<p>Cars need charging.</p>"),
        ("bread", "<p>Bread is baked.</p>"),
    ]);
    sources.change(|world| world.feed = feed);
    connector.gives([1, 1, 0, 0]);
    assert_eq!(connector.documents().len(), 3);
    let atom = "<feed xmlns=\"http://www.w3.org/2005/Atom\"><title>News</title><entry><id>urn:snow</id><title type=\"html\">Snow</title>\
        <link rel=\"self\" href=\"https://news.example/self\"/><link href=\"https://news.example/snow\"/>\
        <summary type=\"html\">&lt;p&gt;Snow falls.&lt;/p&gt;</summary><author><name>Ada</name></author><category term=\"news\"/>\
        <updated>2026-03-02T09:00:00Z</updated></entry></feed>";
    sources.change(|world| world.feed = atom.to_owned());
    connector.gives([1, 0, 0, 0]);
    let snow = connector.document("urn:snow");
    assert_eq!(snow["content"], "Snow\n\nSnow falls.");
    let metadata = json!({"feed": connector.inputs["feed"], "url": "https://news.example/snow", "author": "Ada", "categories": ["news"],
        "published": "2026-03-02T09:00:00Z"});
    assert_eq!(snow["metadata"], metadata);
    sources.change(|world| world.feed = "<html/>".to_owned());
    let run = connector.run();
    let message = run.json["error"]["message"].as_str().unwrap();
    assert!(message.contains("neither RSS 2.0 nor Atom"), "{message}");
    assert_eq!(connector.documents().len(), 4);
}
