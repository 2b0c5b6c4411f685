//! How far a line is settled: what decides when the next of what is told in order may be tried.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Round;

/// How far a line is settled. Numbers count from 1, without gaps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// All up to this number were settled once: delivered, given up, or overtaken.
    pub settled: u64,
    /// Those of them that are replayed and not settled again, with the round.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reopened: BTreeMap<u64, Round>,
    /// The highest number whose message came before its turn and was let go.
    #[serde(default)]
    pub waiting: u64,
    /// The highest number that was delivered: nothing older is told any more.
    #[serde(default)]
    pub told: u64,
}

/// Whether something may be tried now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It may.
    Now,
    /// Something before it is not settled.
    Wait,
    /// Something newer was delivered: it must not be told any more.
    Overtaken,
}

/// Something newer was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a newer state was delivered")]
pub struct Overtaken;

impl Cursor {
    /// Whether the `number`th may be tried.
    #[must_use]
    pub fn turn(&self, number: u64) -> Turn {
        if number < self.told {
            Turn::Overtaken
        } else if number > self.settled.saturating_add(1)
            || self.reopened.keys().any(|reopened| *reopened < number)
        {
            Turn::Wait
        } else {
            Turn::Now
        }
    }

    /// Notes that the message of the `number`th was let go before its turn: whoever settles what is before it sends
    /// another one.
    pub fn wait(&mut self, number: u64) {
        self.waiting = self.waiting.max(number);
    }

    /// Notes that the `number`th is to be told once more, in `round`.
    ///
    /// # Errors
    /// [`Overtaken`] if something newer was delivered; nothing changes then.
    pub fn reopen(&mut self, number: u64, round: Round) -> Result<(), Overtaken> {
        if number < self.told {
            return Err(Overtaken);
        }
        let known = self.reopened.entry(number).or_insert(round);
        *known = round.max(*known);
        Ok(())
    }

    /// Notes that `round` of the `number`th is settled. What is not next in its line changes nothing, nor does an earlier
    /// round of what was reopened since.
    pub fn settle(&mut self, number: u64, round: Round, delivered: bool) {
        if self
            .reopened
            .get(&number)
            .is_some_and(|open| *open <= round)
        {
            self.reopened.remove(&number);
        }
        if number == self.settled.saturating_add(1) {
            self.settled = number;
        }
        if delivered {
            self.told = self.told.max(number);
        }
    }

    /// What is to be settled next: its number, and its round.
    #[must_use]
    pub fn first(&self) -> (u64, Round) {
        match self.reopened.first_key_value() {
            Some((number, round)) => (*number, *round),
            None => (self.settled.saturating_add(1), Round::FIRST),
        }
    }

    /// Whose message is to be sent once more, because it may have been let go before its turn: its number, and its round.
    #[must_use]
    pub fn next(&self) -> Option<(u64, Round)> {
        Some(self.first()).filter(|(number, _)| *number <= self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_in_line_goes_and_all_others_wait() {
        let mut cursor = Cursor::default();
        assert_eq!(cursor.turn(1), Turn::Now);
        assert_eq!(cursor.turn(2), Turn::Wait);
        cursor.settle(1, Round::FIRST, false);
        assert_eq!(cursor.turn(2), Turn::Now);
        assert_eq!(cursor.turn(3), Turn::Wait);
        cursor.settle(3, Round::FIRST, true);
        assert_eq!(cursor.settled, 1, "what is not next settles nothing");
    }

    #[test]
    fn nothing_older_is_told_once_something_newer_was_delivered() {
        let mut cursor = Cursor::default();
        for (number, delivered) in [(1, false), (2, true), (3, false)] {
            cursor.settle(number, Round::FIRST, delivered);
        }
        assert_eq!(cursor.turn(1), Turn::Overtaken);
        assert_eq!(cursor.reopen(1, Round::FIRST.next()), Err(Overtaken));
        assert_eq!(cursor.reopen(3, Round::FIRST.next()), Ok(()));
        assert_eq!(
            cursor.reopen(2, Round::FIRST.next()),
            Ok(()),
            "the same state again"
        );
        assert_eq!(cursor.turn(2), Turn::Now, "which may be told");
    }

    #[test]
    fn a_replay_holds_back_what_follows_until_it_is_settled_again() {
        let mut cursor = Cursor::default();
        for number in 1..=3 {
            cursor.settle(number, Round::FIRST, false);
        }
        let second = Round::FIRST.next();
        assert_eq!(cursor.reopen(2, second), Ok(()));
        assert_eq!(cursor.turn(2), Turn::Now);
        assert_eq!(cursor.turn(4), Turn::Wait);
        cursor.wait(4);
        assert_eq!(cursor.next(), Some((2, second)));
        cursor.settle(2, Round::FIRST, false);
        assert_eq!(
            cursor.turn(4),
            Turn::Wait,
            "an earlier round settles nothing"
        );
        cursor.settle(2, second, false);
        assert_eq!(cursor.turn(4), Turn::Now);
        assert_eq!(cursor.next(), Some((4, Round::FIRST)));
        cursor.settle(4, Round::FIRST, true);
        assert_eq!(cursor.next(), None);
    }
}
