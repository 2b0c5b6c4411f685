//! Prints the OpenAPI document, as it is served.

fn main() -> Result<(), serde_json::Error> {
    println!(
        "{}",
        serde_json::to_string_pretty(&console::openapi::document())?
    );
    Ok(())
}
