//! Looking into macros, whose arguments syn keeps as tokens.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::{Block, Expr, Stmt, Token};

use super::walk::{Path, Segment};

/// The arguments of a macro call as statements, if they look like code.
pub fn parse_macro(mac: &syn::Macro) -> Option<Vec<Stmt>> {
    let statement = |expr| Stmt::Expr(expr, None);
    if mac.path.segments.last().is_some_and(|last| last.ident == "matches") {
        let expressions = mac.parse_body_with(parse_matches).ok()?;
        return Some(expressions.into_iter().map(statement).collect());
    }
    let expressions = Punctuated::<Expr, Token![,]>::parse_terminated;
    if let Ok(expressions) = mac.parse_body_with(expressions) {
        return Some(expressions.into_iter().map(statement).collect());
    }
    mac.parse_body_with(Block::parse_within).ok()
}

/// The expressions of `matches!(value, pattern if guard)`. Parsed like other macros, the pattern
/// would be taken for one.
fn parse_matches(input: ParseStream<'_>) -> syn::Result<Vec<Expr>> {
    let mut expressions = vec![input.parse()?];
    input.parse::<Token![,]>()?;
    syn::Pat::parse_multi_with_leading_vert(input)?;
    if input.parse::<Option<Token![if]>>()?.is_some() {
        expressions.push(input.parse()?);
    }
    input.parse::<Option<Token![,]>>()?;
    Ok(expressions)
}

/// The paths of at least two segments among `tokens`; `a::{b, c::d}` gives two.
pub(crate) fn token_paths(tokens: TokenStream) -> Vec<Path> {
    let mut paths = Vec::new();
    collect_paths(tokens, &[], &mut paths);
    paths
}

fn collect_paths(tokens: TokenStream, prefix: &[(String, Span)], paths: &mut Vec<Path>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let punct = |at: usize, wanted| match tokens.get(at) {
        Some(TokenTree::Punct(punct)) => punct.as_char() == wanted,
        _ => false,
    };
    let colons = |at: usize| punct(at, ':') && punct(at + 1, ':');
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Group(group) => {
                collect_paths(group.stream(), &[], paths);
                at += 1;
            }
            TokenTree::Ident(first) => {
                let after_type = at >= 3 && punct(at - 3, '>');
                let absolute = prefix.is_empty() && at >= 2 && colons(at - 2) && !after_type;
                let mut segments = prefix.to_vec();
                segments.push((first.to_string(), first.span()));
                at += 1;
                while colons(at) {
                    match tokens.get(at + 2) {
                        Some(TokenTree::Ident(ident)) => {
                            segments.push((ident.to_string(), ident.span()));
                            at += 3;
                        }
                        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                            collect_paths(group.stream(), &segments, paths);
                            segments.clear();
                            at += 3;
                        }
                        _ => break,
                    }
                }
                if segments.len() > 1 {
                    let segments = segments
                        .into_iter()
                        .map(|(name, span)| Segment { name, span, arguments: 0 })
                        .collect();
                    paths.push(Path::of_tokens(segments, absolute));
                }
            }
            _ => at += 1,
        }
    }
}

/// Calls `found` for each `name!` among `tokens`.
pub fn macro_calls(tokens: &TokenStream, found: &mut impl FnMut(&str, Span)) {
    let mut tokens = tokens.clone().into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => macro_calls(&group.stream(), found),
            TokenTree::Ident(ident) => {
                if matches!(tokens.peek(), Some(TokenTree::Punct(punct)) if punct.as_char() == '!')
                {
                    found(&ident.to_string(), ident.span());
                }
            }
            _ => {}
        }
    }
}
