//! Start-up, memory and CPU time of the release binaries, beside a bare hello world in the same run.
//!
//! ```text
//! cargo build --release && cargo run --release -p tests --bin bench [-- OPTION.. [BINARY..]]
//!   --check           fails beyond a budget
//!   --rounds N        starts of each function (30)
//!   --runs N          processes of each that are invoked many times (5)
//!   --invocations N   so many times (1000)
//! ```
//!
//! Start is from asking for the process to its first answer's arrival; the invocation is queued before, so
//! whatever a function puts off is paid within the measured time. Rounds take the functions in turn, so
//! what else the machine does falls on all of them alike. Without a list of binaries, those of [`CASES`]
//! beside this executable are measured. Prints a markdown table, and the CPU time of one event through all
//! functions, without stores. Requests to DynamoDB and SQS are counted, because each takes more CPU time
//! than everything else that is done with an event.
//!
//! Not in it: Lambda's own part of a cold start, and TLS handshakes, since the stand-ins speak plain HTTP
//! (the TLS configuration itself is built in every start, as deployed). What a handshake would add first
//! of all, 30 to 60 ms for the first random number, is built away: see `.cargo/config.toml`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::decision;
use shared::delivery::{Endpoint, EndpointState, LiveSecret, Policy, Scheme};
use shared::entropy::SystemEntropy;
use shared::event::{Event, Role};
use shared::ids::{ConnectorAccountId, EndpointId, ProfileId, Round, TenantId};
use shared::platform::account::{Locked, Settings};
use shared::platform::{BillingAccount, Platform};
use shared::queue::Task;
use shared::queue::task::{DeliverTask, PublishTask};
use shared::secret::{Secret, key_hash};
use shared::store::{
    Accounts, EndpointAdmin, EndpointRecord, PublisherRecord, Publishers, TenantRecord, Tenants,
};
use shared::time::{Clock, SystemClock};
use tests::runtime::{Answer, Function, RuntimeApi};
use tests::standin::{Canned, StandIn};
use tests::table::Table;
use tests::throughput;

/// The invocations after which memory is read, and over which CPU time is counted.
const INVOCATIONS: u32 = 1_000;

/// How many processes are put through so many invocations; the least CPU time and the most memory count. A
/// machine that dozes off between invocations charges its waking to the process, so single runs differ
/// by a factor of two.
const RUNS: usize = 5;

/// No function may hold more than this after [`INVOCATIONS`].
const MEMORY_BUDGET_KIB: u64 = 40 * 1024;

/// No event may take more CPU time than this through all functions together, without stores.
const EVENT_BUDGET_US: u128 = 300;

/// So many webhooks are sent to `cargo local`.
const LOAD: u32 = 3_000;

/// Workers are measured with full batches, as they run under load.
const BATCH: usize = 10;

/// One function and what it is started and invoked with.
struct Case {
    /// The binary's name.
    function: &'static str,
    /// The most its median start may take, in hundredths of the bare one's.
    budget: u128,
    /// How many events one invocation of the CPU measurement carries; 0 for what is no part of an event's way.
    events: u128,
    /// The most requests that such an invocation may make to DynamoDB and SQS, reads of configuration apart.
    requests: u64,
    /// The event of an invocation that carries so many messages.
    payload: fn(&Neighbours, usize) -> Result<Value>,
    /// What a right answer contains.
    answer: &'static str,
}

/// The bare function first: the others are compared with it.
const CASES: [Case; 7] = [
    Case {
        function: "hello",
        budget: 100,
        events: 0,
        requests: 0,
        payload: |_, _| Ok(json!({ "name": "you" })),
        answer: "Hello, you!",
    },
    Case {
        function: "ingest",
        budget: 300,
        events: 1,
        requests: 1,
        payload: webhook,
        answer: r#""statusCode":200"#,
    },
    // Another way in than that of the events that are counted.
    Case {
        function: "publish",
        budget: 300,
        events: 0,
        requests: 1,
        payload: published,
        answer: r#""statusCode":200"#,
    },
    Case {
        function: "recover",
        budget: 350,
        events: 10,
        requests: 3,
        payload: signals,
        answer: NONE_FAILED,
    },
    Case {
        function: "fanout",
        budget: 350,
        events: 10,
        requests: 2,
        payload: events,
        answer: NONE_FAILED,
    },
    Case {
        function: "deliver",
        budget: 350,
        events: 10,
        requests: 10,
        payload: deliveries,
        answer: NONE_FAILED,
    },
    Case {
        function: "console",
        budget: 300,
        events: 0,
        requests: 1,
        payload: tenants,
        answer: r#""statusCode":200"#,
    },
];

/// A batch of which no item is to come again.
const NONE_FAILED: &str = r#"{"batchItemFailures":[]}"#;

const FIXTURE: &str = include_str!("../fixtures/stripe/invoice.payment_failed.json");
const OPERATOR_KEY: &str = "operator-of-the-bench";
const RAFIKI_SECRET: &str = "the secret of the measured Rafiki instance";
const STRIPE_SECRET: &str = "whsec_the_secret_of_the_measured_account";

/// Everything that a measured function talks to.
struct Neighbours {
    outside: StandIn,
    now: Timestamp,
}

fn tenant() -> Result<TenantId> {
    Ok(TenantId::parse("acme")?)
}

/// What the table would answer, made by the store itself on the embedded table: a billing account and an endpoint.
async fn canned(target: &str) -> Result<Vec<Canned>> {
    let table = Table::start().await?;
    let now = SystemClock.now();
    let store = table.store();
    let account = BillingAccount {
        tenant: tenant()?,
        profile_id: ProfileId::parse("pro_1")?,
        connector_account_id: ConnectorAccountId::parse("mca_1")?,
        platform: Platform::Stripe,
        webhook_secrets: vec![Secret::new(STRIPE_SECRET)],
        api_key: None,
        locked: Locked::default(),
        settings: Settings::default(),
    };
    let _made = store
        .put_tenant(&TenantRecord {
            id: tenant()?,
            display_name: None,
            decisions: decision::Policy::default(),
            created_at: now,
        })
        .await?;
    let _claimed = store.put_account(&account, now).await?;
    let scheme = Scheme::StandardWebhooks;
    let endpoint = Endpoint {
        tenant: tenant()?,
        id: EndpointId::parse("shop")?,
        url: format!("{target}/hook"),
        role: Role::Ase,
        scheme,
        secrets: vec![LiveSecret {
            secret: shared::signature::standard::generate(&SystemEntropy),
            until: None,
        }],
        locked: Vec::new(),
        filter: None,
        policy: Policy::default_for(scheme),
        deadline: scheme.deadline(),
        useful_for: None,
        decision_url: None,
        state: EndpointState::Enabled,
    };
    let record = EndpointRecord {
        endpoint,
        created_at: now,
    };
    let _put = store.put_endpoint(&record, None).await?;
    let publisher = PublisherRecord {
        tenant: tenant()?,
        secrets: vec![Secret::new(RAFIKI_SECRET)],
        tolerance: shared::signature::TOLERANCE,
        created_at: now,
    };
    let _put = store.put_rafiki(&publisher).await?;
    let mut canned = Vec::new();
    for item in table.items().await? {
        let key = item.get("sk").cloned().unwrap_or_default();
        let operations: &[(&'static str, Value)] = match key.get("S").and_then(Value::as_str) {
            Some("BA" | "PUB#rafiki") => &[("GetItem", json!({ "Item": item }))],
            Some(sk) if sk.starts_with("EP#") => &[
                ("GetItem", json!({ "Item": item })),
                ("Query", json!({ "Items": [item], "Count": 1 })),
            ],
            _ => &[],
        };
        for (operation, body) in operations {
            let mentions = if *operation == "Query" {
                "EP#".to_owned()
            } else {
                key.to_string()
            };
            canned.push(Canned {
                operation,
                mentions,
                body: body.clone(),
            });
        }
    }
    Ok(canned)
}

/// What every function of ours is given.
fn env(outside: &StandIn) -> Vec<(String, String)> {
    let queue = |name: &str| format!("{}/123456789012/{name}", outside.url());
    let fixed = [
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE".to_owned()),
        (
            "AWS_SECRET_ACCESS_KEY",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
        ),
        ("AWS_SESSION_TOKEN", "token".to_owned()),
        ("AWS_ENDPOINT_URL", outside.url()),
        ("PAYRELAY_TABLE", "payrelay".to_owned()),
        ("PAYRELAY_QUEUE_RECOVER", queue("recover")),
        ("PAYRELAY_QUEUE_FANOUT", queue("fanout")),
        ("PAYRELAY_QUEUE_DELIVER", queue("deliver")),
        ("PAYRELAY_SEAL_KEYS", tests::table::SEAL_KEYS.to_owned()),
        (
            "PAYRELAY_OPERATOR_KEY_SHA256",
            key_hash(&Secret::new(OPERATOR_KEY)),
        ),
        ("PAYRELAY_ALLOW_TARGETS", "127.0.0.0/8".to_owned()),
        ("PAYRELAY_RETENTION_DAYS", "30".to_owned()),
    ];
    fixed.map(|(name, value)| (name.to_owned(), value)).into()
}

/// A freshly signed webhook of a failed payment.
fn webhook(neighbours: &Neighbours, _: usize) -> Result<Value> {
    let signature = shared::signature::stripe::sign(
        &Secret::new(STRIPE_SECRET),
        neighbours.now,
        FIXTURE.as_bytes(),
    );
    let signature = signature.context("the secret is not empty")?;
    let path = "/v2/webhooks/revenue_recovery/pro_1/mca_1";
    Ok(http_event(
        "POST",
        path,
        &[("stripe-signature", &signature)],
        FIXTURE,
    ))
}

/// A freshly signed event of a Rafiki instance.
fn published(neighbours: &Neighbours, _: usize) -> Result<Value> {
    let event = tests::stories::event(1, neighbours.now)?;
    let (id, event_type, data) = (event.id, event.event_type, event.data.as_str());
    let body = format!(r#"{{"id":"{id}","type":"{event_type}","data":{data}}}"#);
    let secret = Secret::new(RAFIKI_SECRET);
    let signature = shared::signature::rafiki::sign(&[&secret], neighbours.now, body.as_bytes());
    let signature = signature.context("the secret is not empty")?;
    let headers = [(shared::signature::rafiki::HEADER, signature.as_str())];
    Ok(http_event(
        "POST",
        "/v1/tenants/acme/events",
        &headers,
        &body,
    ))
}

/// The operator lists the tenants.
fn tenants(_: &Neighbours, _: usize) -> Result<Value> {
    let bearer = format!("Bearer {OPERATOR_KEY}");
    Ok(http_event(
        "GET",
        "/v1/tenants",
        &[("authorization", &bearer)],
        "",
    ))
}

/// A batch of signals of so many invoices.
fn signals(_: &Neighbours, count: usize) -> Result<Value> {
    let mut bodies = Vec::new();
    for number in 0..count {
        let body = FIXTURE
            .replace("evt_1QfF1", &format!("evt_{number}"))
            .replace("in_1QfInv", &format!("in_{number}"));
        bodies.push(tests::stories::signal(&body)?.encode().body);
    }
    Ok(sqs_event("recover", &bodies))
}

/// A batch of so many events.
fn events(neighbours: &Neighbours, count: usize) -> Result<Value> {
    let publish = |event| {
        Ok(Task::Publish(PublishTask {
            tenant: tenant()?,
            event,
            roles: None,
            guard: None,
        }))
    };
    tasks(neighbours, "fanout", count, publish)
}

/// A batch of so many deliveries.
fn deliveries(neighbours: &Neighbours, count: usize) -> Result<Value> {
    let deliver = |event| {
        Ok(Task::Deliver(DeliverTask {
            tenant: tenant()?,
            event,
            endpoint: EndpointId::parse("shop")?,
            round: Round::FIRST,
            hop: 0,
            check: false,
            guard: None,
        }))
    };
    tasks(neighbours, "deliver", count, deliver)
}

fn tasks(
    neighbours: &Neighbours,
    queue: &str,
    count: usize,
    task: impl Fn(Event) -> Result<Task>,
) -> Result<Value> {
    let bodies: Result<Vec<_>> = (0..count)
        .map(|number| {
            Ok(task(tests::stories::event(number, neighbours.now)?)?
                .encode()
                .body)
        })
        .collect();
    Ok(sqs_event(queue, &bodies?))
}

/// What an HTTP API (payload version 2.0) hands to a door.
fn http_event(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Value {
    // lambda_http panics on host names that look like broken IP addresses, hence `localhost`.
    let mut sent = json!({ "content-type": "application/json", "host": "localhost" });
    for (name, value) in headers {
        if let Some(sent) = sent.as_object_mut() {
            sent.insert((*name).to_owned(), Value::from(*value));
        }
    }
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": sent,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "measured",
            "domainName": "localhost",
            "domainPrefix": "measured",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "bench",
            },
            "requestId": "00000000-0000-0000-0000-000000000000",
            "routeKey": "$default",
            "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000",
            "timeEpoch": 1_767_225_600_000_u64,
        },
        "body": body,
        "isBase64Encoded": false,
    })
}

/// What an SQS trigger hands to a worker.
fn sqs_event(queue: &str, bodies: &[String]) -> Value {
    let sent = SystemClock.now().as_millisecond().to_string();
    let record = |(number, body): (usize, &String)| {
        json!({
            "messageId": format!("059f36b4-87a3-44ab-83d2-{number:012}"),
            "receiptHandle": format!("AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a{number}"),
            "body": body,
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": sent,
                "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                "ApproximateFirstReceiveTimestamp": "1767225600001",
            },
            "messageAttributes": {},
            "md5OfBody": "",
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:eu-central-1:123456789012:{queue}"),
            "awsRegion": "eu-central-1",
        })
    };
    json!({ "Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>() })
}

/// A case with everything made that its processes are given.
struct Subject<'a> {
    case: &'static Case,
    binary: PathBuf,
    env: Vec<(String, String)>,
    neighbours: &'a Neighbours,
    starts: Vec<Duration>,
}

impl<'a> Subject<'a> {
    fn new(case: &'static Case, binary: PathBuf, neighbours: &'a Neighbours) -> Self {
        Self {
            case,
            binary,
            env: env(&neighbours.outside),
            neighbours,
            starts: Vec::new(),
        }
    }

    /// An event of so many messages, made when it is needed: a message that waited is handled with more care.
    fn payload(&self, count: usize) -> Result<Vec<u8>> {
        let payload = (self.case.payload)(self.neighbours, count)?;
        Ok(payload.to_string().into_bytes())
    }

    /// Starts the process with an invocation waiting, and returns how long its answer took.
    async fn start(&self) -> Result<(Duration, Function, RuntimeApi)> {
        let api = RuntimeApi::start().await?;
        let answer = api.invoke(self.payload(1)?);
        let function = Function::spawn(&self.binary, self.env.clone(), &api)?;
        let answer = self.check(answer.await)?;
        Ok((answer.at.duration_since(function.started()), function, api))
    }

    fn check(&self, answer: Result<Answer>) -> Result<Answer> {
        let answer = answer.with_context(|| self.case.function)?;
        let body = String::from_utf8_lossy(&answer.body);
        let right = !answer.error && body.contains(self.case.answer);
        ensure!(right, "{} answered {body}", self.case.function);
        Ok(answer)
    }

    /// Memory, CPU time and requests of many invocations of one process.
    async fn endure(&self, invocations: u32) -> Result<Endurance> {
        let (_, function, api) = self.start().await?;
        let (before, asked) = (function.cpu()?, self.neighbours.outside.requests());
        for _ in 0..invocations {
            self.check(api.invoke(self.payload(BATCH)?).await)?;
        }
        let cpu = function.cpu()?.since(before);
        let requests = self.neighbours.outside.requests().saturating_sub(asked);
        let resident_kib = function.resident_kib()?;
        // Before the server that it asks for more, or it would complain.
        drop(function);
        Ok(Endurance {
            resident_kib,
            cpu_us: u128::from(cpu.ms() * 1_000) / u128::from(invocations),
            system_us: u128::from(cpu.system_ms * 1_000) / u128::from(invocations),
            requests: requests * 1_000 / u64::from(invocations),
        })
    }

    /// The least and the median start, in microseconds.
    fn least_and_median(&mut self) -> Result<(u128, u128)> {
        self.starts.sort_unstable();
        let least = self.starts.first().context("no rounds")?;
        let median = self
            .starts
            .get(self.starts.len() / 2)
            .context("no rounds")?;
        Ok((least.as_micros(), median.as_micros()))
    }
}

struct Endurance {
    resident_kib: u64,
    cpu_us: u128,
    /// So much of it in the kernel.
    system_us: u128,
    /// Requests to DynamoDB and SQS, in thousandths.
    requests: u64,
}

struct Options {
    check: bool,
    rounds: usize,
    runs: usize,
    invocations: u32,
    binaries: Vec<PathBuf>,
}

impl Options {
    /// The binary of `cargo local` beside this one, unless only some functions were asked for.
    fn local(&self) -> Result<Option<PathBuf>> {
        let here = std::env::current_exe()?;
        let local = here
            .parent()
            .context("an executable lies in a folder")?
            .join("local");
        Ok((self.binaries.is_empty() && local.exists()).then_some(local))
    }
}

/// What follows an option that takes a number, from 1 on.
fn count<N: TryFrom<u32>>(option: &str, value: Option<String>) -> Result<N> {
    value
        .and_then(|value| value.parse::<u32>().ok())
        .filter(|count| *count > 0)
        .and_then(|count| N::try_from(count).ok())
        .with_context(|| format!("{option} needs a number from 1 on"))
}

fn options() -> Result<Options> {
    let mut options = Options {
        check: false,
        rounds: 30,
        runs: RUNS,
        invocations: INVOCATIONS,
        binaries: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--check" => options.check = true,
            "--rounds" => options.rounds = count(&argument, arguments.next())?,
            "--runs" => options.runs = count(&argument, arguments.next())?,
            "--invocations" => options.invocations = count(&argument, arguments.next())?,
            flag if flag.starts_with('-') => bail!("unknown option {flag}"),
            binary => options.binaries.push(PathBuf::from(binary)),
        }
    }
    Ok(options)
}

/// The bare function, and every other that was asked for; all must be there.
fn subjects<'a>(asked: &[PathBuf], neighbours: &'a Neighbours) -> Result<Vec<Subject<'a>>> {
    let here = std::env::current_exe()?;
    let beside = here.parent().context("an executable lies in a folder")?;
    let named = |path: &Path, name: &str| path.file_stem().is_some_and(|stem| stem == name);
    for path in asked {
        let known = CASES.iter().any(|case| named(path, case.function));
        ensure!(
            known,
            "{} is none of the functions that have a case",
            path.display()
        );
    }
    let mut subjects = Vec::new();
    for case in &CASES {
        let path = asked
            .iter()
            .find(|path| named(path, case.function))
            .cloned();
        let wanted = asked.is_empty() || path.is_some() || subjects.is_empty();
        if wanted {
            let binary = path.unwrap_or_else(|| beside.join(case.function));
            ensure!(
                binary.exists(),
                "{} is not built: cargo build --release",
                binary.display()
            );
            subjects.push(Subject::new(case, std::path::absolute(binary)?, neighbours));
        }
    }
    Ok(subjects)
}

/// A number of thousandths, with two decimals.
fn thousandths(value: u128) -> String {
    let hundredths = (value + 5) / 10;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let options = options()?;
    let receiver = StandIn::start(Vec::new()).await?;
    let outside = StandIn::start(canned(&receiver.url()).await?).await?;
    let neighbours = Neighbours {
        outside,
        now: SystemClock.now(),
    };
    let mut subjects = subjects(&options.binaries, &neighbours)?;

    for subject in &subjects {
        subject.start().await?; // Brings the file into the page cache.
    }
    for _ in 0..options.rounds {
        for subject in &mut subjects {
            let (start, ..) = subject.start().await?;
            subject.starts.push(start);
        }
    }

    println!(
        "| function | start, least | start, median | × bare | resident | CPU an invocation | of it in the kernel | requests |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let mut bare = None;
    let mut event_us = 0;
    let mut within = true;
    for subject in &mut subjects {
        let mut runs = Vec::new();
        for _ in 0..options.runs {
            runs.push(subject.endure(options.invocations).await?);
        }
        let resident = runs
            .iter()
            .map(|run| run.resident_kib)
            .max()
            .unwrap_or_default();
        let least_cpu = runs.iter().map(|run| (run.cpu_us, run.system_us)).min();
        let (cpu, system) = least_cpu.unwrap_or_default();
        let requests = runs
            .iter()
            .map(|run| run.requests)
            .max()
            .unwrap_or_default();
        let (least, median) = subject.least_and_median()?;
        let ratio = median * 1_000 / (*bare.get_or_insert(median)).max(1);
        println!(
            "| `{}` | {} ms | {} ms | {} | {} MiB | {} ms | {} ms | {} |",
            subject.case.function,
            thousandths(least),
            thousandths(median),
            thousandths(ratio),
            thousandths(u128::from(resident) * 1_000 / 1_024),
            thousandths(cpu),
            thousandths(system),
            thousandths(u128::from(requests)),
        );
        event_us += cpu.checked_div(subject.case.events).unwrap_or_default();
        if ratio > subject.case.budget * 10 {
            eprintln!("{} starts too slowly", subject.case.function);
            within = false;
        }
        // Configuration is read again every 10 s.
        if requests > subject.case.requests * 1_000 + 100 {
            eprintln!("{} makes too many requests", subject.case.function);
            within = false;
        }
        if resident > MEMORY_BUDGET_KIB {
            eprintln!("{} holds too much memory", subject.case.function);
            within = false;
        }
    }
    println!(
        "\nCPU of one event through all functions, without stores: {} ms",
        thousandths(event_us)
    );
    if let Some(local) = options.local()? {
        let whole = throughput::run(&local, LOAD).await?;
        println!(
            "`cargo local`, as built: {} deliveries a second, {} ms of CPU each, of which the embedded table, its \
             log and everything else that is not a function take {} ms",
            whole.per_second,
            thousandths(whole.cpu_us),
            thousandths(whole.cpu_us.saturating_sub(event_us)),
        );
    }
    if event_us > EVENT_BUDGET_US {
        eprintln!(
            "an event takes more CPU time than {} ms",
            thousandths(EVENT_BUDGET_US)
        );
        within = false;
    }
    Ok(if within || !options.check {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
