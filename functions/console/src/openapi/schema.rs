//! The schemas of our own words, each made from the word's own list of names.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};

use shared::customer::{ErasePayloads, Mapping};
use shared::decision::{self, OnFailure};
use shared::delivery::{
    BreakerSettings, End, EndpointState, Failure, OpenedBy, Scheme, SkipReason, State,
};
use shared::event::{Maker, Role};
use shared::platform::Platform;
use shared::queue::Queue;
use shared::recovery::{self, Status, TriggeredBy};
use shared::signature::stellar::SignedHost;
use shared::store::Cause;

/// A schema written as JSON.
pub(crate) fn of(value: Value) -> RefOr<Schema> {
    serde_json::from_value(value).expect("the literal is a schema, and a test makes the document")
}

/// The wire names of an enum without payloads, as its own parser tells them when it refuses another.
pub(crate) fn names<T: DeserializeOwned>() -> Vec<String> {
    expected::<T>(json!("?"))
}

fn expected<T: DeserializeOwned>(wrong: Value) -> Vec<String> {
    let refused = serde_json::from_value::<T>(wrong)
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    let (_, expected) = refused.rsplit_once(", expected ").unwrap_or_default();
    expected
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn one_of<T: DeserializeOwned>() -> RefOr<Schema> {
    of(json!({"type": "string", "enum": names::<T>()}))
}

pub(crate) fn role() -> RefOr<Schema> {
    one_of::<Role>()
}

pub(crate) fn maker() -> RefOr<Schema> {
    one_of::<Maker>()
}

pub(crate) fn scheme() -> RefOr<Schema> {
    of(json!({"type": "string", "enum": Scheme::OF_ENDPOINTS.map(Scheme::as_str)}))
}

pub(crate) fn endpoint_state() -> RefOr<Schema> {
    one_of::<EndpointState>()
}

pub(crate) fn signed_host() -> RefOr<Schema> {
    one_of::<SignedHost>()
}

pub(crate) fn mapping() -> RefOr<Schema> {
    one_of::<Mapping>()
}

pub(crate) fn erase_payloads() -> RefOr<Schema> {
    one_of::<ErasePayloads>()
}

pub(crate) fn callback_urls() -> RefOr<Schema> {
    let url = json!({"type": "string", "format": "uri"});
    of(json!({
        "type": "object",
        "properties": {"sep6": url, "sep12": url, "sep24": url, "sep31": url},
    }))
}

pub(crate) fn platform() -> RefOr<Schema> {
    one_of::<Platform>()
}

pub(crate) fn mode() -> RefOr<Schema> {
    one_of::<recovery::Mode>()
}

pub(crate) fn mode_or_null() -> RefOr<Schema> {
    of(json!({"type": ["string", "null"], "enum": nullable(names::<recovery::Mode>())}))
}

fn nullable(names: Vec<String>) -> Vec<Value> {
    let names = names.into_iter().map(Value::from);
    names.chain([Value::Null]).collect()
}

pub(crate) fn stage() -> RefOr<Schema> {
    let names = expected::<recovery::Stage>(json!({"stage": "?"}));
    of(json!({"type": "string", "enum": names}))
}

pub(crate) fn end_reason() -> RefOr<Schema> {
    one_of::<recovery::EndReason>()
}

pub(crate) fn hold() -> RefOr<Schema> {
    one_of::<recovery::Hold>()
}

pub(crate) fn lever() -> RefOr<Schema> {
    one_of::<recovery::Lever>()
}

pub(crate) fn recording() -> RefOr<Schema> {
    one_of::<recovery::Recording>()
}

pub(crate) fn enrichment() -> RefOr<Schema> {
    one_of::<recovery::Enrichment>()
}

pub(crate) fn network() -> RefOr<Schema> {
    one_of::<recovery::Network>()
}

pub(crate) fn charge_id_kind() -> RefOr<Schema> {
    one_of::<recovery::ChargeId>()
}

pub(crate) fn failure() -> RefOr<Schema> {
    one_of::<Failure>()
}

pub(crate) fn intent_state() -> RefOr<Schema> {
    one_of::<recovery::State>()
}

pub(crate) fn triggered_by() -> RefOr<Schema> {
    one_of::<TriggeredBy>()
}

pub(crate) fn charge_status() -> RefOr<Schema> {
    one_of::<Status>()
}

pub(crate) fn cause() -> RefOr<Schema> {
    one_of::<Cause>()
}

pub(crate) fn queue() -> RefOr<Schema> {
    of(json!({"type": "string", "enum": Queue::ALL.map(Queue::as_str)}))
}

pub(crate) fn delivery_state() -> RefOr<Schema> {
    let due = jiff::Timestamp::UNIX_EPOCH;
    let states = [
        State::Queued,
        State::Retrying { due },
        State::Parked { due },
        State::Held { until: due },
        State::Delivered,
        State::GivenUp { reason: End::Gone },
        State::Superseded,
        State::Expired,
        State::Skipped {
            reason: SkipReason::EndpointDisabled,
        },
        State::Quarantined {
            cause: Cause::Panicked,
        },
    ];
    of(json!({"type": "string", "enum": states.map(State::as_str)}))
}

pub(crate) fn reason() -> RefOr<Schema> {
    of(json!({
        "type": "string",
        "description": "Why it stands so: of an event for nobody `no_endpoint`, `filtered`, `endpoint_disabled`, \
                        `card_only`, `nothing_received`, `not_card_initiated`, `no_client`, `no_callback`, `not_handled` or \
                        `not_enriched`; of a delivery that was given up `retries_exhausted`, `gone`, `undecided` or \
                        `endpoint_down`; of one that was not tried `endpoint_disabled` or `endpoint_deleted`; of one whose message was \
                        set aside `panicked`, `stuck` or `dead_letter`.",
    }))
}

pub(crate) fn decisions() -> RefOr<Schema> {
    let usual = decision::Policy::default();
    of(json!({
        "type": "object",
        "properties": {
            "on_failure": {
                "type": "string",
                "enum": names::<OnFailure>(),
                "default": usual.on_failure,
                "description": "What becomes of a payment of which the ASE did not decide: it could not be reached, was too \
                                slow, or gave an answer that can't be used.",
            },
            "deadline_ms": {
                "type": "integer",
                "minimum": 100,
                "maximum": 10_000,
                "default": usual.deadline_ms,
                "description": "How long the ASE may take, in milliseconds from the arrival of the question.",
            },
        },
    }))
}

pub(crate) fn breaker() -> RefOr<Schema> {
    let usual = BreakerSettings::default();
    let setting = |least: u32, most: u32, usual: u32, about: &str| {
        json!({
            "type": "integer",
            "minimum": least,
            "maximum": most,
            "default": usual,
            "description": about,
        })
    };
    of(json!({
        "description": "When the endpoint is left alone for a while, since it fails: its deliveries are held until a probe \
                        gets through. `off`: never, unless the operator opens the breaker.",
        "oneOf": [
            {"type": "string", "enum": ["off"]},
            {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "failures": setting(1, 1000, usual.failures, "The breaker opens after so many failures in a row."),
                    "share_percent": setting(1, 100, usual.share_percent,
                        "It opens, too, when this share of the tries within a window failed, in percent."),
                    "window_s": setting(10, 3600, usual.window_s, "How long a window is, in seconds."),
                    "minimum": setting(1, 10_000, usual.minimum, "A share is taken of at least so many tries."),
                    "pause_s": setting(1, 3600, usual.pause_s, "How long it is open before it is probed, in seconds."),
                    "pause_most_s": setting(1, 86_400, usual.pause_most_s,
                        "Each probe that fails doubles the pause, up to this, in seconds; at least `pause_s`."),
                    "release_per_minute": setting(1, 60_000, usual.release_per_minute,
                        "Once it is closed, so many of the deliveries that were held are let go in a minute at most."),
                },
            },
        ],
    }))
}

pub(crate) fn breaker_state() -> RefOr<Schema> {
    of(json!({"type": "string", "enum": ["closed", "open", "probing", "releasing"]}))
}

pub(crate) fn opened_by() -> RefOr<Schema> {
    of(json!({"type": ["string", "null"], "enum": nullable(names::<OpenedBy>())}))
}

pub(crate) fn policy() -> RefOr<Schema> {
    let wait = json!({"type": "integer", "minimum": 1, "maximum": 604_800});
    of(json!({
        "description": "How failed tries are followed up, with at most 50 retries. Left out of a request, it is as the \
                        scheme has it: `linear` for `rafiki`, the ladder of Standard Webhooks otherwise.",
        "oneOf": [
            {
                "type": "object",
                "description": "Wait n steps after try n, without jitter.",
                "required": ["policy"],
                "properties": {
                    "policy": {"type": "string", "enum": ["linear"]},
                    "step_s": {"type": "integer", "minimum": 1, "maximum": 604_800, "default": 10},
                    "max_retry": {"type": "integer", "minimum": 0, "maximum": 50, "default": 10},
                    "cap_s": wait,
                },
            },
            {
                "type": "object",
                "description": "Explicit waits, one per retry, each lengthened by up to 10 %.",
                "required": ["policy", "waits_s"],
                "properties": {
                    "policy": {"type": "string", "enum": ["ladder"]},
                    "waits_s": {"type": "array", "maxItems": 50, "items": wait},
                },
            },
        ],
    }))
}
