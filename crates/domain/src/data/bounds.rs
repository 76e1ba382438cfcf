//! How large a document may become. What a body may hold (depth, keys, characters) is refused where it is read, in `api`.

use std::io;

use serde_json::Value;

/// Bytes of a document's compact serialisation: 1 MiB.
pub const MAX_BYTES: usize = 1 << 20;

/// Whether the compact serialisation of the document is larger than [`MAX_BYTES`]. Counts without building it and stops
/// at the bound.
#[must_use]
pub fn too_large(document: &Value) -> bool {
    serde_json::to_writer(Allowance { left: MAX_BYTES }, document).is_err()
}

struct Allowance {
    left: usize,
}

impl io::Write for Allowance {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or_else(|| io::Error::other("too large"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
