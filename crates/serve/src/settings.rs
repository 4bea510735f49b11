//! What can be chosen about a server.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Certificate, TraceSettings};

/// Settings of a server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The model of the default tenant, where none of `models` is active.
    pub model: Option<PathBuf>,
    /// A folder with a folder for each tenant, in which the tenant's models lie.
    pub models: Option<PathBuf>,
    /// Lets everybody in who has no key, as long as there are no keys.
    pub open: bool,
    /// Who has no key must call the server by a name of this machine: a page whose name leads here is not let in.
    pub local: bool,
    /// Makes connections secret.
    pub tls: Option<Certificate>,
    /// Answers that are computed at the same time.
    pub workers: usize,
    /// Answers that wait for their turn; more are turned away.
    pub queue: usize,
    /// Requests of a key within a second; 0 = any number.
    pub rate: u32,
    /// Longest body, in bytes.
    pub body: usize,
    /// Longest time for the head of a request, also of the first one of a connection.
    pub head: Duration,
    /// Longest time for a request.
    pub timeout: Duration,
    /// Open connections.
    pub connections: usize,
    /// Bytes of what the users of a tenant did that are kept in memory.
    pub histories: usize,
    /// Bytes of lists that are kept, so that they need not be made again; 0 = none.
    pub cache: usize,
    /// Longest time for which a list is kept; what changes a list ends it at once.
    pub cached_for: Duration,
    /// Days for which lists that were shown can be explained; 0 = for ever.
    pub keep_days: u32,
    /// Days for which it is known who changed what; 0 = for ever.
    pub audit_days: u32,
    /// Time for which it is known what is popular; counting takes a while where there are many events.
    pub popular: Duration,
    /// Time between two looks at what the server did, 720 of which are kept.
    pub sample: Duration,
    /// Tells a collector how requests went.
    pub traces: Option<TraceSettings>,
    /// The program that trains models anew and what it is told first; paths of the models and of what was heard follow. Empty = none.
    pub trainer: Vec<OsString>,
    /// New events after which a model is trained anew by itself; 0 = never.
    pub retrain_events: u64,
    /// Hours after which it is, if there was an event; 0 = never.
    pub retrain_hours: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: None,
            models: None,
            open: false,
            local: false,
            tls: None,
            workers: std::thread::available_parallelism().map_or(2, usize::from),
            queue: 256,
            rate: 0,
            body: 8 << 20,
            head: Duration::from_secs(15),
            timeout: Duration::from_secs(30),
            connections: 16_384,
            histories: 64 << 20,
            cache: 64 << 20,
            cached_for: Duration::from_secs(60),
            keep_days: 30,
            audit_days: 0,
            popular: Duration::from_secs(2),
            sample: Duration::from_secs(5),
            traces: None,
            trainer: Vec::new(),
            retrain_events: 0,
            retrain_hours: 0.0,
        }
    }
}
