//! Fresh ids, in the form that the Node SDK gives its packets.

use rand::Rng;

/// The length that the platform's ids have.
const LENGTH: usize = 32;
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const LETTERS_AND_DIGITS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A random id that matches `[a-z][a-z0-9]{31}`. About 160 bits, so it can also serve as a token.
pub fn fresh_id() -> String {
    let mut random = rand::rng();
    let mut id = String::with_capacity(LENGTH);
    id.push(pick(&mut random, LETTERS));
    id.extend(std::iter::repeat_with(|| pick(&mut random, LETTERS_AND_DIGITS)).take(LENGTH - 1));
    id
}

fn pick(random: &mut impl Rng, from: &[u8]) -> char {
    char::from(from[random.random_range(0..from.len())])
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
