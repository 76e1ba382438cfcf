//! What the model is asked to write: its shape for the provider, and our own check of what comes back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::AnswerShape;
use crate::prose::plain;

/// The most characters of the executive summary.
pub(crate) const MOST_SUMMARY: usize = 1_200;
const MOST_APPROACH: usize = 20_000;
const MOST_RECOMMENDATIONS: usize = 12;
const MOST_RECOMMENDATION: usize = 500;
const MOST_JUSTIFICATIONS: usize = 40;
const MOST_JUSTIFICATION: usize = 800;
const MOST_WISHED: usize = 20;
/// A text this many times too long is no slip.
const FAR_TOO_LONG: usize = 4;

/// The text of a proposal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    /// One paragraph of plain text without markup, at most 1,200 characters.
    pub(crate) executive_summary: String,
    /// The technical approach in Markdown with headings, 400 to 1,200 words.
    pub(crate) technical_approach: String,
    /// What to do next, three to eight sentences, each on its own.
    pub(crate) recommendations: Vec<String>,
    /// For each technology of the train, why it is there.
    pub(crate) technology_justifications: Vec<Justification>,
    /// Another train of the given technologies, argued for, if it seems clearly better; else null.
    pub(crate) train_wish: Option<TrainWish>,
}

/// Why a technology is in the train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Justification {
    /// The technology, exactly as given.
    pub(crate) technology: String,
    /// Why it is there, one or two sentences.
    pub(crate) justification: String,
}

/// Another train, argued for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrainWish {
    /// The technologies in order.
    pub(crate) technologies: Vec<String>,
    /// Why it would be better, without figures of its own.
    pub(crate) argument: String,
}

/// An answer does not have the shape that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer does not have the shape that was asked for")]
pub(crate) struct Misshapen;

impl Answer {
    /// The shape, as strict structured output wants it.
    pub(crate) fn shape() -> AnswerShape {
        let mut schema = schemars::schema_for!(Self).to_value();
        make_strict(&mut schema);
        AnswerShape { name: "proposal_text", schema }
    }

    /// Reads an answer and brings it within its bounds. Strictness on the provider's side is a promise, not a proof.
    pub(crate) fn read(text: &str) -> Result<Self, Misshapen> {
        let Self { executive_summary, technical_approach, recommendations, technology_justifications, train_wish } =
            serde_json::from_str(text).map_err(|_| Misshapen)?;
        let executive_summary = bounded(plain::paragraph(&executive_summary), MOST_SUMMARY)?;
        let technical_approach = plain::markdown(&technical_approach);
        let length = technical_approach.chars().count();
        // A text that is only short is mended from the templates; one that is not there was not written.
        if executive_summary.is_empty() || !(1..=MOST_APPROACH).contains(&length) {
            return Err(Misshapen);
        }
        if technology_justifications.len() > MOST_JUSTIFICATIONS * FAR_TOO_LONG
            || recommendations.len() > MOST_RECOMMENDATIONS * FAR_TOO_LONG
        {
            return Err(Misshapen);
        }
        let mut kept: Vec<String> = Vec::new();
        for recommendation in recommendations.into_iter().take(MOST_RECOMMENDATIONS) {
            let recommendation = bounded(plain::paragraph(&recommendation), MOST_RECOMMENDATION)?;
            if !recommendation.is_empty() && !kept.contains(&recommendation) {
                kept.push(recommendation);
            }
        }
        let technology_justifications = technology_justifications
            .into_iter()
            .take(MOST_JUSTIFICATIONS)
            .map(|one| {
                let technology = bounded(plain::paragraph(&one.technology), 120)?;
                let justification = bounded(plain::paragraph(&one.justification), MOST_JUSTIFICATION)?;
                Ok(Justification { technology, justification })
            })
            .collect::<Result<Vec<_>, Misshapen>>()?;
        let train_wish = train_wish
            .map(|wish| {
                let technologies = wish.technologies.iter().take(MOST_WISHED);
                let technologies =
                    technologies.map(|name| bounded(plain::paragraph(name), 120)).collect::<Result<_, _>>()?;
                Ok(TrainWish { technologies, argument: bounded(plain::paragraph(&wish.argument), MOST_JUSTIFICATION)? })
            })
            .transpose()?
            .filter(|wish: &TrainWish| !wish.technologies.is_empty() && !wish.argument.is_empty());
        Ok(Self { executive_summary, technical_approach, recommendations: kept, technology_justifications, train_wish })
    }
}

fn bounded(text: String, most: usize) -> Result<String, Misshapen> {
    if text.chars().count() > most * FAR_TOO_LONG { Err(Misshapen) } else { Ok(plain::shortened(&text, most)) }
}

/// Strict structured output wants every property required and none beside them; it knows no `format`, no defaults.
fn make_strict(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            for unknown in ["$schema", "title", "default", "format", "examples"] {
                object.remove(unknown);
            }
            if let Some(properties) = object.get("properties").and_then(Value::as_object) {
                let names = properties.keys().cloned().map(Value::String).collect();
                object.insert("required".to_owned(), Value::Array(names));
                object.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            object.values_mut().for_each(make_strict);
        }
        Value::Array(items) => items.iter_mut().for_each(make_strict),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}

/// The members of every object schema that strict output would refuse; for the tests of the schema and of its use.
#[cfg(test)]
fn refused_by_strict_output(schema: &Value, at: &str, found: &mut Vec<String>) {
    let Some(object) = schema.as_object() else { return };
    if object.get("type") == Some(&Value::from("object")) {
        let properties = object.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let required: Vec<&str> =
            object.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        if object.get("additionalProperties") != Some(&Value::Bool(false)) {
            found.push(format!("{at}: additionalProperties"));
        }
        found
            .extend(properties.keys().filter(|key| !required.contains(&key.as_str())).map(|key| format!("{at}/{key}")));
    }
    for (key, value) in object {
        match value {
            Value::Object(_) => refused_by_strict_output(value, &format!("{at}/{key}"), found),
            Value::Array(items) => {
                items.iter().for_each(|item| refused_by_strict_output(item, &format!("{at}/{key}"), found));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written() -> Value {
        json!({
            "executive_summary": "The plant treats **230 m³/d**.\n\nIt keeps every limit.",
            "technical_approach": format!("# Concept\n\n{}", "The train removes fat first. ".repeat(10)),
            "recommendations": ["Confirm the peak.", " ", "Confirm the peak."],
            "technology_justifications": [{"technology": "DAF", "justification": "Fat first."}],
            "train_wish": null,
        })
    }

    #[test]
    fn the_schema_is_one_that_strict_output_takes() {
        let shape = Answer::shape();
        let mut found = Vec::new();
        refused_by_strict_output(&shape.schema, "", &mut found);
        assert_eq!(found, Vec::<String>::new(), "{}", shape.schema);
        assert_eq!(shape.schema["required"].as_array().map(Vec::len), Some(5));
        assert!(shape.schema.to_string().contains("\"null\""), "a wish may be absent: {}", shape.schema);
    }

    #[test]
    fn a_good_answer_is_read_and_its_summary_made_plain() {
        let answer = Answer::read(&written().to_string()).unwrap();
        assert_eq!(answer.executive_summary, "The plant treats 230 m³/d. It keeps every limit.");
        assert_eq!(answer.recommendations, ["Confirm the peak."]);
    }

    #[test]
    fn a_summary_somewhat_too_long_ends_at_a_sentence() {
        let mut answer = written();
        answer["executive_summary"] = "The plant keeps every limit. ".repeat(60).into();
        let summary = Answer::read(&answer.to_string()).unwrap().executive_summary;
        assert!(summary.chars().count() <= MOST_SUMMARY && summary.ends_with("limit."), "{summary}");
    }

    #[test]
    fn what_does_not_have_the_shape_is_refused() {
        let mut wrong: Vec<String> = ["", "null", "{}", "[]", "{\"executive_summary\":"].map(String::from).to_vec();
        for (key, value) in [
            ("executive_summary", json!("")),
            ("executive_summary", json!("x".repeat(10_000))),
            ("technical_approach", json!(" \n")),
            ("technical_approach", json!("x".repeat(30_000))),
            ("recommendations", json!("none")),
            ("capex", json!(1)),
        ] {
            let mut answer = written();
            answer[key] = value;
            wrong.push(answer.to_string());
        }
        for text in wrong {
            assert_eq!(Answer::read(&text), Err(Misshapen), "{text:.80}");
        }
    }
}
