//! Kills the functions while they work, and sees that nothing is lost: `cargo crash`.
//!
//! The functions' own binaries run behind a stand-in for the Lambda Runtime API, several copies of each, against an emulator of
//! SQS and DynamoDB with the template's table and queues. Clients send signed events and billing webhooks to the doors until
//! each is answered 200; a poller feeds the workers as Lambda's would. At random moments a copy is ended with SIGKILL and
//! started again, and between each copy and the emulator a proxy loses requests and answers. In the end every law in
//! [`laws`] must hold.
//!
//! ```text
//! cargo crash [--events N] [--kills N] [--cuts PER-MILLE] [--seed N] [--binaries FOLDER] [--logs FOLDER]
//! ```

mod chance;
mod copy;
mod emulator;
mod laws;
mod ledger;
mod load;
mod pool;
mod proxy;
mod receiver;
mod request;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use shared::config::environment;
use shared::queue::Queue;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::emulator::{Depth, Emulator};
use crate::ledger::Ledger;
use crate::load::Load;
use crate::pool::{Ground, Pool};
use crate::proxy::Scissors;
use crate::receiver::Receiver;

/// How often the run is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// After the last event was accepted, all must be over within this time. A message whose event was fanned out already waits
/// for 90 s, one that a killed function had in hand for 30 s and its claim for as long again.
const SETTLE_MOST: Duration = Duration::from_secs(600);
/// The functions that are run.
const FUNCTIONS: [&str; 8] = [
    "publish", "ingest", "anchor", "console", "recover", "fanout", "deliver", "sweep",
];

struct Options {
    events: u32,
    kills: u32,
    cuts: u32,
    seed: u32,
    binaries: Option<PathBuf>,
    logs: Option<PathBuf>,
}

fn options() -> Result<Options> {
    let mut options = Options {
        events: 20_000,
        kills: 200,
        cuts: 5,
        seed: 1,
        binaries: None,
        logs: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next();
        let value = value.with_context(|| format!("{argument} needs a value"))?;
        let number = || -> Result<u32> {
            let number = value.parse();
            number.with_context(|| format!("{argument} needs a number, not {value}"))
        };
        match argument.as_str() {
            "--events" => options.events = number()?,
            "--kills" => options.kills = number()?,
            "--cuts" => options.cuts = number()?,
            "--seed" => options.seed = number()?,
            "--binaries" => options.binaries = Some(value.into()),
            "--logs" => options.logs = Some(value.into()),
            _ => bail!("unknown option {argument}"),
        }
    }
    ensure!(
        (1..=5_000_000).contains(&options.events),
        "--events must be from 1 to 5000000"
    );
    ensure!(options.cuts <= 500, "--cuts must be at most 500 per mille");
    Ok(options)
}

/// A wait in real time, which is what killed processes and their messages need.
#[expect(
    clippy::disallowed_methods,
    reason = "the processes under test live in real time"
)]
async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// The folder with the functions' binaries: as asked for, or beside this one, where they are built by now.
fn binaries(asked: Option<&PathBuf>) -> Result<PathBuf> {
    let folder = match asked {
        Some(folder) => folder.clone(),
        None => {
            let here = std::env::current_exe()?;
            let folder = here.parent().context("an executable lies in a folder")?;
            if let Some(cargo) = environment("CARGO") {
                let mut build = Command::new(cargo);
                build.args(["build", "--locked", "--bins", "--profile"]);
                let profile = match folder.file_name().and_then(|name| name.to_str()) {
                    Some("debug") => "dev",
                    name => name.context("a folder has a name")?,
                };
                let built = build.arg(profile).status().context("cargo build")?;
                ensure!(built.success(), "the functions can't be built");
            }
            folder.to_owned()
        }
    };
    for function in FUNCTIONS {
        let binary = folder.join(function);
        ensure!(binary.exists(), "{} is not built", binary.display());
    }
    Ok(std::path::absolute(folder)?)
}

/// Kills copies evenly over the events, until all are accepted.
async fn kill_until_accepted(
    options: &Options,
    ledger: &Ledger,
    pool: &Pool,
    mut sending: JoinHandle<Result<()>>,
) -> Result<()> {
    let (events, kills) = (u64::from(options.events), u64::from(options.kills));
    let (mut killed, mut shown) = (0, 0);
    let began = Instant::now();
    loop {
        pool.trouble()?;
        let (accepted, taken) = {
            let books = ledger.books();
            (books.accepted, books.taken)
        };
        while killed < kills && accepted * (kills + 1) >= events * (killed + 1) {
            pool.kill_one();
            killed += 1;
        }
        if accepted * 20 / events > shown {
            shown = accepted * 20 / events;
            eprintln!(
                "{} s: {accepted} accepted, {taken} deliveries taken, {killed} kills ordered",
                began.elapsed().as_secs()
            );
        }
        if sending.is_finished() {
            return (&mut sending).await?;
        }
        pause(LOOK).await;
    }
}

/// Waits until the queues are empty and all deliveries are there.
async fn settle(emulator: &Emulator, ledger: &Ledger, pool: &Pool) -> Result<()> {
    let began = Instant::now();
    let mut empty = 0;
    loop {
        pool.trouble()?;
        let mut left = Vec::new();
        for queue in Queue::ALL {
            let depths = emulator.depth(queue).await?;
            if depths != [Depth::default(); 2] {
                left.push((queue.as_str(), depths));
            }
        }
        // A message on its way from one queue to the next is in neither for a moment.
        empty = if left.is_empty() { empty + 1 } else { 0 };
        if empty >= 3 {
            return Ok(());
        }
        if began.elapsed() > SETTLE_MOST {
            let books = &mut ledger.books().broken;
            books.push(format!("messages are left after {SETTLE_MOST:?}: {left:?}"));
            return Ok(());
        }
        pause(Duration::from_secs(1)).await;
    }
}

async fn run(options: &Options) -> Result<bool> {
    let ground = Ground {
        binaries: binaries(options.binaries.as_ref())?,
        logs: options.logs.clone(),
        seed: u64::from(options.seed),
    };
    if let Some(logs) = &ground.logs {
        std::fs::create_dir_all(logs)?;
    }
    let folder = std::env::temp_dir().join(format!("payrelay-crash.{}", std::process::id()));
    let emulator = Emulator::start(&folder).await?;
    let ledger = Arc::new(Ledger::default());
    let cuts = u64::from(options.cuts);
    let scissors = Arc::new(Scissors::new(ground.seed, cuts, ledger.clone()));
    let receiver = Receiver::start(ground.seed, ledger.clone()).await?;
    let pool = Pool::start(&ground, &emulator, ledger.clone(), scissors.clone()).await?;
    let load = Arc::new(Load {
        pool: Arc::new(pool),
        ledger: ledger.clone(),
        operator: emulator.get("PAYRELAY_OPERATOR_KEY")?.to_owned(),
        customers: receiver.customers(),
    });
    let key = load.set_up(&receiver).await?;

    let began = Instant::now();
    scissors.set(true);
    let sending = tokio::spawn(load.clone().send(options.events, key));
    let pool = load.pool.clone();
    kill_until_accepted(options, &ledger, &pool, sending).await?;
    let accepted = began.elapsed();
    settle(&emulator, &ledger, &pool).await?;
    let settled = began.elapsed();
    scissors.set(false);
    // The laws are told even if the API could not be asked.
    if let Err(error) = laws::hold_the_state(&load).await {
        let broken = format!("the API can't be asked: {error:#}");
        ledger.books().broken.push(broken);
    }
    pool.end();
    drop(emulator);
    let _ = std::fs::remove_dir_all(&folder);

    let mut books = ledger.books();
    laws::hold(&mut books);
    println!(
        "cargo crash --events {} --kills {} --cuts {} --seed {}: all accepted after {} s, settled after {} s\n",
        options.events,
        options.kills,
        options.cuts,
        options.seed,
        accepted.as_secs(),
        settled.as_secs(),
    );
    laws::report(&books);
    for broken in books.broken.iter().take(50) {
        eprintln!("BROKEN: {broken}");
    }
    Ok(books.broken.is_empty())
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let options = options()?;
    // Whatever ends it, it ends what it started.
    let mut terminated = signal(SignalKind::terminate())?;
    let held = tokio::select! {
        held = run(&options) => held?,
        _ = tokio::signal::ctrl_c() => false,
        _ = terminated.recv() => false,
    };
    Ok(if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
