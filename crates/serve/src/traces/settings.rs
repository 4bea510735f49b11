//! What can be chosen about traces.

use std::time::Duration;

use crate::Error;

/// Where traces go, and how many.
#[derive(Clone, Debug)]
pub struct TraceSettings {
    /// The address of a collector, such as `http://127.0.0.1:4318`.
    pub endpoint: String,
    /// Headers of every request to it, such as a key.
    pub headers: Vec<(String, String)>,
    /// Share of requests that are traced, where the caller does not say.
    pub sample: f64,
    /// Time between two tellings.
    pub every: Duration,
}

impl TraceSettings {
    /// Traces all requests.
    pub fn new(endpoint: &str) -> Self {
        let (sample, every) = (1.0, Duration::from_secs(2));
        Self { endpoint: endpoint.into(), headers: Vec::new(), sample, every }
    }

    /// Returns the address that spans are posted to.
    pub(super) fn address(&self) -> Result<String, Error> {
        let bare = self.endpoint.trim_end_matches('/');
        let rest = bare.strip_prefix("http://").or_else(|| bare.strip_prefix("https://"));
        let is_host = |rest: &&str| {
            let host = rest.split('/').next().unwrap_or_default();
            !host.is_empty() && !host.starts_with(':') && !rest.contains(char::is_whitespace)
        };
        if rest.filter(is_host).is_none() {
            return Err(Error::Collector { address: self.endpoint.clone() });
        }
        let path = "/v1/traces";
        Ok(if bare.ends_with(path) { bare.to_owned() } else { format!("{bare}{path}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_traces_is_added_to_an_address() {
        let address = |text: &str| TraceSettings::new(text).address();
        for text in ["http://c:4318", "http://c:4318/", "http://c:4318/v1/traces"] {
            assert_eq!(address(text).unwrap(), "http://c:4318/v1/traces");
        }
        for text in ["c:4318", "http://", "https://:80", "http://a b", "grpc://c"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
