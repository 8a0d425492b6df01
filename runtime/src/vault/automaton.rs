//! Looks for many texts at once, one character after the other (Aho and Corasick, 1975).
//!
//! Of our own, because no library tells how much of what was read may still become one of the texts,
//! which is what a stream holds back; and because the general ones keep a list of all the texts that
//! end in each state, which for texts that end in one another is their number times their length. Here
//! the longest is enough, so a state has [`STATE`] bytes whatever the texts are.

use std::collections::HashMap;

/// Where nothing was read that counts.
pub(super) const START: State = 0;

/// How much of the texts was just read: the longest beginning of one.
pub(super) type State = u32;

/// What one character of the texts takes up. A branch, of which there is one for each text at most,
/// takes a little more.
pub(super) const STATE: usize = size_of::<Node>();

const NONE: u32 = u32::MAX;

pub(super) struct Automaton {
    nodes: Vec<Node>,
    /// The next state where it is not the one after, as it usually is.
    branches: HashMap<(State, u8), State>,
    /// The branches of the start, which are asked for most.
    first: [State; 256],
    lengths: Vec<u32>,
}

/// A state.
struct Node {
    /// The longest end of what was read that is a state as well.
    shorter: State,
    /// The longest text that ends here.
    text: u32,
    /// How much of what was read may become a text, or a longer one.
    open: u32,
    /// What leads to the state after this one.
    onward: Option<u8>,
    has_branches: bool,
}

/// What is known of a state only while the automaton is built.
struct Origin {
    from: State,
    by: u8,
    depth: u32,
}

impl Automaton {
    /// Looks for these. None where there are more than fit, which is 4 GB.
    pub fn new<T: AsRef<[u8]>>(texts: &[T]) -> Option<Self> {
        let length = |text: &T| u32::try_from(text.as_ref().len()).ok();
        let all = texts.iter().map(|text| text.as_ref().len()).sum::<usize>();
        u32::try_from(all).ok().filter(|all| *all < NONE)?;
        let mut new = Self {
            nodes: vec![Node::new(NONE)],
            branches: HashMap::new(),
            first: [START; 256],
            lengths: texts.iter().map(length).collect::<Option<_>>()?,
        };
        let mut origins = vec![Origin { from: START, by: 0, depth: 0 }];
        for (number, text) in (0..).zip(texts) {
            new.add(number, text.as_ref(), &mut origins);
        }
        new.link(&origins);
        new.nodes.shrink_to_fit();
        Some(new)
    }

    fn add(&mut self, number: u32, text: &[u8], origins: &mut Vec<Origin>) {
        let mut state = START;
        for (by, depth) in text.iter().copied().zip(1..) {
            state = self.child(state, by).unwrap_or_else(|| {
                origins.push(Origin { from: state, by, depth });
                self.grow(state, by)
            });
        }
        // Of two that are the same, the first counts; an empty one is nowhere.
        if state != START {
            let text = &mut self.nodes[state as usize].text;
            *text = (*text).min(number);
        }
    }

    fn grow(&mut self, from: State, by: u8) -> State {
        let new = self.nodes.len() as State;
        self.nodes.push(Node::new(NONE));
        let node = &mut self.nodes[from as usize];
        if from == START {
            self.first[by as usize] = new;
        } else if from + 1 == new {
            node.onward = Some(by);
        } else {
            node.has_branches = true;
            self.branches.insert((from, by), new);
        }
        new
    }

    /// Links each state with the shorter ones, which come first.
    fn link(&mut self, origins: &[Origin]) {
        let mut has_children = vec![false; origins.len()];
        origins[1..].iter().for_each(|origin| has_children[origin.from as usize] = true);
        let mut states: Vec<State> = (1..origins.len() as State).collect();
        states.sort_unstable_by_key(|state| origins[*state as usize].depth);
        for state in states {
            let Origin { from, by, depth } = origins[state as usize];
            let shorter = match from {
                START => START,
                from => self.next(self.nodes[from as usize].shorter, by),
            };
            let (text, open) = (self.node(shorter).text, self.node(shorter).open);
            let node = &mut self.nodes[state as usize];
            node.shorter = shorter;
            node.open = if has_children[state as usize] { depth } else { open };
            if node.text == NONE {
                node.text = text;
            }
        }
    }

    /// The state after one more character. Over a whole text, that takes two steps a character at
    /// most: only as much can be taken back as was read.
    pub fn next(&self, mut state: State, by: u8) -> State {
        loop {
            #[cfg(test)]
            STEPS.with(|steps| steps.set(steps.get() + 1));
            match self.child(state, by) {
                Some(next) => return next,
                None if state == START => return START,
                None => state = self.node(state).shorter,
            }
        }
    }

    fn child(&self, state: State, by: u8) -> Option<State> {
        if state == START {
            return Some(self.first[by as usize]).filter(|next| *next != START);
        }
        let node = self.node(state);
        match node.onward {
            Some(onward) if onward == by => Some(state + 1),
            _ if node.has_branches => self.branches.get(&(state, by)).copied(),
            _ => None,
        }
    }

    /// The longest text that ends here, and how long it is.
    pub fn found(&self, state: State) -> Option<(usize, usize)> {
        let text = self.node(state).text;
        (text != NONE).then(|| (text as usize, self.lengths[text as usize] as usize))
    }

    /// How many of the last characters may become a text, or a longer one than is there.
    pub fn open(&self, state: State) -> usize {
        self.node(state).open as usize
    }

    /// The length of the longest text.
    pub fn longest(&self) -> usize {
        self.lengths.iter().max().map_or(0, |longest| *longest as usize)
    }

    fn node(&self, state: State) -> &Node {
        &self.nodes[state as usize]
    }

    /// How many bytes the states take up.
    pub fn weight(&self) -> usize {
        self.nodes.capacity() * STATE
    }
}

impl Node {
    fn new(text: u32) -> Self {
        Self { shorter: START, text, open: 0, onward: None, has_branches: false }
    }
}

#[cfg(test)]
thread_local! {
    static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How many steps this thread's automatons took by now.
#[cfg(test)]
pub(super) fn steps() -> usize {
    STEPS.with(std::cell::Cell::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn automaton(texts: &[&str]) -> Automaton {
        Automaton::new(texts).expect("few")
    }

    #[test]
    fn the_longest_text_that_ends_somewhere_is_found_and_what_may_go_on_is_known() {
        let texts = ["abcd", "bc", "c", "bcx", "abcd"];
        let automaton = automaton(&texts);
        let mut state = START;
        for (by, found, open) in [
            (b'a', None, 1),
            (b'b', None, 2),
            (b'c', Some((1, 2)), 3),
            (b'd', Some((0, 4)), 0),
            (b'b', None, 1),
            (b'c', Some((1, 2)), 2),
            (b'x', Some((3, 3)), 0),
            (b'c', Some((2, 1)), 0),
            (b'z', None, 0),
        ] {
            state = automaton.next(state, by);
            assert_eq!((automaton.found(state), automaton.open(state)), (found, open), "{by}");
        }
    }

    #[test]
    fn texts_that_end_in_one_another_take_up_no_more_than_others() {
        let texts: Vec<_> = (1..=200).map(|length| "a".repeat(10 * length)).collect();
        let automaton = Automaton::new(&texts).expect("few");
        assert_eq!(automaton.weight(), (2000 + 1) * STATE);
        const { assert!(STATE <= 16) };
    }
}
