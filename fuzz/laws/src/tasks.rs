//! Messages on the queues: what is read is written as it was read, in text and with names that SQS takes.

use shared::queue::Task;

/// Holds the laws; an input is the body of a message.
///
/// # Panics
/// Where one is broken.
pub fn hold(input: &[u8]) {
    let Ok(body) = std::str::from_utf8(input) else {
        return;
    };
    let task = match Task::decode(body) {
        Ok(task) => task,
        Err(error) => {
            let told = error.to_string();
            assert!(told.len() < 100, "it tells nothing of the body: {told}");
            return;
        }
    };
    let message = task.encode();
    assert!(
        !message.body.contains(['\u{fffe}', '\u{ffff}']),
        "SQS takes it"
    );
    let name = |text: &String| {
        (1..=128).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_graphic())
    };
    assert!(
        message.group.as_ref().is_some_and(name),
        "a group has a name that SQS takes"
    );
    assert!(message.deduplication.as_ref().is_none_or(name));
    let again = Task::decode(&message.body);
    assert_eq!(again.as_ref(), Ok(&task), "it comes back");
    assert_eq!(
        again.map(|it| it.encode()),
        Ok(message),
        "and is written alike"
    );
    assert_eq!(task.queue(), task.clone().queue());
    assert!(!task.tenant().as_str().is_empty());
}
