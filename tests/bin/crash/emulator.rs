//! The emulator of SQS and DynamoDB that the functions run against, with the template's table and queues in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use aws_sdk_sqs::types::QueueAttributeName;
use shared::aws::{Account, Clients};
use shared::queue::Queue;
use shared::queue::sqs::SqsQueues;

/// How long a message that was handed out stays hidden, in seconds: longer than any call may take, and much shorter than
/// the template's three minutes, after each of which a killed function's messages would come again.
const VISIBILITY: u64 = 30;

/// A running emulator, ended when dropped.
pub(super) struct Emulator {
    script: PathBuf,
    folder: PathBuf,
    env: BTreeMap<String, String>,
    sqs: aws_sdk_sqs::Client,
}

/// How many messages a queue holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Depth {
    /// That can be received, now or after a delay.
    pub(super) waiting: u64,
    /// That were handed out.
    pub(super) taken: u64,
}

impl Emulator {
    /// Starts one on a free port, with its state in `folder`.
    pub(super) async fn start(folder: &Path) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/ministack.sh");
        let mut env = exports(&script, folder, &["start", "0"])?;
        // Made before the rest, so that it is ended whatever fails from here on.
        let endpoint = env.get("AWS_ENDPOINT_URL").context("it has an address")?;
        let sqs = Clients::new(Account::local(endpoint)).sqs();
        let mut emulator = Self {
            script,
            folder: folder.to_owned(),
            env: BTreeMap::new(),
            sqs,
        };
        env.extend(exports(&emulator.script, folder, &["create"])?);
        emulator.env = env;
        for queue in Queue::ALL {
            emulator
                .sqs
                .set_queue_attributes()
                .queue_url(emulator.url(queue)?)
                .attributes(
                    QueueAttributeName::VisibilityTimeout,
                    VISIBILITY.to_string(),
                )
                .send()
                .await
                .context("setting the visibility timeout")?;
        }
        Ok(emulator)
    }

    /// What every function is given, but for where its own requests go.
    pub(super) fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// A value of it.
    pub(super) fn get(&self, name: &str) -> Result<&str> {
        let value = self.env.get(name).map(String::as_str);
        value.with_context(|| format!("infra/ministack.sh told no {name}"))
    }

    /// Where it listens, as `host:port`.
    pub(super) fn address(&self) -> Result<&str> {
        let url = self.get("AWS_ENDPOINT_URL")?;
        url.strip_prefix("http://").context("it is plain http")
    }

    /// The URL of a queue.
    pub(super) fn url(&self, queue: Queue) -> Result<&str> {
        let name = queue.as_str().to_uppercase().replace('-', "_");
        self.get(&format!("PAYRELAY_QUEUE_{name}"))
    }

    /// The queues, reached without anything that cuts.
    pub(super) fn queues(&self) -> Result<SqsQueues> {
        let urls: Result<Vec<_>> = Queue::ALL
            .into_iter()
            .map(|queue| Ok((queue, self.url(queue)?.to_owned())))
            .collect();
        Ok(SqsQueues::new(self.sqs.clone(), urls?))
    }

    /// What is in a queue, and in its dead letters.
    pub(super) async fn depth(&self, queue: Queue) -> Result<[Depth; 2]> {
        let name = queue.as_str().to_uppercase().replace('-', "_");
        let dead = self.get(&format!("PAYRELAY_DEAD_{name}"))?;
        Ok([
            self.depth_of(self.url(queue)?).await?,
            self.depth_of(dead).await?,
        ])
    }

    async fn depth_of(&self, url: &str) -> Result<Depth> {
        let answer = self
            .sqs
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(QueueAttributeName::All)
            .send()
            .await?;
        let attributes = answer.attributes.unwrap_or_default();
        let count = |name| -> u64 {
            let value = attributes.get(&name).and_then(|value| value.parse().ok());
            value.unwrap_or_default()
        };
        Ok(Depth {
            waiting: count(QueueAttributeName::ApproximateNumberOfMessages)
                + count(QueueAttributeName::ApproximateNumberOfMessagesDelayed),
            taken: count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        })
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // What is left is a process of this machine's own user, which its script names if it is started again.
        let _ = command(&self.script, &self.folder, &["stop"]).status();
    }
}

fn command(script: &Path, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(script);
    command.args(arguments).env("PAYRELAY_MINISTACK", folder);
    command
}

/// What a call of the script would have its caller export.
fn exports(script: &Path, folder: &Path, arguments: &[&str]) -> Result<BTreeMap<String, String>> {
    let output = command(script, folder, arguments)
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("starting {}", script.display()))?;
    ensure!(
        output.status.success(),
        "{} {arguments:?} failed",
        script.display()
    );
    let text = String::from_utf8(output.stdout)?;
    let exported = text
        .lines()
        .filter_map(|line| line.strip_prefix("export "))
        .flat_map(str::split_whitespace)
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(exported.collect())
}
