//! Lists and maps of a document as the interpreter is given them. To it they are lists and maps like any other; what
//! is their own is what they cost.
//!
//! - Each step of a macro such as `all` binds a copy of its element: a copy is a reference.
//! - Most objects have few members: those are compared in turn, which is quicker than hashing the name. The map that
//!   CEL's own functions ask for is made when one asks.
//! - Where few rules are asked, most of a document is never looked at: what is within another value stays text until
//!   somebody looks.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use cel_interpreter::ExecutionError;
use cel_interpreter::common::traits::{Adder, Container, Indexer, Iterable, Sizer, Zeroer};
use cel_interpreter::common::types::{CelList, CelMap, CelMapKey, CelString, Type};
use cel_interpreter::common::value::{Builtin, BuiltinRef, CowVal, Val};

use crate::values::{Boxed, elements, members};

/// Members that are looked for one after another; an object with more is looked up by hash.
const COMPARED_MAX: usize = 16;

/// A value that is copied by reference, and may be text until it is looked at.
#[derive(Debug, Clone)]
pub struct Shared<'v, T>(Arc<Kept<'v, T>>);

#[derive(Debug, Clone)]
struct Kept<'v, T> {
    text: &'v str,
    value: OnceLock<T>,
}

/// A value that can be read from its JSON text later.
pub trait Late<'v> {
    /// Reads one level of it.
    fn read(text: &'v str) -> Self;
}

impl<'v, T: Late<'v> + Clone> Shared<'v, T> {
    /// Shares a value.
    fn new(value: T) -> Self {
        Self(Arc::new(Kept { text: "", value: OnceLock::from(value) }))
    }

    /// Shares what a text says that was seen to be JSON.
    fn unread(text: &'v str) -> Self {
        Self(Arc::new(Kept { text, value: OnceLock::new() }))
    }

    fn value(&self) -> &T {
        self.0.value.get_or_init(|| T::read(self.0.text))
    }

    fn into_value(self) -> T {
        self.value();
        let Kept { text, value } = Arc::unwrap_or_clone(self.0);
        value.into_inner().unwrap_or_else(|| T::read(text))
    }
}

impl<'v, T: Val + Late<'v> + Clone> Val for Shared<'v, T> {
    fn get_type(&self) -> &Type {
        self.value().get_type()
    }

    fn cel_type() -> &'static Type {
        T::cel_type()
    }

    fn as_adder<'b, 'w>(&'b self) -> Option<&'b (dyn Adder + 'w)>
    where
        Self: 'w,
    {
        self.value().as_adder()
    }

    fn as_container(&self) -> Option<&dyn Container> {
        self.value().as_container()
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        self.value().as_indexer()
    }

    fn into_indexer<'w>(self: Box<Self>) -> Option<Box<dyn Indexer + 'w>>
    where
        Self: 'w,
    {
        Box::new(self.into_value()).into_indexer()
    }

    fn as_iterable<'b, 'w>(&'b self) -> Option<&'b (dyn Iterable + 'w)>
    where
        Self: 'w,
    {
        self.value().as_iterable()
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        self.value().as_sizer()
    }

    fn as_zeroer(&self) -> Option<&dyn Zeroer> {
        self.value().as_zeroer()
    }

    fn equals(&self, other: &dyn Val) -> bool {
        self.value().equals(other)
    }

    fn clone_as_boxed<'w>(&self) -> Boxed<'w>
    where
        Self: 'w,
    {
        Box::new(Self(Arc::clone(&self.0)))
    }

    // What lets the interpreter, and a value that this one is compared with, see the value within.
    fn as_builtin<'b, 'w>(&'b self) -> BuiltinRef<'b, 'w>
    where
        Self: 'w,
    {
        self.value().as_builtin()
    }

    fn into_builtin<'w>(self: Box<Self>) -> Option<Builtin<'w>>
    where
        Self: 'w,
    {
        Box::new(self.into_value()).into_builtin()
    }
}

/// An array of a document.
pub fn array<'v>(elements: Vec<Boxed<'v>>) -> Shared<'v, CelList<'v>> {
    Shared::new(CelList::from(elements))
}

/// An array of a document that nobody has looked at.
pub fn unread_array(text: &str) -> Shared<'_, CelList<'_>> {
    Shared::unread(text)
}

impl<'v> Late<'v> for CelList<'v> {
    fn read(text: &'v str) -> Self {
        Self::from(elements(text))
    }
}

/// The members of an object, each name once.
#[derive(Debug, Clone)]
pub struct Members<'v> {
    listed: Vec<(CelString<'v>, Boxed<'v>)>,
    map: OnceLock<CelMap<'v>>,
}

/// An object of a document.
pub fn object<'v>(members: Vec<(CelString<'v>, Boxed<'v>)>) -> Shared<'v, Members<'v>> {
    Shared::new(Members { listed: members, map: OnceLock::new() })
}

/// An object of a document that nobody has looked at.
pub fn unread_object(text: &str) -> Shared<'_, Members<'_>> {
    Shared::unread(text)
}

impl<'v> Late<'v> for Members<'v> {
    fn read(text: &'v str) -> Self {
        Self { listed: members(text), map: OnceLock::new() }
    }
}

impl<'v> Members<'v> {
    fn map(&self) -> &CelMap<'v> {
        self.map.get_or_init(|| {
            let members = self.listed.iter();
            let members = members.map(|(name, value)| (CelMapKey::String(name.clone()), value.clone()));
            CelMap::from(members.collect::<HashMap<_, _>>())
        })
    }

    fn into_map(self) -> CelMap<'v> {
        self.map();
        self.map.into_inner().unwrap_or_default()
    }
}

impl<'v> Indexer for Members<'v> {
    fn get<'b, 'w>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        if self.listed.len() <= COMPARED_MAX
            && let Some(name) = key.downcast_ref::<CelString>()
            && let Some((_, value)) = self.listed.iter().rev().find(|(known, _)| known.inner() == name.inner())
        {
            return Ok(CowVal::Borrowed(value.as_ref()));
        }
        self.map().get(key)
    }

    fn steal<'w>(self: Box<Self>, key: &dyn Val) -> Result<Boxed<'w>, ExecutionError>
    where
        Self: 'w,
    {
        Box::new(self.into_map()).steal(key)
    }
}

impl<'v> Val for Members<'v> {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        <CelMap<'v> as Val>::cel_type()
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self.map())
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn into_indexer<'w>(self: Box<Self>) -> Option<Box<dyn Indexer + 'w>>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_iterable<'b, 'w>(&'b self) -> Option<&'b (dyn Iterable + 'w)>
    where
        Self: 'w,
    {
        Some(self.map())
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self.map())
    }

    fn as_zeroer(&self) -> Option<&dyn Zeroer> {
        Some(self.map())
    }

    fn equals(&self, other: &dyn Val) -> bool {
        self.map().equals(other)
    }

    fn clone_as_boxed<'w>(&self) -> Boxed<'w>
    where
        Self: 'w,
    {
        Box::new(self.clone())
    }

    fn as_builtin<'b, 'w>(&'b self) -> BuiltinRef<'b, 'w>
    where
        Self: 'w,
    {
        BuiltinRef::Map(self.map())
    }

    fn into_builtin<'w>(self: Box<Self>) -> Option<Builtin<'w>>
    where
        Self: 'w,
    {
        Some(Builtin::Map(self.into_map()))
    }
}
