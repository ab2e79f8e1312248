//! Canonical JSON, RFC 8785: the one way to write a record, so that its bytes can be hashed.

use std::io;

use serde::Serialize;
use serde_json::{Map, Value};

/// A record's keys and values before they are written.
pub(super) type Fields = Map<String, Value>;

/// The keys and values of something that serialises to a JSON object.
pub(super) fn fields(of: &impl Serialize) -> Result<Fields, serde_json::Error> {
    match serde_json::to_value(of)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(refused("a record is a JSON object")),
    }
}

/// The bytes of a record: no white space, keys sorted by their UTF-16 code units (§3.2.3),
/// strings escaped only where they must be (§3.2.2.2).
pub(super) fn write(fields: &Fields) -> Result<String, serde_json::Error> {
    let mut text = String::with_capacity(512);
    write_object(&mut text, fields)?;
    Ok(text)
}

fn write_value(text: &mut String, value: &Value) -> Result<(), serde_json::Error> {
    match value {
        Value::Object(fields) => write_object(text, fields),
        Value::Array(values) => write_array(text, values),
        Value::Number(number) if number.is_f64() => Err(refused("records hold whole numbers only")),
        // Integers, strings, booleans and null: serde_json writes them as §3.2.2 asks.
        plain => {
            text.push_str(&serde_json::to_string(plain)?);
            Ok(())
        }
    }
}

fn write_object(text: &mut String, fields: &Fields) -> Result<(), serde_json::Error> {
    let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
    sorted.sort_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
    text.push('{');
    for (position, (key, value)) in sorted.into_iter().enumerate() {
        if position > 0 {
            text.push(',');
        }
        text.push_str(&serde_json::to_string(key)?);
        text.push(':');
        write_value(text, value)?;
    }
    text.push('}');
    Ok(())
}

fn write_array(text: &mut String, values: &[Value]) -> Result<(), serde_json::Error> {
    text.push('[');
    for (position, value) in values.iter().enumerate() {
        if position > 0 {
            text.push(',');
        }
        write_value(text, value)?;
    }
    text.push(']');
    Ok(())
}

fn refused(reason: &'static str) -> serde_json::Error {
    serde_json::Error::io(io::Error::new(io::ErrorKind::InvalidData, reason))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn canonical(value: Value) -> String {
        write(&fields(&value).unwrap()).unwrap()
    }

    #[test]
    fn keys_are_sorted_and_white_space_is_gone() {
        let text = canonical(json!({"time": 1, "alert": true, "of": [null, {"b": 2, "a": 1}]}));
        assert_eq!(text, r#"{"alert":true,"of":[null,{"a":1,"b":2}],"time":1}"#);
    }

    #[test]
    fn keys_are_sorted_by_utf16_code_units_as_in_the_example_of_rfc_8785() {
        let text = canonical(json!({
            "\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7
        }));
        assert_eq!(
            text,
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
    }

    #[test]
    fn only_what_must_be_escaped_is() {
        let text = canonical(json!({"s": "\u{8}\t\n\u{c}\r\u{1}\u{1f}\"\\/\u{7f}é😀"}));
        assert_eq!(
            text,
            "{\"s\":\"\\b\\t\\n\\f\\r\\u0001\\u001f\\\"\\\\/\u{7f}é😀\"}"
        );
    }

    #[test]
    fn a_fraction_is_refused() {
        assert!(write(&fields(&json!({"x": 0.5})).unwrap()).is_err());
    }
}
