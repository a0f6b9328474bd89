//! Feature flags in handlers: one call, and at most one read of an organisation's flags in five seconds per instance.

use crate::caller::{Caller, Scope};
use nodeai_flags::{Context, Flag};
use nodeai_http::Problem;
use nodeai_store::Select;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

nodeai_store::columns! {
    /// Feature flags.
    feature_flags {
        id: Uuid, key: Text, description: Text, enabled: Bool, rules: Json, version: Int, created_at: Time,
        updated_at: Time,
    }
}

/// How long an instance believes what it has read, µs.
const FRESH_US: i64 = 5_000_000;
/// Most organisations that an instance remembers; a full cache is emptied.
const MOST_ORGANIZATIONS: usize = 256;
/// Most flags of an organisation that are looked at.
const MOST_FLAGS: u32 = 1_000;

/// An instance's flags by organisation. Reached only with an admitted caller of that organisation.
#[derive(Debug, Default)]
pub struct FlagCache(RefCell<HashMap<String, (i64, Rc<Vec<Flag>>)>>);

/// Whether a flag is on for the caller; a flag that does not exist is off. Errors: 503.
pub async fn is_on<S: Scope>(
    caller: &Caller<S>,
    key: &str,
    environment: &str,
) -> Result<bool, Problem> {
    let flags = read(caller).await?;
    let flag = flags.iter().find(|flag| flag.key == key);
    Ok(flag.is_some_and(|flag| flag.is_on(&context(caller, environment))))
}

/// All flags for the caller, by key. Errors: 503.
pub async fn all<S: Scope>(
    caller: &Caller<S>,
    environment: &str,
) -> Result<BTreeMap<String, bool>, Problem> {
    let flags = read(caller).await?;
    let context = context(caller, environment);
    Ok(flags
        .iter()
        .map(|flag| (flag.key.clone(), flag.is_on(&context)))
        .collect())
}

fn context<'a, S: Scope>(caller: &'a Caller<S>, environment: &'a str) -> Context<'a> {
    Context {
        user: caller.session.user_id(),
        organization: caller.org_id(),
        role: caller
            .session
            .principal
            .member_role
            .as_deref()
            .unwrap_or(""),
        environment,
    }
}

async fn read<S: Scope>(caller: &Caller<S>) -> Result<Rc<Vec<Flag>>, Problem> {
    let now_us = caller.cx.started_us;
    let cache = &caller.cx.app.flags.0;
    if let Some((at, flags)) = cache.borrow().get(caller.org_id())
        && now_us - at < FRESH_US
    {
        return Ok(flags.clone());
    }
    let columns = &[
        feature_flags::key,
        feature_flags::enabled,
        feature_flags::rules,
    ];
    let mut query = Select::from(feature_flags::TABLE, columns);
    query.limit = MOST_FLAGS;
    let flags: Rc<Vec<Flag>> = Rc::new(caller.select(query).await?);
    let mut cache = cache.borrow_mut();
    if cache.len() >= MOST_ORGANIZATIONS {
        cache.clear();
    }
    cache.insert(caller.org_id().to_owned(), (now_us, flags.clone()));
    Ok(flags)
}
