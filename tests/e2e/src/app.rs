//! The application under test.

use crate::host::{Host, Variable};
use crate::process::{Running, binary, root};
use crate::project::Project;
use crate::token::IssuerKey;
use crate::{Tenant, database, filestores, token};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Signs the tests' user tokens.
pub const JWT_SECRET: &str = "a-secret-of-the-tests-with-at-least-32-characters";

/// What the operator's schedule shows.
pub const DRAIN_TOKEN: &str = "a-drain-token-of-the-tests";

/// Where the data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// Postgres over the host's pg interface.
    Postgres,
    /// Supabase's REST interface.
    Supabase,
}

/// An application that answers.
pub struct App {
    /// Its URL.
    pub url: String,
    /// The owner's database URL; empty when the application was not started here.
    pub database_url: String,
    /// A key that may do everything, in the local user's organisation.
    pub api_key: Option<String>,
    /// The LLM provider's stand-in.
    pub llm: llm_standin::StandIn,
    jwt_secret: String,
    issuer: Option<String>,
    issuer_key: Option<IssuerKey>,
    host: Option<Running>,
    #[expect(dead_code, reason = "lives as long as the application")]
    rest: Option<Running>,
    _project: Option<Project>,
}

/// How to start an application.
pub struct Setup {
    /// The storage.
    pub backend: Backend,
    variables: Vec<Variable>,
    stores_files_in_stand_in: bool,
}

impl Setup {
    /// The usual application on `backend`.
    pub fn on(backend: Backend) -> Self {
        Self {
            backend,
            variables: Vec::new(),
            stores_files_in_stand_in: false,
        }
    }

    /// With these variables of the application.
    pub fn with(mut self, variables: Vec<Variable>) -> Self {
        self.variables.extend(variables);
        self
    }

    /// Files go to the stand-in of Supabase Storage.
    pub fn storing_files_in_supabase(mut self) -> Self {
        self.stores_files_in_stand_in = true;
        self
    }

    /// Starts it on a database of its own.
    pub fn start(self) -> App {
        if let Ok(url) = std::env::var("NODEAI_E2E_BASE_URL") {
            return App::already_up(url);
        }
        let owner = migrations_tests::owner_config();
        let name = format!("e2e_{}", uuid::Uuid::new_v4().simple());
        database::execute(
            &database::url(&owner, "postgres"),
            &format!("CREATE DATABASE {name}"),
        );
        self.start_on(&database::url(&owner, &name))
    }

    /// Starts it on the database behind `url`.
    pub fn start_on(self, url: &str) -> App {
        let llm = llm_standin::StandIn::start().expect("the stand-in starts");
        let project = Project::new();
        let mut storage = match self.backend {
            Backend::Postgres => Storage::postgres(),
            Backend::Supabase => Storage::supabase(url),
        };
        storage.variables.extend(self.variables);
        if self.stores_files_in_stand_in {
            storage.variables.extend(filestores::supabase(&llm.url));
        }
        let served = Host::chosen().serve(&project, url, &storage.variables);
        App {
            url: served.url,
            database_url: url.to_owned(),
            api_key: served.api_key,
            llm,
            jwt_secret: JWT_SECRET.to_owned(),
            issuer: storage.issuer,
            issuer_key: storage.issuer_key,
            host: Some(served.process),
            rest: storage.rest,
            _project: Some(project),
        }
    }
}

/// What a backend brings: the application's variables for it and, for Supabase, the stand-in of the project.
#[derive(Default)]
struct Storage {
    variables: Vec<Variable>,
    issuer: Option<String>,
    issuer_key: Option<IssuerKey>,
    rest: Option<Running>,
}

impl Storage {
    fn postgres() -> Self {
        Self {
            variables: vec![
                ("nodeai_jwt_secret", JWT_SECRET.to_owned()),
                ("nodeai_drain_token", DRAIN_TOKEN.to_owned()),
            ],
            ..Self::default()
        }
    }

    fn supabase(database_url: &str) -> Self {
        migrate(database_url);
        let issuer_key = IssuerKey::new();
        let (rest, url) = start_rest(database_url, &issuer_key);
        let key = |role| token::project_key(role, JWT_SECRET);
        Self {
            issuer: Some(format!("{url}/auth/v1")),
            variables: vec![
                ("nodeai_drain_token", DRAIN_TOKEN.to_owned()),
                ("nodeai_supabase_url", url),
                ("nodeai_supabase_anon_key", key("anon")),
                ("nodeai_supabase_service_key", key("service_role")),
                ("nodeai_supabase_jwt_secret", JWT_SECRET.to_owned()),
            ],
            issuer_key: Some(issuer_key),
            rest: Some(rest),
        }
    }
}

impl App {
    fn already_up(url: String) -> Self {
        let secret = std::env::var("NODEAI_E2E_JWT_SECRET").expect("NODEAI_E2E_JWT_SECRET");
        Self {
            url: url.trim_end_matches('/').to_owned(),
            database_url: std::env::var("NODEAI_E2E_DATABASE_URL").unwrap_or_default(),
            api_key: None,
            llm: llm_standin::StandIn::start().expect("the stand-in starts"),
            jwt_secret: secret,
            issuer: std::env::var("NODEAI_E2E_JWT_ISSUER").ok(),
            issuer_key: None,
            host: None,
            rest: None,
            _project: None,
        }
    }

    /// A new user, alone in an organisation.
    pub fn tenant(&self) -> Tenant {
        let user_id = uuid::Uuid::now_v7().to_string();
        let token = token::user(&user_id, self.issuer.as_deref(), &self.jwt_secret);
        Tenant::new(&self.url, user_id, token)
    }

    /// A new user whose token is signed with the issuer's own key (ES256); none where the application knows no issuer.
    /// `kid` replaces the key id that the token names.
    pub fn tenant_by_jwks(&self, kid: Option<&str>) -> Option<Tenant> {
        let (key, issuer) = (self.issuer_key.as_ref()?, self.issuer.as_ref()?);
        let user_id = uuid::Uuid::now_v7().to_string();
        let token = key.user(&user_id, issuer, kid);
        Some(Tenant::new(&self.url, user_id, token))
    }

    /// The issuer's public key as whoever mistakes it for a shared secret may have it: its JWK and a coordinate of it.
    pub fn public_key_texts(&self) -> Vec<String> {
        let jwk = self.issuer_key.as_ref().map(IssuerKey::jwk);
        let x = jwk.as_ref().and_then(|jwk| jwk["x"].as_str());
        let x = x.map(str::to_owned);
        jwk.map(|jwk| jwk.to_string())
            .into_iter()
            .chain(x)
            .collect()
    }

    /// A user's own organisation; `None` as in [`App::owner`], or before its first request.
    pub fn organization_of(&self, tenant: &Tenant) -> Option<String> {
        let user = &tenant.user_id;
        let sql = format!("SELECT default_org_id::text FROM public.profiles WHERE id = '{user}'");
        (!self.database_url.is_empty()).then(|| database::text(&self.database_url, &sql))?
    }

    /// A new user who is a member of `org` with `role` and acts there; `None` as in [`App::owner`].
    pub fn member(&self, org: &str, role: &str) -> Option<Tenant> {
        let tenant = self.tenant();
        assert_eq!(tenant.get("/api/v1/nodes").status, 200);
        let user = &tenant.user_id;
        self.owner(&format!(
            "INSERT INTO public.organization_members (org_id, user_id, role) VALUES ('{org}', '{user}', '{role}')"
        ))?;
        Some(tenant.in_organization(org))
    }

    /// A caller with this credential.
    pub fn with_credential(&self, credential: &str) -> Tenant {
        Tenant::new(&self.url, String::new(), credential.to_owned())
    }

    /// Signs claims as the token issuer would.
    pub fn sign(&self, mut claims: Value) -> String {
        if let Some(issuer) = &self.issuer
            && claims["iss"].is_null()
        {
            claims["iss"] = issuer.as_str().into();
        }
        token::sign(&claims, &self.jwt_secret)
    }

    /// Runs statements as the database's owner; `None` for an application whose database is not known here.
    pub fn owner(&self, sql: &str) -> Option<()> {
        (!self.database_url.is_empty()).then(|| database::execute(&self.database_url, sql))
    }

    /// Whether the database refuses statements of its owner; `None` as in [`App::owner`].
    pub fn owner_refuses(&self, sql: &str) -> Option<bool> {
        (!self.database_url.is_empty()).then(|| database::refuses(&self.database_url, sql))
    }

    /// Every row of every table as text; `None` as in [`App::owner`].
    pub fn dump(&self) -> Option<String> {
        (!self.database_url.is_empty()).then(|| database::dump(&self.database_url))
    }

    /// What the host has logged so far; empty for an application that was not started here.
    pub fn log(&self) -> String {
        let project = self._project.as_ref();
        project
            .and_then(|p| std::fs::read_to_string(p.log_file()).ok())
            .unwrap_or_default()
    }

    /// The operator's token; `None` for an application that was not started here.
    pub fn drain_token(&self) -> Option<&'static str> {
        self.host.as_ref().map(|_| DRAIN_TOKEN)
    }

    /// The operator's schedule; `None` for an application that was not started here.
    pub fn operator(&self) -> Option<Tenant> {
        let started = self.host.is_some();
        started.then(|| self.with_credential(DRAIN_TOKEN))
    }

    /// Whether `nodeai up` serves it; otherwise it is stock Spin, whose own rules for connections hold.
    pub fn is_on_our_host(&self) -> bool {
        self.host.is_some() && std::env::var_os("NODEAI_E2E_SPIN").is_none()
    }

    /// Resident memory of the host, bytes; where it was started here.
    pub fn host_memory(&self) -> Option<u64> {
        let pid = self.host.as_ref()?.0.id();
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
        Some(pages * 4096)
    }

    /// Kills the host as a power cut would.
    pub fn kill(&mut self) {
        if let Some(host) = &mut self.host {
            host.kill();
        }
    }
}

/// Applies the migrations.
pub fn migrate(url: &str) {
    let status = Command::new(binary("nodeai"))
        .current_dir(root())
        .args(["migrate", "apply", "--quiet", "--database-url", url])
        .status()
        .expect("nodeai migrate runs");
    assert!(status.success(), "the migrations do not apply");
}

fn start_rest(url: &str, issuer_key: &IssuerKey) -> (Running, String) {
    // PostgREST logs in as `authenticator` and becomes whoever the token says.
    let authenticator = url.replacen("postgres@", "authenticator@", 1);
    let keys = ["anon", "service_role"].map(|role| token::project_key(role, JWT_SECRET));
    let public = ready_file();
    let key_set = serde_json::json!({"keys": [issuer_key.jwk()]}).to_string();
    std::fs::write(&public, key_set).expect("the key set's file");
    let mut command = Command::new(binary("postgrest-standin"));
    command
        .args(["127.0.0.1:0", &authenticator])
        .args([&issuer_key.with_secret(JWT_SECRET), &keys.join(",")])
        .arg(&public)
        .stdout(Stdio::piped());
    let mut rest = Running::start(command);
    let mut line = String::new();
    let stdout = rest.0.stdout.take().expect("stdout");
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("its URL");
    assert!(line.starts_with("http://"), "the REST server did not start");
    (rest, line.trim().to_owned())
}

/// A name for a ready file.
pub fn ready_file() -> PathBuf {
    std::env::temp_dir().join(format!("nodeai-ready-{}.json", uuid::Uuid::new_v4()))
}

/// Waits for the ready file of `host` and reads it.
pub fn wait_for(ready: &PathBuf, host: &mut Running) -> Value {
    let deadline = Instant::now() + Duration::from_secs(400);
    loop {
        if let Ok(text) = std::fs::read_to_string(ready) {
            let _ = std::fs::remove_file(ready);
            return serde_json::from_str(&text).expect("the ready file is JSON");
        }
        if let Ok(Some(status)) = host.0.try_wait() {
            panic!("the host ended with {status}");
        }
        assert!(Instant::now() < deadline, "the host does not come up");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
