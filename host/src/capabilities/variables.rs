//! `spin:variables@3.0.0`: the values that the manifest gives the component.
use wasmtime::Result;
use wasmtime::component::Accessor;

use super::Spin;
use super::bindings::spin::variables::variables::{Error, Host, HostWithStore};
use crate::runtime::Ctx;

impl<T: Send> HostWithStore<T> for Spin {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> Result<Result<String, Error>> {
        let component = accessor.with(|mut access| access.get().component.clone());
        Ok(if !is_valid_name(&name) {
            Err(Error::InvalidName(name))
        } else {
            component
                .variables
                .get(&name)
                .cloned()
                .ok_or(Error::Undefined(name))
        })
    }
}

impl Host for Ctx {}

/// Spin's rule: lower-case letters, digits and single underscores, beginning with a letter.
fn is_valid_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.contains("__")
        && !name.ends_with('_')
}

#[cfg(test)]
mod tests {
    use super::is_valid_name;

    #[test]
    fn names_follow_spins_rule() {
        assert!(is_valid_name("nodeai_database_url"));
        for wrong in ["", "A", "a-b", "_a", "a__b", "a_", "1a"] {
            assert!(!is_valid_name(wrong), "{wrong}");
        }
    }
}
