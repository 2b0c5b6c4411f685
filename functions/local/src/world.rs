//! Every handler wired on given parts, in one value: `cargo local` runs it in real time, the tests drive it by hand.
//!
//! Nothing here decides anything. The handlers are the deployed ones, lifted to batches by the same code, and the doors
//! are told apart by their paths as the template does.

use std::sync::Arc;

use anchor::handler::Anchor;
use aws_sdk_dynamodb::Client;
use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use console::handler::Console;
use decide::handler::Decide;
use deliver::gate::Gate;
use deliver::handler::Deliver;
use deliver::ordered::DeliverOrdered;
use deliver::tries::Tries;
use fanout::handler::Fanout;
use ingest::handler::Ingest;
use jiff::SignedDuration;
use publish::handler::Publish;
use recover::handler::Recover;
use shared::access::Access;
use shared::delivery::Vetting;
use shared::entropy::Entropy;
use shared::problem::chain;
use shared::queue::{Batch, Enqueue, Handle, Lease, Queue, QueueError, Received};
use shared::secret::Keyring;
use shared::store::dynamo::DynamoStore;
use shared::store::{
    CachedAccounts, CachedBackends, CachedCredentials, CachedEndpoints, CachedReceivers,
    CachedRecoveryAccounts, CachedTenants, CachedTerms,
};
use shared::time::Clock;
use shared::transport::{Caller, Transport};
use sweep::handler::{Sweep, Swept, Trouble};
use tower::{ServiceExt, service_fn};
use tracing::warn;

use crate::queues::Queues;

/// SQS hands out at most so many messages at once, and the template asks for as many.
const BATCH: usize = 10;

/// What the handlers stand on.
pub struct Parts {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// The way to the table.
    pub dynamodb: Client,
    /// The table's name.
    pub table: String,
    /// The queues.
    pub queues: Arc<dyn Queues>,
    /// Their dead letters.
    pub dead: Arc<dyn Lease>,
    /// The way to endpoints.
    pub transport: Arc<dyn Transport>,
    /// The way to the billing platforms' APIs.
    pub platforms: Arc<dyn Caller>,
    /// The way to anchors' business servers.
    pub business: Arc<dyn Caller>,
    /// What seals secrets in the table.
    pub keyring: Arc<Keyring>,
    /// Which addresses endpoints may have.
    pub vetting: Vetting,
    /// The SHA-256 of the operator's key, in lower-case hex.
    pub operator_key_hash: String,
    /// How long what was recorded is kept.
    pub retention: SignedDuration,
}

/// All functions.
pub struct World {
    store: Arc<DynamoStore>,
    queues: Arc<dyn Queues>,
    api: Router,
    workers: [Batch; 4],
    sweep: Sweep,
}

impl World {
    /// Wires every handler on `parts`.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts {
            clock,
            entropy,
            queues,
            ..
        } = parts;
        let store = DynamoStore::new(
            parts.dynamodb,
            parts.table,
            parts.keyring,
            entropy.clone(),
            parts.retention,
        );
        // The bill is counted on this very wiring.
        let store = Arc::new(store.metered(true));
        let endpoints = Arc::new(CachedEndpoints::new(store.clone(), &clock));
        let enqueue: Arc<dyn Enqueue> = queues.clone();
        let lift = |handler: Arc<dyn Handle>| {
            Batch::new(
                handler,
                enqueue.clone(),
                queues.clone(),
                store.clone(),
                clock.clone(),
            )
        };
        let tries = Tries {
            deliveries: store.clone(),
            transport: parts.transport.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
        };
        let gate = Arc::new(Gate::new(store.clone(), clock.clone()));
        let workers = [
            lift(Arc::new(Recover {
                intents: store.clone(),
                terms: Arc::new(CachedTerms::new(store.clone(), clock.clone())),
                events: store.clone(),
                accounts: Arc::new(CachedRecoveryAccounts::new(store.clone(), clock.clone())),
                enrichments: store.clone(),
                platforms: parts.platforms,
                clock: clock.clone(),
            })),
            lift(Arc::new(Fanout {
                events: store.clone(),
                endpoints: endpoints.clone(),
                endpoints_now: store.clone(),
                clock: clock.clone(),
            })),
            lift(Arc::new(Deliver {
                receivers: Arc::new(CachedReceivers::new(store.clone(), clock.clone())),
                endpoints_now: store.clone(),
                intents: store.clone(),
                gate: gate.clone(),
                tries: tries.clone(),
            })),
            lift(Arc::new(DeliverOrdered {
                events: store.clone(),
                lines: store.clone(),
                gate,
                tries,
            })),
        ];
        let sweep = Sweep {
            deliveries: store.clone(),
            breakers: store.clone(),
            backlogs: store.clone(),
            events: store.clone(),
            due_intents: store.clone(),
            intents: store.clone(),
            terms: store.clone(),
            outbox: store.clone(),
            queues: enqueue.clone(),
            dead: parts.dead,
            quarantine: store.clone(),
            clock: clock.clone(),
        };
        let access = Access {
            credentials: Arc::new(CachedCredentials::new(store.clone(), clock.clone())),
            tenants: Arc::new(CachedTenants::new(store.clone(), clock.clone())),
            operator_key_hash: parts.operator_key_hash.clone(),
        };
        let ingest = Ingest {
            access: access.clone(),
            accounts: Arc::new(CachedAccounts::new(store.clone(), clock.clone())),
            queues: enqueue.clone(),
            clock: clock.clone(),
        };
        let publish = Publish {
            access: access.clone(),
            backends: Arc::new(CachedBackends::new(store.clone(), clock.clone())),
            queues: enqueue.clone(),
            clock: clock.clone(),
        };
        let decide = Decide {
            access: access.clone(),
            tenants: store.clone(),
            endpoints: endpoints.clone(),
            endpoints_now: store.clone(),
            events: store.clone(),
            decisions: store.clone(),
            transport: parts.transport.clone(),
            clock: clock.clone(),
        };
        let anchor = Anchor {
            access,
            anchors: store.clone(),
            transactions: store.clone(),
            registrations: store.clone(),
            outbox: store.clone(),
            queues: enqueue.clone(),
            business: parts.business,
            vetting: parts.vetting.clone(),
            clock: clock.clone(),
        };
        let console = Console {
            tenants: store.clone(),
            keys: store.clone(),
            credentials: store.clone(),
            endpoints: store.clone(),
            breakers: store.clone(),
            accounts: store.clone(),
            publishers: store.clone(),
            anchors: store.clone(),
            anchor_admin: store.clone(),
            lines: store.clone(),
            events: store.clone(),
            deliveries: store.clone(),
            intents: store.clone(),
            intent_list: store.clone(),
            quarantine: store.clone(),
            queues: enqueue,
            clock,
            entropy,
            vetting: parts.vetting,
            operator_key_hash: parts.operator_key_hash,
        };
        let api = Doors {
            ingest: ingest::handler::router(ingest),
            publish: publish::handler::router(publish),
            decide: decide::handler::router(decide),
            anchor: anchor::handler::router(anchor),
            console: console::handler::router(console),
        }
        .on_one_port();
        Self {
            store,
            queues,
            api,
            workers,
            sweep,
        }
    }

    /// The table, as everybody here sees it.
    #[must_use]
    pub fn store(&self) -> &Arc<DynamoStore> {
        &self.store
    }

    /// The queues, as everybody here sees them.
    #[must_use]
    pub fn queues(&self) -> &dyn Queues {
        self.queues.as_ref()
    }

    /// Every door on one port.
    pub fn api(&self) -> Router {
        self.api.clone()
    }

    /// Takes up to ten messages of a queue, waiting up to `wait` for the first.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`].
    pub async fn receive(
        &self,
        queue: Queue,
        wait: SignedDuration,
    ) -> Result<Vec<Received>, QueueError> {
        self.queues.receive(queue, BATCH, wait).await
    }

    /// Handles a batch as its function does, and lets go of the messages that are done with.
    pub async fn handle(&self, queue: Queue, messages: Vec<Received>) {
        let receipts: Vec<_> = messages
            .iter()
            .map(|message| (message.id.clone(), message.receipt.clone()))
            .collect();
        let Some(worker) = self.workers.iter().find(|worker| worker.queue() == queue) else {
            return;
        };
        let again = worker.run(messages).await;
        let done: Vec<_> = receipts
            .into_iter()
            .filter(|(id, _)| !again.contains(id))
            .map(|(_, receipt)| receipt)
            .collect();
        if !done.is_empty()
            && let Err(problem) = self.queues.delete(queue, done).await
        {
            // They come again, and their work is found done.
            warn!(
                queue = queue.as_str(),
                error = chain(&problem),
                "could not let go of messages"
            );
        }
    }

    /// One batch of a queue, without waiting for messages. How many there were.
    pub async fn work(&self, queue: Queue) -> usize {
        match self.receive(queue, SignedDuration::ZERO).await {
            Ok(messages) => {
                let received = messages.len();
                self.handle(queue, messages).await;
                received
            }
            Err(problem) => {
                warn!(
                    queue = queue.as_str(),
                    error = chain(&problem),
                    "no messages"
                );
                0
            }
        }
    }

    /// One batch of each queue, in the order of the flow. How many messages there were.
    pub async fn step(&self) -> usize {
        let mut handled = 0;
        for queue in Queue::ALL {
            handled += self.work(queue).await;
        }
        handled
    }

    /// One run of `sweep`.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn sweep(&self) -> Result<Swept, Trouble> {
        self.sweep.run().await
    }
}

/// The doors.
#[derive(Clone)]
struct Doors {
    ingest: Router,
    publish: Router,
    decide: Router,
    anchor: Router,
    console: Router,
}

impl Doors {
    /// The door that a request is for, by its method and path as the template's routes have it, so that what a door answers
    /// to a wrong path or method is its own.
    fn of(&self, request: &Request) -> &Router {
        let path: Vec<_> = request.uri().path().split('/').skip(1).collect();
        match (request.method(), path.as_slice()) {
            (_, ["v2", "webhooks", ..]) => &self.ingest,
            (_, ["v1", "tenants", _, "recovery", "attempts"]) => &self.ingest,
            (&Method::POST, ["v1", "tenants", _, "events"]) => &self.publish,
            (_, ["v1", "tenants", _, "incoming-payments", "decisions"]) => &self.decide,
            (_, ["v1", "tenants", _, "anchor", "rpc"]) => &self.anchor,
            (_, ["v1", "tenants", _, "anchor", "transactions", _]) => &self.anchor,
            (_, ["v1", "tenants", _, "anchor", "customer", "callback"]) => &self.anchor,
            _ => &self.console,
        }
    }

    fn on_one_port(self) -> Router {
        Router::new().fallback_service(service_fn(move |request: Request| {
            self.of(&request).clone().oneshot(request)
        }))
    }
}
