//! The ZIP archives around office documents, unpacked within bounds: an entry's own claims are never believed.

use crate::{Limits, Refused};
use std::io::{Cursor, Read};
use zip::ZipArchive;
use zip::result::ZipError;

/// Entries below this size may be packed as tightly as they like.
const SMALL: u64 = 1 << 20;

/// An archive that is read.
pub(crate) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    limits: Limits,
    /// Bytes that may still be unpacked.
    room: u64,
}

fn hostile(why: &str) -> Refused {
    Refused::Hostile(why.to_owned())
}

fn fault(error: ZipError) -> Refused {
    match error {
        ZipError::UnsupportedArchive(why) if why.contains("assword") => Refused::Encrypted,
        other => Refused::broken(other),
    }
}

impl<'a> Archive<'a> {
    /// Reads the directory, and refuses what it says openly: too many entries, paths that lead out, sizes beyond the limit.
    pub(crate) fn open(content: &'a [u8], limits: Limits) -> Result<Self, Refused> {
        let mut zip = ZipArchive::new(Cursor::new(content)).map_err(fault)?;
        if zip.len() > limits.entries {
            return Err(hostile("the archive has too many entries"));
        }
        let mut claimed: u64 = 0;
        for i in 0..zip.len() {
            let entry = zip.by_index_raw(i).map_err(fault)?;
            let name = entry.name().map_err(fault)?;
            let goes_up = name.split(['/', '\\']).any(|part| part == "..");
            if goes_up || entry.enclosed_name().is_none() {
                return Err(hostile("an entry's path leads out of the archive"));
            }
            if entry.encrypted() {
                return Err(Refused::Encrypted);
            }
            claimed = claimed.saturating_add(entry.size());
        }
        if claimed > limits.unpacked {
            return Err(hostile("it would unpack to more than is read"));
        }
        Ok(Self {
            zip,
            limits,
            room: limits.unpacked,
        })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(name).is_some()
    }

    /// An entry, unpacked.
    pub(crate) fn read(&mut self, name: &str) -> Result<Vec<u8>, Refused> {
        let index = self.zip.index_for_name(name);
        let index = index.ok_or_else(|| Refused::broken(format!("{name} is missing")))?;
        let mut bytes = Vec::new();
        self.unpack(index, |piece| bytes.extend_from_slice(piece))?;
        Ok(bytes)
    }

    /// Unpacks everything once, to see that it stays within the limits, for parsers that do not look.
    pub(crate) fn check_all(&mut self) -> Result<(), Refused> {
        for i in 0..self.zip.len() {
            self.unpack(i, |_| ())?;
        }
        Ok(())
    }

    fn unpack(&mut self, index: usize, mut take: impl FnMut(&[u8])) -> Result<(), Refused> {
        let mut entry = self.zip.by_index(index).map_err(fault)?;
        let packed = entry.compressed_size().max(1);
        let mut total: u64 = 0;
        let mut piece = [0; 16 << 10];
        loop {
            let n = entry.read(&mut piece).map_err(Refused::broken)?;
            if n == 0 {
                return Ok(());
            }
            total += n as u64;
            self.room = self
                .room
                .checked_sub(n as u64)
                .ok_or_else(|| hostile("it unpacks to more than is read"))?;
            if total > SMALL && total / packed > self.limits.ratio {
                return Err(hostile("it unpacks to far more than it is (a ZIP bomb)"));
            }
            take(&piece[..n]);
        }
    }
}
