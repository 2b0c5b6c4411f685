//! A receiver on loopback that misbehaves as it is told, one behaviour per connection, the last one for ever after.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a connection does after it has read a request.
#[derive(Debug, Clone, Copy)]
pub enum Behaviour {
    /// Answers with this status and nothing else.
    Status(u16),
    /// Answers with this text, to the byte, and closes.
    Raw(&'static str),
    /// Closes without an answer.
    Close,
    /// Promises a hundred bytes, sends three, and closes.
    Midway,
    /// Never answers.
    Silent,
    /// Answers 200 and then sends a byte now and then, for ever.
    Drip,
    /// Answers 200 with a body that never ends.
    Endless,
    /// Answers 200 with a body that says it is a compressed gigabyte.
    GzipBomb,
    /// Sends header lines for ever.
    EndlessHeaders,
}

/// The receiver, which ends when it is dropped.
pub struct Hostile {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl Hostile {
    /// Starts on a port that the system chooses.
    ///
    /// # Errors
    /// If there is none.
    pub async fn start(behaviours: impl IntoIterator<Item = Behaviour>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut script: VecDeque<_> = behaviours.into_iter().collect();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let kept = requests.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let behaviour = if script.len() > 1 {
                    script.pop_front()
                } else {
                    script.front().copied()
                };
                tokio::spawn(serve(
                    stream,
                    behaviour.unwrap_or(Behaviour::Close),
                    kept.clone(),
                ));
            }
        });
        Ok(Self {
            address,
            requests,
            server,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// The requests it got, head and body, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(mut stream: TcpStream, behaviour: Behaviour, requests: Arc<Mutex<Vec<String>>>) {
    let Some(request) = read(&mut stream).await else {
        return;
    };
    requests
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(request);
    // Whoever hangs up first is part of the play, so write errors end it.
    let _ended = play(stream, behaviour).await;
}

async fn play(mut stream: TcpStream, behaviour: Behaviour) -> std::io::Result<()> {
    match behaviour {
        Behaviour::Status(status) => {
            let head =
                format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await
        }
        Behaviour::Raw(text) => stream.write_all(text.as_bytes()).await,
        Behaviour::Close => Ok(()),
        Behaviour::Midway => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc")
                .await
        }
        Behaviour::Silent => std::future::pending().await,
        Behaviour::Drip => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
                .await?;
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            loop {
                tick.tick().await;
                stream.write_all(b".").await?;
            }
        }
        Behaviour::Endless => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
                .await?;
            loop {
                stream.write_all(&[b'x'; 4096]).await?;
            }
        }
        Behaviour::GzipBomb => {
            let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 18\r\nconnection: close\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            stream
                .write_all(&[
                    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0, 0xff, 0xff, 0, 0, 0,
                ])
                .await
        }
        Behaviour::EndlessHeaders => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            loop {
                stream
                    .write_all(b"x-more: and more and more and more and more\r\n")
                    .await?;
            }
        }
    }
}

/// A request, head and body; `None` if the other side hung up first.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = stream
            .read(&mut chunk)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        bytes.extend_from_slice(chunk.get(..count)?);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")
                .map(str::to_owned)
        });
        if body.len()
            >= length
                .and_then(|length| length.trim().parse().ok())
                .unwrap_or(0)
        {
            return Some(text.into_owned());
        }
    }
}
