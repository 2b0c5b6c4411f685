//! What a decline says about charging the same card again: never, or not before a time.
//!
//! A *hard* decline ends the retries of an invoice and stops the token for every other one. The codes are those that
//! payment service providers and networks publish as never to be retried. The platforms pass on the code of whoever
//! declined (Chargebee has no table of its own), so one table serves them all, and a code that two of them spell alike
//! is hard only if both call it so.
//!
//! That is why an expired card is not here, though Recurly (`expired_card`) and Braintree (`2004`) call it hard: Stripe
//! retries it under the same name and Visa's `54` may be tried again, since card updaters renew what is behind a token.
//! Neither are `restricted_card` and `invalid_amount`, which Recurly gives up and Stripe does not. An account that sees
//! it otherwise adds them to its own codes, and what a network forbids is caught by the network's code.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::{Decline, Network};

/// Stripe, "Automate payment retries", hard decline codes: without a new payment method these are not retried. With them
/// two that the same documentation lists as decline codes and that forbid it by what they say: `do_not_try_again`, and
/// `stop_payment_order`, which is Visa's `R0`.
const STRIPE: &[&str] = &[
    "authentication_required",
    "do_not_try_again",
    "highest_risk_level",
    "incorrect_number",
    "lost_card",
    "pickup_card",
    "revocation_of_all_authorizations",
    "revocation_of_authorization",
    "stolen_card",
    "stop_payment_order",
    "transaction_not_allowed",
];

/// Braintree, "Processor responses: authorization", the hard declines that are about the card or its holder: no such
/// number, account or issuer, lost, stolen or closed, suspected fraud, not allowed, billing stopped, new details.
const BRAINTREE: &[&str] = &[
    "2005", "2007", "2008", "2009", "2012", "2013", "2014", "2015", "2017", "2018", "2022", "2043",
    "2047", "2053", "2108",
];

/// Recurly, "Transaction errors", those of the category "hard" that are about the payment method, and a stolen card of the
/// category "fraud". What is hard for want of data (`declined_missing_data`) says nothing about the card.
const RECURLY: &[&str] = &[
    "billing_agreement_not_accepted",
    "billing_agreement_not_found",
    "card_blocked",
    "card_not_activated",
    "card_type_not_accepted",
    "cardholder_requested_stop",
    "customer_canceled_transaction",
    "declined_card_number",
    "direct_debit_type_not_accepted",
    "fraud_stolen_card",
    "gateway_token_not_found",
    "invalid_account_number",
    "invalid_billing_agreement_status",
    "invalid_card_number",
    "invalid_issuer",
    "invalid_merchant_type",
    "invalid_payment_method_hard",
    "invalid_transaction",
    "lifecycle_decline",
    "payment_not_accepted",
    "paypal_account_issue",
    "paypal_expired_reference_id",
    "paypal_hard_decline",
    "paypal_invalid_billing_agreement",
    "recurring_mandate_cancelled",
    "restricted_card_chargeback",
    "roku_invalid_cib",
    "roku_invalid_payment_method",
];

/// Visa's category 1, "issuer will never approve": no reattempt is permitted. As Checkout.com ("Visa response codes") and
/// TabaPay ("Visa response code updates", with `R0`, and `57` since 2026-10-25) publish it.
const VISA_NEVER: &[&str] = &[
    "04", "07", "12", "14", "15", "41", "43", "46", "57", "r0", "r1", "r3",
];

/// Mastercard's merchant advice codes (Braintree, "Merchant advice codes") that leave nothing to charge again: new
/// account information, do not try again, token not supported, stop recurring payment, and cards that hold what they
/// held once, non-reloadable or for a single use.
const MASTERCARD_NEVER: &[&str] = &["01", "03", "04", "21", "40", "41"];

/// The code by which `decline` forbids to charge the card again, as it was written; `None` if it may be tried. `extra`
/// are codes that the billing account adds.
///
/// The reason behind a code is asked first, since a code like `card_declined` says nothing, then the code, then the
/// card network.
#[must_use]
pub fn is_hard(decline: &Decline, network: Network, extra: &BTreeSet<String>) -> Option<String> {
    let known = |code: &str| {
        let families = [STRIPE, BRAINTREE, RECURLY];
        families.iter().any(|table| listed(table, code))
    };
    let added = |code: &str| extra.iter().any(|one| same(one, code));
    let by_provider = [decline.reason.as_deref(), Some(&decline.code)]
        .into_iter()
        .flatten()
        .find(|code| known(code) || added(code));
    let by_network = || {
        let code = decline.network_code.as_deref();
        code.filter(|code| (network == Network::Visa && listed(VISA_NEVER, code)) || added(code))
    };
    let by_advice = || {
        // Only Mastercard gives advice in this form, so a card of a network that nobody named is one of its.
        let mastercard = matches!(network, Network::Mastercard | Network::Unknown);
        let code = decline.advice_code.as_deref();
        code.filter(|code| mastercard && listed(MASTERCARD_NEVER, code))
    };
    by_provider
        .or_else(by_network)
        .or_else(by_advice)
        .map(str::to_owned)
}

/// How long Mastercard's merchant advice code asks to wait before the card is tried again; `None` if it names no time. The
/// 72 hours of `02` are its recommendation for declines that can't be approved now.
#[must_use]
pub fn advised_wait(advice_code: &str) -> Option<SignedDuration> {
    let hours = match advice_code.trim() {
        "02" => 72,
        "24" => 1,
        "25" => 24,
        "26" => 2 * 24,
        "27" => 4 * 24,
        "28" => 6 * 24,
        "29" => 8 * 24,
        "30" => 10 * 24,
        _ => return None,
    };
    Some(SignedDuration::from_hours(hours))
}

fn listed(table: &[&str], code: &str) -> bool {
    table.iter().any(|one| same(one, code))
}

fn same(one: &str, other: &str) -> bool {
    one.trim().eq_ignore_ascii_case(other.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Given {
        code: &'static str,
        reason: Option<&'static str>,
        network: Network,
        network_code: Option<&'static str>,
        advice_code: Option<&'static str>,
    }

    fn hard(given: &Given, extra: &[&str]) -> Option<String> {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let decline = Decline {
            code: given.code.to_owned(),
            reason: text(given.reason),
            network_code: text(given.network_code),
            advice_code: text(given.advice_code),
            ..Decline::default()
        };
        let extra = extra.iter().map(|code| (*code).to_owned()).collect();
        is_hard(&decline, given.network, &extra)
    }

    #[test]
    fn a_code_that_forbids_another_charge_is_found_wherever_it_stands() {
        let visa = |network_code| Given {
            code: "card_declined",
            network: Network::Visa,
            network_code: Some(network_code),
            ..Given::default()
        };
        let mastercard = |advice_code| Given {
            code: "card_declined",
            network: Network::Mastercard,
            advice_code: Some(advice_code),
            ..Given::default()
        };
        let code = |code| Given {
            code,
            ..Given::default()
        };
        let reason = |reason| Given {
            code: "card_declined",
            reason: Some(reason),
            ..Given::default()
        };
        let cases = [
            ("Stripe's general code", code("card_declined"), None),
            ("its reason", reason("stolen_card"), Some("stolen_card")),
            ("a soft reason", reason("insufficient_funds"), None),
            ("as the code itself", code("lost_card"), Some("lost_card")),
            ("in capitals", code("LOST_CARD"), Some("LOST_CARD")),
            (
                "no authentication",
                reason("authentication_required"),
                Some("authentication_required"),
            ),
            ("Braintree, stolen", code("2013"), Some("2013")),
            ("Braintree, do not honor", code("2000"), None),
            ("Braintree, expired", code("2004"), None),
            (
                "Recurly, no such card",
                code("invalid_card_number"),
                Some("invalid_card_number"),
            ),
            ("Recurly, soft", code("insufficient_funds"), None),
            (
                "expired, which two call differently",
                code("expired_card"),
                None,
            ),
            (
                "restricted, which two call differently",
                code("restricted_card"),
                None,
            ),
            ("Visa, pick up", visa("04"), Some("04")),
            ("Visa, stop payment", visa("R0"), Some("R0")),
            ("Visa, revoked, small letters", visa("r1"), Some("r1")),
            ("Visa, not permitted", visa("57"), Some("57")),
            ("Visa, funds", visa("51"), None),
            ("Visa, expired", visa("54"), None),
            (
                "a category of Visa's says nothing about another network",
                Given {
                    network: Network::Amex,
                    ..visa("14")
                },
                None,
            ),
            (
                "nor is Mastercard's advice Visa's",
                Given {
                    network: Network::Visa,
                    ..mastercard("03")
                },
                None,
            ),
            ("Mastercard, new account", mastercard("01"), Some("01")),
            ("Mastercard, do not try again", mastercard("03"), Some("03")),
            ("Mastercard, token", mastercard("04"), Some("04")),
            ("Mastercard, stop recurring", mastercard("21"), Some("21")),
            ("Mastercard, prepaid", mastercard("40"), Some("40")),
            ("Mastercard, single use", mastercard("41"), Some("41")),
            ("Mastercard, multi use", mastercard("43"), None),
            ("Mastercard, later", mastercard("02"), None),
            ("Mastercard, in an hour", mastercard("24"), None),
            (
                "advice for a card of a network that nobody named",
                Given {
                    network: Network::Unknown,
                    ..mastercard("03")
                },
                Some("03"),
            ),
            (
                "the reason goes before the code and the network",
                Given {
                    code: "2013",
                    reason: Some("lost_card"),
                    ..visa("43")
                },
                Some("lost_card"),
            ),
            (
                "the code goes before the network",
                Given {
                    code: "2013",
                    ..visa("43")
                },
                Some("2013"),
            ),
        ];
        for (name, given, want) in cases {
            assert_eq!(hard(&given, &[]).as_deref(), want, "{name}");
        }
    }

    #[test]
    fn an_account_adds_codes_of_its_own_and_takes_none_away() {
        let extra = ["expired_card", "05"];
        let cases = [
            (
                Given {
                    code: "expired_card",
                    ..Given::default()
                },
                Some("expired_card"),
            ),
            (
                Given {
                    code: "declined",
                    network_code: Some("05"),
                    ..Given::default()
                },
                Some("05"),
            ),
            (
                Given {
                    code: "lost_card",
                    ..Given::default()
                },
                Some("lost_card"),
            ),
            (
                Given {
                    code: "insufficient_funds",
                    ..Given::default()
                },
                None,
            ),
        ];
        for (given, want) in cases {
            assert_eq!(hard(&given, &extra).as_deref(), want, "{}", given.code);
        }
    }

    #[test]
    fn advice_codes_that_name_a_time_are_waited_for() {
        let cases = [
            ("02", Some(72)),
            ("24", Some(1)),
            ("25", Some(24)),
            ("26", Some(48)),
            ("27", Some(96)),
            ("28", Some(144)),
            ("29", Some(192)),
            ("30", Some(240)),
            ("01", None),
            ("43", None),
            ("", None),
        ];
        for (code, hours) in cases {
            assert_eq!(
                advised_wait(code),
                hours.map(SignedDuration::from_hours),
                "{code}"
            );
        }
    }
}
