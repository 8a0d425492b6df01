//! The numbers of this crate.

/// How much of an unwanted answer an error carries, in characters: enough for the sentence in which
/// an API says what it disliked.
pub const ANSWER_EXCERPT: usize = 500;

/// How often in a row a future may wake itself before the executor looks whether something that the
/// host does is done. Looking costs a few calls of the host; never looking would starve requests
/// beside a future that yields in a loop.
pub const OWN_WAKES_IN_A_ROW: u32 = 64;
