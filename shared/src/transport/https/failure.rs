//! Which class of failure an error of the HTTP client is, by what it was caused by.

use std::error::Error;
use std::io;

use super::resolve::Unresolved;
use crate::delivery::Failure;

/// What is behind an error, one step further. What an I/O error carries is a step too.
fn behind<'a>(error: &&'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let error: &'a (dyn Error + 'static) = *error;
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(carried) => Some(carried),
        None => error.source(),
    }
}

/// The chain of causes of an error, the error itself first.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), behind)
}

pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    chain(error)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// The class of a failure: what the innermost cause that says something says.
pub(super) fn classify(error: &reqwest::Error) -> Failure {
    let unknown = if error.is_connect() {
        Failure::Refused
    } else {
        Failure::Protocol
    };
    let said: Vec<Failure> = chain(error).filter_map(said_by).collect();
    // A connection that ends while it is made secure did not become secure.
    let secure = error.url().is_some_and(|url| url.scheme() == "https");
    match said.last() {
        Some(Failure::Closed) if error.is_connect() && secure => Failure::Tls,
        Some(failure) => *failure,
        None => unknown,
    }
}

fn said_by(cause: &(dyn Error + 'static)) -> Option<Failure> {
    if let Some(unresolved) = cause.downcast_ref::<Unresolved>() {
        return Some(match unresolved {
            Unresolved::Lookup(_) | Unresolved::Nothing => Failure::Dns,
            Unresolved::Refused(_) | Unresolved::Unasked => Failure::Blocked,
        });
    }
    if cause.is::<rustls::Error>() {
        return Some(Failure::Tls);
    }
    if let Some(http) = cause.downcast_ref::<hyper::Error>() {
        let closed = http.is_incomplete_message() || http.is_closed() || http.is_canceled();
        return match closed {
            true => Some(Failure::Closed),
            false => http.is_parse().then_some(Failure::Protocol),
        };
    }
    if let Some(http2) = cause.downcast_ref::<h2::Error>() {
        // A server that goes away, or takes no more streams, ends the exchange as an HTTP/1 server does by closing.
        let left = http2.is_go_away() || http2.reason() == Some(h2::Reason::REFUSED_STREAM);
        return left.then_some(Failure::Closed);
    }
    match cause.downcast_ref::<io::Error>()?.kind() {
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable => Some(Failure::Refused),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected
        | io::ErrorKind::UnexpectedEof => Some(Failure::Closed),
        io::ErrorKind::TimedOut => Some(Failure::Timeout),
        _ => None,
    }
}
