//! Messages with expressions in them: `{{ manifest.name }} has no owner`.

use cel_interpreter::Context;

use crate::expression::{Compiler, Expression, Refusal, Uses};
use crate::values::show;

/// Characters of one shown value.
const SHOWN_MAX: usize = 200;

/// A message, ready to be written.
#[derive(Debug)]
pub struct Message(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    Expression(Expression),
}

impl Message {
    /// Compiles a message. An expression ends at the first `}}`.
    ///
    /// # Errors
    /// What is wrong with its expressions; places are those in the message.
    pub fn compile(source: &str, compiler: &mut Compiler) -> Result<Self, Vec<Refusal>> {
        let mut pieces = Vec::new();
        let mut refusals = Vec::new();
        let mut rest = source;
        while let Some(start) = rest.find("{{") {
            let taken = source.len() - rest.len() + start + 2;
            let Some(length) = rest[start + 2..].find("}}") else {
                let (line, column) = place(&source[..taken - 2]);
                let message = "'{{' has no closing '}}'".to_owned();
                return Err(vec![Refusal { line, column, message }]);
            };
            pieces.push(Piece::Text(rest[..start].to_owned()));
            let inner = &rest[start + 2..start + 2 + length];
            match compiler.compile(inner) {
                Ok(expression) => pieces.push(Piece::Expression(expression)),
                Err(inside) => refusals.extend(inside.into_iter().map(|refusal| within(refusal, &source[..taken]))),
            }
            rest = &rest[start + length + 4..];
        }
        pieces.push(Piece::Text(rest.to_owned()));
        if refusals.is_empty() { Ok(Self(pieces)) } else { Err(refusals) }
    }

    /// What its expressions read.
    pub fn uses(&self) -> Uses {
        let uses = |piece: &Piece| match piece {
            Piece::Expression(expression) => expression.uses,
            Piece::Text(_) => Uses::default(),
        };
        self.0.iter().map(uses).fold(Uses::default(), Uses::and)
    }

    /// Writes the message. What cannot be evaluated is shown as such: a message must not hide a finding.
    pub fn write(&self, context: &Context<'_, '_>) -> String {
        self.0.iter().fold(String::new(), |mut text, piece| {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Expression(expression) => match expression.evaluate(context) {
                    Ok(value) => text.push_str(&cut(show(value.as_ref()))),
                    Err(error) => text.push_str(&format!("({})", cut(error.to_string()))),
                },
            }
            text
        })
    }
}

/// Enough of a text for a message.
pub fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(SHOWN_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn within(refusal: Refusal, before: &str) -> Refusal {
    let (line, column) = place(before);
    let column = if refusal.line == 1 { column + refusal.column - 1 } else { refusal.column };
    Refusal { line: line + refusal.line - 1, column, message: refusal.message }
}

/// Line and column of what follows the text.
fn place(before: &str) -> (usize, usize) {
    let last = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, last.chars().count() + 1)
}
