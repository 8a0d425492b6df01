//! What the attribute accepts, and where and how it refuses the rest.

use proc_macro2::TokenStream;

use crate::connector_tokens;

fn expand(source: &str) -> syn::Result<TokenStream> {
    connector_tokens(TokenStream::new(), source.parse().expect("Rust tokens"))
}

fn expanded(source: &str) -> String {
    expand(source).map(|tokens| tokens.to_string()).expect("a connector")
}

/// The faults, each with the source that it points at.
fn faults(source: &str) -> Vec<(String, String)> {
    let error = expand(source).map(|_| ()).expect_err("a fault");
    error.into_iter().map(|fault| (marked(source, &fault), fault.to_string())).collect()
}

/// The source between the places that the error points at. All sources here have one line.
fn marked(source: &str, fault: &syn::Error) -> String {
    let (start, end) = (fault.span().start().column, fault.span().end().column);
    source.chars().skip(start).take(end - start).collect()
}

#[test]
fn public_methods_are_actions() {
    let made = expanded(
        "impl C {
            /// Creates a user
            ///
            /// in the API.
            pub async fn create_user(&self, args: User) -> Result<User> { todo!() }
            pub fn new() -> Self { C }
            async fn helper(&self) {}
            #[skip]
            pub async fn skipped(&self, anything: Vec<u8>) {}
            #[action(name = \"crm.list\", read_only)]
            async fn list(&self) -> Result<()> { todo!() }
        }",
    );
    for part in [
        "\"createUser\"",
        "\"Creates a user\\n\\nin the API.\"",
        "self . create_user (read) . await",
        "\"crm.list\"",
        "read_only : true , destructive : false",
        "< C > :: new ()",
    ] {
        assert!(made.contains(part), "{part} is missing in {made}");
    }
    for part in ["\"helper\"", "\"skipped\"", "\"new\"", "# [skip]", "# [action"] {
        assert!(!made.contains(part), "{part} is in {made}");
    }
}

#[test]
fn hooks_get_what_they_take() {
    let cases = [
        ("#[start] async fn a(&self) -> Result<()>", "self . a () . await"),
        ("#[start] fn a(&self) -> Result<()>", "done (self . a ())"),
        ("#[stop] async fn a(&self) -> Result<()>", "self . a () . await"),
        ("#[stop] async fn a(&self, now: bool) -> Result<()>", "self . a (shutdown) . await"),
        ("#[health_check] async fn a(&self) -> Result<()>", "async fn health_check"),
        ("#[config_check] async fn a(&self, f: F) -> Result<()>", "fields :: < F > (fields) ?"),
        ("#[autocomplete] async fn a(&self, x: X) -> Result<Y>", "self . a (read) . await"),
        ("#[endpoint] async fn a(&self, c: &Context) -> Result<Y>", "self . a (context) . await"),
        (
            "#[fallback] async fn a(&self, n: &str, x: X, c: Context) -> Result<Y>",
            "self . a (:: core :: convert :: From :: from (name) , read , :: core :: clone :: Clone :: clone (context))",
        ),
        ("#[fallback] async fn a(&self, n: String) -> Result<Y>", "From :: from (name)) . await"),
        ("#[setup] fn a() -> Setup", "< C > :: a ()"),
    ];
    for (method, part) in cases {
        let made = expanded(&format!("impl C {{ {method} {{ loop {{}} }} }}"));
        assert!(made.contains(part), "{part} is missing in {made}");
        assert!(!made.contains("actions . push"), "{method} became an action");
    }
}

#[test]
fn a_condition_of_a_method_holds_for_its_action() {
    let made = expanded("impl C { #[cfg(x)] pub fn a(&self) -> Result<()> { loop {} } }");
    assert_eq!(made.matches("# [cfg (x)]").count(), 3, "{made}");
}

#[test]
fn wrong_signatures_are_told_where_they_are_wrong() {
    let cases = [
        ("pub fn a(&mut self) -> Result<()>", "&mut self", "take `&self`"),
        ("pub fn a(self) -> Result<()>", "self", "take `&self`"),
        ("pub fn a(&self)", "&self", "`Result` is missing"),
        ("pub fn a(&self) -> ()", "()", "return a `Result`"),
        ("pub fn a<T>(&self, t: T) -> Result<()>", "<T>", "no generic parameters"),
        ("pub fn a(&self, x: X, y: Y) -> Result<()>", "Y", "one argument struct"),
        ("pub fn a(&self, c: Context, x: X) -> Result<()>", "X", "the context comes last"),
        ("#[action] fn a() -> Result<()>", "a", "`&self` is missing"),
        ("#[action(read)] fn a(&self) -> Result<()>", "read", "expected `name"),
        ("#[action(name = \"a b\")] fn a(&self) -> Result<()>", "\"a b\"", "a name is words"),
        ("#[start] fn a(&self, x: X) -> Result<()>", "X", "async fn start(&self)"),
        ("#[start] fn a(&self, c: Context) -> Result<()>", "Context", "async fn start(&self)"),
        ("#[fallback] fn a(&self, n: N, x: X, y: Y) -> Result<()>", "Y", "async fn fallback("),
        ("#[start] #[stop] fn a(&self) -> Result<()>", "#[stop]", "a method has one role"),
        ("#[start(1)] fn a(&self) -> Result<()>", "(", "unexpected token"),
        ("#[setup] fn a(&self) -> Setup", "fn a(&self) -> Setup", "fn setup() -> Setup"),
    ];
    for (method, place, message) in cases {
        let source = format!("impl C {{ {method} {{ loop {{}} }} }}");
        let found = faults(&source);
        let [(marked, text)] = &found[..] else { panic!("{method}: {found:?}") };
        assert!(text.contains(message), "{method}: {text}");
        assert_eq!(marked, place, "{method}: {text}");
    }
}

#[test]
fn doubles_are_told() {
    let cases = [
        (
            "pub fn a_b(&self) -> R {} #[action(name = \"aB\")] fn c(&self) -> R {}",
            "there is an action `aB`",
        ),
        ("#[start] fn a(&self) -> R {} #[start] fn b(&self) -> R {}", "there is a `#[start]`"),
        ("#[setup] fn a() -> S {} #[setup] fn b() -> S {}", "there is a `#[setup]`"),
    ];
    for (methods, message) in cases {
        let found = faults(&format!("impl C {{ {methods} }}"));
        assert!(found[0].1.contains(message), "{found:?}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let found = faults("impl C { pub fn a(self) -> R {} pub fn b(&mut self) -> R {} }");
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn only_a_plain_impl_block_will_do() {
    let cases = [
        ("struct C;", "goes before the `impl` block"),
        ("impl Default for C {}", "not of a trait"),
        ("impl<T> C<T> {}", "no generic parameters"),
    ];
    for (source, message) in cases {
        assert!(faults(source)[0].1.contains(message), "{source}");
    }
    let attribute = "x = 1".parse().expect("tokens");
    assert!(connector_tokens(attribute, "impl C {}".parse().expect("tokens")).is_err());
}
