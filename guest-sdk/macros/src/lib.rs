//! The `#[connector]` attribute: from an `impl` block to a connector.
//!
//! Use it through `aloma_connector::connector`; its rules are told there.

mod docs;
mod expand;
mod method;
mod model;
mod names;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

/// Makes a connector of an `impl` block. See the documentation of the crate `aloma-connector`.
#[proc_macro_attribute]
pub fn connector(attribute: TokenStream, item: TokenStream) -> TokenStream {
    connector_tokens(attribute.into(), item.into())
        .unwrap_or_else(|error| error.into_compile_error())
        .into()
}

/// The same over the tokens of proc-macro2, which work in tests too.
fn connector_tokens(
    attribute: proc_macro2::TokenStream,
    item: proc_macro2::TokenStream,
) -> syn::Result<proc_macro2::TokenStream> {
    if !attribute.is_empty() {
        let message =
            "`#[connector]` takes nothing; describe the connector in a `#[setup]` function";
        return Err(syn::Error::new_spanned(attribute, message));
    }
    Ok(expand::expand(model::read(item)?))
}
