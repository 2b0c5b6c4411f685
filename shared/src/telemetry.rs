//! Logs: one JSON object a line in a function, readable lines on a terminal. Messages can be read alone;
//! identifiers are fields beside them. Payloads and secrets are never logged.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::environment;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// One JSON object a line.
    Json,
    /// For people.
    Lines,
}

/// Starts logging to standard output. `AWS_LAMBDA_LOG_LEVEL`, else `RUST_LOG`, else `info` sets the level.
pub fn init(style: Style) {
    let level = environment("AWS_LAMBDA_LOG_LEVEL")
        .or_else(|| environment("RUST_LOG"))
        .unwrap_or("info".into());
    let filter =
        EnvFilter::try_new(level.to_lowercase()).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::NONE)
        .with_target(false);
    match style {
        // CloudWatch stamps each line itself.
        // There is one span, the invocation's: a list of all spans would say it twice.
        Style::Json => builder
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .without_time()
            .init(),
        Style::Lines => builder.compact().init(),
    }
}
