//! What a signal calls for, given who made the charge it speaks of. One pure and total table.

use super::{SignalKind, TriggeredBy};

/// What has to be done about a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing: the platform echoes a charge that we made ourselves.
    NoAction,
    /// Begin or go on with the retries of a failed payment.
    ScheduleFailedPayment,
    /// Somebody else collected the invoice: stop retrying.
    SuccessPaymentExternal,
    /// A charge is under way: hold the retries.
    PendingPayment,
    /// The platform gave the invoice up: end the intent.
    CancelInvoice,
    /// No signal that recovery knows.
    InvalidAction,
}

impl Action {
    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoAction => "no_action",
            Self::ScheduleFailedPayment => "schedule_failed_payment",
            Self::SuccessPaymentExternal => "success_payment_external",
            Self::PendingPayment => "pending_payment",
            Self::CancelInvoice => "cancel_invoice",
            Self::InvalidAction => "invalid_action",
        }
    }
}

/// The action for a signal about a charge that `triggered_by` made, or about no charge we know.
#[must_use]
pub fn action(kind: SignalKind, triggered_by: Option<TriggeredBy>) -> Action {
    match (kind, triggered_by) {
        (SignalKind::PaymentFailed | SignalKind::PaymentSucceeded, Some(TriggeredBy::Internal)) => {
            Action::NoAction
        }
        (SignalKind::PaymentFailed, Some(TriggeredBy::External) | None) => {
            Action::ScheduleFailedPayment
        }
        (SignalKind::PaymentSucceeded, Some(TriggeredBy::External) | None) => {
            Action::SuccessPaymentExternal
        }
        (SignalKind::PaymentPending, _) => Action::PendingPayment,
        (SignalKind::InvoiceCancelled, _) => Action::CancelInvoice,
        (SignalKind::Other, _) => Action::InvalidAction,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table_of_signal_and_trigger() {
        use Action::*;
        let internal = Some(TriggeredBy::Internal);
        let external = Some(TriggeredBy::External);
        let cases = [
            (SignalKind::PaymentFailed, internal, NoAction),
            (SignalKind::PaymentFailed, external, ScheduleFailedPayment),
            (SignalKind::PaymentFailed, None, ScheduleFailedPayment),
            (SignalKind::PaymentSucceeded, internal, NoAction),
            (
                SignalKind::PaymentSucceeded,
                external,
                SuccessPaymentExternal,
            ),
            (SignalKind::PaymentSucceeded, None, SuccessPaymentExternal),
            (SignalKind::PaymentPending, internal, PendingPayment),
            (SignalKind::PaymentPending, external, PendingPayment),
            (SignalKind::PaymentPending, None, PendingPayment),
            (SignalKind::InvoiceCancelled, internal, CancelInvoice),
            (SignalKind::InvoiceCancelled, external, CancelInvoice),
            (SignalKind::InvoiceCancelled, None, CancelInvoice),
            (SignalKind::Other, internal, InvalidAction),
            (SignalKind::Other, external, InvalidAction),
            (SignalKind::Other, None, InvalidAction),
        ];
        for (kind, triggered_by, want) in cases {
            assert_eq!(
                action(kind, triggered_by),
                want,
                "{kind:?} by {triggered_by:?}"
            );
        }
    }

    #[test]
    fn every_action_has_its_name() {
        let cases = [
            (Action::NoAction, "no_action"),
            (Action::ScheduleFailedPayment, "schedule_failed_payment"),
            (Action::SuccessPaymentExternal, "success_payment_external"),
            (Action::PendingPayment, "pending_payment"),
            (Action::CancelInvoice, "cancel_invoice"),
            (Action::InvalidAction, "invalid_action"),
        ];
        for (action, name) in cases {
            assert_eq!(action.as_str(), name);
        }
    }
}
