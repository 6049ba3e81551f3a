//! One value per world.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

/// Names a value that exists once per world.
///
/// ```
/// use raddle_platform::{Native, Platform, global::Key};
/// static GREETING: Key = Key::new("greeting");
/// let value = Native::global(&GREETING, || String::from("hello"));
/// assert_eq!(&*value, "hello");
/// ```
#[derive(Debug)]
pub struct Key(&'static str);

impl Key {
    /// A key. Two keys with one name and one type of value are the same.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }
}

/// Keeps the value alive, even beyond its world.
#[derive(Debug)]
pub struct Handle<T>(Arc<T>);

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Handle<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// The values of one world; a platform keeps one of these per world.
#[derive(Debug, Default)]
pub struct Table(HashMap<(&'static str, TypeId), Arc<dyn Any + Send + Sync>>);

impl Table {
    /// The value of `key`, made by `init` if it is not there.
    ///
    /// # Panics
    /// Never: a value is stored under its own type.
    pub fn get<T: Send + Sync + 'static>(
        &mut self,
        key: &'static Key,
        init: fn() -> T,
    ) -> Handle<T> {
        let value = self
            .0
            .entry((key.0, TypeId::of::<T>()))
            .or_insert_with(|| Arc::new(init()))
            .clone()
            .downcast::<T>();
        Handle(value.unwrap_or_else(|_| unreachable!("the type is part of the key")))
    }
}
