//! A text as statements: sentences, headings, rows of tables. One can be replaced without touching the others.

/// What to do with a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    Replace(String),
    Remove,
}

/// All statements of a text.
pub(crate) fn statements(text: &str) -> Vec<&str> {
    text.lines().flat_map(|line| sentences(split_mark(line).1)).collect()
}

/// The text with each statement kept, replaced or removed. Lines that lose all of theirs go, too.
pub(crate) fn revised(text: &str, mut judge: impl FnMut(&str) -> Verdict) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let (mark, rest) = split_mark(line);
        if rest.trim().is_empty() {
            lines.push(line.to_owned());
            continue;
        }
        let kept: Vec<String> = sentences(rest)
            .into_iter()
            .filter_map(|sentence| match judge(sentence) {
                Verdict::Keep => Some(sentence.to_owned()),
                Verdict::Replace(better) => Some(better),
                Verdict::Remove => None,
            })
            .filter(|sentence| !sentence.is_empty())
            .collect();
        if !kept.is_empty() {
            lines.push(format!("{mark}{}", kept.join(" ")));
        }
    }
    lines.join("\n").trim().to_owned()
}

/// The mark that begins a line of Markdown (indent, heading, bullet, number, quotation), and the rest.
fn split_mark(line: &str) -> (&str, &str) {
    let indent = line.len() - line.trim_start().len();
    let rest = &line[indent..];
    let marks = rest.len() - rest.trim_start_matches(['#', '>']).len();
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let bullet =
        usize::from(rest.starts_with(['-', '*', '+', '•'])).max(usize::from(rest.starts_with('•')) * '•'.len_utf8());
    let numbered = if (1..=2).contains(&digits) && rest[digits..].starts_with(['.', ')']) { digits + 1 } else { 0 };
    let mark = marks.max(bullet).max(numbered);
    let after = &rest[mark..];
    if mark == 0 || !after.starts_with(' ') {
        return line.split_at(indent);
    }
    line.split_at(indent + mark + (after.len() - after.trim_start().len()))
}

/// The sentences of one line; a row of a table is one.
fn sentences(line: &str) -> Vec<&str> {
    let line = line.trim();
    if line.is_empty() {
        return vec![];
    }
    if line.starts_with('|') {
        return vec![line];
    }
    let mut found = Vec::new();
    let mut start = 0;
    for (at, c) in line.char_indices() {
        if !matches!(c, '.' | '!' | '?') {
            continue;
        }
        let end = at + c.len_utf8();
        let after = &line[end..];
        let next = after.trim_start();
        let begins = next
            .starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit() || matches!(c, '¿' | '¡' | '*' | '"' | '“'));
        if after.len() > next.len() && begins && !(c == '.' && abbreviates(&line[start..at])) {
            found.push(line[start..end].trim());
            start = end;
        }
    }
    let last = line[start..].trim();
    if !last.is_empty() {
        found.push(last);
    }
    found
}

fn abbreviates(before: &str) -> bool {
    const ABBREVIATIONS: &[&str] = &[
        "e.g", "i.e", "p.ej", "approx", "aprox", "no", "nos", "núm", "num", "fig", "vs", "al", "art", "eq", "ec",
        "cap", "ca", "max", "min", "máx", "mín",
    ];
    let word = before.rsplit([' ', '(', '\u{a0}']).next().unwrap_or_default().to_lowercase();
    ABBREVIATIONS.contains(&word.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_falls_into_sentences_headings_and_rows() {
        let text =
            "# Concept\n\nThe plant treats 3.5 m³/d. It needs approx. 12 kW!\n- One. Two.\n1. First.\n| a. B | 2 |";
        let expected = [
            "Concept",
            "The plant treats 3.5 m³/d.",
            "It needs approx. 12 kW!",
            "One.",
            "Two.",
            "First.",
            "| a. B | 2 |",
        ];
        assert_eq!(statements(text), expected);
    }

    #[test]
    fn one_statement_changes_and_the_others_stay() {
        let text = "# Cost\n\nGood. Bad one.\n\n- Bad two.\n- Fine.";
        let judge = |sentence: &str| match sentence {
            "Bad one." => Verdict::Replace("Better.".into()),
            "Bad two." => Verdict::Remove,
            _ => Verdict::Keep,
        };
        assert_eq!(revised(text, judge), "# Cost\n\nGood. Better.\n\n- Fine.");
    }

    #[test]
    fn nothing_changes_where_everything_is_kept() {
        let text = "# A\n\n  - indented *x* 5. Then\n> quoted\n\n• dot\n2) two";
        assert_eq!(revised(text, |_| Verdict::Keep), text);
    }
}
