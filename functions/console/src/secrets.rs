//! Which secrets are taken, and how missing ones are made.
//!
//! A secret that is short, or that documentation and templates show, protects nothing: anybody can sign with it. So
//! such are refused when they are registered; the signature schemes refuse empty ones once more when they are used.

use data_encoding::BASE64URL_NOPAD;

use shared::delivery::Scheme;
use shared::entropy::Entropy;
use shared::secret::Secret;
use shared::signature::standard::{self, KeyError, SigningKey};
use shared::signature::stellar;

/// Live secrets of one thing when they are set, at most.
pub(crate) const SET_MOST: usize = 5;

/// The shortest and the longest secret that is a text.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=256;

/// The words that placeholders are made of.
const PLACEHOLDERS: [&str; 15] = [
    "whsec",
    "default",
    "secret",
    "changeme",
    "change",
    "password",
    "webhook",
    "signature",
    "signing",
    "example",
    "sample",
    "test",
    "your",
    "here",
    "key",
];

/// Why a secret is not taken. The text holds nothing of the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SecretError {
    /// It is too short to protect anything, or too long to be meant.
    #[error("must be 16 to 256 characters")]
    Length,
    /// It is made of the words that everybody tries.
    #[error("must not be a default or placeholder; draw it at random")]
    Placeholder,
    /// White space at an end is a slip of the hand, and would be signed with.
    #[error("must not begin or end with white space, nor hold control characters")]
    Space,
    /// A user of HTTP Basic ends at the first colon.
    #[error("must be 1 to 64 characters of printable ASCII, none of them `:` or white space")]
    User,
    /// What is not ASCII is sent as this or that.
    #[error("must be printable ASCII, which every sender encodes alike")]
    Ascii,
    /// It is not of the scheme's form.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// It is no seed of Stellar.
    #[error("{0}")]
    Seed(#[from] stellar::KeyError),
}

/// Takes a secret for a scheme that deliveries are signed with.
pub(crate) fn check(scheme: Scheme, secret: &Secret) -> Result<(), SecretError> {
    match scheme {
        Scheme::Rafiki => check_text(secret),
        Scheme::StandardWebhooks => Ok(SigningKey::parse(secret).map(|_| ())?),
        Scheme::Stellar => Ok(stellar::SigningKey::parse(secret).map(|_| ())?),
    }
}

/// Takes a secret that is a text: what Rafiki and billing platforms sign with.
pub(crate) fn check_text(secret: &Secret) -> Result<(), SecretError> {
    let text = secret.expose();
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err(SecretError::Space);
    }
    if !LENGTHS.contains(&text.chars().count()) {
        return Err(SecretError::Length);
    }
    if is_placeholder(text) {
        Err(SecretError::Placeholder)
    } else {
        Ok(())
    }
}

/// Takes a user and a password of HTTP Basic as the one secret `user:password`; an error tells of which of the two it is.
pub(crate) fn check_pair(
    user: &str,
    password: &Secret,
) -> Result<Secret, (&'static str, SecretError)> {
    let is_name = |c: char| c.is_ascii_graphic() && c != ':';
    if !(1..=64).contains(&user.len()) || !user.chars().all(is_name) {
        return Err(("user", SecretError::User));
    }
    check_text(password).map_err(|error| ("password", error))?;
    let password = password.expose();
    if !password.is_ascii() {
        return Err(("password", SecretError::Ascii));
    }
    Ok(Secret::new(format!("{user}:{password}")))
}

/// Whether nothing is left of a text without its placeholder words, digits and signs, or it is one character over
/// and over.
fn is_placeholder(text: &str) -> bool {
    let mut letters: String = text
        .chars()
        .filter(|c| c.is_alphabetic())
        .flat_map(char::to_lowercase)
        .collect();
    for word in PLACEHOLDERS {
        letters = letters.replace(word, "");
    }
    let mut characters = text.chars();
    let first = characters.next();
    let digits = text.chars().filter(char::is_ascii_digit).count();
    (letters.len() < 4 && digits < 16) || characters.all(|c| Some(c) == first)
}

/// Makes a secret for a scheme, of 32 random bytes.
pub(crate) fn generate(scheme: Scheme, entropy: &dyn Entropy) -> Secret {
    match scheme {
        Scheme::Rafiki => Secret::new(BASE64URL_NOPAD.encode(&entropy.bytes::<32>())),
        Scheme::StandardWebhooks => standard::generate(entropy),
        Scheme::Stellar => stellar::generate(entropy),
    }
}

#[cfg(test)]
mod tests {
    use shared::entropy::SeededEntropy;

    use super::*;

    #[test]
    fn texts_that_protect_nothing_are_refused() {
        use SecretError::*;
        let cases = [
            ("", Err(Length)),
            ("secret", Err(Length)),
            ("default_secret", Err(Length)),
            ("0123456789abcde", Err(Length)),
            ("0123456789abcdef", Ok(())),
            ("default_secret_default_secret", Err(Placeholder)),
            ("MY_WEBHOOK_SECRET_HERE_1", Err(Placeholder)),
            ("whsec_your_webhook_secret_here", Err(Placeholder)),
            ("aaaaaaaaaaaaaaaaaaaaaaaa", Err(Placeholder)),
            ("secret-secret-secret-1234", Err(Placeholder)),
            (" 0123456789abcdef", Err(Space)),
            ("0123456789abcdef\n", Err(Space)),
            ("73475cb40a568e8da8a045ced110137e", Ok(())),
            ("4815162342481516", Ok(())),
            ("whsec_4dR7uGmAZq0vXw2c", Ok(())),
        ];
        for (text, want) in cases {
            assert_eq!(check_text(&Secret::new(text)), want, "{text:?}");
        }
        assert_eq!(check_text(&Secret::new("x1".repeat(129))), Err(Length));
    }

    #[test]
    fn a_pair_is_a_user_without_a_colon_and_a_password_that_protects() {
        use SecretError::*;
        let good = "4dR7uGmAZq0vXw2c:Pb";
        let long = "u".repeat(65);
        let cases = [
            ("hook_user", good, Ok("hook_user:4dR7uGmAZq0vXw2c:Pb")),
            ("", good, Err(("user", User))),
            ("a:b", good, Err(("user", User))),
            ("a b", good, Err(("user", User))),
            ("ü", good, Err(("user", User))),
            (&long, good, Err(("user", User))),
            ("u", "short", Err(("password", Length))),
            ("u", "password-password-1", Err(("password", Placeholder))),
            ("u", "4dR7uGmAZq0vXw2c ", Err(("password", Space))),
            ("u", "4dR7uGmAZq0vXw2cü", Err(("password", Ascii))),
        ];
        for (user, password, want) in cases {
            let got = check_pair(user, &Secret::new(password));
            assert_eq!(got, want.map(Secret::new), "{user} {password}");
        }
    }

    #[test]
    fn standard_webhooks_takes_its_own_form_only() {
        let check = |text: &str| check(Scheme::StandardWebhooks, &Secret::new(text));
        assert_eq!(
            check("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
            Ok(())
        );
        assert_eq!(
            check("0123456789abcdef"),
            Err(SecretError::Key(KeyError::Prefix))
        );
        assert_eq!(
            check("whsec_c2hvcnQ="),
            Err(SecretError::Key(KeyError::Size))
        );
        assert_eq!(check("whsk_?"), Err(SecretError::Key(KeyError::Encoding)));
    }

    #[test]
    fn what_we_make_we_take() {
        let entropy = SeededEntropy::new(1);
        for scheme in Scheme::ALL {
            assert_eq!(
                check(scheme, &generate(scheme, &entropy)),
                Ok(()),
                "{scheme:?}"
            );
        }
    }
}
