//! The list of erasures outside the database: what a restored backup must not bring back.
//!
//! One line of JSON per erasure: store, subject, time, and a MAC with a key derived from the master key, so that nobody
//! who can merely write the file has a subject erased. It holds no personal value. Lines stand for themselves: files of
//! several machines may be put together.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use futures::future::BoxFuture;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use crate::{MasterKey, Store, StoreError};

/// Bytes in a line at most.
const LINE_LIMIT: u64 = 512;
/// Subjects asked for in one statement.
const BATCH: usize = 1_000;

/// A file of erasures.
#[derive(Clone)]
pub struct ErasureList {
    path: Arc<Path>,
    key: [u8; 32],
    store: Uuid,
}

/// The list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ErasureListError {
    /// The file, or the disk under it.
    #[error("the list of erasures cannot be read or written")]
    File(#[from] std::io::Error),
    /// A line that was not written with this master key, or was changed since.
    #[error("line {0} of the list of erasures is damaged, or was not written here")]
    Line(u64),
}

#[derive(Serialize, Deserialize)]
struct Line {
    store: Uuid,
    subject: Uuid,
    at: DateTime<Utc>,
    #[serde(with = "hex::serde")]
    mac: [u8; 32],
}

/// What was done with a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Erasures in the list.
    pub listed: usize,
    /// Subjects whose key the database still had, and has no more.
    pub erased_again: Vec<Uuid>,
    /// Erasures that only the database knew of, as a process leaves them that died between the two.
    pub added: usize,
}

impl ErasureList {
    /// The list of this store in the file, which is made when it is first written.
    #[must_use]
    pub fn new(path: PathBuf, master: &MasterKey, store: Uuid) -> Self {
        Self { path: path.into(), key: master.derive(b"allegiant/erasure-list/v1"), store }
    }

    /// The subjects in the list. A last line that is not whole was never acknowledged and does not count; lines of other
    /// stores do not either.
    ///
    /// # Errors
    ///
    /// [`ErasureListError`] if the file cannot be read or holds a line that is not ours. No file is an empty list.
    pub fn subjects(&self) -> Result<BTreeSet<Uuid>, ErasureListError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(error) => return Err(error.into()),
        };
        file.lock_shared()?;
        let mut reader = BufReader::new(file);
        let mut subjects = BTreeSet::new();
        let mut text = Vec::new();
        for number in 1.. {
            text.clear();
            reader.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut text)?;
            if text.is_empty() {
                break;
            }
            if text.last() != Some(&b'\n') {
                if (text.len() as u64) < LINE_LIMIT {
                    break;
                }
                return Err(ErasureListError::Line(number));
            }
            let line: Line = serde_json::from_slice(&text).map_err(|_| ErasureListError::Line(number))?;
            self.mac(&line).verify_slice(&line.mac).map_err(|_| ErasureListError::Line(number))?;
            if line.store == self.store {
                subjects.insert(line.subject);
            }
        }
        Ok(subjects)
    }

    /// Adds subjects, all at this time. They are on the disk when it returns.
    ///
    /// # Errors
    ///
    /// [`ErasureListError::File`] if they may not be.
    pub fn add(&self, subjects: &[Uuid], at: DateTime<Utc>) -> Result<(), ErasureListError> {
        let is_new = !self.path.exists();
        let mut options = OpenOptions::new();
        options.create(true).read(true).write(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&self.path)?;
        file.lock()?;
        let mut text = Vec::new();
        for subject in subjects {
            let mut line = Line { store: self.store, subject: *subject, at, mac: [0; 32] };
            line.mac = self.mac(&line).finalize().into_bytes().into();
            serde_json::to_writer(&mut text, &line).map_err(std::io::Error::other)?;
            text.push(b'\n');
        }
        let end = end_of_whole_lines(&mut file)?;
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        file.write_all(&text)?;
        file.sync_all()?;
        if is_new && let Some(directory) = self.path.parent() {
            // The file's name is on the disk only when its directory is.
            let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }

    fn mac(&self, line: &Line) -> Hmac<Sha256> {
        let at = line.at.to_rfc3339_opts(SecondsFormat::Nanos, true);
        let text = format!("allegiant-erasure-1\nstore {}\nsubject {}\nat {at}\n", line.store, line.subject);
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of every length");
        mac.update(text.as_bytes());
        mac
    }
}

/// Where the last whole line ends: what a crash left behind it was never acknowledged.
fn end_of_whole_lines(file: &mut File) -> Result<u64, std::io::Error> {
    let length = file.seek(SeekFrom::End(0))?;
    let begin = length.saturating_sub(LINE_LIMIT);
    file.seek(SeekFrom::Start(begin))?;
    let mut tail = Vec::new();
    (&*file).take(LINE_LIMIT).read_to_end(&mut tail)?;
    match tail.iter().rposition(|byte| *byte == b'\n') {
        Some(last) => Ok(begin + last as u64 + 1),
        None if begin == 0 => Ok(0),
        None => Err(std::io::Error::other("the file does not consist of lines")),
    }
}

/// What else an erasure takes with it, in the transaction that destroys the keys of these subjects again.
pub type AlsoErase = for<'c> fn(&'c mut PgConnection, &'c [Uuid]) -> BoxFuture<'c, Result<(), sqlx::Error>>;

impl Store {
    /// Has every erasure from now on written to the list, too, before it is acknowledged. Only the first call counts.
    pub fn keep_erasures(&self, list: ErasureList) {
        _ = self.0.erasures.set(list);
    }

    /// Makes list and database agree: a listed subject whose key the database still has, since a backup brought it back,
    /// is erased again, with its claims and what `also` takes, all or nothing; an erasure that only the database knows of
    /// is added to the list.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails, or the list cannot be read or written.
    pub async fn reconcile_erasures(&self, list: &ErasureList, also: AlsoErase) -> Result<Reconciled, StoreError> {
        let listed = off_the_runtime(list, ErasureList::subjects).await?;
        let mut result = Reconciled { listed: listed.len(), ..Reconciled::default() };
        let all: Vec<Uuid> = listed.iter().copied().collect();
        for subjects in all.chunks(BATCH) {
            let alive: Vec<Uuid> = sqlx::query_scalar(
                "SELECT subject FROM es.subject_keys WHERE subject = ANY ($1) AND wrapped IS NOT NULL",
            )
            .bind(subjects)
            .fetch_all(self.pool())
            .await?;
            result.erased_again.extend(alive);
        }
        if !result.erased_again.is_empty() {
            self.erase_again(&result.erased_again, also).await?;
        }
        let mut after = Uuid::nil();
        loop {
            let rows = sqlx::query(
                "SELECT subject FROM es.subject_keys WHERE wrapped IS NULL AND subject > $1 ORDER BY subject LIMIT $2",
            )
            .bind(after)
            .bind(BATCH as i64)
            .fetch_all(self.pool())
            .await?;
            let known = rows.iter().map(|row| row.try_get("subject")).collect::<Result<Vec<Uuid>, sqlx::Error>>()?;
            let Some(last) = known.last() else { return Ok(result) };
            after = *last;
            let missing: Vec<Uuid> = known.into_iter().filter(|subject| !listed.contains(subject)).collect();
            if !missing.is_empty() {
                result.added += missing.len();
                self.note_erasures(list, missing).await?;
            }
        }
    }

    async fn erase_again(&self, subjects: &[Uuid], also: AlsoErase) -> Result<(), StoreError> {
        let mut transaction = self.pool().begin().await?;
        sqlx::query("SELECT es.destroy_subject_key(subject) FROM unnest($1::uuid[]) subject")
            .bind(subjects)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM es.claims WHERE holder = ANY ($1)").bind(subjects).execute(&mut *transaction).await?;
        also(&mut transaction, subjects).await?;
        transaction.commit().await?;
        for subject in subjects {
            self.0.keys.destroyed(*subject);
        }
        Ok(())
    }

    pub(crate) async fn note_erasures(&self, list: &ErasureList, subjects: Vec<Uuid>) -> Result<(), StoreError> {
        let at = self.clock().now();
        off_the_runtime(list, move |list| list.add(&subjects, at)).await
    }
}

/// Files are read and written where that may take its time.
async fn off_the_runtime<T: Send + 'static>(
    list: &ErasureList,
    work: impl FnOnce(&ErasureList) -> Result<T, ErasureListError> + Send + 'static,
) -> Result<T, StoreError> {
    let list = list.clone();
    tokio::task::spawn_blocking(move || work(&list))
        .await
        .map_err(|_| StoreError::Panicked)?
        .map_err(|error| StoreError::Erasures(Arc::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: MasterKey = MasterKey::from_bytes([1; 32]);
    const STORE: Uuid = Uuid::from_u128(5);
    const AT: DateTime<Utc> = DateTime::UNIX_EPOCH;

    struct Place(PathBuf);

    impl Place {
        fn new() -> Self {
            Self(std::env::temp_dir().join(format!("allegiant-erasures-{}", Uuid::now_v7())))
        }

        fn list(&self) -> ErasureList {
            ErasureList::new(self.0.clone(), &MASTER, STORE)
        }

        fn text(&self) -> String {
            std::fs::read_to_string(&self.0).unwrap()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn what_is_added_is_listed_and_files_may_be_put_together() {
        let (one, other) = (Place::new(), Place::new());
        assert_eq!(one.list().subjects().unwrap(), BTreeSet::new());
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        one.list().add(&[a, b], AT).unwrap();
        other.list().add(&[b, c], AT).unwrap();
        std::fs::write(&one.0, one.text() + &other.text()).unwrap();
        assert_eq!(one.list().subjects().unwrap(), BTreeSet::from([a, b, c]));
        let of_another_store = ErasureList::new(one.0.clone(), &MASTER, Uuid::nil());
        assert_eq!(of_another_store.subjects().unwrap(), BTreeSet::new());
    }

    #[test]
    fn a_line_that_was_planted_or_changed_is_found() {
        let place = Place::new();
        place.list().add(&[Uuid::from_u128(1), Uuid::from_u128(2)], AT).unwrap();
        let good = place.text();
        let forged = ErasureList::new(place.0.clone(), &MasterKey::from_bytes([2; 32]), STORE);
        assert!(matches!(forged.subjects(), Err(ErasureListError::Line(1))));
        for bad in [
            good.replace("000000000002\"", "000000000003\""),
            good.replacen("000000000005\"", "000000000006\"", 3),
            format!("{good}nonsense\n"),
            format!("{good}{}", "x".repeat(2_000)),
        ] {
            std::fs::write(&place.0, &bad).unwrap();
            assert!(matches!(place.list().subjects(), Err(ErasureListError::Line(_))), "{bad}");
        }
    }

    #[test]
    fn a_line_that_a_crash_cut_does_not_count_and_is_written_over() {
        let place = Place::new();
        let [a, b] = [1, 2].map(Uuid::from_u128);
        place.list().add(&[a, b], AT).unwrap();
        let text = place.text();
        std::fs::write(&place.0, &text[..text.len() - 9]).unwrap();
        assert_eq!(place.list().subjects().unwrap(), BTreeSet::from([a]));
        place.list().add(&[b], AT).unwrap();
        assert_eq!(place.text(), text);
    }
}
