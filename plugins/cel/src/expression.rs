//! Compiling expressions, once, when the plugin is configured. What can be known to be wrong is refused here, with
//! its place: syntax, names that are no variable, functions that do not exist, patterns that are no regular
//! expression. Nothing is compiled again later.

use std::sync::Arc;

use cel_interpreter::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, SourceInfo};
use cel_interpreter::common::types::CelInt;
use cel_interpreter::common::value::CowVal;
use cel_interpreter::{Context, Env, ExecutionError, IdedExpr, Value, extensions};
use regex::Regex;

use crate::quick;

/// The variables of an expression, in the order of [`Uses`].
pub const VARIABLES: [&str; 4] = ["manifest", "submission", "subject", "current"];

/// What a call of `matches` with a literal pattern becomes: the pattern is compiled already, and known by its number.
pub const MATCHES: &str = "@matches";

/// Which variables an expression reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uses {
    /// The document.
    pub manifest: bool,
    /// The whole submission.
    pub submission: bool,
    /// What is judged.
    pub subject: bool,
    /// The active version's document.
    pub current: bool,
}

impl Uses {
    /// What either reads.
    pub fn and(self, other: Self) -> Self {
        Self {
            manifest: self.manifest || other.manifest,
            submission: self.submission || other.submission,
            subject: self.subject || other.subject,
            current: self.current || other.current,
        }
    }
}

/// An expression, ready to be evaluated.
#[derive(Debug)]
pub struct Expression {
    root: IdedExpr,
    quick: IdedExpr,
    /// What it reads.
    pub uses: Uses,
}

impl Expression {
    /// Its value.
    ///
    /// # Errors
    /// It cannot be evaluated.
    pub fn evaluate<'e, 'v>(&'e self, context: &'e Context<'_, 'v>) -> Result<CowVal<'e, 'v>, ExecutionError> {
        // What cannot be evaluated is said in the words of the rule as it was written.
        Value::resolve_val(&self.quick, context).or_else(|_| Value::resolve_val(&self.root, context))
    }
}

/// Why an expression is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// Compiles expressions and keeps the patterns that they name.
pub struct Compiler {
    /// The functions there are.
    pub env: Arc<Env>,
    /// The patterns of all expressions.
    pub patterns: Vec<Regex>,
}

impl Compiler {
    /// A compiler with CEL's standard library and its string functions.
    pub fn new() -> Self {
        let mut env = Env::stdlib();
        env.add_extension(extensions::strings).expect("the standard library declares none of the string functions");
        quick::declare(&mut env);
        Self { env: Arc::new(env), patterns: Vec::new() }
    }

    /// Compiles one expression.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn compile(&mut self, source: &str) -> Result<Expression, Vec<Refusal>> {
        let program = self.env.compile(source).map_err(|errors| {
            let refusal = |error: cel_interpreter::ParseError| Refusal {
                line: usize::try_from(error.pos.0).unwrap_or(1).max(1),
                column: usize::try_from(error.pos.1).unwrap_or(1).max(1),
                message: error.msg,
            };
            errors.errors.into_iter().map(refusal).collect::<Vec<_>>()
        })?;
        let mut root = program.expression().clone();
        let mut check = Check {
            compiler: self,
            source: program.source_info(),
            bound: Vec::new(),
            uses: Uses::default(),
            refusals: Vec::new(),
        };
        check.visit(&mut root, 0);
        let Check { uses, refusals, .. } = check;
        if refusals.is_empty() {
            let quick = quick::rewritten(&root);
            Ok(Expression { root, quick, uses })
        } else {
            Err(refusals)
        }
    }

    /// A function is known where calling it without arguments fails for another reason than its name.
    fn is_function(&self, call: &CallExpr) -> bool {
        let target = call.target.as_ref().map(|target| {
            let named = matches!(target.expr, Expr::Ident(_) | Expr::Select(_));
            if named { target.clone() } else { Box::new(literal(0)) }
        });
        let probe = |target| {
            let call = CallExpr { func_name: call.func_name.clone(), target, args: Vec::new() };
            let call = IdedExpr { id: 0, expr: Expr::Call(call) };
            let context = Context::with_env(Arc::clone(&self.env));
            !matches!(Value::resolve_val(&call, &context), Err(ExecutionError::UndeclaredReference(_)))
        };
        probe(target.clone()) || target.is_some_and(|_| probe(Some(Box::new(literal(0)))))
    }

    /// True where the call names a function of a namespace: `optional.of(x)`.
    fn is_qualified_function(&self, call: &CallExpr) -> bool {
        let Some(target) = &call.target else { return false };
        let Expr::Ident(namespace) = &target.expr else { return false };
        let name = format!("{namespace}.{}", call.func_name);
        self.is_function(&CallExpr { func_name: name, target: None, args: Vec::new() })
    }
}

fn literal(number: i64) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::Int(CelInt::from(number))) }
}

/// One walk over an expression.
struct Check<'a> {
    compiler: &'a mut Compiler,
    source: &'a SourceInfo,
    bound: Vec<String>,
    uses: Uses,
    refusals: Vec<Refusal>,
}

impl Check<'_> {
    /// `around` is the offset of the nearest enclosing node that has one: what macros make has none.
    fn visit(&mut self, node: &mut IdedExpr, around: u32) {
        let offset = self.source.offset_for(node.id).map_or(around, |(start, _)| start);
        match &mut node.expr {
            Expr::Ident(name) => self.name(name, offset),
            Expr::Select(select) => self.visit(&mut select.operand, offset),
            Expr::Call(call) => self.call(call, offset),
            Expr::List(list) => list.elements.iter_mut().for_each(|element| self.visit(element, offset)),
            Expr::Map(map) => map.entries.iter_mut().for_each(|entry| self.entry(&mut entry.expr, offset)),
            Expr::Struct(literal) => literal.entries.iter_mut().for_each(|entry| self.entry(&mut entry.expr, offset)),
            Expr::Comprehension(comprehension) => {
                self.visit(&mut comprehension.iter_range, offset);
                self.visit(&mut comprehension.accu_init, offset);
                let before = self.bound.len();
                self.bound.push(comprehension.iter_var.clone());
                self.bound.extend(comprehension.iter_var2.clone());
                self.bound.push(comprehension.accu_var.clone());
                self.visit(&mut comprehension.loop_cond, offset);
                self.visit(&mut comprehension.loop_step, offset);
                self.visit(&mut comprehension.result, offset);
                self.bound.truncate(before);
            }
            Expr::Literal(_) | Expr::Unspecified => {}
        }
    }

    fn entry(&mut self, entry: &mut EntryExpr, offset: u32) {
        match entry {
            EntryExpr::StructField(field) => self.visit(&mut field.value, offset),
            EntryExpr::MapEntry(entry) => {
                self.visit(&mut entry.key, offset);
                self.visit(&mut entry.value, offset);
            }
        }
    }

    fn call(&mut self, call: &mut CallExpr, offset: u32) {
        let is_operator = !call.func_name.starts_with(|first: char| first.is_ascii_alphabetic());
        let is_qualified = !is_operator && self.compiler.is_qualified_function(call);
        if !is_operator && !is_qualified && !self.compiler.is_function(call) {
            self.refuse(offset, format!("there is no function '{}'", call.func_name));
        }
        if let (Some(target), false) = (&mut call.target, is_qualified) {
            self.visit(target, offset);
        }
        call.args.iter_mut().for_each(|argument| self.visit(argument, offset));
        if call.func_name == "matches" {
            self.compile_pattern(call, offset);
        }
    }

    fn name(&mut self, name: &str, offset: u32) {
        if self.bound.iter().any(|bound| bound == name) {
            return;
        }
        match name {
            "manifest" => self.uses.manifest = true,
            "submission" => self.uses.submission = true,
            "subject" => self.uses.subject = true,
            "current" => self.uses.current = true,
            // The first word of the names of two types.
            "google" => {}
            _ if self.is_type(name) => {}
            _ => self.refuse(offset, format!("there is no variable '{name}': there are {}", VARIABLES.join(", "))),
        }
    }

    fn is_type(&self, name: &str) -> bool {
        let node = IdedExpr { id: 0, expr: Expr::Ident(name.to_owned()) };
        Value::resolve_val(&node, &Context::with_env(Arc::clone(&self.compiler.env))).is_ok()
    }

    /// `text.matches('…')` and `matches(text, '…')` with a literal pattern: compiled here, and tried once, so that
    /// what the pattern's engine makes on first use is in the snapshot too.
    fn compile_pattern(&mut self, call: &mut CallExpr, offset: u32) {
        let Some(IdedExpr { expr: Expr::Literal(LiteralValue::String(pattern)), id }) = call.args.last() else {
            return;
        };
        let pattern = pattern.inner().to_owned();
        let offset = self.source.offset_for(*id).map_or(offset, |(start, _)| start);
        let text = match (call.target.take(), call.args.len()) {
            (Some(target), 1) => *target,
            (None, 2) => call.args.swap_remove(0),
            (target, _) => {
                call.target = target;
                return;
            }
        };
        match Regex::new(&pattern) {
            Ok(pattern) => {
                let _ = pattern.is_match("");
                let number = i64::try_from(self.compiler.patterns.len()).unwrap_or(i64::MAX);
                self.compiler.patterns.push(pattern);
                *call = CallExpr { func_name: MATCHES.to_owned(), target: None, args: vec![text, literal(number)] };
            }
            Err(error) => {
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                self.refuse(offset, format!("'{pattern}' is not a regular expression: {reason}"));
            }
        }
    }

    fn refuse(&mut self, offset: u32, message: String) {
        let (line, column) = position(&self.source.source, offset);
        self.refusals.push(Refusal { line, column, message });
    }
}

/// Line and column, from 1, of an offset in characters.
fn position(source: &str, offset: u32) -> (usize, usize) {
    let before: String = source.chars().take(usize::try_from(offset).unwrap_or(usize::MAX)).collect();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |text| text.chars().count()) + 1;
    (line, column)
}

#[cfg(test)]
mod tests;
