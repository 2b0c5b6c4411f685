//! Settings: which part a function is, and what that part needs. Every problem is reported at once, no value is quoted.

use jiff::{SignedDuration, Timestamp};
use shared::config::Lookup;
use shared::secret::Secret;
use shared::signature::{VerifyError, standard};

use crate::event::Secrets;

/// A handled id is remembered for so many days at least: Standard Webhooks has senders try for more than three.
pub const REMEMBER_DAYS_LEAST: i64 = 4;

/// What a function is, by `RECEIVER_PART`.
#[derive(Debug)]
pub enum Part {
    /// `door`.
    Door(DoorSettings),
    /// `worker`.
    Worker(WorkerSettings),
}

/// What the door needs.
#[derive(Debug)]
pub struct DoorSettings {
    /// `RECEIVER_QUEUE`: the queue's URL.
    pub queue: String,
    /// `RECEIVER_RAFIKI_SECRETS` and `RECEIVER_STANDARD_SECRETS`, each separated by white space, one of them at least.
    pub secrets: Secrets,
}

/// What the worker needs.
#[derive(Debug)]
pub struct WorkerSettings {
    /// `RECEIVER_QUEUE`: the queue's URL.
    pub queue: String,
    /// `RECEIVER_TABLE`: the table's name.
    pub table: String,
    /// `RECEIVER_REMEMBER_DAYS`.
    pub remember: SignedDuration,
}

/// Every problem with the settings, one a line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the settings are not right:\n{}", .0.join("\n"))]
pub struct SettingsError(Vec<String>);

/// Reads what a function is, and what it needs.
///
/// # Errors
/// [`SettingsError`] with every problem.
pub fn read(lookup: Lookup<'_>) -> Result<Part, SettingsError> {
    let mut problems = Vec::new();
    let part = match lookup("RECEIVER_PART").as_deref() {
        Some("door") => door(lookup, &mut problems).map(Part::Door),
        Some("worker") => worker(lookup, &mut problems).map(Part::Worker),
        Some(_) | None => {
            problems.push("RECEIVER_PART must be `door` or `worker`".to_owned());
            None
        }
    };
    match part {
        Some(part) if problems.is_empty() => Ok(part),
        Some(_) | None => Err(SettingsError(problems)),
    }
}

fn required(lookup: Lookup<'_>, name: &str, problems: &mut Vec<String>) -> Option<String> {
    let value = lookup(name);
    if value.is_none() {
        problems.push(format!("{name} is not set"));
    }
    value
}

fn door(lookup: Lookup<'_>, problems: &mut Vec<String>) -> Option<DoorSettings> {
    let queue = required(lookup, "RECEIVER_QUEUE", problems);
    let (rafiki, standard) = ("RECEIVER_RAFIKI_SECRETS", "RECEIVER_STANDARD_SECRETS");
    let secrets = |name| -> Vec<Secret> {
        let value = lookup(name).unwrap_or_default();
        value.split_whitespace().map(Secret::new).collect()
    };
    let secrets = Secrets {
        rafiki: secrets(rafiki),
        standard: secrets(standard),
    };
    if secrets.rafiki.is_empty() && secrets.standard.is_empty() {
        problems.push(format!("set {rafiki} or {standard}, or both"));
    }
    for (index, secret) in secrets.standard.iter().enumerate() {
        if !usable(secret) {
            let number = index + 1;
            problems.push(format!(
                "{standard} entry {number} is neither `whsec_` with 24 to 64 bytes in base64 nor `whpk_` with 32"
            ));
        }
    }
    Some(DoorSettings {
        queue: queue?,
        secrets,
    })
}

/// Whether the scheme verifies with this secret at all; what it verifies here does not matter.
fn usable(secret: &Secret) -> bool {
    let nothing = standard::Headers {
        id: Some(""),
        timestamp: Some("0"),
        signature: Some(""),
    };
    let verified = standard::verify(
        nothing,
        b"",
        std::slice::from_ref(secret),
        Timestamp::UNIX_EPOCH,
        SignedDuration::ZERO,
    );
    !matches!(verified, Err(VerifyError::NoSecret))
}

fn worker(lookup: Lookup<'_>, problems: &mut Vec<String>) -> Option<WorkerSettings> {
    let queue = required(lookup, "RECEIVER_QUEUE", problems);
    let table = required(lookup, "RECEIVER_TABLE", problems);
    let name = "RECEIVER_REMEMBER_DAYS";
    let days = required(lookup, name, problems).and_then(|days| match days.parse() {
        Ok(days @ REMEMBER_DAYS_LEAST..=3650) => Some(days),
        Ok(_) | Err(_) => {
            problems.push(format!(
                "{name} must be a number of days from {REMEMBER_DAYS_LEAST} to 3650"
            ));
            None
        }
    });
    Some(WorkerSettings {
        queue: queue?,
        table: table?,
        remember: SignedDuration::from_hours(24 * days?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHSEC: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const WHPK: &str = "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

    fn problems(settings: &[(&str, &str)]) -> Vec<String> {
        let lookup = |name: &str| {
            let found = settings.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        match read(&lookup) {
            Ok(_) => vec![],
            Err(SettingsError(problems)) => problems,
        }
    }

    #[test]
    fn every_problem_of_a_part_is_named_at_once_and_no_secret_is_quoted() {
        struct Case {
            name: &'static str,
            settings: Vec<(&'static str, &'static str)>,
            want: Vec<&'static str>,
        }
        let both = format!("{WHSEC}\n{WHPK}");
        let both = Box::leak(both.into_boxed_str());
        let cases = [
            Case {
                name: "nothing",
                settings: vec![],
                want: vec!["RECEIVER_PART must be `door` or `worker`"],
            },
            Case {
                name: "a door with nothing",
                settings: vec![("RECEIVER_PART", "door")],
                want: vec![
                    "RECEIVER_QUEUE is not set",
                    "set RECEIVER_RAFIKI_SECRETS or RECEIVER_STANDARD_SECRETS, or both",
                ],
            },
            Case {
                name: "a door with what is no secret",
                settings: vec![
                    ("RECEIVER_PART", "door"),
                    ("RECEIVER_QUEUE", "q"),
                    ("RECEIVER_STANDARD_SECRETS", "hunter2"),
                ],
                want: vec![
                    "RECEIVER_STANDARD_SECRETS entry 1 is neither `whsec_` with 24 to 64 bytes in base64 nor `whpk_` with 32",
                ],
            },
            Case {
                name: "a door with a secret and a public key",
                settings: vec![
                    ("RECEIVER_PART", "door"),
                    ("RECEIVER_QUEUE", "q"),
                    ("RECEIVER_STANDARD_SECRETS", both),
                ],
                want: vec![],
            },
            Case {
                name: "a worker that forgets too soon",
                settings: vec![
                    ("RECEIVER_PART", "worker"),
                    ("RECEIVER_QUEUE", "q"),
                    ("RECEIVER_REMEMBER_DAYS", "3"),
                ],
                want: vec![
                    "RECEIVER_TABLE is not set",
                    "RECEIVER_REMEMBER_DAYS must be a number of days from 4 to 3650",
                ],
            },
            Case {
                name: "a worker",
                settings: vec![
                    ("RECEIVER_PART", "worker"),
                    ("RECEIVER_QUEUE", "q"),
                    ("RECEIVER_TABLE", "t"),
                    ("RECEIVER_REMEMBER_DAYS", "4"),
                ],
                want: vec![],
            },
        ];
        for Case {
            name,
            settings,
            want,
        } in cases
        {
            assert_eq!(problems(&settings), want, "{name}");
        }
    }

    #[test]
    fn secrets_are_separated_by_white_space_and_kept_apart_by_scheme() {
        let lookup = |name: &str| match name {
            "RECEIVER_PART" => Some("door".to_owned()),
            "RECEIVER_QUEUE" => Some("q".to_owned()),
            "RECEIVER_RAFIKI_SECRETS" => Some(" new,with=comma\n old ".to_owned()),
            _ => None,
        };
        let Ok(Part::Door(door)) = read(&lookup) else {
            panic!("a door that has a secret is a door")
        };
        let shown: Vec<_> = door.secrets.rafiki.iter().map(Secret::expose).collect();
        assert_eq!(shown, ["new,with=comma", "old"]);
        assert!(door.secrets.standard.is_empty());
    }
}
