//! The places where pages end, made opaque for whoever asks for the next one, and read back.

use data_encoding::BASE64URL_NOPAD;
use shared::ids::EventId;
use shared::store::Cursor;

/// Makes a place opaque.
pub(crate) fn write(place: &str) -> String {
    BASE64URL_NOPAD.encode(place.as_bytes())
}

/// The place that a cursor stands for; `None` for what we did not make.
pub(crate) fn read(cursor: &str) -> Option<String> {
    let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?;
    String::from_utf8(bytes).ok()
}

/// Makes a place in a list of events opaque.
pub(crate) fn write_event(cursor: &Cursor) -> String {
    write(&format!("{} {}", cursor.at, cursor.id))
}

/// The place in a list of events that a cursor stands for; `None` for what we did not make.
pub(crate) fn read_event(cursor: &str) -> Option<Cursor> {
    let place = read(cursor)?;
    let (at, id) = place.split_once(' ')?;
    Some(Cursor {
        at: at.parse().ok()?,
        id: EventId::parse(id).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_and_what_we_did_not_make_is_none() {
        assert_eq!(read(&write("2026 é")).as_deref(), Some("2026 é"));
        for bad in ["*", "a", "_w"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_events_place_comes_back_to_the_nanosecond() {
        let cursor = Cursor {
            at: "2026-11-22T09:00:00.123456789Z".parse().expect("a time"),
            id: EventId::parse("evt_1").expect("a valid id"),
        };
        assert_eq!(read_event(&write_event(&cursor)), Some(cursor));
        for place in [
            "",
            "2026-11-22T09:00:00Z",
            "yesterday evt_1",
            "2026-11-22T09:00:00Z evt#1",
        ] {
            assert_eq!(read_event(&write(place)), None, "{place:?}");
        }
    }
}
