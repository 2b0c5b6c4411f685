//! The AWS SDK's clients, built once per process so that a function starts quickly.
//!
//! One connector is shared, with timeouts of our own; it trusts the roots that AWS endpoints chain to instead of
//! parsing every root of the machine, and the configuration is made from the environment that Lambda sets
//! instead of being searched for. ADR 0008 has what was measured.

use std::time::Duration;

use aws_runtime::invocation_id::InvocationIdInterceptor;
use aws_runtime::request_info::RequestInfoInterceptor;
use aws_runtime::user_agent::UserAgentInterceptor;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::interceptors::context::BeforeSerializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{
    Intercept, disable_interceptor, dyn_dispatch_hint,
};
use aws_smithy_types::config_bag::ConfigBag;

use crate::config::Lookup;

/// Amazon Root CA 1 to 4 and Starfield Services Root CA G2 (Amazon Trust Services): every public AWS endpoint chains
/// to one of them.
const AMAZON_ROOTS: &str = include_str!("amazon-roots.pem");

const CONNECT: Duration = Duration::from_millis(1500);
const ATTEMPT: Duration = Duration::from_secs(3);
const OPERATION: Duration = Duration::from_secs(8);

/// Where AWS is, and who we are there: what Lambda sets in a function's environment.
#[derive(Debug, Clone)]
pub struct Account {
    region: String,
    credentials: Credentials,
    endpoint_url: Option<String>,
}

impl Account {
    /// Reads `AWS_REGION`, the `AWS_*` credentials and `AWS_ENDPOINT_URL`.
    ///
    /// # Errors
    /// A line that names every variable that is missing.
    pub fn from_lookup(lookup: Lookup<'_>) -> Result<Self, String> {
        let names = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
        match names.map(lookup) {
            [Some(region), Some(id), Some(secret)] => Ok(Self {
                region,
                credentials: Credentials::new(
                    id,
                    secret,
                    lookup("AWS_SESSION_TOKEN"),
                    None,
                    "environment",
                ),
                endpoint_url: lookup("AWS_ENDPOINT_URL"),
            }),
            values => {
                let missing = names
                    .iter()
                    .zip(values)
                    .filter(|(_, value)| value.is_none());
                Err(missing
                    .map(|(name, _)| format!("{name} is not set"))
                    .collect::<Vec<_>>()
                    .join("\n"))
            }
        }
    }

    /// An emulator or the embedded table at `endpoint_url`, where any credentials do.
    #[must_use]
    pub fn local(endpoint_url: impl Into<String>) -> Self {
        Self {
            region: "us-east-1".to_owned(),
            credentials: Credentials::new("local", "local", None, None, "local"),
            endpoint_url: Some(endpoint_url.into()),
        }
    }
}

/// The clients, which share one HTTP client.
#[derive(Debug, Clone)]
pub struct Clients {
    account: Account,
    http: SharedHttpClient,
}

impl Clients {
    /// Clients for `account`.
    #[must_use]
    pub fn new(account: Account) -> Self {
        Self {
            account,
            http: http_client(),
        }
    }

    /// Clients for `account` whose requests go through `http`: where tests put their faults and counters.
    #[must_use]
    pub fn over(account: Account, http: SharedHttpClient) -> Self {
        Self { account, http }
    }

    /// The DynamoDB client.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let mut config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.account.region.clone()))
            .credentials_provider(self.account.credentials.clone())
            .http_client(self.http.clone())
            .retry_config(RetryConfig::standard())
            .timeout_config(timeouts())
            .interceptor(Terse)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        config.set_endpoint_url(self.account.endpoint_url.clone());
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// The SQS client.
    #[must_use]
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        let mut config = aws_sdk_sqs::Config::builder()
            .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
            .region(aws_sdk_sqs::config::Region::new(
                self.account.region.clone(),
            ))
            .credentials_provider(self.account.credentials.clone())
            .http_client(self.http.clone())
            .retry_config(RetryConfig::standard())
            .timeout_config(timeouts())
            .interceptor(Terse)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        config.set_endpoint_url(self.account.endpoint_url.clone());
        aws_sdk_sqs::Client::from_conf(config.build())
    }
}

/// Leaves out the headers that say which SDK asks, and which try of which call this is. AWS decides nothing by them, and
/// making and signing them took a tenth of a request's instructions (ADR 0017).
#[derive(Debug)]
struct Terse;

#[dyn_dispatch_hint]
impl Intercept for Terse {
    fn name(&self) -> &'static str {
        "Terse"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        const CAUSE: &str = "AWS does not need it";
        config
            .interceptor_state()
            .store_put(disable_interceptor::<UserAgentInterceptor>(CAUSE))
            .store_put(disable_interceptor::<InvocationIdInterceptor>(CAUSE))
            .store_put(disable_interceptor::<RequestInfoInterceptor>(CAUSE));
        Ok(())
    }
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build()
}

/// One connector, built once: the stock client builds one more for each SDK client and set of timeouts.
///
/// It has no timeout for reading: each attempt's own timeout covers that, and a wait for messages may be long.
#[must_use]
pub fn http_client() -> SharedHttpClient {
    let roots = tls::TrustStore::empty().with_pem_certificate(AMAZON_ROOTS);
    let context = tls::TlsContext::builder()
        .with_trust_store(roots)
        .build()
        .expect("the roots are part of this program, and a test reads them");
    let connector = Connector::builder()
        .connector_settings(
            HttpConnectorSettings::builder()
                .connect_timeout(CONNECT)
                .build(),
        )
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::AwsLc,
        ))
        .tls_context(context)
        .build();
    let connector = SharedHttpConnector::new(connector);
    http_client_fn(move |_, _| connector.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
    use aws_smithy_runtime_api::client::result::ConnectorError;

    use super::*;

    #[test]
    fn the_roots_are_read_and_the_clients_are_built() {
        let clients = Clients::new(Account::local("http://127.0.0.1:1"));
        let _ = (clients.dynamodb(), clients.sqs());
    }

    /// Keeps the names of each request's headers, and answers none.
    #[derive(Debug)]
    struct Recorded(mpsc::Sender<Vec<String>>);

    impl HttpConnector for Recorded {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let names = request.headers().iter().map(|(name, _)| name.to_owned());
            self.0.send(names.collect()).expect("the test waits for it");
            HttpConnectorFuture::ready(Err(ConnectorError::user("not sent".into())))
        }
    }

    #[tokio::test]
    async fn requests_are_signed_and_do_not_say_which_sdk_asks_and_for_which_time() {
        let (sent, requests) = mpsc::channel();
        let connector = SharedHttpConnector::new(Recorded(sent));
        let http = http_client_fn(move |_, _| connector.clone());
        let clients = Clients::over(Account::local("http://127.0.0.1:1"), http);
        let _refused = clients.sqs().list_queues().send().await;
        let _refused = clients.dynamodb().list_tables().send().await;
        for service in ["SQS", "DynamoDB"] {
            let names = requests.try_recv().expect("a request was made");
            let has = |name: &str| names.iter().any(|it| it == name);
            assert!(has("authorization") && has("x-amz-target"), "{service}");
            for left_out in [
                "user-agent",
                "x-amz-user-agent",
                "amz-sdk-invocation-id",
                "amz-sdk-request",
            ] {
                assert!(!has(left_out), "{service}: {left_out}");
            }
        }
        assert!(requests.try_recv().is_err(), "each is made once");
    }

    #[test]
    fn every_missing_variable_is_named() {
        let got =
            Account::from_lookup(&|name| (name == "AWS_REGION").then(|| "eu-west-1".to_owned()));
        assert_eq!(
            got.err().as_deref(),
            Some("AWS_ACCESS_KEY_ID is not set\nAWS_SECRET_ACCESS_KEY is not set")
        );
    }
}
