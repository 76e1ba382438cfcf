//! The copy of the checkpoints in a file: a line of JSON each, only ever added to.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::Checkpoint;
use crate::{SigningKey, Store, StoreError};

/// Longer than any line.
const LINE: u64 = 4_096;
/// Checkpoints copied at once.
const BATCH: u32 = 500;

/// A file that checkpoints are added to. Several processes may share it.
#[derive(Debug, Clone)]
pub struct CheckpointFile {
    path: PathBuf,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read or written.
    #[error("the file cannot be read or written")]
    Io(#[from] io::Error),
    /// The database cannot be read.
    #[error("the database's checkpoints cannot be read")]
    Store(#[from] StoreError),
    /// Its last line is no checkpoint.
    #[error("the last line is no checkpoint")]
    Unreadable,
    /// It belongs to another store.
    #[error("the file holds checkpoints of store {0}")]
    OtherStore(Uuid),
    /// It holds a later checkpoint than the database.
    #[error("the file has a checkpoint of epoch {epoch} at position {position}, which the database has not")]
    Ahead {
        /// The epoch of its last checkpoint.
        epoch: u32,
        /// The position.
        position: u64,
    },
    /// It and the database say different things of one position.
    #[error("the file and the database have different checkpoints at position {0}")]
    Differs(u64),
    /// The database has a checkpoint that nobody with our key signed.
    #[error("the database's checkpoint at position {0} is not what was signed")]
    NotSigned(u64),
}

impl FileError {
    /// Whether the file or the database says something false, as opposed to a failure.
    #[must_use]
    pub const fn is_contradiction(&self) -> bool {
        match self {
            Self::Unreadable | Self::OtherStore(_) | Self::Ahead { .. } | Self::Differs(_) | Self::NotSigned(_) => true,
            Self::Io(_) | Self::Store(_) => false,
        }
    }
}

impl CheckpointFile {
    /// The file at this path, which need not be there yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its last checkpoint, if it has one.
    ///
    /// # Errors
    ///
    /// [`FileError::Io`] or [`FileError::Unreadable`].
    pub fn last(&self) -> Result<Option<Checkpoint>, FileError> {
        match File::open(&self.path) {
            Ok(mut file) => Ok(last(&mut file)?.0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds what the database has and the file has not, and waits until it is on the disk.
    ///
    /// # Errors
    ///
    /// [`FileError`]; if the file contradicts the database nothing is added.
    pub async fn catch_up(&self, store: &Store, key: &SigningKey) -> Result<(), FileError> {
        let mut after = match self.last()? {
            Some(last) => agrees(store, &last).await?,
            None => (0, 0),
        };
        loop {
            let mut batch = Vec::new();
            for (position, checkpoint) in store.checkpoints(after, BATCH).await? {
                let checkpoint = checkpoint.ok_or(FileError::NotSigned(position))?;
                // An older key of ours signed the older ones; nobody can tell here, and whoever verifies will ask.
                let by = checkpoint.public_key.clone();
                if by == key.public_key() && !checkpoint.is_by(&[by]) {
                    return Err(FileError::NotSigned(position));
                }
                after = checkpoint.place();
                batch.push(checkpoint);
            }
            if batch.is_empty() {
                return Ok(());
            }
            let file = self.clone();
            // The disk may take its time, and this thread has other things to do.
            tokio::task::spawn_blocking(move || file.add(&batch)).await.map_err(io::Error::other)??;
        }
    }

    /// Adds those that come after its last, under a lock.
    fn add(&self, batch: &[Checkpoint]) -> Result<(), FileError> {
        let is_new = !self.path.exists();
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(&self.path)?;
        file.lock()?;
        let (last, torn) = last(&mut file)?;
        let place = last.map_or((0, 0), |last| last.place());
        let mut text = Vec::new();
        if torn {
            // A crash cut the line before off: it is ended, so that it spoils no other.
            text.push(b'\n');
        }
        for checkpoint in batch.iter().filter(|checkpoint| place < checkpoint.place()) {
            serde_json::to_writer(&mut text, checkpoint).map_err(io::Error::from)?;
            text.push(b'\n');
        }
        file.write_all(&text)?;
        file.sync_data()?;
        if let Some(directory) = self.path.parent().filter(|directory| is_new && !directory.as_os_str().is_empty()) {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }
}

/// The last whole line, and whether something without an end follows it.
fn last(file: &mut File) -> Result<(Option<Checkpoint>, bool), FileError> {
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(2 * LINE)))?;
    let mut tail = Vec::new();
    file.take(2 * LINE).read_to_end(&mut tail)?;
    let torn = tail.last().is_some_and(|byte| *byte != b'\n');
    let mut lines = tail.split(|byte| *byte == b'\n').rev();
    if torn {
        lines.next();
    }
    // A line that was torn and then ended is passed over.
    let mut lines = lines.filter(|line| !line.is_empty()).take(2).peekable();
    if lines.peek().is_none() {
        return Ok((None, torn));
    }
    match lines.find_map(|line| serde_json::from_slice(line).ok()) {
        Some(checkpoint) => Ok((Some(checkpoint), torn)),
        None => Err(FileError::Unreadable),
    }
}

/// The place of the file's last checkpoint, if the database has the same one.
async fn agrees(store: &Store, last: &Checkpoint) -> Result<(u32, u64), FileError> {
    let Checkpoint { statement, .. } = last;
    if statement.store_id != store.store_id() {
        return Err(FileError::OtherStore(statement.store_id));
    }
    let (epoch, position) = last.place();
    if epoch < store.epoch() {
        // What was signed in a life that has ended may be lost to this one, which is why it has ended.
        return Ok((epoch, position));
    }
    match store.checkpoints((epoch, position - 1), 1).await?.first() {
        Some((at, Some(ours))) if *at == position && ours == last => Ok((epoch, position)),
        Some((at, _)) if *at == position => Err(FileError::Differs(position)),
        Some(_) | None => Err(FileError::Ahead { epoch, position }),
    }
}
