//! Storage that is not configured, half configured, or a transaction pooler: each with its stated outcome.

use e2e::app::{JWT_SECRET, migrate};
use e2e::process::{Running, free_address};
use e2e::project::Project;
use e2e::{Reply, Tenant, assert_problem, database};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

/// A host that serves, though it is never ready; gives its URL.
struct Unready {
    url: String,
    _host: Running,
}

fn serve(project: &Project, set: impl FnOnce(&mut Command)) -> Unready {
    let address = free_address();
    let mut command = Command::new(e2e::process::binary("nodeai"));
    command
        .current_dir(project.path())
        .args(["up", "--no-build", "--ephemeral", "--listen", &address])
        .stderr(Stdio::null());
    set(&mut command);
    let host = Running::start(command);
    let url = format!("http://{address}");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(180);
    while Tenant::new(&url, String::new(), String::new())
        .try_get("/healthz")
        .is_none()
    {
        assert!(
            std::time::Instant::now() < deadline,
            "the host does not serve"
        );
    }
    Unready { url, _host: host }
}

impl Unready {
    fn readiness(&self) -> Reply {
        self.caller().get("/readyz")
    }

    fn caller(&self) -> Tenant {
        let user = uuid::Uuid::now_v7().to_string();
        let token = e2e::token::user(&user, None, JWT_SECRET);
        Tenant::new(&self.url, user, token)
    }
}

#[test]
fn half_of_supabase_is_refused_and_says_what_is_missing() {
    let project = Project::new();
    let app = serve(&project, |command| {
        command
            .args(["--supabase-url", "http://127.0.0.1:9"])
            .env("SPIN_VARIABLE_NODEAI_SUPABASE_ANON_KEY", "anon");
    });
    for reply in [app.readiness(), app.caller().get("/api/v1/workflows")] {
        assert_problem(&reply, 503, "storage-not-configured");
        let detail = reply.json["detail"].as_str().unwrap();
        assert!(detail.contains("nodeai_supabase_service_key"), "{detail}");
        assert!(detail.contains("nodeai_supabase_jwt_secret"), "{detail}");
        assert!(!detail.contains("nodeai_supabase_anon_key"), "{detail}");
        assert!(!reply.header("retry-after").is_empty());
    }
}

#[test]
fn supabase_that_does_not_answer_is_an_outage() {
    let project = Project::new();
    let app = serve(&project, |command| {
        command
            .args(["--supabase-url", "http://127.0.0.1:9"])
            .env("SPIN_VARIABLE_NODEAI_SUPABASE_ANON_KEY", "anon")
            .env("SPIN_VARIABLE_NODEAI_SUPABASE_SERVICE_KEY", "service")
            .env("SPIN_VARIABLE_NODEAI_SUPABASE_JWT_SECRET", JWT_SECRET);
    });
    let reply = app.readiness();
    assert_problem(&reply, 503, "unavailable");
    assert!(!reply.header("retry-after").is_empty());
}

#[test]
fn no_storage_at_all_is_refused() {
    // The host would bring a database of its own; a manifest that never hands it on is how a bare Spin looks.
    let manifest = e2e::project::read_manifest().replace(
        "nodeai_database_url = \"{{ nodeai_database_url }}\"",
        "nodeai_database_url = \"\"",
    );
    let project = Project::with_manifest(&manifest);
    let app = serve(&project, |_| {});
    let reply = app.readiness();
    assert_problem(&reply, 503, "storage-not-configured");
    assert!(
        reply.json["detail"]
            .as_str()
            .unwrap()
            .contains("nodeai_database_url")
    );
}

#[test]
fn a_transaction_pooler_is_refused_before_any_row_is_read() {
    let owner = migrations_tests::owner_config();
    let name = format!("pooled_{}", uuid::Uuid::new_v4().simple());
    database::execute(
        &database::url(&owner, "postgres"),
        &format!("CREATE DATABASE {name}"),
    );
    migrate(&database::url(&owner, &name));
    let Some(pooler) = Pooler::start(owner.get_ports()[0], &name) else {
        panic!("pgbouncer is not installed: apt-get install pgbouncer");
    };
    let project = Project::new();
    let url = format!("postgres://nodeai_app@127.0.0.1:{}/{name}", pooler.port);
    let app = serve(&project, |command| {
        command
            .args(["--database-url", &url])
            .env("SPIN_VARIABLE_NODEAI_JWT_SECRET", JWT_SECRET);
    });
    // Many at once: only then a pooler mixes server connections up.
    let threads: Vec<_> = (0..24)
        .map(|_| {
            let caller = app.caller();
            std::thread::spawn(move || {
                (0..10)
                    .map(|_| caller.get("/api/v1/workflows"))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let replies: Vec<Reply> = threads
        .into_iter()
        .flat_map(|t| t.join().unwrap())
        .collect();
    let refused = replies.iter().filter(|reply| reply.status == 503).count();
    assert!(refused > 0, "the pooler was not noticed");
    for reply in replies {
        match reply.status {
            // Served by one and the same server connection from admission to answer: the caller's own, empty list.
            200 => assert_eq!(reply.json["data"], serde_json::json!([])),
            _ => assert_problem(&reply, 503, "transaction-pooler"),
        }
    }
}

struct Pooler {
    port: u16,
    _process: Running,
}

impl Pooler {
    fn start(server_port: u16, database: &str) -> Option<Self> {
        let binary = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"]
            .into_iter()
            .find(|p| std::path::Path::new(p).exists())?;
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let folder = std::env::temp_dir().join(format!("nodeai-pooler-{port}"));
        std::fs::create_dir_all(&folder).unwrap();
        let settings = format!(
            "[databases]\n{database} = host=127.0.0.1 port={server_port} user=nodeai_app\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
             default_pool_size = 4\nmax_client_conn = 200\nignore_startup_parameters = options,extra_float_digits\n"
        );
        let file = folder.join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(binary);
        // It refuses to be root.
        if is_root() {
            command = Command::new("setpriv");
            command.args(["--reuid=nobody", "--clear-groups", binary]);
        }
        command
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = Running::start(command);
        let log = BufReader::new(process.0.stderr.take()?);
        let mut lines = log.lines().map_while(Result::ok);
        lines.find(|line| line.contains("process up"))?;
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self {
            port,
            _process: process,
        })
    }
}

fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

/// What `nodeai doctor` says of a database, and whether it found everything in order.
fn doctor(project: &Project, url: &str) -> (String, bool) {
    let output = Command::new(e2e::process::binary("nodeai"))
        .current_dir(project.path())
        .args(["doctor", "--database-url", url])
        .output()
        .expect("doctor runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (said, output.status.success())
}

#[test]
fn doctor_names_what_is_missing_and_how_vectors_are_searched() {
    let project = Project::new();
    let owner = migrations_tests::owner_config();
    let name = format!("e2e_{}", uuid::Uuid::new_v4().simple());
    let admin = database::url(&owner, "postgres");
    database::execute(&admin, &format!("CREATE DATABASE {name}"));
    let url = database::url(&owner, &name);
    let (said, well) = doctor(&project, &url);
    assert!(
        !well && said.contains("mend it with: nodeai migrate"),
        "{said}"
    );
    migrate(&url);
    let (said, well) = doctor(&project, &url);
    assert!(well && said.contains("vectors are searched"), "{said}");
    let gone = url.replace(&name, "not_there");
    let (said, well) = doctor(&project, &gone);
    assert!(!well && said.contains("MISSING"), "{said}");
    assert!(!said.contains("password"), "{said}");
}
