//! A proxy in front of Postgres that kills a process at the n-th answer of the server, before passing it on: the
//! statement has taken effect, and whoever asked never hears of it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

/// The proxy; its threads end with the process.
pub struct Proxy {
    port: u16,
    trap: Arc<Trap>,
}

/// `left` answers until the kill; below zero nothing happens.
struct Trap {
    left: AtomicI64,
    armed: Mutex<Option<(libc::pid_t, mpsc::Sender<()>)>>,
}

impl Proxy {
    /// A proxy to the server on this loopback port.
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let trap = Arc::new(Trap {
            left: AtomicI64::new(-1),
            armed: Mutex::new(None),
        });
        let shared = trap.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Ok(upstream) = TcpStream::connect(("127.0.0.1", server)) {
                    join(client, upstream, shared.clone());
                }
            }
        });
        Self { port, trap }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills `pid` at the `n`-th answer from now on. The receiver hears of it.
    pub fn kill_at(&self, n: i64, pid: u32) -> mpsc::Receiver<()> {
        let (told, killed) = mpsc::channel();
        let pid = libc::pid_t::try_from(pid).expect("a pid");
        *self.trap.armed.lock().unwrap() = Some((pid, told));
        self.trap.left.store(n, Ordering::SeqCst);
        killed
    }
}

fn join(client: TcpStream, upstream: TcpStream, trap: Arc<Trap>) {
    let (mut from, mut to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    std::thread::spawn(move || {
        let _ = pass_answers(&upstream, &client, &trap);
        let _ = client.shutdown(Shutdown::Both);
        let _ = upstream.shutdown(Shutdown::Both);
    });
}

/// Messages of the backend: a type, a length that counts itself, the rest (PostgreSQL, "Message Formats"). `Z`,
/// ReadyForQuery, ends every answer.
fn pass_answers(mut from: &TcpStream, mut to: &TcpStream, trap: &Trap) -> std::io::Result<()> {
    let mut head = [0; 5];
    let mut first = true;
    loop {
        from.read_exact(&mut head[..1])?;
        // The answer to an SSLRequest is one letter.
        if std::mem::take(&mut first) && matches!(head[0], b'N' | b'S') {
            to.write_all(&head[..1])?;
            first = true;
            continue;
        }
        from.read_exact(&mut head[1..])?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut rest = vec![0; length - 4];
        from.read_exact(&mut rest)?;
        if head[0] == b'Z' && trap.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            spring(trap);
        }
        to.write_all(&[&head[..], &rest].concat())?;
    }
}

fn spring(trap: &Trap) {
    if let Some((pid, told)) = trap.armed.lock().unwrap().take() {
        // SAFETY: a signal to a child of this process.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        let _ = told.send(());
    }
}
