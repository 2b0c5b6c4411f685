//! Events as payment backends publish them: the payload stays as it was written, what is read is what was signed, and what is
//! delivered verifies where it arrives.
//!
//! An input is the query, the header that names recipients, and the event.

use http::{HeaderMap, HeaderValue};
use jiff::SignedDuration;
use serde_json::Value;
use shared::delivery::{
    BreakerPolicy, Endpoint, EndpointState, LiveSecret, Policy, Request, Scheme, request,
};
use shared::event::{Envelope, Event, Kind, Maker, Role, Source, resource, unambiguous};
use shared::ids::{EndpointId, TenantId};
use shared::queue::Task;
use shared::queue::task::PublishTask;
use shared::secret::Secret;
use shared::signature::stellar::SignedHost;
use shared::signature::{TOLERANCE, rafiki, standard};

use crate::{body, now, recipients, text_line};

const WHSEC: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Holds the laws.
///
/// # Panics
/// Where one is broken.
pub fn hold(input: &[u8]) {
    let Some((query, rest)) = text_line(input) else {
        return;
    };
    let Some((header, sent)) = text_line(rest) else {
        return;
    };
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(header)
        && !header.is_empty()
    {
        headers.insert(recipients::HEADER, value);
    }
    let roles = recipients::named(query, &headers);
    if let Ok(roles) = &roles {
        assert!(
            roles.is_none() || !query.is_empty() || !headers.is_empty(),
            "roles are named by somebody"
        );
        assert!(
            roles.as_ref().is_none_or(|roles| !roles.is_empty()),
            "whoever names roles names one"
        );
    }
    let Ok(text) = body::text(sent) else {
        return;
    };
    // As the door does: what can't be signed again is refused first.
    let Ok(parsed) = unambiguous(text) else {
        return;
    };
    match body::event(text) {
        Ok(event) => {
            is_what_was_signed(text, &event, &parsed);
            travels(&event, roles.ok().flatten());
        }
        Err(error) => assert!(!error.rule.is_empty(), "an error says what is wrong"),
    }
}

/// The document that is verified and the event that is taken, as the door reads them; `None` for what it refuses.
#[must_use]
pub fn read(text: &str) -> Option<(Value, Envelope)> {
    Some((unambiguous(text).ok()?, body::event(text).ok()?))
}

/// The event is the document that the signature covers.
fn is_what_was_signed(text: &str, event: &Envelope, parsed: &Value) {
    assert_eq!(
        Maker::of(&event.event_type),
        Maker::PaymentBackend,
        "ours is nobody else's to say"
    );
    let members = parsed.as_object().expect("an event is an object");
    assert_eq!(members.len(), 3, "an event has three members");
    assert_eq!(
        members.get("id").and_then(Value::as_str),
        Some(event.id.as_str())
    );
    assert_eq!(
        members.get("type").and_then(Value::as_str),
        Some(event.event_type.as_str())
    );
    let data: Value = serde_json::from_str(event.data.as_str()).expect("a payload is JSON");
    assert_eq!(
        members.get("data"),
        Some(&data),
        "the payload is the one that was signed"
    );
    assert!(
        data.is_object() && text.contains(event.data.as_str()),
        "the payload is as it was written"
    );
    if let Some(kind) = Kind::of(&event.event_type) {
        assert_eq!(kind.wire_name(), event.event_type.as_str());
    }
}

/// From the door to the endpoint.
fn travels(envelope: &Envelope, roles: Option<std::collections::BTreeSet<Role>>) {
    let event = Event {
        resource: resource(&envelope.event_type, &envelope.data),
        id: envelope.id.clone(),
        event_type: envelope.event_type.clone(),
        data: envelope.data.clone(),
        at: now(),
        source: Source::new("rafiki"),
    };
    assert!(event.tells_the_same(&event));
    let tenant = TenantId::parse("acme").expect("it has the form of a tenant");
    let task = Task::Publish(PublishTask {
        tenant,
        event: event.clone(),
        roles,
        guard: None,
    });
    assert_eq!(
        Task::decode(&task.encode().body),
        Ok(task),
        "what is put on the queue is what is taken from it"
    );

    let secrets = [Secret::new(WHSEC)];
    let sent = request::build(&event, &endpoint(Scheme::Rafiki), now())
        .expect("it has a secret that signs");
    let got = rafiki::verify(
        header(&sent, rafiki::HEADER),
        &sent.body,
        &secrets,
        now(),
        TOLERANCE,
    );
    assert_eq!(got.map(drop), Ok(()), "its receiver takes it");
    let again = std::str::from_utf8(&sent.body).ok().map(Envelope::read);
    assert_eq!(
        again,
        Some(Ok(envelope.clone())),
        "its receiver reads the same event"
    );

    let sent = request::build(&event, &endpoint(Scheme::StandardWebhooks), now())
        .expect("it has a secret that signs");
    let headers = standard::Headers {
        id: header(&sent, standard::ID_HEADER),
        timestamp: header(&sent, standard::TIMESTAMP_HEADER),
        signature: header(&sent, standard::SIGNATURE_HEADER),
    };
    let got = standard::verify(headers, &sent.body, &secrets, now(), TOLERANCE);
    assert_eq!(got.map(drop), Ok(()), "its receiver takes it");
    assert!(
        String::from_utf8_lossy(&sent.body).contains(event.data.as_str()),
        "the payload is as it was written"
    );
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.get(name)?.to_str().ok()
}

fn endpoint(scheme: Scheme) -> Endpoint {
    Endpoint {
        tenant: TenantId::parse("acme").expect("it has the form of a tenant"),
        id: EndpointId::parse("shop").expect("it has the form of an endpoint"),
        url: "https://shop.example/hook".to_owned(),
        role: Role::Ase,
        scheme,
        secrets: vec![LiveSecret {
            secret: Secret::new(WHSEC),
            until: None,
        }],
        locked: Vec::new(),
        filter: None,
        policy: Policy::default_for(scheme),
        breaker: BreakerPolicy::default(),
        deadline: SignedDuration::from_secs(5),
        useful_for: None,
        signed_host: SignedHost::AsSent,
        decision_url: None,
        state: EndpointState::Enabled,
    }
}
