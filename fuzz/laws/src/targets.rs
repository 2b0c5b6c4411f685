//! Target vetting: a URL that is let through is https, on a port for webhooks, without user information, and leads to nothing
//! that is written as a private address or name; an address that is let through is public, by rules written a second time here.
//!
//! An input is a URL, and on the next line the address that its name resolves to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use shared::delivery::{TargetError, Vetting};
use shared::signature::stellar::{SignedHost, signed_host};
use url::{Host, Url};

use crate::text_line;

/// Holds the laws.
///
/// # Panics
/// Where one is broken.
pub fn hold(input: &[u8]) {
    let Some((text, rest)) = text_line(input) else {
        return;
    };
    let vetting = Vetting::default().beside(vec!["api.pay.example".to_owned()]);
    let address = std::str::from_utf8(rest)
        .ok()
        .and_then(|it| it.trim().parse::<IpAddr>().ok());
    if let Ok(url) = vetting.url(text) {
        let_through(&url);
        assert_eq!(
            vetting.url(url.as_str()).as_ref(),
            Ok(&url),
            "as it is written again it is judged alike"
        );
        if let Some(address) = address {
            let got = vetting.address(address, &url);
            assert_eq!(
                got.is_ok(),
                public(address),
                "{address} is judged otherwise"
            );
        }
    }
    exempt(text, address);
}

/// What holds of a URL that is let through.
fn let_through(url: &Url) {
    assert_eq!(url.scheme(), "https");
    assert!(
        matches!(url.port_or_known_default(), Some(443 | 8443)),
        "{url} has another port"
    );
    assert!(
        url.username().is_empty() && url.password().is_none(),
        "{url} has a user"
    );
    match url.host().expect("a URL that is let through has a host") {
        Host::Ipv4(address) => assert!(public(address.into()), "{url} leads to a private address"),
        Host::Ipv6(address) => assert!(public(address.into()), "{url} leads to a private address"),
        Host::Domain(name) => {
            assert!(
                name.is_ascii() && name == name.to_ascii_lowercase(),
                "{url} has an odd name"
            );
            let labels: Vec<_> = name.trim_end_matches('.').rsplit('.').collect();
            assert!(labels.len() > 1, "{url} has a single label");
            let last = labels.first().copied().unwrap_or_default();
            assert!(
                !["local", "internal", "localhost"].contains(&last),
                "{url} is a private name"
            );
            assert!(
                !last.bytes().all(|byte| byte.is_ascii_digit()),
                "{url} is an address in disguise"
            );
            assert!(
                !format!(".{}", name.trim_end_matches('.')).ends_with(".api.pay.example"),
                "{url} is our own"
            );
        }
    }
    let hosts =
        [SignedHost::AsSent, SignedHost::NameOnly].map(|form| signed_host(url.as_str(), form));
    let name = url.host_str().map(str::to_owned);
    assert!(
        hosts.iter().all(Option::is_some) && hosts.last() == Some(&name),
        "there is a host to sign"
    );
}

/// Where a network is exempt, the Runtime API and our own doors are refused all the same.
fn exempt(text: &str, address: Option<IpAddr>) {
    let runtime = (Ipv4Addr::LOCALHOST, 9001).into();
    let own = (Ipv4Addr::new(127, 0, 0, 7), 3000).into();
    let loopback = "127.0.0.0/8".parse().expect("it is a network");
    let vetting = Vetting::new(vec![loopback], Some(runtime)).beside_address(own);
    let Ok(url) = vetting.url(text) else {
        return;
    };
    let written = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        _ => None,
    };
    let port = url.port_or_known_default();
    for address in written.into_iter().chain(address) {
        let plain = address.to_canonical();
        let got = vetting.address(address, &url);
        if plain == runtime.ip() && port == Some(9001) {
            assert_eq!(got, Err(TargetError::Address));
        } else if plain == own.ip() && port == Some(3000) {
            assert_eq!(got, Err(TargetError::Own));
        } else if plain.is_loopback() && plain.is_ipv4() {
            assert_eq!(got, Ok(()));
        } else if got.is_ok() {
            assert!(
                public(address) && url.scheme() == "https",
                "{address} is not exempt"
            );
        }
    }
}

/// Whether an address is public, by the registries of special addresses as numbers.
fn public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            !(matches!(a, 0 | 10 | 127 | 224..)
                || (a, b) == (169, 254)
                || (a, b) == (192, 168)
                || (a == 100 && (64..128).contains(&b))
                || (a == 172 && (16..32).contains(&b))
                || (a == 198 && matches!(b, 18 | 19))
                || matches!(
                    (a, b, c),
                    (192, 0, 0 | 2) | (192, 88, 99) | (198, 51, 100) | (203, 0, 113)
                ))
        }
        IpAddr::V6(address) => public_v6(address),
    }
}

fn public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let handed_out = (0x2000..0x4000).contains(&first);
    let special = matches!((first, second), (0x2001, 0 | 0xdb8))
        || first == 0x2002
        || (first == 0x3fff && second < 0x1000);
    handed_out && !special
}
