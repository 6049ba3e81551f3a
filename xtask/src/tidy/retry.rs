//! `retry`: a loop around a compare-and-swap tells the platform that it starts over.
//!
//! A model checker and a simulator schedule one thread at a time: a loop that says nothing when it
//! fails can spin for ever while the thread that it waits for never runs. The reports of retry
//! sites that no test reaches come from the same calls.

use syn::visit::{self, Visit};
use syn::{Expr, ExprCall, ExprMethodCall, ExprPath, Item};

use super::report::Report;
use super::tree::Scope;
use super::{Check, Rule};
use raddle_source::{Context, Node, parse_macro};

pub(crate) const RULE: Rule = Rule {
    name: "retry",
    holds: "a loop with a compare_exchange calls retry, spin_loop or park",
    checks: &[Check::Nodes(Scope::Shipped, inspect)],
};

const MESSAGE: &str = "a compare-and-swap loop that gives nobody else a turn: call \
    `P::retry(\"name\")` or `P::spin_loop()` where it starts over";

fn inspect(context: &Context<'_>, node: &Node<'_>, report: &mut Report<'_>) {
    if let Node::Loop(expr) = node {
        let mut calls = Calls::default();
        calls.visit_loop(expr);
        if calls.swaps && !calls.gives_way {
            report.at(&context.spot(syn::spanned::Spanned::span(*expr)), MESSAGE);
        }
    }
}

/// What a loop calls.
#[derive(Default)]
struct Calls {
    /// A compare-and-swap, outside of inner loops.
    swaps: bool,
    /// Something that lets others run, also in inner loops.
    gives_way: bool,
    /// How many loops are around what is being visited.
    depth: usize,
}

impl Calls {
    fn visit_loop(&mut self, expr: &Expr) {
        self.depth += 1;
        visit::visit_expr(self, expr);
        self.depth -= 1;
    }

    fn call(&mut self, name: &syn::Ident) {
        match name.to_string().as_str() {
            "compare_exchange" | "compare_exchange_weak" => self.swaps |= self.depth == 1,
            "retry" | "spin_loop" | "park" | "park_until" => self.gives_way = true,
            _ => {}
        }
    }
}

impl<'ast> Visit<'ast> for Calls {
    fn visit_expr(&mut self, expr: &'ast Expr) {
        match expr {
            Expr::Loop(_) | Expr::While(_) | Expr::ForLoop(_) => self.visit_loop(expr),
            expr => visit::visit_expr(self, expr),
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        self.call(&call.method);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(ExprPath { path, .. }) = &*call.func
            && let Some(last) = path.segments.last()
        {
            self.call(&last.ident);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        for statement in parse_macro(mac).iter().flatten() {
            self.visit_stmt(statement);
        }
    }

    // A function inside a loop is not called by being there.
    fn visit_item(&mut self, _: &'ast Item) {}
}
