//! An HTTP server whose answers a function gives: one request for each connection.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// What came.
pub struct Request {
    /// The method.
    pub method: String,
    /// The path as it was sent.
    pub path: String,
    /// The query, decoded.
    pub query: BTreeMap<String, String>,
    /// The body as JSON; null when it is none.
    pub body: Value,
    headers: BTreeMap<String, String>,
}

/// What goes back.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The media type.
    pub content_type: &'static str,
    /// The field `link`.
    pub link: Option<String>,
    /// The body.
    pub body: String,
}

impl Request {
    /// A header's value; nothing when it was not sent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// A number in the query.
    pub fn number(&self, name: &str) -> Option<usize> {
        self.query.get(name)?.parse().ok()
    }
}

impl Answer {
    /// JSON.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text("application/json; charset=utf-8", body.to_string()).with(status)
    }

    /// A body of a type.
    pub fn text(content_type: &'static str, body: String) -> Self {
        Self {
            status: 200,
            content_type,
            link: None,
            body,
        }
    }

    /// The same with a status.
    pub fn with(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

/// Serves on a free port until the process ends; gives the URL.
pub fn serve(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || reply(stream, &*answer));
        }
    });
    url
}

/// Answers one request; who has gone meanwhile gets nothing.
fn reply(stream: TcpStream, answer: &dyn Fn(&Request) -> Answer) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let answer = answer(&read(&mut reader)?);
    let link = answer.link.map(|link| format!("link: {link}\r\n"));
    let head = format!(
        "HTTP/1.1 {} x\r\nconnection: close\r\ncontent-type: {}\r\ncontent-length: {}\r\n{}\r\n",
        answer.status,
        answer.content_type,
        answer.body.len(),
        link.unwrap_or_default()
    );
    let stream = reader.get_mut();
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(answer.body.as_bytes()).ok()
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split(' ');
    let method = words.next()?.to_owned();
    let target = url::Url::parse(&format!("http://x{}", words.next()?)).ok()?;
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let body = match headers.get("transfer-encoding") {
        Some(_) => chunked(reader)?,
        None => {
            let length = headers.get("content-length");
            let length = length.and_then(|length| length.parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            reader.read_exact(&mut body).ok()?;
            body
        }
    };
    Some(Request {
        method,
        path: target.path().to_owned(),
        query: target.query_pairs().into_owned().collect(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        headers,
    })
}

/// A body in chunks (RFC 9112, 7.1).
fn chunked(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim_end(), 16).ok()?;
        let from = body.len();
        body.resize(from + size, 0);
        reader.read_exact(&mut body[from..]).ok()?;
        reader.read_line(&mut line).ok()?;
        if size == 0 {
            return Some(body);
        }
    }
}
