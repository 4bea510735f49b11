//! A temporary folder with files in it, and what came of importing them.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use tastemaker_core::Silent;
use tastemaker_data::{Dataset, ImportOptions, Manifest, Sources, import};

/// A folder for one test.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.path("out")
    }

    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    pub(crate) fn gz(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content.as_ref()).unwrap();
        self.put(name, encoder.finish().unwrap())
    }

    /// Names what the folder holds, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        names(self.0.path())
    }

    pub(crate) fn import(
        &self,
        sources: &Sources,
        options: &ImportOptions,
    ) -> Result<Manifest, String> {
        import(sources, options, &self.out(), &Silent).map_err(|e| e.to_string())
    }

    /// Imports interactions alone and opens what came of it.
    pub(crate) fn data(&self, interactions: PathBuf) -> Dataset {
        let sources = Sources { interactions, ..Default::default() };
        self.import(&sources, &ImportOptions::default()).unwrap();
        self.open()
    }

    pub(crate) fn open(&self) -> Dataset {
        Dataset::open(&self.out()).unwrap()
    }
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut all: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    all.sort();
    all
}

/// Renders all events: `user: item*value@time …`.
pub(crate) fn told(data: &Dataset) -> Vec<String> {
    let row = |(user, name): (usize, &str)| {
        let h = data.histories.row(user);
        let events: Vec<String> = (0..h.len())
            .map(|i| {
                format!("{}*{}@{}", data.items.ids().name(h.items[i].0), h.values[i], h.times[i])
            })
            .collect();
        format!("{name}: {}", events.join(" "))
    };
    data.users.ids().iter().enumerate().map(row).collect()
}
