//! What every story plays on: the functions and their queues in this process, a clock that is driven, and a voice.

use std::fmt;
use std::sync::Arc;

use anyhow::ensure;
use axum::Router;
use axum::body::{Body, to_bytes};
use http::{Method, Request};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
use shared::delivery::{Failure, Vetting};
use shared::entropy::SeededEntropy;
use shared::queue::Queue;
use shared::queue::memory::MemoryQueues;
use shared::secret::{Keyring, Secret, key_hash};
use shared::store::dynamo::create_table;
use shared::time::{Clock, ManualClock};
use shared::transport::{Answer, Call, Caller, Transport};
use tower::ServiceExt;

use crate::embedded::{Embedded, TABLE};
use crate::lines::{Audience, say};
use crate::world::{Parts, World};

/// When stories begin: when the fixtures do.
pub(super) const BEGIN_S: i64 = 1_735_689_660;
/// A story that takes more steps than this has lost its thread.
pub(super) const STEPS_MOST: usize = 1000;
/// The operator's key.
const OPERATOR_KEY: &str = "operator-demo-key";
/// More of an answer is not read.
const BODY_MOST: usize = 1024 * 1024;

/// How times are shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shown {
    /// To the minute.
    Minutes,
    /// To the second.
    Seconds,
}

impl Shown {
    /// A time as the story shows it.
    pub(super) fn time(self, at: Timestamp) -> String {
        let form = match self {
            Self::Minutes => "%Y-%m-%d %H:%M",
            Self::Seconds => "%H:%M:%S",
        };
        at.to_zoned(TimeZone::UTC).strftime(form).to_string()
    }
}

/// One step of a story.
#[derive(Debug, Serialize)]
struct Line {
    at: Timestamp,
    who: &'static str,
    what: String,
    #[serde(skip)]
    shown: Shown,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.shown.time(self.at);
        write!(f, "{at}  {:<9} {}", self.who, self.what)
    }
}

/// What a story plays on.
pub(super) struct Stage {
    pub(super) clock: Arc<ManualClock>,
    pub(super) world: World,
    queues: MemoryQueues,
    api: Router,
    shown: Shown,
    audience: Audience,
    /// Ends with the story.
    _table: Embedded,
}

impl Stage {
    /// A stage at the beginning of a story, with an empty table, and `outside` for everybody else. What `outside` needs of
    /// the clock it is given.
    pub(super) async fn set<O: Transport + Caller + 'static>(
        outside: impl FnOnce(Arc<dyn Clock>) -> anyhow::Result<O>,
        shown: Shown,
        audience: Audience,
    ) -> anyhow::Result<(Self, Arc<O>)> {
        let table = Embedded::in_memory().await?;
        create_table(&table.client(), TABLE).await?;
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(BEGIN_S)?));
        let entropy = Arc::new(SeededEntropy::new(BEGIN_S.unsigned_abs()));
        let queues = MemoryQueues::new(clock.clone());
        let outside = Arc::new(outside(clock.clone())?);
        let keyring = Keyring::parse(&crate::data::new_key(entropy.as_ref()))?;
        let world = World::new(Parts {
            dynamodb: table.client(),
            table: TABLE.to_owned(),
            queues: Arc::new(queues.clone()),
            dead: Arc::new(queues.dead_letters()),
            transport: outside.clone(),
            platforms: outside.clone(),
            business: outside.clone(),
            keyring: Arc::new(keyring),
            vetting: Vetting::default(),
            operator_key_hash: key_hash(&Secret::new(OPERATOR_KEY)),
            retention: SignedDuration::from_hours(30 * 24),
            clock: clock.clone(),
            entropy,
        });
        let stage = Self {
            api: world.api(),
            clock,
            world,
            queues,
            shown,
            audience,
            _table: table,
        };
        Ok((stage, outside))
    }

    /// Says what happens now.
    pub(super) fn tell(&self, who: &'static str, what: impl Into<String>) -> anyhow::Result<()> {
        let line = Line {
            at: self.clock.now(),
            who,
            what: what.into(),
            shown: self.shown,
        };
        say(&line, self.audience)
    }

    /// A time as the story shows it.
    pub(super) fn time(&self, at: Timestamp) -> String {
        self.shown.time(at)
    }

    /// Asks the API with the operator's key.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let text = body.map(ToString::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {OPERATOR_KEY}"))
            .header("content-type", "application/json")
            .body(Body::from(text))?;
        self.post(request).await
    }

    /// Has the API answer a request, which must succeed.
    pub(super) async fn post(&self, request: Request<Body>) -> anyhow::Result<Value> {
        let path = request.uri().path().to_owned();
        let answer = self.api.clone().oneshot(request).await?;
        let status = answer.status();
        let body = to_bytes(answer.into_body(), BODY_MOST).await?;
        ensure!(
            status.is_success(),
            "{path} answered {status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }

    /// When the next message can be had.
    pub(super) fn next_message(&self) -> Option<Timestamp> {
        let next = Queue::ALL.map(|queue| self.queues.next_visible(queue));
        next.into_iter().flatten().min()
    }

    /// Lets the time pass until `then`, when the schedule runs.
    pub(super) async fn pass(&self, then: Timestamp) -> anyhow::Result<()> {
        self.clock.advance_to(then);
        self.world.sweep().await?;
        Ok(())
    }
}

/// What `router` answers to `call`.
///
/// # Errors
/// [`Failure::Protocol`] for what is no request.
pub(super) async fn answered(router: Router, call: Call) -> Result<Answer, Failure> {
    let uri: http::Uri = call.url.parse().map_err(|_| Failure::Protocol)?;
    let path = uri.path_and_query().ok_or(Failure::Protocol)?;
    let request = Request::builder()
        .method(call.method)
        .uri(path.as_str())
        .body(Body::from(call.body));
    let mut request = request.map_err(|_| Failure::Protocol)?;
    request.headers_mut().extend(call.headers);
    let answered = router.oneshot(request).await;
    let answer = answered.unwrap_or_else(|never| match never {});
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), call.most).await;
    Ok(Answer::of(status, body.map_err(|_| Failure::Protocol)?))
}
