//! The code that the attribute adds: the action table, the calls, the exports.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned;

use crate::method::ContextInput;
use crate::model::{Action, Call, Connector, Hook, HookKind};

/// The block itself and what makes it a connector.
pub fn expand(connector: Connector) -> TokenStream {
    let controller = connector.controller();
    let block = &connector.block;
    let package = package(&connector);
    let setup = connector.setup.iter().map(|setup| setup_function(controller, setup));
    let create = create(&connector);
    let actions = connector.actions.iter().map(action_entry);
    let calls = connector.actions.iter().map(action_call);
    let hooks = connector.hooks.iter().map(hook);
    quote! {
        #block

        #[automatically_derived]
        #[doc(hidden)]
        impl ::aloma_connector::Controller for #controller {
            #package
            #(#setup)*
            #create

            fn actions() -> ::std::vec::Vec<::aloma_connector::manifest::Action> {
                // Pushed one by one, because an action may have a condition.
                #[allow(unused_mut)]
                let mut actions = ::std::vec::Vec::new();
                #(#actions)*
                actions
            }

            async fn invoke(
                &self,
                name: &str,
                arguments: &str,
                context: &::aloma_connector::Context,
            ) -> ::aloma_connector::Result<::std::string::String> {
                let _ = (&arguments, &context);
                match name {
                    #(#calls)*
                    _ => ::core::result::Result::Err(
                        ::aloma_connector::__private::unknown_action::<Self>(name),
                    ),
                }
            }

            #(#hooks)*
        }

        #[cfg(target_family = "wasm")]
        ::aloma_connector::__export_connector!(#controller);
    }
}

/// The author's package, as cargo tells it while it compiles the author's crate.
fn package(connector: &Connector) -> TokenStream {
    let docs = &connector.docs;
    quote! {
        fn package() -> ::aloma_connector::__private::Package {
            ::aloma_connector::__private::Package {
                name: ::core::env!("CARGO_PKG_NAME"),
                version: ::core::env!("CARGO_PKG_VERSION"),
                description: ::core::env!("CARGO_PKG_DESCRIPTION"),
                docs: #docs,
            }
        }
    }
}

fn setup_function(controller: &Type, setup: &syn::Ident) -> TokenStream {
    quote_spanned! {setup.span()=>
        fn setup() -> ::aloma_connector::Setup {
            <#controller>::#setup()
        }
    }
}

fn create(connector: &Connector) -> TokenStream {
    let controller = connector.controller();
    let made = match connector.has_new {
        true => quote!(<#controller>::new()),
        // Points at the type where it has no `Default`.
        false => {
            quote_spanned!(controller.span()=> <#controller as ::core::default::Default>::default())
        }
    };
    quote!(fn create() -> Self { #made })
}

fn action_entry(action: &Action) -> TokenStream {
    let Action { name, docs, hints, call } = action;
    let conditions = &call.conditions;
    let (read_only, destructive, idempotent) =
        (hints.read_only, hints.destructive, hints.idempotent);
    let arguments = call.inputs.arguments.first().map_or_else(
        || quote!(::aloma_connector::__private::no_arguments_schema()),
        |kind| quote_spanned!(kind.span()=> ::aloma_connector::__private::arguments_schema::<#kind>(#name)),
    );
    let output = &call.output;
    let result = quote_spanned! {output.span()=>
        ::aloma_connector::__private::result_schema::<#output>()
    };
    quote! {
        #(#conditions)*
        actions.push(::aloma_connector::manifest::Action {
            name: ::std::string::String::from(#name),
            description: ::std::string::String::from(#docs),
            arguments: #arguments,
            result: ::core::option::Option::Some(#result),
            hints: ::aloma_connector::manifest::Hints {
                read_only: #read_only,
                destructive: #destructive,
                idempotent: #idempotent,
            },
        });
    }
}

fn action_call(action: &Action) -> TokenStream {
    let name = &action.name;
    let conditions = &action.call.conditions;
    let body = json_call(&action.call, &[]);
    quote!(#(#conditions)* #name => { #body })
}

fn hook(hook: &Hook) -> TokenStream {
    let conditions = &hook.call.conditions;
    let function = match hook.kind {
        HookKind::Start => unit_hook(hook, quote!()),
        HookKind::HealthCheck => unit_hook(hook, quote!()),
        HookKind::Stop => unit_hook(hook, quote!(shutdown: bool,)),
        HookKind::ConfigCheck => unit_hook(hook, quote!(fields: &str,)),
        HookKind::Autocomplete | HookKind::Endpoint => json_hook(hook, quote!()),
        HookKind::Fallback => json_hook(hook, quote!(name: &str,)),
    };
    quote!(#(#conditions)* #function)
}

/// A hook that only works or fails.
fn unit_hook(hook: &Hook, inputs: TokenStream) -> TokenStream {
    let name = format_ident!("{}", hook.kind.attribute());
    let call = &hook.call;
    let (unused, given) = match (hook.kind, call.inputs.arguments.first()) {
        (HookKind::Stop, None) => (quote!(let _ = shutdown;), quote!()),
        (HookKind::Stop, Some(_)) => (quote!(), quote!(shutdown)),
        (HookKind::ConfigCheck, None) => (quote!(let _ = fields;), quote!()),
        (HookKind::ConfigCheck, Some(kind)) => {
            (quote!(), quote!(::aloma_connector::__private::fields::<#kind>(fields)?))
        }
        _ => (quote!(), quote!()),
    };
    let outcome = outcome(call, given);
    quote! {
        async fn #name(&self, #inputs) -> ::aloma_connector::Result<()> {
            #unused
            ::aloma_connector::__private::done(#outcome)
        }
    }
}

/// A hook that takes and answers JSON.
fn json_hook(hook: &Hook, inputs: TokenStream) -> TokenStream {
    let name = format_ident!("{}", hook.kind.attribute());
    // A fallback need not take the name.
    let (unused, leading) = match hook.kind {
        HookKind::Fallback => {
            (quote!(let _ = name;), vec![quote!(::core::convert::From::from(name))])
        }
        _ => (quote!(), Vec::new()),
    };
    let body = json_call(&hook.call, &leading);
    quote! {
        async fn #name(
            &self,
            #inputs
            arguments: &str,
            context: &::aloma_connector::Context,
        ) -> ::aloma_connector::Result<::std::string::String> {
            #unused
            let _ = (&arguments, &context);
            #body
        }
    }
}

/// Reads the arguments, calls the method, writes its answer. `leading` is given before them.
fn json_call(call: &Call, leading: &[TokenStream]) -> TokenStream {
    let kinds = &call.inputs.arguments;
    let mut given: Vec<TokenStream> = leading.iter().take(kinds.len()).cloned().collect();
    let read = kinds.get(leading.len()).map(|kind| {
        quote_spanned! {kind.span()=>
            let read = ::aloma_connector::__private::arguments::<#kind>(arguments)?;
        }
    });
    given.extend(read.is_some().then(|| quote!(read)));
    given.extend(call.inputs.context.map(context_argument));
    let outcome = outcome(call, quote!(#(#given),*));
    let answer = quote_spanned! {call.output.span()=>
        ::aloma_connector::__private::answer(#outcome)
    };
    quote!(#read #answer)
}

fn context_argument(input: ContextInput) -> TokenStream {
    match input {
        ContextInput::Value => quote!(::core::clone::Clone::clone(context)),
        ContextInput::Reference => quote!(context),
    }
}

fn outcome(call: &Call, given: TokenStream) -> TokenStream {
    let method = &call.method;
    let wait = call.asynchronous.then(|| quote!(.await));
    quote!(self.#method(#given) #wait)
}
