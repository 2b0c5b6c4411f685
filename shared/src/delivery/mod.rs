//! Delivery: one event, one endpoint, one round; tried until it is settled.
//!
//! The cast: an [`Endpoint`] says where to and how; [`Vetting`] which addresses may be called; [`request`] makes
//! the exact bytes of a try; an [`Outcome`] is what came of it; a [`Policy`] says how long to wait; a [`Delivery`]
//! keeps the tries and the state; a [`Breaker`] says whether the endpoint is tried at all. All of it is pure: time and chance are arguments, the network is elsewhere.
//!
//! What it promises: every try is signed afresh; a failed try is followed by another after the policy's wait or by
//! an end with its reason; `Retry-After` only lengthens a wait; nothing settled is ever tried again in its round.

pub mod breaker;
mod breaker_policy;
mod cursor;
mod endpoint;
mod held;
#[cfg(test)]
mod laws;
mod outcome;
mod policy;
mod record;
pub mod request;
pub mod target;

pub use breaker::{Breaker, BreakerError, BreakerPolicy, BreakerSettings, OpenedBy};
pub use cursor::{Cursor, Overtaken, Turn};
pub use endpoint::{
    DEADLINE_MOST, Endpoint, EndpointState, Filter, FilterError, LiveSecret, Scheme,
};
pub use outcome::{EXCERPT_MOST, Failure, Outcome, Verdict, parse_retry_after};
pub use policy::{Policy, PolicyError};
pub use record::{
    Cause, Delivery, DeliveryKey, End, Guard, Hold, Holder, SkipReason, State, Terms, Try,
    VISIBILITY_MOST,
};
pub use request::Request;
pub use target::{TargetError, Vetting};
