//! The layers of the configuration, each compared with the defaults before they are merged.

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Num, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};

use super::DEFAULTS;
use super::check::Raw;

const ENVIRONMENT_PREFIX: &str = "BULKHEAD_";

/// Keys that hold a secret and may come from the environment alone.
const ENVIRONMENT_ONLY: &[&str] =
    &["storage.cql.password", "storage.objects.secret_key", "storage.region_key"];

/// Merges the layers, to typed values and to the same values as they are; what is wrong in one is left out of it and told
/// in `problems`.
pub(super) fn merge(
    file_name: &str,
    file: &str,
    environment: impl IntoIterator<Item = (String, String)>,
    problems: &mut Vec<String>,
) -> Option<(Raw, Dict)> {
    let defaults: Dict = Figment::from(Toml::string(DEFAULTS))
        .extract()
        .expect("the embedded defaults are TOML, which a test reads");
    let file = match Figment::from(Toml::string(file)).extract::<Dict>() {
        Ok(file) => fitting(file, &defaults, "", file_name, problems),
        Err(error) => {
            problems.push(format!("{file_name}: {}", error.to_string().replace('\n', " ")));
            Dict::new()
        }
    };
    let environment = read_environment(environment, &defaults, problems);
    let figment = Figment::from(Layer("defaults", defaults))
        .merge(Layer("file", file))
        .merge(Layer("environment", environment));
    match figment.extract() {
        // What reads as typed values reads as a section of values too.
        Ok(raw) => Some((raw, figment.extract().unwrap_or_default())),
        Err(errors) => {
            problems
                .extend(errors.into_iter().map(|error| format!("{}: {}", error.path.join("."), error.kind)));
            None
        }
    }
}

struct Layer(&'static str, Dict);

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.0)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(self.1.clone()))
    }
}

/// The part of a file's layer that the defaults know.
fn fitting(layer: Dict, defaults: &Dict, path: &str, file: &str, problems: &mut Vec<String>) -> Dict {
    let mut fits = Dict::new();
    for (name, value) in layer {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match (defaults.get(&name), value) {
            (None, _) => problems.push(format!("{key}: unknown key (in {file})")),
            _ if ENVIRONMENT_ONLY.contains(&key.as_str()) => {
                problems.push(format!("{key}: a secret; set it by {} (in {file})", variable_of(&key)));
            }
            (Some(Value::Dict(_, known)), Value::Dict(tag, inner)) => {
                fits.insert(name, Value::Dict(tag, fitting(inner, known, &key, file, problems)));
            }
            (Some(known), value) if kind_of(known) == kind_of(&value) => {
                fits.insert(name, value);
            }
            (Some(known), _) => {
                problems.push(format!("{key}: must be {} (in {file})", kind_of(known)));
            }
        }
    }
    fits
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::String(..) | Value::Char(..) => "a text in quotes",
        Value::Num(..) => "a number",
        Value::Bool(..) => "true or false",
        Value::Dict(..) => "a section",
        Value::Array(..) => "a list",
        Value::Empty(..) => "empty",
    }
}

fn variable_of(key: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

/// The layer of the environment. A value takes the kind that its key has in the defaults, so that a text of digits
/// stays a text.
fn read_environment(
    environment: impl IntoIterator<Item = (String, String)>,
    defaults: &Dict,
    problems: &mut Vec<String>,
) -> Dict {
    let mut layer = Dict::new();
    for (variable, text) in environment {
        let Some(name) = variable.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
        let key = name.to_lowercase().replace("__", ".");
        let known = Value::from(defaults.clone()).find(&key);
        let value = match known {
            Some(Value::String(..)) => Value::from(text),
            Some(Value::Num(_, Num::F64(_))) => match text.parse::<f64>() {
                Ok(number) => Value::from(number),
                Err(_) => {
                    problems.push(format!("{key}: must be a number (in {variable})"));
                    continue;
                }
            },
            Some(Value::Num(..)) => match text.parse::<u64>() {
                Ok(number) => Value::from(number),
                Err(_) => {
                    problems.push(format!("{key}: must be a number (in {variable})"));
                    continue;
                }
            },
            Some(Value::Bool(..)) => match text.parse::<bool>() {
                Ok(is) => Value::from(is),
                Err(_) => {
                    problems.push(format!("{key}: must be true or false (in {variable})"));
                    continue;
                }
            },
            Some(Value::Array(..)) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Value::from(parts.map(Value::from).collect::<Vec<_>>())
            }
            _ => {
                problems.push(format!("{key}: unknown key (in {variable})"));
                continue;
            }
        };
        insert(&mut layer, &key, value);
    }
    layer
}

fn insert(layer: &mut Dict, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            layer.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = layer.entry(section.to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}
