//! The console's cursors: what is read was written by us, or at least could have been, and comes back as it was.

use crate::cursor;

/// Holds the laws; an input is a cursor.
///
/// # Panics
/// Where one is broken.
pub fn hold(input: &[u8]) {
    let Ok(given) = std::str::from_utf8(input) else {
        return;
    };
    let written = cursor::write(given);
    assert_eq!(
        cursor::read(&written).as_deref(),
        Some(given),
        "a place comes back"
    );
    assert!(
        written
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
        "it needs no escaping"
    );
    for cursor in [given, &written] {
        if let Some(place) = cursor::read(cursor) {
            assert_eq!(cursor::write(&place), cursor, "a place has one cursor");
        }
        if let Some(event) = cursor::read_event(cursor) {
            let again = cursor::read_event(&cursor::write_event(&event));
            assert_eq!(again.as_ref(), Some(&event), "an event's place comes back");
        }
    }
}
