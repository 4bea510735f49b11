//! How much memory the process has held at most, where the system tells.

/// Forgets the peak, so that the next reading is of what follows. Does nothing where the system cannot.
pub(crate) fn reset_peak() {
    // Linux: writing 5 resets the high-water mark; failing to is harmless, the peak then covers more.
    let _ignored = std::fs::write("/proc/self/clear_refs", "5");
}

/// Returns the peak resident memory in bytes; 0 where the system does not tell.
pub(crate) fn peak_bytes() -> u64 {
    read("/proc/self/status", "VmHWM:")
}

/// Returns the resident memory in bytes; 0 where the system does not tell.
pub(crate) fn resident_bytes() -> u64 {
    read("/proc/self/status", "VmRSS:")
}

/// Returns the bytes that can be taken without swapping; 0 where the system does not tell.
pub(crate) fn available_bytes() -> u64 {
    read("/proc/meminfo", "MemAvailable:")
}

fn read(path: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes =
        line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
