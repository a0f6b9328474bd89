//! `/api/v1/profiles/me/settings`

use crate::Own;
use http::header;
use nodeai_app::{Caller, Command, IfMatch, Reply, Valid};
use nodeai_http::input::present;
use nodeai_http::reply::Json;
use nodeai_http::{Check, Checker, Problem, etag};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Largest `custom`, bytes of JSON.
const LARGEST_CUSTOM: usize = 16_384;

/// The settings of a user. In a PATCH, null removes a setting.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Colours.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    theme: Option<Option<Theme>>,
    /// Language (BCP 47), such as `en-GB`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    locale: Option<Option<String>>,
    /// Time zone (IANA), such as `Europe/Berlin`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    time_zone: Option<Option<String>>,
    /// What is sent by mail.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    notifications: Option<Option<Notifications>>,
    /// The editor.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    editor: Option<Option<Editor>>,
    /// Whatever a front end wants to keep: an object of at most 16 KiB.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    custom: Option<Option<Map<String, Value>>>,
}

/// Colours.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// As the system has it.
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// What is sent by mail.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notifications {
    /// Failed runs.
    #[serde(default)]
    run_failed: bool,
    /// Budgets that are used up.
    #[serde(default)]
    budget: bool,
    /// A summary every week.
    #[serde(default)]
    weekly_summary: bool,
}

/// The editor.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Editor {
    /// Whether nodes snap to a grid.
    #[serde(default)]
    snap_to_grid: bool,
    /// Whether the map is shown.
    #[serde(default)]
    minimap: bool,
    /// Seconds between two automatic saves, 0 to 600; 0 for none.
    #[serde(default)]
    autosave_s: u16,
}

impl Check for Settings {
    fn check(&self, c: &mut Checker) {
        let plain = |text: &str, more: &[u8]| {
            (1..=64).contains(&text.len())
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
        };
        if let Some(Some(locale)) = &self.locale {
            c.require(plain(locale, b"-"), "/locale", "format", "such as en-GB");
        }
        if let Some(Some(zone)) = &self.time_zone {
            c.require(
                plain(zone, b"_/+-"),
                "/time_zone",
                "format",
                "such as Europe/Berlin",
            );
        }
        if let Some(Some(editor)) = &self.editor {
            let holds = editor.autosave_s <= 600;
            c.require(holds, "/editor/autosave_s", "out_of_range", "0 to 600");
        }
        if let Some(Some(custom)) = &self.custom {
            let size = serde_json::to_string(custom).map_or(usize::MAX, |text| text.len());
            c.require(
                size <= LARGEST_CUSTOM,
                "/custom",
                "too_large",
                "at most 16,384 bytes",
            );
        }
    }
}

/// Settings with their version.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Kept {
    /// The settings.
    settings: Settings,
    /// Version of the profile, for `If-Match`.
    version: i64,
}

/// One's own settings.
pub async fn get(caller: Caller<Own>) -> Result<Json<Kept>, Problem> {
    let found: Option<Kept> = caller.call("profile_get", &json!({})).await?;
    let kept = found.ok_or_else(|| Problem::not_found("there is no such profile"))?;
    let tag = etag::of(kept.version);
    Ok(Json::ok(kept).header(header::ETAG, tag))
}

/// The schema that settings are checked by.
pub async fn schema(_: Caller<Own>) -> Result<Json<Value>, Problem> {
    let schema = schemars::schema_for!(Settings);
    Ok(Json::ok(schema.to_value()))
}

/// Replaces all settings.
pub async fn replace(
    caller: Caller<Own>,
    IfMatch(expected): IfMatch,
    Valid(settings): Valid<Settings>,
) -> Result<Reply<Kept>, Problem> {
    change(&caller, expected, &settings, true).await
}

/// Changes the settings that are given.
pub async fn update(
    caller: Caller<Own>,
    IfMatch(expected): IfMatch,
    Valid(settings): Valid<Settings>,
) -> Result<Reply<Kept>, Problem> {
    change(&caller, expected, &settings, false).await
}

async fn change(
    caller: &Caller<Own>,
    expected: Option<i64>,
    settings: &Settings,
    all: bool,
) -> Result<Reply<Kept>, Problem> {
    let args = json!({"settings": settings, "replace_settings": all, "expect_version": expected});
    let id = caller.session.user_id().to_owned();
    let command = Command::named("update_profile", "profile", &id, args)
        .audit("profile.settings_updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
