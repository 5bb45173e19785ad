//! A TOML table read key by key: every key that is asked for is known, and what is left over is a problem. Problems
//! are gathered with file, line and key, so that an author sees all of them at once.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::unknown;
use crate::names::NameError;
use crate::registry::decode::position;

/// The file that the tables are in, and what is wrong with it.
pub(in crate::cli) struct Sheet<'a> {
    file: &'a str,
    text: &'a str,
    problems: RefCell<Vec<(usize, String)>>,
}

impl<'a> Sheet<'a> {
    pub(in crate::cli) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, problems: RefCell::new(Vec::new()) }
    }

    /// Notes a problem at a byte of the file.
    pub(in crate::cli) fn problem(&self, at: usize, message: impl std::fmt::Display) {
        let line = position(self.text, at).0;
        self.problems.borrow_mut().push((at, format!("{}:{line}: {message}", self.file)));
    }

    /// Every problem in the order of the file.
    pub(in crate::cli) fn problems(self) -> Vec<String> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        problems.into_iter().map(|(_, problem)| problem).collect()
    }
}

/// One table.
pub(in crate::cli) struct Table<'a> {
    sheet: &'a Sheet<'a>,
    table: &'a DeTable<'a>,
    /// What messages call it: `[[kinds]]`.
    title: String,
    start: usize,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    pub(in crate::cli) fn root(sheet: &'a Sheet<'a>, table: &'a Spanned<DeTable<'a>>) -> Self {
        let title = "the file".to_owned();
        Self { sheet, table: table.get_ref(), title, start: 0, known: RefCell::default() }
    }

    fn look(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        if !self.known.borrow().contains(&key) {
            self.known.borrow_mut().push(key);
        }
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    /// Whether the key is there.
    pub(in crate::cli) fn has(&self, key: &'static str) -> bool {
        self.look(key).is_some()
    }

    /// Where the key's value stands; the table's beginning where it is not there.
    pub(in crate::cli) fn place(&self, key: &str) -> usize {
        self.table.iter().find(|(name, _)| name.get_ref() == key).map_or(self.start, |(_, value)| value.span().start)
    }

    /// Notes a problem of one key.
    pub(in crate::cli) fn problem(&self, key: &str, message: impl std::fmt::Display) {
        self.sheet.problem(self.place(key), format_args!("{}: {key}: {message}", self.title));
    }

    fn wants<T>(&self, key: &str, what: &str, value: &DeValue<'_>) -> Option<T> {
        let found = value.type_str();
        let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
        self.problem(key, format_args!("takes {what}, not {article} {found}"));
        None
    }

    /// The key's text.
    pub(in crate::cli) fn text(&self, key: &'static str) -> Option<&'a str> {
        let value = self.look(key)?.get_ref();
        value.as_str().or_else(|| self.wants(key, "text in quotes", value))
    }

    /// The key's text, which must be there.
    pub(in crate::cli) fn required(&self, key: &'static str) -> Option<&'a str> {
        if self.look(key).is_none() {
            self.sheet.problem(self.start, format_args!("{}: '{key}' is missing: add it", self.title));
        }
        self.text(key)
    }

    /// The key's text as a name of its form, which must be there.
    pub(in crate::cli) fn name<T: FromStr<Err = NameError>>(&self, key: &'static str) -> Option<T> {
        let text = self.required(key)?;
        text.parse().map_err(|error| self.problem(key, error)).ok()
    }

    /// The key's text as one of the known words, which must be there unless `default` says what it is without.
    pub(in crate::cli) fn word<T: Copy>(
        &self,
        key: &'static str,
        words: &[(&str, T)],
        default: Option<T>,
    ) -> Option<T> {
        let text = match default {
            Some(default) => match self.text(key) {
                Some(text) => text,
                None => return Some(default),
            },
            None => self.required(key)?,
        };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.problem(key, format_args!("'{text}' is not one of {}", known.join(", ")));
        }
        found
    }

    /// The key's flag; false where it is not there.
    pub(in crate::cli) fn flag(&self, key: &'static str) -> bool {
        let Some(value) = self.look(key).map(Spanned::get_ref) else { return false };
        value.as_bool().or_else(|| self.wants(key, "true or false", value)).unwrap_or(false)
    }

    /// The key's whole number.
    pub(in crate::cli) fn whole(&self, key: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.look(key)?.get_ref();
        let number = value.as_integer().and_then(|digits| i64::from_str_radix(digits.as_str(), digits.radix()).ok());
        let found = number.filter(|number| range.contains(number));
        if found.is_none() {
            let (first, last) = (range.start(), range.end());
            self.problem(key, format_args!("takes a whole number from {first} to {last}"));
        }
        found
    }

    /// The key's list of names.
    pub(in crate::cli) fn names<T: FromStr<Err = NameError>>(&self, key: &'static str) -> Vec<T> {
        let Some(value) = self.look(key).map(Spanned::get_ref) else { return Vec::new() };
        let Some(items) = value.as_array() else {
            return self.wants::<()>(key, "a list of names", value).map_or_else(Vec::new, |()| Vec::new());
        };
        let read = |item: &Spanned<DeValue<'_>>| match item.get_ref().as_str() {
            Some(text) => text.parse().map_err(|error| self.problem(key, error)).ok(),
            None => self.wants(key, "a list of names", item.get_ref()),
        };
        items.iter().filter_map(read).collect()
    }

    /// The key's table; `title` is what messages call it.
    pub(in crate::cli) fn table(&self, key: &'static str, title: &str) -> Option<Table<'a>> {
        let value = self.look(key)?;
        match value.get_ref().as_table() {
            Some(table) => Some(self.within(table, title.to_owned(), value.span())),
            None => self.wants(key, "a table", value.get_ref()),
        }
    }

    /// The key's tables, as `[[key]]` writes them.
    pub(in crate::cli) fn tables(&self, key: &'static str) -> Vec<Table<'a>> {
        let Some(value) = self.look(key).map(Spanned::get_ref) else { return Vec::new() };
        let Some(items) = value.as_array() else {
            let _: Option<()> = self.wants(key, &format!("tables: write [[{key}]]"), value);
            return Vec::new();
        };
        let read = |item: &'a Spanned<DeValue<'a>>| match item.get_ref().as_table() {
            Some(table) => Some(self.within(table, format!("[[{key}]]"), item.span())),
            None => self.wants(key, &format!("tables: write [[{key}]]"), item.get_ref()),
        };
        items.iter().filter_map(read).collect()
    }

    fn within(&self, table: &'a DeTable<'a>, title: String, span: Range<usize>) -> Table<'a> {
        Table { sheet: self.sheet, table, title, start: span.start, known: RefCell::default() }
    }

    /// The key's value as JSON.
    pub(in crate::cli) fn json(&self, key: &'static str) -> Option<Value> {
        let value = self.look(key)?.get_ref();
        json(value).map_err(|message| self.problem(key, message)).ok()
    }

    /// Every member as JSON, whatever it is called.
    pub(in crate::cli) fn members(&self) -> Vec<(String, Value)> {
        let read = |(name, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
            let name = name.get_ref().to_string();
            json(value.get_ref()).map_err(|message| self.problem(&name, message)).ok().map(|value| (name, value))
        };
        self.table.iter().filter_map(read).collect()
    }

    /// Notes every key that was not asked for.
    pub(in crate::cli) fn finish(&self) {
        let known = self.known.borrow();
        for (name, _) in self.table.iter().filter(|(name, _)| !known.contains(&name.get_ref().as_ref())) {
            let message = unknown(name.get_ref(), &known);
            self.sheet.problem(name.span().start, format_args!("{}: {message}", self.title));
        }
    }
}

/// A TOML value as JSON: dates become text.
pub(in crate::cli) fn json(value: &DeValue<'_>) -> Result<Value, String> {
    Ok(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(date) => Value::String(date.to_string()),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(exact) if exact.unsigned_abs() < 1 << 53 => Value::from(exact),
            _ => return Err(format!("the integer {integer} is not exact as a double: write it as text")),
        },
        DeValue::Float(float) => match float.as_str().parse().ok().and_then(Number::from_f64) {
            Some(number) => Value::Number(number),
            None => return Err(format!("JSON has no {}", float.as_str())),
        },
        DeValue::Array(items) => Value::Array(items.iter().map(|item| json(item.get_ref())).collect::<Result<_, _>>()?),
        DeValue::Table(table) => {
            let member = |(name, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
                Ok((name.get_ref().to_string(), json(value.get_ref())?))
            };
            Value::Object(table.iter().map(member).collect::<Result<Map<_, _>, String>>()?)
        }
    })
}
