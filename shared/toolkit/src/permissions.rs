//! Who may call which functions of a tool.

use crate::Fault;
use crate::function::Function;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A member's place in the organisation, the least first.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs and writes.
    #[default]
    Editor,
    /// Manages too.
    Admin,
    /// Owns.
    Owner,
}

/// What of a tool may be called, and by whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Permissions {
    /// Only these functions, by name; `*` stands for any characters. All of them unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// Not these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    /// Only functions that say of themselves that they change nothing (`readOnlyHint`). A hint is what the tool's author says,
    /// no proof.
    pub read_only: bool,
    /// The least role that may call: `editor` unless given.
    pub role: Role,
}

/// Why a call is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The function is not enabled.
    #[error("this function of the tool is not enabled")]
    Function,
    /// It may change something.
    #[error("only functions that change nothing may be called")]
    Writes,
    /// The caller's role.
    #[error("the caller's role may not call this tool")]
    Role,
}

impl Permissions {
    /// Whether a function may be called at all.
    ///
    /// # Errors
    /// Why not.
    pub fn permits(&self, function: &Function) -> Result<(), Denied> {
        let any = |patterns: &[String]| patterns.iter().any(|p| matches(p, &function.name));
        let allowed = self.allow.as_deref().is_none_or(any);
        if !allowed || any(&self.deny) {
            return Err(Denied::Function);
        }
        match self.read_only && !function.is_read_only() {
            true => Err(Denied::Writes),
            false => Ok(()),
        }
    }

    /// The same for a caller of a role.
    ///
    /// # Errors
    /// Why not.
    pub fn permits_caller(&self, function: &Function, role: Role) -> Result<(), Denied> {
        self.permits(function)?;
        match role >= self.role {
            true => Ok(()),
            false => Err(Denied::Role),
        }
    }

    /// Reports lists that are too long.
    pub fn check(&self, at: &str, faults: &mut Vec<Fault>) {
        for (name, list) in [
            ("allow", self.allow.as_deref()),
            ("deny", Some(&*self.deny)),
        ] {
            let list = list.unwrap_or_default();
            if list.len() > 500 || list.iter().any(|one| one.is_empty() || one.len() > 128) {
                let detail = "at most 500 names of 1 to 128 characters";
                faults.push(Fault::new(format!("{at}/{name}"), "length", detail));
            }
        }
    }
}

/// Whether a name fits a pattern in which `*` stands for any characters. Linear in both.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn function(name: &str, read_only: bool) -> Function {
        serde_json::from_value(
            json!({"name": name, "input_schema": {}, "annotations": {"readOnlyHint": read_only}}),
        )
        .unwrap()
    }

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, name, fits) in [
            ("get", "get", true),
            ("get", "gets", false),
            ("get*", "getUser", true),
            ("*User", "getUser", true),
            ("g*t*r", "getUser", true),
            ("g*x*r", "getUser", false),
            ("*", "", true),
            ("a*a", "a", false),
            ("**", "x", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_denied_is_denied_whatever_is_allowed() {
        let permissions = Permissions {
            allow: Some(vec!["get*".into()]),
            deny: vec!["getSecret".into()],
            read_only: true,
            role: Role::Admin,
        };
        let of = |name, read_only| permissions.permits(&function(name, read_only));
        assert_eq!(of("getUser", true), Ok(()));
        assert_eq!(of("getSecret", true), Err(Denied::Function));
        assert_eq!(of("putUser", true), Err(Denied::Function));
        assert_eq!(of("getUser", false), Err(Denied::Writes));
        let user = function("getUser", true);
        assert_eq!(
            permissions.permits_caller(&user, Role::Editor),
            Err(Denied::Role)
        );
        assert_eq!(permissions.permits_caller(&user, Role::Owner), Ok(()));
        assert_eq!(
            Permissions::default().permits(&function("x", false)),
            Ok(())
        );
    }
}
