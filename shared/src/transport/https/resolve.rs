//! The resolver: it gives out addresses only for the request that is being made, and only if all of them may be called.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use crate::delivery::{TargetError, Vetting};

tokio::task_local! {
    /// The URL of the request that is being made. The resolver is told only the name, and an address can be judged only
    /// together with scheme and port.
    pub(super) static TARGET: Url;
}

/// Finds the addresses of a name.
pub(super) trait Lookup: Send + Sync {
    fn lookup(&self, name: String) -> Looking;
}

pub(super) type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// As the machine does.
pub(super) struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> Looking {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((name, 0)).await?;
            Ok(addresses.map(|address| address.ip()).collect())
        })
    }
}

/// Why a name gives no address to connect to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unresolved {
    #[error("the name could not be resolved")]
    Lookup(#[source] io::Error),
    #[error("the name has no address")]
    Nothing,
    #[error("the target {0}")]
    Refused(TargetError),
    /// No request of ours, or not the one that is being made: what can't be judged is refused.
    #[error("the name was asked for by nobody")]
    Unasked,
}

/// Gives out the addresses of a name if every one of them may be called for the request that is being made.
pub(super) struct Vetted {
    pub(super) vetting: Arc<Vetting>,
    pub(super) lookup: Arc<dyn Lookup>,
}

impl Resolve for Vetted {
    fn resolve(&self, name: Name) -> Resolving {
        // A connection is begun by the request that needs it, so the request's URL is at hand here; what is awaited below
        // may go on in a task of the pool's.
        let target = TARGET.try_with(Url::clone).ok();
        let (vetting, lookup) = (self.vetting.clone(), self.lookup.clone());
        Box::pin(async move {
            let target = target
                .filter(|url| url.host_str() == Some(name.as_str()))
                .ok_or(Unresolved::Unasked)?;
            let addresses = lookup
                .lookup(name.as_str().to_owned())
                .await
                .map_err(Unresolved::Lookup)?;
            let addresses: BTreeSet<IpAddr> = addresses.into_iter().collect();
            for address in &addresses {
                vetting
                    .address(*address, &target)
                    .map_err(Unresolved::Refused)?;
            }
            if addresses.is_empty() {
                return Err(Unresolved::Nothing.into());
            }
            let addresses: Addrs = Box::new(
                addresses
                    .into_iter()
                    .map(|address| SocketAddr::new(address, 0)),
            );
            Ok(addresses)
        })
    }
}
