//! A PostgreSQL to test on: the one of `NODEAI_TEST_DATABASE_URL`, or a private cluster that ends with this process.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tokio_postgres::{Config, NoTls};

/// Holds the private cluster's keeper; its standard input closing is what stops the cluster.
struct Cluster {
    config: Config,
    _keeper: Option<Child>,
}

static CLUSTER: OnceLock<Cluster> = OnceLock::new();
static WITH_PGVECTOR: OnceLock<Cluster> = OnceLock::new();

/// How to log in as the owner (a superuser in the private cluster), without a database name.
pub fn owner_config() -> Config {
    CLUSTER.get_or_init(start).config.clone()
}

/// As [`owner_config`], of a private cluster that has pgvector, whatever else is configured.
pub fn pgvector_config() -> Config {
    let start = || start_private(&crate::pgvector::binaries(), "pgvector");
    WITH_PGVECTOR.get_or_init(start).config.clone()
}

fn start() -> Cluster {
    if let Ok(url) = std::env::var("NODEAI_TEST_DATABASE_URL") {
        let config = url
            .parse()
            .expect("NODEAI_TEST_DATABASE_URL is a database URL");
        return Cluster {
            config,
            _keeper: None,
        };
    }
    start_private(&find_binaries(), "migrations")
}

/// Creates a cluster in a temporary directory, reachable by its socket alone.
fn start_private(bin: &Path, name: &str) -> Cluster {
    let user = unprivileged_user();
    let home = std::env::temp_dir().join(format!("nodeai-{name}-{}", std::process::id()));
    fs::create_dir_all(&home).expect("a temporary directory");
    if let Some((uid, gid)) = user {
        chown(&home, Some(uid), Some(gid)).expect("the directory changes its owner");
    }
    let data = home.join("data");
    let initdb = command(&bin.join("initdb"), user)
        .args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "-D",
        ])
        .arg(&data)
        .output()
        .expect("initdb runs");
    assert!(
        initdb.status.success(),
        "initdb: {}",
        String::from_utf8_lossy(&initdb.stderr)
    );
    // The socket is for these tests; the loopback port is for other processes of end-to-end tests.
    let port = free_port();
    let keeper = keep(bin, &home, &data, port, user);
    let mut config = Config::new();
    config.host_path(&home).port(port).user("postgres");
    wait_until_ready(&config, &home);
    Cluster {
        config,
        _keeper: Some(keeper),
    }
}

/// Starts the server under a shell that waits for our end of its standard input, then stops the server and tidies up:
/// so it goes even when this process is killed.
fn keep(bin: &Path, home: &Path, data: &Path, port: u16, user: Option<(u32, u32)>) -> Child {
    const KEEPER: &str = r#"home=$1; shift; "$@" >"$home/log" 2>&1 & pid=$!; read -r _; kill -INT $pid; wait $pid; rm -rf "$home""#;
    command(Path::new("/bin/sh"), user)
        .args(["-c", KEEPER, "keeper"])
        .arg(home)
        .arg(bin.join("postgres"))
        .args(["-D", &data.to_string_lossy(), "-k", &home.to_string_lossy()])
        .args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-p",
            &port.to_string(),
            "-c",
            "fsync=off",
            "-c",
            "max_connections=200",
            "-c",
            "timezone=UTC",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("postgres starts")
}

/// A port that is free now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Asks until the server answers; a refused connection is the only sign of "not yet" that every build gives.
fn wait_until_ready(config: &Config, home: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !answers(config) {
        assert!(
            Instant::now() < deadline,
            "postgres does not come up; see {}",
            home.display()
        );
        std::thread::yield_now();
    }
}

fn answers(config: &Config) -> bool {
    let mut config = config.clone();
    config.dbname("postgres");
    // On a thread of its own: the caller may be inside a runtime.
    let attempt = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let connected = runtime.expect("a runtime").block_on(config.connect(NoTls));
        connected.is_ok()
    });
    attempt.join().unwrap_or(false)
}

/// A command as another user, in a folder that everybody may enter.
pub fn command(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/");
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// PostgreSQL refuses to run as root: who to be instead, when we are root.
pub fn unprivileged_user() -> Option<(u32, u32)> {
    let probe = fs::metadata("/proc/self").expect("/proc");
    if probe.uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let find = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(str::parse::<u32>);
        Some((fields.next()?.ok()?, fields.next()?.ok()?))
    };
    find("postgres")
        .or_else(|| find("nobody"))
        .or(Some((65534, 65534)))
}

/// The newest server binaries: `NODEAI_PG_BIN`, Debian's places, or beside `postgres` on the path.
pub fn find_binaries() -> PathBuf {
    if let Some(named) = std::env::var_os("NODEAI_PG_BIN") {
        return named.into();
    }
    let debian = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let newest = debian
        .filter_map(|entry| {
            Some((
                entry.file_name().to_str()?.parse::<u32>().ok()?,
                entry.path().join("bin"),
            ))
        })
        .filter(|(_, bin)| bin.join("initdb").exists())
        .max();
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|dir| dir.join("initdb").exists())
    };
    newest.map(|(_, bin)| bin).or_else(on_path).expect(
        "no PostgreSQL server found: install one, or set NODEAI_PG_BIN or NODEAI_TEST_DATABASE_URL",
    )
}
