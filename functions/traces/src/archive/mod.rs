//! Days of spans in an object store, kept before retention removes them: OTLP JSON, one request a line, packed with gzip.

mod content;
mod drain;
mod list;
mod writer;

pub use content::handle as content;
pub use drain::handle as drain;
pub use list::handle as list;

nodeai_store::columns! {
    /// Days that are kept, and those that are being written.
    trace_archives {
        id: Uuid, day: Date, status: Text, backend: Text, object_key: Text, spans: Int, size_bytes: Int, sha256: Text,
        created_at: Time, finished_at: Time,
    }
}
