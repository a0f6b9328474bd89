//! Server-sent events, decoded as the bytes come
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>).

/// Longest event, bytes.
const LONGEST_EVENT: usize = 8 * 1024 * 1024;

/// A stream that is none, or that no reader has to bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An event that does not end.
    #[error("an event of more than 8 MiB")]
    TooLong,
    /// Bytes that are no text.
    #[error("a stream that is not UTF-8")]
    NotText,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerEvent {
    /// The `event` field; empty for an unnamed event.
    pub event: String,
    /// The `data` lines, joined by line feeds.
    pub data: String,
}

/// An incremental decoder. Events may be cut anywhere between chunks.
#[derive(Debug, Default)]
pub struct SseDecoder {
    line: Vec<u8>,
    event: String,
    data: String,
    has_data: bool,
    after_cr: bool,
    started: bool,
}

impl SseDecoder {
    /// An empty decoder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes and gives the events that they complete.
    ///
    /// # Errors
    /// When one event grows past 8 MiB or is not UTF-8.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<ServerEvent>, Error> {
        let mut events = Vec::new();
        for &byte in bytes {
            let after_cr = std::mem::take(&mut self.after_cr);
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    events.extend(self.end_line()?);
                }
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.len() > LONGEST_EVENT {
                return Err(Error::TooLong);
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Result<Option<ServerEvent>, Error> {
        let line = std::mem::take(&mut self.line);
        let line = std::str::from_utf8(&line).map_err(|_| Error::NotText)?;
        let line = if self.started {
            line
        } else {
            line.trim_start_matches('\u{feff}')
        };
        self.started = true;
        if line.is_empty() {
            return Ok(self.end_event());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.has_data = true;
                self.data.push_str(value);
            }
            _ => {}
        }
        Ok(None)
    }

    fn end_event(&mut self) -> Option<ServerEvent> {
        let event = std::mem::take(&mut self.event);
        let data = std::mem::take(&mut self.data);
        std::mem::take(&mut self.has_data).then_some(ServerEvent { event, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "\u{feff}: hello\r\n\r\nevent: a\r\ndata: 1\r\ndata:2\r\n\r\ndata\n\ndata: \u{e9}\r\r";

    fn expected() -> Vec<ServerEvent> {
        let event = |event: &str, data: &str| ServerEvent {
            event: event.into(),
            data: data.into(),
        };
        vec![event("a", "1\n2"), event("", ""), event("", "é")]
    }

    #[test]
    fn decodes_the_same_however_it_is_cut() {
        for size in 1..TEXT.len() {
            let mut decoder = SseDecoder::new();
            let chunks = TEXT.as_bytes().chunks(size);
            let events: Vec<_> = chunks
                .flat_map(|c| decoder.push(c).expect("valid"))
                .collect();
            assert_eq!(events, expected(), "chunks of {size}");
        }
    }

    #[test]
    fn refuses_an_endless_event() {
        let mut decoder = SseDecoder::new();
        assert!(decoder.push(&vec![b'x'; LONGEST_EVENT + 1]).is_err());
    }
}
