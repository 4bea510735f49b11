//! Reading a folder back: one read per file, every checksum and every number verified.

use std::{fs, path::Path};

use bytes::Bytes;
use parquet::errors::ParquetError;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{EVENTS, ITEMS, MANIFEST, USERS, events, staging::hex, tables};
use crate::{Dataset, Error, MANIFEST_FORMAT, MANIFEST_VERSION, Manifest};

/// Opens the data set in `folder`.
pub(crate) fn open(folder: &Path) -> Result<Dataset, Error> {
    let manifest = read_manifest(folder)?;
    let read = |name| read_checked(folder, name, &manifest);
    let counts = manifest.counts;
    let load = |name| decoded(folder, name, tables::decode(read(name)?));
    let (histories, (items, users)) = rayon::join(
        || decoded(folder, EVENTS, events::decode(read(EVENTS)?, counts.users, counts.items)),
        || (load(ITEMS), load(USERS)),
    );
    let (histories, items, users) = (histories?, items?, users?);
    let sizes = [
        (ITEMS, items.len(), counts.items),
        (USERS, users.len(), counts.users),
        (EVENTS, histories.n_events(), counts.events),
    ];
    for (name, found, expected) in sizes {
        if found != expected {
            let why = format!("{found} rows instead of {expected}");
            return Err(Error::Changed { path: folder.join(name), why });
        }
    }
    Ok(Dataset { manifest, histories, users, items })
}

fn read_manifest(folder: &Path) -> Result<Manifest, Error> {
    let path = folder.join(MANIFEST);
    if !folder.exists() {
        return Err(Error::NotFound { path: folder.into() });
    }
    if !path.is_file() {
        return Err(Error::NoManifest { path: folder.into() });
    }
    let text = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
    let unclear = |e: serde_json::Error| Error::Manifest { path: path.clone(), why: e.to_string() };
    // Other formats and versions have other fields, so what it is comes first.
    let Label { format, version } = serde_json::from_slice(&text).map_err(unclear)?;
    if format.as_deref() != Some(MANIFEST_FORMAT) {
        return Err(Error::NotADataset { path: folder.into(), format });
    }
    if version != MANIFEST_VERSION {
        return Err(Error::OtherVersion { path, version: version.to_string() });
    }
    serde_json::from_slice(&text).map_err(unclear)
}

/// What a manifest of any kind says it is.
#[derive(Deserialize)]
struct Label {
    format: Option<String>,
    #[serde(default)]
    version: Value,
}

fn read_checked(folder: &Path, name: &str, manifest: &Manifest) -> Result<Bytes, Error> {
    let path = folder.join(name);
    let Some(expected) = manifest.files.get(name) else {
        let why = format!("it lists no {name}");
        return Err(Error::Manifest { path: folder.join(MANIFEST), why });
    };
    let changed = |why: String| Error::Changed { path: path.clone(), why };
    if !path.exists() {
        return Err(changed("it is gone".into()));
    }
    let bytes = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
    if bytes.len() as u64 != expected.bytes {
        return Err(changed(format!("{} bytes instead of {}", bytes.len(), expected.bytes)));
    }
    if hex(&Sha256::digest(&bytes)) != expected.sha256 {
        return Err(changed("its sha256 differs".into()));
    }
    Ok(bytes.into())
}

fn decoded<T>(folder: &Path, name: &str, result: Result<T, ParquetError>) -> Result<T, Error> {
    result.map_err(|e| Error::Changed { path: folder.join(name), why: e.to_string() })
}
