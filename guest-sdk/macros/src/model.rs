//! What the attribute reads from an `impl` block, with its rules.

use proc_macro2::TokenStream;
use syn::{Attribute, FnArg, ImplItem, ImplItemFn, ItemImpl, LitStr, Type};

use crate::docs;
use crate::method::{self, Inputs, Role};
use crate::names;

/// An `impl` block that was found to be a connector.
pub struct Connector {
    /// The block as the author wrote it, without the attributes that are ours.
    pub block: ItemImpl,
    pub docs: String,
    /// Whether the author has a `fn new() -> Self`.
    pub has_new: bool,
    pub setup: Option<syn::Ident>,
    pub actions: Vec<Action>,
    pub hooks: Vec<Hook>,
}

impl Connector {
    pub fn controller(&self) -> &Type {
        &self.block.self_ty
    }
}

/// A method of the block, as it is called.
pub struct Call {
    pub method: syn::Ident,
    pub asynchronous: bool,
    pub inputs: Inputs,
    /// What it returns; the unit where it returns nothing.
    pub output: Type,
    /// `#[cfg(..)]`s of the method; what calls it has them too.
    pub conditions: Vec<Attribute>,
}

pub struct Action {
    pub name: String,
    pub docs: String,
    pub hints: Hints,
    pub call: Call,
}

#[derive(Default)]
pub struct Hints {
    pub read_only: bool,
    pub destructive: bool,
    pub idempotent: bool,
}

pub struct Hook {
    pub kind: HookKind,
    pub call: Call,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HookKind {
    Start,
    Stop,
    HealthCheck,
    ConfigCheck,
    Autocomplete,
    Endpoint,
    Fallback,
}

/// Reads the block, all its faults at once.
pub fn read(item: TokenStream) -> syn::Result<Connector> {
    let block: ItemImpl = syn::parse2(item.clone()).map_err(|_| not_an_impl(&item))?;
    check_block(&block)?;
    let mut connector = Connector {
        docs: docs::text(&block.attrs),
        has_new: block.items.iter().any(is_new),
        setup: None,
        actions: Vec::new(),
        hooks: Vec::new(),
        block,
    };
    let mut faults: Option<syn::Error> = None;
    let mut items = std::mem::take(&mut connector.block.items);
    for item in &mut items {
        let ImplItem::Fn(function) = item else { continue };
        if let Err(fault) = add(&mut connector, function) {
            match &mut faults {
                Some(faults) => faults.combine(fault),
                None => faults = Some(fault),
            }
        }
    }
    connector.block.items = items;
    faults.map_or(Ok(connector), Err)
}

fn not_an_impl(item: &TokenStream) -> syn::Error {
    let message =
        "`#[connector]` goes before the `impl` block whose public methods are the actions";
    // Only the head is marked; the whole of a struct would be too much.
    match item.clone().into_iter().next() {
        Some(first) => syn::Error::new_spanned(first, message),
        None => syn::Error::new(proc_macro2::Span::call_site(), message),
    }
}

fn check_block(block: &ItemImpl) -> syn::Result<()> {
    if let Some((_, of, _)) = &block.trait_ {
        let message =
            "`#[connector]` goes before an `impl` block of the controller's own, not of a trait";
        return Err(syn::Error::new_spanned(of, message));
    }
    if !block.generics.params.is_empty() {
        let message =
            "a controller has no generic parameters: the host makes it and cannot choose them";
        return Err(syn::Error::new_spanned(&block.generics, message));
    }
    Ok(())
}

fn is_new(item: &ImplItem) -> bool {
    matches!(item, ImplItem::Fn(function)
        if function.sig.ident == "new" && function.sig.inputs.is_empty())
}

fn add(connector: &mut Connector, function: &mut ImplItemFn) -> syn::Result<()> {
    match method::role(function)? {
        Role::Helper => Ok(()),
        Role::Setup => add_setup(connector, function),
        Role::Action { name, hints } => add_action(connector, function, name, hints),
        Role::Hook(kind) => add_hook(connector, function, kind),
    }
}

fn add_setup(connector: &mut Connector, function: &ImplItemFn) -> syn::Result<()> {
    let signature = &function.sig;
    if !signature.inputs.is_empty() || signature.asyncness.is_some() {
        let message = "write it as `fn setup() -> Setup`: it runs before there is a controller";
        return Err(syn::Error::new_spanned(signature, message));
    }
    if connector.setup.is_some() {
        return Err(syn::Error::new_spanned(&signature.ident, "there is a `#[setup]` already"));
    }
    connector.setup = Some(signature.ident.clone());
    Ok(())
}

fn add_action(
    connector: &mut Connector,
    function: &ImplItemFn,
    name: Option<LitStr>,
    hints: Hints,
) -> syn::Result<()> {
    let ident = &function.sig.ident;
    if let Some(name) = &name {
        names::check(name)?;
    }
    let span = name.as_ref().map_or(ident.span(), LitStr::span);
    let name = name.map_or_else(|| names::camel_case(ident), |name| name.value());
    let call = method::action(function)?;
    // Of two methods under opposite conditions only one exists, so they may share a name.
    let conditional = !call.conditions.is_empty();
    if !conditional && connector.actions.iter().any(|action| action.name == name) {
        return Err(syn::Error::new(span, format!("there is an action `{name}` already")));
    }
    let docs = docs::text(&function.attrs);
    connector.actions.push(Action { name, docs, hints, call });
    Ok(())
}

fn add_hook(connector: &mut Connector, function: &ImplItemFn, kind: HookKind) -> syn::Result<()> {
    if connector.hooks.iter().any(|hook| hook.kind == kind) {
        let message = format!("there is a `#[{}]` already", kind.attribute());
        return Err(syn::Error::new_spanned(&function.sig.ident, message));
    }
    let call = method::hook(function, kind)?;
    connector.hooks.push(Hook { kind, call });
    Ok(())
}

impl HookKind {
    pub const ALL: [HookKind; 7] = [
        HookKind::Start,
        HookKind::Stop,
        HookKind::HealthCheck,
        HookKind::ConfigCheck,
        HookKind::Autocomplete,
        HookKind::Endpoint,
        HookKind::Fallback,
    ];

    pub fn attribute(self) -> &'static str {
        match self {
            HookKind::Start => "start",
            HookKind::Stop => "stop",
            HookKind::HealthCheck => "health_check",
            HookKind::ConfigCheck => "config_check",
            HookKind::Autocomplete => "autocomplete",
            HookKind::Endpoint => "endpoint",
            HookKind::Fallback => "fallback",
        }
    }

    /// How such a method is written, for error messages.
    pub fn form(self) -> &'static str {
        match self {
            HookKind::Start => "async fn start(&self) -> Result<()>",
            HookKind::Stop => "async fn stop(&self, shutdown: bool) -> Result<()>",
            HookKind::HealthCheck => "async fn health_check(&self) -> Result<()>",
            HookKind::ConfigCheck => "async fn config_check(&self, fields: Fields) -> Result<()>",
            HookKind::Autocomplete => {
                "async fn autocomplete(&self, arguments: Arguments, context: Context) -> Result<T>"
            }
            HookKind::Endpoint => {
                "async fn endpoint(&self, arguments: Arguments, context: Context) -> Result<T>"
            }
            HookKind::Fallback => {
                "async fn fallback(&self, name: &str, arguments: Arguments, context: Context) -> Result<T>"
            }
        }
    }

    /// How many arguments it takes at most, beside a context.
    pub fn most_arguments(self) -> usize {
        match self {
            HookKind::Start | HookKind::HealthCheck => 0,
            HookKind::Stop
            | HookKind::ConfigCheck
            | HookKind::Autocomplete
            | HookKind::Endpoint => 1,
            HookKind::Fallback => 2,
        }
    }

    pub fn takes_context(self) -> bool {
        matches!(self, HookKind::Autocomplete | HookKind::Endpoint | HookKind::Fallback)
    }
}

/// The types of a method's arguments after `&self`.
pub fn argument_types(function: &ImplItemFn) -> Vec<&Type> {
    let mut types = Vec::new();
    for input in &function.sig.inputs {
        if let FnArg::Typed(typed) = input {
            types.push(&*typed.ty);
        }
    }
    types
}
