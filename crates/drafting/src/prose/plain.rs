//! Makes texts harmless: plain paragraphs, and Markdown without addresses and HTML.

/// One paragraph of plain text: no markup, no line ends, single spaces.
pub(crate) fn paragraph(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for line in markdown(text).lines() {
        let line = line.trim();
        let bulleted = line.strip_prefix(['-', '*', '+', '•']).filter(|rest| rest.starts_with(' '));
        plain.push_str(bulleted.unwrap_or(line).trim_start_matches(['#', '>']));
        plain.push(' ');
    }
    let plain = plain.replace("**", "").replace("__", "").replace('`', "");
    let words: Vec<&str> = plain.split_whitespace().map(|word| word.trim_matches('*')).collect();
    words.join(" ")
}

/// Markdown without links, pictures, HTML and invisible characters.
pub(crate) fn markdown(text: &str) -> String {
    let visible: String =
        text.chars().filter(|c| *c == '\n' || *c == '\t' || !(c.is_control() || is_invisible(*c))).collect();
    without_tags(&without_links(&visible)).trim().to_owned()
}

/// The text up to the last end of a sentence within `most` characters, or of a word if the first sentence is longer.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let cut: String = text.chars().take(most).collect();
    let mut sentence = cut.char_indices().filter(|&(at, c)| {
        matches!(c, '.' | '!' | '?') && cut[at + c.len_utf8()..].chars().next().is_none_or(char::is_whitespace)
    });
    if let Some((at, c)) = sentence.next_back() {
        return cut[..at + c.len_utf8()].to_owned();
    }
    // Room for the dots that say that something is missing.
    let cut: String = cut.chars().take(most.saturating_sub(1)).collect();
    let words = cut.rfind(char::is_whitespace).map_or(cut.as_str(), |at| &cut[..at]);
    format!("{}…", words.trim_end())
}

/// Characters that are not seen but change how a text is read: zero-width ones and those that turn its direction.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// `[text](address)` and `![text](address)` become `text`.
fn without_links(text: &str) -> String {
    const LONGEST_LABEL: usize = 500;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        let (before, from) = rest.split_at(at);
        let link = from.find("](").filter(|&middle| middle <= LONGEST_LABEL).and_then(|middle| {
            let end = from[middle..].find(')')?;
            Some((&from[1..middle], &from[middle + end + 1..]))
        });
        match link {
            Some((label, after)) => {
                out.push_str(before.strip_suffix('!').unwrap_or(before));
                out.push_str(label);
                rest = after;
            }
            None => {
                out.push_str(before);
                out.push('[');
                rest = &from[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// What looks like an HTML tag or a comment is left out; `<` as a comparison stays.
fn without_tags(text: &str) -> String {
    const LONGEST_TAG: usize = 500;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let opens = from[1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
        match (opens, from.find('>')) {
            (false, _) => {
                out.push('<');
                rest = &from[1..];
            }
            (true, Some(end)) if end <= LONGEST_TAG => rest = &from[end + 1..],
            (true, Some(_) | None) => rest = &from[1..],
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_has_no_markup() {
        let text = "# Title\n\n- **BOD** falls to `25` mg/L\n> with *care*\r\n<script>alert(1)</script> <b>now</b>";
        assert_eq!(paragraph(text), "Title BOD falls to 25 mg/L with care alert(1) now");
    }

    #[test]
    fn links_pictures_and_invisible_characters_go_and_comparisons_stay() {
        assert_eq!(
            markdown("See [the site](https://x.example/?q=1) and ![pic](http://y.example)."),
            "See the site and pic."
        );
        assert_eq!(markdown("TSS < 20 mg/L, [sic] a\u{200b}b\u{202e}c"), "TSS < 20 mg/L, [sic] abc");
    }

    #[test]
    fn a_long_text_ends_at_a_sentence_or_a_word() {
        assert_eq!(shortened("One 2.5 two. Three four.", 20), "One 2.5 two.");
        assert_eq!(shortened("One two three four", 12), "One two…");
        assert_eq!(shortened("One.", 4), "One.");
    }
}
