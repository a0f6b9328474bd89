//! A receiver of webhooks that takes some deliveries and answers others as badly as can be: it fails, redirects, asks for time, hangs.
//! What it does with an arrival follows from the delivery's id and from how often it came; the fifth time it takes everything.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Arrivals after which everything is taken.
const PATIENCE: usize = 4;

/// What came under one id.
#[derive(Debug, Clone, Default)]
pub struct Came {
    /// SHA-256 of the bodies, without repetitions.
    pub bodies: Vec<[u8; 32]>,
    /// How often.
    pub times: usize,
    /// How often it was taken.
    pub taken: usize,
}

/// The receiver; it listens until the process ends.
#[derive(Clone)]
pub struct Receiver {
    url: String,
    came: Arc<Mutex<BTreeMap<String, Came>>>,
    strays: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let receiver = Self {
            url: format!("http://{address}"),
            came: Arc::default(),
            strays: Arc::default(),
        };
        let one = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let one = one.clone();
                std::thread::spawn(move || one.serve(stream));
            }
        });
        receiver
    }

    /// Where hook number `n` is.
    pub fn hook(&self, n: usize) -> String {
        format!("{}/hook/{n}", self.url)
    }

    /// Everything that came, by id.
    pub fn came(&self) -> BTreeMap<String, Came> {
        self.came.lock().unwrap().clone()
    }

    /// Paths that nobody was told of: where a redirect led.
    pub fn strays(&self) -> Vec<String> {
        self.strays.lock().unwrap().clone()
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some((path, id, body)) = read(&mut reader) {
            if !path.starts_with("/hook/") {
                self.strays.lock().unwrap().push(path);
            }
            let answer = self.judge(&id, &body);
            let Some((status, field)) = answer else {
                // It hangs until the other side goes.
                let _ = reader.read(&mut [0]);
                return;
            };
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n{field}\r\n");
            if reader.get_mut().write_all(head.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn judge(&self, id: &str, body: &[u8]) -> Option<(u16, &'static str)> {
        let digest: [u8; 32] = Sha256::digest(body).into();
        let mut all = self.came.lock().unwrap();
        let came = all.entry(id.to_owned()).or_default();
        came.times += 1;
        if !came.bodies.contains(&digest) {
            came.bodies.push(digest);
        }
        let mood = Sha256::digest(format!("{id} {}", came.times))[0];
        let answer = match mood {
            _ if came.times > PATIENCE => Some((200, "")),
            0..=29 => Some((500, "")),
            30..=44 => Some((302, "location: /elsewhere\r\n")),
            45..=54 => Some((429, "retry-after: 2\r\n")),
            55..=64 => Some((503, "retry-after: 1\r\n")),
            65..=69 => None,
            _ => Some((204, "")),
        };
        if answer.is_some_and(|(status, _)| status < 300) {
            came.taken += 1;
        }
        answer
    }
}

/// A request's path, `webhook-id` and body; none when the other side has gone.
fn read(reader: &mut BufReader<TcpStream>) -> Option<(String, String, Vec<u8>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut id, mut length) = (String::new(), 0);
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "webhook-id" => value.trim().clone_into(&mut id),
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, id, body))
}
