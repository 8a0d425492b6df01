//! Actions read from an introspection text, as well as that can be done: the text looks like
//! TypeScript and is none.

use serde::Serialize;

/// An action as far as the text tells.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    pub name: String,
    pub description: String,
    /// The declaration to the letter.
    pub signature: String,
}

const DECLARATION: &str = "declare function ";

/// Every action that the text declares, in order.
pub fn actions(text: &str) -> Vec<Told> {
    let lines: Vec<&str> = text.lines().collect();
    let mut starts: Vec<usize> = (0..lines.len()).filter(|&line| declares(lines[line])).collect();
    starts.push(lines.len());
    starts.windows(2).filter_map(|pair| action(&lines, pair[0], pair[1])).collect()
}

fn declares(line: &str) -> bool {
    line.trim_start().starts_with(DECLARATION)
}

fn action(lines: &[&str], start: usize, next: usize) -> Option<Told> {
    let (name, _) = lines[start].trim_start().strip_prefix(DECLARATION)?.split_once('(')?;
    let signature = signature(&lines[start..next]);
    let description = description(&lines[..start]);
    (!name.trim().is_empty()).then(|| Told { name: name.trim().into(), description, signature })
}

/// The declaration ends before the comment of the next one, which stands at the left margin. A
/// comment on a parameter does too, but only inside the brackets.
fn signature(lines: &[&str]) -> String {
    let mut kept = Vec::new();
    let mut depth = 0_i64;
    for line in lines {
        if depth <= 0 && !kept.is_empty() && line.trim_start().starts_with("/**") {
            break;
        }
        let count = |brackets: [char; 3]| line.matches(brackets).count() as i64;
        depth += count(['(', '{', '[']) - count([')', '}', ']']);
        kept.push(*line);
    }
    kept.join("\n").trim().to_owned()
}

/// The text of the comment that ends right above.
fn description(above: &[&str]) -> String {
    let Some((last, rest)) = above.split_last() else { return String::new() };
    if !last.trim_end().ends_with("*/") {
        return String::new();
    }
    let start = rest.iter().rposition(|line| line.trim_start().starts_with("/**"));
    let Some(start) = start else { return String::new() };
    let lines: Vec<_> = rest[start + 1..]
        .iter()
        .map(|line| line.trim().trim_start_matches('*').trim())
        .filter(|line| !line.starts_with("@namespace"))
        .collect();
    lines.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\n/**\n * say hello\n *\n * \n **/    \ndeclare function hello(): { hi: string; };\n      \n/**\n * makes a contact\n *\n * @namespace crm\n **/    \ndeclare function crm.contacts.create({a; b = 1}: {\n/**\ndoc of a\n */\n a: string; \n}): any;\n      ";

    #[test]
    fn actions_are_read_from_the_nodes_dialect() {
        let actions = actions(TEXT);
        let told: Vec<_> = actions.iter().map(|told| (&*told.name, &*told.description)).collect();
        assert_eq!(told, [("hello", "say hello"), ("crm.contacts.create", "makes a contact")]);
        assert_eq!(actions[0].signature, "declare function hello(): { hi: string; };");
        assert!(actions[1].signature.ends_with("}): any;"), "{}", actions[1].signature);
    }

    #[test]
    fn anything_else_declares_nothing() {
        for text in
            ["", "declare function ", "declare function (", "*/\n", "no declare function x("]
        {
            assert_eq!(actions(text), [], "{text}");
        }
    }
}
