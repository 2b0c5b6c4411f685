//! The way out: one POST to one judged address, bounded in time and size, following nothing.
//!
//! The addresses of a name are judged where they are resolved, for the connection that is about to be made, and only
//! judged ones are connected to; there is no second look-up that could answer otherwise. What a URL's own form allows
//! differs (`https` on a usual port may go to any public address, anything else to exempt networks only), so there is a
//! client, with its own resolver and its own connections, for each of the two. Addresses written as such are never
//! resolved and are judged before.
//!
//! Left out on purpose: redirects, proxies, cookies, compressed answers.

use std::error::Error;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::RETRY_AFTER;
use jiff::SignedDuration;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use rustls::{ClientConfig, RootCertStore};

use super::Transport;
use crate::delivery::{Failure, Outcome, Request, TargetError, Vetting, parse_retry_after};
use crate::time::Clock;

/// So much of an answer's body is read.
const BODY_MOST: usize = 16 * 1024;
/// So much of it is kept.
const EXCERPT_MOST: usize = 1024;
/// An idle connection is kept for the next delivery to the same receiver for so long.
const IDLE: Duration = Duration::from_secs(60);

/// Why the way out can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// The TLS configuration is refused by its library.
    #[error("no TLS configuration can be made")]
    Tls(#[from] rustls::Error),
    /// The client is refused by its library.
    #[error("no HTTP client can be made")]
    Client(#[from] reqwest::Error),
}

/// Posts over HTTPS, and over HTTP to exempt networks.
pub struct Https {
    vetting: Vetting,
    clock: Arc<dyn Clock>,
    public: Client,
    exempt: Client,
}

impl Https {
    /// The way out under the rules of `vetting`.
    ///
    /// # Errors
    /// See [`HttpsError`].
    pub fn new(vetting: Vetting, clock: Arc<dyn Clock>) -> Result<Self, HttpsError> {
        let tls = tls()?;
        Ok(Self {
            public: client(&tls, Judge { vetting: vetting.clone(), public: true })?,
            exempt: client(&tls, Judge { vetting: vetting.clone(), public: false })?,
            vetting,
            clock,
        })
    }

    async fn try_post(&self, request: Request) -> Result<Outcome, Failure> {
        let url = self.vetting.url(&request.url).map_err(|_| Failure::Blocked)?;
        let client = if Vetting::is_public_form(&url) { &self.public } else { &self.exempt };
        let call = client.post(url).headers(request.headers).body(request.body);
        let response = call.send().await.map_err(|error| failure(&error))?;
        let status = response.status().as_u16();
        let hint = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = hint.and_then(|hint| parse_retry_after(hint, self.clock.now()));
        let excerpt = excerpt(response).await?;
        Ok(Outcome::Answered { status, retry_after, excerpt })
    }
}

#[async_trait]
impl Transport for Https {
    async fn post(&self, request: Request) -> Outcome {
        let deadline = Duration::try_from(request.deadline.max(SignedDuration::ZERO)).unwrap_or_default();
        match tokio::time::timeout(deadline, self.try_post(request)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(failure)) => Outcome::Failed(failure),
            Err(_) => Outcome::Failed(Failure::Timeout),
        }
    }
}

/// Mozilla's roots, compiled in: parsing the machine's own takes longer than all the rest of a start.
fn tls() -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

fn client(tls: &ClientConfig, judge: Judge) -> Result<Client, HttpsError> {
    let client = Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .dns_resolver(Arc::new(judge))
        .redirect(Policy::none())
        .no_proxy()
        .pool_idle_timeout(IDLE)
        .build()?;
    Ok(client)
}

/// The beginning of an answer's body. An answer is over when it ends, or when more was sent than we read.
async fn excerpt(mut response: Response) -> Result<String, Failure> {
    let mut body = Vec::new();
    while body.len() < BODY_MOST {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => return Err(failure(&error)),
        }
    }
    body.truncate(EXCERPT_MOST);
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Resolves names, and judges what they resolve to.
#[derive(Clone)]
struct Judge {
    vetting: Vetting,
    public: bool,
}

impl Judge {
    /// All addresses of a name, if every one of them may be called.
    fn judged(&self, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Refused> {
        for address in &addresses {
            self.vetting.resolved(address.ip(), self.public).map_err(Refused::Blocked)?;
        }
        if addresses.is_empty() { Err(Refused::NoAddress) } else { Ok(addresses) }
    }
}

impl Resolve for Judge {
    fn resolve(&self, name: Name) -> Resolving {
        let judge = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(|_| Refused::NoAddress)?;
            let addresses: Addrs = Box::new(judge.judged(found.collect())?.into_iter());
            Ok(addresses)
        })
    }
}

/// Why a name is not called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("the name has no address")]
    NoAddress,
    #[error(transparent)]
    Blocked(TargetError),
}

/// The class of an error, from the innermost cause that has one.
fn failure(error: &reqwest::Error) -> Failure {
    let outermost: &(dyn Error + 'static) = error;
    let causes = std::iter::successors(Some(outermost), |&error| error.source());
    let class = causes.filter_map(class).last();
    class.unwrap_or(if error.is_connect() { Failure::Refused } else { Failure::Protocol })
}

fn class(cause: &(dyn Error + 'static)) -> Option<Failure> {
    if let Some(refused) = cause.downcast_ref::<Refused>() {
        return Some(match refused {
            Refused::NoAddress => Failure::Dns,
            Refused::Blocked(_) => Failure::Blocked,
        });
    }
    if cause.is::<rustls::Error>() {
        return Some(Failure::Tls);
    }
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        if error.is_parse() {
            return Some(Failure::Protocol);
        }
        return (error.is_incomplete_message() || error.is_closed()).then_some(Failure::Closed);
    }
    let error = cause.downcast_ref::<std::io::Error>()?;
    match error.kind() {
        ErrorKind::TimedOut => Some(Failure::Timeout),
        ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            Some(Failure::Refused)
        }
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
            Some(Failure::Closed)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::time::SystemClock;

    fn judge(allow: &[&str], public: bool, addresses: &[&str]) -> Result<usize, Refused> {
        let allow = allow.iter().map(|net| net.parse().expect("a network")).collect();
        let runtime = Some("127.0.0.1:9001".parse().expect("an address"));
        let judge = Judge { vetting: Vetting::new(allow, runtime), public };
        let addresses = addresses.iter().map(|ip| SocketAddr::new(ip.parse::<IpAddr>().expect("an address"), 0));
        judge.judged(addresses.collect()).map(|addresses| addresses.len())
    }

    #[test]
    fn every_address_of_a_name_is_judged_and_one_bad_one_blocks_it() {
        let blocked = Err(Refused::Blocked(TargetError::Address));
        assert_eq!(judge(&[], true, &["8.8.8.8", "2606:4700::1111"]), Ok(2));
        assert_eq!(judge(&[], true, &["8.8.8.8", "10.0.0.1"]), blocked);
        assert_eq!(judge(&[], true, &["169.254.169.254"]), blocked);
        assert_eq!(judge(&[], true, &["::ffff:127.0.0.1"]), blocked);
        assert_eq!(judge(&[], true, &[]), Err(Refused::NoAddress));
        assert_eq!(judge(&["10.0.0.0/8"], true, &["8.8.8.8", "10.0.0.1"]), Ok(2));
        assert_eq!(judge(&["10.0.0.0/8"], false, &["10.0.0.1"]), Ok(1));
        assert_eq!(judge(&["10.0.0.0/8"], false, &["8.8.8.8"]), blocked, "plain http only to exempt networks");
        assert_eq!(judge(&["127.0.0.0/8"], true, &["127.0.0.1"]), blocked, "the Runtime API's address by name");
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_a_private_address_is_blocked() {
        let clock = Arc::new(SystemClock);
        let allow = vec!["10.0.0.0/8".parse().expect("a network")];
        let https = Https::new(Vetting::new(allow, None), clock).expect("it opens");
        let post = async |url: &str| {
            let request = Request {
                url: url.to_owned(),
                headers: http::HeaderMap::new(),
                body: bytes::Bytes::new(),
                deadline: SignedDuration::from_secs(5),
            };
            https.post(request).await
        };
        assert_eq!(post("http://localhost:1/").await, Outcome::Failed(Failure::Blocked));
        assert_eq!(post("https://localhost/").await, Outcome::Failed(Failure::Blocked));
        assert_eq!(post("http://127.0.0.1:1/").await, Outcome::Failed(Failure::Blocked));
    }
}
