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
