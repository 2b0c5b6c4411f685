//! A stand-in for the Lambda Runtime API on loopback, and a function's process on the other end of it.
//!
//! Lambda's contract with a function is four HTTP calls; serving them here drives a release binary exactly
//! as it will be deployed, so that start-up, memory and CPU time are those of the shipped file. One
//! [`RuntimeApi`] serves one [`Function`]: a process that was killed while it waited for work could
//! otherwise take the next process's invocation with it.
//!
//! Left out: extensions, response streaming, and throttling of CPU time by memory size.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as Segment, State};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// How long a function may take over one invocation, its start included.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a function posted for one invocation.
#[derive(Debug)]
pub struct Answer {
    /// The posted body, as it came.
    pub body: Bytes,
    /// Whether it was posted as an error.
    pub error: bool,
    /// When it had arrived in full.
    pub at: Instant,
}

/// The Runtime API of one function, stopped when dropped.
#[derive(Debug)]
pub struct RuntimeApi {
    address: SocketAddr,
    desk: Arc<Desk>,
    server: JoinHandle<()>,
}

/// What the routes share: invocations not yet fetched, and who waits for which answer.
#[derive(Debug)]
struct Desk {
    queue: mpsc::UnboundedSender<(u64, Bytes)>,
    queued: tokio::sync::Mutex<mpsc::UnboundedReceiver<(u64, Bytes)>>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    next_id: AtomicU64,
}

impl RuntimeApi {
    /// Starts serving on a loopback port that the system chooses.
    pub async fn start() -> Result<RuntimeApi> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (queue, queued) = mpsc::unbounded_channel();
        let desk = Arc::new(Desk {
            queue,
            queued: tokio::sync::Mutex::new(queued),
            waiting: Mutex::default(),
            next_id: AtomicU64::new(1),
        });
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route(
                "/2018-06-01/runtime/invocation/{id}/response",
                post(response),
            )
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .with_state(Arc::clone(&desk));
        let listener = listener.tap_io(|stream| {
            // Refused only for a connection that is gone already, which its reader finds out.
            let _ = stream.set_nodelay(true);
        });
        let server = tokio::spawn(async move {
            // Ends only by being aborted.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(RuntimeApi {
            address,
            desk,
            server,
        })
    }

    /// Where it listens: the value of `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Queues an invocation at once; the future waits for the function's answer.
    ///
    /// An `Err` means that no answer came: the function failed to initialise or took too long.
    pub fn invoke(&self, payload: Vec<u8>) -> impl Future<Output = Result<Answer>> + use<> {
        let id = self.desk.next_id.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.desk.waiting().insert(id, answer);
        let sent = self.desk.queue.send((id, payload.into()));
        let desk = Arc::clone(&self.desk);
        async move {
            sent.map_err(|_| anyhow!("the queue of invocations is closed"))?;
            match tokio::time::timeout(DEADLINE, answered).await {
                Ok(answer) => answer.context("the function failed to initialise"),
                Err(_) => {
                    desk.waiting().remove(&id);
                    bail!("no answer to invocation {id} within {DEADLINE:?}")
                }
            }
        }
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Desk {
    /// The map is whole at every step, so a panic elsewhere leaves nothing half done.
    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the measuring clock")]
    fn settle(&self, id: u64, body: Bytes, error: bool) -> StatusCode {
        let at = Instant::now();
        match self.waiting().remove(&id) {
            // Whoever gave up waiting needs no answer.
            Some(answer) => {
                let _ = answer.send(Answer { body, error, at });
                StatusCode::ACCEPTED
            }
            None => StatusCode::BAD_REQUEST,
        }
    }
}

async fn next(State(desk): State<Arc<Desk>>) -> Response {
    let Some((id, payload)) = desk.queued.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let headers = [
        (
            HeaderName::from_static("content-type"),
            "application/json".to_owned(),
        ),
        (
            HeaderName::from_static("lambda-runtime-aws-request-id"),
            id.to_string(),
        ),
        (
            HeaderName::from_static("lambda-runtime-deadline-ms"),
            deadline_ms().to_string(),
        ),
        (
            HeaderName::from_static("lambda-runtime-invoked-function-arn"),
            "arn:aws:lambda:eu-central-1:123456789012:function:measured".to_owned(),
        ),
        (
            HeaderName::from_static("lambda-runtime-trace-id"),
            "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0".to_owned(),
        ),
    ];
    (headers, payload).into_response()
}

async fn response(
    State(desk): State<Arc<Desk>>,
    Segment(id): Segment<u64>,
    body: Bytes,
) -> StatusCode {
    desk.settle(id, body, false)
}

async fn error(
    State(desk): State<Arc<Desk>>,
    Segment(id): Segment<u64>,
    body: Bytes,
) -> StatusCode {
    desk.settle(id, body, true)
}

/// Dropping the senders tells everyone who waits that no answer will come.
async fn init_error(State(desk): State<Arc<Desk>>) -> StatusCode {
    desk.waiting().clear();
    StatusCode::ACCEPTED
}

#[expect(
    clippy::disallowed_methods,
    reason = "the process compares it with the machine's clock"
)]
fn deadline_ms() -> u128 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    (since_epoch + DEADLINE).as_millis()
}

/// A function's process, killed when dropped.
#[derive(Debug)]
pub struct Function {
    process: Child,
    started: Instant,
}

impl Function {
    /// Starts `binary` as Lambda would: with the variables that Lambda sets, `env`, and `PATH`.
    ///
    /// What it prints on standard output (its log) is thrown away; standard error is passed on.
    pub fn spawn(
        binary: &Path,
        env: impl IntoIterator<Item = (String, String)>,
        api: &RuntimeApi,
    ) -> Result<Function> {
        Function::spawn_logging(binary, env, api, Stdio::null())
    }

    /// The same with a log.
    #[expect(clippy::disallowed_methods, reason = "this is the measuring clock")]
    pub fn spawn_logging(
        binary: &Path,
        env: impl IntoIterator<Item = (String, String)>,
        api: &RuntimeApi,
        log: Stdio,
    ) -> Result<Function> {
        let mut command = Command::new(binary);
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("AWS_LAMBDA_RUNTIME_API", api.address().to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "measured")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .envs(env)
            .stdin(Stdio::null())
            .stdout(log);
        let started = Instant::now();
        let process = command
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        Ok(Function { process, started })
    }

    /// When the process was asked for.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Resident memory now, in KiB (`VmRSS`).
    pub fn resident_kib(&self) -> Result<u64> {
        let status = proc_file(self.process.id(), "status")?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
            .and_then(|kib| kib.parse().ok())
            .with_context(|| format!("no VmRSS in {status:?}"))
    }

    /// CPU time used so far by all its threads.
    pub fn cpu(&self) -> Result<Cpu> {
        cpu(self.process.id())
    }
}

/// CPU time, in milliseconds; it moves in steps of 10.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cpu {
    /// In the process's own code.
    pub user_ms: u64,
    /// In the kernel on its behalf, mostly for sockets.
    pub system_ms: u64,
}

impl Cpu {
    /// Both.
    pub fn ms(self) -> u64 {
        self.user_ms + self.system_ms
    }

    /// What was used since `earlier`.
    pub fn since(self, earlier: Cpu) -> Cpu {
        Cpu {
            user_ms: self.user_ms.saturating_sub(earlier.user_ms),
            system_ms: self.system_ms.saturating_sub(earlier.system_ms),
        }
    }
}

/// CPU time used so far by all threads of a process.
pub fn cpu(process: u32) -> Result<Cpu> {
    /// Linux reports in hundredths of a second (`USER_HZ`) whatever its own tick is.
    const TICK_MS: u64 = 10;
    let stat = proc_file(process, "stat")?;
    // The second field is the file's name in parentheses and may hold spaces. After it come the
    // fields from the third on; user and system time are the 14th and 15th.
    let fields = stat
        .rsplit_once(')')
        .map(|(_, after)| after.split_whitespace());
    let ticks: Option<Vec<u64>> =
        fields.map(|fields| fields.skip(11).take(2).flat_map(str::parse).collect());
    match ticks.as_deref() {
        Some([user, system]) => Ok(Cpu {
            user_ms: user * TICK_MS,
            system_ms: system * TICK_MS,
        }),
        _ => bail!("no CPU times in {stat:?}"),
    }
}

fn proc_file(process: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{process}/{file}");
    std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))
}

impl Drop for Function {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill, and waiting still clears it away.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
