//! The server process: started under the right user, ended with the host however the host ends.
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::place::RunAs;
use crate::log;

/// How long a server may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Between an unexpected end and the next start; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);

/// A command that runs as the cluster's user, in a folder that this user can enter.
pub fn command(program: &Path, run_as: Option<RunAs>) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir("/")
        .env_remove("PGDATA")
        .env("LC_ALL", "C")
        .env("TZ", "UTC");
    if let Some(user) = run_as {
        command.uid(user.uid).gid(user.gid);
    }
    command
}

/// A running server; dropping it stops the server.
#[derive(Debug)]
pub struct Process {
    state: Arc<State>,
    ended: mpsc::Receiver<()>,
}

#[derive(Debug, Default)]
struct State {
    /// 0 while no server runs.
    pid: AtomicI32,
    stopping: AtomicBool,
    kept_up: AtomicBool,
}

impl Process {
    /// Starts `command` so that it gets SIGINT (Postgres's fast shutdown) when this process dies.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut command: Command) -> Result<Self> {
        end_with_parent(&mut command);
        command.stdin(Stdio::null()).process_group(0);
        let state = Arc::new(State::default());
        let (started, starting) = mpsc::channel();
        let (done, ended) = mpsc::channel();
        let shared = state.clone();
        // The kernel sends the signal when the *thread* that started the child ends, so one is kept for it.
        std::thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(move || {
                keep_running(command, &shared, &started);
                // Nobody may be waiting any more.
                let _ = done.send(());
            })?;
        starting
            .recv()
            .context("the thread that starts Postgres ended")?
            .context("Postgres cannot be started")?;
        Ok(Self { state, ended })
    }

    /// From now on a server that ends by itself is started again.
    pub fn keep_up(&self) {
        self.state.kept_up.store(true, Ordering::Release);
    }

    /// Whether the server has ended.
    pub fn has_ended(&self) -> bool {
        !matches!(self.ended.try_recv(), Err(mpsc::TryRecvError::Empty))
    }
}

/// Runs the server, again and again if it is to be kept up, until it is stopped.
fn keep_running(mut command: Command, state: &State, started: &mpsc::Sender<std::io::Result<()>>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let since = Instant::now();
        match command.spawn() {
            Ok(child) => {
                state.pid.store(child.id().cast_signed(), Ordering::Release);
                // Only the first start is waited for.
                let _ = started.send(Ok(()));
                wait(child);
                state.pid.store(0, Ordering::Release);
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
        if state.stopping.load(Ordering::Acquire) || !state.kept_up.load(Ordering::Acquire) {
            return;
        }
        log::warn("the embedded Postgres ended; it is started again");
        std::thread::sleep(pause);
        if state.stopping.load(Ordering::Acquire) {
            return;
        }
        pause = if since.elapsed() > LONGEST_PAUSE * 2 {
            FIRST_PAUSE
        } else {
            (pause * 2).min(LONGEST_PAUSE)
        };
    }
}

fn wait(mut child: Child) {
    // An error here means that the child is gone already.
    let _ = child.wait();
}

impl Drop for Process {
    fn drop(&mut self) {
        self.state.stopping.store(true, Ordering::Release);
        self.signal(libc::SIGINT);
        let stopped = self.ended.recv_timeout(STOP_LIMIT);
        if matches!(stopped, Err(mpsc::RecvTimeoutError::Timeout)) {
            self.signal(libc::SIGQUIT);
        }
    }
}

impl Process {
    fn signal(&self, number: i32) {
        match self.state.pid.load(Ordering::Acquire) {
            0 => {}
            pid => signal(pid, number),
        }
    }
}

fn end_with_parent(command: &mut Command) {
    #[cfg(target_os = "linux")]
    {
        let parent = std::process::id();
        let ask = move || {
            // SAFETY: both calls are async-signal-safe and take plain integers.
            unsafe {
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGINT) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
                // The parent may have died before the request took effect.
                if libc::getppid() != parent as i32 {
                    return Err(std::io::Error::from_raw_os_error(libc::ESRCH));
                }
            }
            Ok(())
        };
        // SAFETY: `ask` allocates nothing and takes no locks. It runs after the user was changed, which
        // would clear the signal.
        unsafe { command.pre_exec(ask) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}

fn signal(pid: i32, signal: i32) {
    // SAFETY: kill takes plain integers; a process that is gone is an error that changes nothing.
    unsafe { libc::kill(pid, signal) };
}

/// The server that runs on `data`, by its pid file.
pub fn running_pid(data: &Path) -> Option<i32> {
    let text = std::fs::read_to_string(pid_file(data)).ok()?;
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    (pid > 1 && is_postgres(pid)).then_some(pid)
}

/// Whether a server runs on `data`.
pub fn is_running(data: &Path) -> bool {
    running_pid(data).is_some()
}

fn pid_file(data: &Path) -> PathBuf {
    data.join("postmaster.pid")
}

#[cfg(target_os = "linux")]
fn is_postgres(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm"))
        .is_ok_and(|name| name.trim().starts_with("postgres"))
}

#[cfg(not(target_os = "linux"))]
fn is_postgres(pid: i32) -> bool {
    // SAFETY: signal 0 only asks whether the process is there.
    unsafe { libc::kill(pid, 0) == 0 }
}

/// Makes sure that no server of a dead host runs on `data` any more, and removes a stale pid file
/// (its pid may belong to another program by now, which Postgres would take for a server).
///
/// # Errors
/// When a server does not stop.
pub fn clear_stale(data: &Path) -> Result<()> {
    if let Some(pid) = running_pid(data) {
        signal(pid, libc::SIGINT);
        let since = Instant::now();
        while running_pid(data) == Some(pid) {
            if since.elapsed() > STOP_LIMIT {
                bail!("a Postgres of an earlier start (process {pid}) does not stop");
            }
            std::thread::sleep(POLL);
        }
    }
    match std::fs::remove_file(pid_file(data)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", pid_file(data).display()))
        }
        _ => Ok(()),
    }
}
