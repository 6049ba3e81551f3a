//! Shows every node that a rule can ask about, with what surrounds it.
//!
//! syn stops at macros; the walk goes on: the arguments of `assert!` and its like are parsed and
//! walked as code, and what does not parse (and each `macro_rules!` body) is searched for paths.

use proc_macro2::{Span, TokenStream};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, Expr, Item, QSelf, Signature, Stmt};

use super::comments::Comment;
use super::file::{File, FileId};
use super::macros::{parse_macro, token_paths};
use super::modules::{ModuleId, Modules};
use super::names::{self, Foreign, Meaning, Names, Scope, Written};
use super::{Place, attributes};

/// Something that a rule can ask about.
pub enum Node<'a> {
    /// A path, wherever it stands.
    Path(&'a Path),
    /// `f(…)`.
    Call(&'a syn::ExprCall),
    /// `a.f(…)`.
    MethodCall(&'a syn::ExprMethodCall),
    /// `loop`, `while` or `for`.
    Loop(&'a Expr),
    /// The keyword of an unsafe block.
    UnsafeBlock(Span),
    /// A function or method.
    Function(&'a Function<'a>),
    /// An item.
    Item(&'a Item),
    /// The call or the definition of a macro.
    Macro(&'a syn::Macro),
    /// What a macro is given and did not parse, or the body of a `macro_rules!`.
    Tokens(&'a TokenStream),
}

/// A path, as it is written.
pub struct Path {
    /// The names that `::` separates.
    pub segments: Vec<Segment>,
    /// Where it stands.
    pub home: Home,
    /// Whether it begins with `::`.
    absolute: bool,
    of_type: bool,
    /// The names of `T` in `<T>::name`.
    self_type: Vec<String>,
}

/// One name of a path.
pub struct Segment {
    /// The name.
    pub name: String,
    /// Where it is.
    pub span: Span,
    /// How many generic arguments it has, lifetimes not counted.
    pub arguments: usize,
}

/// Where a path stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// A type.
    Type,
    /// What a call calls.
    Callee,
    /// Any other expression.
    Value,
    /// What `use` brings in.
    Import {
        /// Whether all of it: `use a::*`.
        glob: bool,
    },
    /// Tokens that were not parsed.
    Tokens,
    /// A bound, a pattern, a struct literal, the name of a macro.
    Other,
}

/// A function with its surroundings.
pub struct Function<'a> {
    /// Its attributes.
    pub attributes: &'a [Attribute],
    /// Its signature.
    pub signature: &'a Signature,
    /// Its body, if it has one.
    pub block: Option<&'a Block>,
    /// The type or trait whose method it is.
    pub owner: Option<String>,
    /// The trait whose method it implements.
    pub implements: Option<String>,
}

/// A place for a finding, and the comments that could allow it.
#[derive(Clone, Debug)]
pub struct Spot {
    /// The file.
    pub file: FileId,
    /// Where in the file.
    pub place: Place,
    /// The lines of the comments that cover it.
    pub comment_lines: Vec<usize>,
}

/// What surrounds the node that is being shown.
pub struct Context<'a> {
    /// The file.
    pub file: &'a File,
    id: FileId,
    modules: &'a Modules,
    module: ModuleId,
    /// The names declared in the blocks around, innermost last.
    blocks: Vec<Names>,
    anchors: Vec<Anchor>,
    /// The function around, with the type or trait whose method it is: `Owner::name`.
    pub function: Option<Enclosing>,
    /// Whether this exists in test builds only.
    pub test: bool,
    /// Whether this is inside a `macro_rules!`.
    pub in_rules: bool,
}

/// The function that something stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enclosing {
    /// `name`, or `Owner::name`.
    pub name: String,
    /// The lines of the text that it takes, the first and the last.
    pub lines: (usize, usize),
}

/// Where a comment for what follows is looked for: above a statement or item; above an arm too.
struct Anchor {
    line: usize,
    arm: bool,
}

impl Context<'_> {
    /// The path that another crate has for this; none if it is something of this crate.
    pub fn resolve(&self, path: &Path) -> Option<Foreign> {
        if path.of_type {
            return None;
        }
        let written = Written {
            segments: path.segments.iter().map(|segment| segment.name.clone()).collect(),
            absolute: path.absolute,
        };
        let scope = Scope { modules: self.modules, module: self.module, blocks: &self.blocks };
        match scope.resolve(&written) {
            Meaning::Foreign(foreign) => Some(foreign),
            Meaning::Module(_) | Meaning::Local => None,
        }
    }

    /// The comments that speak of what is at `place`: those above its line, above the statement
    /// that contains it, and in between.
    pub fn comments(&self, place: Place) -> Vec<&Comment> {
        let mut found: Vec<_> = self.file.comments_above(place.line).collect();
        if let Some(innermost) = self.anchors.last() {
            found.extend(self.file.comments_before(innermost.line, place));
        }
        for anchor in self.anchors.iter().rev() {
            found.extend(self.file.comments_above(anchor.line));
            if !anchor.arm {
                break;
            }
        }
        found
    }

    /// Whether one of the [comments](Self::comments) contains `tag`.
    pub fn says(&self, place: Place, tag: &str) -> bool {
        self.comments(place).iter().any(|comment| comment.text.contains(tag))
    }

    /// The spot where `span` begins.
    pub fn spot(&self, span: Span) -> Spot {
        let place = Place::of(span);
        let comment_lines = self.comments(place).iter().map(|comment| comment.place.line).collect();
        Spot { file: self.id, place, comment_lines }
    }
}

impl Path {
    /// What syn has parsed.
    pub fn new(path: &syn::Path, qself: Option<&QSelf>, home: Home) -> Self {
        Self {
            segments: path.segments.iter().map(Segment::new).collect(),
            home,
            absolute: path.leading_colon.is_some(),
            of_type: qself.is_some_and(|qself| qself.position == 0),
            self_type: qself.map(self_type).unwrap_or_default(),
        }
    }

    /// A path among tokens that were not parsed.
    pub(crate) fn of_tokens(segments: Vec<Segment>, absolute: bool) -> Self {
        Self { segments, home: Home::Tokens, absolute, of_type: false, self_type: Vec::new() }
    }

    /// The last segment.
    pub fn last(&self) -> Option<&Segment> {
        self.segments.last()
    }

    /// The names of the type in `<a::T>::name` and `<a::T as Trait>::name`.
    pub fn self_type(&self) -> impl Iterator<Item = &str> {
        self.self_type.iter().map(String::as_str)
    }

    /// Whether it begins with `<T>::`, so that the first segment is no name in any scope.
    pub fn of_type(&self) -> bool {
        self.of_type
    }
}

fn self_type(qself: &QSelf) -> Vec<String> {
    match &*qself.ty {
        syn::Type::Path(path) => {
            path.path.segments.iter().map(|segment| segment.ident.to_string()).collect()
        }
        _ => Vec::new(),
    }
}

impl Segment {
    fn new(segment: &syn::PathSegment) -> Self {
        let arguments = match &segment.arguments {
            syn::PathArguments::AngleBracketed(generic) => generic
                .args
                .iter()
                .filter(|argument| !matches!(argument, syn::GenericArgument::Lifetime(_)))
                .count(),
            _ => 0,
        };
        Self { name: segment.ident.to_string(), span: segment.ident.span(), arguments }
    }

    fn bare(ident: &syn::Ident) -> Self {
        Self { name: ident.to_string(), span: ident.span(), arguments: 0 }
    }
}

/// Shows the nodes of `file`, outer before inner, in the order of the text.
pub fn walk(
    files: &[File],
    id: FileId,
    modules: &Modules,
    show: &mut dyn FnMut(&Context<'_>, &Node<'_>),
) {
    let file = &files[id.0];
    let module = modules.of_file(id);
    let context = Context {
        file,
        id,
        modules,
        module,
        blocks: Vec::new(),
        anchors: Vec::new(),
        function: None,
        test: modules.get(module).test,
        in_rules: false,
    };
    let mut walker = Walker { context, owner: None, show };
    for item in &file.syntax.items {
        walker.visit_item(item);
    }
}

struct Walker<'a, 's> {
    context: Context<'a>,
    /// The type or trait whose items are being visited, and the trait that is implemented.
    owner: Option<(String, Option<String>)>,
    show: &'s mut dyn FnMut(&Context<'_>, &Node<'_>),
}

impl Walker<'_, '_> {
    fn show(&mut self, node: &Node<'_>) {
        (self.show)(&self.context, node);
    }

    /// Visits what a statement, item or arm that begins at `span` contains.
    fn within(
        &mut self,
        span: Span,
        arm: bool,
        attributes: &[Attribute],
        go: impl FnOnce(&mut Self),
    ) {
        let test = self.context.test;
        self.context.test |= attributes::test_only(attributes);
        self.context.anchors.push(Anchor { line: span.start().line, arm });
        go(self);
        self.context.anchors.pop();
        self.context.test = test;
    }

    fn path(&mut self, path: &syn::Path, qself: Option<&QSelf>, home: Home) {
        if let Some(qself) = qself {
            self.visit_type(&qself.ty);
        }
        self.show(&Node::Path(&Path::new(path, qself, home)));
        for segment in &path.segments {
            self.visit_path_arguments(&segment.arguments);
        }
    }

    fn tokens(&mut self, tokens: &TokenStream) {
        self.show(&Node::Tokens(tokens));
        for path in token_paths(tokens.clone()) {
            self.show(&Node::Path(&path));
        }
    }

    fn function(&mut self, attributes: &[Attribute], signature: &Signature, block: Option<&Block>) {
        let (owner, implements) = self.owner.clone().unzip();
        let implements = implements.flatten();
        self.show(&Node::Function(&Function { attributes, signature, block, owner, implements }));
    }

    /// Visits the body of a function.
    fn body(&mut self, ident: &syn::Ident, span: Span, go: impl FnOnce(&mut Self)) {
        let name = match &self.owner {
            Some((owner, _)) => format!("{owner}::{ident}"),
            None => ident.to_string(),
        };
        let lines = (span.start().line, span.end().line);
        let outer = self.context.function.replace(Enclosing { name, lines });
        go(self);
        self.context.function = outer;
    }

    fn owned_by(&mut self, owner: Option<(String, Option<String>)>, go: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.owner, owner);
        go(self);
        self.owner = outer;
    }
}

impl<'ast> Visit<'ast> for Walker<'_, '_> {
    // Neither is code of this crate.
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_item(&mut self, item: &'ast Item) {
        self.within(item.span(), false, item_attributes(item), |walker| {
            walker.show(&Node::Item(item));
            visit::visit_item(walker, item);
        });
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let Some(module) = self.context.modules.declared(self.context.id, item) else { return };
        let outer = std::mem::replace(&mut self.context.module, module);
        let blocks = std::mem::take(&mut self.context.blocks);
        self.owned_by(None, |walker| visit::visit_item_mod(walker, item));
        self.context.blocks = blocks;
        self.context.module = outer;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for leaf in names::leaves(&item.tree) {
            let path = Path {
                segments: leaf.segments.into_iter().map(Segment::bare).collect(),
                home: Home::Import { glob: leaf.glob },
                absolute: item.leading_colon.is_some(),
                of_type: false,
                self_type: Vec::new(),
            };
            self.show(&Node::Path(&path));
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let owner = match &*item.self_ty {
            syn::Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
            _ => None,
        };
        let implements = item.trait_.as_ref().and_then(|(path, _)| path.segments.last());
        let implements = implements.map(|last| last.ident.to_string());
        let owner = (owner.unwrap_or_default(), implements);
        self.owned_by(Some(owner), |walker| visit::visit_item_impl(walker, item));
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        let owner = Some((item.ident.to_string(), None));
        self.owned_by(owner, |walker| visit::visit_item_trait(walker, item));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.owned_by(None, |walker| {
            walker.function(&item.attrs, &item.sig, Some(&item.block));
            walker.body(&item.sig.ident, item.span(), |walker| visit::visit_item_fn(walker, item));
        });
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Const(item) => item.attrs.as_slice(),
            syn::ImplItem::Fn(item) => &item.attrs,
            syn::ImplItem::Type(item) => &item.attrs,
            syn::ImplItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        self.within(item.span(), false, attributes, |walker| visit::visit_impl_item(walker, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.attrs, &item.sig, Some(&item.block));
        self.body(&item.sig.ident, item.span(), |walker| {
            visit::visit_impl_item_fn(walker, item);
        });
    }

    fn visit_trait_item(&mut self, item: &'ast syn::TraitItem) {
        self.within(item.span(), false, &[], |walker| visit::visit_trait_item(walker, item));
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.function(&item.attrs, &item.sig, item.default.as_ref());
        self.body(&item.sig.ident, item.span(), |walker| {
            visit::visit_trait_item_fn(walker, item);
        });
    }

    fn visit_block(&mut self, block: &'ast Block) {
        let items = block.stmts.iter().filter_map(|statement| match statement {
            Stmt::Item(item) => Some(item),
            _ => None,
        });
        let context = &mut self.context;
        let names = Names::collect(items, |item| context.modules.declared(context.id, item));
        context.blocks.push(names);
        visit::visit_block(self, block);
        self.context.blocks.pop();
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        let attributes = match statement {
            Stmt::Local(local) => local.attrs.as_slice(),
            Stmt::Macro(mac) => &mac.attrs,
            Stmt::Item(_) | Stmt::Expr(..) => &[],
        };
        self.within(statement.span(), false, attributes, |walker| {
            visit::visit_stmt(walker, statement);
        });
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        self.within(arm.span(), true, &arm.attrs, |walker| visit::visit_arm(walker, arm));
    }

    fn visit_expr(&mut self, expr: &'ast Expr) {
        match expr {
            Expr::Call(call) => self.show(&Node::Call(call)),
            Expr::MethodCall(call) => self.show(&Node::MethodCall(call)),
            Expr::Loop(_) | Expr::While(_) | Expr::ForLoop(_) => self.show(&Node::Loop(expr)),
            Expr::Unsafe(block) => self.show(&Node::UnsafeBlock(block.unsafe_token.span)),
            _ => {}
        }
        visit::visit_expr(self, expr);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        match &*call.func {
            Expr::Path(path) => self.path(&path.path, path.qself.as_ref(), Home::Callee),
            func => self.visit_expr(func),
        }
        for argument in &call.args {
            self.visit_expr(argument);
        }
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        self.path(&path.path, path.qself.as_ref(), Home::Value);
    }

    fn visit_pat(&mut self, pattern: &'ast syn::Pat) {
        match pattern {
            syn::Pat::Path(path) => self.path(&path.path, path.qself.as_ref(), Home::Other),
            pattern => visit::visit_pat(self, pattern),
        }
    }

    fn visit_type_path(&mut self, path: &'ast syn::TypePath) {
        self.path(&path.path, path.qself.as_ref(), Home::Type);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.path(path, None, Home::Other);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.show(&Node::Macro(mac));
        self.path(&mac.path, None, Home::Other);
        if mac.path.is_ident("macro_rules") {
            let outer = std::mem::replace(&mut self.context.in_rules, true);
            self.tokens(&mac.tokens);
            self.context.in_rules = outer;
            return;
        }
        let Some(statements) = parse_macro(mac) else { return self.tokens(&mac.tokens) };
        for statement in &statements {
            match statement {
                // The enclosing statement is the one that calls the macro.
                Stmt::Expr(expr, None) => self.visit_expr(expr),
                statement => self.visit_stmt(statement),
            }
        }
    }
}

fn item_attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
