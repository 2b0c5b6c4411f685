//! Stellar callbacks (SEP-12, and SEP-6, 24 and 31 alike): `Signature: t=<unix s>, s=<base64 Ed25519>` over
//! `t.host.body`, made with the key that the anchor publishes as `SIGNING_KEY` in its `stellar.toml`.
//!
//! Keys are strkeys (SEP-23): a seed is `S` and 55 more characters, its public key `G` and 55 more.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use data_encoding::BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stellar_strkey::ed25519;
use url::Url;

use crate::entropy::Entropy;
use crate::secret::Secret;

/// The header with the signature.
pub const HEADER: &str = "signature";
/// The header's deprecated name, which wallets may still look for (SEP-12 before 1.9).
pub const OLD_HEADER: &str = "x-stellar-signature";

/// A text that is no key of Stellar. It tells nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is no seed.
    #[error("must be a Stellar secret seed: `S` and 55 more characters, with its checksum")]
    Seed,
    /// It is no public key.
    #[error("must be a Stellar public key: `G` and 55 more characters, with its checksum")]
    PublicKey,
}

/// A public key of Stellar, `G..`: its checksum holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(String);

impl PublicKey {
    /// Takes a public key in its strkey form.
    ///
    /// # Errors
    /// [`KeyError::PublicKey`] for any other text.
    pub fn parse(text: impl Into<String>) -> Result<Self, KeyError> {
        let text = text.into();
        ed25519::PublicKey::from_string(&text).map_err(|_| KeyError::PublicKey)?;
        Ok(Self(text))
    }

    pub(super) fn of(bytes: [u8; 32]) -> Self {
        Self(ed25519::PublicKey(bytes).to_string().as_str().to_owned())
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;
    fn try_from(text: String) -> Result<Self, KeyError> {
        Self::parse(text)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What signs: a tenant's `SIGNING_KEY`.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// Reads a seed in its strkey form.
    ///
    /// # Errors
    /// [`KeyError::Seed`] for any other text.
    pub fn parse(seed: &Secret) -> Result<Self, KeyError> {
        let seed = ed25519::PrivateKey::from_string(seed.expose()).map_err(|_| KeyError::Seed)?;
        Ed25519KeyPair::from_seed_unchecked(&seed.0)
            .map(Self)
            .map_err(|_| KeyError::Seed)
    }

    /// What wallets verify with.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let bytes = self.0.public_key().as_ref().try_into();
        PublicKey::of(bytes.expect("a public key of Ed25519 has 32 bytes"))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}

/// A new seed in its strkey form.
#[must_use]
pub fn generate(entropy: &dyn Entropy) -> Secret {
    let seed = ed25519::PrivateKey(entropy.bytes());
    Secret::new(seed.as_unredacted().to_string().as_str())
}

/// The value of the signature header for a body sent to `host` at `at`.
///
/// Some verifiers match `t=`, the comma, the one space and `s=` literally, so the form never varies.
#[must_use]
pub fn sign(key: &SigningKey, at: Timestamp, host: &str, body: &[u8]) -> String {
    let timestamp = at.as_second().to_string();
    let message = [timestamp.as_bytes(), b".", host.as_bytes(), b".", body].concat();
    let signature = key.0.sign(&message);
    format!("t={timestamp}, s={}", BASE64.encode(signature.as_ref()))
}

/// Which form of its own host a receiver verifies with. The specification is silent on ports, and verifiers differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignedHost {
    /// As it is sent: with `:port` where the URL names one that is not its scheme's own (Anchor Platform, Polaris).
    #[default]
    AsSent,
    /// The name alone, whatever the port (SDF's wallet backend, newer SDKs).
    NameOnly,
}

impl SignedHost {
    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AsSent => "as_sent",
            Self::NameOnly => "name_only",
        }
    }
}

/// The host that is signed for a request to `url`, in lower case; `None` for what is no URL with a host.
#[must_use]
pub fn signed_host(url: &str, form: SignedHost) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str().filter(|host| !host.is_empty())?;
    // The parser has dropped the scheme's own port, as the client that sends does.
    match (form, url.port()) {
        (SignedHost::AsSent, Some(port)) => Some(format!("{host}:{port}")),
        (SignedHost::AsSent, None) | (SignedHost::NameOnly, _) => Some(host.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE32_NOPAD;
    use ed25519_dalek::{Signature, VerifyingKey};
    use stellar_strkey::Strkey;

    use super::*;
    use crate::entropy::SeededEntropy;

    // Made with the Python SDK of Stellar and with PyNaCl, verified with the JavaScript SDK; seed bytes 00 to 1f.
    const SEED: &str = "SAAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6NKI";
    const PUBLIC: &str = "GAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QZ6Q";
    const BODY_1: &str = r#"{"id":"c0ffee00-0000-4000-8000-000000000001","status":"NEEDS_INFO","fields":{"mobile_number":{"type":"string","description":"Mobile phone, E.164"}}}"#;
    const BODY_2: &str = r#"{"id":"c0ffee00-0000-4000-8000-000000000001","status":"REJECTED","message":"Dossier refusé – pièce expirée"}"#;
    const HOST: &str = "wallet.example.com";
    const A: &str = "t=1700000000, s=bNf+xtXWi71Gxc21fgG7tjnLqJ1+1RIEMK4kMri7jNZ0lZlXJZEbs6LRcnNRbMJ7lMu6rfjarfMLMiHaiZCuBw==";
    const B: &str = "t=1700000000, s=yPKkUD5A01ttaF9AHfP2D+oRtBsUS9w/yexdLoqTdg0gfQx0WDcMjRjt4RWzzcz7Q0JaXAK5o5RY5BekTs+rDg==";
    const C: &str = "t=1700000060, s=z9SuFyo5sU+5jVGEK0lgBCq1HxgmUwU7sx+ddYWzOHSZoSiMwva+iPVpZH6sxNiUPdN2fxLJASZg9GUWevD5Bw==";
    const D: &str = "t=1700000090, s=V4uESWefv+WzPoM47OPwiH7UB+VYEu2XqdyM7WlOqVoS/+eVWtpMOnYxwZjD5QQEfoZ8tHuyrpTwqqlfHLjEAg==";

    fn key(seed: &str) -> SigningKey {
        SigningKey::parse(&Secret::new(seed)).expect("a valid seed")
    }

    fn signed(at: i64, host: &str, body: &str) -> String {
        let at = Timestamp::from_second(at).expect("a time in range");
        sign(&key(SEED), at, host, body.as_bytes())
    }

    /// The check of a wallet, by another library and from SEP-12's text: the time as written, the host that the wallet
    /// knows as its own, and the raw body.
    fn wallet_takes(header: &str, public: &str, host: &str, body: &str) -> bool {
        let parts = header.strip_prefix("t=").and_then(|h| h.split_once(", s="));
        let (timestamp, signature) = parts.expect("the header's literal form");
        let raw = BASE32_NOPAD.decode(public.as_bytes()).expect("base32");
        let raw: [u8; 32] = raw[1..33].try_into().expect("32 bytes");
        let signature = BASE64.decode(signature.as_bytes()).expect("base64");
        let signature = Signature::from_slice(&signature).expect("64 bytes");
        let message = format!("{timestamp}.{host}.{body}");
        VerifyingKey::from_bytes(&raw)
            .expect("a point of the curve")
            .verify_strict(message.as_bytes(), &signature)
            .is_ok()
    }

    #[test]
    fn the_vectors_are_what_we_sign_and_what_a_wallet_takes() {
        let cases = [
            ("A", 1_700_000_000, HOST, BODY_1, A),
            ("B", 1_700_000_000, "wallet.example.com:8443", BODY_1, B),
            ("C", 1_700_000_060, HOST, BODY_2, C),
            ("D, a retry of A", 1_700_000_090, HOST, BODY_1, D),
        ];
        assert_eq!((BODY_1.len(), BODY_2.len()), (148, 113));
        for (name, at, host, body, want) in cases {
            assert_eq!(signed(at, host, body), want, "{name}");
            assert!(wallet_takes(want, PUBLIC, host, body), "{name}");
        }
    }

    #[test]
    fn what_differs_in_one_byte_is_refused_by_a_wallet() {
        let later = A.replacen("1700000000", "1700000001", 1);
        let cases = [
            ("a trailing newline", A, HOST, format!("{BODY_1}\n")),
            ("one second more", &later, HOST, BODY_1.to_owned()),
            (
                "the port of https",
                A,
                "wallet.example.com:443",
                BODY_1.to_owned(),
            ),
            (
                "an upper-case host",
                A,
                "Wallet.example.com",
                BODY_1.to_owned(),
            ),
            (
                "written with spaces",
                A,
                HOST,
                BODY_1.replace("\":", "\": "),
            ),
        ];
        for (name, header, host, body) in cases {
            assert!(!wallet_takes(header, PUBLIC, host, &body), "{name}");
        }
        let other = key("SBQWY3DNPFWGSZTFNV4WQZLBOJ2GQYLTMJSWK3TTMVQXEY3INFXGO52X").public();
        assert!(!wallet_takes(A, other.as_str(), HOST, BODY_1));
    }

    #[test]
    fn seeds_and_public_keys_are_strkeys_and_nothing_else() {
        assert_eq!(key(SEED).public().as_str(), PUBLIC);
        assert_eq!(
            PublicKey::parse(PUBLIC).map(String::from),
            Ok(PUBLIC.into())
        );
        let last_changed = |text: &str| format!("{}A", &text[..55]);
        let seeds = [
            "".to_owned(),
            PUBLIC.to_owned(),
            last_changed(SEED),
            SEED.to_lowercase(),
            format!("{SEED} "),
            SEED[..55].to_owned(),
            SEED.replacen('A', "B", 1),
        ];
        for seed in seeds {
            let got = SigningKey::parse(&Secret::new(seed.as_str())).err();
            assert_eq!(got, Some(KeyError::Seed), "{seed:?}");
        }
        let publics = [
            "".to_owned(),
            SEED.to_owned(),
            last_changed(PUBLIC),
            PUBLIC.to_lowercase(),
            format!("{PUBLIC}="),
        ];
        // A pre-authorised transaction, a muxed account and a contract are strkeys too.
        let others = [
            Strkey::PreAuthTx(stellar_strkey::PreAuthTx([7; 32])),
            Strkey::MuxedAccountEd25519(ed25519::MuxedAccount {
                ed25519: [7; 32],
                id: 7,
            }),
            Strkey::Contract(stellar_strkey::Contract([7; 32])),
        ];
        let others = others.map(|other| other.to_string().as_str().to_owned());
        for public in publics.into_iter().chain(others) {
            let got = PublicKey::parse(public.as_str());
            assert_eq!(got, Err(KeyError::PublicKey), "{public:?}");
        }
    }

    #[test]
    fn a_new_seed_comes_from_the_given_chance_and_is_read_back() {
        let seed = |chance| generate(&SeededEntropy::new(chance));
        assert_eq!(seed(1), seed(1));
        assert_ne!(seed(1), seed(2));
        let public = key(seed(1).expose()).public();
        let header = sign(&key(seed(1).expose()), Timestamp::UNIX_EPOCH, HOST, b"{}");
        assert!(wallet_takes(&header, public.as_str(), HOST, "{}"));
    }

    #[test]
    fn the_seed_does_not_show_in_debug_output() {
        let shown = format!("{:?}", key(SEED));
        assert_eq!(shown, format!("SigningKey({PUBLIC})"));
    }

    #[test]
    fn the_signed_host_is_that_of_the_url_with_its_port_or_without() {
        let cases = [
            ("https://wallet.example.com/cb", HOST, HOST),
            ("https://wallet.example.com:443/cb", HOST, HOST),
            ("http://wallet.example.com:80/cb", HOST, HOST),
            (
                "http://wallet.example.com:443/cb",
                "wallet.example.com:443",
                HOST,
            ),
            ("https://Wallet.Example.COM/cb", HOST, HOST),
            (
                "https://wallet.example.com:8443/cb?a=b:1",
                "wallet.example.com:8443",
                HOST,
            ),
            (
                "https://bücher.example/",
                "xn--bcher-kva.example",
                "xn--bcher-kva.example",
            ),
            ("http://127.0.0.1:4000/", "127.0.0.1:4000", "127.0.0.1"),
            ("http://[::1]:4000/", "[::1]:4000", "[::1]"),
        ];
        for (url, as_sent, name_only) in cases {
            let host = |form| signed_host(url, form);
            assert_eq!(host(SignedHost::AsSent).as_deref(), Some(as_sent), "{url}");
            assert_eq!(
                host(SignedHost::NameOnly).as_deref(),
                Some(name_only),
                "{url}"
            );
        }
        for bad in ["", "wallet.example.com", "mailto:a@b.example", "https://"] {
            assert_eq!(signed_host(bad, SignedHost::AsSent), None, "{bad}");
        }
    }

    #[test]
    fn the_signed_host_has_one_name_wherever_it_is_written() {
        for (host, name) in [
            (SignedHost::AsSent, "as_sent"),
            (SignedHost::NameOnly, "name_only"),
        ] {
            assert_eq!(host.as_str(), name);
            let json = serde_json::to_string(&host).ok();
            assert_eq!(json, Some(format!("\"{name}\"")));
        }
    }
}
