//! Finds spellings in bytes that may come in pieces.

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::noncontiguous::NFA;
use aho_corasick::{Anchored, MatchKind};

use super::reading::{Reading, Token};

/// The longest gap between two characters of one code: a line break, escaped twice and indented.
const LONGEST_GAP: usize = 48;

/// Texts that are looked for all at once, in one pass however many they are.
pub(super) struct Spellings {
    automaton: NFA,
    start: StateID,
    reading: Reading,
    /// How many characters lead to each state: the part of a spelling that was seen in it.
    depths: Vec<u32>,
    /// The bytes that a spelling can begin with. Everything else is passed over quickly.
    beginnings: [bool; 256],
}

/// Where a spelling is, and which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub start: usize,
    pub end: usize,
    pub spelling: usize,
}

impl Spellings {
    /// Looks for these, which are in lower case. None where there are none.
    pub fn new<T: AsRef<[u8]>>(spellings: &[T], reading: Reading) -> Option<Self> {
        if spellings.is_empty() {
            return None;
        }
        let automaton = NFA::builder()
            // Of two secrets, one of which begins with the other, the longer one is meant.
            .match_kind(MatchKind::LeftmostLongest)
            .prefilter(false)
            .build(spellings)
            .expect("only 2 GB of spellings would be too many, and no message holds such a form");
        let start = automaton
            .start_state(Anchored::No)
            .expect("this kind of automaton searches without an anchor");
        let mut all = Self {
            depths: Vec::new(),
            beginnings: beginnings(spellings, reading),
            automaton,
            start,
            reading,
        };
        for spelling in spellings {
            all.note_depths(spelling.as_ref());
        }
        Some(all)
    }

    /// From the start, a spelling's own characters never lead off it.
    fn note_depths(&mut self, spelling: &[u8]) {
        let mut state = self.start;
        for (depth, byte) in (1..).zip(spelling) {
            state = self.next(state, *byte);
            if self.depths.len() <= state.as_usize() {
                self.depths.resize(state.as_usize() + 1, 0);
            }
            self.depths[state.as_usize()] = depth;
        }
    }

    fn next(&self, state: StateID, character: u8) -> StateID {
        self.automaton.next_state(Anchored::No, state, character)
    }

    fn depth(&self, state: StateID) -> usize {
        self.depths.get(state.as_usize()).map_or(0, |depth| *depth as usize)
    }

    /// Whether no further character makes what was found longer.
    fn is_settled(&self, state: StateID) -> bool {
        (0..=u8::MAX).all(|byte| self.automaton.is_dead(self.next(state, byte)))
    }
}

fn beginnings<T: AsRef<[u8]>>(spellings: &[T], reading: Reading) -> [bool; 256] {
    let mut characters = [false; 256];
    for first in spellings.iter().filter_map(|spelling| spelling.as_ref().first()) {
        characters[*first as usize] = true;
    }
    std::array::from_fn(|byte| reading.can_begin(byte as u8, &characters))
}

/// A search under way. It is given the same bytes again and again, each time with more at the end;
/// what [`Cursor::kept`] says to be done with may be taken off at the front.
pub(super) struct Cursor {
    at: usize,
    state: StateID,
    /// Where the last characters stand, of which the state is one.
    places: Vec<usize>,
    /// What was found and may yet turn out to be longer.
    found: Option<Found>,
    gap: Gap,
}

impl Cursor {
    pub fn new(spellings: &Spellings) -> Self {
        let (places, found, gap) = (Vec::new(), None, Gap::default());
        Self { at: 0, state: spellings.start, places, found, gap }
    }

    /// The next one. None where there is none, or where it takes more bytes to know: those after
    /// [`Cursor::kept`] have to be given again, with more, unless these were said to be the last.
    pub fn next(&mut self, all: &Spellings, bytes: &[u8], is_last: bool) -> Option<Found> {
        while self.skip(all, bytes) {
            let token = all.reading.token(&bytes[self.at..], is_last);
            let Some((token, length)) = token else { break };
            match token {
                Token::Gap { .. } if self.state == all.start => self.at += length,
                Token::Gap { is_break } if self.gap.goes_on(length, is_break) => self.at += length,
                Token::Gap { .. } => {
                    if let Some(found) = self.take(all) {
                        return Some(found);
                    }
                }
                Token::Char(character) => {
                    if let Some(found) = self.read(all, &[character], length) {
                        return Some(found);
                    }
                }
                Token::Wide(c) => {
                    let mut bytes = [0; 4];
                    let characters = c.encode_utf8(&mut bytes).as_bytes();
                    if let Some(found) = self.read(all, characters, length) {
                        return Some(found);
                    }
                }
            }
        }
        let is_sure = self.found.is_some() && (is_last || all.is_settled(self.state));
        if is_sure { self.take(all) } else { None }
    }

    /// Goes to the next byte that matters. False where there is none.
    fn skip(&mut self, all: &Spellings, bytes: &[u8]) -> bool {
        if self.state == all.start {
            self.places.clear();
            let rest = bytes[self.at..].iter();
            let passed = rest.take_while(|byte| !all.beginnings[**byte as usize]).count();
            self.at += passed;
        }
        self.at < bytes.len()
    }

    /// Reads characters that stand in one place. Gives what was found and cannot become longer.
    fn read(&mut self, all: &Spellings, characters: &[u8], length: usize) -> Option<Found> {
        self.gap = Gap::default();
        for character in characters {
            let next = all.next(self.state, *character);
            if all.automaton.is_dead(next) {
                return self.take(all);
            }
            self.step(all, next, self.at + length);
        }
        self.at += length;
        if self.places.len() > 2 * all.automaton.max_pattern_len() {
            self.forget(all);
        }
        None
    }

    fn step(&mut self, all: &Spellings, next: StateID, end: usize) {
        self.places.push(self.at);
        self.state = next;
        if all.automaton.is_match(next) {
            let spelling = all.automaton.match_pattern(next, 0);
            let start = self.places[self.places.len() - all.automaton.pattern_len(spelling)];
            self.found = Some(Found { start, end, spelling: spelling.as_usize() });
        }
    }

    /// Forgets where characters stand that no spelling can begin with any more.
    fn forget(&mut self, all: &Spellings) {
        self.places.drain(..self.places.len() - all.depth(self.state));
    }

    /// Ends what was begun. The search goes on behind what was found.
    fn take(&mut self, all: &Spellings) -> Option<Found> {
        self.state = all.start;
        self.gap = Gap::default();
        self.places.clear();
        let found = self.found.take()?;
        self.at = found.end;
        Some(found)
    }

    /// Where that begins which may be the beginning of a spelling.
    pub fn kept(&self, all: &Spellings) -> usize {
        let depth = all.depth(self.state);
        let begun = if depth == 0 { self.at } else { self.places[self.places.len() - depth] };
        self.found.map_or(begun, |found| found.start.min(begun))
    }

    /// So many bytes at the front, none of which is kept, are given no more.
    pub fn shift(&mut self, all: &Spellings, count: usize) {
        self.forget(all);
        self.at -= count;
        self.places.iter_mut().for_each(|place| *place -= count);
        if let Some(found) = &mut self.found {
            (found.start, found.end) = (found.start - count, found.end - count);
        }
    }
}

/// What lies between two characters of a code. It has an end, so that a stream need not be held back
/// for ever; an empty line, with which a server ends an event, is never inside.
#[derive(Default)]
struct Gap {
    length: usize,
    breaks: usize,
}

impl Gap {
    fn goes_on(&mut self, length: usize, is_break: bool) -> bool {
        self.length += length;
        self.breaks += usize::from(is_break);
        self.length <= LONGEST_GAP && self.breaks <= 1
    }
}
