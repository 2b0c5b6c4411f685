//! What the adapter of each platform makes of each of its fixtures: the neutral record, as a golden file.
//!
//! Fixtures are the webhooks `tests/fixtures/<platform>/*.json`; what is made of each is
//! `tests/golden/signals/<platform>/` under the same name, and what is made of it together with the answers of the
//! platform's API (`tests/fixtures/<platform>/api/*.json`) is in `enriched/` there.

use std::fs;
use std::path::{Path, PathBuf};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::config::environment;
use shared::ids::{ConnectorAccountId, ProfileId, TenantId};
use shared::platform::account::{Locked, Settings};
use shared::platform::custom::Report;
use shared::platform::{BillingAccount, Enriching, Interpretation, Platform};
use shared::secret::Secret;
use shared::signature::{basic, recurly, stripe};

/// The secret, or pair, of every account.
const SECRET: &str = "hook_user:whsec_4dR7uGmAZq0vXw2c";

#[test]
fn every_fixture_of_every_platform_becomes_the_record_that_is_kept() {
    let mut seen = 0;
    for platform in [Platform::Stripe, Platform::Chargebee, Platform::Recurly] {
        for fixture in fixtures(platform.as_str()) {
            let body = fs::read(&fixture).expect("a fixture can be read");
            let record = interpreted(platform, &body);
            let name = fixture.file_name().expect("a fixture has a name");
            golden(&Path::new(platform.as_str()).join(name), &record);
            seen += 1;
        }
    }
    assert!(
        seen > 20,
        "the fixtures are where this test looks for them: {seen}"
    );
}

#[test]
fn what_a_platform_answers_becomes_the_record_that_is_kept() {
    let (stripe, recurly) = (Platform::Stripe, Platform::Recurly);
    let paid = "invoice_payments.paid";
    let cases: &[(Platform, &str, &[&str])] = &[
        (stripe, "invoice.payment_failed", &["charge.failed"]),
        (
            stripe,
            "invoice.payment_failed.basil",
            &["invoice_payments.open", "charge.failed"],
        ),
        (stripe, "invoice.paid", &["charge.succeeded"]),
        (stripe, "invoice.paid.basil", &[paid, "charge.succeeded"]),
        (stripe, "invoice.payment_succeeded", &["charge.succeeded"]),
        (
            recurly,
            "payment.failed",
            &["transaction.declined", "invoice.past_due"],
        ),
        (
            recurly,
            "payment.succeeded",
            &["transaction.success", "invoice.paid"],
        ),
        (
            recurly,
            "payment.processing",
            &["transaction.processing", "invoice.processing"],
        ),
        (
            recurly,
            "payment.scheduled",
            &["transaction.processing", "invoice.processing"],
        ),
        (
            recurly,
            "payment.voided",
            &["transaction.success", "invoice.paid"],
        ),
        (
            recurly,
            "payment.transaction_status_updated",
            &["transaction.success", "invoice.paid"],
        ),
        (
            recurly,
            "charge_invoice.processing",
            &["invoice.processing", "transaction.processing"],
        ),
        (
            recurly,
            "charge_invoice.paid",
            &["invoice.paid", "transaction.success"],
        ),
        (recurly, "charge_invoice.failed", &["invoice.failed"]),
        (recurly, "charge_invoice.reopened", &["invoice.past_due"]),
        (recurly, "charge_invoice.updated", &["invoice.voided"]),
    ];
    for (platform, webhook, answers) in cases {
        let folder = root().join("fixtures").join(platform.as_str());
        let read = |name: &str| fs::read(folder.join(format!("{name}.json"))).expect("a fixture");
        let record = interpreted(*platform, &read(webhook));
        let thin = record.get("thin").expect("it is thin").clone();
        let thin = serde_json::from_value(thin).expect("a notification that was kept");
        let answers: Vec<_> = answers
            .iter()
            .map(|answer| read(&format!("api/{answer}")).into())
            .collect();
        let api = platform.api().expect("it can be asked");
        let record = match api.enrich(&thin, &answers) {
            Ok(Enriching::Signal(signal)) => json!({ "signal": signal }),
            Ok(Enriching::Ignored(ignored)) => json!({ "ignored": ignored }),
            Ok(Enriching::Ask(request)) => panic!("{webhook}: {} is asked too", request.path),
            Err(error) => json!({ "error": error.to_string() }),
        };
        let name = format!("{webhook}.json");
        let folder = Path::new(platform.as_str()).join("enriched");
        golden(&folder.join(name), &record);
    }
}

#[test]
fn every_report_becomes_the_record_that_is_kept() {
    let reports = fixtures("custom");
    assert!(!reports.is_empty());
    for fixture in reports {
        let body = fs::read_to_string(&fixture).expect("a fixture can be read");
        let report = Report::read(&body).expect("it is a report");
        let signal = report.signal(&account(Platform::Custom), now());
        let signal = signal.expect("it is the merchant's to tell");
        let name = fixture.file_name().expect("a fixture has a name");
        golden(
            &Path::new("custom").join(name),
            &json!({ "signal": signal }),
        );
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests")
}

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = root().join("fixtures").join(folder);
    let entries = fs::read_dir(folder).expect("a folder of fixtures");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry can be read").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    files.sort();
    files
}

fn account(platform: Platform) -> BillingAccount {
    BillingAccount {
        tenant: TenantId::parse("acme").expect("a valid id"),
        profile_id: ProfileId::parse("pro_1").expect("a valid id"),
        connector_account_id: ConnectorAccountId::parse("mca_1").expect("a valid id"),
        platform,
        webhook_secrets: vec![Secret::new(SECRET)],
        api_key: None,
        locked: Locked::default(),
        settings: Settings::default(),
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_736_035_200).expect("a time in range")
}

fn interpreted(platform: Platform, body: &[u8]) -> Value {
    let (account, now) = (account(platform), now());
    let (name, value) = proof(platform, body, now);
    let value = HeaderValue::try_from(value).expect("a header of ASCII");
    let headers = HeaderMap::from_iter([(name, value)]);
    let adapter = platform.adapter().expect("it has webhooks");
    let proof = adapter
        .verify(&headers, body, &account, now)
        .expect("it is genuine");
    match adapter.interpret(body, &account, &proof) {
        Ok(Interpretation::Signal(signal)) => json!({ "signal": signal }),
        Ok(Interpretation::Thin(thin)) => json!({ "thin": thin }),
        Ok(Interpretation::Ignored(ignored)) => json!({ "ignored": ignored }),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

/// The header by which the platform shows that it speaks.
fn proof(platform: Platform, body: &[u8], now: Timestamp) -> (HeaderName, String) {
    let secret = Secret::new(SECRET);
    let (name, value) = match platform {
        Platform::Stripe => (
            HeaderName::from_static(stripe::HEADER),
            stripe::sign(&secret, now, body),
        ),
        Platform::Recurly => (
            HeaderName::from_static(recurly::HEADER),
            recurly::sign(&secret, now, body),
        ),
        Platform::Chargebee => (AUTHORIZATION, basic::header(&secret)),
        Platform::Custom => unreachable!("it has no webhooks"),
    };
    (name, value.expect("the secret protects"))
}

fn golden(name: &Path, record: &Value) {
    let path = root().join("golden/signals").join(name);
    let text = format!("{record:#}\n");
    if environment("PAYRELAY_GOLDEN").as_deref() == Some("adopt") {
        let folder = path.parent().expect("it is in a folder");
        fs::create_dir_all(folder).expect("the folder can be made");
        fs::write(&path, &text).expect("it can be written");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "{}: the record is now\n{text}\nadopt it with `PAYRELAY_GOLDEN=adopt cargo test -p shared --test signals`",
        name.display()
    );
}
