//! HTTP Basic (RFC 7617), for platforms that don't sign: a user and a password beside the body prove who sends, and nothing
//! proves what.
//!
//! A pair is kept as one secret, `user:password`. Any live pair is taken, since both sides change theirs at different
//! times. Pairs are compared by their hashes, so that the time taken tells neither how much of one was right nor how
//! long it is.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64;

use super::{Verified, VerifyError};
use crate::secret::Secret;

/// Passwords that documentation and templates show; everybody tries them.
const DEFAULTS: [&str; 6] = [
    "admin",
    "changeme",
    "default",
    "default_secret",
    "password",
    "secret",
];

/// Checks that the `Authorization` header holds any of `pairs`.
///
/// # Errors
/// [`VerifyError::NoPair`] if it is no HTTP Basic, [`VerifyError::WrongPair`] if it holds none of the pairs, and
/// [`VerifyError::NoSecret`] if there is none to compare with: an empty user or password is none, nor is a default.
pub fn verify(header: Option<&str>, pairs: &[Secret]) -> Result<Verified, VerifyError> {
    let (scheme, encoded) = header
        .and_then(|header| header.split_once(' '))
        .ok_or(VerifyError::NoPair)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(VerifyError::NoPair);
    }
    let given = BASE64
        .decode(encoded.trim().as_bytes())
        .map_err(|_| VerifyError::NoPair)?;
    let given = digest(&SHA256, &given);
    let mut live = pairs.iter().filter(|pair| protects(pair)).peekable();
    if live.peek().is_none() {
        return Err(VerifyError::NoSecret);
    }
    let mut matched = false;
    for pair in live {
        let expected = digest(&SHA256, pair.expose().as_bytes());
        matched |= verify_slices_are_equal(expected.as_ref(), given.as_ref()).is_ok();
    }
    if matched {
        Ok(Verified(()))
    } else {
        Err(VerifyError::WrongPair)
    }
}

/// The header for a pair; `None` for one that protects nothing.
#[must_use]
pub fn header(pair: &Secret) -> Option<String> {
    protects(pair).then(|| format!("Basic {}", BASE64.encode(pair.expose().as_bytes())))
}

fn protects(pair: &Secret) -> bool {
    pair.expose()
        .split_once(':')
        .is_some_and(|(user, password)| {
            let known = DEFAULTS
                .iter()
                .any(|word| password.eq_ignore_ascii_case(word));
            !user.is_empty() && !password.is_empty() && user != password && !known
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::cases;

    // Agreed by Python's base64 and `base64` of coreutils.
    const VECTOR: &str = "Basic aG9va191c2VyOmhvb2tfcGFzcw==";

    fn check(header: Option<&str>, pairs: &[&str]) -> Result<(), VerifyError> {
        let pairs: Vec<_> = pairs.iter().map(|pair| Secret::new(*pair)).collect();
        verify(header, &pairs).map(|_| ())
    }

    #[test]
    fn the_vector_verifies_and_is_what_we_send() {
        assert_eq!(check(Some(VECTOR), &["hook_user:hook_pass"]), Ok(()));
        let pair = Secret::new("hook_user:hook_pass");
        assert_eq!(header(&pair).as_deref(), Some(VECTOR));
    }

    #[test]
    fn any_live_pair_is_taken_and_nothing_else() {
        use VerifyError::{NoPair, NoSecret, WrongPair};
        let ours = ["hook_user:hook_pass"];
        let two = ["new_user:new_pass", "hook_user:hook_pass"];
        let of = |pair: &str| format!("Basic {}", BASE64.encode(pair.as_bytes()));
        let small = VECTOR.replace("Basic", "basic");
        let spaced = VECTOR.replace("Basic ", "Basic  ");
        let unpadded = VECTOR.trim_end_matches('=').to_owned();
        let colon = of("hook_user:a:b");
        let empty = of(":");
        let default = of("hook_user:default_secret");
        type Case<'a> = (
            &'a str,
            Option<&'a str>,
            &'a [&'a str],
            Result<(), VerifyError>,
        );
        let cases: [Case<'_>; 20] = [
            ("the pair", Some(VECTOR), &ours, Ok(())),
            ("the second live pair", Some(VECTOR), &two, Ok(())),
            ("a scheme in small letters", Some(&small), &ours, Ok(())),
            ("two spaces", Some(&spaced), &ours, Ok(())),
            (
                "a colon in the password",
                Some(&colon),
                &["hook_user:a:b"],
                Ok(()),
            ),
            ("no header", None, &ours, Err(NoPair)),
            ("an empty header", Some(""), &ours, Err(NoPair)),
            ("no credentials", Some("Basic"), &ours, Err(NoPair)),
            (
                "another scheme",
                Some("Bearer aG9va191c2VyOmhvb2tfcGFzcw=="),
                &ours,
                Err(NoPair),
            ),
            (
                "no base64",
                Some("Basic hook_user:hook_pass"),
                &ours,
                Err(NoPair),
            ),
            ("without padding", Some(&unpadded), &ours, Err(NoPair)),
            (
                "another password",
                Some(&of("hook_user:hook_pas")),
                &ours,
                Err(WrongPair),
            ),
            (
                "another user",
                Some(&of("hook_usr:hook_pass")),
                &ours,
                Err(WrongPair),
            ),
            (
                "only the user",
                Some(&of("hook_user")),
                &ours,
                Err(WrongPair),
            ),
            ("nothing", Some(&empty), &ours, Err(WrongPair)),
            ("no pair at all", Some(VECTOR), &[], Err(NoSecret)),
            ("an empty pair", Some(&empty), &[":"], Err(NoSecret)),
            ("an empty secret", Some(&of("")), &[""], Err(NoSecret)),
            (
                "a secret that is no pair",
                Some(&of("hook_user")),
                &["hook_user"],
                Err(NoSecret),
            ),
            (
                "a default",
                Some(&default),
                &["hook_user:default_secret"],
                Err(NoSecret),
            ),
        ];
        for (name, header, pairs, want) in cases {
            assert_eq!(check(header, pairs), want, "{name}");
        }
    }

    #[test]
    fn a_pair_protects_if_it_has_a_user_and_a_password_that_nobody_guesses() {
        let cases = [
            ("hook_user:hook_pass", true),
            ("hook_user", false),
            (":hook_pass", false),
            ("hook_user:", false),
            (":", false),
            ("admin:admin", false),
            ("hook:hook", false),
            ("hook_user:default_secret", false),
            ("hook_user:Default_Secret", false),
            (":default_secret", false),
        ];
        for (pair, want) in cases {
            assert_eq!(header(&Secret::new(pair)).is_some(), want, "{pair}");
        }
    }

    #[test]
    fn every_flipped_bit_of_the_credentials_is_refused() {
        let encoded = VECTOR.trim_start_matches("Basic ");
        cases::every_flipped_bit_is_refused(encoded, |bytes| {
            let header = format!("Basic {}", String::from_utf8_lossy(bytes));
            check(Some(&header), &["hook_user:hook_pass"])
        });
    }
}
