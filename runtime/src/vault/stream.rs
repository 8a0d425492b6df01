//! Takes secrets out of bytes that come in pieces.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::scrub::{Growth, Pass, Scrubber};
use super::search::Cursor;

/// Scrubs a stream. However it is cut into pieces, what comes out is what the whole would have become.
///
/// Only what may be the beginning of a secret is held back, so that an event whose end cannot be one
/// is not late. It is never more than the longest spelling of the longest secret.
#[derive(Default)]
pub struct ScrubStream {
    stages: Vec<Stage>,
}

/// One pass of one scrubber.
struct Stage {
    scrubber: Arc<Scrubber>,
    pass: usize,
    cursor: Cursor,
    growth: Growth,
    held: BytesMut,
}

impl ScrubStream {
    /// Takes out what this one looks for, after what others look for.
    pub(crate) fn then(mut self, scrubber: Arc<Scrubber>) -> Self {
        self.add(scrubber);
        self
    }

    /// From here on, looks for this one's as well.
    pub(crate) fn add(&mut self, scrubber: Arc<Scrubber>) {
        let passes = 0..scrubber.passes().len();
        self.stages.extend(passes.map(|pass| Stage::new(scrubber.clone(), pass)));
    }

    /// A text that is whole, without what this takes out: the header of the same answer. None where
    /// there is nothing in it.
    pub fn scrub(&self, whole: &[u8]) -> Option<Vec<u8>> {
        self.stages.iter().fold(None, |clean: Option<Vec<u8>>, stage| {
            stage.pass().scrub(clean.as_deref().unwrap_or(whole)).or(clean)
        })
    }

    /// What can be told after this piece. Costs no copy where nothing is found or held back.
    pub fn push(&mut self, piece: Bytes) -> Bytes {
        self.stages.iter_mut().fold(piece, |piece, stage| stage.push(piece, false))
    }

    /// The rest, after the last piece. There is nothing to push after it.
    pub fn finish(&mut self) -> Bytes {
        self.stages.iter_mut().fold(Bytes::new(), |piece, stage| stage.push(piece, true))
    }
}

impl Stage {
    fn new(scrubber: Arc<Scrubber>, pass: usize) -> Self {
        let (cursor, growth) = (Cursor::new(), Growth::default());
        Self { scrubber, pass, cursor, growth, held: BytesMut::new() }
    }

    fn pass(&self) -> &Pass {
        &self.scrubber.passes()[self.pass]
    }

    fn push(&mut self, piece: Bytes, is_last: bool) -> Bytes {
        if self.held.is_empty() {
            let read = self.read(&piece, is_last);
            self.held.extend_from_slice(&piece[read.kept..]);
            return read.told(piece);
        }
        // Not joined anew each time: pieces may be as small as a byte. What was told may still be in
        // use, and then only room that is made ahead saves a copy of what is held.
        let mut text = std::mem::take(&mut self.held);
        if text.capacity() - text.len() < piece.len() {
            text.reserve(text.len() + piece.len());
        }
        text.extend_from_slice(&piece);
        let read = self.read(&text, is_last);
        self.held = text.split_off(read.kept);
        read.told(text.freeze())
    }

    fn read(&mut self, bytes: &[u8], is_last: bool) -> Read {
        let pass = &self.scrubber.passes()[self.pass];
        let (mut clean, mut from) = (Vec::new(), 0);
        while let Some(found) = self.cursor.next(&pass.spellings, bytes, is_last) {
            pass.replace(&found, &bytes[from..found.start], &mut self.growth, &mut clean);
            from = found.end;
        }
        let kept = if is_last { bytes.len() } else { self.cursor.kept(&pass.spellings) };
        if !is_last {
            self.cursor.shift(kept);
        }
        self.growth.pass(kept - from);
        Read { clean, from, kept }
    }
}

/// What became of bytes.
struct Read {
    /// They were rewritten as far as the last secret in them,
    clean: Vec<u8>,
    /// which ends here;
    from: usize,
    /// they can be told as they are up to here.
    kept: usize,
}

impl Read {
    fn told(mut self, bytes: Bytes) -> Bytes {
        let rest = bytes.slice(self.from..self.kept);
        if self.clean.is_empty() {
            return rest;
        }
        self.clean.extend_from_slice(&rest);
        self.clean.into()
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::super::automaton::steps;
    use super::super::spelling;
    use super::*;

    fn scrubber(values: &[(&str, &str)]) -> Arc<Scrubber> {
        Arc::new(Scrubber::new(values.iter().copied()))
    }

    fn streamed<'a>(mut stream: ScrubStream, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut told = Vec::new();
        for piece in pieces {
            told.extend_from_slice(&stream.push(Bytes::copy_from_slice(piece)));
        }
        told.extend_from_slice(&stream.finish());
        told
    }

    /// A text of secrets, whole and cut off, in many spellings, and of what looks like them.
    fn text(random: &mut StdRng, spellings: &[String]) -> Vec<u8> {
        let mut text = Vec::new();
        for _ in 0..random.random_range(1..12) {
            let spelling = &spellings[random.random_range(0..spellings.len())];
            let mut one = spelling.clone().into_bytes();
            match random.random_range(0..4) {
                0 => one.truncate(random.random_range(0..=one.len())),
                1 => {
                    let gaps: [&[u8]; 6] = [b"\r\n", b"\n", b"\\n", b"%0A", b"\n\n", b"=\r\n"];
                    let (at, gap) = (random.random_range(0..=one.len()), random.random_range(0..6));
                    one.splice(at..at, gaps[gap].iter().copied());
                }
                _ => {}
            }
            text.extend(one);
            let between: [&[u8]; 6] = [b"", b"", b"%2", b"\\", b" \n", b"&#x"];
            text.extend(between[random.random_range(0..6)]);
        }
        text
    }

    #[test]
    fn a_stream_is_scrubbed_as_the_whole_is_however_it_is_cut() {
        let values = [
            ("the-secret", "<1>"),
            ("the-secret-two", "<2>"),
            ("aaaaaaab", "<3>"),
            ("a/b+\"c&é\n~", "<4>"),
            ("+/+/+/x", "<5>"),
        ];
        let (first, second) =
            (scrubber(&values), scrubber(&[("<1>ret<2>", "<6>"), ("%2<4>", "<7>")]));
        let all = |value| {
            [spelling::texts(value), spelling::read(value), spelling::codes(value)].concat()
        };
        let spellings: Vec<_> = values.iter().flat_map(|(value, _)| all(value)).collect();
        let mut random = StdRng::seed_from_u64(7);
        for round in 0..1500 {
            let text = text(&mut random, &spellings);
            let once = first.scrub(&text).unwrap_or_else(|| text.clone());
            let whole = second.scrub(&once).unwrap_or(once);
            let stream = || ScrubStream::default().then(first.clone()).then(second.clone());
            let shown = String::from_utf8_lossy(&text);
            assert_eq!(streamed(stream(), text.chunks(1)), whole, "{round}: {shown}");
            let mut pieces = Vec::new();
            let mut rest = &text[..];
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(random.random_range(0..=rest.len()));
                pieces.push(piece);
                rest = more;
            }
            assert_eq!(streamed(stream(), pieces.into_iter()), whole, "{round}: {shown}");
        }
    }

    #[test]
    fn no_more_is_held_back_than_may_begin_a_secret() {
        for (piece, told) in [
            ("data: {\"a\":1}\n\n", "data: {\"a\":1}\n\n"),
            ("data: the-sec\n\n", "data: the-sec\n\n"),
            ("data: the-secret\n\n", "data: <1>\n\n"),
            ("data: the-secret", "data: <1>"),
            ("data: the-secr", "data: "),
            ("data: the-x the-", "data: the-x "),
            ("data: the-secretthe", "data: <1>"),
            // It could be the beginning of the other one.
            ("data: other", "data: "),
            ("data: other-one", "data: "),
            ("data: other-one ", "data: <2> "),
        ] {
            let values = [("the-secret", "<1>"), ("other-one", "<2>"), ("other-one-too", "<3>")];
            let mut stream = ScrubStream::default().then(scrubber(&values));
            assert_eq!(stream.push(Bytes::from_static(piece.as_bytes())), told, "{piece}");
        }
    }

    #[test]
    fn what_is_held_back_has_an_end() {
        let value = "ab".repeat(400);
        let mut stream = ScrubStream::default().then(scrubber(&[(&value, "<1>")]));
        let longest = spelling::codes(&value).iter().map(String::len).max().expect("codes");
        let mut held = 0;
        for piece in ["ab".repeat(300), "\n".into(), " ".repeat(5000), "6162\n".repeat(350)] {
            let piece = Bytes::from(piece);
            held += piece.len();
            held -= stream.push(piece).len();
            assert!(held <= 2 * longest, "{held}");
        }
    }

    #[test]
    fn small_pieces_are_read_once_and_what_a_long_secret_holds_back_has_an_end() {
        let value = format!("{}\n{}b", "a".repeat(24), "a".repeat(1000));
        let mut stream = ScrubStream::default().then(scrubber(&[(&value, "<1>")]));
        let (mut told, before) = (Vec::new(), steps());
        for _ in 0..100_000 {
            told.extend_from_slice(&stream.push(Bytes::from_static(b"a")));
            let held = |stage: &Stage| stage.held.len();
            assert!(stream.stages.iter().map(held).sum::<usize>() <= 2 * value.len());
        }
        told.extend_from_slice(&stream.finish());
        assert!(!told.contains(&b'a'));
        assert!(steps() - before <= 2 * 3 * 100_000, "{}", steps() - before);
    }

    #[test]
    fn a_piece_without_a_secret_is_not_copied() {
        let mut stream = ScrubStream::default().then(scrubber(&[("the-secret", "<1>")]));
        let piece = Bytes::from_static(b"nothing in here");
        assert_eq!(stream.push(piece.clone()).as_ptr(), piece.as_ptr());
        assert_eq!(
            ScrubStream::default().then(Arc::default()).push(piece.clone()).as_ptr(),
            piece.as_ptr()
        );
    }

    #[test]
    fn a_stream_grows_no_further_than_a_whole() {
        let (text, values) = ("secret".repeat(1 << 16), [("secret", &*"p".repeat(45))]);
        let whole = scrubber(&values).scrub(text.as_bytes()).expect("secrets");
        let pieces = text.as_bytes().chunks(1000);
        assert_eq!(streamed(ScrubStream::default().then(scrubber(&values)), pieces), whole);
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::super::spelling;
    use super::*;

    /// Texts of all kinds around one spelling of each secret, cut off or whole.
    fn text(secrets: Vec<String>) -> impl Strategy<Value = Vec<u8>> {
        let spellings: Vec<_> = secrets
            .iter()
            .flat_map(|one| {
                [spelling::texts(one), spelling::read(one), spelling::codes(one)].concat()
            })
            .collect();
        let piece = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..6),
            "[%\\\\&#xu0-9a-f \n]{0,6}".prop_map(String::into_bytes),
            (prop::sample::select(spellings), any::<prop::sample::Index>(), any::<bool>())
                .prop_map(|(one, at, is_cut)| match is_cut {
                    true => one.as_bytes()[..at.index(one.len() + 1)].to_vec(),
                    false => one.into_bytes(),
                }),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    fn case() -> impl Strategy<Value = (Vec<String>, Vec<u8>)> {
        let secret = prop_oneof!["[a-z0-9/+=]{6,12}", "\\PC{6,10}", "[ab]{6,9}", "(?s).{6,10}"];
        let secret = secret.prop_filter("it is looked for", |one| !one.trim().is_empty());
        prop::collection::vec(secret, 1..3)
            .prop_flat_map(|secrets| (Just(secrets.clone()), text(secrets)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn any_text_with_any_secrets_is_scrubbed_the_same_however_it_is_cut(
            (secrets, text) in case(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let scrubber = Arc::new(Scrubber::new(secrets.iter().map(|one| (&**one, "<1>"))));
            let whole = scrubber.scrub(&text).unwrap_or_else(|| text.clone());
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.sort_unstable();
            let (mut stream, mut told, mut from) = (ScrubStream::default().then(scrubber), vec![], 0);
            for end in cuts.into_iter().chain([text.len()]) {
                told.extend_from_slice(&stream.push(Bytes::copy_from_slice(&text[from..end])));
                from = end;
            }
            told.extend_from_slice(&stream.finish());
            prop_assert_eq!(&told, &whole);
        }

        #[test]
        fn a_secret_that_stands_in_a_text_is_gone(
            secret in "[a-zA-Z0-9]{8,20}",
            before in "[^a-zA-Z0-9]{0,10}",
            after in "[^a-zA-Z0-9]{0,10}",
        ) {
            let scrubber = Scrubber::new([(&*secret, "<1>")]);
            let told = scrubber.scrub_text(format!("{before}{secret}{after}"));
            prop_assert!(!told.contains(&secret), "{}", told);
        }
    }
}
