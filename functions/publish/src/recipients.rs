//! Whom the sender names: `?recipients=ase,pos`, or the header `Payrelay-Recipients: ase, pos`.

use std::collections::BTreeSet;

use http::HeaderMap;
use shared::event::{FieldError, Role};
use url::form_urlencoded;

use crate::body::wrong;

/// The parameter of the query.
const PARAMETER: &str = "recipients";
/// The header, for a sender whose URL is fixed.
pub const HEADER: &str = "payrelay-recipients";

/// The roles that the request names; `None` if it names none, which leaves them to the events' types.
///
/// # Errors
/// [`FieldError`] if a parameter or a role is not known, or query and header differ.
pub fn named(query: &str, headers: &HeaderMap) -> Result<Option<BTreeSet<Role>>, FieldError> {
    let mut in_query = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != PARAMETER {
            // A slip of the pen must not send an event to others than those meant.
            let rule = "is no parameter of this path; `recipients` is";
            return Err(wrong(&name, rule));
        }
        if in_query.replace(roles(PARAMETER, &value)?).is_some() {
            return Err(wrong(PARAMETER, "is given twice"));
        }
    }
    let mut in_header: Option<BTreeSet<Role>> = None;
    for value in headers.get_all(HEADER) {
        let text = value.to_str().map_err(|_| unknown(HEADER))?;
        in_header
            .get_or_insert_default()
            .extend(roles(HEADER, text)?);
    }
    match (in_query, in_header) {
        (Some(query), Some(header)) if query != header => Err(wrong(
            PARAMETER,
            "differs from the header `Payrelay-Recipients`",
        )),
        (query, header) => Ok(query.or(header)),
    }
}

fn roles(place: &str, list: &str) -> Result<BTreeSet<Role>, FieldError> {
    list.split(',')
        .map(|name| Role::parse(name.trim()).ok_or_else(|| unknown(place)))
        .collect()
}

fn unknown(place: &str) -> FieldError {
    let known = Role::ALL.map(Role::as_str).join(", ");
    wrong(
        place,
        format!(
            "must be roles separated by commas, each one of {known}; leave it out to go by the event's type"
        ),
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    #[test]
    fn roles_come_from_the_query_or_the_header_and_must_not_contradict() {
        use Role::*;
        let rule = "must be roles separated by commas, each one of ase, pos, card, merchant, wallet, operator; leave it \
                    out to go by the event's type";
        let of_query = format!("`recipients` {rule}");
        let of_header = format!("`payrelay-recipients` {rule}");
        let set = |roles: &[Role]| Ok(Some(roles.iter().copied().collect()));
        type Want = Result<Option<BTreeSet<Role>>, String>;
        let cases: [(&str, &[&'static str], Want); 14] = [
            ("", &[], Ok(None)),
            ("recipients=ase,pos", &[], set(&[Ase, Pos])),
            ("recipients=pos%2Case", &[], set(&[Ase, Pos])),
            ("recipients=ase,ase", &[], set(&[Ase])),
            ("", &["card, merchant"], set(&[Card, Merchant])),
            ("", &["card", "wallet"], set(&[Card, Wallet])),
            ("recipients=ase,pos", &["pos, ase"], set(&[Ase, Pos])),
            (
                "recipients=ase",
                &["pos"],
                Err("`recipients` differs from the header `Payrelay-Recipients`".to_owned()),
            ),
            ("recipients=", &[], Err(of_query.clone())),
            ("recipients=ase,hush", &[], Err(of_query.clone())),
            ("recipients=ASE", &[], Err(of_query)),
            ("", &["hush"], Err(of_header)),
            (
                "recipients=ase&recipients=pos",
                &[],
                Err("`recipients` is given twice".to_owned()),
            ),
            (
                "recipient=ase",
                &[],
                Err("`recipient` is no parameter of this path; `recipients` is".to_owned()),
            ),
        ];
        for (query, header, want) in cases {
            let headers: HeaderMap = header
                .iter()
                .map(|value| {
                    let value = value.parse().expect("a header's value");
                    (HeaderName::from_static(HEADER), value)
                })
                .collect();
            let got = named(query, &headers).map_err(|error| error.to_string());
            assert_eq!(got, want, "{query} {header:?}");
        }
    }
}
