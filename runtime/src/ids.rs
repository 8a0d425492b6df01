//! Fresh ids, in the form that the Node SDK gives its packets.

use rand::Rng;

/// The length that the platform's ids have.
const LENGTH: usize = 32;
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const LETTERS_AND_DIGITS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A random id that matches `[a-z][a-z0-9]{31}`. About 160 bits, so it can also serve as a token.
pub fn fresh_id() -> String {
    let mut random = [0; LENGTH];
    rand::rng().fill(&mut random);
    let (first, others) = random.split_first().expect("an id is not empty");
    std::iter::once(pick(*first, LETTERS))
        .chain(others.iter().map(|byte| pick(*byte, LETTERS_AND_DIGITS)))
        .collect()
}

/// One of them. A byte cannot be divided evenly, so some come more often, by a seventh.
fn pick(random: u8, from: &[u8]) -> char {
    char::from(from[usize::from(random) % from.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_the_platforms_form() {
        let id = fresh_id();
        assert_eq!(id.len(), LENGTH);
        assert!(id.starts_with(|c: char| c.is_ascii_lowercase()));
        assert!(id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()));
        assert_ne!(id, fresh_id());
    }
}
