//! One method: what it is for, and whether its signature fits.

use syn::spanned::Spanned;
use syn::{
    Attribute, FnArg, ImplItemFn, LitStr, Meta, Receiver, ReturnType, Signature, Type, Visibility,
    parse_quote,
};

use crate::model::{Call, Hints, HookKind, argument_types};

/// What a method is for.
pub enum Role {
    /// Nothing that anybody but the controller calls.
    Helper,
    Setup,
    Action {
        name: Option<LitStr>,
        hints: Hints,
    },
    Hook(HookKind),
}

/// What a method takes beside `&self`.
pub struct Inputs {
    pub arguments: Vec<Type>,
    pub context: Option<ContextInput>,
}

/// How a method takes the context.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ContextInput {
    Value,
    Reference,
}

/// What the method is for, by its attributes and visibility. Takes our attributes off it.
pub fn role(function: &mut ImplItemFn) -> syn::Result<Role> {
    let (ours, others) = std::mem::take(&mut function.attrs).into_iter().partition(is_ours);
    function.attrs = others;
    let ours: Vec<Attribute> = ours;
    if let [_, second, ..] = &ours[..] {
        let message = "a method has one role: one of `action`, `skip`, `setup` and the hooks";
        return Err(syn::Error::new_spanned(second, message));
    }
    match ours.first() {
        Some(attribute) => named_role(attribute),
        None if is_public_method(function) => {
            Ok(Role::Action { name: None, hints: Hints::default() })
        }
        None => Ok(Role::Helper),
    }
}

fn is_public_method(function: &ImplItemFn) -> bool {
    matches!(function.vis, Visibility::Public(_)) && function.sig.receiver().is_some()
}

fn is_ours(attribute: &Attribute) -> bool {
    let is = |name: &str| attribute.path().is_ident(name);
    is("action") || is("skip") || is("setup") || hook_kind(attribute).is_some()
}

fn hook_kind(attribute: &Attribute) -> Option<HookKind> {
    HookKind::ALL.into_iter().find(|kind| attribute.path().is_ident(kind.attribute()))
}

fn named_role(attribute: &Attribute) -> syn::Result<Role> {
    if attribute.path().is_ident("action") {
        let (name, hints) = action_attribute(attribute)?;
        return Ok(Role::Action { name, hints });
    }
    attribute.meta.require_path_only()?;
    Ok(match hook_kind(attribute) {
        Some(kind) => Role::Hook(kind),
        None if attribute.path().is_ident("setup") => Role::Setup,
        None => Role::Helper,
    })
}

/// `#[action]` or `#[action(name = "a.b", read_only, destructive, idempotent)]`.
fn action_attribute(attribute: &Attribute) -> syn::Result<(Option<LitStr>, Hints)> {
    let (mut name, mut hints) = (None, Hints::default());
    if matches!(attribute.meta, Meta::Path(_)) {
        return Ok((name, hints));
    }
    attribute.parse_nested_meta(|meta| {
        if meta.path.is_ident("name") {
            name = Some(meta.value()?.parse()?);
            return Ok(());
        }
        let hint = if meta.path.is_ident("read_only") {
            &mut hints.read_only
        } else if meta.path.is_ident("destructive") {
            &mut hints.destructive
        } else if meta.path.is_ident("idempotent") {
            &mut hints.idempotent
        } else {
            let message = "expected `name = \"...\"`, `read_only`, `destructive` or `idempotent`";
            return Err(meta.error(message));
        };
        *hint = true;
        Ok(())
    })?;
    Ok((name, hints))
}

/// Reads a method that is an action.
pub fn action(function: &ImplItemFn) -> syn::Result<Call> {
    let form = "an action is `async fn name(&self, arguments: Arguments, context: Context) -> Result<T>`, \
                with or without arguments and context";
    check_signature(&function.sig, form)?;
    let inputs = inputs(function, true, form)?;
    if let Some(second) = inputs.arguments.get(1) {
        let message = "an action takes one argument struct; make this a field of it";
        return Err(syn::Error::new_spanned(second, message));
    }
    call(function, inputs, form)
}

/// Reads a method that is a hook.
pub fn hook(function: &ImplItemFn, kind: HookKind) -> syn::Result<Call> {
    let form = format!("write it as `{}`", kind.form());
    check_signature(&function.sig, &form)?;
    let inputs = inputs(function, kind.takes_context(), &form)?;
    if let Some(surplus) = inputs.arguments.get(kind.most_arguments()) {
        return Err(syn::Error::new_spanned(surplus, form));
    }
    call(function, inputs, &form)
}

fn check_signature(signature: &Signature, form: &str) -> syn::Result<()> {
    if !signature.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(
            &signature.generics,
            format!("no generic parameters here; {form}"),
        ));
    }
    match signature.receiver() {
        Some(receiver) => check_receiver(receiver),
        None => {
            Err(syn::Error::new_spanned(&signature.ident, format!("`&self` is missing; {form}")))
        }
    }
}

fn check_receiver(receiver: &Receiver) -> syn::Result<()> {
    let shared = receiver.reference.is_some() && receiver.mutability.is_none();
    if shared && receiver.colon_token.is_none() {
        return Ok(());
    }
    let message = "take `&self`; what changes goes into a `Cell` or `RefCell`, which is enough \
                   because a controller is called one at a time";
    Err(syn::Error::new_spanned(receiver, message))
}

fn inputs(function: &ImplItemFn, takes_context: bool, form: &str) -> syn::Result<Inputs> {
    let mut inputs = Inputs { arguments: Vec::new(), context: None };
    for kind in argument_types(function) {
        match context_input(kind) {
            Some(_) if !takes_context || inputs.context.is_some() => {
                return Err(syn::Error::new_spanned(kind, form));
            }
            Some(context) => inputs.context = Some(context),
            None if inputs.context.is_some() => {
                let message = format!("the context comes last; {form}");
                return Err(syn::Error::new_spanned(kind, message));
            }
            None => inputs.arguments.push(kind.clone()),
        }
    }
    Ok(inputs)
}

/// Whether the type is `Context` or `&Context`, under whatever path.
fn context_input(kind: &Type) -> Option<ContextInput> {
    match kind {
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            (last.ident == "Context").then_some(ContextInput::Value)
        }
        Type::Reference(reference) => {
            context_input(&reference.elem).map(|_| ContextInput::Reference)
        }
        _ => None,
    }
}

fn call(function: &ImplItemFn, inputs: Inputs, form: &str) -> syn::Result<Call> {
    let signature = &function.sig;
    let output = match &signature.output {
        ReturnType::Type(_, output) => (**output).clone(),
        ReturnType::Default => {
            let message = format!("`Result` is missing; {form}");
            return Err(syn::Error::new(after_inputs(signature), message));
        }
    };
    if matches!(&output, Type::Tuple(tuple) if tuple.elems.is_empty()) {
        return Err(syn::Error::new_spanned(output, format!("return a `Result`; {form}")));
    }
    Ok(Call {
        method: signature.ident.clone(),
        asynchronous: signature.asyncness.is_some(),
        inputs,
        output: parse_quote!(#output),
        conditions: conditions(&function.attrs),
    })
}

fn after_inputs(signature: &Signature) -> proc_macro2::Span {
    signature.inputs.last().map_or(signature.ident.span(), FnArg::span)
}

fn conditions(attributes: &[Attribute]) -> Vec<Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).cloned().collect()
}
