//! How the log looks here: readable lines on a terminal, one JSON object a line otherwise.
//!
//! A line is what a function tells anyway: when, which function, what happened, and the identifiers beside it. Nothing
//! is worked out a second time for it.

use std::fmt::{self, Write as _};
use std::io::{IsTerminal, Write as _};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use shared::config::environment;
use shared::time::{Clock, SystemClock};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// For whom standard output is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Somebody at a terminal.
    People,
    /// A program: one JSON object a line.
    Programs,
}

impl Audience {
    /// People where standard output is a terminal.
    #[must_use]
    pub fn of_stdout() -> Self {
        if std::io::stdout().is_terminal() {
            Self::People
        } else {
            Self::Programs
        }
    }
}

/// What is shown unless `RUST_LOG` says otherwise. The embedded database warns of every condition that does not hold,
/// which is how the store finds out what it wants to know.
pub const SHOWN: &str = "info,dynoxide=error";
/// What is shown where standard output is for something else.
pub const QUIET: &str = "off";

/// Starts logging to standard output, of `usual` if `RUST_LOG` does not say.
pub fn init(audience: Audience, usual: &str) {
    let shown = environment("RUST_LOG").unwrap_or_else(|| usual.to_owned());
    let filter = EnvFilter::try_new(shown).unwrap_or_else(|_| EnvFilter::new(usual));
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    match audience {
        Audience::People => builder.event_format(Lines).init(),
        Audience::Programs => builder.json().flatten_event(true).init(),
    }
}

/// Writes an answer to standard output: for people as it shows itself, for programs as JSON.
///
/// # Errors
/// If standard output is closed.
pub fn say<T: fmt::Display + Serialize>(what: &T, audience: Audience) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match audience {
        Audience::People => writeln!(out, "{what}")?,
        Audience::Programs => writeln!(out, "{}", serde_json::to_string(what)?)?,
    }
    Ok(())
}

/// Lines for people.
#[derive(Debug, Clone, Copy)]
pub struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let paint = Paint(writer.has_ansi_escapes());
        let mut fields = Fields {
            paint,
            ..Fields::default()
        };
        event.record(&mut fields);
        let level = *event.metadata().level();
        writeln!(
            writer,
            "{}  {:<8}  {}{}",
            paint.dim(&time_of_day(SystemClock.now())),
            who(event.metadata().target()),
            paint.by(level, &format!("{:<16}", fields.message)),
            fields.others,
        )
    }
}

/// The function, or the part of `shared`, that speaks; receiver and wallet are nobody's part.
fn who(target: &str) -> &str {
    let mut parts = target.split("::");
    match (parts.next(), parts.next()) {
        (Some("shared"), Some(part)) | (Some("local"), Some(part @ ("receiver" | "wallet"))) => {
            part
        }
        (Some(function), _) => function,
        (None, _) => target,
    }
}

fn time_of_day(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC)
        .strftime("%H:%M:%S%.3fZ")
        .to_string()
}

#[derive(Clone, Copy, Default)]
struct Paint(bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    fn by(self, level: Level, text: &str) -> String {
        match level {
            Level::ERROR => self.with("1;31", text),
            Level::WARN => self.with("33", text),
            Level::INFO | Level::DEBUG | Level::TRACE => self.with("1", text),
        }
    }
}

#[derive(Default)]
struct Fields {
    paint: Paint,
    message: String,
    others: String,
}

impl Fields {
    fn put(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
            return;
        }
        let shown = value.parse().map_or_else(|_| value.to_owned(), time_of_day);
        let name = self.paint.dim(&format!("{}=", field.name()));
        let _infallible = write!(self.others, "  {name}{shown}");
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        // What may be missing is recorded by its `Debug` form.
        match text
            .strip_prefix("Some(")
            .and_then(|text| text.strip_suffix(')'))
        {
            Some(inner) => self.put(field, inner),
            None if text == "None" => {}
            None => self.put(field, &text),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_the_time_the_function_the_message_and_the_fields_that_are_there() {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .event_format(Lines)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(
                target: "deliver::handler",
                tries = 2_u32,
                event.id = "evt_1",
                status = None::<u16>,
                failure = ?Some(shared::delivery::Failure::Refused),
                gone = ?None::<u8>,
                next = Some("2026-01-02T03:04:05.678Z"),
                "delivery tried"
            );
        });
        let bytes = buffer
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let line = String::from_utf8(bytes).expect("text");
        let (time, rest) = line.split_once("  ").expect("two columns");
        assert_eq!(time.len(), "03:04:05.678Z".len());
        let want = "deliver   delivery tried    tries=2  event.id=evt_1  failure=Refused  next=03:04:05.678Z\n";
        assert_eq!(rest, want);
    }

    #[test]
    fn the_speaker_is_the_function_or_the_part() {
        let cases = [
            ("ingest::handler", "ingest"),
            ("shared::queue::batch", "queue"),
            ("local::receiver", "receiver"),
            ("local::wallet", "wallet"),
            ("local::pump", "local"),
            ("hyper", "hyper"),
        ];
        for (target, want) in cases {
            assert_eq!(who(target), want);
        }
    }
}
