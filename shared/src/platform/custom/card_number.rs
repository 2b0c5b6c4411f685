//! Whether a text holds a card number, which must never come in.

/// How many digits card numbers have (ISO/IEC 7812).
const LENGTHS: std::ops::RangeInclusive<usize> = 13..=19;

/// Whether `text` holds a run of 13 to 19 digits that begins like a payment card's and has its check digit. The digits may
/// stand in groups, with a space or a dash between them.
pub(super) fn holds(text: &str) -> bool {
    let mut run = Vec::new();
    let mut gap = false;
    for character in text.chars().chain(['\n']) {
        match (character.to_digit(10), character) {
            (Some(digit), _) => {
                run.push(digit);
                gap = false;
            }
            (None, ' ' | '-') if !run.is_empty() && !gap => gap = true,
            (None, _) => {
                if is_card(&run) {
                    return true;
                }
                run.clear();
                gap = false;
            }
        }
    }
    false
}

/// Payment cards begin with 2 to 6; the last digit is Luhn's check of the others.
fn is_card(digits: &[u32]) -> bool {
    let payment = matches!(digits.first(), Some(2..=6));
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => *digit,
            (_, doubled) if doubled > 9 => doubled - 9,
            (_, doubled) => doubled,
        })
        .sum();
    payment && LENGTHS.contains(&digits.len()) && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_are_found_in_any_writing_and_tokens_are_none() {
        let cases = [
            ("4242424242424242", true),
            ("4242 4242 4242 4242", true),
            ("4242-4242-4242-4242", true),
            ("card 5555555555554444 was declined", true),
            ("378282246310005", true),
            ("4222222222222", true),
            ("4242424242424241", false),
            ("424242424242", false),
            ("1735689660123", false),
            ("pm_1Qbb", false),
            ("4242", false),
            ("", false),
            ("42424242424242424242424242424242", false),
        ];
        for (text, want) in cases {
            assert_eq!(holds(text), want, "{text}");
        }
    }
}
