//! Keys of the API: made once, shown once, kept as a hash. Secrets have 256 random bits, so one round of SHA-256 is enough:
//! there is nothing to guess, unlike with passwords.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::Error;

/// What every key begins with, so that leaked ones can be found.
const PREFIX: &str = "tm_";

/// What a key may do; each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Ask.
    Read,
    /// Ask, and tell what happened.
    Write,
    /// Everything.
    Admin,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        })
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            "admin" => Ok(Self::Admin),
            _ => Err(Error::UnknownScope { name: name.into() }),
        }
    }
}

/// A key as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Whose data it opens.
    pub tenant: String,
    /// The part of it that is no secret.
    pub id: String,
    /// What its owner calls it.
    pub label: String,
    /// SHA-256 of the whole key, in hex.
    pub hash: String,
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created: i64,
    /// When it was revoked; 0 = it was not.
    pub revoked: i64,
}

/// A key that was made just now. The secret is nowhere else.
pub struct NewKey {
    /// What is kept.
    pub record: KeyRecord,
    /// What its owner gets.
    pub secret: String,
}

impl NewKey {
    /// Makes a key of random bits.
    pub fn new(tenant: &str, label: &str, scope: Scope, created: i64) -> Result<Self, Error> {
        let mut bytes = [0u8; 40];
        getrandom::fill(&mut bytes).map_err(|error| Error::NoRandom { why: error.to_string() })?;
        let (id, rest) = bytes.split_at(8);
        let id = hex(id);
        let secret = format!("{PREFIX}{id}_{}", hex(rest));
        let record = KeyRecord {
            tenant: tenant.into(),
            label: label.into(),
            hash: hash(&secret),
            id,
            scope,
            created,
            revoked: 0,
        };
        Ok(Self { record, secret })
    }
}

impl KeyRecord {
    /// Reads the open part of a key; `None` when it is no key.
    pub fn id_of(secret: &str) -> Option<&str> {
        Some(secret.strip_prefix(PREFIX)?.split_once('_')?.0)
    }

    /// Tells whether this is the key of `secret`, and may still be used. Takes equally long for every wrong secret.
    pub fn opens(&self, secret: &str) -> bool {
        let is_same: bool = hash(secret).as_bytes().ct_eq(self.hash.as_bytes()).into();
        is_same && self.revoked == 0
    }
}

fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_with_its_secret_alone_and_not_after_it_was_revoked() {
        let NewKey { mut record, secret } = NewKey::new("a", "test", Scope::Write, 1).unwrap();
        assert_eq!(KeyRecord::id_of(&secret), Some(record.id.as_str()));
        assert!(record.opens(&secret));
        assert!(!record.opens(&format!("{secret}0")));
        assert!(!record.hash.contains(secret.rsplit('_').next().unwrap()));
        record.revoked = 2;
        assert!(!record.opens(&secret));
    }

    #[test]
    fn who_may_write_may_read() {
        assert!(Scope::Write > Scope::Read && Scope::Admin > Scope::Write);
        for scope in [Scope::Read, Scope::Write, Scope::Admin] {
            assert_eq!(scope.to_string().parse::<Scope>().unwrap(), scope);
        }
        assert!("root".parse::<Scope>().is_err());
    }
}
