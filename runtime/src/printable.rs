//! Text of a guest on its way to a person.

/// The text without characters that steer a terminal or begin a new line: each becomes `␊`.
pub fn printable(text: &str) -> String {
    let keep = |c: char| !c.is_control() || c == '\t';
    text.trim_end().chars().map(|c| if keep(c) { c } else { '\u{240A}' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\nb\tc\n"), "a␊[2J␊b\tc");
    }
}
