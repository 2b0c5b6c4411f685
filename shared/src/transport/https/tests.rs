//! The transport against small servers on the loopback, which is exempt from the vetting here.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::resolve::Looking;
use super::*;
use crate::delivery::EXCERPT_MOST;
use crate::time::SystemClock;

/// Answers each look-up with the next of its answers; the last one repeats.
struct Stub(Mutex<VecDeque<Vec<IpAddr>>>);

impl Lookup for Stub {
    fn lookup(&self, _name: String) -> Looking {
        let mut answers = self.0.lock().expect("nobody panics with the lock");
        let answer = if answers.len() > 1 {
            answers.pop_front()
        } else {
            answers.front().cloned()
        };
        Box::pin(std::future::ready(Ok(answer.unwrap_or_default())))
    }
}

pub(super) fn vetting() -> Vetting {
    let loopback = "127.0.0.0/8".parse().expect("a network");
    Vetting::new(
        vec![loopback],
        Some("127.0.0.1:9".parse().expect("an address")),
    )
}

pub(super) fn https() -> Https {
    Https::new(vetting(), Arc::new(SystemClock)).expect("its configuration is taken")
}

pub(super) fn resolving(vetting: Vetting, answers: &[&[&str]]) -> Https {
    let parse = |text: &&str| text.parse().expect("an address");
    let answers = answers
        .iter()
        .map(|answer| answer.iter().map(parse).collect())
        .collect();
    let stub = Arc::new(Stub(Mutex::new(answers)));
    Https::with(vetting, Arc::new(SystemClock), stub, RootCertStore::empty())
        .expect("its configuration is taken")
}

pub(super) fn request(url: impl Into<String>, deadline_ms: i64) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", HeaderValue::from_static("evt_1"));
    Request {
        url: url.into(),
        headers,
        body: Bytes::from_static(b"{\"a\": 1.50}"),
        deadline: SignedDuration::from_millis(deadline_ms),
        keep: EXCERPT_MOST,
    }
}

/// Reads one request: its head and a body of the length that it names.
pub(super) async fn read_request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0) {
                return text;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return text,
            Ok(n) => read.extend(buffer.iter().take(n)),
        }
    }
}

/// A server that answers every request with `answer` and closes.
pub(super) async fn answering(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = answer.into();
    serving(move |mut stream| {
        let answer = answer.clone();
        async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(&answer).await;
        }
    })
    .await
}

/// A server that does `then` with each connection.
pub(super) async fn serving<F>(then: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(then(stream));
        }
    });
    address
}

pub(super) fn status(outcome: &Outcome) -> Option<u16> {
    match outcome {
        Outcome::Answered { status, .. } => Some(*status),
        Outcome::Failed(_) => None,
    }
}

pub(super) fn excerpt(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Answered { excerpt, .. } => excerpt,
        Outcome::Failed(_) => "",
    }
}

#[tokio::test]
async fn each_answer_is_what_it_is() {
    struct Case {
        name: &'static str,
        answer: Vec<u8>,
        want: Outcome,
    }
    let head = |status: &str, rest: &str| format!("HTTP/1.1 {status}\r\n{rest}\r\n").into_bytes();
    let answered = |status, retry_after: Option<i64>, excerpt: &str| Outcome::Answered {
        status,
        retry_after: retry_after.map(SignedDuration::from_secs),
        excerpt: excerpt.to_owned(),
    };
    let latin: &[u8] = b"HTTP/1.1 500 No\r\ncontent-length: 4\r\n\r\ncaf\xe9";
    let cases = [
        Case {
            name: "200",
            answer: b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec(),
            want: answered(200, None, "ok"),
        },
        Case {
            name: "204",
            answer: head("204 No Content", ""),
            want: answered(204, None, ""),
        },
        Case {
            name: "to the end",
            answer: b"HTTP/1.1 200 OK\r\n\r\nall".to_vec(),
            want: answered(200, None, "all"),
        },
        Case {
            name: "not followed",
            answer: head(
                "301 Moved",
                "location: http://127.0.0.1:1/\r\ncontent-length: 0\r\n",
            ),
            want: answered(301, None, ""),
        },
        Case {
            name: "asked to wait",
            answer: head("429 Slow", "retry-after: 120\r\ncontent-length: 0\r\n"),
            want: answered(429, Some(120), ""),
        },
        Case {
            name: "asked to wait until a date that has passed",
            answer: head(
                "503 No",
                "retry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 0\r\n",
            ),
            want: answered(503, Some(0), ""),
        },
        Case {
            name: "no UTF-8",
            answer: latin.to_vec(),
            want: answered(500, None, "caf\u{fffd}"),
        },
        Case {
            name: "not unpacked",
            answer: b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nplain"
                .to_vec(),
            want: answered(200, None, "plain"),
        },
        Case {
            name: "garbage",
            answer: b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(),
            want: Outcome::Failed(Failure::Protocol),
        },
        Case {
            name: "nothing",
            answer: Vec::new(),
            want: Outcome::Failed(Failure::Closed),
        },
        Case {
            name: "half a head",
            answer: b"HTTP/1.1 200 OK\r\ncontent-le".to_vec(),
            want: Outcome::Failed(Failure::Closed),
        },
        Case {
            name: "half a body",
            answer: b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec(),
            want: Outcome::Failed(Failure::Closed),
        },
        Case {
            name: "half a chunk",
            answer: b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\nhalf".to_vec(),
            want: Outcome::Failed(Failure::Closed),
        },
        Case {
            name: "more header lines than anybody needs",
            answer: head("200 OK", &"x: y\r\n".repeat(100)),
            want: Outcome::Failed(Failure::Protocol),
        },
        Case {
            name: "a header longer than anybody needs",
            answer: head("200 OK", &format!("x: {}\r\n", "y".repeat(1024 * 1024))),
            want: Outcome::Failed(Failure::Protocol),
        },
    ];
    let https = https();
    for Case { name, answer, want } in cases {
        let address = answering(answer).await;
        assert_eq!(
            https
                .post(request(format!("http://{address}/hook"), 5000))
                .await,
            want,
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_request_goes_out_as_it_was_made() {
    let (send, mut received) = tokio::sync::mpsc::channel(1);
    let address = serving(move |mut stream| {
        let send = send.clone();
        async move {
            let _ = send.send(read_request(&mut stream).await).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    })
    .await;
    let outcome = https()
        .post(request(format!("http://{address}/hook?a=%20b"), 5000))
        .await;
    assert_eq!(status(&outcome), Some(200));
    let got = received.recv().await.unwrap_or_default();
    let (head, body) = got.split_once("\r\n\r\n").unwrap_or_default();
    assert_eq!(body, "{\"a\": 1.50}");
    let mut lines: Vec<&str> = head.lines().collect();
    assert_eq!(lines.remove(0), "POST /hook?a=%20b HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: {address}");
    assert_eq!(
        lines,
        [
            "accept: */*",
            "content-length: 11",
            &host,
            "webhook-id: evt_1"
        ]
    );
}

#[tokio::test]
async fn one_connection_carries_several_requests() {
    let connections = Arc::new(Mutex::new(0));
    let count = connections.clone();
    let address = serving(move |mut stream| {
        *count.lock().expect("nobody panics with the lock") += 1;
        async move {
            while !read_request(&mut stream).await.is_empty() {
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                    .await;
            }
        }
    })
    .await;
    let https = resolving(vetting(), &[&["127.0.0.1"]]);
    for _ in 0..5 {
        let outcome = https
            .post(request(
                format!("http://shop.example:{}/", address.port()),
                5000,
            ))
            .await;
        assert_eq!(status(&outcome), Some(200));
    }
    assert_eq!(*connections.lock().expect("nobody panics with the lock"), 1);
}

#[tokio::test]
async fn a_port_where_nothing_listens_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let outcome = https()
        .post(request(format!("http://{address}/"), 5000))
        .await;
    assert_eq!(outcome, Outcome::Failed(Failure::Refused));
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_or_hangs_up_is_not_secure() {
    let plain = serving(|mut stream| async move {
        let _ = stream
            .write_all(
                b"HTTP/1.1 400 Bad Request

",
            )
            .await;
        read_request(&mut stream).await;
    })
    .await;
    let silent = serving(|stream| async move { drop(stream) }).await;
    for address in [plain, silent] {
        let outcome = https()
            .post(request(format!("https://{address}/"), 5000))
            .await;
        assert_eq!(outcome, Outcome::Failed(Failure::Tls));
    }
}

/// The deadline of what is slow in these tests; long enough for a machine that is busy.
const DEADLINE_MS: i64 = 300;

/// The outcome, and whether it came about when the deadline was over.
async fn timed(https: &Https, url: String) -> (Outcome, bool) {
    let began = SystemClock.now();
    let outcome = https.post(request(url, DEADLINE_MS)).await;
    let took = SystemClock.now().duration_since(began).as_millis();
    (outcome, (i128::from(DEADLINE_MS)..2000).contains(&took))
}

#[tokio::test]
async fn whatever_is_slow_ends_at_the_deadline() {
    let silent = serving(|mut stream| async move {
        read_request(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    // A byte every 20 ms keeps every timeout between two reads from passing.
    let drip = |head: &'static str| {
        serving(move |mut stream| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(head.as_bytes()).await;
            let mut every = tokio::time::interval(Duration::from_millis(20));
            while stream.write_all(b"x").await.is_ok() {
                every.tick().await;
            }
        })
    };
    let body = drip("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await;
    let head = drip("HTTP/1.1 200 OK\r\nx: ").await;
    let timeout = (Outcome::Failed(Failure::Timeout), true);
    let https = https();
    for address in [silent, body, head] {
        assert_eq!(timed(&https, format!("http://{address}/")).await, timeout);
        assert_eq!(timed(&https, format!("https://{address}/")).await, timeout);
    }

    struct Never;
    impl Lookup for Never {
        fn lookup(&self, _name: String) -> Looking {
            Box::pin(std::future::pending())
        }
    }
    let https = Https::with(
        vetting(),
        Arc::new(SystemClock),
        Arc::new(Never),
        RootCertStore::empty(),
    )
    .expect("its configuration is taken");
    assert_eq!(
        timed(&https, "https://shop.example/".to_owned()).await,
        timeout
    );
}

#[tokio::test]
async fn an_endless_body_is_cut_and_its_status_counts() {
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 500 No\r\ncontent-encoding: gzip\r\n\r\n",
    ] {
        let address = serving(move |mut stream| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(&[b'x'; 1000]).await.is_ok() {}
        })
        .await;
        for (keep, kept) in [
            (EXCERPT_MOST, EXCERPT_MOST),
            (BODY_MOST, BODY_MOST),
            (usize::MAX, BODY_MOST),
        ] {
            let request = Request {
                keep,
                ..request(format!("http://{address}/"), 10_000)
            };
            let outcome = https().post(request).await;
            let want = if head.contains("200") { 200 } else { 500 };
            assert_eq!(status(&outcome), Some(want));
            assert_eq!(excerpt(&outcome), "x".repeat(kept));
        }
    }
}

#[tokio::test]
async fn a_name_is_called_only_if_every_one_of_its_addresses_may_be() {
    struct Case {
        name: &'static str,
        url: &'static str,
        answers: &'static [&'static [&'static str]],
        allow_loopback: bool,
        want: Failure,
    }
    let public = "https://shop.example/";
    let cases = [
        Case {
            name: "private",
            url: public,
            answers: &[&["10.0.0.1"]],
            allow_loopback: false,
            want: Failure::Blocked,
        },
        Case {
            name: "one of two private",
            url: public,
            answers: &[&["93.184.215.14", "10.0.0.1"]],
            allow_loopback: false,
            want: Failure::Blocked,
        },
        Case {
            name: "mapped",
            url: public,
            answers: &[&["::ffff:127.0.0.1"]],
            allow_loopback: false,
            want: Failure::Blocked,
        },
        Case {
            name: "metadata",
            url: public,
            answers: &[&["169.254.169.254"]],
            allow_loopback: true,
            want: Failure::Blocked,
        },
        Case {
            name: "no address",
            url: public,
            answers: &[&[]],
            allow_loopback: false,
            want: Failure::Dns,
        },
        Case {
            name: "http, and not exempt",
            url: "http://shop.example/",
            answers: &[&["93.184.215.14"]],
            allow_loopback: true,
            want: Failure::Blocked,
        },
        Case {
            name: "another port, and not exempt",
            url: "https://shop.example:3001/",
            answers: &[&["93.184.215.14"]],
            allow_loopback: true,
            want: Failure::Blocked,
        },
        Case {
            name: "one of two exempt",
            url: "http://shop.example:1/",
            answers: &[&["127.0.0.1", "93.184.215.14"]],
            allow_loopback: true,
            want: Failure::Blocked,
        },
        Case {
            name: "the runtime's own",
            url: "http://shop.example:9/",
            answers: &[&["127.0.0.1"]],
            allow_loopback: true,
            want: Failure::Blocked,
        },
        Case {
            name: "beside the runtime's own",
            url: "http://shop.example:1/",
            answers: &[&["127.0.0.1"]],
            allow_loopback: true,
            want: Failure::Refused,
        },
        Case {
            name: "the runtime's own, as a literal",
            url: "http://127.0.0.1:9/",
            answers: &[&[]],
            allow_loopback: true,
            want: Failure::Blocked,
        },
        Case {
            name: "a private literal",
            url: "https://10.0.0.1/",
            answers: &[&[]],
            allow_loopback: true,
            want: Failure::Blocked,
        },
        Case {
            name: "a literal in other digits",
            url: "https://0xa000001/",
            answers: &[&[]],
            allow_loopback: true,
            want: Failure::Blocked,
        },
        Case {
            name: "a name of the inside",
            url: "https://localhost/",
            answers: &[&["93.184.215.14"]],
            allow_loopback: false,
            want: Failure::Blocked,
        },
        Case {
            name: "no URL",
            url: "shop.example",
            answers: &[&[]],
            allow_loopback: true,
            want: Failure::Blocked,
        },
    ];
    for Case {
        name,
        url,
        answers,
        allow_loopback,
        want,
    } in cases
    {
        let vetting = if allow_loopback {
            vetting()
        } else {
            Vetting::default()
        };
        let outcome = resolving(vetting, answers).post(request(url, 2000)).await;
        assert_eq!(outcome, Outcome::Failed(want), "{name}");
    }
}

#[tokio::test]
async fn a_name_that_turns_private_is_refused_when_it_is_resolved_again() {
    let address =
        answering("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    let https = resolving(vetting(), &[&["127.0.0.1"], &["10.0.0.1"]]);
    let url = format!("http://shop.example:{}/", address.port());
    assert_eq!(
        status(&https.post(request(url.as_str(), 5000)).await),
        Some(200)
    );
    assert_eq!(
        https.post(request(url, 5000)).await,
        Outcome::Failed(Failure::Blocked)
    );
}

#[tokio::test]
async fn many_requests_at_once_are_each_judged_by_their_own_url() {
    let address =
        answering("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    let https = resolving(vetting(), &[&["127.0.0.1"]]);
    // The same name, on a port that is open, and on the one that is refused.
    let open = format!("http://shop.example:{}/", address.port());
    let posts = (0..40).map(|n| {
        let url = if n % 2 == 0 {
            open.clone()
        } else {
            "http://shop.example:9/".to_owned()
        };
        https.post(request(url, 5000))
    });
    for (n, outcome) in futures::future::join_all(posts).await.iter().enumerate() {
        let want = if n % 2 == 0 { Some(200) } else { None };
        assert_eq!(status(outcome), want, "{n}: {outcome:?}");
    }
}

#[tokio::test]
async fn the_connections_of_a_batch_are_kept_for_the_next() {
    const BATCH: usize = 10;
    let connections = Arc::new(Mutex::new(0));
    let count = connections.clone();
    let address = serving(move |mut stream| {
        *count.lock().expect("nobody panics with the lock") += 1;
        async move {
            while !read_request(&mut stream).await.is_empty() {
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                    .await;
            }
        }
    })
    .await;
    let https = resolving(vetting(), &[&["127.0.0.1"]]);
    for _ in 0..3 {
        let url = format!("http://shop.example:{}/", address.port());
        let posts = (0..BATCH).map(|_| https.post(request(url.clone(), 5000)));
        for outcome in futures::future::join_all(posts).await {
            assert_eq!(status(&outcome), Some(200));
        }
    }
    assert!(*connections.lock().expect("nobody panics with the lock") <= BATCH);
}

/// A server's side of TLS for `shop.example`, and the root that its certificate chains to.
fn certified(alpn: &[u8]) -> (tokio_rustls::TlsAcceptor, RootCertStore) {
    let root_key = rcgen::KeyPair::generate().expect("a key");
    let mut root = rcgen::CertificateParams::default();
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let mut roots = RootCertStore::empty();
    let certificate = root.self_signed(&root_key).expect("a certificate");
    roots.add(certificate.der().clone()).expect("a root");
    let key = rcgen::KeyPair::generate().expect("a key");
    let leaf = rcgen::CertificateParams::new(vec!["shop.example".to_owned()]).expect("a name");
    let leaf = leaf
        .signed_by(&key, &rcgen::Issuer::new(root, root_key))
        .expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
        )
        .expect("the key is the certificate's");
    tls.alpn_protocols = vec![alpn.to_vec()];
    (tokio_rustls::TlsAcceptor::from(Arc::new(tls)), roots)
}

/// A transport that trusts `roots` and finds every name on the loopback.
fn trusting(roots: RootCertStore) -> Https {
    let stub = Stub(Mutex::new(VecDeque::from([vec![
        "127.0.0.1".parse().expect("an address"),
    ]])));
    Https::with(vetting(), Arc::new(SystemClock), Arc::new(stub), roots)
        .expect("its configuration is taken")
}

#[tokio::test]
async fn a_certificate_must_be_trusted_and_the_names_own() {
    let (acceptor, roots) = certified(b"http/1.1");
    let address = serving(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await;
        }
    })
    .await;
    let cases = [
        ("shop.example", roots.clone(), Ok(200)),
        ("else.example", roots, Err(Failure::Tls)),
        (
            "shop.example",
            webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
            Err(Failure::Tls),
        ),
    ];
    for (name, roots, want) in cases {
        let url = format!("https://{name}:{}/", address.port());
        let got = match trusting(roots).post(request(url, 5000)).await {
            Outcome::Answered { status, .. } => Ok(status),
            Outcome::Failed(failure) => Err(failure),
        };
        assert_eq!(got, want, "{name}");
    }
}

#[tokio::test]
async fn one_http2_connection_carries_several_requests_at_once_and_a_reset_is_no_answer() {
    let (acceptor, roots) = certified(b"h2");
    let connections = Arc::new(Mutex::new(0));
    let count = connections.clone();
    let address = serving(move |stream| {
        let acceptor = acceptor.clone();
        *count.lock().expect("nobody panics with the lock") += 1;
        async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let Ok(mut connection) = h2::server::handshake(stream).await else {
                return;
            };
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                match request.uri().path() {
                    "/reset" => {
                        respond.send_reset(h2::Reason::INTERNAL_ERROR);
                        continue;
                    }
                    "/refused" => {
                        respond.send_reset(h2::Reason::REFUSED_STREAM);
                        continue;
                    }
                    "/leaving" => {
                        connection.abrupt_shutdown(h2::Reason::NO_ERROR);
                        continue;
                    }
                    _ => {}
                }
                let answer = http::Response::builder()
                    .status(202)
                    .body(())
                    .unwrap_or_default();
                if let Ok(mut body) = respond.send_response(answer, false) {
                    let _ = body.send_data(Bytes::from_static(b"later"), true);
                }
            }
        }
    })
    .await;
    let https = trusting(roots);
    let url = |path: &str| format!("https://shop.example:{}{path}", address.port());
    let want = Outcome::Answered {
        status: 202,
        retry_after: None,
        excerpt: "later".to_owned(),
    };
    assert_eq!(https.post(request(url("/"), 5000)).await, want);
    let posts = (0..20).map(|_| https.post(request(url("/"), 5000)));
    assert!(
        futures::future::join_all(posts)
            .await
            .iter()
            .all(|outcome| *outcome == want)
    );
    assert_eq!(*connections.lock().expect("nobody panics with the lock"), 1);
    for (path, failure) in [
        ("/reset", Failure::Protocol),
        ("/refused", Failure::Closed),
        ("/leaving", Failure::Closed),
    ] {
        let outcome = https.post(request(url(path), 5000)).await;
        assert_eq!(outcome, Outcome::Failed(failure), "{path}");
    }
}
