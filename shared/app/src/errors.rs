//! Failures of store and authentication as problems. Messages of the store go to the log, never to the client.

use nodeai_auth::Rejected;
use nodeai_http::Problem;
use nodeai_store::{Error, Misconfigured, Outcome, Refusal};

/// Seconds that clients are asked to wait when the store does not answer.
const RETRY_AFTER_S: u64 = 2;

/// A store failure as a problem; logs what is not for the client.
pub fn store_problem(error: Error) -> Problem {
    match error {
        Error::Unavailable(reason) => {
            log("unavailable", &reason);
            Problem::unavailable("the database does not answer; nothing was changed")
                .retry_after(RETRY_AFTER_S)
        }
        Error::SessionLost => Problem::transaction_pooler(
            "the database session changed between two statements; use a direct connection or a session pooler",
        )
        .retry_after(60),
        Error::Denied(reason) => {
            log("denied", &reason);
            Problem::forbidden("this caller may not do that")
        }
        Error::BadValue(reason) => {
            log("bad value", &reason);
            Problem::invalid_input("a value does not have the form that its field asks for")
        }
        Error::SchemaMissing(reason) => {
            log("schema", &reason);
            Problem::storage_not_configured(
                "the database is not set up for this version: run `nodeai migrate apply`, and log in as nodeai_app",
            )
            .retry_after(60)
        }
        Error::Other { code, message } => {
            log(&code, &message);
            Problem::internal("the store gave an answer that was not expected")
        }
    }
}

/// Configuration that leads to no storage.
pub fn storage_problem(error: &Misconfigured) -> Problem {
    let problem = match error {
        Misconfigured::TransactionPooler => Problem::transaction_pooler(error.to_string()),
        _ => Problem::storage_not_configured(error.to_string()),
    };
    problem.retry_after(60)
}

/// A credential that was not accepted.
pub fn rejected_problem(rejected: Rejected) -> Problem {
    match rejected {
        Rejected::Expired => Problem::credential_expired(rejected.to_string()),
        _ => Problem::unauthenticated(rejected.to_string()),
    }
}

/// A caller that was not admitted.
pub fn refusal_problem(refusal: &Refusal, scope: &str) -> Problem {
    match refusal.outcome {
        Outcome::KeyRevoked => Problem::key_revoked("this API key was revoked"),
        Outcome::KeyExpired => Problem::credential_expired("this API key has expired"),
        Outcome::ScopeMissing => {
            Problem::scope_missing(format!("this route needs the scope {scope}"))
        }
        Outcome::NotAMember => {
            Problem::forbidden("the caller is not a member of that organisation")
        }
        Outcome::IpRefused => Problem::forbidden("this API key may not be used from this address"),
        Outcome::RateLimited => {
            let wait_ms = u64::try_from(refusal.rate.retry_after_ms).unwrap_or(0);
            let policy = &refusal.rate.policy;
            Problem::quota_exceeded(format!("the rate limit {policy:?} is used up"))
                .violated(policy)
                .retry_after(wait_ms.div_ceil(1000).max(1))
        }
        Outcome::AccountClosing => Problem::forbidden("this account is being deleted"),
        Outcome::AccountDeleted => {
            Problem::unauthenticated("the account of this credential was deleted")
        }
        Outcome::UnknownKey | Outcome::Ok => {
            Problem::unauthenticated("the credential is not known here")
        }
    }
}

/// One line on stderr, which the host puts into its log.
pub fn log(what: &str, detail: &str) {
    eprintln!("nodeai: {what}: {detail}");
}
