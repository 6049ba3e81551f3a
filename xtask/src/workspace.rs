//! The packages of a workspace, as cargo sees them.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::Error;

/// A workspace.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Where cargo puts what it builds.
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Relative to the root.
    pub(crate) directory: PathBuf,
    pub(crate) role: Role,
    pub(crate) targets: Vec<Target>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// Which rules a package is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// `crates/platform`: production code, and the one place that may name the machine.
    Platform,
    /// The other `crates/*`, and `apps/*`.
    Production,
    /// The harness, the benches, xtask.
    Tool,
}

/// Something that cargo builds.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Relative to the root of the workspace.
    pub(crate) file: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Library,
    Binary,
    Test,
    Bench,
    Example,
    BuildScript,
}

/// A line of `[dependencies]` and its kin.
#[derive(Debug)]
pub(crate) struct Dependency {
    /// The package's own name.
    pub(crate) package: String,
    /// The name that it has in the manifest.
    pub(crate) key: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<RawPackage>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct RawPackage {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<RawTarget>,
    dependencies: Vec<RawDependency>,
}

#[derive(Deserialize)]
struct RawTarget {
    name: String,
    kind: Vec<String>,
    src_path: PathBuf,
}

#[derive(Deserialize)]
struct RawDependency {
    name: String,
    rename: Option<String>,
}

impl Workspace {
    /// The workspace that this program belongs to.
    pub(crate) fn own() -> Result<Self, Error> {
        Self::load(&root())
    }

    /// Reads the workspace whose root is `directory`.
    pub(crate) fn load(directory: &Path) -> Result<Self, Error> {
        let output = cargo()
            .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
            .arg(directory.join("Cargo.toml"))
            .output()
            .map_err(|error| Error::new(format!("cannot run cargo: {error}")))?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            return Err(Error::new(format!("cargo metadata failed: {}", message.trim())));
        }
        let metadata: Metadata = serde_json::from_slice(&output.stdout)
            .map_err(|error| Error::new(format!("cargo metadata is not understood: {error}")))?;
        let root = metadata.workspace_root;
        let mut packages: Vec<_> =
            metadata.packages.into_iter().map(|package| Package::new(package, &root)).collect();
        packages.sort_by(|a, b| a.directory.cmp(&b.directory));
        Ok(Self { root, target: metadata.target_directory, packages })
    }

    /// The package called `name`.
    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// The package to which the file at `path` (relative to the root) belongs.
    pub(crate) fn package_of(&self, path: &Path) -> Option<&Package> {
        self.packages
            .iter()
            .filter(|package| path.starts_with(&package.directory))
            .max_by_key(|package| package.directory.components().count())
            .filter(|package| !self.is_in_another_workspace(path, &package.directory))
    }

    /// Whether a manifest between `directory` and the file makes it part of a workspace of its own.
    fn is_in_another_workspace(&self, path: &Path, directory: &Path) -> bool {
        let between = path.ancestors().skip(1).take_while(|ancestor| *ancestor != directory);
        let mut between = between.filter(|ancestor| !ancestor.as_os_str().is_empty());
        between.any(|ancestor| self.root.join(ancestor).join("Cargo.toml").is_file())
    }

    /// All targets of a kind.
    pub(crate) fn targets(&self, kind: Kind) -> impl Iterator<Item = &Target> {
        self.packages
            .iter()
            .flat_map(|package| &package.targets)
            .filter(move |target| target.kind == kind)
    }
}

impl Package {
    fn new(raw: RawPackage, root: &Path) -> Self {
        let relative = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_path_buf();
        let directory = relative(raw.manifest_path.parent().unwrap_or(root));
        let role = if directory == Path::new("crates/platform") {
            Role::Platform
        } else if directory.starts_with("crates") || directory.starts_with("apps") {
            Role::Production
        } else {
            Role::Tool
        };
        let targets = raw
            .targets
            .iter()
            .map(|target| Target {
                name: target.name.clone(),
                kind: Kind::new(&target.kind),
                file: relative(&target.src_path),
            })
            .collect();
        let dependencies = raw
            .dependencies
            .into_iter()
            .map(|raw| Dependency {
                key: raw.rename.unwrap_or_else(|| raw.name.clone()),
                package: raw.name,
            })
            .collect();
        Self { name: raw.name, directory, role, targets, dependencies }
    }

    /// Relative to the root.
    pub(crate) fn manifest(&self) -> PathBuf {
        self.directory.join("Cargo.toml")
    }

    /// Whether it has a target of this kind and name.
    pub(crate) fn has(&self, kind: Kind, name: &str) -> bool {
        self.targets.iter().any(|target| target.kind == kind && target.name == name)
    }
}

impl Kind {
    fn new(kinds: &[String]) -> Self {
        match kinds.first().map_or("", String::as_str) {
            "bin" => Self::Binary,
            "test" => Self::Test,
            "bench" => Self::Bench,
            "example" => Self::Example,
            "custom-build" => Self::BuildScript,
            _ => Self::Library,
        }
    }
}

/// The directory of the workspace that this program belongs to.
pub(crate) fn root() -> PathBuf {
    // Cargo sets the variable for what it runs. It is asked before what was compiled in, because
    // two checkouts that share a target directory share the program.
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().unwrap_or(&xtask).to_path_buf()
}

/// The cargo that runs this program, in the root of the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}
