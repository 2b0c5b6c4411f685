//! `cargo local`: runs the whole of Payrelay on 127.0.0.1.

use std::process::ExitCode;

use local::cli::{Cli, Command, Demo};
use local::lines::{self, Audience};
use local::{run, send, story};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::from_process();
    let audience = Audience::of_stdout();
    lines::init(audience, shown(&cli));
    let done = match &cli.command {
        None => run::run(&cli.run, audience).await,
        Some(Command::Receiver(args)) => run::receiver(args, audience).await,
        Some(Command::Send(args)) => send::run(args, audience).await,
        Some(Command::Demo(Demo::Recovery)) => story::recovery(audience).await,
        Some(Command::Demo(Demo::Customer)) => story::customer(audience).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

/// What is logged unless `RUST_LOG` says otherwise: a story is told without.
fn shown(cli: &Cli) -> &'static str {
    match &cli.command {
        Some(Command::Demo(_)) => lines::QUIET,
        _ => lines::SHOWN,
    }
}
