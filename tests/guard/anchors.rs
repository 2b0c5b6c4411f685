//! The guide for anchors is held to what it tells of: statuses, event types, settings.

use std::collections::BTreeSet;

use shared::customer::{
    CUSTOMER_STATUS_CHANGED, CUSTOMER_UPDATED, CustomerStatus, Funds, Mapping,
    TRANSACTION_STATUS_CHANGED, TransactionStatus, next, takes,
};
use shared::event::Sep;

use crate::{quoted, read};

const FUNDS: [Funds; 3] = [Funds::Received, Funds::Payable, Funds::NotPayable];

/// The cells of the guide's row that begins so.
fn row(guide: &str, first: &str) -> Vec<String> {
    let begins = format!("| {first}");
    let row = guide.lines().find(|line| line.starts_with(&begins));
    let row = row.unwrap_or_else(|| panic!("shared/docs/anchors.md has no row for {first}"));
    row.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// What stands between backticks in a row's cell.
fn names(cells: &[String], column: usize) -> BTreeSet<&str> {
    let cell = cells.get(column).expect("the row has the column");
    quoted(cell).collect()
}

#[test]
fn the_guide_tells_what_each_status_of_a_customer_makes_of_a_transaction() {
    let guide = read("shared/docs/anchors.md");
    let nobody = row(&guide, "`PROCESSING`, or no `customer_id`");
    let customers = CustomerStatus::ALL.map(Some);
    for customer in customers.into_iter().chain([None]) {
        let cells = match customer {
            Some(status) => row(&guide, &format!("`{}`", status.as_str())),
            None => nobody.clone(),
        };
        for (column, sep) in [(2, Sep::Sep6), (3, Sep::Sep31)] {
            let becomes = FUNDS.map(|funds| next(sep, Mapping::Sep6, customer, funds));
            let becomes: BTreeSet<_> = becomes.iter().flatten().map(|it| it.as_str()).collect();
            assert_eq!(names(&cells, column), becomes, "{customer:?}, {sep}");
        }
    }
}

#[test]
fn the_guide_tells_in_which_status_a_transaction_takes_a_customers() {
    let guide = read("shared/docs/anchors.md");
    for (name, sep) in [("SEP-6 |", Sep::Sep6), ("SEP-31 |", Sep::Sep31)] {
        let cells = row(&guide, name);
        let told = names(&cells, 2);
        for status in TransactionStatus::ALL {
            let mut cases = CustomerStatus::ALL
                .iter()
                .flat_map(|it| FUNDS.map(|f| (*it, f)));
            let taken = cases.any(|(customer, funds)| {
                takes(sep, Mapping::Sep6, *status, Some(customer), funds).is_ok()
            });
            assert_eq!(told.contains(status.as_str()), taken, "{sep}, {status:?}");
        }
    }
}

#[test]
fn the_guide_has_a_row_for_each_event_and_setting_and_names_their_values() {
    let guide = read("shared/docs/anchors.md");
    let document = console::openapi::document();
    let at = |pointer: &str| document.pointer(pointer).expect("the schema has it");
    for event in [
        CUSTOMER_STATUS_CHANGED,
        CUSTOMER_UPDATED,
        TRANSACTION_STATUS_CHANGED,
    ] {
        row(&guide, &format!("`{event}`"));
    }
    for body in ["AnchorBody", "ClientBody"] {
        let settings = at(&format!("/components/schemas/{body}/properties"));
        for name in settings.as_object().expect("it has settings").keys() {
            row(&guide, &format!("`{name}`"));
        }
    }
    let parts = [
        "BusinessBody",
        "Sep10Body",
        "CallbackUrls",
        "SigningKeyBody",
        "NextKeyBody",
    ];
    for body in parts {
        let settings = at(&format!("/components/schemas/{body}/properties"));
        for name in settings.as_object().expect("it has settings").keys() {
            assert!(
                guide.contains(&format!("`{name}`")) || guide.contains(&format!("\"{name}\"")),
                "shared/docs/anchors.md does not name `{name}` of {body}"
            );
        }
    }
    for (body, setting) in [
        ("AnchorBody", "status_map"),
        ("AnchorBody", "erase_payloads"),
        ("ClientBody", "signed_host"),
    ] {
        let values = at(&format!(
            "/components/schemas/{body}/properties/{setting}/enum"
        ));
        let cells = row(&guide, &format!("`{setting}`"));
        for value in values.as_array().expect("it has names") {
            let value = value.as_str().expect("names are texts");
            assert!(names(&cells, 2).contains(value), "`{setting}`: `{value}`");
        }
    }
}
