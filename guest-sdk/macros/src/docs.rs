//! Doc comments as text.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// The doc comment among these attributes, one line a line, without the space that follows `///`.
pub fn text(attributes: &[Attribute]) -> String {
    let lines: Vec<String> = attributes.iter().filter_map(line).collect();
    lines.join("\n").trim().to_owned()
}

fn line(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else { return None };
    if !pair.path.is_ident("doc") {
        return None;
    }
    // `#[doc = include_str!(..)]` is no literal and cannot be read here.
    let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &pair.value else { return None };
    let unindented: Vec<String> = text.value().lines().map(unindent).collect();
    Some(unindented.join("\n"))
}

fn unindent(line: &str) -> String {
    line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    #[test]
    fn lines_are_joined_and_other_attributes_ignored() {
        let attributes: Vec<Attribute> = vec![
            parse_quote!(#[doc = " Creates a user."]),
            parse_quote!(#[doc = ""]),
            parse_quote!(#[cfg(test)]),
            parse_quote!(#[doc = "   indented"]),
        ];
        assert_eq!(text(&attributes), "Creates a user.\n\n  indented");
        assert_eq!(text(&[]), "");
    }
}
