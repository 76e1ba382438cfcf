//! Reading and mending prose: statements, the quantities and citations in them, and how they compare with what was
//! calculated.

pub(crate) mod citation;
pub(crate) mod known;
pub(crate) mod plain;
pub(crate) mod quantity;
pub(crate) mod statement;

/// Lower case, `³` and `²` as digits, odd spaces as plain ones, one character for one, so that places stay the same.
pub(crate) fn folded(text: &str) -> Vec<char> {
    text.chars()
        .map(|c| match c {
            '\u{a0}' | '\u{202f}' | '\u{2009}' | '\t' => ' ',
            '²' => '2',
            '³' => '3',
            '₂' => '2',
            '₃' => '3',
            '₄' => '4',
            '₅' => '5',
            '‐' | '‑' | '−' => '-',
            c => c.to_lowercase().next().unwrap_or(c),
        })
        .collect()
}

/// The text in lower case without accents, every other character than a letter or digit a single space, and a space at
/// both ends: so that whole words can be looked for.
pub(crate) fn words(text: &str) -> String {
    let mut words = String::from(" ");
    for c in folded(text) {
        let c = match c {
            'á' | 'à' | 'ä' | 'â' => 'a',
            'é' | 'è' | 'ë' | 'ê' => 'e',
            'í' | 'ì' | 'ï' => 'i',
            'ó' | 'ò' | 'ö' | 'ô' => 'o',
            'ú' | 'ù' | 'ü' => 'u',
            'ñ' => 'n',
            c if c.is_alphanumeric() => c,
            _ => ' ',
        };
        if c != ' ' || !words.ends_with(' ') {
            words.push(c);
        }
    }
    if !words.ends_with(' ') {
        words.push(' ');
    }
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "(\\PC|[\n\t \u{200b}]|[0-9.,% -]{1,6}|USD |m³|/d|\\[a\\]\\(b|<b|NOM-|case ){0,40}") {
            let mut known = known::Known::default();
            known.learn_parameter("BOD");
            known.learn(quantity::Dimension::Percent, 20.0, known::About::Any);
            known.contradictions(&text);
            citation::Catalogue::default().strange(&text);
            let paragraph = plain::paragraph(&text);
            prop_assert!(!paragraph.contains('\n'));
            prop_assert!(plain::shortened(&paragraph, 20).chars().count() <= 20);
        }

        #[test]
        fn a_text_of_which_everything_is_kept_loses_no_word(text in "(\\PC|[\n .#*>-]){0,60}") {
            let kept = statement::revised(&text, |_| statement::Verdict::Keep);
            prop_assert!(kept.split_whitespace().eq(text.split_whitespace()));
        }
    }
}
