//! Which addresses may be called: public ones, over https, on the usual ports, and nothing else.
//!
//! An endpoint's URL is somebody else's input, and a function sits beside things that must never hear from it
//! (its own runtime, metadata services, a private network). A URL is judged when it is registered and its
//! resolved addresses at every connect; the judged address is the one connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::{Host, Url};

/// Why a target must not be called. Safe to show its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It is no absolute URL.
    #[error("must be an absolute URL")]
    NotUrl,
    /// Only https is spoken.
    #[error("must be an https URL")]
    Scheme,
    /// A port that webhooks have no business on.
    #[error("must use port 443 or 8443")]
    Port,
    /// A user name or password in the URL would be sent or logged.
    #[error("must not hold a user name or password")]
    UserInfo,
    /// A name that only a private network knows.
    #[error("must name a public host")]
    Host,
    /// One of our own doors: it would be delivered to ourselves, again and again.
    #[error("must not lead to this service itself")]
    Own,
    /// An address that is not public.
    #[error("must not lead to a private, local or reserved address")]
    Address,
}

const PORTS: [u16; 2] = [443, 8443];

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

/// IPv4 that is not public (IANA's special-purpose registry).
const REFUSED_V4: [Ipv4Net; 15] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
];

/// The only IPv6 block that is handed out for public use ...
const PUBLIC_V6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// ... but for these: Teredo, documentation, 6to4, documentation again.
const REFUSED_V6: [Ipv6Net; 4] = [
    Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32),
    Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    Ipv6Net::new_assert(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    Ipv6Net::new_assert(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Whether an address is public.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !REFUSED_V4.iter().any(|net| net.contains(&address)),
        IpAddr::V6(address) => {
            PUBLIC_V6.contains(&address) && !REFUSED_V6.iter().any(|net| net.contains(&address))
        }
    }
}

/// Judges targets.
#[derive(Debug, Clone, Default)]
pub struct Vetting {
    /// Networks whose addresses are exempt from the rules on address, scheme and port.
    allow: Vec<IpNet>,
    /// The Lambda Runtime API's address, refused whatever is allowed.
    runtime_api: Option<SocketAddr>,
    /// The names of our own doors, refused with everything below them, whatever is allowed.
    own_hosts: Vec<String>,
    /// Where this very process has its doors, refused whatever is allowed.
    own_address: Option<SocketAddr>,
}

impl Vetting {
    /// The rules, with the exemptions of `allow`, and the Runtime API's address where there is one.
    #[must_use]
    pub fn new(allow: Vec<IpNet>, runtime_api: Option<SocketAddr>) -> Self {
        Self {
            allow,
            runtime_api,
            ..Self::default()
        }
    }

    /// The same rules, which refuse our own doors too: hosts by their names in lower case.
    #[must_use]
    pub fn beside(self, own_hosts: Vec<String>) -> Self {
        Self { own_hosts, ..self }
    }

    /// The same rules, which refuse the address of our own doors too.
    #[must_use]
    pub fn beside_address(self, own: SocketAddr) -> Self {
        Self {
            own_address: Some(own),
            ..self
        }
    }

    fn is_own(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.');
        self.own_hosts.iter().any(|own| {
            name.strip_suffix(own.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }

    /// Judges a URL by itself: its form, and its address where it is written as one.
    ///
    /// A host name may stand for an exempt address, which only its resolution shows; so where there are exemptions
    /// the rules on scheme, port and name are left to [`Vetting::address`].
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn url(&self, text: &str) -> Result<Url, TargetError> {
        let url = Url::parse(text).map_err(|_| TargetError::NotUrl)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(TargetError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::UserInfo);
        }
        if url.host_str().is_some_and(|host| self.is_own(host)) {
            return Err(TargetError::Own);
        }
        let literal = match url.host() {
            None => return Err(TargetError::NotUrl),
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(name)) => {
                if self.allow.is_empty() && !is_public_name(name) {
                    return Err(TargetError::Host);
                }
                None
            }
        };
        match literal {
            Some(address) => self.address(address, &url)?,
            None if self.allow.is_empty() => form(&url)?,
            None => {}
        }
        Ok(url)
    }

    fn exempts(&self, address: IpAddr) -> bool {
        let plain = address.to_canonical();
        self.allow
            .iter()
            .any(|net| net.contains(&address) || net.contains(&plain))
    }

    /// Judges one resolved address of `url`: the one that is about to be connected to.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn address(&self, address: IpAddr, url: &Url) -> Result<(), TargetError> {
        let port = url.port_or_known_default().ok_or(TargetError::Port)?;
        let plain = address.to_canonical();
        if self
            .runtime_api
            .is_some_and(|api| api.ip().to_canonical() == plain && api.port() == port)
        {
            return Err(TargetError::Address);
        }
        if self
            .own_address
            .is_some_and(|own| own.ip().to_canonical() == plain && own.port() == port)
        {
            return Err(TargetError::Own);
        }
        if self.exempts(address) {
            return Ok(());
        }
        form(url)?;
        if is_public(address) {
            Ok(())
        } else {
            Err(TargetError::Address)
        }
    }
}

fn form(url: &Url) -> Result<(), TargetError> {
    if url.scheme() != "https" {
        return Err(TargetError::Scheme);
    }
    if !url
        .port_or_known_default()
        .is_some_and(|port| PORTS.contains(&port))
    {
        return Err(TargetError::Port);
    }
    Ok(())
}

fn is_public_name(name: &str) -> bool {
    // One dot at the end names the root. With two of them an address is none to the parser, and might be to a resolver.
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut labels = name.rsplit('.');
    let top = labels.next().unwrap_or_default();
    let numeric = top.bytes().all(|byte| byte.is_ascii_digit());
    !numeric
        && !["local", "internal", "localhost"].contains(&top)
        && name.contains('.')
        && labels.all(|label| !label.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_edges_of_every_refused_block() {
        // first - 1, first, last, last + 1
        let v4 = [
            ("", "0.0.0.0", "0.255.255.255", "1.0.0.0"),
            ("9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"),
            (
                "100.63.255.255",
                "100.64.0.0",
                "100.127.255.255",
                "100.128.0.0",
            ),
            (
                "126.255.255.255",
                "127.0.0.0",
                "127.255.255.255",
                "128.0.0.0",
            ),
            (
                "169.253.255.255",
                "169.254.0.0",
                "169.254.255.255",
                "169.255.0.0",
            ),
            (
                "172.15.255.255",
                "172.16.0.0",
                "172.31.255.255",
                "172.32.0.0",
            ),
            ("191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"),
            ("192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"),
            (
                "192.88.98.255",
                "192.88.99.0",
                "192.88.99.255",
                "192.88.100.0",
            ),
            (
                "192.167.255.255",
                "192.168.0.0",
                "192.168.255.255",
                "192.169.0.0",
            ),
            (
                "198.17.255.255",
                "198.18.0.0",
                "198.19.255.255",
                "198.20.0.0",
            ),
            (
                "198.51.99.255",
                "198.51.100.0",
                "198.51.100.255",
                "198.51.101.0",
            ),
            (
                "203.0.112.255",
                "203.0.113.0",
                "203.0.113.255",
                "203.0.114.0",
            ),
            ("223.255.255.255", "224.0.0.0", "255.255.255.255", ""),
        ];
        let v6 = [
            (
                "",
                "::",
                "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "2000::",
            ),
            (
                "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "2001::",
                "2001:0:ffff:ffff:ffff:ffff:ffff:ffff",
                "2001:1::",
            ),
            (
                "2001:db7:ffff::",
                "2001:db8::",
                "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
                "2001:db9::",
            ),
            (
                "2001:ffff::",
                "2002::",
                "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "2003::",
            ),
            (
                "3ffe::",
                "3fff::",
                "3fff:0fff:ffff:ffff:ffff:ffff:ffff:ffff",
                "3fff:1000::",
            ),
            (
                "3fff:ffff::",
                "4000::",
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "",
            ),
        ];
        for (before, first, last, after) in v4.into_iter().chain(v6) {
            for public in [before, after].into_iter().filter(|text| !text.is_empty()) {
                assert!(is_public(ip(public)), "{public} is public");
            }
            for refused in [first, last] {
                assert!(!is_public(ip(refused)), "{refused} is refused");
            }
        }
    }

    #[test]
    fn urls_are_judged_by_form_and_by_literal_address() {
        use TargetError::*;
        let cases = [
            ("https://shop.example/hook", Ok(())),
            ("https://shop.example:8443/hook", Ok(())),
            ("https://8.8.8.8/hook", Ok(())),
            ("https://[2606:4700::1111]/hook", Ok(())),
            ("https://b\u{fc}cher.example/hook", Ok(())),
            ("http://shop.example/hook", Err(Scheme)),
            ("ftp://shop.example/hook", Err(Scheme)),
            ("file:///etc/passwd", Err(Scheme)),
            ("shop.example/hook", Err(NotUrl)),
            ("https://", Err(NotUrl)),
            ("https://shop.example:22/", Err(Port)),
            ("https://shop.example:9001/", Err(Port)),
            ("https://me:pw@shop.example/", Err(UserInfo)),
            ("https://me@shop.example/", Err(UserInfo)),
            ("https://localhost/", Err(Host)),
            ("https://localhost./", Err(Host)),
            ("https://db.internal/", Err(Host)),
            ("https://printer.local/", Err(Host)),
            ("https://intranet/", Err(Host)),
            ("https://shop.example./hook", Ok(())),
            ("https://shop.example../hook", Err(Host)),
            ("https://shop..example/hook", Err(Host)),
            ("https://.shop.example/hook", Err(Host)),
            ("https://127.0.0.1../", Err(Host)),
            ("https://169.254.169.254../latest/meta-data", Err(Host)),
            ("https://127.0.0.1/", Err(Address)),
            ("https://127.0.0.1./", Err(Address)),
            ("https://2130706433/", Err(Address)),
            ("https://0x7f.1/", Err(Address)),
            ("https://0177.0.0.1/", Err(Address)),
            ("https://[::1]/", Err(Address)),
            ("https://[::ffff:127.0.0.1]/", Err(Address)),
            ("https://[::ffff:8.8.8.8]/", Err(Address)),
            ("https://[64:ff9b::7f00:1]/", Err(Address)),
            ("https://[fe80::1]/", Err(Address)),
            ("https://[fd00:ec2::254]/", Err(Address)),
            ("https://169.254.169.254/latest/meta-data", Err(Address)),
        ];
        for (text, want) in cases {
            assert_eq!(Vetting::default().url(text).map(|_| ()), want, "{text}");
        }
    }

    #[test]
    fn our_own_doors_are_refused_by_name_and_address_whatever_is_allowed() {
        let allow = vec!["127.0.0.0/8".parse().expect("a network")];
        let vetting = Vetting::new(allow, None)
            .beside(vec!["api.pay.example".to_owned()])
            .beside_address("127.0.0.1:3000".parse().expect("an address"));
        let judge = |text: &str, address: &str| {
            let url = vetting.url(text)?;
            vetting.address(ip(address), &url)
        };
        let own = Err(TargetError::Own);
        let cases = [
            (
                "https://api.pay.example/v1/tenants/acme/events",
                "8.8.8.8",
                own,
            ),
            ("https://API.Pay.Example./", "8.8.8.8", own),
            ("https://eu.api.pay.example/", "8.8.8.8", own),
            ("https://myapi.pay.example/", "8.8.8.8", Ok(())),
            ("https://pay.example/", "8.8.8.8", Ok(())),
            ("http://127.0.0.1:3000/", "127.0.0.1", own),
            ("http://localhost:3000/", "::ffff:127.0.0.1", own),
            ("http://127.0.0.1:3001/", "127.0.0.1", Ok(())),
        ];
        for (text, address, want) in cases {
            assert_eq!(judge(text, address), want, "{text} at {address}");
        }
    }

    #[test]
    fn an_exempt_network_lifts_the_rules_but_never_for_the_runtime_api() {
        let allow = vec!["127.0.0.0/8".parse().expect("a network")];
        let vetting = Vetting::new(allow, Some("127.0.0.1:9001".parse().expect("an address")));
        let judge = |text: &str, address: &str| {
            let url = vetting.url(text)?;
            vetting.address(ip(address), &url)
        };
        let cases = [
            ("http://127.0.0.1:3001/", "127.0.0.1", Ok(())),
            ("http://localhost:3001/", "127.0.0.1", Ok(())),
            ("http://localhost:3001/", "::ffff:127.0.0.1", Ok(())),
            ("http://shop.example/", "8.8.8.8", Err(TargetError::Scheme)),
            (
                "https://shop.example:3001/",
                "8.8.8.8",
                Err(TargetError::Port),
            ),
            (
                "https://shop.example/",
                "10.0.0.1",
                Err(TargetError::Address),
            ),
            (
                "http://127.0.0.1:9001/",
                "127.0.0.1",
                Err(TargetError::Address),
            ),
            (
                "http://localhost:9001/",
                "127.0.0.1",
                Err(TargetError::Address),
            ),
            (
                "http://localhost:9001/",
                "::ffff:127.0.0.1",
                Err(TargetError::Address),
            ),
        ];
        for (text, address, want) in cases {
            assert_eq!(judge(text, address), want, "{text} at {address}");
        }
    }
}
