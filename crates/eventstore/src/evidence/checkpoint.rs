//! A signed statement about the ledger as it was.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::tree::Hash;
use crate::{PublicKey, Signature, SigningKey};

/// The first line of what is signed: which rules it was made by.
const RULES: &str = "allegiant-checkpoint-1";
const ALGORITHM: &str = "rfc6962-sha-256";
const SIGNATURE_ALGORITHM: &str = "ed25519";

/// What a checkpoint says: this ledger had these events, and no others, up to this position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Which store.
    pub store_id: Uuid,
    /// Which of its lives.
    pub epoch: u32,
    /// The last position; also the size of the tree, since positions begin at 1 and have no gap.
    pub position: u64,
    /// Root of the Merkle tree over the links of the chain.
    pub root_hash: Hash,
    /// The link at the last position.
    pub head_hash: Hash,
    /// When it was signed, in whole milliseconds.
    pub created_at: DateTime<Utc>,
}

impl Statement {
    /// The text that is signed: seven lines, each with its end.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { store_id, epoch, position, root_hash, head_hash, .. } = self;
        let (root, head, created) = (hex::encode(root_hash), hex::encode(head_hash), self.created());
        format!(
            "{RULES}\nstore {store_id}\nepoch {epoch}\nposition {position}\nroot {root}\nhead {head}\ncreated {created}\n"
        )
    }

    /// Signs it.
    #[must_use]
    pub fn sign(self, key: &SigningKey) -> Checkpoint {
        let signature = key.sign(self.text().as_bytes());
        Checkpoint { statement: self, public_key: key.public_key(), signature }
    }

    fn created(&self) -> String {
        self.created_at.to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}

/// A statement and who signed it. As JSON it has the members of `GET /audit/integrity` and, beside them, the store and
/// its epoch, which are signed too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Checkpoint {
    /// What is said.
    pub statement: Statement,
    /// By whom, if the signature is right. Proves nothing unless the key is known from elsewhere.
    pub public_key: PublicKey,
    /// The signature of [`Statement::text`].
    pub signature: Signature,
}

impl Checkpoint {
    /// Whether it was signed by one of these keys.
    #[must_use]
    pub fn is_by(&self, keys: &[PublicKey]) -> bool {
        keys.contains(&self.public_key) && self.public_key.verify(self.statement.text().as_bytes(), &self.signature)
    }

    /// Its place in the history of the store: positions may begin anew, lower, in a later epoch.
    #[must_use]
    pub const fn place(&self) -> (u32, u64) {
        (self.statement.epoch, self.statement.position)
    }

    /// Reads a row of `es.checkpoints`. `None` if it is none: the database does not know what a key is.
    pub(crate) fn from_row(row: &PgRow) -> Result<Option<Self>, sqlx::Error> {
        let hash = |column| row.try_get::<Vec<u8>, _>(column).map(|bytes| bytes.as_slice().try_into().ok());
        let (root, head): (Option<Hash>, Option<Hash>) = (hash("root_hash")?, hash("head_hash")?);
        let key = hash("public_key")?.and_then(|bytes: Hash| PublicKey::from_bytes(&bytes).ok());
        let signature: Option<Signature> = row.try_get::<Vec<u8>, _>("signature")?.as_slice().try_into().ok();
        let (Some(root_hash), Some(head_hash), Some(public_key), Some(signature)) = (root, head, key, signature) else {
            return Ok(None);
        };
        let statement = Statement {
            store_id: row.try_get("store_id")?,
            epoch: row.try_get::<i32, _>("epoch")?.unsigned_abs(),
            position: row.try_get::<i64, _>("position")?.unsigned_abs(),
            root_hash,
            head_hash,
            created_at: row.try_get("created_at")?,
        };
        Ok(Some(Self { statement, public_key, signature }))
    }
}

/// The JSON form.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    store_id: Uuid,
    epoch: u32,
    position: u64,
    tree_size: u64,
    root_hash: String,
    head_hash: String,
    algorithm: String,
    signature: String,
    signature_algorithm: String,
    key_id: String,
    public_key: String,
    created_at: String,
}

impl From<Checkpoint> for Wire {
    fn from(checkpoint: Checkpoint) -> Self {
        let Checkpoint { statement, public_key, signature } = checkpoint;
        Self {
            store_id: statement.store_id,
            epoch: statement.epoch,
            position: statement.position,
            tree_size: statement.position,
            root_hash: hex::encode(statement.root_hash),
            head_hash: hex::encode(statement.head_hash),
            algorithm: ALGORITHM.to_owned(),
            signature: STANDARD.encode(signature),
            signature_algorithm: SIGNATURE_ALGORITHM.to_owned(),
            key_id: public_key.key_id(),
            public_key: public_key.to_base64(),
            created_at: statement.created(),
        }
    }
}

/// The text is no checkpoint of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a checkpoint: {0}")]
pub struct NotACheckpoint(&'static str);

impl TryFrom<Wire> for Checkpoint {
    type Error = NotACheckpoint;

    fn try_from(wire: Wire) -> Result<Self, NotACheckpoint> {
        if wire.algorithm != ALGORITHM || wire.signature_algorithm != SIGNATURE_ALGORITHM {
            return Err(NotACheckpoint("unknown algorithm"));
        }
        if wire.tree_size != wire.position {
            return Err(NotACheckpoint("the tree's size is not the position"));
        }
        let hash = |text: &str| {
            let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
            bytes.ok_or(NotACheckpoint("a hash is not 32 bytes in hexadecimal digits"))
        };
        let signature = STANDARD.decode(&wire.signature).ok().and_then(|bytes| bytes.as_slice().try_into().ok());
        let public_key =
            PublicKey::from_base64(&wire.public_key).map_err(|_| NotACheckpoint("the public key is none"))?;
        if public_key.key_id() != wire.key_id {
            return Err(NotACheckpoint("the key's name is another key's"));
        }
        let statement = Statement {
            store_id: wire.store_id,
            epoch: wire.epoch,
            position: wire.position,
            root_hash: hash(&wire.root_hash)?,
            head_hash: hash(&wire.head_hash)?,
            created_at: DateTime::parse_from_rfc3339(&wire.created_at)
                .map_err(|_| NotACheckpoint("its time is none"))?
                .to_utc(),
        };
        // Otherwise two texts would have one meaning, and one of them would not be what was signed.
        if statement.created() != wire.created_at {
            return Err(NotACheckpoint("its time is not in whole milliseconds of UTC"));
        }
        let signature = signature.ok_or(NotACheckpoint("the signature is not 64 bytes in base64"))?;
        Ok(Self { statement, public_key, signature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let statement = Statement {
            store_id: Uuid::from_u128(7),
            epoch: 2,
            position: 90_000,
            root_hash: [0xab; 32],
            head_hash: [0x01; 32],
            created_at: DateTime::from_timestamp_millis(1_768_901_892_310).unwrap(),
        };
        statement.sign(&SigningKey::from_seed(&[9; 32]))
    }

    #[test]
    fn what_is_signed_is_this_text() {
        let text = "allegiant-checkpoint-1\nstore 00000000-0000-0000-0000-000000000007\nepoch 2\nposition 90000\n\
                    root abababababababababababababababababababababababababababababababab\n\
                    head 0101010101010101010101010101010101010101010101010101010101010101\n\
                    created 2026-01-20T09:38:12.310Z\n";
        assert_eq!(checkpoint().statement.text(), text);
        let key = checkpoint().public_key;
        assert!(key.verify(text.as_bytes(), &checkpoint().signature));
    }

    #[test]
    fn json_holds_all_of_it_and_any_change_shows() {
        let key = SigningKey::from_seed(&[9; 32]).public_key();
        let json = serde_json::to_value(checkpoint()).unwrap();
        assert_eq!(serde_json::from_value::<Checkpoint>(json.clone()).unwrap(), checkpoint());
        assert!(checkpoint().is_by(std::slice::from_ref(&key)));
        assert!(!checkpoint().is_by(&[]));
        for (member, value) in [
            ("storeId", serde_json::json!(Uuid::from_u128(8))),
            ("epoch", 1.into()),
            ("rootHash", "00".repeat(32).into()),
            ("headHash", "00".repeat(32).into()),
            ("createdAt", "2026-01-20T09:38:12.311Z".into()),
        ] {
            let mut changed = json.clone();
            changed[member] = value;
            let changed: Checkpoint = serde_json::from_value(changed).unwrap();
            assert!(!changed.is_by(std::slice::from_ref(&key)), "{member}");
        }
        for (member, value) in [
            ("treeSize", serde_json::json!(1)),
            ("algorithm", "md5".into()),
            ("signatureAlgorithm", "none".into()),
            ("keyId", "0000000000000000".into()),
            ("publicKey", "".into()),
            ("signature", "AA==".into()),
            ("createdAt", "2026-01-20T10:38:12.310+01:00".into()),
        ] {
            let mut changed = json.clone();
            changed[member] = value;
            assert!(serde_json::from_value::<Checkpoint>(changed).is_err(), "{member}");
        }
    }
}
