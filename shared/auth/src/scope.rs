//! Scopes: `area:action`, with `*` in the place of either, and `*` alone for everything.

/// Most characters of a scope.
const LONGEST: usize = 100;

/// Whether `text` has the form of a scope.
pub fn is_scope(text: &str) -> bool {
    let word = |part: &str| {
        part == "*"
            || (!part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
    };
    text.len() <= LONGEST
        && match text.split_once(':') {
            Some((area, action)) => word(area) && word(action),
            None => text == "*",
        }
}

/// Whether one of `held` covers all that `wanted` allows: whoever hands out a scope must have as much.
pub fn covers(held: &[String], wanted: &str) -> bool {
    let parts = wanted.split_once(':');
    held.iter().any(|scope| {
        scope == "*"
            || scope == wanted
            || match (scope.split_once(':'), parts) {
                (Some((area, action)), Some((wanted_area, wanted_action))) => {
                    (area == "*" || area == wanted_area)
                        && (action == "*" || action == wanted_action)
                }
                _ => false,
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(scopes: &[&str]) -> Vec<String> {
        scopes.iter().map(|scope| (*scope).to_owned()).collect()
    }

    #[test]
    fn the_form_is_checked() {
        for good in [
            "*",
            "workflows:read",
            "*:run",
            "api-keys:*",
            "secrets:reveal",
        ] {
            assert!(is_scope(good), "{good}");
        }
        for bad in [
            "",
            "workflows",
            "workflows:",
            ":read",
            "a:b:c",
            "Workflows:read",
            "a b:read",
            "**",
        ] {
            assert!(!is_scope(bad), "{bad}");
        }
    }

    #[test]
    fn nobody_hands_out_more_than_they_have() {
        let editor = held(&["*:read", "workflows:*"]);
        for wanted in ["*:read", "secrets:read", "workflows:run", "workflows:*"] {
            assert!(covers(&editor, wanted), "{wanted}");
        }
        for wanted in ["*", "*:run", "secrets:write", "secrets:*", "*:*"] {
            assert!(!covers(&editor, wanted), "{wanted}");
        }
        assert!(covers(&held(&["*"]), "*:*"));
        assert!(!covers(&[], "workflows:read"));
    }
}
