//! A host that is killed and comes back on the same address, and clients that go on through it.

use crate::app::{JWT_SECRET, ready_file, wait_for};
use crate::process::{Running, free_address};
use crate::project::Project;
use crate::{Reply, Tenant, token};
use std::sync::{Condvar, Mutex};

/// The host, dead or alive.
pub struct Mortal {
    project: Project,
    listen: String,
    database_url: String,
    master_keys: Mutex<String>,
    host: Mutex<Option<Running>>,
    alive: Mutex<bool>,
    woken: Condvar,
}

impl Mortal {
    /// A host on this database, with these master keys; not started yet.
    pub fn new(database_url: &str, master_keys: &str) -> Self {
        Self {
            project: Project::new(),
            listen: free_address(),
            database_url: database_url.to_owned(),
            master_keys: Mutex::new(master_keys.to_owned()),
            host: Mutex::new(None),
            alive: Mutex::new(false),
            woken: Condvar::new(),
        }
    }

    /// Starts it (again) and lets the clients go on. Gives its process id.
    pub fn start(&self) -> u32 {
        let ready = ready_file();
        let mut command = self.project.up_on(&ready, &self.listen);
        command
            .args(["--database-url", &self.database_url])
            .env("SPIN_VARIABLE_NODEAI_JWT_SECRET", JWT_SECRET)
            .env(
                "SPIN_VARIABLE_NODEAI_MASTER_KEYS",
                &*self.master_keys.lock().unwrap(),
            );
        let mut host = Running::start(command);
        wait_for(&ready, &mut host);
        let pid = host.0.id();
        *self.host.lock().unwrap() = Some(host);
        *self.alive.lock().unwrap() = true;
        self.woken.notify_all();
        pid
    }

    /// SIGKILL, if it has not died by itself.
    pub fn kill(&self) {
        *self.alive.lock().unwrap() = false;
        if let Some(mut host) = self.host.lock().unwrap().take() {
            host.kill();
        }
    }

    /// Other master keys from the next start on.
    pub fn set_master_keys(&self, keys: &str) {
        keys.clone_into(&mut self.master_keys.lock().unwrap());
    }

    /// A new user, alone in an organisation.
    pub fn tenant(&self) -> Tenant {
        let user = uuid::Uuid::now_v7().to_string();
        let token = token::user(&user, None, JWT_SECRET);
        Tenant::new(&format!("http://{}", self.listen), user, token)
    }

    /// Asks until there is a whole answer: a host that dies in between is waited for.
    pub fn insist(&self, ask: impl Fn() -> Option<Reply>) -> Reply {
        loop {
            let alive = self.alive.lock().unwrap();
            drop(self.woken.wait_while(alive, |alive| !*alive).unwrap());
            match ask() {
                // A head without its body is no answer.
                Some(reply) if !reply.json.is_null() || reply.status == 204 => return reply,
                _ => std::thread::yield_now(),
            }
        }
    }
}
