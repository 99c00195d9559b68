//! Facts about this process from the operating system.

use anyhow::{Context, Result};

/// A line of `/proc/self/status`, bytes: `VmRSS` is the memory of this process, `VmHWM` what it was at most.
///
/// # Errors
/// If the system has no such file or line.
pub(crate) fn resident(what: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("/proc is not there")?;
    status
        .lines()
        .find_map(|line| line.strip_prefix(what)?.strip_prefix(':'))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok())
        .map(|kib| kib << 10)
        .with_context(|| format!("/proc/self/status: no {what}"))
}
