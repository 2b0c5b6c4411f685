//! Stands between one function and the emulator, and loses answers at random.
//!
//! A request may be lost before it is made, or its effect happens and the answer is lost: not sent at all, cut off in the
//! middle, or held back until nobody waits for it any more. On a busy machine the emulator does the last by itself.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::chance::Chance;
use crate::ledger::{Ledger, Mishap, Number, Topic, numbers};
use crate::pause;

/// A connection to the emulator that was not used for so long may be closed on its side already.
const FRESH: Duration = Duration::from_secs(1);
/// The functions wait for an answer for 3 s.
const TOO_LATE: Duration = Duration::from_secs(4);
/// Of an answer that took so long by itself nobody knows whether it was waited for.
const SLOW: Duration = Duration::from_millis(2_900);

/// How an exchange is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Request,
    Answer,
    HalfAnswer,
    LateAnswer,
    /// Not by these scissors.
    SlowAnswer,
}

impl Cut {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request lost",
            Self::Answer => "answer lost",
            Self::HalfAnswer => "answer cut in half",
            Self::LateAnswer => "answer held back",
            Self::SlowAnswer => "answer late by itself",
        }
    }
}

/// What is cut, and what is known of it.
pub(super) struct Scissors {
    chance: Chance,
    per_mille: u64,
    open: AtomicBool,
    ledger: Arc<Ledger>,
}

impl Scissors {
    /// Cuts so many of a thousand exchanges, once opened.
    pub(super) fn new(seed: u64, per_mille: u64, ledger: Arc<Ledger>) -> Self {
        Self {
            chance: Chance::new(seed, "cuts"),
            per_mille,
            open: AtomicBool::new(false),
            ledger,
        }
    }

    /// Begins to cut, or ends it.
    pub(super) fn set(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
    }

    fn decide(&self) -> Option<Cut> {
        let drawn = self.chance.below(100_000);
        if !self.open.load(Ordering::Relaxed) || drawn >= self.per_mille * 100 {
            return None;
        }
        Some(match drawn % 20 {
            0..8 => Cut::Request,
            8..16 => Cut::Answer,
            16..19 => Cut::HalfAnswer,
            _ => Cut::LateAnswer,
        })
    }
}

/// What a function has in hand.
#[derive(Debug, Clone, Default)]
pub(super) struct Hand(Arc<Mutex<BTreeSet<Number>>>);

impl Hand {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<Number>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts down what was in it, and takes up these.
    pub(super) fn take_up(&self, numbers: BTreeSet<Number>) -> BTreeSet<Number> {
        std::mem::replace(&mut *self.lock(), numbers)
    }
}

/// One of them, for one process of a function; ended when dropped.
pub(super) struct Proxy {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Proxy {
    /// Starts one on a free port, for a function with this hand.
    pub(super) async fn start(
        upstream: String,
        function: &'static str,
        scissors: Arc<Scissors>,
        hand: Hand,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let line = Line {
                    upstream: upstream.clone(),
                    function,
                    scissors: scissors.clone(),
                    hand: hand.clone(),
                };
                tokio::spawn(async move {
                    // An end is what a killed function or a cut leaves behind.
                    let _ = line.carry(client).await;
                });
            }
        });
        Ok(Self { address, server })
    }

    /// Its URL: the function's `AWS_ENDPOINT_URL`.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// One connection of a function.
struct Line {
    upstream: String,
    function: &'static str,
    scissors: Arc<Scissors>,
    hand: Hand,
}

impl Line {
    async fn carry(&self, client: TcpStream) -> Result<()> {
        client.set_nodelay(true)?;
        let mut client = BufReader::new(client);
        let mut kept: Option<(BufReader<TcpStream>, tokio::time::Instant)> = None;
        while let Some(request) = message(&mut client).await? {
            let cut = self.scissors.decide();
            if let Some(cut) = cut {
                self.note(cut, &request);
            }
            if cut == Some(Cut::Request) {
                return Ok(());
            }
            let mut upstream = match kept.take() {
                Some((stream, used)) if used.elapsed() < FRESH => stream,
                _ => {
                    let stream = TcpStream::connect(&self.upstream).await?;
                    stream.set_nodelay(true)?;
                    BufReader::new(stream)
                }
            };
            let asked = tokio::time::Instant::now();
            upstream.write_all(&request).await?;
            let answer = message(&mut upstream).await?.context("no answer")?;
            if cut.is_none() && asked.elapsed() >= SLOW {
                self.note(Cut::SlowAnswer, &request);
            }
            kept = Some((upstream, tokio::time::Instant::now()));
            match cut {
                Some(Cut::HalfAnswer) => {
                    let half = answer.get(..answer.len() / 2).unwrap_or_default();
                    client.write_all(half).await?;
                    return Ok(());
                }
                Some(Cut::LateAnswer) => {
                    pause(TOO_LATE).await;
                    return Ok(());
                }
                Some(Cut::Answer | Cut::Request) => return Ok(()),
                Some(Cut::SlowAnswer) | None => client.write_all(&answer).await?,
            }
        }
        Ok(())
    }

    /// Notes what was cut, and what it may have befallen: what the request names, or else all that was in hand.
    fn note(&self, cut: Cut, request: &[u8]) {
        let text = String::from_utf8_lossy(request);
        let operation = header(&text, "x-amz-target")
            .and_then(|target| target.rsplit('.').next())
            .unwrap_or("?");
        let ledger = &self.scissors.ledger;
        ledger.count(Topic::Cuts, cut.as_str(), 1);
        ledger.count(Topic::Operations, operation, 1);
        let named = numbers(&text);
        let befallen = if named.is_empty() {
            self.hand.lock().clone()
        } else {
            named
        };
        ledger.befell(&befallen, Mishap::Cut(self.function));
    }
}

fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// One message of HTTP/1.1 with its body, or nothing at the end of the connection.
async fn message(stream: &mut BufReader<TcpStream>) -> Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    loop {
        let read = stream.read_until(b'\n', &mut bytes).await?;
        match (read, bytes.is_empty()) {
            (0, true) => return Ok(None),
            (0, false) => bail!("it ended within a head"),
            _ if bytes.ends_with(b"\r\n\r\n") => break,
            _ => {}
        }
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    if header(&head, "transfer-encoding").is_some_and(|it| it.eq_ignore_ascii_case("chunked")) {
        loop {
            let begin = bytes.len();
            stream.read_until(b'\n', &mut bytes).await?;
            let size = bytes.get(begin..).unwrap_or_default();
            let size = u64::from_str_radix(String::from_utf8_lossy(size).trim(), 16)?;
            read_on(stream, &mut bytes, size + 2).await?;
            if size == 0 {
                return Ok(Some(bytes));
            }
        }
    }
    let length = header(&head, "content-length").map_or(Ok(0), str::parse)?;
    read_on(stream, &mut bytes, length).await?;
    Ok(Some(bytes))
}

async fn read_on(
    stream: &mut BufReader<TcpStream>,
    bytes: &mut Vec<u8>,
    length: u64,
) -> Result<()> {
    let read = stream.take(length).read_to_end(bytes).await?;
    anyhow::ensure!(u64::try_from(read)? == length, "it ended within a body");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_are_read_with_either_kind_of_body() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let parts = [
            "POST / HTTP/1.1\r\nX-Amz-Target: A.B\r\ncontent-length: 3\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
        ];
        let mut sender = TcpStream::connect(address).await.expect("it listens");
        sender
            .write_all(parts.concat().as_bytes())
            .await
            .expect("it is read");
        drop(sender);
        let (stream, _) = listener.accept().await.expect("it was called");
        let mut stream = BufReader::new(stream);
        for part in parts {
            let read = message(&mut stream).await.expect("it is whole");
            assert_eq!(read.as_deref(), Some(part.as_bytes()));
        }
        assert_eq!(message(&mut stream).await.expect("it ended"), None);
        assert_eq!(header(parts[0], "x-amz-target"), Some("A.B"));
    }
}
