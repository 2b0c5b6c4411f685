//! Start-up, memory, requests and CPU time of the release binaries, beside a bare hello world in the same run.
//!
//! ```text
//! cargo build --release && cargo run --release -p tests --bin bench [-- OPTION.. [BINARY..]]
//!   --check           fails beyond a budget of requests or memory, which are the same on every machine
//!   --strict          fails beyond any budget, those of time included: for a quiet machine
//!   --rounds N        starts of each function (30)
//!   --runs N          processes of each that are invoked many times (5)
//!   --invocations N   so many times (1000)
//! ```
//!
//! Start is from asking for the process to its first answer's arrival; the invocation is queued before, so
//! whatever a function puts off is paid within the measured time. Rounds take the functions in turn, so
//! what else the machine does falls on all of them alike. Without a list of binaries, those of [`CASES`]
//! beside this executable are measured. Prints two markdown tables: the functions, and what a webhook or an event takes on
//! its way through all of them, without stores.
//!
//! CPU time is told apart by where it goes: to the runtime, as the bare function shows; to requests to DynamoDB and SQS,
//! as a function shows that makes one and does nothing else; and to everything else. Only the last is ours to write
//! better; requests are ours to make fewer, so they are counted (ADR 0017). It moves in steps of 10 ms, which is 1 µs an
//! invocation with `--invocations 10000`.
//!
//! Not in it: Lambda's own part of a cold start, and TLS handshakes, since the stand-ins speak plain HTTP
//! (the TLS configuration itself is built in every start, as deployed). What a handshake would add first
//! of all, 30 to 60 ms for the first random number, is built away: see `.cargo/config.toml`.

mod cases;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tests::runtime::{Answer, Function, RuntimeApi};
use tests::standin::StandIn;
use tests::throughput;

use cases::{BARE, BATCH, CASES, Case, REQUEST, WAYS, Way, canned, env};

/// The invocations after which memory is read, and over which CPU time is counted.
const INVOCATIONS: u32 = 1_000;

/// How many processes are put through so many invocations; the least CPU time and the most memory count. A
/// machine that dozes off between invocations charges its waking to the process, so single runs differ
/// by a factor of two.
const RUNS: usize = 5;

/// No function may hold more than this after [`INVOCATIONS`].
const MEMORY_BUDGET_KIB: u64 = 40 * 1024;

/// So many webhooks are sent to `cargo local`.
const LOAD: u32 = 3_000;

/// A case with everything made that its processes are given.
struct Subject<'a> {
    case: &'static Case,
    binary: PathBuf,
    env: Vec<(String, String)>,
    outside: &'a StandIn,
    starts: Vec<Duration>,
}

impl<'a> Subject<'a> {
    fn new(case: &'static Case, binary: PathBuf, outside: &'a StandIn) -> Self {
        Self {
            case,
            binary,
            env: env(outside),
            outside,
            starts: Vec::new(),
        }
    }

    /// An event of so many messages, made when it is needed: a message that waited is handled with more care.
    fn payload(&self, count: usize) -> Result<Vec<u8>> {
        let payload = (self.case.payload)(count)?;
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
        let (before, asked) = (function.cpu()?, self.outside.requests());
        for _ in 0..invocations {
            self.check(api.invoke(self.payload(BATCH)?).await)?;
        }
        let cpu = function.cpu()?.since(before);
        let requests = self.outside.requests().saturating_sub(asked);
        let resident_kib = function.resident_kib()?;
        // Before the server that it asks for more, or it would complain.
        drop(function);
        Ok(Endurance {
            resident_kib,
            cpu_ns: u128::from(cpu.ms() * 1_000_000) / u128::from(invocations),
            system_ns: u128::from(cpu.system_ms * 1_000_000) / u128::from(invocations),
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

#[derive(Clone, Copy)]
struct Endurance {
    resident_kib: u64,
    /// CPU time of an invocation.
    cpu_ns: u128,
    /// So much of it in the kernel.
    system_ns: u128,
    /// Requests to DynamoDB and SQS, in thousandths.
    requests: u64,
}

struct Options {
    check: bool,
    strict: bool,
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
        strict: false,
        rounds: 30,
        runs: RUNS,
        invocations: INVOCATIONS,
        binaries: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--check" => options.check = true,
            "--strict" => options.strict = true,
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
fn subjects<'a>(asked: &[PathBuf], outside: &'a StandIn) -> Result<Vec<Subject<'a>>> {
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
            subjects.push(Subject::new(case, std::path::absolute(binary)?, outside));
        }
    }
    Ok(subjects)
}

/// A number of thousandths, with two decimals.
fn thousandths(value: u128) -> String {
    let hundredths = (value + 5) / 10;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// What was measured of one function.
struct Measured {
    /// What was asked of it.
    case: &'static Case,
    /// The least CPU time that an invocation took in a run, the most memory and the most requests.
    run: Endurance,
}

/// What a webhook or an event takes on its way, in nanoseconds of CPU time.
struct Taken {
    whole: u128,
    kernel: u128,
    runtime: u128,
    requests: u128,
}

/// What goes `way` takes, if everything that it takes was measured.
fn taken(way: &Way, measured: &BTreeMap<&str, Measured>) -> Option<Taken> {
    let bare = measured.get(BARE)?.run.cpu_ns;
    let request = measured.get(REQUEST)?.run.cpu_ns.saturating_sub(bare);
    let mut taken = Taken {
        whole: 0,
        kernel: 0,
        runtime: 0,
        requests: 0,
    };
    for function in way.functions {
        let Measured { case, run } = measured.get(function)?;
        taken.whole += run.cpu_ns / case.events;
        taken.kernel += run.system_ns / case.events;
        taken.runtime += bare / case.events;
        taken.requests += request * u128::from(run.requests) / 1_000 / case.events;
    }
    Some(taken)
}

/// Budgets that were exceeded, by whether they hold on every machine.
#[derive(Default)]
struct Exceeded {
    counts: bool,
    times: bool,
}

/// Puts a function through its runs and prints its line.
async fn measure(
    subject: &mut Subject<'_>,
    options: &Options,
    bare: &mut Option<u128>,
    exceeded: &mut Exceeded,
) -> Result<Endurance> {
    let mut runs = Vec::new();
    for _ in 0..options.runs {
        runs.push(subject.endure(options.invocations).await?);
    }
    let least = runs.iter().min_by_key(|run| (run.cpu_ns, run.system_ns));
    let mut run = *least.context("no runs")?;
    for other in &runs {
        run.resident_kib = run.resident_kib.max(other.resident_kib);
        run.requests = run.requests.max(other.requests);
    }
    let (least, median) = subject.least_and_median()?;
    let ratio = median * 1_000 / (*bare.get_or_insert(median)).max(1);
    println!(
        "| `{}` | {} ms | {} ms | {} | {} MiB | {} ms | {} ms | {} |",
        subject.case.function,
        thousandths(least),
        thousandths(median),
        thousandths(ratio),
        thousandths(u128::from(run.resident_kib) * 1_000 / 1_024),
        thousandths(run.cpu_ns / 1_000),
        thousandths(run.system_ns / 1_000),
        thousandths(u128::from(run.requests)),
    );
    if ratio > subject.case.budget * 10 {
        eprintln!("{} starts too slowly", subject.case.function);
        exceeded.times = true;
    }
    // Configuration is read again every 10 s.
    if run.requests > subject.case.requests * 1_000 + 100 {
        eprintln!("{} makes too many requests", subject.case.function);
        exceeded.counts = true;
    }
    if run.resident_kib > MEMORY_BUDGET_KIB {
        eprintln!("{} holds too much memory", subject.case.function);
        exceeded.counts = true;
    }
    Ok(run)
}

/// Prints what goes each way takes, as far as its functions were measured.
fn print_ways(measured: &BTreeMap<&str, Measured>, exceeded: &mut Exceeded) {
    println!(
        "\n| CPU of | through | in all | × bare | of it in the kernel | the runtime | requests | everything else |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|");
    for way in &WAYS {
        let Some(taken) = taken(way, measured) else {
            continue;
        };
        let bare = measured.get(BARE).map_or(1, |bare| bare.run.cpu_ns).max(1);
        let ratio = taken.whole * 1_000 / bare;
        let rest = taken
            .whole
            .saturating_sub(taken.runtime)
            .saturating_sub(taken.requests);
        println!(
            "| {} | {} | {} µs | {} | {} µs | {} µs | {} µs | {} µs |",
            way.what,
            way.functions.join(", "),
            taken.whole / 1_000,
            thousandths(ratio),
            taken.kernel / 1_000,
            taken.runtime / 1_000,
            taken.requests / 1_000,
            rest / 1_000,
        );
        if ratio > way.budget * 10 {
            eprintln!("{} takes too much CPU time", way.what);
            exceeded.times = true;
        }
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let options = options()?;
    let receiver = StandIn::start(Vec::new()).await?;
    let outside = StandIn::start(canned(&receiver.url()).await?).await?;
    let mut subjects = subjects(&options.binaries, &outside)?;

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
    let mut exceeded = Exceeded::default();
    let mut measured = BTreeMap::new();
    for subject in &mut subjects {
        let run = measure(subject, &options, &mut bare, &mut exceeded).await?;
        let case = subject.case;
        measured.insert(case.function, Measured { case, run });
    }
    print_ways(&measured, &mut exceeded);
    if let Some(local) = options.local()? {
        let whole = throughput::run(&local, LOAD).await?;
        println!(
            "\n`cargo local`, as built: {} deliveries of billing webhooks a second, {} ms of CPU each, the embedded \
             table and its log included",
            whole.per_second,
            thousandths(whole.cpu_us),
        );
    }
    let failed = (exceeded.counts && (options.check || options.strict))
        || (exceeded.times && options.strict);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
