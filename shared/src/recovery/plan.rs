//! Where the retries of an intent stand, worked out from all that is known of it.
//!
//! Nothing here looks at what the last signal changed: the stage follows from the joined state, so the order of arrival
//! does not matter, and an echo of what is known changes nothing.

use jiff::Timestamp;

use super::timetable::{History, Next, timetable};
use super::{
    Attempt, EndReason, Held, Hold, Intent, Issue, Mode, Network, Stage, State, Status, Stop,
    Terms, TokenLedger, is_hard,
};

impl Intent {
    /// Works out anew where the retries stand, on the `terms` of the billing account and with what is known of the token.
    pub fn replan(&mut self, terms: &Terms, ledger: &TokenLedger) {
        self.settle_answered();
        let stage = self.stage(terms, ledger);
        match (&self.retry.stage, stage) {
            // What monitoring let pass stays so until the timetable moves on.
            (Stage::Missed { at: missed }, Stage::Planned { at })
                if *missed == at && terms.mode == Mode::Monitoring => {}
            // Told before something came between: told again, since that telling may not have gone out.
            (Stage::Held | Stage::Paused | Stage::Ended { .. }, Stage::Due(issue)) => {
                self.retry.tell(Issue {
                    times: issue.times.saturating_add(1),
                    sent: false,
                    ..issue
                });
            }
            (_, stage) => self.retry.stage = stage,
        }
        self.retry.held = (self.retry.stage == Stage::Held).then(|| {
            let since = self.pending_since().unwrap_or_else(|| self.since());
            let known = self.retry.held.filter(|held| held.since == since);
            known.unwrap_or(Held {
                since,
                alarmed: false,
            })
        });
    }

    /// A retry of which it is known what came of it is told no more. Where that is only known by its time, the merchant may
    /// still make it until its deadline, and the next one waits for that.
    pub(super) fn settle_answered(&mut self) {
        let Some(issue) = &self.retry.open else {
            return;
        };
        let Some(answer) = self.answer(issue) else {
            return;
        };
        let guessed = answer.retry.is_none();
        self.retry.not_before = guessed.then_some(issue.deadline);
        let told = issue.what.token.clone().filter(|_| guessed);
        let told = told.map(|token| (issue.number, token));
        self.retry.guessed.extend(told);
        self.retry.open = None;
    }

    fn stage(&self, terms: &Terms, ledger: &TokenLedger) -> Stage {
        let ended = |reason| Stage::Ended { reason };
        match (self.state, self.retry.hold) {
            (State::Recovered, _) if !self.has_failed() => return Stage::Idle,
            (State::Recovered, _) => return ended(EndReason::Recovered),
            (State::Cancelled, _) | (_, Some(Hold::Cancelled)) => {
                return ended(EndReason::Cancelled);
            }
            (State::Open | State::Processing, Some(Hold::Paused) | None) => {}
        }
        if self.retry.hold == Some(Hold::Paused) {
            return Stage::Paused;
        }
        if self.state == State::Processing {
            return Stage::Held;
        }
        if let Some(issue) = &self.retry.open {
            return if issue.unknown {
                Stage::Unknown(issue.clone())
            } else {
                Stage::Due(issue.clone())
            };
        }
        if self.left().amount <= 0 {
            return Stage::Idle;
        }
        if self.hurried().is_none() && self.platform_tried() < terms.retry_threshold {
            return if self.has_failed() {
                Stage::PlatformFirst
            } else {
                Stage::Idle
            };
        }
        match self.next(terms, ledger, Timestamp::MIN) {
            None => Stage::Idle,
            Some(Next::At(at)) => Stage::Planned { at },
            Some(Next::End(reason)) => ended(reason),
        }
    }

    /// What the timetable says, no earlier than `from`; `None` if no charge failed.
    pub(super) fn next(
        &self,
        terms: &Terms,
        ledger: &TokenLedger,
        from: Timestamp,
    ) -> Option<Next> {
        self.next_hurried(self.hurried(), terms, ledger, from)
    }

    /// What the timetable says of a retry whose time has come already.
    pub(super) fn next_of(
        &self,
        issue: &Issue,
        terms: &Terms,
        ledger: &TokenLedger,
        now: Timestamp,
    ) -> Option<Next> {
        self.next_hurried(Some(issue.at), terms, ledger, now)
    }

    fn next_hurried(
        &self,
        hurried: Option<Timestamp>,
        terms: &Terms,
        ledger: &TokenLedger,
        from: Timestamp,
    ) -> Option<Next> {
        let failures = || {
            self.attempts
                .iter()
                .filter_map(|attempt| Some(attempt.facts.get(&Status::Failed)?.first.at))
        };
        let history = History {
            tried: self.tried(),
            first_failed: failures().min()?,
            last_failed: failures().max()?,
            decline: self.last_failed().and_then(Attempt::decline),
            network: self.network(),
            announced: self.announced(),
            hurried,
        };
        let from = self.retry.not_before.map_or(from, |time| from.max(time));
        Some(timetable(terms, &history, ledger, from))
    }

    /// When an operator asked for the next charge at once, if that is still the next one.
    pub(super) fn hurried(&self) -> Option<Timestamp> {
        self.retry
            .hurried
            .filter(|hurry| hurry.told == self.retry.told)
            .map(|hurry| hurry.at)
    }

    pub(super) fn last_failed(&self) -> Option<&Attempt> {
        self.by_time()
            .find(|attempt| attempt.status() == Some(Status::Failed))
    }

    /// The network of the card that was charged last, as far as it is known.
    fn network(&self) -> Network {
        let mut attempts = self.by_time();
        let charged = attempts.find(|it| it.instrument().is_some());
        charged.map(Attempt::network).unwrap_or_default()
    }

    /// The token that the merchant is told to charge, else the one that was charged last, where it is known: what all its
    /// invoices share is kept under it.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        let told = self.retry.open.as_ref();
        let told = told.and_then(|issue| issue.what.token.as_deref());
        let charged = || {
            let mut attempts = self.by_time();
            let known = |it: &&Attempt| it.instrument().is_some() || it.token().is_some();
            attempts.find(known)?.token()
        };
        told.or_else(charged)
    }

    /// The retry that the merchant was told to make, if nothing is known that came of it.
    #[must_use]
    pub fn unanswered(&self) -> Option<&Issue> {
        self.retry
            .open
            .as_ref()
            .filter(|issue| self.answer(issue).is_none())
    }

    /// The charge that is what came of the retry: the merchant says so, or it was made while the merchant was to make it.
    fn answer(&self, issue: &Issue) -> Option<&Attempt> {
        let reported = |attempt: &&Attempt| attempt.retry == Some(issue.number);
        let echoed = |attempt: &&Attempt| {
            let made = attempt.made_at();
            attempt.retry.is_none() && made.is_some_and(|made| issue.may_be(made))
        };
        let mut attempts = self.attempts.iter();
        attempts
            .find(reported)
            .or_else(|| self.attempts.iter().find(echoed))
    }

    /// Whether the merchant is to make this retry now, told so many times: what a message that says so asks before it goes.
    #[must_use]
    pub fn awaits(&self, number: u32, times: u32) -> bool {
        self.state == State::Open
            && self.retry.hold.is_none()
            && matches!(&self.retry.stage, Stage::Due(issue)
                if issue.number == number && issue.times == times
                    && issue.what.money.amount <= self.left().amount
                    && self.answer(issue).is_none())
    }

    /// Enters what is known of this invoice's charges of `token` into what is known of that token. Doing so again changes
    /// nothing, and what was entered before of the same charges is replaced.
    pub(super) fn enter(
        &self,
        token: Option<&str>,
        ledger: &mut TokenLedger,
        terms: &Terms,
        now: Timestamp,
    ) {
        // A charge whose token nobody told may have been this one's.
        let of_token = |attempt: &&Attempt| attempt.token().is_none() || attempt.token() == token;
        let attempts: Vec<_> = self.by_time().filter(of_token).collect();
        let surely = |attempt: &&&Attempt| attempt.token() == token;
        let mut networks = attempts.iter().filter(surely).map(|it| it.network());
        if let Some(network) = networks.find(|it| *it != Network::Unknown) {
            ledger.network = network;
        }
        let asked = self.token() == token;
        let told = self.unanswered().filter(|_| asked).map(|issue| issue.at);
        let made = attempts.iter().filter_map(|attempt| attempt.made_at());
        ledger.set(&self.key, made.chain(told), now);
        for attempt in attempts {
            let Some(at) = attempt.made_at() else {
                continue;
            };
            // What stopped a card is not over because another one paid.
            if surely(&&attempt) && attempt.facts.contains_key(&Status::Succeeded) {
                ledger.paid_at = ledger.paid_at.max(Some(at));
            }
            let hard = attempt
                .decline()
                .and_then(|decline| is_hard(decline, ledger.network, &terms.hard_declines));
            if let Some(code) = hard {
                ledger.stop = ledger.stop.take().max(Some(Stop { at, code }));
            }
        }
        let mine = |claim: &super::Claim| claim.intent == self.key;
        let over = self.retry.not_before.is_none_or(|time| time <= now);
        let settled = over && self.unanswered().is_none() && self.pending_since().is_none();
        if settled && ledger.claim.as_ref().is_some_and(mine) {
            ledger.claim = None;
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
