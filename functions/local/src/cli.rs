//! What `cargo local` can be asked to do.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};

use shared::event::Role;
use shared::ids::EventId;

use crate::send::rafiki::event_types;
use crate::send::stripe::fixture_names;
use crate::send::{chargebee, recurly};

const ENVIRONMENT: &str = "\
Environment:
  PAYRELAY_OPERATOR_KEY    the operator's API key; without it a fresh one is made and printed
  PAYRELAY_OWN_HOSTS       names that this API is reached by from outside, which no endpoint may lead to
  PAYRELAY_ALLOW_TARGETS   networks that endpoints may be in [default: 127.0.0.0/8,::1/128]
  PAYRELAY_RETENTION_DAYS  how long what was recorded is kept [default: 30]
  RUST_LOG                 how much is shown [default: info,dynoxide=error]

With --aws also AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, and PAYRELAY_TABLE,
PAYRELAY_QUEUE_*, PAYRELAY_DEAD_* and PAYRELAY_SEAL_KEYS as the functions have them.";

/// Runs every function in one process on 127.0.0.1, with a receiver that shows what arrived.
#[derive(Debug, Parser)]
#[command(
    name = "local",
    bin_name = "cargo local",
    after_help = ENVIRONMENT,
    args_conflicts_with_subcommands = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What else to do than to run everything.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to run everything.
    #[command(flatten)]
    pub run: RunArgs,
}

impl Cli {
    /// Reads the arguments of this process. Ends it, with status 2, if they make no sense.
    #[must_use]
    pub fn from_process() -> Self {
        Self::parse_from(without_separator(std::env::args_os()))
    }
}

/// The alias `cargo local` ends in `--`, so in `cargo local -- send` a second one arrives here.
fn without_separator(args: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    args.enumerate()
        .filter(|(index, arg)| *index != 1 || arg != "--")
        .map(|(_, arg)| arg)
}

/// The other things to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sign a webhook as its sender does, and post it.
    #[command(subcommand)]
    Send(Send),
    /// Watch a story on a clock that runs fast; it ends by itself.
    #[command(subcommand)]
    Demo(Demo),
    /// Run only the receiver: for seeing what becomes of deliveries while it is down.
    Receiver(ReceiverArgs),
}

/// How to run everything.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The port of the API: the webhooks of billing platforms, the events of payment backends, and the
    /// operator's.
    #[arg(long, default_value_t = 3000, value_name = "PORT")]
    pub port: u16,
    /// The port of the demo receiver.
    #[arg(long, default_value_t = 3001, value_name = "PORT")]
    pub receiver_port: u16,
    /// Run without the receiver; `cargo local receiver` runs it by itself.
    #[arg(long)]
    pub no_receiver: bool,
    /// Keep the table in this folder; in memory without it.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Leave out the demo tenant.
    #[arg(long)]
    pub no_demo: bool,
    /// Use the queues and the table of AWS_ENDPOINT_URL, or of AWS, which must exist, instead of embedded ones.
    #[arg(long, conflicts_with = "data")]
    pub aws: bool,
}

/// Which story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Demo {
    /// A failed invoice, from its failure to its recovery.
    Recovery,
    /// A customer of an anchor whose papers are checked, and a wallet that is told, although it fails twice.
    Customer,
}

/// Whose webhook to send.
#[derive(Debug, Subcommand)]
pub enum Send {
    /// A webhook of Stripe Billing.
    Stripe(StripeArgs),
    /// A webhook of Chargebee.
    Chargebee(ChargebeeArgs),
    /// A webhook of Recurly, and what Recurly's API tells of it when it is asked.
    Recurly(RecurlyArgs),
    /// An event of a Rafiki instance.
    Rafiki(RafikiArgs),
}

/// What Stripe tells.
#[derive(Debug, Args)]
pub struct StripeArgs {
    /// What it tells.
    #[arg(value_parser = PossibleValuesParser::new(fixture_names()), value_name = "EVENT")]
    pub event: String,
    /// The invoice it is about, to tell more of one that was sent before.
    #[arg(long, value_name = "ID")]
    pub invoice: Option<String>,
    /// Send the fixture to the byte, so that only the first one is new.
    #[arg(long, conflicts_with = "invoice")]
    pub same: bool,
    /// Where it goes, and how often.
    #[command(flatten)]
    pub post: PostArgs,
}

/// What Chargebee tells.
#[derive(Debug, Args)]
pub struct ChargebeeArgs {
    /// What it tells.
    #[arg(value_parser = PossibleValuesParser::new(chargebee::fixture_names()), value_name = "EVENT")]
    pub event: String,
    /// The invoice it is about, to tell more of one that was sent before.
    #[arg(long, value_name = "ID")]
    pub invoice: Option<String>,
    /// Where it goes, and how often.
    #[command(flatten)]
    pub post: PostArgs,
}

/// What Recurly tells.
#[derive(Debug, Args)]
pub struct RecurlyArgs {
    /// What it tells of a payment.
    #[arg(value_parser = PossibleValuesParser::new(recurly::fixture_names()), value_name = "EVENT")]
    pub event: String,
    /// The invoice it is about, to tell more of one that was sent before.
    #[arg(long, value_name = "ID")]
    pub invoice: Option<String>,
    /// Where the stand-in for Recurly's API is, which is to know of it [default: at the demo's receiver].
    #[arg(long, value_name = "URL")]
    pub platform: Option<String>,
    /// Where it goes, and how often.
    #[command(flatten)]
    pub post: PostArgs,
}

/// What Rafiki tells.
#[derive(Debug, Args)]
pub struct RafikiArgs {
    /// The event's type.
    #[arg(value_parser = PossibleValuesParser::new(event_types()), value_name = "TYPE")]
    pub event: String,
    /// The roles that are to hear of it, such as `ase,pos` [default: those of the type].
    #[arg(long, value_name = "ROLES", value_parser = roles)]
    pub recipients: Option<String>,
    /// The event's id, to say the same again [default: a new one].
    #[arg(long, value_name = "ID", value_parser = event_id)]
    pub id: Option<String>,
    /// Where it goes, and how often.
    #[command(flatten)]
    pub post: PostArgs,
}

/// Where a webhook goes, and how often.
#[derive(Debug, Args)]
pub struct PostArgs {
    /// Where to post it [default: the demo tenant's door at port 3000].
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The secret to sign with [default: the demo tenant's].
    #[arg(long, value_name = "SECRET")]
    pub secret: Option<String>,
    /// How many to send, each a new one.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub times: u32,
    /// Post nothing, and write the event that API Gateway would invoke the function with (`-` for standard output).
    #[arg(long, value_name = "FILE", conflicts_with = "times")]
    pub as_lambda_event: Option<PathBuf>,
}

fn roles(list: &str) -> Result<String, String> {
    match list.split(',').find(|name| Role::parse(name).is_none()) {
        None => Ok(list.to_owned()),
        Some(name) => {
            let known = Role::ALL.map(Role::as_str).join(", ");
            Err(format!("`{name}` is none of {known}"))
        }
    }
}

fn event_id(id: &str) -> Result<String, String> {
    EventId::parse(id)
        .map(String::from)
        .map_err(|error| error.to_string())
}

/// How the receiver runs by itself.
#[derive(Debug, Args)]
pub struct ReceiverArgs {
    /// Its port.
    #[arg(
        long,
        visible_alias = "receiver-port",
        default_value_t = 3001,
        value_name = "PORT"
    )]
    pub port: u16,
    /// What to answer to genuine deliveries, such as 500 to see them retried.
    #[arg(long, default_value_t = 200, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(200..600))]
    pub answer: u16,
    /// A secret of the endpoint [default: the demo endpoint's]; may be given several times.
    #[arg(long = "secret", value_name = "SECRET")]
    pub secrets: Vec<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        let args = ["local"].into_iter().chain(line.split_whitespace());
        Cli::try_parse_from(without_separator(args.map(OsString::from)))
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn with_or_without_the_separator_is_the_same() {
        for line in ["--port 8080", "-- --port 8080"] {
            assert_eq!(
                parse(line).map(|cli| cli.run.port).ok(),
                Some(8080),
                "{line}"
            );
        }
        for line in [
            "send stripe invoice.paid",
            "-- send stripe invoice.paid",
            "send rafiki outgoing_payment.created --recipients ase,pos",
            "send chargebee payment_failed --invoice INV-1",
            "send recurly failed",
        ] {
            let command = parse(line).map(|cli| cli.command).ok().flatten();
            assert!(matches!(command, Some(Command::Send(_))), "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        let cases = [
            ("--port 70000", ErrorKind::ValueValidation),
            ("--nonsense", ErrorKind::UnknownArgument),
            ("--aws --data x", ErrorKind::ArgumentConflict),
            (
                "--port 1 send stripe invoice.paid",
                ErrorKind::ArgumentConflict,
            ),
            ("send stripe", ErrorKind::MissingRequiredArgument),
            ("send stripe invoice.nonsense", ErrorKind::InvalidValue),
            ("send square invoice.paid", ErrorKind::InvalidSubcommand),
            ("send rafiki payment.nonsense", ErrorKind::InvalidValue),
            (
                "send rafiki asset.liquidity_low --recipients bank",
                ErrorKind::ValueValidation,
            ),
            (
                "send rafiki asset.liquidity_low --id a.b",
                ErrorKind::ValueValidation,
            ),
            (
                "send stripe invoice.paid --times 0",
                ErrorKind::ValueValidation,
            ),
            (
                "send stripe invoice.paid --same --invoice in_1",
                ErrorKind::ArgumentConflict,
            ),
            ("receiver --answer 99", ErrorKind::ValueValidation),
        ];
        for (line, want) in cases {
            let got = parse(line).err();
            assert_eq!(got.as_ref().map(clap::Error::kind), Some(want), "{line}");
            assert_eq!(got.map(|error| error.exit_code()), Some(2), "{line}");
        }
    }
}
