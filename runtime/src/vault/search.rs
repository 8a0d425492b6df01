//! Finds spellings in bytes that may come in pieces.
//!
//! Whatever spellings are looked for and whatever the bytes are, that takes a time that grows with the
//! number of bytes only: they are read once, and never again because a long spelling came to nothing.
//! Where spellings overlap, all of what they cover is found.

use std::collections::VecDeque;

use super::automaton::{Automaton, START, State};
use super::reading::{Reading, Token};

/// The longest gap between two characters of one code: a line break, escaped twice and indented.
const LONGEST_GAP: usize = 48;

/// Texts that are looked for all at once, in one pass however many they are.
pub(super) struct Spellings {
    automaton: Automaton,
    longest: usize,
    reading: Reading,
    /// The bytes that a spelling can begin with. Everything else is passed over quickly.
    beginnings: [bool; 256],
}

/// Bytes to take out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub start: usize,
    pub end: usize,
    /// Which spelling begins there, the longest one. None where one goes on that overlaps the one
    /// before, which is named already.
    pub spelling: Option<usize>,
}

impl Spellings {
    /// Looks for these, which are in lower case. None where there are none.
    pub fn new<T: AsRef<[u8]>>(spellings: &[T], reading: Reading) -> Option<Self> {
        if spellings.is_empty() {
            return None;
        }
        let automaton = Automaton::new(spellings).expect(
            "only 4 GB of spellings would be too many, and of all values a part is spelled",
        );
        let beginnings = beginnings(spellings, reading);
        Some(Self { longest: automaton.longest(), automaton, reading, beginnings })
    }

    /// How many bytes they take up.
    pub fn weight(&self) -> usize {
        self.automaton.weight()
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
///
/// Places are counted from the first byte of all, so that pieces may be small: nothing that is
/// remembered changes as bytes are taken off.
pub(super) struct Cursor {
    /// Where the bytes begin that are given.
    base: usize,
    at: usize,
    state: State,
    /// Where the last characters stand, of which the state is one.
    places: Vec<usize>,
    /// What was found and may yet turn out to be part of more. In order, none overlaps another.
    pending: VecDeque<Found>,
    /// Where what was told last ends.
    told: usize,
    gap: Gap,
}

impl Cursor {
    pub fn new() -> Self {
        Self {
            base: 0,
            at: 0,
            state: START,
            places: Vec::new(),
            pending: VecDeque::new(),
            told: 0,
            gap: Gap::default(),
        }
    }

    /// The next one. None where there is none, or where it takes more bytes to know: those after
    /// [`Cursor::kept`] have to be given again, with more, unless these were said to be the last.
    pub fn next(&mut self, all: &Spellings, bytes: &[u8], is_last: bool) -> Option<Found> {
        loop {
            // Asked after each character, so that it is the same one wherever the bytes are cut.
            if self.is_settled(all) {
                return self.tell();
            }
            if !self.skip(all, bytes) {
                break;
            }
            let token = all.reading.token(&bytes[self.at - self.base..], is_last);
            let Some((token, length)) = token else { break };
            match token {
                Token::Gap { .. } if self.state == START => self.at += length,
                Token::Gap { is_break } if self.gap.goes_on(length, is_break) => self.at += length,
                // Nothing goes on behind it, which is then read once more.
                Token::Gap { .. } => (self.state, self.gap) = (START, Gap::default()),
                Token::Char(character) => self.read(all, &[character], length),
                Token::Wide(c) => self.read(all, c.encode_utf8(&mut [0; 4]).as_bytes(), length),
            }
        }
        if is_last { self.tell() } else { None }
    }

    /// Goes to the next byte that matters. False where there is none.
    fn skip(&mut self, all: &Spellings, bytes: &[u8]) -> bool {
        let rest = &bytes[self.at - self.base..];
        if self.state != START {
            return !rest.is_empty();
        }
        self.places.clear();
        let passed = rest.iter().take_while(|byte| !all.beginnings[**byte as usize]).count();
        self.at += passed;
        passed < rest.len()
    }

    /// Reads characters that stand in one place.
    fn read(&mut self, all: &Spellings, characters: &[u8], length: usize) {
        self.gap = Gap::default();
        for character in characters {
            self.places.push(self.at);
            self.state = all.automaton.next(self.state, *character);
            if let Some((spelling, characters)) = all.automaton.found(self.state) {
                let start = self.places[self.places.len() - characters];
                self.note(Found { start, end: self.at + length, spelling: Some(spelling) });
            }
        }
        self.at += length;
        match all.automaton.open(self.state) {
            // Nothing goes on from here that would not begin here.
            0 => self.state = START,
            // Forgets where characters stand that no spelling can begin with any more.
            open if self.places.len() > 2 * all.longest => {
                self.places.drain(..self.places.len() - open);
            }
            _ => {}
        }
    }

    /// Joins what overlaps. What begins first is named, and of that the longest.
    fn note(&mut self, mut found: Found) {
        if found.start < self.told {
            (found.start, found.spelling) = (self.told, None);
        }
        while let Some(last) = self.pending.pop_back_if(|last| last.end > found.start) {
            if last.start < found.start {
                (found.start, found.spelling) = (last.start, last.spelling);
            }
        }
        self.pending.push_back(found);
    }

    /// Whether nothing longer can begin where the first of what was found does, or before it.
    fn is_settled(&self, all: &Spellings) -> bool {
        self.pending.front().is_some_and(|first| first.start < self.open(all))
    }

    fn tell(&mut self) -> Option<Found> {
        let Found { start, end, spelling } = self.pending.pop_front()?;
        self.told = end;
        Some(Found { start: start - self.base, end: end - self.base, spelling })
    }

    /// Where that begins which may be the beginning of a spelling.
    fn open(&self, all: &Spellings) -> usize {
        match all.automaton.open(self.state) {
            0 => self.at,
            characters => self.places[self.places.len() - characters],
        }
    }

    /// What stands before it cannot become part of what is found any more.
    pub fn kept(&self, all: &Spellings) -> usize {
        let open = self.open(all);
        let first = self.pending.front().map_or(open, |first| first.start.min(open));
        first.max(self.told) - self.base
    }

    /// So many bytes at the front, none of which is kept, are given no more.
    pub fn shift(&mut self, count: usize) {
        self.base += count;
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
