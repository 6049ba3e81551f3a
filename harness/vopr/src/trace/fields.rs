//! Fields with numbers, so that more of them may come to be.

use super::error::Broken;
use super::varint::{Bytes, put, put_text};

/// Appends fields: each its number, its length, and its contents.
#[derive(Debug, Default)]
pub(crate) struct Fields(pub(crate) Vec<u8>);

impl Fields {
    pub(crate) fn text(&mut self, tag: u64, text: &str) {
        put(&mut self.0, tag);
        put_text(&mut self.0, text);
    }

    pub(crate) fn number(&mut self, tag: u64, value: u64) {
        let mut bytes = Vec::new();
        put(&mut bytes, value);
        self.bytes(tag, &bytes);
    }

    pub(crate) fn bytes(&mut self, tag: u64, bytes: &[u8]) {
        put(&mut self.0, tag);
        put(&mut self.0, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
}

/// Calls `each` with the number and the contents of every field.
pub(crate) fn read<'a>(
    payload: &'a [u8],
    mut each: impl FnMut(u64, Bytes<'a>) -> Result<(), Broken>,
) -> Result<(), Broken> {
    let mut bytes = Bytes::new(payload);
    while !bytes.is_empty() {
        let tag = bytes.number()?;
        let length = bytes.count(1)?;
        each(tag, Bytes::new(bytes.take(length)?))?;
    }
    Ok(())
}

/// The whole of a field as a text.
pub(crate) fn text(bytes: &mut Bytes<'_>) -> Result<String, Broken> {
    let all = bytes.take(bytes.left())?;
    let text = core::str::from_utf8(all).map_err(|_| Broken("a text is not UTF-8"))?;
    Ok(text.to_owned())
}
