//! What attributes say about a node.

use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, Lit, Meta, Token};

/// Whether what carries these attributes exists in test builds only: `#[test]`, `#[cfg(test)]`,
/// and whatever implies the latter.
pub fn test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        if path.is_ident("cfg") {
            return attribute.parse_args::<Meta>().is_ok_and(|meta| implies_test(&meta));
        }
        // `#[test]`, and the likes of `#[tokio::test]`.
        path.segments.last().is_some_and(|last| last.ident == "test")
    })
}

/// Whether a `cfg` predicate holds only where `test` does.
fn implies_test(predicate: &Meta) -> bool {
    let operands = || match predicate {
        Meta::List(list) => list
            .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
            .unwrap_or_default(),
        _ => Punctuated::new(),
    };
    let path = predicate.path();
    if path.is_ident("all") {
        operands().iter().any(implies_test)
    } else if path.is_ident("any") {
        let operands = operands();
        !operands.is_empty() && operands.iter().all(implies_test)
    } else {
        path.is_ident("test")
    }
}

/// The value of `#[name = "value"]`.
pub fn value(attributes: &[Attribute], name: &str) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident(name) => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    })
}

/// The lines of documentation.
pub fn documentation(attributes: &[Attribute]) -> impl Iterator<Item = String> {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("doc"))
        .filter_map(|attribute| value(std::slice::from_ref(attribute), "doc"))
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
}

/// Whether `#[name]` (with or without arguments) is among them.
pub fn has(attributes: &[Attribute], name: &str) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident(name))
}

#[cfg(test)]
mod tests {
    use super::test_only;
    use syn::parse_quote;

    #[test]
    fn a_predicate_is_test_only_if_it_implies_test() {
        let cases: [(syn::Attribute, bool); 8] = [
            (parse_quote!(#[cfg(test)]), true),
            (parse_quote!(#[cfg(all(test, unix))]), true),
            (parse_quote!(#[cfg(any(test, unix))]), false),
            (parse_quote!(#[cfg(any(test, all(test, unix)))]), true),
            (parse_quote!(#[cfg(not(test))]), false),
            (parse_quote!(#[cfg(feature = "test")]), false),
            (parse_quote!(#[test]), true),
            (parse_quote!(#[inline]), false),
        ];
        for (index, (attribute, expected)) in cases.iter().enumerate() {
            assert_eq!(test_only(std::slice::from_ref(attribute)), *expected, "case {index}");
        }
    }
}
