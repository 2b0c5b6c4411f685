//! `cargo sim`: runs seeds over all cores, shows what was checked, and of a failure the shortest run that shows it.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;
use shared::entropy::{Entropy, SystemEntropy};
use simulation::campaign::{self, Campaign};
use simulation::dead::{self, Measured};
use simulation::defects::Defect;
use simulation::overload;
use simulation::run::{Options, run};
use simulation::shrink::shortest;
use simulation::weather::Fault;

/// So many events for a dead receiver show a breaker that forgets.
const DEAD_EVENTS: u64 = 1_000;

/// Runs Payrelay under all that can go wrong, and checks what must hold.
#[derive(Parser)]
#[command(name = "cargo sim")]
struct Cli {
    /// How many seeds to run.
    #[arg(long)]
    seeds: Option<u64>,
    /// How long to run, in seconds; 60 where nothing else is said.
    #[arg(long)]
    seconds: Option<u64>,
    /// The first seed; where it is not given, it is drawn.
    #[arg(long)]
    from: Option<u64>,
    /// How many runs are made at once; one for each core if it is not given.
    #[arg(long)]
    threads: Option<usize>,
    /// A file that keeps the figures, and how far they go: the next run goes on from there.
    #[arg(long)]
    figures: Option<PathBuf>,
    /// Makes one run, and writes down every step of it.
    #[arg(long, conflicts_with_all = ["seeds", "seconds", "from", "figures"])]
    replay: Option<u64>,
    /// Leaves out this kind of fault.
    #[arg(long, value_parser = fault)]
    without: Vec<Fault>,
    /// Only so much of what comes from outside.
    #[arg(long)]
    acts: Option<usize>,
    /// Has a deliberate defect, which the laws must find.
    #[arg(long, value_parser = defect)]
    defect: Option<Defect>,
    /// Looks for each deliberate defect, and shows how many seeds that takes.
    #[arg(long, conflicts_with_all = ["replay", "defect", "seconds", "figures"])]
    teeth: bool,
    /// Measures what a receiver that hangs costs the others while so many events wait for it.
    #[arg(long, value_name = "EVENTS")]
    dead: Option<u64>,
    /// Measures an hour and more of overload, with a backlog of so many events.
    #[arg(long, value_name = "EVENTS")]
    overload: Option<u64>,
    /// Makes the runs of `regressions.txt` before all else.
    #[arg(long)]
    regressions: bool,
}

fn fault(name: &str) -> Result<Fault, String> {
    let names = || Fault::ALL.map(Fault::name).join(", ");
    Fault::parse(name).ok_or_else(|| format!("there are {}", names()))
}

fn defect(name: &str) -> Result<Defect, String> {
    let names = || Defect::ALL.iter().map(|it| it.name()).collect::<Vec<_>>();
    Defect::parse(name).ok_or_else(|| format!("there are {}", names().join(", ")))
}

impl Cli {
    fn options(&self, seed: u64) -> Options {
        Options {
            seed,
            without: self.without.iter().copied().collect::<BTreeSet<_>>(),
            acts: self.acts,
            defect: self.defect,
            traced: false,
        }
    }

    fn threads(&self) -> usize {
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        self.threads.unwrap_or(cores).max(1)
    }
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    if cli.regressions && !replay_regressions()? {
        return Ok(ExitCode::FAILURE);
    }
    if let Some(seed) = cli.replay {
        return replay(&cli, seed);
    }
    if cli.teeth {
        return teeth(&cli);
    }
    if cli.dead.is_some() || cli.overload.is_some() {
        let dead = cli.dead.map_or(Ok(true), dead_receiver)?;
        let overload = cli.overload.map_or(Ok(true), overloaded)?;
        return Ok(code(dead && overload));
    }
    let drawn = || {
        let entropy: &dyn Entropy = &SystemEntropy;
        u64::from(u32::from_le_bytes(entropy.bytes())) << 16
    };
    let time = match (cli.seeds, cli.seconds) {
        (Some(_), None) => None,
        (_, seconds) => Some(Duration::from_secs(seconds.unwrap_or(60))),
    };
    let campaign = Campaign {
        options: cli.options(0),
        from: cli.from,
        seeds: cli.seeds,
        time,
        threads: cli.threads(),
        figures: cli.figures.clone(),
        stop_at_failure: false,
    };
    let figures = campaign.go(drawn)?;
    println!("{}", figures.table());
    let Some(seed) = figures.failed.first().copied() else {
        return Ok(ExitCode::SUCCESS);
    };
    explain(&cli, seed)?;
    Ok(ExitCode::FAILURE)
}

/// Shows what went wrong in a run, by the shortest run that shows it.
fn explain(cli: &Cli, seed: u64) -> Result<()> {
    println!("seed {seed} broke a law; looking for the shortest run that does ...");
    let Some((options, report)) = shortest(&cli.options(seed))? else {
        bail!("seed {seed} broke no law when it was run again");
    };
    print!("{}", report.trace);
    for violation in &report.violations {
        println!("{}: {}", violation.law, violation.seen);
    }
    println!("step by step: {}", campaign::command(&options));
    Ok(())
}

fn replay(cli: &Cli, seed: u64) -> Result<ExitCode> {
    let options = Options {
        traced: true,
        ..cli.options(seed)
    };
    let report = run(&options)?;
    print!("{}", report.trace);
    for violation in &report.violations {
        println!("{}: {}", violation.law, violation.seen);
    }
    Ok(code(report.violations.is_empty()))
}

fn code(holds: bool) -> ExitCode {
    match holds {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Measures a receiver that hangs beside one that is well; answers whether the promises hold.
fn dead_receiver(events: u64) -> Result<bool> {
    let well = dead::measure(events, false, None)?;
    let hung = dead::measure(events, true, None)?;
    println!("| | receiver is well | receiver hangs |");
    println!("|---|---|---|");
    let row = |name: &str, well: String, hung: String| println!("| {name} | {well} | {hung} |");
    let both = |name: &str, of: fn(&Measured) -> String| row(name, of(&well), of(&hung));
    both("events for it", |it| it.waiting.to_string());
    both("messages in flight, at most", |it| {
        it.most_in_flight.to_string()
    });
    both("99 of 100 events for others took, ms", |it| {
        it.others_p99_ms.to_string()
    });
    both("requests to it while it was down", |it| {
        it.requests.to_string()
    });
    both("events taken by it in the end", |it| it.arrived.to_string());
    both("caught up within", |it| format!("{:#}", it.caught_up));
    let broken = hung.broken(&well);
    for promise in &broken {
        println!("broken: {promise}");
    }
    Ok(broken.is_empty())
}

/// Measures overload; answers whether the promises hold.
fn overloaded(backlog: u64) -> Result<bool> {
    let measured = overload::measure(backlog)?;
    println!("| what | figure |");
    println!("|---|---|");
    println!("| backlog | {} |", measured.backlog);
    for (status, times) in &measured.answers {
        println!("| door answered {status} | {times} |");
    }
    println!("| accepted, the backlog included | {} |", measured.accepted);
    println!("| arrived | {} |", measured.arrived);
    println!("| at rest after the trouble ended | {:#} |", measured.rest);
    for (alarm, after) in &measured.alarms {
        println!("| alarm `{alarm}` after | {after:#} |");
    }
    let honest = measured
        .answers
        .keys()
        .all(|status| [200, 503].contains(status));
    let whole = measured.arrived == measured.accepted;
    // Those of backlogs have thresholds that a small one stays below.
    let wanted = match backlog {
        20_000.. => &[
            "door-5xx",
            "table-throttles",
            "throttles",
            "deliver-backlog",
        ][..],
        _ => &["door-5xx", "table-throttles", "throttles"],
    };
    let silent: Vec<_> = wanted
        .iter()
        .filter(|wanted| !measured.alarms.contains_key(**wanted))
        .collect();
    for (broken, promise) in [
        (!honest, "the doors answer 200 or 503"),
        (!whole, "all that was accepted arrives"),
        (!silent.is_empty(), "the alarms go off"),
    ] {
        if broken {
            println!("broken: {promise} {silent:?}");
        }
    }
    Ok(honest && whole && silent.is_empty())
}

/// Runs what failed once. Answers whether none of it fails now.
fn replay_regressions() -> Result<bool> {
    let mut holds = true;
    for options in campaign::regressions()? {
        let report = run(&options)?;
        for violation in &report.violations {
            holds = false;
            println!("{}: {}", violation.law, violation.seen);
            println!("step by step: {}", campaign::command(&options));
        }
    }
    Ok(holds)
}

fn teeth(cli: &Cli) -> Result<ExitCode> {
    let most = cli.seeds.unwrap_or(2_000);
    let mut all_found = true;
    println!("| defect | found by seed number | law |");
    println!("|---|---|---|");
    for defect in Defect::ALL.iter().copied() {
        if defect == Defect::BreakerForgotten {
            let well = dead::measure(DEAD_EVENTS, false, None)?;
            let hung = dead::measure(DEAD_EVENTS, true, Some(defect))?;
            let broken = hung.broken(&well);
            all_found &= !broken.is_empty();
            println!(
                "| `{}` | `--dead {DEAD_EVENTS}` | {} |",
                defect.name(),
                broken.join("; ")
            );
            continue;
        }
        let campaign = Campaign {
            options: Options {
                defect: Some(defect),
                ..cli.options(0)
            },
            from: Some(cli.from.unwrap_or(1)),
            seeds: Some(most),
            time: None,
            threads: cli.threads(),
            figures: None,
            stop_at_failure: true,
        };
        let figures = campaign.go(|| 1)?;
        match (figures.failed.first(), figures.violated.iter().next()) {
            (Some(seed), Some(law)) => {
                let number = seed - cli.from.unwrap_or(1) + 1;
                println!("| `{}` | {number} | {law} |", defect.name());
            }
            _ => {
                all_found = false;
                println!("| `{}` | not within {most} | |", defect.name());
            }
        }
    }
    Ok(code(all_found))
}
