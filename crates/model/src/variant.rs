//! Variants of a document: declared dimensions with allowed values, such as `locale` and `currency`.

use std::fmt;
use std::sync::Arc;

use crate::error::FieldProblem;

/// One dimension of a namespace's documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dimension {
    name: String,
    values: Vec<String>,
}

impl Dimension {
    /// Declares a dimension; its first value is the default.
    ///
    /// # Errors
    /// When there is no value, or a name or a value is not 1 to 32 characters of `A-Z a-z 0-9 . _ -`.
    pub fn new(name: &str, values: &[String]) -> Result<Self, FieldProblem> {
        let rule = "must be 1 to 32 characters of A-Z, a-z, 0-9, `.`, `_` and `-`";
        if !is_word(name) {
            return Err(FieldProblem::new(
                name,
                format!("the dimension's name {rule}"),
            ));
        }
        if values.is_empty() {
            return Err(FieldProblem::new(
                name,
                "the dimension needs at least one allowed value",
            ));
        }
        if let Some(bad) = values.iter().find(|value| !is_word(value)) {
            return Err(FieldProblem::new(name, format!("the value `{bad}` {rule}")));
        }
        Ok(Dimension {
            name: name.to_owned(),
            values: values.to_vec(),
        })
    }

    /// The dimension's name, as it stands in a URL's query.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The allowed values; the first is the default.
    pub fn values(&self) -> &[String] {
        &self.values
    }
}

fn is_word(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=32).contains(&text.len()) && text.bytes().all(good)
}

/// One variant in canonical form: every declared dimension with its value, `currency=EUR;locale=de`, in the order of declaration.
///
/// Empty where the namespace declares no dimension.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Variant(Arc<str>);

impl Default for Variant {
    fn default() -> Self {
        Variant("".into())
    }
}

impl Variant {
    /// Reads the canonical form; `None` when it is malformed. Whether the values are allowed is the schema's to say.
    pub fn parse(text: &str) -> Option<Self> {
        Self::is_canonical(text).then(|| Variant(text.into()))
    }

    pub(crate) fn is_canonical(text: &str) -> bool {
        let pair = |pair: &str| {
            pair.split_once('=')
                .is_some_and(|(name, value)| is_word(name) && is_word(value))
        };
        text.is_empty()
            || (text.len() <= VariantSchema::VARIANT_BYTES_MAX && text.split(';').all(pair))
    }

    /// The canonical form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The dimensions with their values, in the order of declaration.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.split(';').filter_map(|pair| pair.split_once('='))
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The dimensions that a namespace declares.
#[derive(Clone, Debug, Default)]
pub struct VariantSchema {
    dimensions: Vec<Dimension>,
    default: Variant,
}

impl VariantSchema {
    /// Most dimensions that one namespace may declare.
    pub const DIMENSIONS_MAX: usize = 8;
    const VARIANT_BYTES_MAX: usize = Self::DIMENSIONS_MAX * 66;

    /// Takes the declared dimensions.
    ///
    /// # Errors
    /// When there are more than eight, or two of one name.
    pub fn new(dimensions: Vec<Dimension>) -> Result<Self, FieldProblem> {
        if dimensions.len() > Self::DIMENSIONS_MAX {
            return Err(FieldProblem::new(
                "variants",
                "at most 8 dimensions can be declared",
            ));
        }
        for (index, dimension) in dimensions.iter().enumerate() {
            if dimensions[..index]
                .iter()
                .any(|earlier| earlier.name == dimension.name)
            {
                return Err(FieldProblem::new(
                    &*dimension.name,
                    "the dimension is declared twice",
                ));
            }
        }
        let default = canonical(
            dimensions
                .iter()
                .map(|dimension| (dimension.name(), dimension.values[0].as_str())),
        );
        Ok(VariantSchema {
            dimensions,
            default,
        })
    }

    /// The declared dimensions.
    pub fn dimensions(&self) -> &[Dimension] {
        &self.dimensions
    }

    /// The variant of a request that names no dimension.
    pub fn default_variant(&self) -> &Variant {
        &self.default
    }

    /// The variant that `given` pairs name; a dimension not named takes its default.
    ///
    /// # Errors
    /// One problem for each undeclared dimension, repeated dimension or value that is not allowed.
    pub fn resolve<'a>(
        &self,
        given: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Variant, Vec<FieldProblem>> {
        let mut chosen: [Option<&str>; Self::DIMENSIONS_MAX] = [None; Self::DIMENSIONS_MAX];
        let mut problems = Vec::new();
        let mut any = false;
        for (name, value) in given {
            match self.position(name, value) {
                Ok(index) if chosen[index].is_some() => {
                    problems.push(FieldProblem::new(name, "is given twice"))
                }
                Ok(index) => {
                    chosen[index] = Some(value);
                    any = true;
                }
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        if !any {
            return Ok(self.default.clone());
        }
        let pairs = self.dimensions.iter().zip(chosen);
        Ok(canonical(pairs.map(|(dimension, value)| {
            (dimension.name(), value.unwrap_or(&dimension.values[0]))
        })))
    }

    fn position(&self, name: &str, value: &str) -> Result<usize, FieldProblem> {
        let Some(index) = self
            .dimensions
            .iter()
            .position(|dimension| dimension.name == name)
        else {
            let names: Vec<&str> = self.dimensions.iter().map(Dimension::name).collect();
            let known = if names.is_empty() {
                "this namespace has none".to_owned()
            } else {
                names.join(", ")
            };
            return Err(FieldProblem::new(
                clip(name),
                format!("is not a declared dimension ({known})"),
            ));
        };
        let allowed = &self.dimensions[index].values;
        if allowed.iter().any(|candidate| candidate == value) {
            return Ok(index);
        }
        Err(FieldProblem::new(
            name,
            format!(
                "`{}` is not allowed; use one of {}",
                clip(value),
                allowed.join(", ")
            ),
        ))
    }
}

/// Keeps what a client sent short in an error message.
fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

fn canonical<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Variant {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push(';');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
    Variant(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> VariantSchema {
        let words = |words: &[&str]| {
            words
                .iter()
                .map(|&word| word.to_owned())
                .collect::<Vec<_>>()
        };
        VariantSchema::new(vec![
            Dimension::new("locale", &words(&["en", "de"])).unwrap(),
            Dimension::new("currency", &words(&["USD", "EUR"])).unwrap(),
        ])
        .unwrap()
    }

    #[test]
    fn the_order_of_the_request_does_not_matter_and_defaults_fill_in() {
        let schema = schema();
        let one = schema
            .resolve([("currency", "EUR"), ("locale", "de")])
            .unwrap();
        let other = schema
            .resolve([("locale", "de"), ("currency", "EUR")])
            .unwrap();
        assert_eq!(one, other);
        assert_eq!(one.as_str(), "locale=de;currency=EUR");
        assert_eq!(
            schema.resolve([("locale", "de")]).unwrap().as_str(),
            "locale=de;currency=USD"
        );
        assert_eq!(schema.resolve([]).unwrap(), *schema.default_variant());
        assert_eq!(Variant::parse(one.as_str()), Some(one.clone()));
        assert_eq!(
            one.pairs().collect::<Vec<_>>(),
            [("locale", "de"), ("currency", "EUR")]
        );
    }

    #[test]
    fn undeclared_repeated_and_forbidden_are_all_reported_at_once() {
        let problems = schema().resolve([
            ("locale", "fr"),
            ("color", "red"),
            ("currency", "EUR"),
            ("currency", "USD"),
        ]);
        let fields: Vec<_> = problems
            .unwrap_err()
            .into_iter()
            .map(|problem| problem.field)
            .collect();
        assert_eq!(fields, ["locale", "color", "currency"]);
    }

    #[test]
    fn a_value_that_would_break_the_key_cannot_be_declared() {
        assert!(Dimension::new("locale", &["a/b".to_owned()]).is_err());
        assert!(Dimension::new("locale", &["a;b".to_owned()]).is_err());
        assert!(Dimension::new("", &["a".to_owned()]).is_err());
        assert!(Dimension::new("locale", &[]).is_err());
    }
}
