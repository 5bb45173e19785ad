//! An expression rewritten so that the interpreter has less to do. The rewritten form gives what the original gives
//! wherever it gives a value; where it gives an error, the original is evaluated for the error's own words.
//!
//! - `manifest.a.b` is to the interpreter a qualified name first: it joins `manifest.a.b`, asks every scope for a
//!   variable of each of its prefixes, and then selects. `manifest['a']['b']` is looked up at once. The two differ
//!   only on values of the optional type, and so only what is JSON for certain is rewritten.
//! - `!x` names the types of its operand for an error before there is one. `x ? false : true` does not.
//! - A comparison names its types for an error too, and a function is looked for among all that there are and all
//!   that take other types. The commonest are declared a second time, under names that are found first and for any
//!   types; what they cannot answer, the original says.
//! - `all` and `exists` ask in each step whether what they have so far is not strictly false, which, being true or
//!   false, it says itself.

use std::cmp::Ordering;

use cel_interpreter::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};
use cel_interpreter::common::functions::Function;
use cel_interpreter::common::types::{CelBool, CelString, DYN_TYPE};
use cel_interpreter::common::value::CowVal;
use cel_interpreter::{Env, ExecutionError, IdedExpr};

use crate::expression::VARIABLES;

/// Functions and operators that are declared a second time: what a rule writes, how many values it takes with the
/// one it is called on, and what it becomes. No rule can write such a name. Names are searched for in their order, so
/// the commonest come first.
const DECLARED: [(&str, usize, &str, Function); 8] = [
    ("size", 1, "!0 size", size),
    ("startsWith", 2, "!1 startsWith", |values| texts(&values, |text, part| text.starts_with(part))),
    (operators::LESS, 2, "!2 <", |values| compared(&values, Ordering::is_lt)),
    (operators::LESS_EQUALS, 2, "!3 <=", |values| compared(&values, Ordering::is_le)),
    (operators::GREATER, 2, "!4 >", |values| compared(&values, Ordering::is_gt)),
    (operators::GREATER_EQUALS, 2, "!5 >=", |values| compared(&values, Ordering::is_ge)),
    ("contains", 2, "!6 contains", |values| texts(&values, |text, part| text.contains(part))),
    ("endsWith", 2, "!7 endsWith", |values| texts(&values, |text, part| text.ends_with(part))),
];

/// Declares them.
pub fn declare(env: &mut Env) {
    for (_, count, name, function) in DECLARED {
        let types = (0..count).map(|_| DYN_TYPE).collect();
        env.add_overload(name, name, types, function).expect("the library has no such names");
    }
}

fn size<'b, 'v>(values: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let sizer = values.first().and_then(|value| value.as_sizer()).ok_or_else(unanswered)?;
    Ok(CowVal::owned(sizer.size()))
}

fn texts<'b, 'v>(
    values: &[CowVal<'_, '_>],
    holds: impl Fn(&str, &str) -> bool,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [one, other] = values else { return Err(unanswered()) };
    match (one.downcast_ref::<CelString>(), other.downcast_ref::<CelString>()) {
        (Some(one), Some(other)) => Ok(truth(holds(one.inner(), other.inner()))),
        _ => Err(unanswered()),
    }
}

fn compared<'b, 'v>(
    values: &[CowVal<'_, '_>],
    holds: impl Fn(Ordering) -> bool,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [one, other] = values else { return Err(unanswered()) };
    let ordering = one.as_comparer().ok_or_else(unanswered)?.compare(other.as_ref())?;
    Ok(truth(holds(ordering)))
}

fn truth<'b, 'v>(holds: bool) -> CowVal<'b, 'v> {
    CowVal::Borrowed(if holds { &CelBool::TRUE } else { &CelBool::FALSE })
}

/// Nobody reads it: the original is evaluated next.
fn unanswered() -> ExecutionError {
    ExecutionError::function_error("quick", "not for these types")
}

/// The rewritten form.
pub fn rewritten(root: &IdedExpr) -> IdedExpr {
    let mut root = root.clone();
    Rewrite { bound: Vec::new() }.visit(&mut root);
    root
}

struct Rewrite {
    /// The variables of the macros around, innermost last, and whether they are JSON.
    bound: Vec<(String, bool)>,
}

impl Rewrite {
    /// Answers whether the node's value is JSON for certain.
    fn visit(&mut self, node: &mut IdedExpr) -> bool {
        match &mut node.expr {
            Expr::Ident(name) => self.is_json(name),
            Expr::Select(select) => {
                let is_json = self.visit(&mut select.operand) && !select.test;
                if is_json {
                    let operand = std::mem::take(&mut *select.operand);
                    let field = literal(LiteralValue::String(CelString::from(std::mem::take(&mut select.field))));
                    node.expr = call(operators::INDEX, vec![operand, field]);
                }
                is_json
            }
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                list.elements.iter_mut().for_each(|element| {
                    self.visit(element);
                });
                false
            }
            Expr::Map(map) => {
                map.entries.iter_mut().for_each(|entry| self.entry(&mut entry.expr));
                false
            }
            Expr::Struct(literal) => {
                literal.entries.iter_mut().for_each(|entry| self.entry(&mut entry.expr));
                false
            }
            Expr::Comprehension(comprehension) => {
                self.comprehension(comprehension);
                false
            }
            Expr::Literal(_) | Expr::Unspecified => false,
        }
    }

    fn call(&mut self, node: &mut CallExpr) -> bool {
        if let Some(target) = &mut node.target {
            self.visit(target);
        }
        let are_json: Vec<_> = node.args.iter_mut().map(|argument| self.visit(argument)).collect();
        if node.func_name == operators::LOGICAL_NOT && node.args.len() == 1 {
            let truths = [false, true].map(|truth| literal(LiteralValue::Boolean(CelBool::from(truth))));
            node.args.extend(truths);
            operators::CONDITIONAL.clone_into(&mut node.func_name);
        }
        let count = node.args.len() + usize::from(node.target.is_some());
        let is_operator = !node.func_name.starts_with(|first: char| first.is_ascii_alphabetic());
        let is_called_right = is_operator || node.target.is_some() || node.func_name == "size";
        let declared = DECLARED.iter().find(|(name, known, ..)| *name == node.func_name && *known == count);
        if let (Some((_, _, name, _)), true) = (declared, is_called_right) {
            (*name).clone_into(&mut node.func_name);
            node.args.splice(0..0, node.target.take().map(|target| *target));
        }
        node.func_name == operators::INDEX && are_json.first() == Some(&true)
    }

    fn entry(&mut self, entry: &mut EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => {
                self.visit(&mut field.value);
            }
            EntryExpr::MapEntry(entry) => {
                self.visit(&mut entry.key);
                self.visit(&mut entry.value);
            }
        }
    }

    fn comprehension(&mut self, node: &mut ComprehensionExpr) {
        if is_fold(node)
            && let Expr::Call(condition) = &mut node.loop_cond.expr
            && condition.func_name == operators::NOT_STRICTLY_FALSE
            && let Some(inner) = condition.args.pop()
        {
            node.loop_cond = inner;
        }
        let is_json = self.visit(&mut node.iter_range);
        self.visit(&mut node.accu_init);
        let before = self.bound.len();
        self.bound.push((node.iter_var.clone(), is_json));
        self.bound.extend(node.iter_var2.clone().map(|name| (name, false)));
        self.bound.push((node.accu_var.clone(), false));
        self.visit(&mut node.loop_cond);
        self.visit(&mut node.loop_step);
        self.visit(&mut node.result);
        self.bound.truncate(before);
    }

    fn is_json(&self, name: &str) -> bool {
        let bound = self.bound.iter().rev().find(|(known, _)| known == name);
        bound.map_or_else(|| VARIABLES.contains(&name), |(_, is_json)| *is_json)
    }
}

/// True for `all` and `exists`: what they gather starts as true or false, and each step is `gathered && …` or
/// `gathered || …`, which gives true, false or an error.
fn is_fold(node: &ComprehensionExpr) -> bool {
    let Expr::Call(step) = &node.loop_step.expr else { return false };
    let is_gathered = |node: &IdedExpr, name: &str| matches!(&node.expr, Expr::Ident(known) if known == name);
    matches!(node.accu_init.expr, Expr::Literal(LiteralValue::Boolean(_)))
        && matches!(step.func_name.as_str(), operators::LOGICAL_AND | operators::LOGICAL_OR)
        && step.args.first().is_some_and(|first| is_gathered(first, &node.accu_var))
}

fn literal(value: LiteralValue) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Literal(value) }
}

fn call(name: &str, args: Vec<IdedExpr>) -> Expr {
    Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args })
}
