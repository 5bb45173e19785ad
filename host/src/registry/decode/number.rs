//! Numbers as both formats read them: exact integers, finite doubles, nothing else.

use serde_json::{Number, Value};

/// The largest integer that a double holds exactly together with both its neighbours (RFC 7493, section 2.2).
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// An integer from its digits in a base; the error says what to change.
pub(super) fn integer(is_negative: bool, digits: &str, base: u32, written: &str) -> Result<Value, String> {
    match u64::from_str_radix(digits, base) {
        Ok(magnitude) if magnitude <= INTEGER_MAX => Ok(signed(is_negative, magnitude)),
        _ => Err(format!(
            "the integer {} is beyond {INTEGER_MAX}, past which integers are not exact: write it as a string",
            super::shown(written)
        )),
    }
}

/// An integer that is known to be small enough. Minus zero is zero, as the canonical form has it.
pub(super) fn signed(is_negative: bool, magnitude: u64) -> Value {
    match i64::try_from(magnitude) {
        Ok(magnitude) if is_negative => Value::from(-magnitude),
        _ => Value::from(magnitude),
    }
}

/// A number with a fraction or an exponent, in a form that Rust's own parser reads.
pub(super) fn double(written: &str) -> Result<Value, String> {
    written
        .parse()
        .ok()
        .and_then(Number::from_f64)
        .map(Value::Number)
        .ok_or_else(|| format!("the number {} is too large for a double: write it as a string", super::shown(written)))
}
