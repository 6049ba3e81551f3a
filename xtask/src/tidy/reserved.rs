//! `reserved`: in production code what is called like a platform operation is one, and what has
//! such operations is called as they expect.
//!
//! The platform operations of the production code are found by name. A `load` that is no atomic
//! load would be a site that nothing ever reaches, and hide one that matters; the `wait` of a
//! driver that is called `d` would not be found.

use raddle_source::operations::{self, RECEIVERS};
use raddle_source::{Context, Node};
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{FnArg, GenericParam, Item, Pat, Type, TypeParamBound};

use super::report::Report;
use super::tree::Scope;
use super::{Check, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "reserved",
    holds: "only the platform's methods have the names by which its operations are found",
    checks: &[Check::Nodes(Scope::Production, inspect)],
};

/// Methods that may have such a name: the type, the method, and why it must.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("Lock", "with", "the scenarios' face of a lock, which no production code calls"),
    ("ArcCell", "load", "arc-swap's name; the platform's takes an ordering"),
    ("ArcCell", "store", "arc-swap's name; the platform's takes an ordering"),
    ("ArcCell", "swap", "arc-swap's name; the platform's takes an ordering"),
    ("File", "open", "std's name; the platform's takes no arguments"),
    ("OpenOptions", "open", "std's name; the platform's takes no arguments"),
];

fn inspect(context: &Context<'_>, node: &Node<'_>, report: &mut Report<'_>) {
    match node {
        Node::Function(function) => {
            let ident = &function.signature.ident;
            reserved(context, function.owner.as_deref(), ident, report);
            generics(context, &function.signature.generics, report);
            for input in &function.signature.inputs {
                if let FnArg::Typed(input) = input {
                    binding(context, &input.pat, &input.ty, report);
                }
            }
            if let Some(block) = function.block {
                let mut locals = Locals { context, report };
                locals.visit_block(block);
            }
        }
        Node::Item(item) => declared(context, item, report),
        _ => {}
    }
}

fn reserved(
    context: &Context<'_>,
    owner: Option<&str>,
    ident: &syn::Ident,
    report: &mut Report<'_>,
) {
    let name = ident.to_string();
    let taken = match owner {
        Some(_) => operations::is_reserved(&name),
        // A function is told by its path, which says little for these.
        None => operations::is_own(&name),
    };
    let allowed = ALLOWED.iter().any(|(ty, method, _reason)| Some(*ty) == owner && *method == name);
    if taken && !allowed {
        let whole = owner.map_or(name.clone(), |owner| format!("{owner}::{name}"));
        let message = format!(
            "`{whole}` is called like an operation of the platform: choose another name (`get`, \
             `set`, `replace`, …), or list it in xtask/src/tidy/reserved.rs with the reason"
        );
        report.at(&context.spot(ident.span()), message);
    }
}

fn declared(context: &Context<'_>, item: &Item, report: &mut Report<'_>) {
    match item {
        Item::Struct(item) => {
            generics(context, &item.generics, report);
            for field in &item.fields {
                if let Some(ident) = &field.ident {
                    receiver(context, ident, &field.ty, report);
                }
            }
        }
        Item::Enum(item) => generics(context, &item.generics, report),
        Item::Impl(item) => generics(context, &item.generics, report),
        Item::Trait(item) => generics(context, &item.generics, report),
        // `type D = P::Driver; D::close(…)`
        Item::Type(item) => {
            generics(context, &item.generics, report);
            if let Type::Path(path) = &*item.ty
                && path.qself.is_none()
                && path.path.segments.len() > 1
                && path.path.segments[0].ident == "P"
            {
                let message = "another name for what is the platform's hides its operations: write \
                               the path";
                report.at(&context.spot(item.ident.span()), message);
            }
        }
        _ => {}
    }
}

/// A parameter that is a platform is called `P`: paths through it are found by that.
fn generics(context: &Context<'_>, generics: &syn::Generics, report: &mut Report<'_>) {
    for parameter in &generics.params {
        let GenericParam::Type(parameter) = parameter else { continue };
        let bounded = parameter.bounds.iter().any(|bound| match bound {
            TypeParamBound::Trait(bound) => {
                bound.path.segments.last().is_some_and(|last| last.ident == "Platform")
            }
            _ => false,
        });
        if bounded && parameter.ident != "P" {
            let message = "a platform that is not called `P` hides its operations: call it so";
            report.at(&context.spot(parameter.ident.span()), message);
        }
    }
}

struct Locals<'c, 'r, 't> {
    context: &'c Context<'c>,
    report: &'r mut Report<'t>,
}

impl<'ast> Visit<'ast> for Locals<'_, '_, '_> {
    fn visit_pat_type(&mut self, typed: &'ast syn::PatType) {
        binding(self.context, &typed.pat, &typed.ty, self.report);
    }
    // It is shown by itself.
    fn visit_item(&mut self, _: &'ast Item) {}
}

fn binding(context: &Context<'_>, pattern: &Pat, ty: &Type, report: &mut Report<'_>) {
    if let Pat::Ident(ident) = pattern {
        receiver(context, &ident.ident, ty, report);
    }
}

/// What is of a type whose operations are told by the receiver's name has that name.
fn receiver(context: &Context<'_>, ident: &syn::Ident, ty: &Type, report: &mut Report<'_>) {
    let Some(expected) = expected_name(ty) else { return };
    if ident != expected {
        let message = format!(
            "the operations of a `{}` are found by the name of what they are called on: call it \
             `{expected}`",
            text(ty)
        );
        report.at(&context.spot(ident.span()), message);
    }
}

/// The name that a value of this type has, if its operations are told by that.
fn expected_name(ty: &Type) -> Option<&'static str> {
    match ty {
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            let names = path.path.segments.iter().map(|segment| segment.ident.to_string());
            let through = path.qself.is_some() || names.into_iter().next().as_deref() == Some("P");
            if let Some((_, name)) = RECEIVERS.iter().find(|(ty, _)| last.ident == ty)
                && through
            {
                return Some(name);
            }
            let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else {
                return None;
            };
            arguments.args.iter().find_map(|argument| match argument {
                syn::GenericArgument::Type(ty) => expected_name(ty),
                _ => None,
            })
        }
        Type::Reference(reference) => expected_name(&reference.elem),
        Type::Paren(paren) => expected_name(&paren.elem),
        Type::Slice(slice) => expected_name(&slice.elem),
        _ => None,
    }
}

fn text(ty: &Type) -> String {
    ty.span().source_text().unwrap_or_else(|| "value of the platform".to_owned())
}
