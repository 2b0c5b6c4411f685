//! A thin notification: ask the platform for the rest, once, and go on with what that comes to.
//!
//! What it came to is kept before anything else is done with it, so that neither a redelivery nor a death after that asks
//! again: the first to be kept is what everybody goes on with. What the platform does not tell, or not in time, is kept
//! too; what nobody could be asked for is not, so that a notification sent again after a key was given is enriched.
//!
//! What ends or holds the retries of an invoice waits for no platform: a merchant would be told meanwhile to charge for what
//! is paid. It is asked for once, and if that comes to nothing, its own words have to do.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use shared::event::{Event, EventType, Json, Recipients, SetAside, Source};
use shared::ids::{EventId, SignalId, TenantId};
use shared::platform::{Enriched, Enriching, Thin};
use shared::queue::task::{IgnoredTask, SignalTask, ThinTask};
use shared::queue::{Disposition, Received};
use shared::recovery::{Enrichment, SignalKind};
use shared::time::{later, until};
use tracing::{error, info, warn};

use crate::asking::{DEADLINE, Line, NotNow, Said};
use crate::handler::{Recover, Trouble};

/// All requests about one notification may take so long together; the function's time has to hold them.
const ASKING_MOST: SignedDuration = SignedDuration::from_secs(20);

/// No platform needs more answers for one notification.
const ANSWERS_MOST: usize = 8;

/// So long after a notification came, its platform is not asked again.
const TRIED_FOR: SignedDuration = SignedDuration::from_hours(12);

/// What asking came to, or that it has to be done again.
enum Asked {
    Told(Enriched),
    Problem(Enrichment),
    Later(NotNow),
}

impl Recover {
    pub(crate) async fn thin(
        &self,
        ThinTask { tenant, thin }: ThinTask,
        received: &Received,
    ) -> Result<Disposition, Trouble> {
        let enriched = match self.enrich(&tenant, &thin, received).await? {
            Ok(enriched) => enriched,
            Err(not_now) => {
                return Ok(Disposition::Retry {
                    after: not_now.wait(received),
                    tries: received.count,
                });
            }
        };
        match enriched {
            Enriched::Signal(signal) => {
                let signal = *signal;
                self.signal(SignalTask { tenant, signal }).await
            }
            Enriched::Ignored(ignored) => self.ignored(IgnoredTask { tenant, ignored }).await,
            Enriched::Unknown(problem) => self.set_aside(&tenant, &thin, problem).await,
        }
    }

    /// What a notification came to before, if it did.
    async fn known(&self, tenant: &TenantId, thin: &Thin) -> Result<Option<Enriched>, Trouble> {
        if let Some(kept) = self.enrichments.enriched(tenant, thin).await? {
            return Ok(Some(kept));
        }
        let Some(told) = &thin.told else {
            return Ok(None);
        };
        // Joined without being enriched, or so long ago that what it came to is not kept any more.
        let intent = self.intents.intent(tenant, &told.intent).await?;
        let seen = intent.is_some_and(|read| read.value.has_seen(&thin.id));
        Ok(seen.then(|| thin.unenriched(Enrichment::NoKey)))
    }

    async fn enrich(
        &self,
        tenant: &TenantId,
        thin: &Thin,
        received: &Received,
    ) -> Result<Result<Enriched, NotNow>, Trouble> {
        let (profile, account) = (&thin.profile_id, &thin.connector_account_id);
        let source = thin.platform.as_str();
        let line = match self.line(tenant, profile, account, source).await {
            Err(Trouble::Locked) if stops(thin) => {
                report(tenant, thin, Enrichment::Unreachable);
                return Ok(Ok(thin.unenriched(Enrichment::Unreachable)));
            }
            line => line?,
        };
        // Whether it was joined before is found when it is joined, at no further cost.
        let Some(line) = line else {
            report(tenant, thin, Enrichment::NoKey);
            return Ok(Ok(thin.unenriched(Enrichment::NoKey)));
        };
        if let Some(known) = self.known(tenant, thin).await? {
            return Ok(Ok(known));
        }
        let asked = match self.ask_for_the_rest(&line, thin).await {
            Asked::Later(not_now) if stops(thin) || self.waited(received) >= TRIED_FOR => {
                Asked::Problem(not_now.problem())
            }
            asked => asked,
        };
        let enriched = match asked {
            Asked::Told(enriched) => enriched,
            Asked::Problem(problem) => {
                report(tenant, thin, problem);
                thin.unenriched(problem)
            }
            Asked::Later(not_now) => {
                info!(
                    tenant = tenant.as_str(),
                    signal = thin.id.as_str(),
                    platform = source,
                    status = not_now.status,
                    "notification waits for its platform"
                );
                return Ok(Err(not_now));
            }
        };
        let kept = self
            .enrichments
            .keep_enriched(tenant, thin, enriched, self.clock.now())
            .await?;
        Ok(Ok(kept))
    }

    /// How long ago a message was sent.
    pub(crate) fn waited(&self, received: &Received) -> SignedDuration {
        self.clock.now().duration_since(received.sent)
    }

    async fn ask_for_the_rest(&self, line: &Line, thin: &Thin) -> Asked {
        let due = later(self.clock.now(), ASKING_MOST);
        let mut answers = Vec::new();
        while answers.len() <= ANSWERS_MOST {
            let request = match line.api.enrich(thin, &answers) {
                Ok(Enriching::Ask(request)) => request,
                Ok(Enriching::Signal(mut signal)) => {
                    // An adapter that did not find the charge says so itself.
                    if let Some(charge) = &mut signal.charge
                        && charge.details.enrichment == Enrichment::NotNeeded
                    {
                        charge.details.enrichment = Enrichment::Enriched;
                    }
                    return Asked::Told(Enriched::Signal(signal));
                }
                Ok(Enriching::Ignored(ignored)) => return Asked::Told(Enriched::Ignored(ignored)),
                Err(problem) => {
                    warn!(signal = thin.id.as_str(), error = %problem, "a notification or an answer was not understood");
                    return Asked::Problem(Enrichment::NotUnderstood);
                }
            };
            let left = until(self.clock.now(), due).min(DEADLINE);
            if left.is_zero() {
                return Asked::Later(NotNow::NO_TIME);
            }
            match self.ask(line, request, left).await {
                Said::Yes(answer) if answer.whole => answers.push(answer.body),
                Said::Yes(_) => {
                    warn!(signal = thin.id.as_str(), "an answer is too long");
                    return Asked::Problem(Enrichment::NotUnderstood);
                }
                Said::No(status) => {
                    warn!(
                        signal = thin.id.as_str(),
                        status, "a platform refused to answer"
                    );
                    return Asked::Problem(Enrichment::Refused);
                }
                Said::NotNow(not_now) => return Asked::Later(not_now),
            }
        }
        warn!(
            signal = thin.id.as_str(),
            "a notification takes too many answers"
        );
        Asked::Problem(Enrichment::NotUnderstood)
    }

    /// Records a notification of which too little is known.
    async fn set_aside(
        &self,
        tenant: &TenantId,
        thin: &Thin,
        problem: Enrichment,
    ) -> Result<Disposition, Trouble> {
        let event = event_of(tenant, thin, problem);
        let nobody = Recipients::SetAside(SetAside::NotEnriched);
        let _recorded = self
            .events
            .record(tenant, &event, &nobody, self.clock.now())
            .await?;
        // An alarm counts this line: what the notification told of is lost to recovery until somebody looks.
        error!(
            tenant = tenant.as_str(),
            signal = thin.id.as_str(),
            event.id = event.id.as_str(),
            event.type = event.event_type.as_str(),
            problem = problem.as_str(),
            "notification not enriched"
        );
        Ok(Disposition::Done)
    }
}

/// Whether it tells by itself that nothing may be charged for now.
fn stops(thin: &Thin) -> bool {
    thin.told.as_ref().is_some_and(|told| match told.kind {
        SignalKind::PaymentSucceeded
        | SignalKind::PaymentPending
        | SignalKind::InvoiceCancelled => true,
        SignalKind::PaymentFailed | SignalKind::Other => false,
    })
}

fn report(tenant: &TenantId, thin: &Thin, problem: Enrichment) {
    warn!(
        tenant = tenant.as_str(),
        signal = thin.id.as_str(),
        profile = thin.profile_id.as_str(),
        account = thin.connector_account_id.as_str(),
        problem = problem.as_str(),
        told = thin.told.is_some(),
        "the platform told no more than its notification"
    );
}

/// What is kept of a notification of which the platform did not tell the rest.
#[derive(Serialize)]
struct Notification<'a> {
    notification_id: &'a SignalId,
    platform_type: &'a EventType,
    occurred_at: Timestamp,
    problem: Enrichment,
}

fn event_of(tenant: &TenantId, thin: &Thin, problem: Enrichment) -> Event {
    let source = thin.platform.as_str();
    let data = Notification {
        notification_id: &thin.id,
        platform_type: &thin.platform_type,
        occurred_at: thin.at,
        problem,
    };
    Event {
        id: EventId::derive(tenant, source, thin.id.as_str(), "not_enriched"),
        event_type: thin.platform_type.clone(),
        data: Json::of(&data).expect("ids, types and times always have a JSON form"),
        at: thin.at,
        source: Source::new(source),
        resource: None,
    }
}
