//! Finds the quantities in a sentence: numbers with a unit, in English and Spanish spellings.

use super::folded;

/// What a quantity measures; values are in the unit given here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Dimension {
    /// m³/d
    Flow,
    /// m³
    Volume,
    /// m²
    Area,
    /// kW
    Power,
    /// kWh/m³
    EnergyPerVolume,
    /// kWh/d
    EnergyPerTime,
    /// kg/d
    MassRate,
    /// mg/L
    Concentration,
    /// %
    Percent,
    /// USD, or USD a year
    Money,
    /// USD/m³
    MoneyPerVolume,
    /// USD/kWh
    MoneyPerEnergy,
    /// USD for each m³/d
    MoneyPerFlow,
    /// years
    Years,
    /// months
    Months,
}

/// A quantity in a sentence.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quantity {
    pub(crate) dimension: Dimension,
    /// Every way to read the number (`1.850` is 1.85 or 1850), with the step of its last digit.
    pub(crate) readings: Vec<(f64, f64)>,
    /// Where the number begins, in characters.
    pub(crate) start: usize,
    /// Where the number ends, in characters.
    pub(crate) end: usize,
}

/// The quantities of a sentence, in order. Numbers without a unit we know are not among them.
pub(crate) fn quantities(sentence: &str) -> Vec<Quantity> {
    let text = folded(sentence);
    let numbers = numbers(&text);
    let mut found: Vec<Option<Quantity>> = numbers.iter().map(|number| with_unit(&text, number)).collect();
    for i in 1..numbers.len() {
        let gap: String = text[scale(&text, numbers[i - 1].end).0..numbers[i].start].iter().collect();
        let before: String = text[..numbers[i - 1].start].iter().collect();
        let between = [" between ", " entre "].iter().any(|word| format!(" {before}").ends_with(word));
        let range = match gap.trim() {
            "-" | "–" | "—" | "to" | "a" | "hasta" | "- usd" | "to usd" | "a usd" => true,
            "and" | "y" => between,
            _ => false,
        };
        if !range {
            continue;
        }
        // A range says its unit once: `5-10 %`, `USD 200,000 to 250,000`, `USD 1.0 to 1.9 million`.
        let (first, second) = (&numbers[i - 1], &numbers[i]);
        match (&found[i - 1], &found[i]) {
            (None, Some(unit)) => found[i - 1] = Some(like(&text, first, second, unit)),
            (Some(unit), None) if unit.dimension == Dimension::Money => {
                let (_, factor) = scale(&text, second.end);
                let unit = second.times(Dimension::Money, factor);
                found[i - 1] = Some(like(&text, first, second, &unit));
                found[i] = Some(unit);
            }
            (Some(one), Some(unit)) if one.dimension == Dimension::Money && unit.dimension == Dimension::Money => {
                found[i - 1] = Some(like(&text, first, second, unit));
            }
            (Some(_), Some(_) | None) | (None, None) => (),
        }
    }
    found.into_iter().flatten().collect()
}

struct Number {
    readings: Vec<(f64, f64)>,
    start: usize,
    end: usize,
}

impl Number {
    fn times(&self, dimension: Dimension, factor: f64) -> Quantity {
        let readings = self.readings.iter().map(|&(value, step)| (value * factor, step * factor)).collect();
        Quantity { dimension, readings, start: self.start, end: self.end }
    }
}

fn numbers(text: &[char]) -> Vec<Number> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if !text[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let start = at;
        while at < text.len() {
            let digit_follows = text.get(at + 1).is_some_and(char::is_ascii_digit);
            let separates = matches!(text[at], '.' | ',' | '\'' | '’') && digit_follows;
            if !text[at].is_ascii_digit() && !separates && !groups_by_space(text, start, at) {
                break;
            }
            at += 1;
        }
        // A digit inside a name (BOD5, NOM-001) is no number of its own.
        let in_name = start > 0 && (text[start - 1].is_alphanumeric() || matches!(text[start - 1], '_' | '^'));
        let after_hyphen = start > 1 && matches!(text[start - 1], '-' | '/' | '.') && text[start - 2].is_alphanumeric();
        let hyphenated_name = after_hyphen && !text[start - 2].is_ascii_digit();
        if in_name || hyphenated_name {
            continue;
        }
        let token: String = text[start..at].iter().collect();
        let readings = readings(&token);
        if !readings.is_empty() {
            found.push(Number { readings, start, end: at });
        }
    }
    found
}

/// Whether the space at `at` separates thousands: three digits follow, and one to three came before.
fn groups_by_space(text: &[char], start: usize, at: usize) -> bool {
    let digits_before = text[start..at].iter().rev().take_while(|c| c.is_ascii_digit()).count();
    let first_group = text[start..at].iter().all(char::is_ascii_digit);
    let digits_after = text[at + 1..].iter().take_while(|c| c.is_ascii_digit()).count();
    text[at] == ' '
        && digits_after == 3
        && if first_group { (1..=3).contains(&digits_before) } else { digits_before == 3 }
}

fn readings(token: &str) -> Vec<(f64, f64)> {
    let mut found = Vec::new();
    if let Some((_, last)) = token.rsplit_once(' ') {
        // `phase 1 250 m³/d`: perhaps the space is only a space.
        found.extend(readings(last));
    }
    let token: String = token.chars().filter(|c| !matches!(c, ' ' | '\'' | '’')).collect();
    let separators: Vec<char> = token.chars().filter(|c| !c.is_ascii_digit()).collect();
    let groups: Vec<&str> = token.split(['.', ',']).collect();
    let grouped =
        groups.len() > 1 && (1..=3).contains(&groups[0].len()) && groups[1..].iter().all(|group| group.len() == 3);
    let mut read = |whole: String, decimals: &str| {
        let step = 10_f64.powi(-i32::try_from(decimals.len()).unwrap_or(i32::MAX));
        let written = if decimals.is_empty() { whole } else { format!("{whole}.{decimals}") };
        if let Ok(value) = written.parse::<f64>()
            && value.is_finite()
        {
            found.push((value, step));
        }
    };
    match separators.as_slice() {
        [] => read(token.clone(), ""),
        [_] => {
            read(groups[0].to_owned(), groups[1]);
            if grouped && groups[0] != "0" {
                read(groups.concat(), "");
            }
        }
        [first, .., last] if first != last => {
            let (whole, decimals) = groups.split_at(groups.len() - 1);
            read(whole.concat(), decimals[0]);
        }
        [_, ..] if grouped => read(groups.concat(), ""),
        [_, ..] => (),
    }
    found
}

/// A scale word behind a number: where it ends, and its factor.
fn scale(text: &[char], at: usize) -> (usize, f64) {
    const SCALES: &[(&str, f64)] = &[
        (" million", 1e6),
        (" millions", 1e6),
        (" millones", 1e6),
        (" millón", 1e6),
        (" thousand", 1e3),
        (" mil", 1e3),
        (" mm", 1e6),
        (" m", 1e6),
        ("m", 1e6),
        ("mm", 1e6),
        ("k", 1e3),
        (" k", 1e3),
    ];
    SCALES
        .iter()
        .filter_map(|&(word, factor)| after_word(text, at, word).map(|end| (end, factor)))
        .max_by_key(|&(end, _)| end)
        .unwrap_or((at, 1.0))
}

/// Where `word` ends, if it stands at `at` and no letter or digit follows.
fn after_word(text: &[char], at: usize, word: &str) -> Option<usize> {
    let length = word.chars().count();
    let here = text.get(at..at + length)?;
    let whole = here.iter().copied().eq(word.chars());
    let ends =
        word.ends_with(|c: char| !c.is_alphanumeric()) || !text.get(at + length).is_some_and(|c| c.is_alphanumeric());
    (whole && ends).then_some(at + length)
}

/// Where one of `names` ends, if it stands at `at`.
fn one_of(text: &[char], at: usize, names: &[&str]) -> Option<usize> {
    names.iter().filter_map(|name| after_word(text, at, name)).max()
}

fn skip(text: &[char], mut at: usize, skipped: &[char]) -> usize {
    while text.get(at).is_some_and(|c| skipped.contains(c)) {
        at += 1;
    }
    at
}

const PER: &[&str] = &["per", "por", "a", "al", "each", "every", "cada", "for each"];
const CUBIC_METRES: &[&str] = &[
    "m3",
    "m^3",
    "cubic metres",
    "cubic meters",
    "cubic metre",
    "cubic meter",
    "metros cúbicos",
    "metro cúbico",
    "metros cubicos",
];

/// A time that divides: where it ends, and how many of it make a day.
fn time(text: &[char], at: usize) -> Option<(usize, f64)> {
    const TIMES: &[(&[&str], f64)] = &[
        (&["d", "day", "días", "día", "dia", "dias", "diarios", "diarias", "daily"], 1.0),
        (&["h", "hr", "hour", "hora"], 24.0),
        (&["min", "minute", "minuto"], 1440.0),
        (&["s", "sec", "second", "segundo"], 86_400.0),
        (&["month", "mes", "mo"], 12.0 / 365.25),
        (&["year", "yr", "y", "a", "año", "anuales", "annually", "yearly"], 1.0 / 365.0),
    ];
    TIMES.iter().find_map(|&(names, in_a_day)| one_of(text, at, names).map(|end| (end, in_a_day)))
}

/// `/d`, ` per day`, ` of dairy wastewater per day`, ` DS/d`: the time behind a unit, over a few words in between.
fn per_time(text: &[char], at: usize) -> Option<(usize, f64)> {
    const FURTHEST: usize = 60;
    let mut here = at;
    while here < text.len() && here - at <= FURTHEST {
        if text[here] == '/' {
            return time(text, skip(text, here + 1, &[' ']));
        }
        let word_begins = here > at && text[here - 1] == ' ';
        if word_begins {
            if let Some(end) = one_of(text, here, PER)
                && let Some(found) = time(text, skip(text, end, &[' ']))
            {
                return Some(found);
            }
            if let Some(end) = one_of(text, here, &["daily", "diarios", "diarias"]) {
                return Some((end, 1.0));
            }
        }
        if !(text[here].is_alphabetic() || text[here] == ' ') {
            return None;
        }
        here += 1;
    }
    None
}

fn money_before(text: &[char], start: usize) -> bool {
    let before: String = text[..start].iter().collect();
    let before = before.trim_end();
    before.ends_with("usd") || before.ends_with('$')
}

fn with_unit(text: &[char], number: &Number) -> Option<Quantity> {
    let (scaled, factor) = scale(text, number.end);
    let quantity = |dimension, factor: f64| Some(number.times(dimension, factor));
    let behind = skip(text, scaled, &[' ']);
    let money_end = one_of(text, behind, &["usd", "us dollars", "dollars", "dólares", "dolares", "us$"])
        .or_else(|| one_of(text, skip(text, behind, &['d', 'e', ' ']), &["dólares", "dolares"]));
    let before = money_before(text, number.start);
    if before || money_end.is_some() {
        let at = money_end.unwrap_or(if factor == 1.0 { number.end } else { scaled });
        return money(text, at).and_then(|(dimension, per)| quantity(dimension, factor * per));
    }
    // Without money, `m` behind a number is metres: only words scale.
    let (at, factor) = if scaled > number.end + 3 { (behind, factor) } else { (number.end, 1.0) };
    let at = skip(text, at, &[' ', '-']);
    if let Some(end) = one_of(text, at, CUBIC_METRES) {
        return match per_time(text, end) {
            Some((_, in_a_day)) => quantity(Dimension::Flow, factor * in_a_day),
            None if text.get(end) == Some(&'/') => None,
            None => quantity(Dimension::Volume, factor),
        };
    }
    if let Some(end) = one_of(text, at, &["l", "litres", "liters", "litros"]) {
        return per_time(text, end).and_then(|(_, in_a_day)| quantity(Dimension::Flow, factor * in_a_day / 1000.0));
    }
    if let Some(end) = one_of(text, at, &["mg", "g", "µg", "μg", "ug"]) {
        let factor = factor
            * if text[at] == 'm' {
                1.0
            } else if text[at] == 'g' {
                1000.0
            } else {
                0.001
            };
        let slash = skip(text, end, &[' ']);
        let by = if text.get(slash) == Some(&'/') { Some(slash + 1) } else { one_of(text, slash, PER) };
        let litre = by.and_then(|by| one_of(text, skip(text, by, &[' ']), &["l", "litre", "liter", "litro"]));
        return litre.and_then(|_| quantity(Dimension::Concentration, factor));
    }
    if one_of(text, at, &["ppm"]).is_some() {
        return quantity(Dimension::Concentration, factor);
    }
    if let Some(end) = one_of(text, at, &["kg", "t", "tonnes", "tons", "toneladas"]) {
        let factor = factor * if text[at] == 'k' { 1.0 } else { 1000.0 };
        return per_time(text, end).and_then(|(_, in_a_day)| quantity(Dimension::MassRate, factor * in_a_day));
    }
    if let Some(end) = one_of(text, at, &["kwh"]) {
        let by = skip(text, end, &[' ']);
        let by = if text.get(by) == Some(&'/') { Some(by + 1) } else { one_of(text, by, PER) };
        let volume = by.and_then(|by| one_of(text, skip(text, by, &[' ']), CUBIC_METRES));
        return match (volume, per_time(text, end)) {
            (Some(_), _) => quantity(Dimension::EnergyPerVolume, factor),
            (None, Some((_, in_a_day))) => quantity(Dimension::EnergyPerTime, factor * in_a_day),
            (None, None) => None,
        };
    }
    if let Some(end) = one_of(text, at, &["kw", "kilowatts", "kilovatios"]) {
        return if text.get(end) == Some(&'/') { None } else { quantity(Dimension::Power, factor) };
    }
    if let Some(end) = one_of(text, at, &["m2", "m^2", "square metres", "square meters", "metros cuadrados"]) {
        return if text.get(end) == Some(&'/') { None } else { quantity(Dimension::Area, factor) };
    }
    if one_of(text, at, &["ha", "hectares", "hectáreas"]).is_some() {
        return quantity(Dimension::Area, factor * 10_000.0);
    }
    if text.get(at) == Some(&'%') || one_of(text, at, &["percent", "per cent", "por ciento"]).is_some() {
        return quantity(Dimension::Percent, factor);
    }
    if one_of(text, at, &["years", "year", "yrs", "yr", "años", "año"]).is_some() {
        return quantity(Dimension::Years, factor);
    }
    if one_of(text, at, &["months", "month", "meses", "mes"]).is_some() {
        return quantity(Dimension::Months, factor);
    }
    None
}

/// What follows an amount of money: its dimension, and the factor that makes it yearly.
fn money(text: &[char], at: usize) -> Option<(Dimension, f64)> {
    let at = skip(text, at, &[' ']);
    let by = if text.get(at) == Some(&'/') { Some(at + 1) } else { one_of(text, at, PER) };
    let Some(by) = by else { return Some((Dimension::Money, 1.0)) };
    let divisor = skip(text, by, &[' ', '(']);
    if one_of(text, divisor, &["kwh"]).is_some() {
        return Some((Dimension::MoneyPerEnergy, 1.0));
    }
    if let Some(end) = one_of(text, divisor, CUBIC_METRES) {
        // Only a time directly behind makes it a capacity: `USD/m³ of water per day` is nobody's unit.
        let flows =
            text.get(end) == Some(&'/') || one_of(text, skip(text, end, &[' ']), &["per", "por", "al"]).is_some();
        return Some((if flows { Dimension::MoneyPerFlow } else { Dimension::MoneyPerVolume }, 1.0));
    }
    if text.get(at) != Some(&'/') && one_of(text, at, &["a"]).is_some() && time(text, divisor).is_none() {
        return Some((Dimension::Money, 1.0));
    }
    // A price for a kilogram or a ton is no quantity of the design.
    time(text, divisor).map(|(_, in_a_day)| (Dimension::Money, if in_a_day < 0.01 { 1.0 } else { in_a_day * 365.25 }))
}

/// The first number of a range, with the unit and the scale of the second; a scale word of its own counts.
fn like(text: &[char], first: &Number, second: &Number, unit: &Quantity) -> Quantity {
    let plain = second.readings.first().map_or(0.0, |(value, _)| *value);
    let scaled = unit.readings.first().map_or(0.0, |(value, _)| *value);
    let own = scale(text, first.end).1;
    let factor = if own != 1.0 && unit.dimension == Dimension::Money {
        own
    } else if plain == 0.0 {
        1.0
    } else {
        scaled / plain
    };
    first.times(unit.dimension, factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each quantity with the readings of its number.
    fn found(sentence: &str) -> Vec<(Dimension, Vec<f64>)> {
        let round = |value: f64| (value * 1e6).round() / 1e6;
        quantities(sentence)
            .into_iter()
            .map(|quantity| {
                (quantity.dimension, quantity.readings.into_iter().map(|(value, _)| round(value)).collect())
            })
            .collect()
    }

    #[test]
    fn quantities_are_found_in_all_their_spellings() {
        use Dimension as D;
        for (sentence, dimension, value) in [
            ("The plant treats 230 m³ of dairy wastewater per day.", D::Flow, 230.0),
            ("a flow of 9.6 m3/h", D::Flow, 230.4),
            ("trata 230 m³ por día", D::Flow, 230.0),
            ("2.5 L/s", D::Flow, 216.0),
            ("a 500-m³ tank", D::Volume, 500.0),
            ("CAPEX is USD 0.21 million", D::Money, 210_000.0),
            ("about $210k", D::Money, 210_000.0),
            ("210 mil USD", D::Money, 210_000.0),
            ("USD 99,500.50 per year", D::Money, 99_500.5),
            ("8,000 USD a month", D::Money, 96_000.0),
            ("0.12 USD/kWh", D::MoneyPerEnergy, 0.12),
            ("USD 0.85 per m³", D::MoneyPerVolume, 0.85),
            ("USD 913 per m³/d of capacity", D::MoneyPerFlow, 913.0),
            ("removes 98.6% of BOD", D::Percent, 98.6),
            ("un 35,5 por ciento", D::Percent, 35.5),
            ("BOD5 of 16.5 mg/L", D::Concentration, 16.5),
            ("1.2 g/L", D::Concentration, 1200.0),
            ("120 kg DS/d", D::MassRate, 120.0),
            ("120 kg of dry solids per day", D::MassRate, 120.0),
            ("18.5 kW", D::Power, 18.5),
            ("1.4 kWh/m³", D::EnergyPerVolume, 1.4),
            ("1,4 kWh por metro cúbico", D::EnergyPerVolume, 1.4),
            ("444 kWh per day", D::EnergyPerTime, 444.0),
            ("180 square metres", D::Area, 180.0),
            ("a 20-year design life", D::Years, 20.0),
            ("8 meses", D::Months, 8.0),
        ] {
            let found = found(sentence);
            let fits = found.len() == 1 && found[0].0 == dimension && found[0].1.contains(&value);
            assert!(fits, "{sentence}: {found:?}");
        }
    }

    #[test]
    fn a_separator_is_read_in_every_way_it_may_be_meant() {
        assert_eq!(found("1,850 mg/L"), [(Dimension::Concentration, vec![1.85, 1850.0])]);
        assert_eq!(found("1.850 mg/L"), [(Dimension::Concentration, vec![1.85, 1850.0])]);
        assert_eq!(found("1.234.567,5 USD"), [(Dimension::Money, vec![1_234_567.5])]);
        assert!(found("12 500 USD")[0].1.contains(&12_500.0));
        assert!(found("12\u{202f}500 USD")[0].1.contains(&12_500.0));
    }

    #[test]
    fn a_range_says_its_unit_once() {
        use Dimension as D;
        assert_eq!(found("5–10 %"), [(D::Percent, vec![5.0]), (D::Percent, vec![10.0])]);
        assert_eq!(found("between 8 and 14 months"), [(D::Months, vec![8.0]), (D::Months, vec![14.0])]);
        assert_eq!(found("USD 200,000 to 250,000").len(), 2);
        assert_eq!(found("2 and 14 months").len(), 1);
        for million in ["USD 1.04 to 1.94 million", "USD 1.04–1.94 million", "1.04 million to 1.94 million USD"] {
            let both = [(D::Money, vec![1_040_000.0]), (D::Money, vec![1_940_000.0])];
            assert_eq!(found(million), both, "{million}");
        }
    }

    #[test]
    fn names_dates_and_loading_rates_are_no_quantities() {
        for sentence in [
            "NOM-001-SEMARNAT-2021 applies",
            "BOD5 and NO3-N",
            "4.2 x 1.9 x 2.1 m",
            "an OLR of 6 kg COD/m³/d",
            "25 m³/m²/h",
            "in 2021",
            "2 units in parallel",
            "pH 6.5 to 8.5",
            "5 W/m³",
            "USD 250 per kg",
        ] {
            assert_eq!(found(sentence), [], "{sentence}");
        }
    }
}
