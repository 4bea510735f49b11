//! A process that trains: its last words are kept, and it ends with whoever waits for it.

use std::ffi::OsString;
use std::io::Read as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes of what it says that are kept: the last.
const KEPT: usize = 8 << 10;
/// Time between two looks at whether it is over.
const LOOK: Duration = Duration::from_millis(100);
/// Looks that are spent on its last words once it is over; others may hold its stderr open.
const LAST: usize = 20;

/// A process under way.
pub(super) struct Training {
    child: Child,
    /// It ends when this is closed, even if nothing of this process runs any more.
    _stdin: Option<ChildStdin>,
    said: Arc<Mutex<Vec<u8>>>,
    listener: JoinHandle<()>,
}

impl Training {
    /// Starts it: the program first, then what it is told.
    pub(super) fn start(command: &[OsString]) -> std::io::Result<Self> {
        let (program, args) = command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let said = Arc::<Mutex<Vec<u8>>>::default();
        let (stderr, kept) = (child.stderr.take(), said.clone());
        let listener = std::thread::spawn(move || {
            let Some(mut stderr) = stderr else { return };
            let mut piece = [0; 1024];
            while let Ok(n @ 1..) = stderr.read(&mut piece) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&piece[..n]);
                let old = kept.len().saturating_sub(KEPT);
                kept.drain(..old);
            }
        });
        Ok(Self { _stdin: child.stdin.take(), child, said, listener })
    }

    /// Returns the last that it said.
    pub(super) fn said(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Waits until it is over; `look` is told now and then what it has said.
    pub(super) async fn end(
        &mut self,
        mut look: impl FnMut(String),
    ) -> std::io::Result<ExitStatus> {
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            look(self.said());
            tokio::time::sleep(LOOK).await;
        };
        for _ in 0..LAST {
            if self.listener.is_finished() {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        look(self.said());
        Ok(status)
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        // Does nothing to one that is over.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
