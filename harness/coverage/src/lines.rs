//! The lines for which a binary has code, from its debug information.
//!
//! Generic code is compiled only for what somebody uses it with. A function that no scenario
//! instantiates has no line in the table, which is another gap than one that is never called.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Component, Path, PathBuf};

use gimli::{AttributeValue, EndianSlice, RunTimeEndian};
use object::{Object, ObjectSection};

type Reader<'a> = EndianSlice<'a, RunTimeEndian>;

/// For each file, the lines that have code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    files: BTreeMap<String, BTreeSet<u32>>,
}

impl Lines {
    /// Reads the line table of the executable at `binary`. Files are named relative to `root`;
    /// those outside of it are left out.
    ///
    /// # Errors
    /// The file cannot be read, is no executable, or has no line table (`debug =
    /// "line-tables-only"` makes one).
    pub fn read(binary: &Path, root: &Path) -> Result<Self, String> {
        let lines = Self::try_read(binary, root)
            .map_err(|error| format!("cannot read lines of {}: {error}", binary.display()))?;
        if lines.files.is_empty() {
            let binary = binary.display();
            return Err(format!("{binary} has no line table: build with debug = line-tables-only"));
        }
        Ok(lines)
    }

    fn try_read(binary: &Path, root: &Path) -> Result<Self, Box<dyn Error>> {
        let data = fs::read(binary)?;
        let object = object::File::parse(&*data)?;
        let endian =
            if object.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
        let section = |id: gimli::SectionId| -> Result<Cow<'_, [u8]>, object::Error> {
            match object.section_by_name(id.name()) {
                Some(section) => section.uncompressed_data(),
                None => Ok(Cow::Borrowed(&[])),
            }
        };
        let sections = gimli::DwarfSections::load(section)?;
        let dwarf = sections.borrow(|section| EndianSlice::new(section, endian));
        let mut lines = Self::default();
        let mut units = dwarf.units();
        while let Some(header) = units.next()? {
            lines.add_unit(&dwarf, &dwarf.unit(header)?, root)?;
        }
        Ok(lines)
    }

    fn add_unit(
        &mut self,
        dwarf: &gimli::Dwarf<Reader<'_>>,
        unit: &gimli::Unit<Reader<'_>>,
        root: &Path,
    ) -> gimli::Result<()> {
        let Some(program) = unit.line_program.clone() else { return Ok(()) };
        let mut names: BTreeMap<u64, Option<String>> = BTreeMap::new();
        let header = program.header().clone();
        let mut name = |index: u64| {
            names
                .entry(index)
                .or_insert_with(|| file_name(dwarf, unit, &header, index, root))
                .clone()
        };
        let mut rows = program.rows();
        while let Some((_, row)) = rows.next_row()? {
            if let (Some(line), Some(file)) = (row.line(), name(row.file_index())) {
                self.add(file, line.get());
            }
        }
        // Where an inlined function was called, the table has only the lines of its body.
        let mut entries = unit.entries();
        while let Some((_, entry)) = entries.next_dfs()? {
            if entry.tag() != gimli::DW_TAG_inlined_subroutine {
                continue;
            }
            let number = |attribute| match entry.attr_value(attribute) {
                Ok(Some(AttributeValue::FileIndex(index))) => Some(index),
                Ok(Some(value)) => value.udata_value(),
                _ => None,
            };
            let call = (number(gimli::DW_AT_call_file), number(gimli::DW_AT_call_line));
            if let (Some(index), Some(line)) = call
                && let Some(file) = name(index)
            {
                self.add(file, line);
            }
        }
        Ok(())
    }

    fn add(&mut self, file: String, line: u64) {
        if let Ok(line) = u32::try_from(line) {
            self.files.entry(file).or_default().insert(line);
        }
    }

    /// Whether one of the lines from `first` to `last` of `file` has code.
    pub fn has_code(&self, file: &str, first: u32, last: u32) -> bool {
        self.files.get(file).is_some_and(|lines| lines.range(first..=last).next().is_some())
    }
}

/// The file of this index relative to `root`; none if it is outside.
fn file_name(
    dwarf: &gimli::Dwarf<Reader<'_>>,
    unit: &gimli::Unit<Reader<'_>>,
    header: &gimli::LineProgramHeader<Reader<'_>>,
    index: u64,
    root: &Path,
) -> Option<String> {
    let file = header.file(index)?;
    let text = |value| {
        let text = dwarf.attr_string(unit, value).ok()?;
        Some(text.to_string_lossy().into_owned())
    };
    let mut path = PathBuf::new();
    if let Some(directory) = unit.comp_dir {
        path.push(&*directory.to_string_lossy());
    }
    if let Some(directory) = file.directory(header) {
        path.push(text(directory)?);
    }
    path.push(text(file.path_name())?);
    let plain: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    let relative = plain.strip_prefix(root).ok()?;
    Some(relative.to_string_lossy().into_owned())
}
