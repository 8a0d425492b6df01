//! Names of actions.

use syn::{Ident, LitStr};

/// Names that the workspace removes from the path of a call, so that such an action could never be
/// called.
const UNCALLABLE: [&str; 5] = ["constructor", "__proto__", "prototype", "toSource", "toString"];

/// The name of an action after its method: `create_user` becomes `createUser`.
pub fn camel_case(method: &Ident) -> String {
    let method = method.to_string();
    let mut words = method.trim_start_matches("r#").split('_').filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &capitalised(word))
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Checks a name that the author chose.
pub fn check(name: &LitStr) -> syn::Result<()> {
    let value = name.value();
    match value.split('.').find_map(fault) {
        None => Ok(()),
        Some(fault) => Err(syn::Error::new(name.span(), format!("`{value}`: {fault}"))),
    }
}

fn fault(part: &str) -> Option<String> {
    let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '$';
    if !part.starts_with(|first: char| first.is_ascii_alphabetic()) || !part.chars().all(word) {
        return Some(
            "a name is words of letters and digits, with dots between: `crm.contacts.create`"
                .into(),
        );
    }
    UNCALLABLE.contains(&part).then(|| format!("`{part}` is a name that no workspace can call"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proc_macro2::Span;

    #[test]
    fn methods_become_camel_case() {
        let cases = [
            ("hello", "hello"),
            ("create_user", "createUser"),
            ("list_all_2_users", "listAll2Users"),
            ("r#type", "type"),
            ("_hidden_name", "hiddenName"),
            ("über_mut", "überMut"),
        ];
        for (method, name) in cases {
            let ident: Ident = syn::parse_str(method).expect("an identifier");
            assert_eq!(camel_case(&ident), name);
        }
    }

    #[test]
    fn chosen_names_are_checked() {
        let cases = [
            ("crm.contacts.create", true),
            ("get2", true),
            ("a_b$", true),
            ("", false),
            ("crm..create", false),
            (".create", false),
            ("_create", false),
            ("2get", false),
            ("with space", false),
            ("crm.toString", false),
            ("constructor", false),
        ];
        for (name, good) in cases {
            assert_eq!(check(&LitStr::new(name, Span::call_site())).is_ok(), good, "{name}");
        }
    }
}
