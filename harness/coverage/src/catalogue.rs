//! What there is to reach: every platform operation in the production code, from its source.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use raddle_source::operations::{self, Category};
use raddle_source::{Context, File, FileId, Modules, Node, Place, Root, walk};
use walkdir::WalkDir;

use crate::exclusion::{self, Exclusion};
use crate::hits::{Operation, Site};

/// A package whose operations are listed.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Relative to the root of the workspace. What is read is `src` in it.
    pub directory: PathBuf,
    /// The root modules of its library and its binaries, relative to the root of the workspace.
    pub roots: Vec<PathBuf>,
}

/// One operation in the source.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where `Location::caller()` places it.
    pub site: Site,
    /// What it acts on.
    pub category: Category,
    /// The method and the orderings, as they are written.
    pub operation: Operation,
    /// The function around it: `name`, or `Owner::name`; empty outside of all.
    pub function: String,
    /// The lines of that function, the first and the last.
    pub function_lines: (u32, u32),
    /// How many operations of the same name precede it in its function.
    pub index: usize,
    /// The exclusions that cover it, as indices.
    pub(crate) exclusions: Vec<usize>,
}

impl Entry {
    /// A name that stays when lines move: file, function, operation, and the how-manieth of its kind
    /// it is there, from 1.
    pub fn key(&self) -> String {
        let function = if self.function.is_empty() { "-" } else { &self.function };
        format!("{} {function} {}#{}", self.site.file, self.operation.name, self.index + 1)
    }
}

/// A source file.
#[derive(Clone, Debug)]
pub struct Source {
    /// The package that it belongs to.
    pub package: String,
    /// All of it.
    pub text: String,
}

/// The platform operations of some packages.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    pub(crate) entries: Vec<Entry>,
    pub(crate) exclusions: Vec<Exclusion>,
    pub(crate) sources: BTreeMap<String, Source>,
    /// Exclusions that are not understood.
    pub(crate) errors: Vec<String>,
}

impl Catalogue {
    /// Reads the sources of `packages` in the workspace at `root`. Test code is left out.
    ///
    /// # Errors
    /// A file cannot be read, or does not parse.
    pub fn read(root: &Path, packages: &[Package]) -> Result<Self, String> {
        let mut catalogue = Self::default();
        for package in packages {
            let mut files = Vec::new();
            let source = root.join(&package.directory).join("src");
            for entry in WalkDir::new(&source).sort_by_file_name() {
                let entry = entry.map_err(|error| error.to_string())?;
                if entry.path().extension().is_none_or(|extension| extension != "rs") {
                    continue;
                }
                let text = fs::read_to_string(entry.path())
                    .map_err(|error| format!("cannot read {}: {error}", entry.path().display()))?;
                let path = entry.path().strip_prefix(root).unwrap_or(entry.path()).to_path_buf();
                files.push((path, text));
            }
            catalogue.add(&package.name, files, &package.roots)?;
        }
        Ok(catalogue)
    }

    /// Adds the operations in `files`, which are all files of one package.
    ///
    /// # Errors
    /// A file does not parse.
    pub fn add(
        &mut self,
        package: &str,
        files: Vec<(PathBuf, String)>,
        roots: &[PathBuf],
    ) -> Result<(), String> {
        let parsed: Vec<_> =
            files.iter().map(|(path, text)| File::new(path.clone(), text)).collect();
        for file in &parsed {
            if let Some((place, error)) = &file.error {
                let (path, line) = (file.path.display(), place.line);
                return Err(format!("{path}:{line}: the file does not parse: {error}"));
            }
        }
        let roots: Vec<_> =
            roots.iter().map(|file| Root { file: file.clone(), test: false }).collect();
        let modules = Modules::build(&parsed, &roots);
        for (index, file) in parsed.iter().enumerate() {
            let found = exclusion::read(file, &mut self.errors);
            let first = self.exclusions.len();
            self.exclusions.extend(found);
            self.add_file(&parsed, FileId(index), &modules, first);
        }
        for (path, text) in files {
            let source = Source { package: package.to_owned(), text };
            self.sources.insert(name_of(&path), source);
        }
        Ok(())
    }

    fn add_file(&mut self, files: &[File], id: FileId, modules: &Modules, first: usize) {
        let mut found: Vec<Entry> = Vec::new();
        walk(files, id, modules, &mut |context, node| {
            let operation = match node {
                Node::MethodCall(call) => operations::of_method(call),
                Node::Call(call) => operations::of_call(call),
                _ => None,
            };
            if let Some(operation) = operation.filter(|_| !context.test) {
                found.push(entry(context, operation));
            }
        });
        found.sort_by(|a, b| a.site.cmp(&b.site));
        let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
        for entry in &mut found {
            let kind = (entry.function.clone(), entry.operation.name.clone());
            let count = counts.entry(kind).or_default();
            entry.index = *count;
            *count += 1;
            entry.exclusions.retain_mut(|line| {
                let of_comment = self.exclusions[first..]
                    .iter()
                    .position(|exclusion| exclusion.line == *line && exclusion.block.is_none());
                *line = first + of_comment.unwrap_or(0);
                of_comment.is_some()
            });
            let line = entry.site.line as usize;
            for (index, exclusion) in self.exclusions.iter().enumerate().skip(first) {
                if exclusion.block.is_some_and(|last| exclusion.line < line && line < last) {
                    entry.exclusions.push(index);
                }
            }
        }
        self.entries.append(&mut found);
    }

    /// All operations, in the order of the files and of the text.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The files that were read, by their paths relative to the root of the workspace.
    pub fn sources(&self) -> &BTreeMap<String, Source> {
        &self.sources
    }

    /// The operation at `site`.
    pub fn get(&self, site: &Site) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.site == *site)
    }
}

fn entry(context: &Context<'_>, operation: operations::Operation) -> Entry {
    let place = Place::of(operation.span);
    let (function, lines) = match &context.function {
        Some(function) => (function.name.clone(), function.lines),
        None => (String::new(), (place.line, place.line)),
    };
    // The lines of the comments for now; those that exclude become indices.
    let exclusions = context.comments(place).iter().map(|comment| comment.place.line).collect();
    Entry {
        site: Site {
            file: name_of(&context.file.path),
            line: number(place.line),
            column: number(place.column),
        },
        category: operation.category,
        operation: Operation { name: operation.name, orderings: operation.orderings },
        function,
        function_lines: (number(lines.0), number(lines.1)),
        index: 0,
        exclusions,
    }
}

fn name_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn number(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}
