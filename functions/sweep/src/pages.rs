//! How far a run reads an index of what is due.

use jiff::{SignedDuration, Timestamp};
use shared::time::later;

/// So many entries are taken from each shard at a time.
const LEAST: usize = 50;
/// At most so many, where none of fewer could be moved on.
const MOST: usize = 800;
/// A run ends after so long, well before the next one begins.
pub(crate) const TIME_MOST: SignedDuration = SignedDuration::from_secs(40);

/// A run's way through an index. What the index shows may be done already, as it lags behind the table, or beyond help. It
/// must not hide what comes after it: where nothing of a page could be moved on, the next page is larger.
pub(crate) struct Pages {
    size: usize,
    ends: Timestamp,
}

impl Pages {
    /// Those of a run that begins at `now`.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            size: LEAST,
            ends: later(now, TIME_MOST),
        }
    }

    /// How many entries of each shard the next page has.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Whether the run is to end.
    pub(crate) fn over(&self, now: Timestamp) -> bool {
        now > self.ends
    }

    /// Whether to read on at `now`, after a page that showed so many entries of which so many were moved on.
    pub(crate) fn more(&mut self, shown: usize, moved: usize, now: Timestamp) -> bool {
        if moved == 0 {
            // No shard has more than it showed; or one has more that is beyond help than a run reads, which alarms tell.
            if shown < self.size || self.size >= MOST {
                return false;
            }
            self.size = self.size.saturating_mul(4);
        }
        !self.over(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_moved_on_hides_nothing_and_holds_up_nobody() {
        let began = Timestamp::UNIX_EPOCH;
        let over = later(later(began, TIME_MOST), SignedDuration::from_millis(1));
        // What the pages before it showed and moved on, the size of the one that follows.
        for (pages, now, want) in [
            (&[][..], began, Some(50)),
            (&[(50, 50)], began, Some(50)),
            (&[(700, 1)], began, Some(50)),
            (&[(49, 0)], began, None),
            (&[(50, 0)], began, Some(200)),
            (&[(50, 0), (199, 0)], began, None),
            (&[(50, 0), (200, 200)], began, Some(200)),
            (&[(50, 0), (200, 0)], began, Some(800)),
            (&[(50, 0), (200, 0), (800, 0)], began, None),
            (&[(50, 50)], over, None),
            (&[(50, 0)], over, None),
        ] {
            let mut read = Pages::new(began);
            let more = pages
                .iter()
                .all(|(shown, moved)| read.more(*shown, *moved, now));
            assert_eq!(more.then(|| read.size()), want, "{pages:?}");
        }
    }
}
