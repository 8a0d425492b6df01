//! Puts secrets in the place of their placeholders in a body that comes in pieces.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{Spelling, Vault};

/// Fills in a stream. However it is cut into pieces, what comes out is what the whole would have
/// become. Held back is only what may be the beginning of a placeholder: less than one of them.
pub struct FillStream {
    vault: Arc<Vault>,
    spelling: Spelling,
    held: BytesMut,
    /// How many bytes may still go out.
    left: u64,
}

/// Why a stream does not go on.
#[derive(Debug, PartialEq, Eq)]
pub enum FillError<E> {
    /// A secret is not allowed here.
    Refused(E),
    /// With its secrets, the body is longer than its limit.
    TooLong,
}

impl FillStream {
    pub(super) fn new(vault: Arc<Vault>, spelling: Spelling, limit: u64) -> Self {
        Self { vault, spelling, held: BytesMut::new(), left: limit }
    }

    /// What can be sent after this piece. The secret of a field is filled in only where `may_carry`
    /// says so. After an error the stream is not to be used any more: what was sent has no good end.
    pub fn push<E>(
        &mut self,
        piece: Bytes,
        may_carry: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<Bytes, FillError<E>> {
        let text = if self.held.is_empty() { piece } else { self.joined(&piece) };
        let vault = self.vault.clone();
        let kept = vault.finder.begun(&text);
        self.held.extend_from_slice(&text[kept..]);
        self.fill(text.slice(..kept), may_carry)
    }

    /// The rest, after the last piece: less than a placeholder.
    pub fn finish<E>(&mut self) -> Result<Bytes, FillError<E>> {
        let rest = self.held.split().freeze();
        self.fill(rest, |_| Ok(()))
    }

    fn joined(&mut self, piece: &[u8]) -> Bytes {
        self.held.extend_from_slice(piece);
        self.held.split().freeze()
    }

    fn fill<E>(
        &mut self,
        text: Bytes,
        mut may_carry: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<Bytes, FillError<E>> {
        let (mut filled, mut from) = (Vec::new(), 0);
        for (place, field) in self.vault.finder.find(&text) {
            may_carry(field).map_err(FillError::Refused)?;
            filled.extend_from_slice(&text[from..place.start]);
            from = place.end;
            self.spelling.write(self.vault.exposed(field).unwrap_or_default(), &mut filled);
            // Checked on the way: a body of nothing but placeholders could become gigabytes.
            if filled.len() as u64 > self.left {
                return Err(FillError::TooLong);
            }
        }
        let told = if from == 0 {
            text
        } else {
            filled.extend_from_slice(&text[from..]);
            filled.into()
        };
        self.left = self.left.checked_sub(told.len() as u64).ok_or(FillError::TooLong)?;
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::super::{Filled, Placeholders};
    use super::*;

    fn vault() -> Arc<Vault> {
        let values = [("KEY", "a \"secret\""), ("OTHER", "another-one"), ("EMPTY", "")];
        let values: BTreeMap<_, _> =
            values.map(|(key, value)| (key.to_owned(), value.into())).into();
        let placeholders = Placeholders::new(values.keys().cloned());
        Arc::new(Vault::new(values, &placeholders, &Default::default()))
    }

    fn streamed<'a>(
        vault: &Arc<Vault>,
        spelling: Spelling,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Vec<u8> {
        let mut stream = vault.fill_stream(spelling, u64::MAX);
        let mut filled = Vec::new();
        for piece in pieces {
            let piece = stream.push(Bytes::copy_from_slice(piece), |_| Ok::<_, ()>(()));
            filled.extend_from_slice(&piece.expect("a filled piece"));
        }
        filled.extend_from_slice(&stream.finish::<()>().expect("a filled rest"));
        filled
    }

    #[test]
    fn a_stream_is_filled_in_as_the_whole_is_however_it_is_cut() {
        let mut random = StdRng::seed_from_u64(7);
        for round in 0..500 {
            // Placeholders of every kind: also one that ends in what begins them.
            let vault = vault();
            let mut text = Vec::new();
            for _ in 0..random.random_range(0..8) {
                let key = ["KEY", "OTHER", "EMPTY"][random.random_range(0..3)];
                let one = vault.visible(key).expect("a secret");
                let cut = if random.random() { one.len() } else { random.random_range(0..45) };
                text.extend_from_slice(&one.as_bytes()[..cut]);
                text.extend_from_slice(
                    [&b""[..], b"-", b"aloma", b"\n"][random.random_range(0..4)],
                );
            }
            for spelling in [Spelling::Raw, Spelling::Json, Spelling::Percent] {
                let whole = match vault.fill(&text, spelling, usize::MAX) {
                    Some(Filled::Whole(filled)) => filled,
                    _ => text.clone(),
                };
                assert_eq!(streamed(&vault, spelling, text.chunks(1)), whole, "{round}");
                let size = random.random_range(1..100);
                assert_eq!(streamed(&vault, spelling, text.chunks(size)), whole, "{round}");
            }
        }
    }

    #[test]
    fn a_secret_that_may_not_go_does_not() {
        let vault = vault();
        let text = Bytes::from(format!("x{}", vault.visible("KEY").expect("a secret")));
        let mut stream = vault.fill_stream(Spelling::Raw, 100);
        let refused = stream.push(text, |key| Err(key.to_owned()));
        assert_eq!(refused, Err(FillError::Refused("KEY".to_owned())));
    }

    #[test]
    fn a_stream_has_a_limit_with_its_secrets() {
        let vault = vault();
        let key = Bytes::from(vault.visible("OTHER").expect("a secret").to_owned());
        let mut stream = vault.fill_stream(Spelling::Raw, 25);
        for expected in
            [Ok("another-one".into()), Ok("another-one".into()), Err(FillError::TooLong)]
        {
            assert_eq!(stream.push(key.clone(), |_| Ok::<_, ()>(())), expected);
        }
        let mut stream = vault.fill_stream(Spelling::Raw, 3);
        assert_eq!(stream.push("abcal".into(), |_| Ok::<_, ()>(())), Ok("abc".into()));
        assert_eq!(stream.finish::<()>(), Err(FillError::TooLong));
    }

    #[test]
    fn only_the_beginning_of_a_placeholder_is_held_back() {
        let mut stream = vault().fill_stream(Spelling::Raw, 1000);
        for (piece, told) in [("a b", "a b"), ("xaloma-se", "x"), ("x", "aloma-sex")] {
            assert_eq!(stream.push(piece.into(), |_| Ok::<_, ()>(())), Ok(told.into()), "{piece}");
        }
    }
}
