//! Yes or no for every item, as an expression over its fields says: `price < 50 && "scifi" in categories`.
//!
//! The language is the Common Expression Language (<https://cel.dev>). Columns of items are variables by their names, and entries of `item`
//! (`item["release date"]`); `id` is the item's id; columns of the user who asks are entries of `user`. What is missing is `null`, and an
//! item that cannot be judged because of it is a no.

use std::collections::HashMap;
use std::sync::Arc;

use cel::{Context, ExecutionError, Program, Value};

use super::kinds;
use crate::{Error, Table, Values, intern};

/// Longer expressions are refused.
const MAX_BYTES: usize = 4096;
/// Brackets nested deeper are refused: they would be read by as many calls.
const MAX_DEPTH: usize = 32;
/// Operators in a row are read by as many calls, too.
const MAX_WORDS: usize = 512;
/// Names that are not columns.
const ITEM: &str = "item";
const USER: &str = "user";
const ID: &str = "id";

/// A yes-or-no question about items.
#[derive(Debug)]
pub struct Expression {
    text: String,
    program: Program,
    reads_user: bool,
    /// Columns that it names as variables.
    columns: Vec<usize>,
    reads_item: bool,
}

/// Answers, and what those that could not be judged (a no each) lack, with their number.
type Answers = (Vec<bool>, Option<(String, usize)>);

/// What an item could not be judged for.
enum Unjudged {
    /// A value is missing, or of another kind than the expression expects.
    Value(String),
    /// The expression is wrong for every item.
    Expression(String),
}

impl Expression {
    /// Reads an expression over the columns of `items` and `users`; unknown names are refused with the one most like them.
    pub fn new(text: &str, items: &Table, users: &Table) -> Result<Self, Error> {
        let bad = |problem: String| Error::Expression { text: text.into(), problem };
        check_size(text).map_err(bad)?;
        let program = Program::compile(text).map_err(|errors| bad(syntax(&errors)))?;
        let (mut columns, mut reads_item, mut reads_user) = (Vec::new(), false, false);
        let references = program.references();
        let mut names = references.variables();
        names.sort_unstable();
        for name in names {
            reads_item |= name == ITEM;
            reads_user |= name == USER;
            columns.extend(items.columns().iter().position(|column| column.name == name));
        }
        drop(references);
        kinds::check(program.expression(), items).map_err(bad)?;
        let expression = Self { text: text.into(), program, reads_user, columns, reads_item };
        expression.try_out(items, users)?;
        Ok(expression)
    }

    /// Returns the expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Tells whether the answer depends on who asks.
    pub const fn reads_user(&self) -> bool {
        self.reads_user
    }

    /// Answers for every item. `user` is who asks, if they are in the table.
    pub fn all(
        &self,
        items: &Table,
        users: &Table,
        user: Option<usize>,
    ) -> Result<Vec<bool>, Error> {
        let rows: Vec<usize> = (0..items.len()).collect();
        let (allowed, unjudged) = self.judge(&rows, (items, users, user))?;
        match unjudged {
            // No item at all could be judged: the kinds of values do not go together.
            Some((problem, n))
                if n == rows.len() && n > 0 && user.is_none() && !self.reads_user =>
            {
                Err(Error::Expression { text: self.text.clone(), problem })
            }
            _ => Ok(allowed),
        }
    }

    /// Answers for some items, in their order.
    pub fn some(
        &self,
        rows: &[usize],
        items: &Table,
        (users, user): (&Table, Option<usize>),
    ) -> Result<Vec<bool>, Error> {
        self.judge(rows, (items, users, user)).map(|(allowed, _)| allowed)
    }

    /// Finds names that no column has, and answers that are no yes or no.
    fn try_out(&self, items: &Table, users: &Table) -> Result<(), Error> {
        // Rows need not reach every name: `false && nonsense` never looks at it.
        let names = self.program.references();
        let mut unknown: Vec<&str> = names.variables();
        unknown.retain(|name| {
            ![ITEM, USER, ID].contains(name) && items.column(name).is_none() && !self.binds(name)
        });
        unknown.sort_unstable();
        if let Some(name) = unknown.first() {
            return Err(self.unknown(name, items));
        }
        let rows: Vec<usize> = (0..items.len().min(100)).collect();
        self.judge(&rows, (items, users, (!users.is_empty()).then_some(0))).map(|_| ())
    }

    /// Tells whether a macro of the expression makes `name`, as `exists(name, …)` does.
    fn binds(&self, name: &str) -> bool {
        let macros = ["all(", "exists(", "exists_one(", "map(", "filter("];
        let is_internal = name.starts_with('@') || name.starts_with("__");
        is_internal
            || macros.iter().any(|start| {
                let mut rest = self.text.as_str();
                while let Some(at) = rest.find(start) {
                    rest = &rest[at + start.len()..];
                    let bound = rest.split(',').next().unwrap_or_default().trim();
                    if bound == name {
                        return true;
                    }
                }
                false
            })
    }

    fn unknown(&self, name: &str, items: &Table) -> Error {
        let fields = items.columns().iter().map(|column| column.name.as_str());
        let nearest = intern::nearest(name, fields.clone());
        let hint = nearest.map(|near| format!("; did you mean `{near}`?")).unwrap_or(".".into());
        let known: Vec<&str> = fields.collect();
        let problem = format!(
            "no field `{name}`{hint} Items have: {}. Write texts in quotes, columns with spaces as item[\"the name\"], \
             those of who asks as user.name",
            known.join(", ")
        );
        Error::Expression { text: self.text.clone(), problem }
    }

    fn judge(
        &self,
        rows: &[usize],
        (items, users, user): (&Table, &Table, Option<usize>),
    ) -> Result<Answers, Error> {
        let mut root = Context::default();
        if self.reads_user {
            let fields = fields(users, user, user.map(|row| users.ids().name(row as u32)));
            root.add_variable_from_value(USER, fields);
        }
        let mut unjudged: Option<(String, usize)> = None;
        let mut allowed = Vec::with_capacity(rows.len());
        for &row in rows {
            let mut scope = root.new_inner_scope();
            scope.add_variable_from_value(ID, items.ids().name(row as u32).to_owned());
            for &at in &self.columns {
                let column = &items.columns()[at];
                scope.add_variable_from_value(column.name.as_str(), value(&column.values, row));
            }
            if self.reads_item {
                let id = items.ids().name(row as u32);
                scope.add_variable_from_value(ITEM, fields(items, Some(row), Some(id)));
            }
            allowed.push(match self.answer(&scope) {
                Ok(answer) => answer,
                Err(Unjudged::Value(problem)) => {
                    unjudged = Some((problem, unjudged.map_or(1, |(_, n)| n + 1)));
                    false
                }
                Err(Unjudged::Expression(problem)) => {
                    return Err(Error::Expression { text: self.text.clone(), problem });
                }
            });
        }
        Ok((allowed, unjudged))
    }

    fn answer(&self, scope: &Context<'_, '_>) -> Result<bool, Unjudged> {
        match self.program.execute(scope) {
            Ok(Value::Bool(answer)) => Ok(answer),
            Ok(Value::Null) => Ok(false),
            Ok(other) => Err(Unjudged::Expression(format!(
                "says {} instead of yes or no: compare it, as in `price < 50`",
                kind(&other)
            ))),
            Err(ExecutionError::UndeclaredReference(name)) => Err(Unjudged::Expression(format!(
                "`{name}` is neither a field nor a function: write texts in quotes"
            ))),
            Err(ExecutionError::NoSuchKey(name)) => {
                Err(Unjudged::Expression(format!("no field `{name}` there")))
            }
            Err(ExecutionError::NoSuchOverload(error))
                if !error.argument_types().iter().any(|kind| kind.contains("null")) =>
            {
                Err(Unjudged::Expression(format!(
                    "{error}: these kinds of values do not go together; a text is compared with a text in quotes, and read as a number \
                     by double(…), as in `double(year) < 1980`"
                )))
            }
            Err(other) => Err(Unjudged::Value(other.to_string())),
        }
    }
}

fn check_size(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("is empty: write something like `price < 50`".into());
    }
    if text.len() > MAX_BYTES {
        return Err(format!("has {} bytes, at most {MAX_BYTES} are read", text.len()));
    }
    let mut depth = 0usize;
    for sign in text.chars() {
        match sign {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(format!("its brackets are nested more than {MAX_DEPTH} deep"));
        }
    }
    let signs = text.chars().filter(|sign| "!-+*/%?:&|<>=.,".contains(*sign)).count();
    if signs > MAX_WORDS {
        return Err(format!(
            "has more than {MAX_WORDS} signs: shorten it, as in `id in [\"a\", \"b\"]`"
        ));
    }
    Ok(())
}

fn syntax(errors: &cel::parser::ParseErrors) -> String {
    let first = errors.to_string();
    let line = first.lines().find(|line| !line.trim().is_empty()).unwrap_or("cannot be read");
    format!(
        "{}: write comparisons joined by && and ||, as in `price < 50 && \"scifi\" in categories`",
        line.trim()
    )
}

/// The fields of a row by name; all missing without a row.
fn fields(table: &Table, row: Option<usize>, id: Option<&str>) -> Value {
    let value = |values: &Values| row.map_or(Value::Null, |row| value(values, row));
    let columns = table.columns().iter();
    let mut fields: HashMap<String, Value> =
        columns.map(|column| (column.name.clone(), value(&column.values))).collect();
    let id = id.map_or(Value::Null, |id| Value::String(Arc::new(id.to_owned())));
    fields.entry(ID.to_owned()).or_insert(id);
    Value::from(fields)
}

fn value(values: &Values, row: usize) -> Value {
    match values {
        Values::Text(texts) => match texts.get(row).filter(|text| !text.is_empty()) {
            Some(text) => Value::String(Arc::new(text.clone())),
            None => Value::Null,
        },
        Values::Categories(lists) => {
            let labels = lists.get(row).into_iter().flatten();
            Value::List(Arc::new(labels.map(|l| Value::String(Arc::new(l.clone()))).collect()))
        }
        Values::Number(numbers) => match numbers.get(row).filter(|x| x.is_finite()) {
            // As people write it: 0.7, not 0.699999988.
            Some(x) => Value::Float(x.to_string().parse().unwrap_or(f64::from(*x))),
            None => Value::Null,
        },
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::List(_) => "a list",
        Value::Map(_) => "a table",
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => "a number",
        Value::String(_) => "a text",
        _ => "something",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Column, Interner};

    fn table(ids: &[&str], columns: Vec<(&str, Values)>) -> Table {
        let mut interner = Interner::default();
        ids.iter().for_each(|id| {
            interner.intern(id);
        });
        let columns = columns
            .into_iter()
            .map(|(name, values)| Column { name: name.into(), values })
            .collect();
        Table::new(interner, columns).unwrap()
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    fn shop() -> (Table, Table) {
        let items = table(
            &["a", "b", "c"],
            vec![
                ("title", Values::Text(words(&["Alien", "Brazil", ""]))),
                ("price", Values::Number(vec![10.0, 60.5, f32::NAN])),
                (
                    "categories",
                    Values::Categories(vec![
                        words(&["scifi", "horror"]),
                        words(&["scifi"]),
                        vec![],
                    ]),
                ),
                ("release year", Values::Number(vec![1979.0, 1985.0, 2000.0])),
            ],
        );
        let users = table(&["u", "v"], vec![("budget", Values::Number(vec![50.0, 100.0]))]);
        (items, users)
    }

    fn ask(text: &str, user: Option<usize>) -> Result<Vec<bool>, String> {
        let (items, users) = shop();
        let expression = Expression::new(text, &items, &users).map_err(|e| e.to_string())?;
        expression.all(&items, &users, user).map_err(|e| e.to_string())
    }

    #[test]
    fn fields_are_compared_and_what_is_missing_is_a_no() {
        for (text, expected) in [
            ("price < 50 && \"scifi\" in categories", [true, false, false]),
            ("price < 60.5", [true, false, false]),
            ("price >= 60.5 || title == \"Alien\"", [true, true, false]),
            ("item[\"release year\"] > 1980", [false, true, true]),
            ("id in [\"a\", \"c\"]", [true, false, true]),
            ("categories.exists(c, c.startsWith(\"hor\"))", [true, false, false]),
            ("price == null", [false, false, true]),
            ("!(price < 50)", [false, true, false]),
            ("size(categories) == 0", [false, false, true]),
        ] {
            assert_eq!(ask(text, None), Ok(expected.to_vec()), "{text}");
        }
    }

    #[test]
    fn who_asks_may_be_asked_about() {
        let text = "price <= user.budget";
        assert_eq!(ask(text, Some(0)), Ok(vec![true, false, false]));
        assert_eq!(ask(text, Some(1)), Ok(vec![true, true, false]));
        assert_eq!(ask(text, None), Ok(vec![false; 3]), "a stranger has no budget");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in [
            ("prise < 50", "did you mean `price`"),
            ("false && nonsense", "no field `nonsense`"),
            ("price <", "price < 50"),
            ("price", "a number instead of yes or no"),
            ("title < 50", "`title` is a text and 50 is a number"),
            ("title < 50 && price > 1000", "double(column)"),
            ("categories == \"scifi\"", "\"label\" in column"),
            ("size(categories) < \"x\"", "do not go together"),
            ("categories + 1 == 2", "Unsupported"),
            ("", "is empty"),
            ("item.nope == 1", "no field `nope`"),
            ("scifi in categories", "Write texts in quotes"),
            ("user.age > 3", "no field `age`"),
            (&"(".repeat(40), "nested"),
            (&"x".repeat(5000), "5000 bytes"),
            (&"!".repeat(600), "signs"),
        ] {
            let error = ask(text, None).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn no_text_makes_it_panic(text in "[a-z0-9 ()\\[\\]{}<>=!&|.,\"'+*/%?:-]{0,60}") {
            drop(ask(&text, None));
        }
    }
}
