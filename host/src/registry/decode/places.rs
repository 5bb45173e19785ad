//! Where each value of a document stands in its text.

use std::collections::HashMap;
use std::ops::Range;

use crate::names::pointer;

/// The step from a value to one within it.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Member(&'a str),
    Element(usize),
}

/// Told of every value while a document is read. `()` keeps nothing, and costs the gate nothing.
pub(super) trait Trace {
    /// A value within the present one begins; `key` is where its name stands.
    fn enter(&mut self, step: Step<'_>, key: Option<Range<usize>>);
    /// The present value ends; the one around it is present again.
    fn leave(&mut self, value: Range<usize>);
}

impl Trace for () {
    #[inline]
    fn enter(&mut self, _: Step<'_>, _: Option<Range<usize>>) {}
    #[inline]
    fn leave(&mut self, _: Range<usize>) {}
}

/// Where one value stands, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its member name; none for an element and for the document itself.
    pub key: Option<Range<usize>>,
    /// The value.
    pub value: Range<usize>,
}

/// Every value's place, by JSON Pointer.
#[derive(Debug, Clone, Default)]
pub struct Places {
    by_pointer: HashMap<String, Place>,
    open: Vec<(String, Option<Range<usize>>)>,
}

impl Places {
    /// The place of the value at the pointer.
    pub fn at(&self, pointer: &str) -> Option<&Place> {
        self.by_pointer.get(pointer)
    }

    /// The place of the value at the pointer, or of its nearest ancestor that the text has, with that one's pointer.
    pub fn nearest<'a>(&self, pointer: &'a str) -> Option<(&'a str, &Place)> {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.by_pointer.get(pointer) {
                return Some((pointer, place));
            }
            pointer = &pointer[..pointer.rfind('/')?];
        }
    }
}

impl Trace for Places {
    fn enter(&mut self, step: Step<'_>, key: Option<Range<usize>>) {
        let parent = self.open.last().map_or("", |(pointer, _)| pointer.as_str());
        let pointer = match step {
            Step::Member(name) => pointer::child(parent, name),
            Step::Element(index) => pointer::child(parent, index),
        };
        self.open.push((pointer, key));
    }

    fn leave(&mut self, value: Range<usize>) {
        let (pointer, key) = self.open.pop().unwrap_or_default();
        self.by_pointer.insert(pointer, Place { key, value });
    }
}
