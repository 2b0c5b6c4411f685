//! The exact bytes of one try: body and headers as the endpoint's scheme has them, signed at the moment given.

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{EXCERPT_MOST, Endpoint, Scheme};
use crate::event::{Event, EventType, Json};
use crate::ids::EventId;
use crate::secret::Secret;
use crate::signature::{rafiki, standard, stellar};

/// One request, ready to be posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where to; judged again by the transport when it is resolved.
    pub url: String,
    /// Everything that the scheme asks for.
    pub headers: HeaderMap,
    /// The body, to the byte.
    pub body: Bytes,
    /// How long it may take, from name resolution to the last byte of the answer.
    pub deadline: SignedDuration,
    /// So many bytes of the answer's body are kept at most.
    pub keep: usize,
}

/// No secret of the endpoint signs at this moment, or one that should can't be opened, so nothing may be sent. Nor can it
/// be where the scheme signs the host and the URL names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the endpoint has no secret that signs")]
pub struct Unsigned;

/// `{id, type, data}`, as Rafiki sends.
#[derive(Serialize)]
struct RafikiBody<'a> {
    id: &'a EventId,
    r#type: &'a EventType,
    data: &'a Json,
}

/// `{type, timestamp, data}`, as Standard Webhooks has it; the timestamp is the event's.
#[derive(Serialize)]
struct StandardBody<'a> {
    r#type: &'a EventType,
    timestamp: Timestamp,
    data: &'a Json,
}

/// The request that carries `event` to `endpoint`, signed at `now` with every secret that is live then.
///
/// # Errors
/// See [`Unsigned`].
pub fn build(event: &Event, endpoint: &Endpoint, now: Timestamp) -> Result<Request, Unsigned> {
    if endpoint.is_locked(now) {
        return Err(Unsigned);
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        ACCEPT,
        HeaderValue::from_static("application/json, text/plain, */*"),
    );
    // Compressed answers are never asked for and never unpacked.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("payrelay/", env!("CARGO_PKG_VERSION"))),
    );
    let body = match endpoint.scheme {
        Scheme::Rafiki => {
            let body = json(&RafikiBody {
                id: &event.id,
                r#type: &event.event_type,
                data: &event.data,
            });
            // Oldest first: see `rafiki::sign`.
            let secrets: Vec<&Secret> = endpoint.live_secrets(now).rev().collect();
            let signature = rafiki::sign(&secrets, now, &body).ok_or(Unsigned)?;
            insert(&mut headers, rafiki::HEADER, &signature);
            body
        }
        Scheme::StandardWebhooks => {
            let body = json(&StandardBody {
                r#type: &event.event_type,
                timestamp: event.at,
                data: &event.data,
            });
            let keys: Vec<_> = endpoint
                .live_secrets(now)
                .filter_map(|secret| standard::SigningKey::parse(secret).ok())
                .collect();
            if keys.is_empty() {
                return Err(Unsigned);
            }
            insert(&mut headers, standard::ID_HEADER, event.id.as_str());
            insert(
                &mut headers,
                standard::TIMESTAMP_HEADER,
                &now.as_second().to_string(),
            );
            insert(
                &mut headers,
                standard::SIGNATURE_HEADER,
                &standard::sign(&keys, event.id.as_str(), now, &body),
            );
            body
        }
        Scheme::Stellar => {
            // What is sent is the body itself: it was frozen when it was told, and stays so on every try.
            let body = event.data.as_str().as_bytes().to_vec();
            let secret = endpoint.live_secrets(now).next().ok_or(Unsigned)?;
            let key = stellar::SigningKey::parse(secret).map_err(|_| Unsigned)?;
            let host = stellar::signed_host(&endpoint.url, endpoint.signed_host).ok_or(Unsigned)?;
            let signature = stellar::sign(&key, now, &host, &body);
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/json; charset=utf-8"),
            );
            insert(&mut headers, standard::ID_HEADER, event.id.as_str());
            insert(&mut headers, stellar::HEADER, &signature);
            insert(&mut headers, stellar::OLD_HEADER, &signature);
            body
        }
    };
    Ok(Request {
        url: endpoint.url.clone(),
        headers,
        body: body.into(),
        deadline: endpoint.deadline,
        keep: match endpoint.scheme {
            Scheme::Rafiki | Scheme::StandardWebhooks => EXCERPT_MOST,
            // A wallet may answer with what it was told of a person, and tries rest in clear.
            Scheme::Stellar => 0,
        },
    })
}

fn json<T: Serialize>(body: &T) -> Vec<u8> {
    serde_json::to_vec(body).expect("ids, types, times and JSON texts always have a JSON form")
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let value =
        HeaderValue::from_str(value).expect("ids, numbers and signatures are printable ASCII");
    headers.insert(HeaderName::from_static(name), value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{BreakerPolicy, EndpointState, LiveSecret, Policy};
    use crate::event::{Role, Source};
    use crate::ids::{EndpointId, TenantId};
    use crate::signature::stellar::SignedHost;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time in range")
    }

    fn event() -> Event {
        Event {
            id: EventId::parse("evt_1").expect("a valid id"),
            event_type: EventType::parse("recovery.recovered").expect("a valid type"),
            data: Json::parse(r#"{ "amount": 25.00 }"#.into()).expect("valid JSON"),
            at: at(1_767_225_600),
            source: Source::new("stripe"),
            resource: None,
        }
    }

    fn endpoint(scheme: Scheme, secrets: &[(&str, Option<Timestamp>)]) -> Endpoint {
        Endpoint {
            tenant: TenantId::parse("acme").expect("a valid id"),
            id: EndpointId::parse("shop").expect("a valid id"),
            url: "https://shop.example/hook".into(),
            role: Role::Merchant,
            scheme,
            secrets: secrets
                .iter()
                .map(|(secret, until)| LiveSecret {
                    secret: Secret::new(*secret),
                    until: *until,
                })
                .collect(),
            locked: Vec::new(),
            filter: None,
            policy: Policy::default_for(scheme),
            deadline: scheme.deadline(),
            useful_for: None,
            signed_host: SignedHost::AsSent,
            breaker: BreakerPolicy::default(),
            decision_url: None,
            state: EndpointState::Enabled,
        }
    }

    fn header<'a>(request: &'a Request, name: &str) -> &'a str {
        request
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    const NEW: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const OLD: &str = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

    #[test]
    fn bodies_carry_the_payload_to_the_byte() {
        let now = at(1_767_225_700);
        let rafiki =
            build(&event(), &endpoint(Scheme::Rafiki, &[("s", None)]), now).expect("it signs");
        assert_eq!(
            rafiki.body,
            r#"{"id":"evt_1","type":"recovery.recovered","data":{ "amount": 25.00 }}"#
        );
        let standard = build(
            &event(),
            &endpoint(Scheme::StandardWebhooks, &[(NEW, None)]),
            now,
        )
        .expect("it signs");
        assert_eq!(
            standard.body,
            r#"{"type":"recovery.recovered","timestamp":"2026-01-01T00:00:00Z","data":{ "amount": 25.00 }}"#
        );
        assert_eq!(header(&standard, "webhook-id"), "evt_1");
        assert_eq!(header(&standard, "webhook-timestamp"), "1767225700");
    }

    #[test]
    fn a_replaced_secret_signs_beside_the_new_one_until_its_time_is_over() {
        let endpoint = endpoint(
            Scheme::StandardWebhooks,
            &[(NEW, None), (OLD, Some(at(1000)))],
        );
        let signatures = |now| {
            let request = build(&event(), &endpoint, at(now)).expect("it signs");
            header(&request, "webhook-signature").split(' ').count()
        };
        assert_eq!(signatures(999), 2);
        assert_eq!(signatures(1000), 1);
    }

    #[test]
    fn each_try_is_signed_afresh() {
        let endpoint = endpoint(Scheme::Rafiki, &[("s", None)]);
        let first = build(&event(), &endpoint, at(1000)).expect("it signs");
        let second = build(&event(), &endpoint, at(1010)).expect("it signs");
        assert!(header(&first, "rafiki-signature").starts_with("t=1000000, v1="));
        assert_ne!(
            header(&first, "rafiki-signature"),
            header(&second, "rafiki-signature")
        );
        assert_eq!(first.body, second.body);
    }

    const SEED: &str = "SAAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6NKI";

    /// Vectors A, B and D of `signature::stellar`, as whole requests.
    #[test]
    fn a_wallet_gets_the_bare_payload_signed_for_the_host_that_it_knows() {
        let data = r#"{"id":"c0ffee00-0000-4000-8000-000000000001","status":"NEEDS_INFO","fields":{"mobile_number":{"type":"string","description":"Mobile phone, E.164"}}}"#;
        let event = Event {
            data: Json::parse(data.into()).expect("valid JSON"),
            ..event()
        };
        let plain = "https://wallet.example.com/callbacks";
        let port = "https://Wallet.example.com:8443/callbacks";
        let a = "t=1700000000, s=bNf+xtXWi71Gxc21fgG7tjnLqJ1+1RIEMK4kMri7jNZ0lZlXJZEbs6LRcnNRbMJ7lMu6rfjarfMLMiHaiZCuBw==";
        let b = "t=1700000000, s=yPKkUD5A01ttaF9AHfP2D+oRtBsUS9w/yexdLoqTdg0gfQx0WDcMjRjt4RWzzcz7Q0JaXAK5o5RY5BekTs+rDg==";
        let d = "t=1700000090, s=V4uESWefv+WzPoM47OPwiH7UB+VYEu2XqdyM7WlOqVoS/+eVWtpMOnYxwZjD5QQEfoZ8tHuyrpTwqqlfHLjEAg==";
        let cases = [
            ("A", plain, SignedHost::AsSent, 1_700_000_000, a),
            ("B", port, SignedHost::AsSent, 1_700_000_000, b),
            (
                "A for the name",
                port,
                SignedHost::NameOnly,
                1_700_000_000,
                a,
            ),
            ("D", plain, SignedHost::AsSent, 1_700_000_090, d),
        ];
        for (name, url, signed_host, now, want) in cases {
            let wallet = Endpoint {
                url: url.into(),
                signed_host,
                ..endpoint(Scheme::Stellar, &[(SEED, None)])
            };
            let request = build(&event, &wallet, at(now)).expect("it signs");
            assert_eq!(header(&request, "signature"), want, "{name}");
            assert_eq!(header(&request, "x-stellar-signature"), want, "{name}");
            assert_eq!(header(&request, "webhook-id"), "evt_1", "{name}");
            let content_type = header(&request, "content-type");
            assert_eq!(content_type, "application/json; charset=utf-8", "{name}");
            assert_eq!(
                (&*request.body, request.keep),
                (data.as_bytes(), 0),
                "{name}"
            );
        }
    }

    #[test]
    fn nothing_is_sent_where_there_is_no_host_to_sign_for() {
        let wallet = Endpoint {
            url: "mailto:wallet@example.com".into(),
            ..endpoint(Scheme::Stellar, &[(SEED, None)])
        };
        assert_eq!(build(&event(), &wallet, at(1)).err(), Some(Unsigned));
    }

    #[test]
    fn nothing_is_sent_while_a_secret_that_should_sign_can_not_be_opened() {
        let mut shop = endpoint(Scheme::StandardWebhooks, &[(NEW, None)]);
        for (locked, want) in [
            (None, Some(Unsigned)),
            (Some(at(2)), Some(Unsigned)),
            (Some(at(1)), None),
        ] {
            shop.locked = vec![locked];
            assert_eq!(build(&event(), &shop, at(1)).err(), want, "{locked:?}");
        }
    }

    #[test]
    fn nothing_is_sent_without_a_live_secret() {
        for scheme in Scheme::ALL {
            for secrets in [&[][..], &[("", None)], &[(NEW, Some(at(0)))]] {
                assert_eq!(
                    build(&event(), &endpoint(scheme, secrets), at(1)).err(),
                    Some(Unsigned),
                    "{secrets:?}"
                );
            }
        }
    }
}
