//! A success that the billing platform does not know: tell it, until it has it, and keep what came of that.
//!
//! Every try carries the same idempotency key, derived from the success, so that dying between the platform's answer and
//! our write tells it once all the same. A platform that knows no such keys refuses what it has already; its own word that
//! the invoice was collected then settles it. Each try is written to the intent, which shows it.

use jiff::SignedDuration;
use shared::ids::EventId;
use shared::platform::ApiRequest;
use shared::queue::task::RecordBackTask;
use shared::queue::{Disposition, Received};
use shared::recovery::{Intent, IntentKey, RecordBack, Recording, State};
use shared::store::{IntentStep, Saved};
use tracing::{error, info};

use crate::asking::{DEADLINE, Line, NotNow, Said};
use crate::handler::{RACES, Recover, Trouble};

/// So long after it was to be told first, a platform is not told any more.
const TRIED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// So long a refusal may be due to an earlier try of which the answer was lost.
const LOST_FOR: SignedDuration = SignedDuration::from_hours(1);

/// What one try came to.
struct Tried {
    state: Recording,
    /// Whether the platform was asked.
    asked: bool,
    status: Option<u16>,
    platform_id: Option<String>,
}

impl Tried {
    /// The platform knows by now, by an earlier try of which the answer was lost, or otherwise.
    const KNOWN: Self = Self {
        state: Recording::Recorded,
        asked: false,
        status: None,
        platform_id: None,
    };

    /// Nobody could be asked.
    const IMPOSSIBLE: Self = Self {
        state: Recording::Failed,
        asked: false,
        status: None,
        platform_id: None,
    };

    fn asked(state: Recording, status: Option<u16>) -> Self {
        Self {
            state,
            asked: true,
            status,
            platform_id: None,
        }
    }

    /// To be told again, unless that is `given_up`.
    fn unless(given_up: bool, status: Option<u16>) -> Self {
        let state = match given_up {
            true => Recording::Failed,
            false => Recording::Waiting,
        };
        Self::asked(state, status)
    }

    fn over(self, before: &RecordBack, at: jiff::Timestamp) -> RecordBack {
        RecordBack {
            state: self.state,
            charge: before.charge.clone(),
            began_by: before.began_by.clone(),
            tries: before.tries.saturating_add(u32::from(self.asked)),
            at,
            status: self.status,
            platform_id: self.platform_id,
        }
    }
}

impl Recover {
    pub(crate) async fn record_back(
        &self,
        task: RecordBackTask,
        received: &Received,
    ) -> Result<Disposition, Trouble> {
        let RecordBackTask { tenant, intent } = &task;
        let Some(read) = self.intents.intent(tenant, intent).await? else {
            return Ok(Disposition::Done);
        };
        let Some(waiting) = waiting(&read.value) else {
            return Ok(Disposition::Done);
        };
        let (tried, not_now) = if read.value.platform_knows() {
            (Tried::KNOWN, None)
        } else {
            self.try_to_tell(&task, &read.value, waiting, received)
                .await?
        };
        let (state, status) = (tried.state, tried.status);
        let recording = tried.over(waiting, self.clock.now());
        if !self.keep(&task, &recording).await? {
            return Ok(Disposition::Done);
        }
        let (tenant, invoice) = (tenant.as_str(), intent.invoice_id.as_str());
        match (state, not_now) {
            (Recording::Waiting, not_now) => {
                info!(
                    tenant,
                    invoice, status, "record-back waits for its platform"
                );
                return Ok(Disposition::Retry {
                    after: not_now.unwrap_or(NotNow::NO_TIME).wait(received),
                    tries: received.count,
                });
            }
            (Recording::Recorded, _) => info!(tenant, invoice, status, "success recorded back"),
            // An alarm counts this line: the platform goes on collecting what was collected.
            (Recording::Failed, _) => error!(tenant, invoice, status, "record-back failed"),
        }
        Ok(Disposition::Done)
    }

    async fn try_to_tell(
        &self,
        RecordBackTask {
            tenant,
            intent: key,
        }: &RecordBackTask,
        intent: &Intent,
        waiting: &RecordBack,
        received: &Received,
    ) -> Result<(Tried, Option<NotNow>), Trouble> {
        let (profile, account) = (&key.profile_id, &key.connector_account_id);
        let line = self
            .line(tenant, profile, account, intent.source.as_str())
            .await?;
        // What is not collected any more must not be told as if it were.
        let line = line.filter(|_| intent.state == State::Recovered);
        let charge = waiting.charge.as_str();
        let once = EventId::derive(tenant, &subject(key), charge, "record_back");
        let request = line
            .as_ref()
            .and_then(|line| line.api.record_back(intent, once.as_str()));
        Ok(match line.zip(request) {
            Some((line, request)) => self.tell(&line, request, received).await,
            None => (Tried::IMPOSSIBLE, None),
        })
    }

    async fn tell(
        &self,
        line: &Line,
        request: ApiRequest,
        received: &Received,
    ) -> (Tried, Option<NotNow>) {
        let waited = self.waited(received);
        let given_up = waited >= TRIED_FOR;
        match self.ask(line, request, DEADLINE).await {
            // Who does not name what it recorded may not be the platform: some page at a wrong address says 200 too.
            Said::Yes(answer) => match line.api.recorded_id(&answer.body) {
                Some(id) => {
                    let tried = Tried {
                        platform_id: Some(id),
                        ..Tried::asked(Recording::Recorded, Some(answer.status))
                    };
                    (tried, None)
                }
                None => (Tried::unless(given_up, Some(answer.status)), None),
            },
            Said::No(status @ (409 | 422)) if received.count > 1 && waited < LOST_FOR => {
                (Tried::asked(Recording::Waiting, Some(status)), None)
            }
            Said::No(status) => (Tried::asked(Recording::Failed, Some(status)), None),
            Said::NotNow(not_now) => (Tried::unless(given_up, not_now.status), Some(not_now)),
        }
    }

    /// Writes what came of a try to the intent, unless something else came of it meanwhile. Whether it was written.
    async fn keep(
        &self,
        RecordBackTask { tenant, intent }: &RecordBackTask,
        recording: &RecordBack,
    ) -> Result<bool, Trouble> {
        for _ in 0..RACES {
            let Some(read) = self.intents.intent(tenant, intent).await? else {
                return Ok(false);
            };
            if !beats(recording, read.value.record_back.as_ref()) {
                return Ok(false);
            }
            let mut changed = read.value;
            changed.record_back = Some(recording.clone());
            let saved = self
                .intents
                .save_step(
                    tenant,
                    &IntentStep::alone(&changed, Some(read.version)),
                    self.clock.now(),
                )
                .await?;
            if saved == Saved::Stored {
                return Ok(true);
            }
        }
        Err(Trouble::Contended)
    }
}

/// What the platform is still to be told.
fn waiting(intent: &Intent) -> Option<&RecordBack> {
    let record_back = intent.record_back.as_ref()?;
    (record_back.state == Recording::Waiting).then_some(record_back)
}

/// Whether what came of a try is still news: of the same success, and that it has it is the last word.
fn beats(recording: &RecordBack, known: Option<&RecordBack>) -> bool {
    known.is_some_and(|known| {
        known.charge == recording.charge
            && match known.state {
                Recording::Waiting => true,
                Recording::Failed => recording.state == Recording::Recorded,
                Recording::Recorded => false,
            }
    })
}

fn subject(key: &IntentKey) -> String {
    [
        key.profile_id.as_str(),
        key.connector_account_id.as_str(),
        key.invoice_id.as_str(),
    ]
    .join("/")
}
