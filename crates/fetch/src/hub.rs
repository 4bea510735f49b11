//! Files from a model hub over HTTP, resumed where an earlier try left off.

use std::{
    fs::{self, OpenOptions},
    io,
    path::Path,
    time::Duration,
};

use ureq::{Agent, Body, http::Response};

use crate::{
    AssetFile, Cause, Error,
    error::Failure,
    folder::{Torn, cannot_write, copy, make_parent},
    get::Job,
};

/// Machines without a network find out soon.
const CONNECT: Duration = Duration::from_secs(3);
/// A server that says nothing for so long has gone.
const SILENCE: Duration = Duration::from_secs(30);
/// How often a broken transfer is taken up again.
const RETRIES: usize = 3;

/// Fetches every missing file from `repo`.
pub(crate) fn fetch(repo: &str, job: &Job<'_>) -> Result<(), Failure> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("tastemaker/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
        .build()
        .into();
    let base = job.places.hub.trim_end_matches('/');
    let mut before = 0;
    for file in job.missing {
        let url = format!("{base}/{repo}/resolve/main/{}", file.name);
        fetch_file(&agent, &url, file, job, before)?;
        before += file.bytes;
    }
    Ok(())
}

fn fetch_file(
    agent: &Agent,
    url: &str,
    file: &AssetFile,
    job: &Job<'_>,
    before: u64,
) -> Result<(), Failure> {
    let part = job.folder.part_of(file);
    make_parent(&part)?;
    let mut broken = 0;
    loop {
        let start = length(&part)?;
        match transfer(agent, url, file, (&part, start), |bytes| job.meter.at(before + bytes)) {
            Ok(()) => {}
            Err(Failure::Source(Cause::Connection(_)))
                if broken < RETRIES && length(&part)? > start =>
            {
                broken += 1;
                continue;
            }
            Err(failure) => return Err(failure),
        }
        match job.folder.admit(file, &part) {
            Err(Failure::Source(wrong)) => {
                fs::remove_file(&part).map_err(cannot_write(&part))?;
                // A part kept from another day may have been of another version: begin again, once.
                if start == 0 {
                    return Err(wrong.into());
                }
            }
            admitted => return admitted,
        }
    }
}

/// Adds what is missing to `part`, which already has `start` bytes.
fn transfer(
    agent: &Agent,
    url: &str,
    file: &AssetFile,
    (part, start): (&Path, u64),
    told: impl Fn(u64),
) -> Result<(), Failure> {
    let mut request = agent.get(url).header("accept-encoding", "identity");
    if start > 0 {
        request = request.header("range", format!("bytes={start}-"));
    }
    let response = request.call().map_err(|e| Cause::Connection(e.to_string()))?;
    let start = match response.status().as_u16() {
        200 => 0,
        206 if begins_at(&response, start) => start,
        // Nothing is missing; the checksum will tell.
        416 if start > 0 => return Ok(()),
        status => return Err(Cause::Status { file: file.name, status }.into()),
    };
    let expected = response.body().content_length();
    let room = file.bytes.saturating_sub(start);
    let too_large = || Cause::TooLarge { file: file.name, limit: file.bytes };
    if expected.is_some_and(|length| length > room) {
        return Err(too_large().into());
    }
    let mut out = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(start == 0)
        .append(start > 0)
        .open(part)
        .map_err(cannot_write(part))?;
    let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
    match copy(&mut body, &mut out, room, |bytes| told(start + bytes)) {
        Ok(done) if expected.is_some_and(|length| done < length) => {
            Err(Cause::Connection("the server stopped in the middle".into()).into())
        }
        Ok(_) => Ok(out.sync_all().map_err(cannot_write(part))?),
        Err(Torn::From(e)) => Err(Cause::Connection(e.to_string()).into()),
        Err(Torn::To(e)) => Err(cannot_write(part)(e).into()),
        Err(Torn::TooMuch) => Err(too_large().into()),
    }
}

/// Tells whether a partial answer begins where it was asked to.
fn begins_at(response: &Response<Body>, start: u64) -> bool {
    response
        .headers()
        .get("content-range")
        .and_then(|range| range.to_str().ok())
        .is_some_and(|range| range.starts_with(&format!("bytes {start}-")))
}

fn length(path: &Path) -> Result<u64, Error> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(source) => Err(Error::Read { path: path.to_path_buf(), source }),
    }
}
