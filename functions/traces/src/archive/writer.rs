//! Writes what is packed to an object, part by part: no more than one part is in memory.

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use nodeai_files::hash::Sha256;
use nodeai_files::hex;
use nodeai_objects::{Fault, Objects, Progress};
use std::io::Write;
use std::rc::Rc;

/// An object that is being written.
pub struct Writer {
    objects: Rc<dyn Objects>,
    key: String,
    progress: Progress,
    encoder: GzEncoder<Vec<u8>>,
    hash: Sha256,
    size_bytes: u64,
}

/// An object that is there.
pub struct Written {
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
}

impl Writer {
    /// Begins an object; one of that name that is there already is replaced when this one is finished.
    pub fn new(objects: Rc<dyn Objects>, key: &str) -> Self {
        Self {
            objects,
            key: key.to_owned(),
            progress: Progress::default(),
            encoder: GzEncoder::new(Vec::new(), Compression::default()),
            hash: Sha256::default(),
            size_bytes: 0,
        }
    }

    /// Adds text. Errors: the store does not take it.
    pub async fn write(&mut self, text: &[u8]) -> Result<(), Fault> {
        let packed = self.encoder.write_all(text);
        packed.map_err(|error| Fault::Refused(error.to_string()))?;
        let most = self.objects.part_bytes();
        while self.encoder.get_ref().len() > most {
            let rest = self.encoder.get_mut().split_off(most);
            let part = std::mem::replace(self.encoder.get_mut(), rest);
            let part = self.counted(part);
            let stored = self.objects.part(&self.key, &mut self.progress, part);
            stored.await?;
        }
        Ok(())
    }

    /// Makes the object of what was written. Errors: the store does not take it.
    pub async fn finish(mut self) -> Result<Written, Fault> {
        let encoder = std::mem::replace(
            &mut self.encoder,
            GzEncoder::new(Vec::new(), Compression::none()),
        );
        let rest = encoder.finish();
        let rest = rest.map_err(|error| Fault::Refused(error.to_string()))?;
        let last = self.counted(rest);
        let stored = self.objects.finish(&self.key, &mut self.progress, last);
        stored.await?;
        Ok(Written {
            size_bytes: self.size_bytes,
            sha256: hex(&self.hash.finish()),
        })
    }

    fn counted(&mut self, bytes: Vec<u8>) -> Bytes {
        self.hash.update(&bytes);
        self.size_bytes += bytes.len() as u64;
        Bytes::from(bytes)
    }
}
