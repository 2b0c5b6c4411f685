//! The demo receiver: `functions/receiver` on a queue and a memory in this process, with the example account, which says
//! what would have to be done.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::map_response;
use axum::response::Response;
use jiff::SignedDuration;
use receiver::event::Secrets;
use receiver::example::Example;
use receiver::handler::{Door, router};
use receiver::inprocess::{InProcessMemory, InProcessQueue, LINE, queues};
use receiver::ports::{Queue, Unavailable};
use receiver::settings::REMEMBER_DAYS_LEAST;
use receiver::worker::Worker;
use shared::entropy::SystemEntropy;
use shared::ids::EventId;
use shared::problem::chain;
use shared::queue::{Lease, QueueError, Receipt, Received};
use shared::secret::Secret;
use shared::time::Clock;
use tracing::{info, warn};

use crate::pump::{self, Stop};
use crate::queues::LongPoll;

/// How many messages are taken at once.
const BATCH: usize = 10;

/// The receiver.
pub struct Receiver {
    door: Door,
    worker: Worker,
    queues: Arc<LongPoll>,
    answer: StatusCode,
}

impl Receiver {
    /// A receiver that knows `secrets`, and answers genuine deliveries with `answer`: it takes them if that is a success.
    #[must_use]
    pub fn new(secrets: &[String], answer: StatusCode, clock: Arc<dyn Clock>) -> Self {
        let queues = Arc::new(LongPoll::new(
            queues(clock.clone()),
            clock.clone(),
            &SystemEntropy,
        ));
        let queue = Arc::new(InProcessQueue(queues.clone()));
        let door = Door {
            secrets: Arc::new(apart(secrets)),
            queue: match answer.is_success() {
                true => queue.clone(),
                false => Arc::new(TurnedDown(answer)),
            },
            clock: clock.clone(),
        };
        let worker = Worker {
            account: Arc::new(Example),
            memory: Arc::new(InProcessMemory::default()),
            queue,
            remember: SignedDuration::from_hours(24 * REMEMBER_DAYS_LEAST),
            clock,
        };
        Self {
            door,
            worker,
            queues,
            answer,
        }
    }

    /// Takes deliveries on any path.
    pub fn router(&self) -> Router {
        let answer = self.answer;
        let turned = move |mut response: Response| async move {
            if response.status() == StatusCode::OK {
                *response.status_mut() = answer;
            }
            response
        };
        router(self.door.clone()).layer(map_response(turned))
    }

    /// Works on what the door takes, until told to stop and nothing is left that is due.
    pub async fn work(&self, poll: SignedDuration, mut stop: Stop) {
        loop {
            let received = tokio::select! {
                () = pump::told(&mut stop) => break,
                received = self.queues.receive(LINE, BATCH, poll) => received,
            };
            self.handle(received).await;
        }
        while self
            .handle(self.queues.receive(LINE, BATCH, SignedDuration::ZERO).await)
            .await
            > 0
        {}
    }

    /// Handles a batch as the function does. How many messages there were.
    async fn handle(&self, received: Result<Vec<Received>, QueueError>) -> usize {
        let handled = async {
            let messages = received?;
            let count = messages.len();
            let receipts: Vec<_> = messages
                .iter()
                .map(|message| (message.id.clone(), message.receipt.clone()))
                .collect();
            let again = self.worker.run(messages).await;
            let done = receipts
                .into_iter()
                .filter(|(id, _)| !again.contains(id))
                .map(|(_, receipt)| receipt)
                .collect();
            self.queues.delete(LINE, done).await?;
            Ok::<_, QueueError>(count)
        };
        handled.await.unwrap_or_else(|problem| {
            warn!(error = chain(&problem), "the receiver's queue failed");
            0
        })
    }
}

/// Secrets by scheme, as their prefixes tell. Rafiki takes any text for a secret, but a public key is none.
fn apart(secrets: &[String]) -> Secrets {
    let with = |prefixes: &[&str], has: bool| -> Vec<Secret> {
        let fits = |secret: &&String| prefixes.iter().any(|it| secret.starts_with(it)) == has;
        secrets
            .iter()
            .filter(fits)
            .map(|secret| Secret::new(secret.as_str()))
            .collect()
    };
    Secrets {
        rafiki: with(&["whpk_"], false),
        standard: with(&["whsec_", "whpk_"], true),
    }
}

/// Takes nothing, since the sender is told to come again.
struct TurnedDown(StatusCode);

#[async_trait]
impl Queue for TurnedDown {
    async fn send(&self, id: &EventId, _: String) -> Result<(), Unavailable> {
        let answer = self.0.as_u16();
        info!(event.id = id.as_str(), answer, "turned down");
        Ok(())
    }

    async fn put_off(&self, _: &Receipt, _: SignedDuration) -> Result<(), Unavailable> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_never_a_secret_of_rafiki() {
        let given = ["whsec_a", "whpk_b", "text"].map(String::from);
        let Secrets { rafiki, standard } = apart(&given);
        let shown = |secrets: Vec<Secret>| -> Vec<String> {
            secrets.iter().map(|it| it.expose().to_owned()).collect()
        };
        assert_eq!(shown(rafiki), ["whsec_a", "text"]);
        assert_eq!(shown(standard), ["whsec_a", "whpk_b"]);
    }
}
