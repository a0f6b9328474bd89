//! SHA-256 (FIPS 180-4) that can be put aside between two requests: the compression function is `sha2`'s, the state and the
//! padding are here, since `sha2` 0.10 does not give its state away.

use sha2::compress256;
use sha2::digest::core_api::Block;

const BLOCK: usize = 64;
/// The initial hash value (FIPS 180-4, section 5.3.3).
const START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// A hash that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sha256 {
    state: [u32; 8],
    /// Bytes so far.
    length: u64,
    /// Fewer than a block.
    rest: Vec<u8>,
}

impl Default for Sha256 {
    fn default() -> Self {
        Self {
            state: START,
            length: 0,
            rest: Vec::with_capacity(BLOCK),
        }
    }
}

impl Sha256 {
    /// Adds bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if !self.rest.is_empty() {
            let missing = (BLOCK - self.rest.len()).min(bytes.len());
            self.rest.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            if self.rest.len() < BLOCK {
                return;
            }
            let block = std::mem::take(&mut self.rest);
            self.compress(&block);
        }
        let whole = bytes.len() - bytes.len() % BLOCK;
        self.compress(&bytes[..whole]);
        self.rest.extend_from_slice(&bytes[whole..]);
    }

    fn compress(&mut self, blocks: &[u8]) {
        let mut block = Block::<sha2::Sha256>::default();
        for bytes in blocks.chunks_exact(BLOCK) {
            block.copy_from_slice(bytes);
            compress256(&mut self.state, std::slice::from_ref(&block));
        }
    }

    /// The hash of all that was added.
    pub fn finish(mut self) -> [u8; 32] {
        let bits = self.length.wrapping_mul(8);
        let mut end = std::mem::take(&mut self.rest);
        end.push(0x80);
        while end.len() % BLOCK != BLOCK - 8 {
            end.push(0);
        }
        end.extend_from_slice(&bits.to_be_bytes());
        self.compress(&end);
        let mut hash = [0; 32];
        for (place, word) in hash.chunks_exact_mut(4).zip(self.state) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        hash
    }

    /// The state as bytes, to be taken up again by [`Sha256::restore`].
    pub fn save(&self) -> Vec<u8> {
        let words = self.state.iter().flat_map(|word| word.to_be_bytes());
        let length = self.length.to_be_bytes();
        words
            .chain(length)
            .chain(self.rest.iter().copied())
            .collect()
    }

    /// A hash as it was saved; `None` for other bytes.
    pub fn restore(saved: &[u8]) -> Option<Self> {
        let (words, rest) = saved.split_at_checked(32)?;
        let (length, rest) = rest.split_at_checked(8)?;
        let mut state = [0; 8];
        for (word, bytes) in state.iter_mut().zip(words.chunks_exact(4)) {
            *word = u32::from_be_bytes(bytes.try_into().ok()?);
        }
        let length = u64::from_be_bytes(length.try_into().ok()?);
        let fits = rest.len() as u64 == length % BLOCK as u64;
        fits.then(|| Self {
            state,
            length,
            rest: rest.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;
    use sha2::Digest;

    #[test]
    fn the_vectors_of_fips_180_4() {
        let cases = [
            (
                "",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            (
                "abc",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
        ];
        for (text, want) in cases {
            let mut hash = Sha256::default();
            hash.update(text.as_bytes());
            assert_eq!(hex(&hash.finish()), want);
        }
    }

    #[test]
    fn a_hash_that_was_put_aside_anywhere_comes_out_the_same() {
        let bytes: Vec<u8> = (0..1000u32).map(|i| (i * 7 % 251) as u8).collect();
        for (a, b) in [
            (0, 1),
            (1, 63),
            (63, 64),
            (64, 65),
            (100, 129),
            (500, 1000),
            (999, 1000),
        ] {
            let mut hash = Sha256::default();
            for piece in [&bytes[..a], &bytes[a..b], &bytes[b..]] {
                hash.update(piece);
                hash = Sha256::restore(&hash.save()).expect("its own state");
            }
            assert_eq!(
                hash.finish()[..],
                sha2::Sha256::digest(&bytes)[..],
                "{a} {b}"
            );
        }
    }

    #[test]
    fn other_bytes_are_no_state() {
        let mut hash = Sha256::default();
        hash.update(b"abc");
        let saved = hash.save();
        assert!(Sha256::restore(&saved[..saved.len() - 1]).is_none());
        assert!(Sha256::restore(b"").is_none());
    }
}
