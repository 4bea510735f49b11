//! How much memory the process has held at most, where the system tells.

/// Forgets the peak, so that the next reading is of what follows. Does nothing where the system cannot.
pub(crate) fn reset_peak() {
    // Linux: writing 5 resets the high-water mark; failing to is harmless, the peak then covers more.
    let _ignored = std::fs::write("/proc/self/clear_refs", "5");
}

/// Returns the peak resident memory in bytes; 0 where the system does not tell.
pub(crate) fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes =
        line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
