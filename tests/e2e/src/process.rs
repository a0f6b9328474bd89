//! Child processes of the tests: built once, ended with the test process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, OnceLock, mpsc};

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// A binary that the tests start. `cargo test` has built it beside this test: both binaries' packages have integration
/// tests of their own. (A build from here would choose other features, and with them build everything again.)
pub fn binary(name: &str) -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let path = exe.ancestors().nth(2).unwrap().join(name);
    assert!(
        path.exists(),
        "{} is not built: run `cargo test --no-run` first",
        path.display()
    );
    path
}

/// A loopback address with a free port. The port is given back before a server takes it, which can lose a race.
pub fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A child that is killed when this value goes, or when this process does.
pub struct Running(pub Child);

impl Running {
    /// Starts `command`; the child of a dead test process is ended by the kernel.
    pub fn start(mut command: Command) -> Self {
        die_with_parent(&mut command);
        Self(spawn(command))
    }

    /// SIGKILL, then waits.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM first: the host then stops its embedded database in order.
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while std::time::Instant::now() < deadline {
            if let Ok(Some(_)) = self.0.try_wait() {
                return;
            }
            std::thread::yield_now();
        }
        self.kill();
    }
}

/// Starts children from one thread that never ends: to the kernel a child's parent is the thread that made it, and a
/// test's thread ends with its test.
fn spawn(command: Command) -> Child {
    type Order = (Command, mpsc::Sender<Child>);
    static SPAWNER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, incoming) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in incoming {
                let _ = reply.send(command.spawn().expect("the child starts"));
            }
        });
        Mutex::new(orders)
    });
    let (reply, child) = mpsc::channel();
    spawner
        .lock()
        .unwrap()
        .send((command, reply))
        .expect("the spawner lives");
    child.recv().expect("the child starts")
}

fn die_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: prctl is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            Ok(())
        });
    }
}
