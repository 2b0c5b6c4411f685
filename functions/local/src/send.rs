//! `cargo local send`: a billing platform's webhook, signed as the platform signs it, and posted.
//!
//! The bodies are the fixtures that the tests read, made new: fresh ids and the present time, so that each tells a new
//! story.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::StreamExt;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
use shared::delivery::{EXCERPT_MOST, Failure, Outcome, Request, Vetting};
use shared::entropy::{Entropy, SystemEntropy};
use shared::secret::Secret;
use shared::signature::stripe;
use shared::time::{Clock, SystemClock};
use shared::transport::Transport;
use shared::transport::https::Https;

use crate::cli::SendArgs;
use crate::lines::{Audience, say};
use crate::{demo, lambda_event, pump};

macro_rules! fixtures {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../../tests/fixtures/stripe/", $name, ".json")))),+]
    };
}

/// What can be sent, by name.
const FIXTURES: [(&str, &str); 9] = fixtures![
    "invoice.payment_failed",
    "invoice.payment_failed.basil",
    "invoice.paid",
    "invoice.paid.basil",
    "invoice.paid.zero",
    "invoice.payment_succeeded",
    "invoice.voided",
    "invoice.marked_uncollectible",
    "customer.created",
];

/// So many posts are under way at once.
const AT_ONCE: usize = 32;
/// So long an answer may take.
const DEADLINE: SignedDuration = SignedDuration::from_secs(15);
/// Progress is shown after so long, and as often.
const PROGRESS: SignedDuration = SignedDuration::from_secs(2);

/// The names of what can be sent.
#[must_use]
pub fn fixture_names() -> [&'static str; 9] {
    FIXTURES.map(|(name, _)| name)
}

/// A webhook, not signed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The platform's id of it.
    pub event: String,
    /// The invoice it is about, if it is about one.
    pub invoice: Option<String>,
    /// The body.
    pub body: Bytes,
}

impl Webhook {
    /// The fixture to the byte.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn same(fixture: &str) -> anyhow::Result<Self> {
        let text = text(fixture)?;
        Self::of(
            &serde_json::from_str(text)?,
            Bytes::from_static(text.as_bytes()),
        )
    }

    /// The fixture with ids of its own, about `invoice` or a new one, and happening `now`.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn fresh(
        fixture: &str,
        invoice: Option<&str>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> anyhow::Result<Self> {
        let id = |prefix: &str| format!("{prefix}_{}", HEXLOWER.encode(&entropy.bytes::<12>()));
        let mut value: Value = serde_json::from_str(text(fixture)?)?;
        let mut set = |pointer: &str, new: Value| {
            if let Some(place) = value.pointer_mut(pointer).filter(|place| !place.is_null()) {
                *place = new;
            }
        };
        set("/id", id("evt").into());
        set("/created", now.as_second().into());
        if fixture.starts_with("invoice.") {
            set(
                "/data/object/id",
                invoice.map_or_else(|| id("in"), ToOwned::to_owned).into(),
            );
            set("/data/object/charge", id("ch").into());
            set("/data/object/payment_intent", id("pi").into());
        }
        let body = Bytes::from(serde_json::to_vec(&value)?);
        Self::of(&value, body)
    }

    fn of(value: &Value, body: Bytes) -> anyhow::Result<Self> {
        let text = |pointer| value.pointer(pointer).and_then(Value::as_str);
        let about_invoice = text("/data/object/object") == Some("invoice");
        Ok(Self {
            event: text("/id").context("the fixture has no id")?.to_owned(),
            invoice: text("/data/object/id")
                .filter(|_| about_invoice)
                .map(ToOwned::to_owned),
            body,
        })
    }

    /// The headers that Stripe sends it with, signed at `now`.
    ///
    /// # Errors
    /// If the secret is empty.
    pub fn headers(&self, secret: &Secret, now: Timestamp) -> anyhow::Result<HeaderMap> {
        let signature = stripe::sign(secret, now, &self.body).context("the secret is empty")?;
        Ok(HeaderMap::from_iter([
            (
                CONTENT_TYPE,
                HeaderValue::from_static("application/json; charset=utf-8"),
            ),
            (
                USER_AGENT,
                HeaderValue::from_static("Stripe/1.0 (+https://stripe.com/docs/webhooks)"),
            ),
            (
                HeaderName::from_static(stripe::HEADER),
                HeaderValue::from_str(&signature)?,
            ),
        ]))
    }
}

fn text(fixture: &str) -> anyhow::Result<&'static str> {
    let found = FIXTURES.iter().find(|(name, _)| *name == fixture);
    found
        .map(|(_, text)| *text)
        .ok_or_else(|| anyhow!("there is no fixture `{fixture}`"))
}

/// What came of one post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Posted {
    /// The platform's id of the webhook.
    pub webhook: String,
    /// The invoice it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoice: Option<String>,
    /// What was answered.
    #[serde(flatten)]
    pub answer: Answer,
    /// How long it took, in milliseconds.
    pub took_ms: i128,
}

/// What was answered to a post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// An answer.
    Status {
        /// The HTTP status.
        status: u16,
        /// The body, or its beginning.
        body: String,
    },
    /// None.
    Failure {
        /// Why.
        failure: Failure,
    },
}

impl Answer {
    fn accepted(&self) -> bool {
        matches!(
            self,
            Self::Status {
                status: 200..=299,
                ..
            }
        )
    }
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Answered {
                status, excerpt, ..
            } => Self::Status {
                status,
                body: excerpt,
            },
            Outcome::Failed(failure) => Self::Failure { failure },
        }
    }
}

impl fmt::Display for Posted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answer {
            Answer::Status { status, .. } if self.answer.accepted() => {
                write!(f, "accepted: {status}")?
            }
            Answer::Status { status, body } => write!(f, "refused: {status} {body}")?,
            Answer::Failure { failure } => write!(f, "no answer: {failure:?}")?,
        }
        write!(f, " in {} ms, {}", self.took_ms, self.webhook)?;
        self.invoice
            .iter()
            .try_for_each(|invoice| write!(f, " about {invoice}"))
    }
}

/// What came of many posts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How many were accepted.
    pub accepted: u32,
    /// How many were refused.
    pub refused: u32,
    /// How many were not answered.
    pub unanswered: u32,
    /// How long it took, in milliseconds.
    pub took_ms: i128,
}

impl Summary {
    fn count(&mut self, answer: &Answer) {
        match answer {
            Answer::Status { .. } if answer.accepted() => self.accepted += 1,
            Answer::Status { .. } => self.refused += 1,
            Answer::Failure { .. } => self.unanswered += 1,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            accepted,
            refused,
            unanswered,
            took_ms,
        } = self;
        let sent = i128::from(accepted + refused + unanswered);
        let a_second = sent * 1000 / took_ms.max(&1);
        write!(
            f,
            "{accepted} accepted, {refused} refused, {unanswered} not answered in {took_ms} ms ({a_second} a second)"
        )
    }
}

/// Does what `cargo local send` was asked to do.
///
/// # Errors
/// If anything was not accepted.
pub async fn run(args: &SendArgs, audience: Audience) -> anyhow::Result<()> {
    let url = args
        .url
        .clone()
        .unwrap_or_else(|| format!("http://127.0.0.1:3000{}", demo::webhook_path()));
    let secret = Secret::new(args.secret.as_deref().unwrap_or(demo::STRIPE_SECRET));
    let webhook = || match args.same {
        true => Webhook::same(&args.event),
        false => {
            let (now, entropy) = (SystemClock.now(), SystemEntropy);
            Webhook::fresh(&args.event, args.invoice.as_deref(), now, &entropy)
        }
    };
    if let Some(file) = &args.as_lambda_event {
        let now = SystemClock.now();
        let webhook = webhook()?;
        let event = lambda_event::of(&url, &webhook.headers(&secret, now)?, &webhook.body, now)?;
        return lambda_event::write(file, &event);
    }
    // Anybody's server may be sent to: the vetting of targets is for what others ask us to call.
    let everywhere = vec!["0.0.0.0/0".parse()?, "::/0".parse()?];
    let transport = Https::new(Vetting::new(everywhere, None), Arc::new(SystemClock))?;
    let sender = Sender {
        url,
        secret,
        transport: Arc::new(transport),
    };
    match args.times {
        1 => sender.one(&webhook()?, audience).await,
        times => {
            let webhooks = (0..times)
                .map(|_| webhook())
                .collect::<anyhow::Result<Vec<_>>>()?;
            sender.many(webhooks, audience).await
        }
    }
}

/// Posts webhooks to one place.
struct Sender {
    url: String,
    secret: Secret,
    transport: Arc<dyn Transport>,
}

impl Sender {
    async fn post(&self, webhook: &Webhook) -> anyhow::Result<Posted> {
        let began = SystemClock.now();
        let request = Request {
            url: self.url.clone(),
            headers: webhook.headers(&self.secret, began)?,
            body: webhook.body.clone(),
            deadline: DEADLINE,
            keep: EXCERPT_MOST,
        };
        let answer = self.transport.post(request).await.into();
        Ok(Posted {
            webhook: webhook.event.clone(),
            invoice: webhook.invoice.clone(),
            answer,
            took_ms: SystemClock.now().duration_since(began).as_millis(),
        })
    }

    async fn one(&self, webhook: &Webhook, audience: Audience) -> anyhow::Result<()> {
        let posted = self.post(webhook).await?;
        say(&posted, audience)?;
        match posted.answer {
            Answer::Failure { failure } => bail!(self.unanswered(failure)),
            Answer::Status { status, .. } if !posted.answer.accepted() => {
                bail!("{} answered {status}", self.url)
            }
            Answer::Status { .. } => Ok(()),
        }
    }

    async fn many(&self, webhooks: Vec<Webhook>, audience: Audience) -> anyhow::Result<()> {
        let began = SystemClock.now();
        let total = webhooks.len();
        let done = AtomicU32::new(0);
        let posting = async {
            let mut summary = Summary::default();
            let mut trouble = None;
            let mut posts = futures::stream::iter(&webhooks)
                .map(|webhook| self.post(webhook))
                .buffer_unordered(AT_ONCE);
            while let Some(posted) = posts.next().await {
                let posted = posted?;
                done.fetch_add(1, Ordering::Relaxed);
                summary.count(&posted.answer);
                if !posted.answer.accepted() && trouble.is_none() {
                    trouble = Some(posted);
                }
            }
            summary.took_ms = SystemClock.now().duration_since(began).as_millis();
            anyhow::Ok((summary, trouble))
        };
        let progress = || eprintln!("{} of {total} sent", done.load(Ordering::Relaxed));
        let (summary, trouble) = pump::with_progress(PROGRESS, posting, progress).await?;
        say(&summary, audience)?;
        match trouble {
            None => Ok(()),
            Some(Posted {
                answer: Answer::Failure { failure },
                ..
            }) => {
                bail!(self.unanswered(failure))
            }
            Some(posted) => bail!("the first that was not accepted: {posted}"),
        }
    }

    fn unanswered(&self, failure: Failure) -> String {
        let url = &self.url;
        match failure {
            Failure::Refused => {
                format!(
                    "nothing listens at {url}; start it with `cargo local`, or name it with --url"
                )
            }
            Failure::Blocked => format!("{url} is not an http or https URL"),
            Failure::Timeout => format!("{url} did not answer within {} s", DEADLINE.as_secs()),
            Failure::Dns => format!("the host of {url} has no address"),
            Failure::Tls => format!("no secure connection to {url}"),
            Failure::Closed | Failure::Protocol | Failure::Unsigned | Failure::Locked => {
                format!("{url} ended the connection without an answer")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;
    use shared::entropy::SeededEntropy;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time in range")
    }

    #[test]
    fn the_signature_is_what_stripe_documents() {
        let webhook = Webhook::same("invoice.paid").expect("a fixture");
        let headers = webhook
            .headers(&Secret::new("whsec_x"), at(1_700_000_000))
            .expect("signed");
        let header = headers
            .get("stripe-signature")
            .and_then(|value| value.to_str().ok());
        // Stripe, "Verify webhook signatures manually": HMAC-SHA256 of `timestamp.body`.
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"whsec_x");
        let tag = hmac::sign(&key, &[b"1700000000.", webhook.body.as_ref()].concat());
        let want = format!("t=1700000000,v1={}", HEXLOWER.encode(tag.as_ref()));
        assert_eq!(header, Some(want.as_str()));
    }

    #[test]
    fn a_fresh_webhook_differs_from_the_fixture_in_its_ids_and_its_time_only() {
        let (now, entropy) = (at(1_800_000_000), SeededEntropy::new(1));
        for (name, text) in FIXTURES {
            let webhook = Webhook::fresh(name, None, now, &entropy).expect("a fixture");
            let mut fixture: Value = serde_json::from_str(text).expect("JSON");
            let fresh: Value = serde_json::from_slice(&webhook.body).expect("JSON");
            assert_eq!(
                fresh.pointer("/created"),
                Some(&now.as_second().into()),
                "{name}"
            );
            assert_ne!(fresh.pointer("/id"), fixture.pointer("/id"), "{name}");
            assert_eq!(
                webhook.invoice.is_some(),
                name.starts_with("invoice."),
                "{name}"
            );
            let invoice = [
                "/data/object/id",
                "/data/object/charge",
                "/data/object/payment_intent",
            ];
            for pointer in ["/id", "/created"].iter().chain(&invoice) {
                if let Some((place, new)) = fixture.pointer_mut(pointer).zip(fresh.pointer(pointer))
                {
                    *place = new.clone();
                }
            }
            assert_eq!(fresh, fixture, "{name}");
        }
    }

    #[test]
    fn one_more_word_about_an_invoice_keeps_the_invoice_and_makes_a_new_charge() {
        let (now, entropy) = (at(1_800_000_000), SeededEntropy::new(1));
        let fresh = |name| Webhook::fresh(name, Some("in_1"), now, &entropy).expect("a fixture");
        let [failed, paid] = ["invoice.payment_failed", "invoice.paid"].map(fresh);
        let charge = |webhook: &Webhook| {
            let value: Value = serde_json::from_slice(&webhook.body).expect("JSON");
            value.pointer("/data/object/charge").cloned()
        };
        assert_eq!(
            (failed.invoice.as_deref(), paid.invoice.as_deref()),
            (Some("in_1"), Some("in_1"))
        );
        assert_ne!(failed.event, paid.event);
        assert_ne!(charge(&failed), charge(&paid));
    }

    #[test]
    fn an_empty_secret_signs_nothing() {
        let webhook = Webhook::same("invoice.paid").expect("a fixture");
        assert!(webhook.headers(&Secret::new(""), at(0)).is_err());
    }
}
