//! Calls of an API over the network: what goes out, and how much of what comes back is read.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use jiff::SignedDuration;
use tokio::io::AsyncWriteExt;

use super::Https;
use super::tests::{answering, https, read_request, serving};
use crate::delivery::{Failure, Vetting};
use crate::time::SystemClock;
use crate::transport::{ANSWER_MOST, Answer, Call, Caller};

fn call(method: Method, url: String, body: &'static str) -> Call {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer key"));
    Call {
        method,
        url,
        headers,
        body: Bytes::from_static(body.as_bytes()),
        deadline: SignedDuration::from_secs(5),
        most: ANSWER_MOST,
    }
}

#[tokio::test]
async fn a_call_goes_out_by_its_method_and_its_answer_is_bytes() {
    let cases = [
        (Method::GET, "", None),
        (Method::PUT, "", Some("content-length: 0")),
        (Method::PUT, "{}", Some("content-length: 2")),
        (Method::POST, "a=1", Some("content-length: 3")),
    ];
    for (method, body, length) in cases {
        let (send, mut received) = tokio::sync::mpsc::channel(1);
        let address = serving(move |mut stream| {
            let send = send.clone();
            async move {
                let _ = send.send(read_request(&mut stream).await).await;
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\xff\x00a")
                    .await;
            }
        })
        .await;
        let url = format!("http://{address}/v1/charges/ch_1?expand[]=a");
        let answer = https().call(call(method.clone(), url, body)).await;
        assert_eq!(answer, Ok(Answer::of(200, &b"\xff\x00a"[..])), "{method}");

        let got = received.recv().await.unwrap_or_default();
        let (head, sent) = got.split_once("\r\n\r\n").unwrap_or_default();
        assert_eq!(sent, body, "{method}");
        let mut lines: Vec<&str> = head.lines().collect();
        assert_eq!(
            lines.remove(0),
            format!("{method} /v1/charges/ch_1?expand[]=a HTTP/1.1")
        );
        lines.sort_unstable();
        let host = format!("host: {address}");
        let want: Vec<&str> = ["accept: */*", "authorization: Bearer key"]
            .into_iter()
            .chain(length)
            .chain([host.as_str()])
            .collect();
        assert_eq!(lines, want, "{method}");
    }
}

#[tokio::test]
async fn a_body_over_the_cap_is_cut_and_told_from_a_whole_one() {
    const MOST: usize = 40_000;
    for (length, kept, whole) in [
        (0, 0, true),
        (MOST - 1, MOST - 1, true),
        (MOST, MOST, true),
        (MOST + 1, MOST, false),
        (3 * MOST, MOST, false),
    ] {
        let body = "x".repeat(length);
        for head in [
            format!("content-length: {length}\r\n"),
            "connection: close\r\n".to_owned(),
        ] {
            let address = answering(format!("HTTP/1.1 200 OK\r\n{head}\r\n{body}")).await;
            let call = Call {
                most: MOST,
                ..call(Method::GET, format!("http://{address}/"), "")
            };
            let answer = https().call(call).await.expect("it answers");
            assert_eq!(
                (answer.body.len(), answer.whole),
                (kept, whole),
                "{length} {head}"
            );
        }
    }
}

#[tokio::test]
async fn nobody_can_ask_for_more_than_the_most_of_an_endless_body() {
    let address = serving(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 64 * 1024]).await.is_ok() {}
    })
    .await;
    let call = Call {
        most: usize::MAX,
        ..call(Method::GET, format!("http://{address}/"), "")
    };
    let answer = https().call(call).await.expect("it answers");
    assert_eq!((answer.body.len(), answer.whole), (ANSWER_MOST, false));
}

#[tokio::test]
async fn what_is_no_answer_is_a_failure() {
    let silent = serving(|mut stream| async move {
        read_request(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let broken_off = answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"id\":").await;
    for (address, want) in [(silent, Failure::Timeout), (broken_off, Failure::Closed)] {
        let call = Call {
            deadline: SignedDuration::from_millis(300),
            ..call(Method::GET, format!("http://{address}/"), "")
        };
        assert_eq!(https().call(call).await, Err(want));
    }
    let vetted = Https::new(Vetting::default(), std::sync::Arc::new(SystemClock))
        .expect("its configuration is taken");
    for url in [
        "http://127.0.0.1:1/",
        "https://169.254.169.254/",
        "nonsense",
    ] {
        let call = call(Method::GET, url.to_owned(), "");
        assert_eq!(vetted.call(call).await, Err(Failure::Blocked), "{url}");
    }
}
