//! The environment as a place of keys: looked up by name, never shown.

use std::fmt;

use tastemaker_text::ApiKey;

/// Environment variables, which the door hands in.
#[derive(Clone, Default)]
pub struct Secrets(Vec<(String, String)>);

impl Secrets {
    /// Takes environment variables.
    pub const fn new(environment: Vec<(String, String)>) -> Self {
        Self(environment)
    }

    /// Returns the key in the variable `name`; `None` when it is not there or no key.
    pub fn key(&self, name: &str) -> Option<ApiKey> {
        let found = self.0.iter().find(|(key, _)| !name.is_empty() && key == name);
        found.and_then(|(_, value)| ApiKey::new(value))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_name_and_never_shown() {
        let secrets = Secrets::new(vec![("KEY".into(), "sk-1 ".into()), ("E".into(), "".into())]);
        assert_eq!(secrets.key("KEY"), ApiKey::new("sk-1"));
        assert!(secrets.key("key").is_none() && secrets.key("").is_none());
        assert!(secrets.key("E").is_none());
        assert!(!format!("{secrets:?} {:?}", secrets.key("KEY")).contains("sk-1"));
    }
}
