//! A server of the same program, for as long as it is measured.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};

/// A server that ends when this goes.
pub(super) struct Server {
    child: Child,
    /// Host and port.
    pub(super) address: String,
    /// Holds its store.
    folder: std::path::PathBuf,
}

impl Server {
    /// Starts one on a free port of this machine, with an empty store.
    pub(super) fn start(model: &Path, cache_mb: u32) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find the program itself")?;
        let folder = std::env::temp_dir().join(format!("tastemaker-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        let mut child = Command::new(program)
            .args(["serve", "--offline", "--addr", "127.0.0.1:0", "--model"])
            .arg(model)
            .arg("--store")
            .arg(folder.join("store.db"))
            .args(["--cache-mb", &cache_mb.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start the server")?;
        let mut lines = BufReader::new(child.stderr.take().context("the server says nothing")?);
        let mut server = Self { child, address: String::new(), folder };
        let mut said = String::new();
        while server.address.is_empty() {
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 {
                bail!("the server did not start: {}", said.trim());
            }
            said.push_str(&line);
            if let Some((_, rest)) = line.split_once("http://") {
                rest.split_whitespace().next().unwrap_or_default().clone_into(&mut server.address);
            }
        }
        // What it says later must not fill the pipe.
        std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        Ok(server)
    }

    /// Returns the memory it holds, in MB, where the system tells.
    pub(super) fn memory(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kilobytes / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its store is thrown away: nothing is lost by a sudden end.
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}
