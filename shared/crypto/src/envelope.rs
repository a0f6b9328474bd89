//! One value in its envelope.

use zeroize::Zeroizing;

use crate::aead::{NONCE_LEN, open_raw, seal_raw};
use crate::{MasterKeys, OpenError};

/// Random bytes that sealing takes: data key, its value's nonce, the wrapping's nonce.
pub const RANDOM_LEN: usize = 32 + 2 * NONCE_LEN;

/// Where a value belongs. What was sealed for one place opens at no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// What kind of thing, such as `secret`.
    pub kind: &'a str,
    /// The tenant.
    pub org_id: &'a str,
    /// The record.
    pub id: &'a str,
    /// The record's version.
    pub version: &'a str,
}

/// A sealed value, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which master key wraps the data key.
    pub key_version: u32,
    /// Nonce, wrapped data key, tag.
    pub wrapped_key: Vec<u8>,
    /// The value's nonce.
    pub nonce: Vec<u8>,
    /// The value's ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

impl Place<'_> {
    /// Unambiguous: each part goes in with its length before it.
    fn aad(&self, key_version: Option<u32>) -> Vec<u8> {
        let mut aad = b"nodeai.envelope.v1".to_vec();
        for part in [self.kind, self.org_id, self.id, self.version] {
            aad.extend((part.len() as u64).to_be_bytes());
            aad.extend(part.as_bytes());
        }
        // The data key's wrapping names the master key too; the value itself must survive a change of it.
        aad.extend(key_version.map(u32::to_be_bytes).into_iter().flatten());
        aad
    }
}

impl MasterKeys {
    /// Seals `value` for `place` under the newest master key. `random` comes from a cryptographic source and is used
    /// for nothing else.
    ///
    /// Errors: only for values beyond GCM's limit.
    pub fn seal(
        &self,
        place: Place<'_>,
        value: &[u8],
        random: &Zeroizing<[u8; RANDOM_LEN]>,
    ) -> Result<Sealed, OpenError> {
        let (data_key, nonces) = split(random);
        let (nonce, wrap_nonce) = nonces;
        Ok(Sealed {
            key_version: self.current(),
            wrapped_key: self.wrap(place, &data_key, &wrap_nonce)?,
            nonce: nonce.to_vec(),
            ciphertext: seal_raw(&data_key, &nonce, &place.aad(None), value)?,
        })
    }

    /// The value. Errors: [`OpenError`].
    pub fn open(&self, place: Place<'_>, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let data_key = self.unwrap(place, sealed)?;
        let aad = place.aad(None);
        open_raw(&data_key, &sealed.nonce, &aad, &sealed.ciphertext).map(Zeroizing::new)
    }

    /// The same value wrapped by the newest master key: key version and wrapped key. The ciphertext stays, so nothing
    /// that reads at the same time can see a half.
    ///
    /// Errors: [`OpenError`].
    pub fn rewrap(
        &self,
        place: Place<'_>,
        sealed: &Sealed,
        wrap_nonce: &[u8; NONCE_LEN],
    ) -> Result<(u32, Vec<u8>), OpenError> {
        let data_key = self.unwrap(place, sealed)?;
        Ok((self.current(), self.wrap(place, &data_key, wrap_nonce)?))
    }

    fn wrap(
        &self,
        place: Place<'_>,
        data_key: &[u8; 32],
        nonce: &[u8; NONCE_LEN],
    ) -> Result<Vec<u8>, OpenError> {
        let aad = place.aad(Some(self.current()));
        let mut wrapped = nonce.to_vec();
        wrapped.extend(seal_raw(self.newest(), nonce, &aad, data_key)?);
        Ok(wrapped)
    }

    fn unwrap(&self, place: Place<'_>, sealed: &Sealed) -> Result<Zeroizing<[u8; 32]>, OpenError> {
        let version = sealed.key_version;
        let master = self.of(version).ok_or(OpenError::KeyMissing(version))?;
        if sealed.wrapped_key.len() < NONCE_LEN {
            return Err(OpenError::Refused);
        }
        let (nonce, wrapped) = sealed.wrapped_key.split_at(NONCE_LEN);
        let key = Zeroizing::new(open_raw(master, nonce, &place.aad(Some(version)), wrapped)?);
        let key: [u8; 32] = key[..].try_into().map_err(|_| OpenError::Refused)?;
        Ok(Zeroizing::new(key))
    }
}

type Nonces = ([u8; NONCE_LEN], [u8; NONCE_LEN]);

fn split(random: &[u8; RANDOM_LEN]) -> (Zeroizing<[u8; 32]>, Nonces) {
    let mut key = Zeroizing::new([0; 32]);
    let (mut nonce, mut wrap_nonce) = ([0; NONCE_LEN], [0; NONCE_LEN]);
    key.copy_from_slice(&random[..32]);
    nonce.copy_from_slice(&random[32..32 + NONCE_LEN]);
    wrap_nonce.copy_from_slice(&random[32 + NONCE_LEN..]);
    (key, (nonce, wrap_nonce))
}
