//! On what was measured, and how much memory a process holds.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::Error;

/// What a figure depends on besides the program.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Cores this process may use.
    pub cores: usize,
    /// The processor's name.
    pub processor: String,
    /// The source the working directory stands at; `-dirty` if it was changed since.
    pub commit: String,
    /// The folder and name of the server's program, which tell a release build from a debug one.
    pub program: String,
    /// Its size in bytes.
    pub program_bytes: u64,
}

impl Machine {
    /// Looks around.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if the program is not there.
    pub fn look(program: &Path) -> Result<Self, Error> {
        let cores = std::thread::available_parallelism().map_err(|e| Error::File("the cores cannot be counted", e))?;
        let file = fs::metadata(program).map_err(|e| Error::File("the server's program cannot be found", e))?;
        let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let folder = program.parent().and_then(Path::file_name).unwrap_or_default();
        let name = program.file_name().unwrap_or_default();
        Ok(Self {
            cores: cores.get(),
            processor: value(&processor, "model name").unwrap_or("unknown").to_owned(),
            commit: commit().unwrap_or_else(|| "unknown".to_owned()),
            program: Path::new(folder).join(name).display().to_string(),
            program_bytes: file.len(),
        })
    }
}

fn commit() -> Option<String> {
    let output = Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|commit| output.status.success() && !commit.is_empty())
}

/// Resident memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Memory {
    /// Now, in MB (10⁶ bytes).
    pub resident_mb: f64,
    /// The most it ever was, in MB.
    pub peak_mb: f64,
}

impl Memory {
    /// Asks the kernel (`VmRSS` and `VmHWM`).
    ///
    /// # Errors
    ///
    /// [`Error::File`] if there is no such process any more.
    pub fn of(process: u32) -> Result<Self, Error> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))
            .map_err(|e| Error::File("the server's memory cannot be read", e))?;
        Self::read(&status).ok_or(Error::Lacks("the kernel's question for memory".to_owned(), "VmRSS or VmHWM"))
    }

    /// Has the kernel count this process's peak from now on.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if the kernel does not let it.
    pub fn forget_peak() -> Result<(), Error> {
        fs::write("/proc/self/clear_refs", "5").map_err(|e| Error::File("the peak of memory cannot be reset", e))
    }

    fn read(status: &str) -> Option<Self> {
        let megabytes = |name| {
            let kibibytes: u32 = value(status, name)?.strip_suffix(" kB")?.parse().ok()?;
            Some(f64::from(kibibytes) * 1024.0 / 1e6)
        };
        Some(Self { resident_mb: megabytes("VmRSS")?, peak_mb: megabytes("VmHWM")? })
    }
}

/// The value of the first line `name: value`.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_counts_in_kibibytes() {
        let memory = Memory::read("Name:\tallegiant\nVmHWM:\t   58000 kB\nVmRSS:\t   50000 kB\n");
        assert_eq!(memory, Some(Memory { resident_mb: 51.2, peak_mb: 59.392 }));
        assert_eq!(Memory::read("Name:\tallegiant\nState:\tZ (zombie)\n"), None);
    }

    #[test]
    fn a_living_process_has_memory() {
        let memory = Memory::of(std::process::id()).unwrap();
        assert!(memory.resident_mb > 0.5 && memory.resident_mb <= memory.peak_mb, "{memory:?}");
    }
}
