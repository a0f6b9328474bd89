//! A Postgres that a test may stop and start.

use migrations_tests::cluster::{command, find_binaries, unprivileged_user};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A cluster on loopback; stopped and removed with this value.
pub struct Cluster {
    folder: PathBuf,
    bin: PathBuf,
    port: u16,
}

impl Cluster {
    /// Makes and starts one.
    pub fn start() -> Self {
        Self::of(find_binaries())
    }

    /// One whose server has pgvector.
    ///
    /// # Panics
    /// When there is no such server and none can be installed.
    pub fn with_pgvector() -> Self {
        Self::of(migrations_tests::pgvector::binaries())
    }

    fn of(bin: PathBuf) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let folder = std::env::temp_dir().join(format!("nodeai-cluster-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        let cluster = Self { bin, folder, port };
        if let Some((uid, gid)) = unprivileged_user() {
            std::os::unix::fs::chown(&cluster.folder, Some(uid), Some(gid)).expect("chown");
        }
        let data = cluster.data();
        cluster.run(
            "initdb",
            &[
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-sync",
                "-D",
                &data,
            ],
        );
        cluster.up();
        cluster
    }

    /// The owner's URL.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Stops the server as a reboot would: sessions are cut.
    pub fn down(&self) {
        self.run("pg_ctl", &["stop", "-m", "fast", "-w", "-D", &self.data()]);
    }

    /// SIGKILL: nothing is written any more, and the next start recovers from the write-ahead log.
    pub fn crash(&self) {
        let file = Path::new(&self.data()).join("postmaster.pid");
        let text = std::fs::read_to_string(file).expect("the server runs");
        let pid = text.lines().next().unwrap_or_default();
        let killed = std::process::Command::new("kill")
            .args(["-9", pid])
            .status();
        assert!(killed.is_ok_and(|status| status.success()), "kill -9 {pid}");
        // Its children end when they notice; until then a new server does not start.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !self.try_up() {
            assert!(std::time::Instant::now() < deadline, "it does not come up");
            std::thread::yield_now();
        }
    }

    /// Starts it again and waits until it answers.
    pub fn up(&self) {
        assert!(self.try_up(), "pg_ctl start");
    }

    fn try_up(&self) -> bool {
        let folder = self.folder.display();
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -k {folder} -c max_connections=100",
            self.port
        );
        let log = format!("{folder}/log");
        self.succeeds(
            "pg_ctl",
            &[
                "start",
                "-w",
                "-l",
                &log,
                "-o",
                &options,
                "-D",
                &self.data(),
            ],
        )
    }

    fn data(&self) -> String {
        self.folder.join("data").display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        assert!(self.succeeds(program, arguments), "{program} {arguments:?}");
    }

    fn succeeds(&self, program: &str, arguments: &[&str]) -> bool {
        // Postgres refuses to be root.
        let mut command = command(&self.bin.join(program), unprivileged_user());
        let status = command.args(arguments).stdout(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data();
        if Path::new(&data).join("postmaster.pid").exists() {
            self.run("pg_ctl", &["stop", "-m", "immediate", "-w", "-D", &data]);
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
