//! Secrets: redacted while in memory, sealed while at rest.
//!
//! A sealed secret is AES-256-GCM under a key of the [`Keyring`]; the envelope names its version, the key and
//! the nonce, and is bound to the tenant and the item it belongs to, so that it opens nowhere else.
//! Several keys may open and the first one seals: rotation is putting a new key in front.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::{BASE64, HEXLOWER};

use crate::entropy::Entropy;

/// A secret text. Its `Debug` form does not show it; only [`Secret::expose`] does.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(value: impl Into<Box<str>>) -> Self {
        Self(value.into())
    }

    /// The secret itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The SHA-256 of an API key in lower-case hex: all that we keep of it.
#[must_use]
pub fn key_hash(key: &Secret) -> String {
    HEXLOWER.encode(digest(&SHA256, key.expose().as_bytes()).as_ref())
}

/// What a sealed secret is bound to: it opens only for the same tenant and the same item.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The tenant whose secret it is; empty for the operator's.
    pub tenant: &'a str,
    /// The key of the item that holds it.
    pub item: &'a str,
}

impl Context<'_> {
    fn aad(&self) -> Aad<Vec<u8>> {
        let mut bytes = self.tenant.as_bytes().to_vec();
        bytes.push(0);
        bytes.extend_from_slice(self.item.as_bytes());
        Aad::from(bytes)
    }
}

/// A secret at rest: an opaque envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// The envelope's bytes, to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// An envelope read back; whether it opens, [`Keyring::open`] tells.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// Why an envelope does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The envelope is not of a form that we know.
    #[error("the sealed secret has an unknown form")]
    UnknownForm,
    /// It was sealed with a key that the keyring no longer holds.
    #[error("the sealed secret needs key `{0}`, which is not among the seal keys")]
    UnknownKey(String),
    /// The bytes were changed, or belong to another tenant or item.
    #[error("the sealed secret does not open here")]
    Refused,
}

/// Why a keyring can't be made from its setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// There is no key at all.
    #[error("names no key; write `id:base64-of-32-bytes`")]
    Empty,
    /// An entry is not `id:base64` with 32 bytes and an id of 1 to 32 characters.
    #[error("entry {0} is not `id:base64-of-32-bytes`")]
    Malformed(usize),
}

/// The keys that seal and open secrets.
pub struct Keyring(Vec<(String, LessSafeKey)>);

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(id, _)| id))
            .finish()
    }
}

const VERSION: u8 = 1;

impl Keyring {
    /// Reads `id:base64,id:base64,...`; the first key seals, all of them open.
    ///
    /// # Errors
    /// [`KeyringError`] names the entry that is wrong, by its place from 1.
    pub fn parse(setting: &str) -> Result<Self, KeyringError> {
        let mut keys = Vec::new();
        for (index, entry) in setting
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .enumerate()
        {
            let malformed = || KeyringError::Malformed(index + 1);
            let (id, key) = entry.split_once(':').ok_or_else(malformed)?;
            if id.is_empty() || id.len() > 32 {
                return Err(malformed());
            }
            let key = BASE64.decode(key.as_bytes()).map_err(|_| malformed())?;
            let key = UnboundKey::new(&AES_256_GCM, &key).map_err(|_| malformed())?;
            keys.push((id.to_owned(), LessSafeKey::new(key)));
        }
        if keys.is_empty() {
            Err(KeyringError::Empty)
        } else {
            Ok(Self(keys))
        }
    }

    /// Seals `plain` for `context` under the first key.
    #[must_use]
    pub fn seal(&self, plain: &[u8], context: Context<'_>, entropy: &dyn Entropy) -> Sealed {
        let (id, key) = self
            .0
            .first()
            .expect("a keyring holds at least one key by construction");
        let nonce: [u8; NONCE_LEN] = entropy.bytes();
        let mut envelope = vec![
            VERSION,
            u8::try_from(id.len()).expect("a key id has at most 32 characters"),
        ];
        envelope.extend_from_slice(id.as_bytes());
        envelope.extend_from_slice(&nonce);
        let mut sealed = plain.to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            context.aad(),
            &mut sealed,
        )
        .expect("AES-GCM takes any text of less than 64 GiB");
        envelope.extend_from_slice(&sealed);
        Sealed(envelope)
    }

    /// Opens what [`Keyring::seal`] sealed for the same `context`.
    ///
    /// # Errors
    /// See [`SealError`].
    pub fn open(&self, sealed: &Sealed, context: Context<'_>) -> Result<Vec<u8>, SealError> {
        let unknown = SealError::UnknownForm;
        let (&[version, length], rest) = sealed.0.split_first_chunk().ok_or(unknown.clone())?;
        if version != VERSION {
            return Err(unknown);
        }
        let (id, rest) = rest
            .split_at_checked(usize::from(length))
            .ok_or(unknown.clone())?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>().ok_or(unknown)?;
        let (_, key) = self
            .0
            .iter()
            .find(|(known, _)| known.as_bytes() == id)
            .ok_or_else(|| SealError::UnknownKey(String::from_utf8_lossy(id).into_owned()))?;
        let mut text = text.to_vec();
        let plain = key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                context.aad(),
                &mut text,
            )
            .map_err(|_| SealError::Refused)?;
        Ok(plain.to_vec())
    }

    /// Seals a secret text; see [`Keyring::seal`].
    #[must_use]
    pub fn seal_secret(
        &self,
        secret: &Secret,
        context: Context<'_>,
        entropy: &dyn Entropy,
    ) -> Sealed {
        self.seal(secret.expose().as_bytes(), context, entropy)
    }

    /// Opens a secret text; see [`Keyring::open`].
    ///
    /// # Errors
    /// See [`SealError`]; what opens but is no text is [`SealError::UnknownForm`].
    pub fn open_secret(&self, sealed: &Sealed, context: Context<'_>) -> Result<Secret, SealError> {
        let plain = self.open(sealed, context)?;
        String::from_utf8(plain)
            .map(Secret::new)
            .map_err(|_| SealError::UnknownForm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    const OLD: &str = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const BOTH: &str = "k2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=, k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const HERE: Context<'static> = Context {
        tenant: "acme",
        item: "EP#shop",
    };

    fn keyring(setting: &str) -> Keyring {
        Keyring::parse(setting).expect("a valid setting")
    }

    #[test]
    fn a_secret_opens_only_for_its_tenant_and_its_item_and_unchanged() {
        let entropy = SeededEntropy::new(1);
        let ring = keyring(OLD);
        let sealed = ring.seal_secret(&Secret::new("whsec_x"), HERE, &entropy);
        assert_eq!(ring.open_secret(&sealed, HERE), Ok(Secret::new("whsec_x")));
        let elsewhere = [
            Context {
                tenant: "other",
                ..HERE
            },
            Context {
                item: "EP#shop2",
                ..HERE
            },
            Context {
                tenant: "acme\0EP",
                item: "#shop",
            },
        ];
        for context in elsewhere {
            assert_eq!(
                ring.open(&sealed, context),
                Err(SealError::Refused),
                "{context:?}"
            );
        }
        for index in 4..sealed.as_bytes().len() {
            let mut bytes = sealed.as_bytes().to_vec();
            if let Some(byte) = bytes.get_mut(index) {
                *byte ^= 1;
            }
            assert_eq!(
                ring.open(&Sealed::from_bytes(bytes), HERE),
                Err(SealError::Refused),
                "byte {index}"
            );
        }
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let entropy = SeededEntropy::new(1);
        let old = keyring(OLD).seal(b"x", HERE, &entropy);
        assert_eq!(keyring(BOTH).open(&old, HERE), Ok(b"x".to_vec()));
        let new = keyring(BOTH).seal(b"x", HERE, &entropy);
        assert_eq!(
            keyring(OLD).open(&new, HERE),
            Err(SealError::UnknownKey("k2".into()))
        );
    }

    #[test]
    fn a_malformed_setting_is_refused_by_its_place() {
        assert_eq!(Keyring::parse(" ").err(), Some(KeyringError::Empty));
        assert_eq!(
            Keyring::parse(&format!("{OLD},k2:short")).err(),
            Some(KeyringError::Malformed(2))
        );
        assert_eq!(
            Keyring::parse("nocolon").err(),
            Some(KeyringError::Malformed(1))
        );
    }

    #[test]
    fn neither_secret_nor_keyring_shows_in_debug_output() {
        assert_eq!(format!("{:?}", Secret::new("hush")), "Secret(..)");
        assert_eq!(format!("{:?}", keyring(OLD)), "[\"k1\"]");
    }
}
