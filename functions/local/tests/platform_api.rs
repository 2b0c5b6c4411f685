//! The stand-in for the platforms' APIs: it is asked what the adapters ask, and behaves or misbehaves as it was told.

use axum::body::Body;
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Request, StatusCode};
use jiff::Timestamp;
use local::platform_api::{Kind, PlatformApi, Turn};
use serde_json::Value;
use shared::ids::{ConnectorAccountId, ProfileId, TenantId};
use shared::platform::account::{Locked, Settings};
use shared::platform::{
    Api, ApiRequest, BillingAccount, Enriching, Interpretation, Platform, Thin,
};
use shared::recovery::{Intent, Signal, SignalKind, Status};
use shared::secret::Secret;
use shared::signature::{recurly, stripe};
use tower::ServiceExt;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/", $name, ".json"))
    };
}

const KEY: &str = "key_of_the_platform";
const SECRET: &str = "a_secret_of_the_webhook";

fn put(api: &PlatformApi, kind: Kind, fixture: &str) {
    api.put(
        kind,
        serde_json::from_str(fixture).expect("a fixture is JSON"),
    );
}

/// A stand-in with the story of the fixtures in it: an invoice that failed and then was collected.
fn stand_in() -> PlatformApi {
    let api = PlatformApi::new(Secret::new(KEY));
    put(
        &api,
        Kind::StripeCharge,
        fixture!("stripe/api/charge.failed"),
    );
    put(
        &api,
        Kind::StripeCharge,
        fixture!("stripe/api/charge.succeeded"),
    );
    let payments: Value = serde_json::from_str(fixture!("stripe/api/invoice_payments.paid"))
        .expect("a fixture is JSON");
    let payment = payments.pointer("/data/0").expect("a payment").clone();
    api.put(Kind::StripeInvoicePayment, payment);
    put(
        &api,
        Kind::RecurlyTransaction,
        fixture!("recurly/api/transaction.declined"),
    );
    put(
        &api,
        Kind::RecurlyTransaction,
        fixture!("recurly/api/transaction.success"),
    );
    put(
        &api,
        Kind::RecurlyInvoice,
        fixture!("recurly/api/invoice.paid"),
    );
    api
}

fn thin(platform: Platform, body: &str) -> Thin {
    let account = BillingAccount {
        tenant: TenantId::parse("acme").expect("a valid id"),
        profile_id: ProfileId::parse("pro_1").expect("a valid id"),
        connector_account_id: ConnectorAccountId::parse("mca_1").expect("a valid id"),
        platform,
        webhook_secrets: vec![Secret::new(SECRET)],
        api_key: None,
        locked: Locked::default(),
        settings: Settings::default(),
    };
    let (now, secret) = (Timestamp::UNIX_EPOCH, Secret::new(SECRET));
    let (name, header) = if platform == Platform::Recurly {
        (
            recurly::HEADER,
            recurly::sign(&secret, now, body.as_bytes()),
        )
    } else {
        (stripe::HEADER, stripe::sign(&secret, now, body.as_bytes()))
    };
    let header = HeaderValue::try_from(header.expect("the secret is not empty"));
    let headers = [(HeaderName::from_static(name), header.expect("ASCII"))];
    let adapter = platform.adapter().expect("it has webhooks");
    let proof = adapter
        .verify(
            &headers.into_iter().collect(),
            body.as_bytes(),
            &account,
            now,
        )
        .expect("it is genuine");
    match adapter.interpret(body.as_bytes(), &account, &proof) {
        Ok(Interpretation::Thin(thin)) => *thin,
        other => panic!("not thin: {other:?}"),
    }
}

fn api_of(platform: Platform) -> &'static dyn Api {
    platform.api().expect("the platform has an API")
}

async fn answer(api: &PlatformApi, platform: Platform, ask: &ApiRequest) -> (StatusCode, Bytes) {
    let mut request = Request::builder().method(&ask.method).uri(&ask.path);
    for (name, value) in &ask.headers {
        request = request.header(name, value);
    }
    let authorization = api_of(platform).authorization(&Secret::new(KEY));
    let request = request
        .header(AUTHORIZATION, authorization.expect("a key of ASCII"))
        .body(Body::from(ask.body.clone()))
        .expect("a request");
    let response = api.router().oneshot(request).await.expect("it never fails");
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    (status, body.expect("a whole body"))
}

/// Asks as long as there is something to ask.
async fn enriched(api: &PlatformApi, platform: Platform, body: &str) -> Signal {
    let thin = thin(platform, body);
    let mut answers = Vec::new();
    loop {
        match api_of(platform).enrich(&thin, &answers) {
            Ok(Enriching::Ask(request)) => {
                let (status, answer) = answer(api, platform, &request).await;
                assert_eq!(status, StatusCode::OK, "{}", request.path);
                answers.push(answer);
            }
            Ok(Enriching::Signal(signal)) => return *signal,
            other => panic!("neither asked nor told: {other:?}"),
        }
    }
}

#[tokio::test]
async fn every_platform_can_be_asked_for_the_rest_of_what_it_told() {
    let cases = [
        (
            Platform::Stripe,
            fixture!("stripe/invoice.payment_failed"),
            &["/v1/charges/ch_3QfA1"][..],
            ("ch_3QfA1", Status::Failed),
        ),
        (
            Platform::Stripe,
            fixture!("stripe/invoice.payment_failed.basil"),
            &[
                "/v1/invoice_payments?invoice=in_1QfInv&limit=100&expand%5B%5D=data.payment.payment_intent",
                "/v1/charges/ch_3QfA2",
                "/v1/charges?payment_intent=pi_3QfA1&limit=100",
            ],
            ("ch_3QfA1", Status::Failed),
        ),
        (
            Platform::Stripe,
            fixture!("stripe/invoice.paid.basil"),
            &[
                "/v1/invoice_payments?invoice=in_1QfInv&limit=100&expand%5B%5D=data.payment.payment_intent",
                "/v1/charges/ch_3QfA2",
            ],
            ("ch_3QfA2", Status::Succeeded),
        ),
        (
            Platform::Recurly,
            fixture!("recurly/payment.failed"),
            &[
                "/transactions/uuid-63b068f7d409d4b4478dea4e6aba58ae",
                "/invoices/inv_r100",
            ],
            ("ch_3QfA9", Status::Failed),
        ),
        (
            Platform::Recurly,
            fixture!("recurly/charge_invoice.paid"),
            &["/invoices/number-1042", "/transactions/tx8h2k4m6n8q"],
            ("ch_3QfB1", Status::Succeeded),
        ),
    ];
    for (platform, body, paths, want) in cases {
        let api = stand_in();
        let charge = enriched(&api, platform, body)
            .await
            .charge
            .expect("a charge");
        let key = charge.key().expect("an id").as_str();
        assert_eq!((key, charge.status), want, "{body}");
        let asked: Vec<_> = api.asked().into_iter().map(|asked| asked.path).collect();
        assert_eq!(asked, paths, "{body}");
    }
}

#[tokio::test]
async fn a_success_is_taken_once() {
    for (platform, kind, body, open, want) in [
        (
            Platform::Stripe,
            Kind::StripeInvoice,
            fixture!("stripe/invoice.payment_failed"),
            r#"{"id":"in_1QfInv","status":"open"}"#,
            StatusCode::OK,
        ),
        (
            Platform::Recurly,
            Kind::RecurlyInvoice,
            fixture!("recurly/payment.failed"),
            fixture!("recurly/api/invoice.past_due"),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
    ] {
        let api = stand_in();
        put(&api, kind, open);
        let signal = enriched(&api, platform, body).await;
        assert_eq!(signal.kind, SignalKind::PaymentFailed);
        let intent = Intent::open(&signal, signal.order.at).expect("a failure opens an intent");
        let tell = api_of(platform).record_back(&intent, "key_1");
        let tell = tell.expect("it can be told");
        let (status, told) = answer(&api, platform, &tell).await;
        assert_eq!(status, StatusCode::OK);
        let id = api_of(platform).recorded_id(&told);
        assert_eq!(id.as_deref(), Some(signal.intent.invoice_id.as_str()));
        let (again, _) = answer(&api, platform, &tell).await;
        assert_eq!(again, want, "Stripe knows the key, Recurly the state");
        let recorded = api.recorded();
        let recorded: Vec<_> = recorded.iter().map(|it| (it.kind, &*it.invoice)).collect();
        assert_eq!(recorded, [(kind, signal.intent.invoice_id.as_str())]);
    }
}

#[tokio::test]
async fn nothing_is_told_without_the_key_or_to_who_asks_for_another_version() {
    let api = stand_in();
    let get = |path: &str| Request::builder().uri(path.to_owned());
    let refused = [
        get("/v1/charges/ch_3QfA1"),
        get("/v1/charges/ch_3QfA1").header(AUTHORIZATION, "Bearer another"),
        get("/invoices/inv_r100").header(AUTHORIZATION, format!("Bearer {KEY}")),
    ];
    for request in refused {
        let request = request.body(Body::empty()).expect("a request");
        let response = api.router().oneshot(request).await.expect("it never fails");
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
    let key = api_of(Platform::Recurly).authorization(&Secret::new(KEY));
    let request = get("/invoices/inv_r100").header(AUTHORIZATION, key.expect("ASCII"));
    let request = request.body(Body::empty()).expect("a request");
    let response = api.router().oneshot(request).await.expect("it never fails");
    assert_eq!(response.status(), StatusCode::NOT_ACCEPTABLE);
    assert_eq!(api.asked().len(), 4, "it remembers who was refused");
}

#[tokio::test]
async fn it_misbehaves_as_it_is_told_and_then_behaves() {
    let api = stand_in();
    api.script([
        Turn::Status(404),
        Turn::After(429, 7),
        Turn::Status(503),
        Turn::NotJson,
        Turn::WrongKinds,
        Turn::Huge,
        Turn::Endless,
        Turn::Silent,
    ]);
    let ask = async || {
        let request = Request::builder()
            .uri("/v1/charges/ch_3QfA1")
            .header(AUTHORIZATION, format!("Bearer {KEY}"))
            .body(Body::empty())
            .expect("a request");
        api.router().oneshot(request).await.expect("it never fails")
    };
    assert_eq!(ask().await.status(), StatusCode::NOT_FOUND);
    let response = ask().await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        response.headers().get(RETRY_AFTER),
        Some(&HeaderValue::from_static("7"))
    );
    assert_eq!(ask().await.status(), StatusCode::SERVICE_UNAVAILABLE);
    let failed = thin(Platform::Stripe, fixture!("stripe/invoice.payment_failed"));
    for odd in ["not JSON", "of the wrong kind"] {
        let body = axum::body::to_bytes(ask().await.into_body(), usize::MAX).await;
        let answers = [body.expect("a whole body")];
        let read = api_of(Platform::Stripe).enrich(&failed, &answers);
        let error = read.expect_err("it is no charge").to_string();
        assert!(error.contains(odd), "{error}");
    }
    let huge = axum::body::to_bytes(ask().await.into_body(), usize::MAX).await;
    assert!(huge.expect("a whole body").len() > 1024 * 1024);
    let mut endless = ask().await.into_body().into_data_stream();
    for _ in 0..1000 {
        assert!(endless.next().await.is_some());
    }
    assert!(ask().now_or_never().is_none());
    assert_eq!(ask().await.status(), StatusCode::OK);
}
