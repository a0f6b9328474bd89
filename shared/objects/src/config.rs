//! Which stores are configured.

use crate::{Objects, s3::S3, supabase::Supabase};
use nodeai_files::s3::Style;
use nodeai_files::sigv4::Signer;
use nodeai_http::Problem;
use nodeai_ports::{Env, Variables};
use std::rc::Rc;

/// The stores of the variables `nodeai_files_*`.
#[derive(Clone)]
pub struct Stores {
    s3: Option<Rc<dyn Objects>>,
    supabase: Option<Rc<dyn Objects>>,
}

impl Stores {
    /// Reads the variables.
    pub async fn read(env: &Rc<dyn Env>) -> Self {
        Self {
            s3: s3(env).await,
            supabase: supabase(env).await,
        }
    }

    /// The store `s3` or `supabase`. Errors: 503 when it is not configured.
    pub fn named(&self, name: &str) -> Result<Rc<dyn Objects>, Problem> {
        let configured = match name {
            "s3" => &self.s3,
            "supabase" => &self.supabase,
            _ => &None,
        };
        configured.clone().ok_or_else(|| {
            Problem::storage_not_configured(format!(
                "the file store {name:?} is not configured; see the variables nodeai_files_*"
            ))
            .retry_after(60)
        })
    }
}

/// A URL that is set: `.invalid` is the manifest's default and counts as not set.
async fn url(env: &dyn Variables, name: &str) -> Option<String> {
    let url = env.get(name).await?;
    let url = url.trim_end_matches('/').to_owned();
    (!url.ends_with(".invalid")).then_some(url)
}

async fn s3(env: &Rc<dyn Env>) -> Option<Rc<dyn Objects>> {
    let style = match env.get("nodeai_files_s3_style").await.as_deref() {
        Some("host") => Style::VirtualHost,
        _ => Style::Path,
    };
    let region = env.get("nodeai_files_s3_region").await;
    let bucket = nodeai_files::s3::Bucket {
        endpoint: url(&**env, "nodeai_files_s3_url").await?,
        name: env.get("nodeai_files_s3_bucket").await?,
        style,
        signer: Signer {
            access_key: env.get("nodeai_files_s3_access_key").await?,
            secret_key: env.get("nodeai_files_s3_secret_key").await?,
            session_token: env.get("nodeai_files_s3_session_token").await,
            region: region.unwrap_or_else(|| "us-east-1".to_owned()),
            service: "s3".to_owned(),
        },
    };
    Some(Rc::new(S3::new(bucket, env.clone())))
}

/// Of the project that is the database too, unless another one is named.
async fn supabase(env: &Rc<dyn Env>) -> Option<Rc<dyn Objects>> {
    let (own_url, own_key) = (
        url(&**env, "nodeai_files_supabase_url").await,
        env.get("nodeai_files_supabase_key").await,
    );
    let (url, service_key) = match (own_url, own_key) {
        (Some(url), Some(key)) => (url, key),
        _ => (
            url(&**env, "nodeai_supabase_url").await?,
            env.get("nodeai_supabase_service_key").await?,
        ),
    };
    let bucket = nodeai_files::supabase::Bucket {
        url,
        name: env.get("nodeai_files_supabase_bucket").await?,
        service_key,
    };
    Some(Rc::new(Supabase::new(bucket, env.clone())))
}
