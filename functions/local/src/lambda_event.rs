//! The event that API Gateway's HTTP API invokes a function with (payload format 2.0), for `cargo lambda invoke`.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context;
use data_encoding::BASE64;
use http::{HeaderMap, Uri};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// A `POST` of `body` to the path of `url`.
///
/// # Errors
/// If `url` is none, or a header is no text.
pub fn of(url: &str, headers: &HeaderMap, body: &[u8], now: Timestamp) -> anyhow::Result<Value> {
    let uri: Uri = url.parse().with_context(|| format!("{url} is no URL"))?;
    let host = uri
        .authority()
        .map_or("localhost", |authority| authority.as_str());
    let mut fields = Map::new();
    fields.insert("host".to_owned(), host.into());
    for (name, value) in headers {
        fields.insert(name.to_string(), value.to_str()?.into());
    }
    let (text, encoded) = match std::str::from_utf8(body) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (BASE64.encode(body), true),
    };
    Ok(json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": uri.path(),
        "rawQueryString": uri.query().unwrap_or_default(),
        "headers": fields,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": host,
            "domainPrefix": "local",
            "http": {
                "method": "POST",
                "path": uri.path(),
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok()),
            },
            "requestId": "local",
            "routeKey": "$default",
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": now.as_millisecond(),
        },
        "body": text,
        "isBase64Encoded": encoded,
    }))
}

/// Writes an event to a file, or to standard output for `-`.
///
/// # Errors
/// If that fails.
pub fn write(file: &Path, event: &Value) -> anyhow::Result<()> {
    let text = format!("{event:#}\n");
    if file.as_os_str() == "-" {
        return Ok(std::io::stdout().write_all(text.as_bytes())?);
    }
    std::fs::write(file, text).with_context(|| format!("can't write {}", file.display()))?;
    eprintln!(
        "written to {}; its signature holds for five minutes",
        file.display()
    );
    Ok(())
}
