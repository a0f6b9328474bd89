//! The host's log on stderr: plain lines, or one JSON object a line.
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One object a line, with `time`, `level`, `component` and `message`.
    Json,
}

static SETTINGS: OnceLock<(Format, bool)> = OnceLock::new();

/// Chooses the format once; `quiet` keeps information back, never warnings, errors or what guests write.
pub fn init(format: Format, quiet: bool) {
    let _ = SETTINGS.set((format, quiet));
}

static STOPPING: AtomicBool = AtomicBool::new(false);

/// From now on what ends does so because the host ends, and is not worth a line.
pub fn stopping() {
    STOPPING.store(true, Ordering::Relaxed);
}

/// Whether [`stopping`] was called.
pub fn is_stopping() -> bool {
    STOPPING.load(Ordering::Relaxed)
}

fn settings() -> (Format, bool) {
    SETTINGS.get().copied().unwrap_or_default()
}

/// Something that a person may want to know.
pub fn info(message: &str) {
    if !settings().1 {
        write("info", None, message);
    }
}

/// Something that is not as it should be, and is being coped with.
pub fn warn(message: &str) {
    write("warn", None, message);
}

/// Something that failed.
pub fn error(message: &str) {
    write("error", None, message);
}

/// A line that a component wrote.
pub fn guest(component: &str, message: &str) {
    write("guest", Some(component), message);
}

/// A failure that concerns one component.
pub fn component_error(component: &str, message: &str) {
    write("error", Some(component), message);
}

fn write(level: &str, component: Option<&str>, message: &str) {
    let line = match settings().0 {
        Format::Json => {
            let time = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
            let mut object =
                serde_json::json!({ "time": time, "level": level, "message": message });
            if let Some(component) = component {
                object["component"] = component.into();
            }
            object.to_string()
        }
        Format::Text => match (level, component) {
            ("info", _) => message.to_owned(),
            ("guest", Some(component)) => format!("[{component}] {message}"),
            (level, Some(component)) => format!("{level}: [{component}] {message}"),
            (level, None) => format!("{level}: {message}"),
        },
    };
    // A closed stderr is no reason to fail.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
