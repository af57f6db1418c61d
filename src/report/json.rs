//! `summary.json` and its schema: the contract with scripts.

use serde_json::Value;

use crate::model::judge::summary::{SUMMARY_SCHEMA, Summary};

/// Decimals kept of a fraction: a millisecond of a time, a thousandth of a share. Digits
/// below that are noise, and would make equal summaries differ.
const ROUND_TO: f64 = 1e3;

/// Up to here an f64 holds every whole number.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// The summary as `summary.json` holds it: pretty, keys sorted, a line break at the end.
///
/// Integers stay integers; fractions are rounded to 3 decimals; the numbers of findings are
/// integers where they are whole. What is not finite becomes null.
pub fn summary_json(summary: &Summary) -> String {
    tidy(summary)
}

/// Anything of the model's in the same form.
pub(super) fn tidy(what: &impl serde::Serialize) -> String {
    let mut value = serde_json::to_value(what).expect("shapes of the model have only string keys");
    round(&mut value);
    whole_numbers(&mut value);
    let mut text = serde_json::to_string_pretty(&value).expect("a value is always JSON");
    text.push('\n');
    text
}

/// The JSON Schema that every `summary.json` fits.
pub fn summary_schema() -> Value {
    let mut schema = schemars::schema_for!(Summary).to_value();
    let top = schema.as_object_mut().expect("the schema of a struct is an object");
    top.insert("$id".to_owned(), SUMMARY_SCHEMA.into());
    top.insert("title".to_owned(), "What a run of nicburn came to".into());
    // `schema` is text to the type; to a reader it is this one name.
    top["properties"]["schema"]["const"] = SUMMARY_SCHEMA.into();
    require_all(&mut schema);
    schema
}

/// Keys are always present, also those that may be null: readers need no "missing or null?".
pub(super) fn require_all(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(properties) = object.get("properties").and_then(Value::as_object) {
                let names: Vec<Value> = properties.keys().map(|name| name.clone().into()).collect();
                object.insert("required".to_owned(), names.into());
            }
            object.values_mut().for_each(require_all);
        }
        Value::Array(items) => items.iter_mut().for_each(require_all),
        _ => {}
    }
}

fn round(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let rounded =
                number.as_f64().map(|x| (x * ROUND_TO).round() / ROUND_TO).filter(|x| x.is_finite());
            if let Some(rounded) = rounded {
                // −0.0 would be written with its sign.
                *value = (rounded + 0.0).into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(round),
        Value::Object(object) => object.values_mut().for_each(round),
        _ => {}
    }
}

/// Findings hold all their numbers as f64; rates and counts among them are whole.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, inner) in object.iter_mut() {
                match (key.as_str(), &mut *inner) {
                    ("numbers", Value::Object(numbers)) => numbers.values_mut().for_each(whole),
                    _ => whole_numbers(inner),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        _ => {}
    }
}

fn whole(value: &mut Value) {
    if let Some(x) = value.as_f64().filter(|x| x.fract() == 0.0 && x.abs() < WHOLE_MAX) {
        *value = (x as i64).into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use proptest::prelude::*;

    fn assert_fits(text: &str) {
        let value: Value = serde_json::from_str(text).expect("it is JSON");
        if let Err(fault) = jsonschema::validate(&summary_schema(), &value) {
            panic!("{fault} at {}", fault.instance_path());
        }
    }

    #[test]
    fn a_summary_fits_the_shipped_schema_and_reads_back() {
        for summary in [fixture::mixed(), fixture::healthy(), fixture::hostile()] {
            let text = summary_json(&summary);
            assert_fits(&text);
            assert_eq!(serde_json::from_str::<Summary>(&text).expect("it reads back"), summary);
            assert!(text.ends_with("}\n"));
        }
    }

    #[test]
    fn keys_are_sorted_and_whole_numbers_have_no_fraction() {
        let text = summary_json(&fixture::mixed());
        let tops: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("  \""))
            .filter_map(|line| line.split('"').nth(1))
            .collect();
        assert_eq!(tops, ["fleet", "hosts", "passed", "record_losses", "run", "schema", "verdict"]);
        assert!(text.contains("\"dose_killed_bps\": 88000000,"), "{text}");
    }

    #[test]
    fn fractions_are_rounded_and_what_is_no_number_is_null() {
        let mut summary = fixture::mixed();
        summary.run.duration_s = Some(93.123_456_789);
        summary.hosts[0].goodput.longest_stall_s = Some(f64::NAN);
        let text = summary_json(&summary);
        assert!(text.contains("\"duration_s\": 93.123,"), "{text}");
        assert_fits(&text);
    }

    #[test]
    fn the_schema_is_closed_everywhere_and_refuses_what_is_missing_or_added() {
        fn walk(schema: &Value, objects: &mut usize) {
            if let Some(object) = schema.as_object() {
                if object.contains_key("properties") {
                    *objects += 1;
                    assert_eq!(object.get("additionalProperties"), Some(&Value::Bool(false)), "{schema:#}");
                }
                object.values().for_each(|inner| walk(inner, objects));
            }
        }
        let (schema, mut objects) = (summary_schema(), 0);
        walk(&schema, &mut objects);
        assert_eq!(objects, 10, "Summary and the nine shapes within it");
        assert_eq!(schema["$id"], SUMMARY_SCHEMA);

        let sound: Value = serde_json::from_str(&summary_json(&fixture::mixed())).expect("it is JSON");
        let mut lacking = sound.clone();
        lacking["hosts"][0].as_object_mut().expect("a host").remove("reason");
        let mut added = sound.clone();
        added["hosts"][0]["mood"] = "good".into();
        let mut foreign = sound.clone();
        foreign["schema"] = "other/1".into();
        for (faulty, what) in [(lacking, "a key lacks"), (added, "a key is new"), (foreign, "another schema")]
        {
            assert!(!jsonschema::is_valid(&schema, &faulty), "{what}");
        }
        assert!(jsonschema::is_valid(&schema, &sound));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_summary_fits_the_schema(summary in fixture::any_summary()) {
            assert_fits(&summary_json(&summary));
        }
    }
}
