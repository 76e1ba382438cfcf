//! The text without a language model: sentences built from the results, in English and Spanish, that say so.

mod english;
mod spanish;

use domain::proposal::Language;

use super::answer::{Answer, MOST_SUMMARY};
use super::story::Story;
use crate::prose::known::About;
use crate::prose::plain::shortened;
use crate::prose::quantity::Dimension;

/// The version of the templates, as a proposal names it.
pub(crate) const VERSION: &str = "templates.v1";

/// The whole text.
pub(crate) fn write(story: &Story<'_>) -> Answer {
    let answer = match story.language {
        Language::En => english::write(story),
        Language::Es => spanish::write(story),
    };
    Answer { executive_summary: shortened(&answer.executive_summary, MOST_SUMMARY), ..answer }
}

/// What the calculations say where a sentence said something else; `None` if there is nothing to say.
pub(crate) fn statement(story: &Story<'_>, dimension: Dimension, about: &About) -> Option<String> {
    match story.language {
        Language::En => english::statement(story, dimension, about),
        Language::Es => spanish::statement(story, dimension, about),
    }
}

/// A number for people: enough digits to be within half a per cent, thousands separated by commas.
pub(crate) fn shown(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 1e7 {
        return scientific(value);
    }
    if magnitude >= 100.0 {
        return grouped(value);
    }
    let decimals = match magnitude {
        m if m >= 10.0 => 1,
        m if m >= 1.0 => 2,
        m if m >= 0.1 => 3,
        m if m >= 0.001 => 5,
        _ => 7,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn grouped(value: f64) -> String {
    let whole = format!("{:.0}", value.abs());
    let mut text = String::from(if value < 0.0 { "-" } else { "" });
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `2.4 × 10⁷`, as counts of organisms are written.
fn scientific(value: f64) -> String {
    const RAISED: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let text = format!("{value:.1e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: String = power.chars().filter_map(|c| c.to_digit(10)).map(|digit| RAISED[digit as usize]).collect();
    format!("{digits} × 10{power}")
}

/// An amount of money in whole dollars, or with cents if it is small.
pub(crate) fn dollars(usd: f64) -> String {
    if usd.abs() >= 100.0 { grouped(usd) } else { format!("{usd:.2}") }
}

/// `a, b and c`.
fn listed(items: &[String], and: &str) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} {and} {last}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_people_write_them() {
        for (value, text) in [
            (0.0, "0"),
            (230.0, "230"),
            (1_234_567.8, "1,234,568"),
            (16.5, "16.5"),
            (98.64, "98.6"),
            (0.12, "0.12"),
            (0.0005, "0.0005"),
            (4.0, "4"),
            (2.4e7, "2.4 × 10⁷"),
            (10.04, "10"),
            (9.999, "10"),
            (100.4, "100"),
        ] {
            assert_eq!(shown(value), text);
        }
        assert_eq!((dollars(99_500.5), dollars(0.5)), ("99,500".to_owned(), "0.50".to_owned()));
    }

    #[test]
    fn lists_end_with_and() {
        let items = ["a", "b", "c"].map(String::from);
        assert_eq!(listed(&items, "and"), "a, b and c");
        assert_eq!(listed(&items[..1], "and"), "a");
    }
}
