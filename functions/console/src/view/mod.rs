//! The shapes of the answers, by noun. Secrets are not among them, but for those made on request, in the one answer
//! that tells them.

mod anchors;
mod attempt;
mod breaker;
mod config;
mod endpoint;
mod event;
mod event_type;
mod intent;
mod quarantine;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

pub(crate) use anchors::{AnchorView, ClientView, SigningKeyView};
pub(crate) use breaker::BreakerView;
pub(crate) use config::{AccountView, KeyView, NewKeyView, PublisherView, TenantView};
pub(crate) use endpoint::EndpointView;
pub(crate) use event::{EndpointDeliveryView, EventSummaryView, EventView, ReplayView};
pub(crate) use event_type::EventTypeView;
pub(crate) use intent::{IntentAnswer, IntentSummaryView, IntentView, PullView};
pub(crate) use quarantine::{QuarantinedView, RedrivenView};

/// A time as all answers tell it: RFC 3339, UTC, to the millisecond.
fn millis<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{at:.3}"))
}

/// A time, or `null`.
fn millis_or_none<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => millis(at, serializer),
        None => serializer.serialize_none(),
    }
}

/// A list, or one page of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// What is on it.
    pub(crate) data: Vec<T>,
    /// Where the next page begins; `null` where there is none.
    pub(crate) next_cursor: Option<String>,
}

impl<T> List<T> {
    /// All there is.
    pub(crate) fn whole(data: Vec<T>) -> Self {
        Self {
            data,
            next_cursor: None,
        }
    }
}
