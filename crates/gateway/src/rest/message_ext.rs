//! From JSON to MSYNC key-values (msync.md §4).

use bulkhead_msync::proto::KeyValue;
use bulkhead_msync::proto::key_value::{Value as Typed, ValueType};
use serde_json::{Map, Number, Value};

/// Types every entry of `ext` the way the web SDK types its own: objects and arrays become JSON text, integers keep
/// their width, other numbers are doubles. Null has no type of its own and travels as JSON text.
pub(super) fn key_values(entries: &Map<String, Value>) -> Vec<KeyValue> {
    entries.iter().map(|(key, value)| key_value(key, value)).collect()
}

fn key_value(key: &str, value: &Value) -> KeyValue {
    let (kind, value) = match value {
        Value::Bool(value) => (ValueType::Bool, Typed::VarintValue(i64::from(*value))),
        Value::String(text) => (ValueType::String, Typed::StringValue(text.clone())),
        Value::Number(number) => typed_number(number),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            (ValueType::JsonString, Typed::StringValue(value.to_string()))
        }
    };
    KeyValue { key: Some(key.to_owned()), r#type: Some(kind.into()), value: Some(value) }
}

fn typed_number(number: &Number) -> (ValueType, Typed) {
    match number.as_i64() {
        Some(value) if i32::try_from(value).is_ok() => (ValueType::Int, Typed::VarintValue(value)),
        Some(value) => (ValueType::Llint, Typed::VarintValue(value)),
        None => (ValueType::Double, Typed::DoubleValue(number.as_f64().unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_json_type_gets_its_own_type() {
        let typed = |value: Value| {
            let entry = key_value("k", &value);
            assert_eq!(entry.key.as_deref(), Some("k"));
            (entry.r#type(), entry.value.unwrap())
        };
        let text = |text: &str| Typed::StringValue(text.to_owned());
        assert_eq!(typed(json!(true)), (ValueType::Bool, Typed::VarintValue(1)));
        assert_eq!(typed(json!(false)), (ValueType::Bool, Typed::VarintValue(0)));
        assert_eq!(typed(json!("s")), (ValueType::String, text("s")));
        assert_eq!(typed(json!(-7)), (ValueType::Int, Typed::VarintValue(-7)));
        assert_eq!(typed(json!(2147483647)), (ValueType::Int, Typed::VarintValue(2147483647)));
        assert_eq!(typed(json!(2147483648u64)), (ValueType::Llint, Typed::VarintValue(2147483648)));
        assert_eq!(typed(json!(1.5)), (ValueType::Double, Typed::DoubleValue(1.5)));
        assert_eq!(typed(json!(u64::MAX)), (ValueType::Double, Typed::DoubleValue(u64::MAX as f64)));
        assert_eq!(typed(json!({"a": [1]})), (ValueType::JsonString, text(r#"{"a":[1]}"#)));
        assert_eq!(typed(json!(["a"])), (ValueType::JsonString, text(r#"["a"]"#)));
        assert_eq!(typed(json!(null)), (ValueType::JsonString, text("null")));
    }
}
