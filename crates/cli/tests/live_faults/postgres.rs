//! A Postgres that lives as long as a test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A cluster of its own, on loopback.
pub(crate) struct Postgres {
    pub(crate) url: String,
    bin: PathBuf,
    dir: tempfile::TempDir,
}

/// Finds Debian's newest version.
fn bin() -> PathBuf {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").expect("Debian's `postgresql` is needed");
    let bins = versions.map(|version| version.unwrap().path().join("bin"));
    let found = bins.filter(|bin| bin.join("initdb").exists()).max();
    found.expect("Debian's `postgresql` is needed")
}

/// Runs one of its programs; it refuses to work as root.
fn run(program: &Path, args: &[&str]) {
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let mut command = if is_root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    // What it starts in the background keeps these open.
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.current_dir("/").status().unwrap();
    assert!(status.success(), "{} {args:?}: {status}", program.display());
}

impl Postgres {
    pub(crate) fn start() -> Self {
        let (bin, dir) = (bin(), tempfile::tempdir().unwrap());
        // Only root has to give it away, and only root can.
        Command::new("chown")
            .arg("postgres")
            .arg(dir.path())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let postgres =
            Self { url: format!("postgres://tastemaker@127.0.0.1:{port}/postgres"), bin, dir };
        let data = postgres.data();
        run(&postgres.bin.join("initdb"), &["-D", &data, "-A", "trust", "-U", "tastemaker"]);
        let sockets = postgres.dir.path().display();
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='{sockets}'"
        );
        run(&postgres.bin.join("pg_ctl"), &["-D", &data, "-w", "-o", &options, "start"]);
        postgres
    }

    fn data(&self) -> String {
        self.dir.path().join("data").to_str().unwrap().to_owned()
    }

    /// Ends it as a crash would, and starts it again.
    pub(crate) fn restart(&self) {
        let data = self.data();
        run(&self.bin.join("pg_ctl"), &["-D", &data, "-w", "-m", "immediate", "restart"]);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        run(&self.bin.join("pg_ctl"), &["-D", &self.data(), "-w", "-m", "immediate", "stop"]);
    }
}
