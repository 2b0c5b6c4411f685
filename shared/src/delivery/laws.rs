//! What holds for a line however its messages come: twice, late, before their turn, again after a crash.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ids::Round;

/// What happens next.
#[derive(Debug, Clone)]
enum Happening {
    /// The outbox sends the message of the next callback, or that of an earlier one again.
    Told(Option<u64>),
    /// A message is handled: which of those that are there, what the receiver answers, where the worker dies.
    Handled(usize, Answer, Death),
    /// The queue hands a message out twice.
    Twice(usize),
    /// The operator replays a callback that was given up.
    Replayed(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Taken,
    Refused,
    GivenUp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    Never,
    BeforeTheCursor,
    BeforeTheMessages,
}

/// A line as `deliver` works on it: the cursor, which rounds are over and how, the messages, what arrived.
#[derive(Debug, Default)]
struct Played {
    cursor: Cursor,
    recorded: u64,
    over: BTreeMap<(u64, Round), bool>,
    messages: Vec<(u64, Round)>,
    arrived: Vec<u64>,
}

impl Played {
    fn happen(&mut self, happening: &Happening) {
        match *happening {
            Happening::Told(again) => {
                let number = again.filter(|number| (1..=self.recorded).contains(number));
                self.recorded += u64::from(number.is_none());
                let number = number.unwrap_or(self.recorded);
                self.messages.push((number, Round::FIRST));
            }
            Happening::Twice(index) => {
                let index = index.checked_rem(self.messages.len());
                let message = index.and_then(|index| self.messages.get(index).copied());
                self.messages.extend(message);
            }
            Happening::Replayed(number) => {
                let last = self
                    .over
                    .range((number, Round::FIRST)..(number + 1, Round::FIRST));
                if let Some(((_, round), _)) = last.last()
                    && !self.messages.contains(&(number, round.next()))
                    && number >= self.cursor.told
                {
                    self.messages.push((number, round.next()));
                }
            }
            Happening::Handled(index, answer, death) => {
                if let Some(index) = index.checked_rem(self.messages.len()) {
                    let message = self.messages.swap_remove(index);
                    if !self.handle(message, answer, death) {
                        self.messages.push(message);
                    }
                }
            }
        }
    }

    fn catch_up(&mut self) {
        let mut open = self.cursor.reopened.clone();
        open.insert(self.cursor.settled + 1, Round::FIRST);
        for (number, round) in open {
            if let Some(delivered) = self.over.get(&(number, round)) {
                self.cursor.settle(number, round, *delivered);
            }
        }
    }

    /// Whether the message is let go.
    fn handle(&mut self, (number, round): (u64, Round), answer: Answer, death: Death) -> bool {
        let delivered = match self.over.get(&(number, round)) {
            Some(delivered) => *delivered,
            None => {
                if round > Round::FIRST {
                    self.catch_up();
                }
                let known = self.cursor.reopened.get(&number);
                let reopened = if round > Round::FIRST && known.is_none_or(|it| *it < round) {
                    self.cursor.reopen(number, round)
                } else {
                    Ok(())
                };
                let delivered = match (reopened, self.cursor.turn(number)) {
                    (Err(Overtaken), _) | (Ok(()), Turn::Overtaken) => false,
                    (Ok(()), Turn::Wait) => {
                        self.cursor.wait(number);
                        return true;
                    }
                    (Ok(()), Turn::Now) => match answer {
                        Answer::Refused => return false,
                        Answer::GivenUp => false,
                        Answer::Taken => {
                            self.arrived.push(number);
                            true
                        }
                    },
                };
                self.over.insert((number, round), delivered);
                delivered
            }
        };
        if death == Death::BeforeTheCursor {
            return false;
        }
        self.cursor.settle(number, round, delivered);
        if death == Death::BeforeTheMessages {
            return false;
        }
        let next = self.cursor.next();
        self.messages.extend(next);
        true
    }
}

fn any_happening() -> impl Strategy<Value = Happening> {
    let answer = prop_oneof![
        2 => Just(Answer::Taken),
        2 => Just(Answer::Refused),
        1 => Just(Answer::GivenUp),
    ];
    let death = prop_oneof![
        4 => Just(Death::Never),
        1 => Just(Death::BeforeTheCursor),
        1 => Just(Death::BeforeTheMessages),
    ];
    prop_oneof![
        3 => prop::option::weighted(0.2, 1..6_u64).prop_map(Happening::Told),
        8 => (0..20_usize, answer, death)
            .prop_map(|(index, answer, death)| Happening::Handled(index, answer, death)),
        1 => (0..20_usize).prop_map(Happening::Twice),
        1 => (1..6_u64).prop_map(Happening::Replayed),
    ]
}

proptest! {
    #[test]
    fn whatever_becomes_of_its_messages_a_line_arrives_in_order_and_to_its_end(
        happenings in prop::collection::vec(any_happening(), 1..80),
        rest in prop::collection::vec(any_happening(), 0..80),
        answers in prop_oneof![Just(Answer::Taken), Just(Answer::GivenUp)],
    ) {
        let mut line = Played::default();
        for happening in happenings.iter().chain(&rest) {
            line.happen(happening);
        }
        // Nothing more goes wrong: every message that there is is handled.
        for _ in 0..1000 {
            line.happen(&Happening::Handled(0, answers, Death::Never));
        }
        prop_assert_eq!(&line.messages, &[]);
        prop_assert!(line.arrived.is_sorted(), "{:?}", line.arrived);
        prop_assert_eq!(line.cursor.settled, line.recorded, "{:?}", line);
        prop_assert_eq!(&line.cursor.reopened, &BTreeMap::new());
        for number in 1..=line.recorded {
            prop_assert!(line.over.contains_key(&(number, Round::FIRST)), "{}", number);
        }
    }
}
