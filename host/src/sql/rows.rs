//! Columns to the registry's types. A value that does not parse is the database's fault, and said so with the column.

use std::str::FromStr;

use sqlx::any::AnyRow;
use sqlx::{Any, Decode, Row as _, Type};

use crate::clock::Millis;
use crate::registry::store::{Page, StoreError};

/// A column as it is.
pub(super) fn plain<'r, T: Decode<'r, Any> + Type<Any>>(
    row: &'r AnyRow,
    column: &'static str,
) -> Result<T, StoreError> {
    row.try_get(column)
        .map_err(|error| StoreError::Broken(format!("column {column} cannot be read"), Some(Box::new(error))))
}

/// A column that holds a name.
pub(super) fn name<T>(row: &AnyRow, column: &'static str) -> Result<T, StoreError>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: &str = plain(row, column)?;
    text.parse()
        .map_err(|error| StoreError::Broken(format!("column {column} holds no valid name"), Some(Box::new(error))))
}

/// A column that holds an instant.
pub(super) fn millis(row: &AnyRow, column: &'static str) -> Result<Millis, StoreError> {
    plain(row, column).map(Millis)
}

/// A page from its rows and, where more follow, the first row of the next.
pub(super) fn page<T>(
    rows: &[AnyRow],
    limit: u32,
    read: impl Fn(&AnyRow) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let items = rows.iter().take(limit).map(read).collect::<Result<_, _>>()?;
    Ok(Page { items, more: rows.len() > limit })
}

/// `$first, $second, …`: places for `count` arguments.
pub(super) fn places(first: usize, count: usize) -> String {
    (first..first + count).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
}

/// `($1, $2), ($3, $4), …`: places for `rows` rows of `columns` arguments.
pub(super) fn rows_of_places(columns: usize, rows: usize) -> String {
    (0..rows).map(|row| format!("({})", places(row * columns + 1, columns))).collect::<Vec<_>>().join(", ")
}
