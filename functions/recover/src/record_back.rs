//! A success that the billing platform does not know: tell it, until it has it, and keep what came of that.
//!
//! Every try is counted on the intent before it is made, so that whoever asks knows whether an earlier try, its own or that
//! of another message, may have reached the platform without an answer to us. All tries carry one idempotency key, derived
//! from the success, so that such a try tells it once all the same; only a platform that keeps its own failures under a
//! key is given another key after one. A platform that has it already refuses; its own word that the invoice was collected
//! then settles it, and settles also what was given up.

use jiff::{SignedDuration, Timestamp};
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
    status: Option<u16>,
    platform_id: Option<String>,
}

impl Tried {
    /// The platform knows by now, by an earlier try of which the answer was lost, or otherwise.
    const KNOWN: Self = Self {
        state: Recording::Recorded,
        status: None,
        platform_id: None,
    };

    /// Nobody could be asked.
    const IMPOSSIBLE: Self = Self {
        state: Recording::Failed,
        status: None,
        platform_id: None,
    };

    fn of(state: Recording, status: Option<u16>) -> Self {
        Self {
            state,
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
        Self::of(state, status)
    }

    fn over(self, before: &RecordBack, at: Timestamp) -> RecordBack {
        RecordBack {
            state: self.state,
            at,
            // The last answer stays the last one where no other came.
            status: self.status.or(before.status),
            platform_id: self.platform_id,
            ..before.clone()
        }
    }
}

/// What is to be done now.
enum Next {
    /// Nothing: there is nothing to tell any more.
    Nothing,
    /// It has come to an end without asking.
    Keep(RecordBack),
    /// The platform is to be asked.
    Ask(Box<Question>),
}

/// One try, which is counted already.
struct Question {
    line: Line,
    request: ApiRequest,
    /// How telling it stands, this try included.
    counted: RecordBack,
}

impl Recover {
    pub(crate) async fn record_back(
        &self,
        task: RecordBackTask,
        received: &Received,
    ) -> Result<Disposition, Trouble> {
        let (recording, not_now) = match self.next(&task).await? {
            Next::Nothing => return Ok(Disposition::Done),
            Next::Keep(recording) => (recording, None),
            Next::Ask(question) => {
                let Question {
                    line,
                    request,
                    counted,
                } = *question;
                let (tried, not_now) = self.tell(&line, request, &counted, received).await;
                (tried.over(&counted, self.clock.now()), not_now)
            }
        };
        if !self.keep(&task, &recording).await? {
            return Ok(Disposition::Done);
        }
        let RecordBackTask { tenant, intent } = &task;
        let (tenant, invoice) = (tenant.as_str(), intent.invoice_id.as_str());
        let status = recording.status;
        match (recording.state, not_now) {
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

    /// What is to be done. A try is counted before it is made, and of several who would make it at once one counts first.
    async fn next(&self, task: &RecordBackTask) -> Result<Next, Trouble> {
        let RecordBackTask { tenant, intent } = task;
        for _ in 0..RACES {
            let now = self.clock.now();
            let Some(read) = self.intents.intent(tenant, intent).await? else {
                return Ok(Next::Nothing);
            };
            let mut value = read.value;
            let Some(waiting) = waiting(&value).cloned() else {
                return Ok(Next::Nothing);
            };
            if value.platform_knows() {
                return Ok(Next::Keep(Tried::KNOWN.over(&waiting, now)));
            }
            let Some((line, request)) = self.question(task, &value, &waiting).await? else {
                return Ok(Next::Keep(Tried::IMPOSSIBLE.over(&waiting, now)));
            };
            let counted = RecordBack {
                tries: waiting.tries.saturating_add(1),
                at: now,
                ..waiting
            };
            value.record_back = Some(counted.clone());
            let step = IntentStep::alone(&value, Some(read.version));
            if self.intents.save_step(tenant, &step, now).await? == Saved::Stored {
                return Ok(Next::Ask(Box::new(Question {
                    line,
                    request,
                    counted,
                })));
            }
        }
        Err(Trouble::Contended)
    }

    /// What to ask of whom; `None` if nobody can be asked.
    async fn question(
        &self,
        RecordBackTask {
            tenant,
            intent: key,
        }: &RecordBackTask,
        intent: &Intent,
        waiting: &RecordBack,
    ) -> Result<Option<(Line, ApiRequest)>, Trouble> {
        let (profile, account) = (&key.profile_id, &key.connector_account_id);
        let line = self
            .line(tenant, profile, account, intent.source.as_str())
            .await?;
        // What is not collected any more must not be told as if it were.
        let Some(line) = line.filter(|_| intent.state == State::Recovered) else {
            return Ok(None);
        };
        let failed = waiting.status.is_some_and(|status| status >= 500);
        let what = match failed && line.api.keeps_answers() {
            true => format!("record_back {}", waiting.tries),
            false => "record_back".to_owned(),
        };
        let once = EventId::derive(tenant, &subject(key), waiting.charge.as_str(), &what);
        let request = line.api.record_back(intent, once.as_str());
        Ok(request.map(|request| (line, request)))
    }

    async fn tell(
        &self,
        line: &Line,
        request: ApiRequest,
        counted: &RecordBack,
        received: &Received,
    ) -> (Tried, Option<NotNow>) {
        let waited = self.waited(received);
        let given_up = waited >= TRIED_FOR;
        let may_have_it = counted.tries > 1 && waited < LOST_FOR;
        match self.ask(line, request, DEADLINE).await {
            // Who does not name what it recorded may not be the platform: some page at a wrong address says 200 too.
            Said::Yes(answer) => match line.api.recorded_id(&answer.body) {
                Some(id) => {
                    let tried = Tried {
                        platform_id: Some(id),
                        ..Tried::of(Recording::Recorded, Some(answer.status))
                    };
                    (tried, None)
                }
                None => (Tried::unless(given_up, Some(answer.status)), None),
            },
            Said::No(409) if line.api.keeps_answers() => (Tried::unless(given_up, Some(409)), None),
            // So is what is paid already refused: by Stripe 400, by Chargebee 409, by Recurly 422.
            Said::No(status @ (400 | 409 | 422)) if may_have_it => {
                (Tried::of(Recording::Waiting, Some(status)), None)
            }
            Said::No(status) => (Tried::of(Recording::Failed, Some(status)), None),
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
            let mut changed = read.value;
            let Some(known) = changed.record_back.as_mut() else {
                return Ok(false);
            };
            if !beats(recording, known) {
                return Ok(false);
            }
            // Others may have counted a try meanwhile.
            let tries = known.tries.max(recording.tries);
            *known = RecordBack {
                tries,
                ..recording.clone()
            };
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
fn beats(recording: &RecordBack, known: &RecordBack) -> bool {
    known.charge == recording.charge
        && match known.state {
            Recording::Waiting => true,
            Recording::Failed => recording.state == Recording::Recorded,
            Recording::Recorded => false,
        }
}

/// The platform's own word that the invoice was collected settles what it was to be told, given up or not. Whether it did.
pub(crate) fn settle(intent: &mut Intent, now: Timestamp) -> bool {
    let knows = intent.platform_knows();
    let told = intent.record_back.as_mut();
    match told.filter(|told| knows && told.state != Recording::Recorded) {
        Some(told) => {
            told.state = Recording::Recorded;
            told.at = now;
            true
        }
        None => false,
    }
}

fn subject(key: &IntentKey) -> String {
    [
        key.profile_id.as_str(),
        key.connector_account_id.as_str(),
        key.invoice_id.as_str(),
    ]
    .join("/")
}
