//! Everything together: ports, table, demo, API, receiver and pump, from the start to a clean end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use axum::Router;
use http::StatusCode;
use jiff::SignedDuration;
use shared::aws::Clients;
use shared::config::environment;
use shared::entropy::{Entropy, SystemEntropy};
use shared::ids::TenantId;
use shared::queue::Queue;
use shared::queue::memory::MemoryQueues;
use shared::queue::sqs::SqsQueues;
use shared::secret::{Keyring, Secret};
use shared::store::Tenants;
use shared::store::dynamo::create_table;
use shared::time::{Clock, SystemClock};
use shared::transport::https::Https;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::business::Business;
use crate::cli::{ReceiverArgs, RunArgs};
use crate::data::{self, Data};
use crate::demo::anchor;
use crate::embedded::{Embedded, TABLE};
use crate::lines::{Audience, say};
use crate::platform_api::PlatformApi;
use crate::pump::{self, Interruptions, Stop};
use crate::queues::LongPoll;
use crate::ready::{Demo, Listening, Ready};
use crate::receiver::Receiver;
use crate::settings::{Aws, Common, OperatorKey};
use crate::wallet::Wallet;
use crate::world::{Parts, World};
use crate::{demo, requeue};

/// How long a request for messages waits for the first one: as long as SQS lets it.
const POLL: SignedDuration = SignedDuration::from_secs(20);
/// Progress is shown after so long, and as often.
const PROGRESS: SignedDuration = SignedDuration::from_secs(2);
/// How long requests in hand may still take when all is to end.
const CLOSING_MOST: Duration = Duration::from_secs(5);

/// What the functions stand on, and what of it is ours to end.
struct Ground {
    world: Arc<World>,
    operator_key: OperatorKey,
    table: String,
    /// What is in this process; nothing with `--aws`.
    own: Option<Own>,
}

struct Own {
    embedded: Arc<Embedded>,
    queues: MemoryQueues,
    data: Option<Data>,
}

/// Runs everything until Ctrl-C.
///
/// # Errors
/// If it can't start: a port is taken, a setting is wrong, the table can't be opened.
pub async fn run(args: &RunArgs, audience: Audience) -> anyhow::Result<()> {
    let mut common = Common::read(&environment)?;
    let api = bind(args.port, "--port").await?;
    common.vetting = common.vetting.beside_address(api.local_addr()?);
    let receiver = match args.no_receiver {
        true => None,
        false => Some(bind(args.receiver_port, "--receiver-port").await?),
    };
    let ground = if args.aws {
        on_aws(common)?
    } else {
        on_own(args, common).await?
    };
    let world = &ground.world;
    let api_port = api.local_addr()?.port();
    let receiver_port = receiver
        .as_ref()
        .map(TcpListener::local_addr)
        .transpose()?
        .map(|at| at.port());
    if let Some(own) = &ground.own {
        let demo = (!args.no_demo).then_some(receiver_port.unwrap_or(args.receiver_port));
        prepare(own, world, demo).await?;
    } else {
        let anybody = TenantId::parse(demo::TENANT)?;
        let read = world.store().tenant(&anybody).await;
        read.with_context(|| format!("the table {} can't be read", ground.table))?;
    }

    // Before anybody is told that it runs, and may end it.
    let mut interruptions = Interruptions::listen()?;
    let ready = Ready {
        message: "ready",
        api: format!("http://127.0.0.1:{api_port}"),
        receiver: receiver_port.map(|port| format!("http://127.0.0.1:{port}/")),
        table: ground.table_shown(),
        queues: match &ground.own {
            Some(_) => "in memory; a kill loses what is not recorded yet",
            None => "as the environment names them",
        },
        operator_key: ground.operator_key.fresh(),
        demo: (ground.own.is_some() && !args.no_demo).then(|| Demo::at(api_port)),
    };
    say(&ready, audience)?;
    let (stop_all, stop) = watch::channel(false);
    let (stop_receiver, receiver_stop) = watch::channel(false);
    let door = serve(api, world.api(), stop.clone());
    let receiver = receiver
        .map(|listener| Receiving::start(listener, vec![], StatusCode::OK, receiver_stop))
        .transpose()?;
    let expiry = ground.own.as_ref().map(|own| {
        let embedded = own.embedded.clone();
        tokio::spawn(expire(embedded, stop.clone()))
    });
    let pumping = tokio::spawn({
        let (world, stop) = (world.clone(), stop.clone());
        async move { pump::run(&world, POLL, &stop).await }
    });

    interruptions.next().await?;
    info!("ending; once more to end at once");
    stop_all.send_replace(true);
    let ending = async {
        pumping.await?;
        close(door).await?;
        if ground.own.as_ref().is_some_and(|own| own.data.is_some()) {
            pump::record_accepted(world).await;
        }
        // Last, because deliveries in hand are for it.
        stop_receiver.send_replace(true);
        if let Some(receiver) = receiver {
            receiver.end().await?;
        }
        if let Some(expiry) = expiry {
            expiry.await?;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        ended = ending => ended?,
        again = interruptions.next() => again?,
    }
    ground.farewell();
    Ok(())
}

/// The receiver alone, until Ctrl-C.
///
/// # Errors
/// If its port is taken.
pub async fn receiver(args: &ReceiverArgs, audience: Audience) -> anyhow::Result<()> {
    let answer = StatusCode::from_u16(args.answer)?;
    let listener = bind(args.port, "--port").await?;
    let receiver = format!("http://{}/", listener.local_addr()?);
    let (stop_all, stop) = watch::channel(false);
    let receiving = Receiving::start(listener, args.secrets.clone(), answer, stop)?;
    let mut interruptions = Interruptions::listen()?;
    say(&Listening::at(receiver, args.answer), audience)?;
    interruptions.next().await?;
    stop_all.send_replace(true);
    receiving.end().await
}

/// The demo receiver's door and worker, and behind the same door the platforms' APIs, a business server and a wallet.
struct Receiving {
    door: Server,
    worker: JoinHandle<()>,
    stop_worker: watch::Sender<bool>,
}

impl Receiving {
    /// Starts both; without secrets the demo's are known.
    fn start(
        listener: TcpListener,
        secrets: Vec<String>,
        answer: StatusCode,
        stop: Stop,
    ) -> anyhow::Result<Self> {
        let demo = || [demo::ENDPOINT_SECRET, demo::RAFIKI_SECRET].map(String::from);
        let secrets = match secrets.is_empty() {
            true => demo().to_vec(),
            false => secrets,
        };
        let receiver = Receiver::new(&secrets, answer, Arc::new(SystemClock));
        let platform = PlatformApi::new(Secret::new(demo::PLATFORM_KEY));
        let business = Business::new(Secret::new(anchor::BUSINESS_KEY));
        let host = listener.local_addr()?.to_string();
        let wallet = Wallet::new(anchor::SIGNING_KEY, host, answer, Arc::new(SystemClock))?;
        let far_side = receiver
            .router()
            .nest(demo::PLATFORM_PATH, platform.with_desk())
            .nest(anchor::BUSINESS_PATH, business.router())
            .nest(anchor::WALLET_PATH, wallet.router());
        let (stop_worker, worker_stop) = watch::channel(false);
        Ok(Self {
            door: serve(listener, far_side, stop),
            worker: tokio::spawn(async move { receiver.work(POLL, worker_stop).await }),
            stop_worker,
        })
    }

    /// Waits for the door, which was told to stop, and then for the worker.
    async fn end(self) -> anyhow::Result<()> {
        close(self.door).await?;
        self.stop_worker.send_replace(true);
        Ok(self.worker.await?)
    }
}

async fn bind(port: u16, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                anyhow!("port {port} is taken; choose another one with {flag}")
            }
            _ => anyhow!("can't listen on port {port} ({flag}): {error}"),
        })
}

type Server = JoinHandle<std::io::Result<()>>;

fn serve(listener: TcpListener, router: Router, mut stop: Stop) -> Server {
    let ending = async move { pump::told(&mut stop).await };
    tokio::spawn(
        axum::serve(listener, router)
            .with_graceful_shutdown(ending)
            .into_future(),
    )
}

async fn close(server: Server) -> anyhow::Result<()> {
    match tokio::time::timeout(CLOSING_MOST, server).await {
        Ok(ended) => Ok(ended??),
        // Somebody keeps a connection open and asks for nothing.
        Err(_) => Ok(()),
    }
}

async fn expire(embedded: Arc<Embedded>, stop: Stop) {
    pump::each_minute(stop, || async {
        if let Err(problem) = embedded.expire().await {
            error!(
                error = format!("{problem:#}"),
                "items whose time is over stay"
            );
        }
    })
    .await;
}

async fn on_own(args: &RunArgs, common: Common) -> anyhow::Result<Ground> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let operator_key = OperatorKey::read(&environment, entropy.as_ref())?;
    let (data, keyring, embedded) = match &args.data {
        None => {
            let keyring = Arc::new(Keyring::parse(&data::new_key(entropy.as_ref()))?);
            (None, keyring, Embedded::in_memory().await?)
        }
        Some(folder) => {
            let data = Data::open(folder)?;
            let keyring = data.keyring(entropy.as_ref())?;
            let embedded = Embedded::in_file(&data.database()).await?;
            (Some(data), keyring, embedded)
        }
    };
    let queues = MemoryQueues::new(clock.clone());
    let https = Arc::new(Https::new(common.vetting.clone(), clock.clone())?);
    let world = World::new(Parts {
        dynamodb: embedded.client(),
        table: TABLE.to_owned(),
        queues: Arc::new(LongPoll::new(
            queues.clone(),
            clock.clone(),
            entropy.as_ref(),
        )),
        dead: Arc::new(queues.dead_letters()),
        transport: https.clone(),
        platforms: https.clone(),
        business: https,
        keyring,
        vetting: common.vetting,
        operator_key_hash: operator_key.hash(),
        retention: common.retention,
        clock,
        entropy,
    });
    let own = Own {
        embedded: Arc::new(embedded),
        queues,
        data,
    };
    Ok(Ground {
        world: Arc::new(world),
        operator_key,
        table: TABLE.to_owned(),
        own: Some(own),
    })
}

fn on_aws(common: Common) -> anyhow::Result<Ground> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let aws = Aws::read(&environment, entropy.as_ref())
        .context("--aws uses what is there, and needs to be told where it is")?;
    let clients = Clients::new(aws.account);
    let https = Arc::new(Https::new(common.vetting.clone(), clock.clone())?);
    let world = World::new(Parts {
        dynamodb: clients.dynamodb(),
        table: aws.table.clone(),
        queues: Arc::new(SqsQueues::new(clients.sqs(), aws.queues)),
        dead: Arc::new(SqsQueues::new(clients.sqs(), aws.dead_letters)),
        transport: https.clone(),
        platforms: https.clone(),
        business: https,
        keyring: aws.keyring,
        vetting: common.vetting,
        operator_key_hash: aws.operator_key.hash(),
        retention: common.retention,
        clock,
        entropy,
    });
    let operator_key = aws.operator_key;
    Ok(Ground {
        world: Arc::new(world),
        operator_key,
        table: aws.table,
        own: None,
    })
}

/// The table, the demo tenant if there is to be one (with its receiver's port), and what an earlier run left unfinished.
async fn prepare(own: &Own, world: &World, demo: Option<u16>) -> anyhow::Result<()> {
    create_table(&own.embedded.client(), TABLE)
        .await
        .context("the table")?;
    let now = SystemClock.now();
    if let Some(receiver_port) = demo {
        demo::seed(world.store(), receiver_port, now).await?;
    }
    if own.data.is_some() {
        let looked_at = AtomicUsize::new(0);
        let work = requeue::run(world.store(), world.queues(), now, &looked_at);
        let tell = || {
            let events = looked_at.load(Ordering::Relaxed);
            info!(events, "looking for what is unfinished");
        };
        let queued = pump::with_progress(PROGRESS, work, tell).await?;
        let events = looked_at.into_inner();
        if events > 0 {
            info!(
                events,
                queued, "events kept; unfinished deliveries queued again"
            );
        }
    }
    Ok(())
}

impl Ground {
    /// Where the table is, in words.
    fn table_shown(&self) -> String {
        match &self.own {
            Some(Own {
                data: Some(data), ..
            }) => data.database().display().to_string(),
            Some(Own { data: None, .. }) => "in memory".to_owned(),
            None => self.table.clone(),
        }
    }

    /// Says what the end of the process loses.
    fn farewell(&self) {
        let Some(own) = &self.own else {
            info!("ended; what is queued stays queued");
            return;
        };
        let [signals, events, unordered, ordered] = Queue::ALL.map(|queue| own.queues.len(queue));
        let deliveries = unordered + ordered;
        match (&own.data, signals + events, deliveries) {
            (_, 0, 0) => info!("ended, with nothing left to do"),
            (Some(_), 0, _) => info!(deliveries, "ended; they go on at the next start"),
            (Some(_), lost, _) => {
                warn!(
                    lost,
                    deliveries, "ended; what was not recorded yet is lost, deliveries go on"
                );
            }
            (None, ..) => {
                warn!(
                    signals,
                    events, deliveries, "ended; they are lost, as --data was not given"
                );
            }
        }
    }
}
