//! Billing platforms: a notification or a report, and what the platform's API answers about it. What comes of them travels on a
//! queue and comes back the same; what is asked of a platform stays at the platform; the invoice's step is taken.
//!
//! An input is a platform, on the next lines the notification, and after each line `---` an answer.

use bytes::Bytes;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderValue, Method};
use shared::ids::{ConnectorAccountId, ProfileId, TenantId};
use shared::platform::account::{Locked, Settings};
use shared::platform::custom::Report;
use shared::platform::{ApiRequest, BillingAccount, Enriching, Interpretation, Platform, Thin};
use shared::queue::Task;
use shared::queue::task::{IgnoredTask, SignalTask, ThinTask};
use shared::recovery::{Enrichment, Signal, Status, TriggeredBy, join};
use shared::secret::Secret;
use shared::signature::{recurly, stripe};
use url::Url;

use crate::{now, text_line};

const SECRET: &str = "whsec_test_secret";
const PAIR: &str = "hook_user:hook_pass";
const SEPARATOR: &[u8] = b"\n---\n";
/// So many questions are asked of a platform at most before it must be known what to make of a notification.
const QUESTIONS_MOST: usize = 4;

fn tenant() -> TenantId {
    TenantId::parse("acme").expect("it has the form of a tenant")
}

fn account(platform: Platform) -> BillingAccount {
    BillingAccount {
        tenant: tenant(),
        profile_id: ProfileId::parse("pro_1").expect("it has the form of a profile"),
        connector_account_id: ConnectorAccountId::parse("mca_1")
            .expect("it has the form of an account"),
        platform,
        webhook_secrets: vec![Secret::new(if platform == Platform::Chargebee {
            PAIR
        } else {
            SECRET
        })],
        api_key: None,
        locked: Locked::default(),
        settings: Settings::default(),
    }
}

/// Holds the laws.
///
/// # Panics
/// Where one is broken.
pub fn hold(input: &[u8]) {
    let Some((name, rest)) = text_line(input) else {
        return;
    };
    let mut parts = split(rest).into_iter();
    let body = parts.next().unwrap_or_default();
    let answers: Vec<Bytes> = parts.map(Bytes::copy_from_slice).collect();
    let platform = match name {
        "recurly" => Platform::Recurly,
        "chargebee" => Platform::Chargebee,
        "custom" => return report(Platform::Custom, body),
        "report" => return report(Platform::Stripe, body),
        _ => Platform::Stripe,
    };
    notification(platform, body, &answers);
}

fn split(text: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(SEPARATOR.len()).position(|it| it == SEPARATOR) {
        let (part, after) = rest.split_at(at);
        parts.push(part);
        rest = after.get(SEPARATOR.len()..).unwrap_or_default();
    }
    parts.push(rest);
    parts
}

fn notification(platform: Platform, body: &[u8], answers: &[Bytes]) {
    let account = account(platform);
    let adapter = platform.adapter().expect("it has webhooks");
    let secret = Secret::new(SECRET);
    let (header, value) = match platform {
        Platform::Recurly => (recurly::HEADER, recurly::sign(&secret, now(), body)),
        Platform::Chargebee => (
            "authorization",
            Some(format!("Basic {}", BASE64.encode(PAIR.as_bytes()))),
        ),
        Platform::Stripe | Platform::Custom => (stripe::HEADER, stripe::sign(&secret, now(), body)),
    };
    let value = value
        .and_then(|value| HeaderValue::try_from(value).ok())
        .expect("a secret signs");
    let mut headers = HeaderMap::new();
    assert!(
        adapter.verify(&headers, body, &account, now()).is_err(),
        "unsigned, it is refused"
    );
    headers.insert(header, value);
    let proof = adapter
        .verify(&headers, body, &account, now())
        .expect("what is signed is genuine");
    let read = adapter.interpret(body, &account, &proof);
    assert_eq!(
        read,
        adapter.interpret(body, &account, &proof),
        "the same body is read alike"
    );
    match read {
        Ok(Interpretation::Signal(signal)) => judge(platform, &signal),
        Ok(Interpretation::Thin(thin)) => enriched(&thin, answers),
        Ok(Interpretation::Ignored(ignored)) => {
            assert_eq!(ignored.source.as_str(), platform.as_str());
            comes_back(Task::Ignored(IgnoredTask {
                tenant: tenant(),
                ignored,
            }));
        }
        Err(error) => assert!(!error.field.is_empty(), "an error names its field"),
    }
}

/// What is asked about a thin notification, and what comes of the answers.
fn enriched(thin: &Thin, answers: &[Bytes]) {
    let api = thin
        .platform
        .api()
        .expect("a thin notification is of a platform that can be asked");
    comes_back(Task::Thin(ThinTask {
        tenant: tenant(),
        thin: thin.clone(),
    }));
    if let Some(told) = &thin.told {
        judge(thin.platform, told);
    }
    let _kept = thin.unenriched(Enrichment::Refused);
    for known in 0..=answers.len().min(QUESTIONS_MOST) {
        let answers = answers.get(..known).unwrap_or_default();
        match api.enrich(thin, answers) {
            Ok(Enriching::Ask(request)) => {
                assert!(known < QUESTIONS_MOST, "it is asked and asked");
                stays(&request);
            }
            Ok(Enriching::Signal(signal)) => {
                assert_eq!(signal.id, thin.id, "it tells of the same notification");
                assert_eq!(signal.intent.profile_id, thin.profile_id);
                assert_eq!(
                    signal.intent.connector_account_id,
                    thin.connector_account_id
                );
                judge(thin.platform, &signal);
            }
            Ok(Enriching::Ignored(ignored)) => assert_eq!(ignored.id, thin.id),
            Err(error) => assert!(!error.field.is_empty(), "an error names its field"),
        }
        for answer in answers {
            let _id = api.recorded_id(answer);
        }
    }
}

/// What an outsider named goes nowhere but where we ask.
fn stays(request: &ApiRequest) {
    let base = Url::parse("https://api.platform.example").expect("it is a URL");
    let url = format!("https://api.platform.example{}", request.path);
    let url = Url::parse(&url).expect("a path makes a URL");
    assert_eq!(url.origin(), base.origin(), "it leaves the platform");
    assert_eq!(url.fragment(), None, "it is cut off");
    let (path, query) = request
        .path
        .split_once('?')
        .map_or((&*request.path, None), |(path, query)| (path, Some(query)));
    assert_eq!(
        (url.path(), url.query()),
        (path, query),
        "the path is another than was meant"
    );
    let known = match (
        request.method.clone(),
        path.split('/').collect::<Vec<_>>().as_slice(),
    ) {
        (Method::GET, ["", "v1", "charges", _] | ["", "transactions" | "invoices", _]) => {
            query.is_none()
        }
        (Method::GET, ["", "v1", "charges" | "invoice_payments"]) => query.is_some_and(|query| {
            query.matches('&').count()
                == if path.ends_with('s') && query.starts_with("invoice=") {
                    2
                } else {
                    1
                }
        }),
        (
            Method::POST,
            ["", "v1", "invoices", _, "pay"] | ["", "api", "v2", "invoices", _, "record_payment"],
        ) => query.is_none(),
        (Method::PUT, ["", "invoices", _, "mark_successful"]) => query.is_none(),
        _ => false,
    };
    assert!(known, "nobody asks {} {}", request.method, request.path);
}

/// What holds of every signal.
fn judge(platform: Platform, signal: &Signal) {
    assert_eq!(signal.source.as_str(), platform.as_str());
    assert!(
        signal
            .left
            .is_none_or(|left| left.currency == signal.amount.currency)
    );
    comes_back(Task::Signal(SignalTask {
        tenant: tenant(),
        signal: signal.clone(),
    }));
    let joined = join(None, signal, now());
    assert_eq!(
        joined,
        join(None, signal, now()),
        "a step depends on nothing else"
    );
    let Some(charge) = &signal.charge else {
        return;
    };
    assert!(!charge.ids.is_empty(), "a charge can be told from others");
    if charge.status == Status::Succeeded && charge.triggered_by == TriggeredBy::External {
        assert!(
            charge.details.decline.is_none(),
            "what succeeded was not declined"
        );
    }
}

/// What is put on a queue is what is taken from it.
fn comes_back(task: Task) {
    let body = task.encode().body;
    assert_eq!(Task::decode(&body), Ok(task));
}

fn report(platform: Platform, body: &[u8]) {
    let Ok(body) = std::str::from_utf8(body) else {
        return;
    };
    let Ok(report) = Report::read(body) else {
        return;
    };
    let Ok(signal) = report.signal(&account(platform), now()) else {
        return;
    };
    assert!(
        signal.amount.amount >= 0
            && signal
                .left
                .is_none_or(|left| (0..=signal.amount.amount).contains(&left.amount))
    );
    assert!(
        signal.order.at.duration_since(now()).as_secs() <= 300,
        "it lies in the future"
    );
    if platform != Platform::Custom {
        assert!(
            signal.by_merchant,
            "what the platform tells is the platform's to tell"
        );
    }
    judge(platform, &signal);
}
