//! The whole of `cargo local` under load: webhooks in, verified deliveries out, with its embedded table and its log.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::runtime::cpu;
use crate::standin::StandIn;

/// No run takes longer.
const RUN_MOST: Duration = Duration::from_secs(180);

/// What came of a run.
#[derive(Debug, Clone, Copy)]
pub struct Throughput {
    /// Events delivered per second, from the first webhook sent to the last delivery made.
    pub per_second: u128,
    /// CPU time of the process for each of them, in microseconds.
    pub cpu_us: u128,
}

/// Sends `events` webhooks to the release binary `local` and waits until all are delivered.
///
/// # Errors
/// If the binary does not start, or not all are delivered in time.
#[expect(clippy::disallowed_methods, reason = "this is the measuring clock")]
pub async fn run(local: &Path, events: u32) -> Result<Throughput> {
    let receiver = StandIn::start(Vec::new()).await?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut process = Command::new(local)
        .args(["--no-receiver", "--port", &port.to_string()])
        .args(["--receiver-port", &receiver.port().to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {}", local.display()))?;
    let id = process.id().context("it runs")?;
    let mut lines = BufReader::new(process.stdout.take().context("its output is piped")?).lines();
    let up = async { while TcpStream::connect(("127.0.0.1", port)).await.is_err() {} };
    timeout(RUN_MOST, up).await.context("it never listened")?;
    let (before, began) = (cpu(id)?, Instant::now());
    let url = format!("http://127.0.0.1:{port}{}", local::demo::webhook_path());
    let sender = Command::new(local)
        .args([
            "send",
            "stripe",
            "invoice.payment_failed",
            "--times",
            &events.to_string(),
            "--url",
            &url,
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status();
    let delivered = async {
        let mut count = 0;
        while count < events {
            let line = lines.next_line().await?.context("it ended")?;
            count += u32::from(line.contains("delivery tried") && line.contains("\"delivered\""));
        }
        anyhow::Ok(())
    };
    let (sent, delivered) = tokio::join!(timeout(RUN_MOST, sender), timeout(RUN_MOST, delivered));
    ensure!(sent??.success(), "not every webhook was accepted");
    delivered.context("not every webhook was delivered in time")??;
    let (took, cpu) = (began.elapsed(), cpu(id)?.since(before).ms());
    Ok(Throughput {
        per_second: u128::from(events) * 1_000 / took.as_millis().max(1),
        cpu_us: u128::from(cpu) * 1_000 / u128::from(events),
    })
}
