//! Feature flags: a switch, and rules that say for whom it is on.
//!
//! The first rule whose conditions all hold decides. A percentage is sticky: the same subject always falls into the
//! same of 10,000 parts of a flag (SHA-256 of flag and subject), so raising it only ever adds subjects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A flag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flag {
    /// Its key.
    pub key: String,
    /// Off is off for everybody.
    pub enabled: bool,
    /// The rules, first match first; without any, the flag is on for everybody.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Only these users (ids).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Only these organisations (ids).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub organizations: Vec<String>,
    /// Only these environments, such as `prod`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<String>,
    /// Only members with these roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// For this part of those, 0 to 100; all unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// What the percentage is taken of: `user` unless given.
    #[serde(default)]
    pub by: Subject,
    /// What the flag is for them: on unless given.
    #[serde(default = "on")]
    pub value: bool,
}

fn on() -> bool {
    true
}

/// Who falls into a percentage together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Each user alone.
    #[default]
    User,
    /// An organisation as a whole.
    Organization,
}

/// For whom a flag is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context<'a> {
    /// The user.
    pub user: &'a str,
    /// The organisation.
    pub organization: &'a str,
    /// The user's role there.
    pub role: &'a str,
    /// The environment.
    pub environment: &'a str,
}

impl Flag {
    /// Whether the flag is on.
    pub fn is_on(&self, context: &Context<'_>) -> bool {
        if !self.enabled {
            return false;
        }
        let decides = self
            .rules
            .iter()
            .find(|rule| rule.applies(&self.key, context));
        decides.map_or(self.rules.is_empty(), |rule| rule.value)
    }
}

impl Rule {
    fn applies(&self, key: &str, context: &Context<'_>) -> bool {
        let one_of =
            |list: &[String], value: &str| list.is_empty() || list.iter().any(|v| v == value);
        let subject = match self.by {
            Subject::User => context.user,
            Subject::Organization => context.organization,
        };
        one_of(&self.users, context.user)
            && one_of(&self.organizations, context.organization)
            && one_of(&self.environments, context.environment)
            && one_of(&self.roles, context.role)
            && self
                .percent
                .is_none_or(|percent| f64::from(part_of(key, subject)) < percent * 100.0)
    }

    /// Whether the percentage is one.
    pub fn is_valid(&self) -> bool {
        self.percent
            .is_none_or(|percent| (0.0..=100.0).contains(&percent))
    }
}

/// The part of a flag that a subject falls into, 0 to 9,999.
fn part_of(key: &str, subject: &str) -> u32 {
    let mut hash = Sha256::new();
    hash.update(key.as_bytes());
    hash.update([0]);
    hash.update(subject.as_bytes());
    let digest = hash.finalize();
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) % 10_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(rules: serde_json::Value) -> Flag {
        Flag {
            key: "new-editor".to_owned(),
            enabled: true,
            rules: serde_json::from_value(rules).unwrap(),
        }
    }

    fn user(name: &str) -> Context<'_> {
        Context {
            user: name,
            organization: "o",
            role: "editor",
            environment: "prod",
        }
    }

    #[test]
    fn off_is_off_and_no_rules_are_on() {
        let mut flag = flag(serde_json::json!([]));
        assert!(flag.is_on(&user("a")));
        flag.enabled = false;
        assert!(!flag.is_on(&user("a")));
    }

    #[test]
    fn the_first_rule_that_applies_decides() {
        let flag = flag(serde_json::json!([
            {"users": ["a"], "value": false},
            {"environments": ["dev"]},
            {"roles": ["editor"], "organizations": ["o"]},
        ]));
        assert!(!flag.is_on(&user("a")));
        assert!(flag.is_on(&user("b")));
        assert!(!flag.is_on(&Context {
            role: "viewer",
            ..user("b")
        }));
        assert!(flag.is_on(&Context {
            environment: "dev",
            role: "viewer",
            ..user("b")
        }));
    }

    #[test]
    fn a_percentage_is_fair_and_only_grows() {
        let at = |percent: f64| flag(serde_json::json!([{"percent": percent}]));
        let users: Vec<String> = (0..10_000).map(|n| format!("user-{n}")).collect();
        let share = |flag: &Flag| users.iter().filter(|u| flag.is_on(&user(u))).count();
        let (ten, thirty) = (at(10.0), at(30.0));
        // Binomial with n = 10,000: five standard deviations are 150 and 229.
        assert!((850..=1_150).contains(&share(&ten)), "{}", share(&ten));
        assert!(
            (2_771..=3_229).contains(&share(&thirty)),
            "{}",
            share(&thirty)
        );
        assert!(
            users
                .iter()
                .all(|u| !ten.is_on(&user(u)) || thirty.is_on(&user(u)))
        );
        assert_eq!(share(&at(0.0)), 0);
        assert_eq!(share(&at(100.0)), 10_000);
    }

    #[test]
    fn organisations_fall_together() {
        let flag = flag(serde_json::json!([{"percent": 50, "by": "organization"}]));
        let first = flag.is_on(&user("a"));
        assert!((0..100).all(|n| flag.is_on(&user(&format!("u{n}"))) == first));
    }
}
