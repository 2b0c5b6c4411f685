//! `cargo local send`: a webhook of a billing platform or a payment backend, signed as its sender signs it, and posted.

pub mod chargebee;
pub mod rafiki;
pub mod recurly;
pub mod stripe;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, bail};
use bytes::Bytes;
use data_encoding::BASE64;
use futures::StreamExt;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
use shared::delivery::{EXCERPT_MOST, Failure, Outcome, Request, Vetting};
use shared::entropy::SystemEntropy;
use shared::secret::Secret;
use shared::signature::{
    rafiki as rafiki_signature, recurly as recurly_signature, stripe as stripe_signature,
};
use shared::time::{Clock, SystemClock};
use shared::transport::Transport;
use shared::transport::https::Https;

use crate::cli::{PostArgs, Send};
use crate::lines::{Audience, say};
use crate::platform_api::Kind;
use crate::{demo, lambda_event, pump};

/// So many posts are under way at once.
const AT_ONCE: usize = 32;
/// So long an answer may take.
const DEADLINE: SignedDuration = SignedDuration::from_secs(15);
/// Progress is shown after so long, and as often.
const PROGRESS: SignedDuration = SignedDuration::from_secs(2);

/// A webhook, not signed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The sender's id of it.
    pub event: String,
    /// The invoice it is about, if it is about one.
    pub invoice: Option<String>,
    /// The body.
    pub body: Bytes,
    /// How its sender signs.
    pub signing: Signing,
    /// What the sender's API tells of it when it is asked.
    pub behind: Vec<(Kind, Value)>,
}

/// How a sender signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// As Stripe does.
    Stripe,
    /// As Recurly does.
    Recurly,
    /// Not at all: Chargebee sends the user and the password of HTTP Basic, here `user:password`.
    Basic,
    /// As Rafiki does.
    Rafiki,
}

impl Webhook {
    /// The headers that its sender sends it with, signed at `now`.
    ///
    /// # Errors
    /// If the secret is empty.
    pub fn headers(&self, secret: &Secret, now: Timestamp) -> anyhow::Result<HeaderMap> {
        let (content_type, user_agent, name, signature) = match self.signing {
            Signing::Stripe => (
                "application/json; charset=utf-8",
                "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
                stripe_signature::HEADER,
                stripe_signature::sign(secret, now, &self.body),
            ),
            Signing::Recurly => (
                "application/json; charset=utf-8",
                "Recurly Webhooks/2.0",
                recurly_signature::HEADER,
                recurly_signature::sign(secret, now, &self.body),
            ),
            Signing::Basic => (
                "application/json;charset=utf-8",
                "ChargeBee",
                "authorization",
                basic(secret),
            ),
            Signing::Rafiki => (
                "application/json",
                "axios/1.16.0",
                rafiki_signature::HEADER,
                rafiki_signature::sign(&[secret], now, &self.body),
            ),
        };
        let signature = signature.context("the secret is empty")?;
        Ok(HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static(content_type)),
            (USER_AGENT, HeaderValue::from_static(user_agent)),
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(&signature)?,
            ),
        ]))
    }
}

/// The `Authorization` header of a secret `user:password`; `None` for an empty one.
fn basic(secret: &Secret) -> Option<String> {
    let pair = secret.expose();
    (!pair.is_empty()).then(|| format!("Basic {}", BASE64.encode(pair.as_bytes())))
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
pub async fn run(args: &Send, audience: Audience) -> anyhow::Result<()> {
    let (now, entropy) = (|| SystemClock.now(), &SystemEntropy);
    match args {
        Send::Stripe(args) => {
            let webhook = || match args.same {
                true => stripe::same(&args.event),
                false => stripe::fresh(&args.event, args.invoice.as_deref(), now(), entropy),
            };
            let to = To::new(
                url(&args.post, &demo::webhook_path(), None),
                demo::STRIPE_SECRET,
            );
            deliver(&args.post, to, webhook, audience).await
        }
        Send::Chargebee(args) => {
            let webhook = || chargebee::fresh(&args.event, args.invoice.as_deref(), now(), entropy);
            let path = demo::webhook_path_of(demo::CHARGEBEE_ACCOUNT);
            let to = To::new(url(&args.post, &path, None), demo::CHARGEBEE_PAIR);
            deliver(&args.post, to, webhook, audience).await
        }
        Send::Recurly(args) => {
            let webhook = || recurly::fresh(&args.event, args.invoice.as_deref(), now(), entropy);
            let path = demo::webhook_path_of(demo::RECURLY_ACCOUNT);
            let mut to = To::new(url(&args.post, &path, None), demo::RECURLY_SECRET);
            if let Some(platform) = &args.platform {
                platform.trim_end_matches('/').clone_into(&mut to.platform);
            }
            deliver(&args.post, to, webhook, audience).await
        }
        Send::Rafiki(args) => {
            let webhook = || rafiki::fresh(&args.event, args.id.as_deref(), now(), entropy);
            let to = To::new(
                url(&args.post, &demo::events_path(), args.recipients.as_deref()),
                demo::PUBLISHER_SECRET,
            );
            deliver(&args.post, to, webhook, audience).await
        }
    }
}

/// Where a webhook goes.
struct To<'a> {
    url: String,
    /// The demo's secret there.
    secret: &'a str,
    /// Where the stand-in for the sender's API is.
    platform: String,
}

impl<'a> To<'a> {
    fn new(url: String, secret: &'a str) -> Self {
        Self {
            url,
            secret,
            platform: format!("http://127.0.0.1:3001{}", demo::PLATFORM_PATH),
        }
    }
}

/// Where to post to: the demo's path unless `args` say otherwise, and for whom.
fn url(args: &PostArgs, path: &str, recipients: Option<&str>) -> String {
    let url = args.url.clone();
    let url = url.unwrap_or_else(|| format!("http://127.0.0.1:3000{path}"));
    match recipients {
        Some(roles) if url.contains('?') => format!("{url}&recipients={roles}"),
        Some(roles) => format!("{url}?recipients={roles}"),
        None => url,
    }
}

/// Posts what `webhook` makes, with the demo's secret unless `args` say otherwise.
async fn deliver(
    args: &PostArgs,
    to: To<'_>,
    webhook: impl Fn() -> anyhow::Result<Webhook>,
    audience: Audience,
) -> anyhow::Result<()> {
    let secret = Secret::new(args.secret.as_deref().unwrap_or(to.secret));
    if let Some(file) = &args.as_lambda_event {
        let now = SystemClock.now();
        let webhook = webhook()?;
        let event = lambda_event::of(&to.url, &webhook.headers(&secret, now)?, &webhook.body, now)?;
        return lambda_event::write(file, &event);
    }
    // Anybody's server may be sent to: the vetting of targets is for what others ask us to call.
    let everywhere = vec!["0.0.0.0/0".parse()?, "::/0".parse()?];
    let transport = Https::new(Vetting::new(everywhere, None), Arc::new(SystemClock))?;
    let sender = Sender {
        url: to.url,
        platform: to.platform,
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
    platform: String,
    secret: Secret,
    transport: Arc<dyn Transport>,
}

impl Sender {
    /// Has the stand-in for the sender's API know what it is going to be asked for.
    async fn put(&self, webhook: &Webhook) -> anyhow::Result<()> {
        for (kind, object) in &webhook.behind {
            let url = format!("{}/put/{}", self.platform, kind.as_str());
            let request = Request {
                url: url.clone(),
                headers: HeaderMap::from_iter([(
                    CONTENT_TYPE,
                    HeaderValue::from_static("application/json"),
                )]),
                body: serde_json::to_vec(object)?.into(),
                deadline: DEADLINE,
                keep: EXCERPT_MOST,
            };
            match self.transport.post(request).await.into() {
                answer @ Answer::Status { .. } if answer.accepted() => {}
                Answer::Status { status, .. } => bail!("{url} answered {status}"),
                Answer::Failure { .. } => bail!(
                    "the stand-in for the platform's API is not at {}; `cargo local` runs it on the receiver's port, or \
                     name it with --platform",
                    self.platform
                ),
            }
        }
        Ok(())
    }

    async fn post(&self, webhook: &Webhook) -> anyhow::Result<Posted> {
        self.put(webhook).await?;
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
    use super::*;

    #[test]
    fn recipients_are_named_at_whichever_url() {
        let at = |url: Option<&str>| PostArgs {
            url: url.map(ToOwned::to_owned),
            secret: None,
            times: 1,
            as_lambda_event: None,
        };
        let cases = [
            (None, "http://127.0.0.1:3000/p?recipients=ase,pos"),
            (
                Some("https://a.example/q"),
                "https://a.example/q?recipients=ase,pos",
            ),
            (
                Some("https://a.example/q?x=1"),
                "https://a.example/q?x=1&recipients=ase,pos",
            ),
        ];
        for (given, want) in cases {
            assert_eq!(url(&at(given), "/p", Some("ase,pos")), want);
        }
        assert_eq!(url(&at(None), "/p", None), "http://127.0.0.1:3000/p");
    }
}
