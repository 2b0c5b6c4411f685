//! Servers that send the caller elsewhere, or more than it wants, or all too slowly.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use tokio::io::AsyncWriteExt;

use super::{Told, all_but, https, trap};
use crate::delivery::EXCERPT_MOST;
use crate::transport::https::tests::{excerpt, read_request, request, serving, status};
use crate::transport::https::*;

/// Answers that send the caller elsewhere; `{}` is the trap.
pub(super) fn redirects() -> Vec<String> {
    let to = [
        "http://127.0.0.1:{}/",
        "//127.0.0.1:{}/",
        "http://shop.example:{}/",
        "https://169.254.169.254/latest/meta-data/",
        "/again",
        "file:///etc/passwd",
        "",
    ];
    let location = |status: u16, to: &str| {
        format!(
            "HTTP/1.1 {status} Elsewhere\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
    };
    let mut all: Vec<String> = [301, 302, 303, 307, 308]
        .into_iter()
        .flat_map(|status| to.map(|to| location(status, to)))
        .collect();
    let first = to[0];
    for head in [
        format!("200 OK\r\nrefresh: 0; url={first}"),
        format!("200 OK\r\nlink: <{first}>; rel=preload"),
        format!("200 OK\r\ncontent-location: {first}"),
        "200 OK\r\nalt-svc: h2=\"127.0.0.1:{}\"".to_owned(),
        format!("300 Choose\r\nlocation: {first}"),
        format!("305 Use Proxy\r\nlocation: {first}"),
        format!("401 Who\r\nwww-authenticate: Basic realm=a\r\nlocation: {first}"),
        format!("407 Who\r\nproxy-authenticate: Basic realm=a\r\nlocation: {first}"),
    ] {
        all.push(format!(
            "HTTP/1.1 {head}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        ));
    }
    all
}

#[tokio::test]
async fn nobody_is_sent_elsewhere() {
    let (trap, knocks) = trap().await;
    for answer in redirects() {
        let answer = answer.replace("{}", &trap.port().to_string());
        let want = answer.get(9..12).and_then(|status| status.parse().ok());
        let calls = Arc::new(AtomicUsize::new(0));
        let (count, sent) = (calls.clone(), answer.clone());
        let address = serving(move |mut stream| {
            count.fetch_add(1, Ordering::SeqCst);
            let sent = sent.clone();
            async move {
                read_request(&mut stream).await;
                let _ = stream.write_all(sent.as_bytes()).await;
            }
        })
        .await;
        let told = Told::new(&[&["127.0.0.1"]]);
        let url = format!("http://shop.example:{}/", address.port());
        let outcome = https(all_but(trap), told.clone())
            .post(request(url, 5000))
            .await;
        assert_eq!(status(&outcome), want, "{answer}");
        assert_eq!(calls.load(Ordering::SeqCst), 1, "asked once: {answer}");
        assert_eq!(
            told.asked.load(Ordering::SeqCst),
            1,
            "resolved once: {answer}"
        );
    }
    assert_eq!(
        knocks.load(Ordering::SeqCst),
        0,
        "somebody knocked at the trap"
    );
}

/// Answers that are more than they seem: what they begin with, and what they go on with for ever.
pub(super) fn floods() -> Vec<(&'static str, &'static [u8], &'static [u8], Flood)> {
    let gzip: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03";
    vec![
        (
            "an endless body",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"xxxxxxxxxxxxxxxx",
            Flood::Cut(200),
        ),
        (
            "an endless body of a failure",
            b"HTTP/1.1 500 No\r\n\r\n",
            b"xxxxxxxxxxxxxxxx",
            Flood::Cut(500),
        ),
        (
            "a gzip bomb",
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n",
            gzip,
            Flood::Cut(200),
        ),
        (
            "a deflate bomb",
            b"HTTP/1.1 200 OK\r\ncontent-encoding: deflate\r\n\r\n",
            b"\x78\x9c\xed\xc1",
            Flood::Cut(200),
        ),
        (
            "a brotli bomb",
            b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\n\r\n",
            b"\x5b\xff\xff\xff",
            Flood::Cut(200),
        ),
        (
            "a zstd bomb",
            b"HTTP/1.1 200 OK\r\ncontent-encoding: zstd\r\n\r\n",
            b"\x28\xb5\x2f\xfd",
            Flood::Cut(200),
        ),
        (
            "nested encodings",
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip, gzip, gzip\r\n\r\n",
            gzip,
            Flood::Cut(200),
        ),
        (
            "endless chunks",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            b"4\r\nxxxx\r\n",
            Flood::Cut(200),
        ),
        (
            "chunks of a byte",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            b"1\r\nx\r\n",
            Flood::Cut(200),
        ),
        (
            "a chunk that says it is huge",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffff0\r\n",
            b"xxxxxxxx",
            Flood::Cut(200),
        ),
        (
            "an endless size of a chunk",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            b"0000000000000000",
            Flood::Ended,
        ),
        (
            "an endless extension of a chunk",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4;",
            b"xxxxxxxxxxxxxxxx",
            Flood::Ended,
        ),
        (
            "endless trailers",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
            b"x: y\r\n",
            Flood::Ended,
        ),
        (
            "endless header lines",
            b"HTTP/1.1 200 OK\r\n",
            b"x: y\r\n",
            Flood::Ended,
        ),
        (
            "an endless header line",
            b"HTTP/1.1 200 OK\r\nx: ",
            b"yyyyyyyyyyyyyyyy",
            Flood::Ended,
        ),
        (
            "an endless name of a header",
            b"HTTP/1.1 200 OK\r\n",
            b"xxxxxxxxxxxxxxxx",
            Flood::Ended,
        ),
        (
            "an endless reason",
            b"HTTP/1.1 200 ",
            b"OKOKOKOKOKOKOKOK",
            Flood::Ended,
        ),
        (
            "an endless first line",
            b"HTTP/1.1",
            b"                ",
            Flood::Ended,
        ),
        (
            "early hints for ever",
            b"",
            b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
            Flood::Ended,
        ),
        (
            "continue for ever",
            b"",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            Flood::Ended,
        ),
        (
            "no HTTP at all",
            b"",
            b"SSH-2.0-OpenSSH_9.9\r\n",
            Flood::Ended,
        ),
        ("zeros", b"", b"\0\0\0\0\0\0\0\0", Flood::Ended),
        ("empty lines", b"", b"\r\n\r\n\r\n\r\n", Flood::Ended),
        (
            "a length that is too long",
            b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551614\r\n\r\n",
            b"xxxxxxxxxxxxxxxx",
            Flood::Ended,
        ),
        (
            "a length that is no number",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            b"xxxx",
            Flood::Ended,
        ),
        (
            "two lengths",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            b"xxxx",
            Flood::Ended,
        ),
    ]
}

/// What becomes of a flood.
#[derive(Debug, Clone, Copy)]
pub(super) enum Flood {
    /// The status counts, and as much of the body as is kept.
    Cut(u16),
    /// There is no answer, or none but the status, before the deadline.
    Ended,
}

/// Plays a flood; what came of it, and how many bytes the server got rid of.
async fn flooded(head: &'static [u8], more: &'static [u8], within_ms: i64) -> (Outcome, usize) {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let address = serving(move |mut stream| {
        let count = count.clone();
        async move {
            read_request(&mut stream).await;
            if stream.write_all(head).await.is_err() {
                return;
            }
            let many = more.repeat(4096 / more.len());
            while stream.write_all(&many).await.is_ok() {
                count.fetch_add(many.len(), Ordering::SeqCst);
            }
        }
    })
    .await;
    let (trap, _) = trap().await;
    let url = format!("http://shop.example:{}/", address.port());
    let https = https(all_but(trap), Told::new(&[&["127.0.0.1"]]));
    (
        https.post(request(url, within_ms)).await,
        sent.load(Ordering::SeqCst),
    )
}

#[tokio::test]
async fn no_more_is_read_than_is_kept_and_nothing_is_unpacked() {
    for (name, head, more, want) in floods() {
        // What is answered is answered at once, but on a busy machine; what never ends is waited for in vain.
        let within_ms = if matches!(want, Flood::Cut(_)) {
            30_000
        } else {
            500
        };
        let (outcome, sent) = flooded(head, more, within_ms).await;
        match want {
            Flood::Cut(want) => {
                assert_eq!(status(&outcome), Some(want), "{name}: {outcome:?}");
                // What is no text is shown with a mark of three bytes for each byte that is none.
                let kept = excerpt(&outcome).len();
                assert!(
                    (1..=3 * EXCERPT_MOST).contains(&kept),
                    "{name}: {kept} bytes are kept"
                );
            }
            Flood::Ended => {
                let failed =
                    [Failure::Protocol, Failure::Timeout, Failure::Closed].map(Outcome::Failed);
                let bare = status(&outcome) == Some(200) && excerpt(&outcome).is_empty();
                assert!(bare || failed.contains(&outcome), "{name}: {outcome:?}");
            }
        }
        // What nobody read lay in the buffers of the system, which hold some megabytes.
        let endless = outcome == Outcome::Failed(Failure::Timeout);
        assert!(
            sent < 16 * 1024 * 1024 || endless,
            "{name}: {sent} bytes were taken"
        );
    }
}

/// What comes a byte at a time, after what came at once.
pub(super) fn drips() -> Vec<(&'static str, &'static [u8])> {
    vec![
        ("the first line", b""),
        ("the status", b"HTTP/1.1 20"),
        ("a header", b"HTTP/1.1 200 OK\r\nx: "),
        (
            "a body with a length",
            b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n",
        ),
        ("a body without one", b"HTTP/1.1 200 OK\r\n\r\n"),
        (
            "the size of a chunk",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        ),
        (
            "a chunk",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfff\r\n",
        ),
        ("an early hint", b"HTTP/1.1 103 Early Hints\r\nlink: "),
    ]
}

#[tokio::test]
async fn what_comes_a_byte_at_a_time_ends_at_the_deadline() {
    let played = drips().into_iter().map(|(name, head)| async move {
        let address = serving(move |mut stream| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(head).await;
            let mut every = tokio::time::interval(Duration::from_millis(20));
            while stream.write_all(b"1").await.is_ok() {
                every.tick().await;
            }
        })
        .await;
        let (trap, _) = trap().await;
        let https = https(all_but(trap), Told::new(&[&["127.0.0.1"]]));
        let mut outcomes = Vec::new();
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://shop.example:{}/", address.port());
            outcomes.push(https.post(request(url, 400)).await);
        }
        (name, outcomes)
    });
    for (name, outcomes) in join_all(played).await {
        for outcome in outcomes {
            let over = Outcome::Failed(Failure::Timeout);
            // What answers with more than a digit where a line should begin is no HTTP, sooner than it is slow.
            let none = [Failure::Protocol, Failure::Tls].map(Outcome::Failed);
            assert!(
                outcome == over || none.contains(&outcome),
                "{name}: {outcome:?}"
            );
        }
    }
}
