//! Files that are written after long work: looked at before it. Those of `evaluate` are written here, too.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tastemaker_engine::data::Dataset;
use tastemaker_engine::{Evaluated, eval};

use crate::args::Evaluate;
use crate::command::Usage;
use crate::output;

const PER_USER: &str = "--save-per-user";
const HTML: &str = "--html";
const TREC: &str = "--trec";
const QRELS: &str = "qrels.txt";

/// Where to write what.
pub(crate) struct SideFiles<'a> {
    per_user: Option<&'a Path>,
    html: Option<&'a Path>,
    trec: Option<&'a Path>,
}

impl<'a> SideFiles<'a> {
    /// Takes the targets from the command line, each of which must be another file that can be written.
    pub(crate) fn of(args: &'a Evaluate, models: &[String]) -> anyhow::Result<Self> {
        let files = Self {
            per_user: args.save_per_user.as_deref(),
            html: args.html.as_deref(),
            trec: args.trec.as_deref(),
        };
        files.check_distinct(models)?;
        for file in [files.per_user, files.html].into_iter().flatten() {
            check_file(file).map_err(|e| cannot_write(file, e))?;
        }
        if let Some(folder) = files.trec {
            check_folder(folder).map_err(|e| cannot_write(folder, e))?;
        }
        Ok(files)
    }

    /// Writes all of them, whatever becomes of one; returns the first failure.
    pub(crate) fn write(&self, evaluated: &Evaluated, data: &Dataset) -> anyhow::Result<()> {
        let names = eval::Names {
            user: &|user| data.users.ids().name(user.0).to_owned(),
            item: &|item| data.items.ids().name(item.0).to_owned(),
        };
        let runs: Vec<(&str, &eval::Run)> =
            evaluated.runs.iter().map(|(name, run)| (name.as_str(), run)).collect();
        let written = [
            self.per_user.map(|path| Ok(eval::write_per_user(path, &runs, &names)?)),
            self.trec.map(|folder| write_trec(folder, &runs, evaluated, &names)),
            self.html.map(|path| Ok(eval::write_html(path, &evaluated.report)?)),
        ];
        let mut failures = written.into_iter().flatten().filter_map(Result::err);
        let first = failures.next().map_or(Ok(()), Err);
        failures.for_each(|other| output::complain(&other));
        first
    }

    fn check_distinct(&self, models: &[String]) -> anyhow::Result<()> {
        let mut all: Vec<(&str, PathBuf)> = Vec::new();
        all.extend(self.per_user.map(|path| (PER_USER, path.to_owned())));
        all.extend(self.html.map(|path| (HTML, path.to_owned())));
        if let Some(folder) = self.trec {
            let runs = models.iter().map(|name| run_file(folder, name));
            let files = [folder.to_owned(), folder.join(QRELS)].into_iter().chain(runs);
            all.extend(files.map(|path| (TREC, path)));
        }
        let places: Vec<PathBuf> = all.iter().map(|(_, path)| place(path)).collect();
        for (i, (flag, path)) in all.iter().enumerate() {
            let earlier = places[..i].iter().position(|place| *place == places[i]);
            if let Some((other, _)) = earlier.map(|at| &all[at]).filter(|_| !is_device(path)) {
                let path = path.display();
                anyhow::bail!(Usage(format!(
                    "{other} and {flag} would both write {path}: give each its own file"
                )));
            }
        }
        Ok(())
    }
}

/// Looks at files that will be written: each must be another one, in a folder that takes it.
pub(crate) fn check_files(files: &[PathBuf]) -> anyhow::Result<()> {
    let places: Vec<PathBuf> = files.iter().map(|file| place(file)).collect();
    for (at, file) in files.iter().enumerate() {
        if places[..at].contains(&places[at]) {
            let file = file.display();
            let text =
                format!("{file} would be written twice: give each of the files its own name");
            anyhow::bail!(Usage(text));
        }
        check_file(file).map_err(|e| cannot_write(file, e))?;
    }
    Ok(())
}

fn write_trec(
    folder: &Path,
    runs: &[(&str, &eval::Run)],
    evaluated: &Evaluated,
    names: &eval::Names<'_>,
) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot write {}", folder.display()))?;
    let test = &evaluated.split.test;
    let cases =
        eval::Cases { users: &test.users, histories: &test.histories, targets: &test.targets };
    eval::write_trec_qrels(&folder.join(QRELS), &cases, names)?;
    for (name, run) in runs {
        eval::write_trec_run(&run_file(folder, name), run, names, name)?;
    }
    Ok(())
}

fn run_file(folder: &Path, model: &str) -> PathBuf {
    folder.join(format!("{model}.run"))
}

/// Returns where a path leads, so that two ways of writing it are told to be one.
fn place(path: &Path) -> PathBuf {
    let of_parent = || {
        let parent = path.parent().filter(|parent| *parent != Path::new(""));
        let parent = fs::canonicalize(parent.unwrap_or(Path::new("."))).ok()?;
        Some(parent.join(path.file_name()?))
    };
    let real = fs::canonicalize(path).ok().or_else(of_parent);
    real.or_else(|| std::path::absolute(path).ok()).unwrap_or_else(|| path.to_owned())
}

/// Tells whether a path is neither a file nor a folder; those are written to as they are, by as many as want.
fn is_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

fn check_file(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if is_device(path) {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    try_to_write(parent.unwrap_or(Path::new(".")))
}

/// A folder that is not there yet is made later; then the nearest one above it counts.
fn check_folder(path: &Path) -> io::Result<()> {
    let there = path.ancestors().find(|folder| folder.exists() && *folder != Path::new(""));
    try_to_write(there.unwrap_or(Path::new(".")))
}

/// Makes a file in a folder and takes it away again; rights alone do not tell whether that can be done.
fn try_to_write(folder: &Path) -> io::Result<()> {
    let probe = folder.join(format!(".tastemaker-probe-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&probe)?;
    fs::remove_file(probe)
}

fn cannot_write(path: &Path, source: io::Error) -> eval::Error {
    eval::Error::Write { path: path.to_owned(), source }
}
