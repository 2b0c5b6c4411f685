//! Requests over HTTPS, to addresses that were judged, within bounds of time and size.
//!
//! The address that is judged is the address that is connected to: names are resolved by a resolver of ours, once, for
//! the connection itself, and it gives out none of a name's addresses unless all of them may be called. A connection
//! that is kept for further requests stays with the address it was made to. An address written into the URL is not
//! resolved, so it is judged before.
//!
//! No redirect is followed, no proxy of the environment is used, nothing is unpacked. The deadline holds from the
//! resolution of the name to the last byte that is read, and no more is read than the caps allow.

mod failure;
mod resolve;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderValue, Method};
use jiff::SignedDuration;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use rustls::{ClientConfig, RootCertStore};
use tracing::{debug, warn};
use url::Url;

use super::{ANSWER_MOST, Answer, Call, Caller, Transport};
use crate::delivery::{Failure, Outcome, Request, Vetting, parse_retry_after};
use crate::time::Clock;
use failure::{causes, classify};
use resolve::{Lookup, SystemLookup, TARGET, Vetted};

/// So much of the body of an answer to a delivery is read at most.
const BODY_MOST: usize = 16 * 1024;
/// HTTP/1 answers have at most so many header lines, of some 400 KiB in all.
const HEADERS_MOST: usize = 64;
/// HTTP/2 answers have headers of at most so many bytes.
const HEADER_BYTES_MOST: u32 = 16 * 1024;
/// An idle connection is kept for so long: shorter than common servers do, so that it is seldom found closed.
const IDLE: Duration = Duration::from_secs(4);
/// So many idle connections are kept for each server: what a batch to one endpoint opens, the next one finds.
const IDLE_MOST: usize = 10;

/// Why the client could not be built.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// The TLS library does not take its configuration.
    #[error("the TLS configuration is not taken")]
    Tls(#[source] rustls::Error),
    /// The HTTP library does not take its configuration.
    #[error("the HTTP client's configuration is not taken")]
    Http(#[source] reqwest::Error),
}

/// The transport over the network.
pub struct Https {
    client: Client,
    vetting: Arc<Vetting>,
    clock: Arc<dyn Clock>,
}

impl Https {
    /// A transport to the targets that `vetting` lets through.
    ///
    /// # Errors
    /// See [`HttpsError`].
    pub fn new(vetting: Vetting, clock: Arc<dyn Clock>) -> Result<Self, HttpsError> {
        let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
        Self::with(vetting, clock, Arc::new(SystemLookup), roots.collect())
    }

    fn with(
        vetting: Vetting,
        clock: Arc<dyn Clock>,
        lookup: Arc<dyn Lookup>,
        roots: RootCertStore,
    ) -> Result<Self, HttpsError> {
        let vetting = Arc::new(vetting);
        let resolver = Vetted {
            vetting: vetting.clone(),
            lookup,
        };
        let client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .dns_resolver(Arc::new(resolver))
            .tls_backend_preconfigured(tls(roots).map_err(HttpsError::Tls)?)
            .http1_max_headers(HEADERS_MOST)
            .http2_max_header_list_size(HEADER_BYTES_MOST)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_MOST)
            .build()
            .map_err(HttpsError::Http)?;
        Ok(Self {
            client,
            vetting,
            clock,
        })
    }

    /// Makes a call within its deadline: the one way out.
    async fn exchange(&self, call: Call) -> Result<Answer, Failure> {
        let url = match self.vetting.url(&call.url) {
            Ok(url) => url,
            Err(problem) => {
                warn!(error = %problem, "a target was refused before it was called");
                return Err(Failure::Blocked);
            }
        };
        let host = url.host_str().unwrap_or_default().to_owned();
        let deadline = Duration::try_from(call.deadline).unwrap_or_default();
        let failure = match tokio::time::timeout(deadline, self.ask(url, call)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => {
                let failure = classify(&error);
                // The URL may hold what is nobody's business.
                debug!(host, ?failure, cause = %causes(&error.without_url()), "a request failed");
                failure
            }
            Err(_) => Failure::Timeout,
        };
        if failure == Failure::Blocked {
            warn!(host, "a target was refused when it was resolved");
        }
        Err(failure)
    }

    async fn ask(&self, url: Url, mut call: Call) -> Result<Answer, reqwest::Error> {
        if call.method != Method::GET && call.body.is_empty() {
            // Some servers refuse a request that may have a body and does not say that it has none.
            call.headers
                .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let sending = self
            .client
            .request(call.method, url.clone())
            .headers(call.headers)
            .body(call.body);
        let mut answer = TARGET.scope(url, sending.send()).await?;
        let status = answer.status().as_u16();
        let retry_after = self.retry_after(&answer);
        let mut body = Vec::new();
        let mut whole = false;
        while body.len() <= call.most {
            let Some(chunk) = answer.chunk().await? else {
                whole = true;
                break;
            };
            // One byte beyond the cap is enough to know that there is more.
            let room = call.most.saturating_add(1) - body.len();
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        }
        body.truncate(call.most);
        Ok(Answer {
            status,
            retry_after,
            // Without the room that was kept for more.
            body: body.into_boxed_slice().into(),
            whole,
        })
    }

    fn retry_after(&self, answer: &Response) -> Option<SignedDuration> {
        let value = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
        parse_retry_after(value, self.clock.now())
    }
}

#[async_trait]
impl Transport for Https {
    async fn post(&self, request: Request) -> Outcome {
        let keep = request.keep;
        let call = Call {
            method: Method::POST,
            url: request.url,
            headers: request.headers,
            body: request.body,
            deadline: request.deadline,
            most: BODY_MOST,
        };
        match self.exchange(call).await {
            Ok(answer) => {
                let kept = answer.body.get(..keep).unwrap_or(&answer.body);
                Outcome::Answered {
                    status: answer.status,
                    retry_after: answer.retry_after,
                    excerpt: String::from_utf8_lossy(kept).into_owned(),
                }
            }
            Err(failure) => Outcome::Failed(failure),
        }
    }
}

#[async_trait]
impl Caller for Https {
    async fn call(&self, call: Call) -> Result<Answer, Failure> {
        let most = call.most.min(ANSWER_MOST);
        self.exchange(Call { most, ..call }).await
    }
}

fn tls(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

#[cfg(test)]
mod calls;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
