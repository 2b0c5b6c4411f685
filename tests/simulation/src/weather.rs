//! The faults of a run: which kinds there are, how often each comes, and until when.

use std::collections::{BTreeMap, BTreeSet};

use crate::chance::Chance;

/// A kind of fault. Its name is what `--without` takes and the table of figures shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A process dies before an effect.
    DiesBefore,
    /// A process dies after an effect, and never learns of it.
    DiesAfter,
    /// A request to the table does not arrive.
    TableLost,
    /// A request to the table is carried out, and its answer does not arrive.
    TableUnanswered,
    /// The table throttles.
    TableThrottled,
    /// A write collides with a transaction on the same item.
    TableContended,
    /// A request to the table is never answered.
    TableSilent,
    /// A request to the table takes seconds.
    TableSlow,
    /// Messages are not sent.
    SendLost,
    /// Messages are sent, and the answer does not arrive.
    SendUnanswered,
    /// A batch is sent in part.
    SendPartly,
    /// A message is sent twice, under two ids.
    SentTwice,
    /// A message shows late, and so out of order.
    Late,
    /// Messages are handed out, and the answer does not arrive.
    ReceiveUnanswered,
    /// A message shows again while somebody still works on it.
    ShowsAgain,
    /// A message is not let go of.
    DeleteLost,
    /// A message is let go of in part of a batch only.
    DeletePartly,
    /// The wait of a message is not set.
    DeferLost,
    /// The wait is set for part of a batch only.
    DeferPartly,
    /// A function ends at its timeout in the middle of a batch.
    TimesOut,
    /// A door's answer does not reach its caller.
    DoorUnanswered,
    /// An index, or an item that is read without consistency, is shown as it was a while ago.
    TableStale,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 22] = [
        Self::DiesBefore,
        Self::DiesAfter,
        Self::TableLost,
        Self::TableUnanswered,
        Self::TableThrottled,
        Self::TableContended,
        Self::TableSilent,
        Self::TableSlow,
        Self::SendLost,
        Self::SendUnanswered,
        Self::SendPartly,
        Self::SentTwice,
        Self::Late,
        Self::ReceiveUnanswered,
        Self::ShowsAgain,
        Self::DeleteLost,
        Self::DeletePartly,
        Self::DeferLost,
        Self::DeferPartly,
        Self::TimesOut,
        Self::DoorUnanswered,
        Self::TableStale,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DiesBefore => "dies-before-effect",
            Self::DiesAfter => "dies-after-effect",
            Self::TableLost => "table-request-lost",
            Self::TableUnanswered => "table-answer-lost",
            Self::TableThrottled => "table-throttled",
            Self::TableContended => "table-transaction-conflict",
            Self::TableSilent => "table-silent",
            Self::TableSlow => "table-slow",
            Self::SendLost => "send-request-lost",
            Self::SendUnanswered => "send-answer-lost",
            Self::SendPartly => "send-in-part",
            Self::SentTwice => "message-twice",
            Self::Late => "message-late",
            Self::ReceiveUnanswered => "receive-answer-lost",
            Self::ShowsAgain => "visibility-runs-out",
            Self::DeleteLost => "delete-lost",
            Self::DeletePartly => "delete-in-part",
            Self::DeferLost => "defer-lost",
            Self::DeferPartly => "defer-in-part",
            Self::TimesOut => "function-times-out",
            Self::DoorUnanswered => "door-answer-lost",
            Self::TableStale => "table-read-stale",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }
}

/// How often each kind comes, in a million chances; a kind that is not there does not come.
#[derive(Debug, Clone, Default)]
pub struct Weather(BTreeMap<Fault, u32>);

impl Weather {
    /// A fifth of the runs have none, so that what holds only without faults is checked as well; the others have some kinds,
    /// each from rare to frequent.
    #[must_use]
    pub fn draw(seed: u64, without: &BTreeSet<Fault>) -> Self {
        let chance = Chance::new(seed, 1);
        let fair = chance.percent(20);
        let mut kinds = BTreeMap::new();
        for fault in Fault::ALL {
            let (is_there, times) = (
                chance.percent(30),
                chance.pick(&[1_000, 5_000, 20_000, 80_000]),
            );
            // What ends a whole process is as bad as many of the others.
            let times = match (fault, times.copied().unwrap_or_default()) {
                (Fault::DiesBefore | Fault::DiesAfter, times) => times / 4,
                // Few reads need no consistency, and fewer find that something has changed.
                (Fault::TableStale, times) => times * 10,
                (_, times) => times,
            };
            if !fair && is_there && !without.contains(&fault) {
                kinds.insert(fault, times);
            }
        }
        Self(kinds)
    }

    /// These kinds, each so many times in a million chances.
    #[must_use]
    pub fn of(kinds: &[(Fault, u32)]) -> Self {
        Self(kinds.iter().copied().collect())
    }

    /// Whether nothing goes wrong.
    #[must_use]
    pub fn is_fair(&self) -> bool {
        self.0.is_empty()
    }

    /// The kinds there are.
    pub fn kinds(&self) -> impl Iterator<Item = Fault> {
        self.0.keys().copied()
    }

    /// Whether this kind is drawn now.
    pub(crate) fn strikes(&self, fault: Fault, chance: &Chance) -> bool {
        self.0
            .get(&fault)
            .is_some_and(|times| chance.in_million(*times))
    }
}
