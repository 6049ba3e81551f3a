//! What is checked: the files of a workspace, read once for all rules.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::Error;
use crate::workspace::{self, Kind, Role, Workspace};
use raddle_source::{Context, File, FileId, Modules, Node, Root};

/// A workspace, or a lone file that is treated as one.
pub(crate) struct Tree {
    pub(crate) workspace: Workspace,
    /// What the paths of findings begin with: the way from the repository's root.
    pub(crate) prefix: PathBuf,
    pub(crate) files: Vec<File>,
    /// The narrowest scope that each of the files is in.
    scopes: Vec<Scope>,
    pub(crate) modules: Modules,
    /// Markdown files and manifests.
    pub(crate) texts: Vec<Text>,
}

/// A file that is not Rust.
pub(crate) struct Text {
    /// Relative to the root.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// Code that a rule is about. Each includes the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// All of it: tests, benches and examples of any package, and the tools.
    Everything,
    /// What ships: the platform and the production crates, without their tests.
    Shipped,
    /// The production crates, without their tests.
    Production,
}

impl Tree {
    /// Reads the workspace at `root`.
    pub(crate) fn workspace(root: &Path) -> Result<Self, Error> {
        let workspace = Workspace::load(root)?;
        let (mut files, mut texts) = (Vec::new(), Vec::new());
        let entries = WalkDir::new(root).sort_by_file_name().into_iter().filter_entry(|entry| {
            entry.path().strip_prefix(root).is_ok_and(|relative| !excluded(relative))
        });
        for entry in entries {
            let entry = entry.map_err(|error| Error::new(error.to_string()))?;
            let relative = entry.path().strip_prefix(root).unwrap_or(entry.path()).to_path_buf();
            match relative.extension().and_then(|extension| extension.to_str()) {
                Some("rs") => files.push(File::new(relative, &read(entry.path())?)),
                Some("md" | "toml") => {
                    texts.push(Text { path: relative, text: read(entry.path())? });
                }
                _ => {}
            }
        }
        let scopes = files.iter().map(|file| Scope::of(&workspace, &file.path)).collect();
        Ok(Self::new(workspace, prefix(root), files, scopes, texts))
    }

    /// Reads a lone file as if it were all of a production crate.
    pub(crate) fn file(path: &Path) -> Result<Self, Error> {
        let own = workspace::root();
        let (root, relative) = match path.strip_prefix(&own) {
            Ok(relative) => (own, relative.to_path_buf()),
            Err(_) => (PathBuf::from("/"), path.strip_prefix("/").unwrap_or(path).to_path_buf()),
        };
        let files = vec![File::new(relative, &read(path)?)];
        let workspace =
            Workspace { root: root.clone(), target: PathBuf::new(), packages: Vec::new() };
        Ok(Self::new(workspace, prefix(&root), files, vec![Scope::Production], Vec::new()))
    }

    fn new(
        workspace: Workspace,
        prefix: PathBuf,
        files: Vec<File>,
        scopes: Vec<Scope>,
        texts: Vec<Text>,
    ) -> Self {
        // The first root counts where crates share a file: what ships comes before tests.
        let of_kind = |kind: Kind, test: bool| {
            workspace.targets(kind).map(move |target| Root { file: target.file.clone(), test })
        };
        let roots: Vec<_> = [(Kind::Library, false), (Kind::Binary, false)]
            .into_iter()
            .chain([Kind::Test, Kind::Bench, Kind::Example, Kind::BuildScript].map(|k| (k, true)))
            .flat_map(|(kind, test)| of_kind(kind, test))
            .collect();
        let modules = Modules::build(&files, &roots);
        Self { workspace, prefix, files, scopes, modules, texts }
    }

    /// Shows every node of every file, with the narrowest scope that it is in.
    pub(crate) fn walk(&self, mut show: impl FnMut(Scope, &Context<'_>, &Node<'_>)) {
        for (index, narrowest) in self.scopes.iter().enumerate() {
            raddle_source::walk(&self.files, FileId(index), &self.modules, &mut |context, node| {
                let scope = if context.test { Scope::Everything } else { *narrowest };
                show(scope, context, node);
            });
        }
    }

    /// The source file at `path`, relative to the root.
    pub(crate) fn file_id(&self, path: &Path) -> Option<FileId> {
        self.files.iter().position(|file| file.path == path).map(FileId)
    }

    /// Whether `path`, relative to the root, exists.
    pub(crate) fn exists(&self, path: &Path) -> bool {
        self.workspace.root.join(path).exists()
    }
}

impl Scope {
    /// The narrowest that the file at `path` is in.
    fn of(workspace: &Workspace, path: &Path) -> Self {
        let Some(package) = workspace.package_of(path) else { return Self::Everything };
        if !path.starts_with(package.directory.join("src")) {
            return Self::Everything;
        }
        match package.role {
            Role::Platform => Self::Shipped,
            Role::Production => Self::Production,
            Role::Tool => Self::Everything,
        }
    }
}

/// Whether the check of a workspace leaves out `path`, which is relative to its root: hidden
/// directories, what is built, and tidy's own fixtures.
pub(crate) fn excluded(path: &Path) -> bool {
    let hidden =
        path.components().any(|component| component.as_os_str().to_string_lossy().starts_with('.'));
    let built = ["target", "artifacts", "xtask/fixtures"];
    hidden || built.iter().any(|excluded| path.starts_with(excluded))
}

fn prefix(root: &Path) -> PathBuf {
    root.strip_prefix(workspace::root()).unwrap_or(root).to_path_buf()
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path)
        .map_err(|error| Error::new(format!("cannot read {}: {error}", path.display())))
}
