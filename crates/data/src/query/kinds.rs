//! Comparisons of a column with a value of another kind: never true for any item, and so surely not meant.

use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue};

use crate::{Table, Values};

/// Refuses `column < value` where one is a text and the other a number, or one a list.
pub(super) fn check(expression: &IdedExpr, items: &Table) -> Result<(), String> {
    let Expr::Call(call) = &expression.expr else { return Ok(()) };
    let is_comparison = ["_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"].contains(&&*call.func_name);
    if let ([a, b], true) = (&call.args[..], is_comparison)
        && let (Some(a), Some(b)) = (kind(&a.expr, items), kind(&b.expr, items))
        && a.1 != b.1
    {
        let hint = match (a.1, b.1) {
            ("a list", _) | (_, "a list") => "ask `\"label\" in column`",
            _ => "put texts in quotes, and read a text as a number by `double(column)`",
        };
        return Err(format!("{} is {} and {} is {}: {hint}", a.0, a.1, b.0, b.1));
    }
    call.args.iter().try_for_each(|arg| check(arg, items))
}

/// Names a column or a value, and says what it is.
fn kind(expr: &Expr, items: &Table) -> Option<(String, &'static str)> {
    match expr {
        Expr::Ident(name) => {
            let kind = match &items.column(name)?.values {
                Values::Text(_) => "a text",
                Values::Categories(_) => "a list",
                Values::Number(_) => "a number",
            };
            Some((format!("`{name}`"), kind))
        }
        Expr::Literal(LiteralValue::String(text)) => {
            Some((format!("{:?}", text.inner()), "a text"))
        }
        Expr::Literal(LiteralValue::Int(number)) => Some((number.inner().to_string(), "a number")),
        Expr::Literal(LiteralValue::Double(number)) => {
            Some((number.inner().to_string(), "a number"))
        }
        _ => None,
    }
}
