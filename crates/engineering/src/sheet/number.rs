//! Numbers as people type them.

/// Reads one number and, where it needed interpretation, says how it was read.
///
/// A comma followed by exactly three digits after a whole part that is not zero separates thousands (`1,850`), any
/// other single comma is a decimal comma (`35,5`), spaces separate thousands (`5 200`), exponents are allowed
/// (`2.4e7`). A text with two numbers, a sign of comparison or anything else is not a number.
pub(super) fn parse(text: &str) -> Option<(f64, Option<&'static str>)> {
    const LONGEST_NUMBER: usize = 40;
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST_NUMBER {
        return None;
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            (mantissa, Some(exponent))
        }
        None => (text, None),
    };
    let (negative, unsigned) = match mantissa.strip_prefix(['-', '−']) {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (digits, note) = plain_decimal(unsigned)?;
    let mut number = String::new();
    if negative {
        number.push('-');
    }
    number.push_str(&digits);
    if let Some(exponent) = exponent {
        number.push('e');
        number.push_str(exponent);
    }
    let value: f64 = number.parse().ok()?;
    value.is_finite().then_some((value, note))
}

/// The digits with a decimal point, whatever separators were typed.
fn plain_decimal(text: &str) -> Option<(String, Option<&'static str>)> {
    let is_space = |c: char| matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}');
    if text.chars().any(is_space) {
        let groups: Vec<&str> = text.split(is_space).collect();
        let (whole, _) = groups
            .split_last()
            .and_then(|(last, _)| last.split_once(['.', ',']))
            .unwrap_or((groups[groups.len() - 1], ""));
        let middle_fine = groups[1..groups.len() - 1].iter().all(|group| group.len() == 3) && whole.len() == 3;
        if !(1..=3).contains(&groups[0].len()) || !middle_fine {
            return None;
        }
        let (digits, _) = plain_decimal(&groups.concat())?;
        return Some((digits, Some("spaces read as thousands separators")));
    }
    let fine = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let grouped = |whole: &str, separator: char| {
        let mut groups = whole.split(separator);
        groups.next().is_some_and(|first| {
            (1..=3).contains(&first.len()) && fine(first) && !first.trim_start_matches('0').is_empty()
        }) && groups.all(|group| group.len() == 3 && fine(group))
    };
    let (commas, points) = (text.matches(',').count(), text.matches('.').count());
    match (commas, points) {
        (0, 0 | 1) => {
            let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
            (fine(whole) && fine(decimals) && !(whole.is_empty() && decimals.is_empty()))
                .then(|| (text.to_owned(), None))
        }
        (_, 0) if grouped(text, ',') => Some((text.replace(',', ""), Some("comma read as thousands separator"))),
        (1, 0) => {
            let (whole, decimals) = text.split_once(',')?;
            (fine(whole) && fine(decimals) && !decimals.is_empty())
                .then(|| (text.replace(',', "."), Some("comma read as decimal sign")))
        }
        (_, 1) if text.find('.') > text.rfind(',') => {
            let (whole, decimals) = text.split_once('.')?;
            (grouped(whole, ',') && fine(decimals))
                .then(|| (text.replace(',', ""), Some("commas read as thousands separators")))
        }
        (1, _) if text.find(',') > text.rfind('.') => {
            let (whole, decimals) = text.split_once(',')?;
            (grouped(whole, '.') && fine(decimals)).then(|| {
                (text.replace('.', "").replace(',', "."), Some("points read as thousands, comma as decimal sign"))
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn numbers_are_read_as_people_mean_them() {
        for (text, value) in [
            ("1,850", 1850.0),
            ("35,5", 35.5),
            ("0,850", 0.85),
            ("5 200", 5200.0),
            ("2.4e7", 2.4e7),
            ("1,234,567", 1_234_567.0),
            ("1,850.5", 1850.5),
            ("1.850,5", 1850.5),
            ("1.850", 1.85),
            (" 230 ", 230.0),
            ("-5", -5.0),
            ("1.5E-3", 0.0015),
            (".5", 0.5),
            ("12 500,5", 12_500.5),
        ] {
            assert_eq!(parse(text).map(|(value, _)| value), Some(value), "{text}");
        }
    }

    #[test]
    fn anything_else_is_not_a_number() {
        for text in [
            "", "NaN", "inf", "-", "12 15", "100-200", "<5", "1e", "e5", "5 mg/L", "1,2,3", "1e999", "abc", "١٢", ".",
            ",",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
