//! Stand-ins for the sources, as their published contracts have it: GitHub's REST API (2022-11-28), Notion's API (2022-06-28), the
//! Google Sheets API v4, and a feed.

use super::server::{Answer, Request, serve};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The token that every source takes.
pub const TOKEN: &str = "token-of-the-sources";

/// What the sources have.
#[derive(Default)]
pub struct World {
    /// Files of the repository `acme/handbook`, by path.
    pub files: BTreeMap<String, String>,
    /// Its issues and pull requests, the oldest first.
    pub issues: Vec<Value>,
    /// Pages of the database: id, title, paragraphs.
    pub pages: Vec<(String, String, Vec<String>)>,
    /// Rows of the range `FAQ!A:C`.
    pub rows: Vec<Vec<String>>,
    /// The feed.
    pub feed: String,
    /// Method and path of each request.
    pub came: Vec<String>,
}

/// The sources; they answer until the process ends.
pub struct Sources {
    /// Where they are.
    pub url: String,
    world: Arc<Mutex<World>>,
}

impl Sources {
    /// Starts them.
    pub fn start(world: World) -> Self {
        let world = Arc::new(Mutex::new(world));
        let own = Arc::clone(&world);
        let url = serve(move |request| {
            let mut world = own.lock().unwrap();
            world
                .came
                .push(format!("{} {}", request.method, request.path));
            answer(&world, request)
        });
        Self { url, world }
    }

    /// Changes what they have.
    pub fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world.lock().unwrap());
    }

    /// How many requests came whose method and path end so, since this was asked last.
    pub fn came(&self, end: &str) -> usize {
        let came = std::mem::take(&mut self.world.lock().unwrap().came);
        came.iter().filter(|one| one.ends_with(end)).count()
    }
}

fn answer(world: &World, request: &Request) -> Answer {
    let known = request.header("authorization") == format!("Bearer {TOKEN}");
    let parts: Vec<&str> = request.path.split('/').skip(1).collect();
    match (parts.as_slice(), known) {
        (["feed.xml"], _) => Answer::text("application/rss+xml", world.feed.clone()),
        (["github", rest @ ..], true) => github(world, request, rest),
        (["github", ..], false) => Answer::json(401, &json!({"message": "Bad credentials"})),
        (["notion", "v1", rest @ ..], true) => notion(world, request, rest),
        (["notion", ..], false) => notion_error(401, "unauthorized"),
        (["sheets", "v4", rest @ ..], true) => sheets(world, rest),
        (["sheets", ..], false) => google_error(401, "UNAUTHENTICATED"),
        _ => Answer::json(404, &json!({"message": "Not Found"})),
    }
}

fn sha(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest[..20].iter().map(|b| format!("{b:02x}")).collect()
}

fn github(world: &World, request: &Request, path: &[&str]) -> Answer {
    if request.header("user-agent").is_empty() {
        return Answer::json(403, &json!({"message": "Request forbidden"}));
    }
    match path {
        ["repos", "acme", "handbook"] => Answer::json(
            200,
            &json!({"full_name": "acme/handbook", "default_branch": "main", "html_url": "https://github.com/acme/handbook"}),
        ),
        ["repos", "acme", "handbook", "git", "trees", "main"] => tree(world, request),
        ["repos", "acme", "handbook", "git", "blobs", wanted] => blob(world, request, wanted),
        ["repos", "acme", "handbook", "issues"] => issues(world, request),
        _ => Answer::json(404, &json!({"message": "Not Found"})),
    }
}

fn tree(world: &World, request: &Request) -> Answer {
    let whole = request.query.contains_key("recursive");
    let files = world
        .files
        .iter()
        .filter(|(path, _)| whole || !path.contains('/'));
    let files = files.map(|(path, text)| {
        json!({"path": path, "mode": "100644", "type": "blob", "sha": sha(text), "size": text.len()})
    });
    let folder = json!({"path": "docs.md", "mode": "040000", "type": "tree", "sha": sha("docs")});
    let link =
        json!({"path": "link.md", "mode": "120000", "type": "blob", "sha": sha("link"), "size": 9});
    let tree: Vec<Value> = files.chain([folder, link]).collect();
    Answer::json(
        200,
        &json!({"sha": sha("tree"), "tree": tree, "truncated": false}),
    )
}

fn blob(world: &World, request: &Request, wanted: &str) -> Answer {
    let found = world.files.values().find(|text| sha(text) == wanted);
    let raw = request.header("accept") == "application/vnd.github.raw+json";
    match found {
        Some(text) if raw => Answer::text(
            "application/vnd.github.raw+json; charset=utf-8",
            text.clone(),
        ),
        _ => Answer::json(404, &json!({"message": "Not Found"})),
    }
}

/// The newest first unless asked otherwise, open ones unless asked otherwise, 30 on a page unless asked otherwise.
fn issues(world: &World, request: &Request) -> Answer {
    let asked = |name: &str, otherwise: &str| {
        let value = request.query.get(name).map_or(otherwise, String::as_str);
        value.to_owned()
    };
    let state = asked("state", "open");
    let wanted = |issue: &&Value| state == "all" || issue["state"] == state.as_str();
    let mut all: Vec<&Value> = world.issues.iter().filter(wanted).collect();
    if asked("direction", "desc") == "desc" {
        all.reverse();
    }
    let size = request.number("per_page").unwrap_or(30).min(100);
    let page = request.number("page").unwrap_or(1);
    let some: Vec<&Value> = all
        .iter()
        .copied()
        .skip((page - 1) * size)
        .take(size)
        .collect();
    let at = |page: usize| {
        let mut url = url::Url::parse(&format!(
            "http://{}{}",
            request.header("host"),
            request.path
        ))
        .expect("a URL");
        let kept = request.query.iter().filter(|(name, _)| *name != "page");
        url.query_pairs_mut()
            .extend_pairs(kept)
            .append_pair("page", &page.to_string());
        url
    };
    let last = all.len().div_ceil(size);
    let more = page < last;
    Answer {
        link: more.then(|| {
            let (next, last) = (at(page + 1), at(last));
            format!("<{next}>; rel=\"next\", <{last}>; rel=\"last\"")
        }),
        ..Answer::json(200, &json!(some))
    }
}

fn notion_error(status: u16, code: &str) -> Answer {
    Answer::json(
        status,
        &json!({"object": "error", "status": status, "code": code, "message": code}),
    )
}

fn notion(world: &World, request: &Request, path: &[&str]) -> Answer {
    if request.header("notion-version").is_empty() {
        return notion_error(400, "missing_version");
    }
    match (&*request.method, path) {
        ("GET", ["databases", "faq"]) => {
            Answer::json(200, &json!({"object": "database", "id": "faq"}))
        }
        ("POST", ["databases", "faq", "query"]) => {
            let (size, from) = (&request.body["page_size"], &request.body["start_cursor"]);
            let pages = world.pages.iter().map(notion_page).collect();
            let size = size.as_u64().and_then(|size| usize::try_from(size).ok());
            listed(pages, size, from.as_str())
        }
        ("GET", ["blocks", id, "children"]) => {
            let Some((_, _, lines)) = world.pages.iter().find(|(of, ..)| of == id) else {
                return notion_error(404, "object_not_found");
            };
            let blocks = lines.iter().map(|line| {
                json!({"object": "block", "type": "paragraph", "has_children": false, "paragraph": {"rich_text": [
                    {"type": "text", "plain_text": line}]}})
            });
            let from = request.query.get("start_cursor").map(String::as_str);
            listed(blocks.collect(), request.number("page_size"), from)
        }
        _ => notion_error(404, "object_not_found"),
    }
}

fn notion_page((id, title, _): &(String, String, Vec<String>)) -> Value {
    let properties = json!({
        "Question": {"id": "title", "type": "title", "title": [{"type": "text", "plain_text": title}]},
        "Area": {"id": "a", "type": "select", "select": {"id": "b", "name": "people"}},
        "Tags": {"id": "c", "type": "multi_select", "multi_select": [{"name": "new"}, {"name": "hot"}]},
        "Owner": {"id": "d", "type": "status", "status": null},
    });
    json!({"object": "page", "id": id, "url": format!("https://www.notion.so/{id}"), "last_edited_time": "2026-03-01T09:00:00.000Z",
        "properties": properties})
}

/// A part of a list: at most 100, which is also what comes unless asked otherwise.
fn listed(all: Vec<Value>, size: Option<usize>, from: Option<&str>) -> Answer {
    let size = size.unwrap_or(100).min(100);
    let from = from.map_or(Some(0), |cursor| {
        cursor.strip_prefix("cursor-")?.parse().ok()
    });
    let Some(from) = from else {
        return notion_error(400, "validation_error");
    };
    let to = all.len().min(from + size);
    let more = to < all.len();
    let next = more.then(|| format!("cursor-{to}"));
    Answer::json(
        200,
        &json!({"object": "list", "results": all[from..to], "next_cursor": next, "has_more": more}),
    )
}

fn google_error(code: u16, status: &str) -> Answer {
    Answer::json(code, &json!({"error": {"code": code, "status": status}}))
}

/// Empty cells at the end of a row are left out, and `values` where there are none.
fn sheets(world: &World, path: &[&str]) -> Answer {
    let ["spreadsheets", "sheet1", "values", "FAQ%21A%3AC"] = path else {
        return google_error(404, "NOT_FOUND");
    };
    let rows = world.rows.iter().map(|row| {
        let filled = row.iter().rposition(|cell| !cell.is_empty());
        &row[..filled.map_or(0, |last| last + 1)]
    });
    let rows: Vec<&[String]> = rows.collect();
    let mut body = json!({"range": "FAQ!A1:C1000", "majorDimension": "ROWS"});
    if !rows.is_empty() {
        body["values"] = json!(rows);
    }
    Answer::json(200, &body)
}
