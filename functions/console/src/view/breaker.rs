//! How the breaker of an endpoint stands, as it is told.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use shared::delivery::{Breaker, OpenedBy};

use crate::openapi::schema;

/// Whether an endpoint is tried at all.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "state": "open",
    "since": "2026-11-22T09:00:00.000Z",
    "opened_by": "failures",
    "failures": 12,
    "next_probe_at": "2026-11-22T09:04:00.000Z",
}))]
pub(crate) struct BreakerView {
    /// `closed`: deliveries are tried. `open`: they are held. `probing`: they are held, but for one that is tried at this
    /// moment. `releasing`: they are tried, and those that were held are let go little by little.
    #[schema(schema_with = schema::breaker_state)]
    state: &'static str,
    /// Since when deliveries are held, or let go; `null` where it is closed.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(serialize_with = "super::millis_or_none")]
    since: Option<Timestamp>,
    /// Who opened it: its `failures`, or the `operator`, who alone closes it then; `null` where it is not open.
    #[schema(schema_with = schema::opened_by)]
    opened_by: Option<OpenedBy>,
    /// Failures in a row up to now. Of one that is closed, it may lag some seconds behind.
    failures: u32,
    /// From when on the next delivery is tried, to see whether the endpoint is back; `null` where none will be by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(serialize_with = "super::millis_or_none")]
    next_probe_at: Option<Timestamp>,
}

impl From<&Breaker> for BreakerView {
    fn from(breaker: &Breaker) -> Self {
        Self {
            state: breaker.as_str(),
            since: breaker.since(),
            opened_by: breaker.opened_by(),
            failures: breaker.run(),
            next_probe_at: breaker.next_probe_at(),
        }
    }
}
