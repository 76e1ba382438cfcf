//! The water to be treated: what is given, and what is assumed for the rest (section 2.3).

use super::{Assumption, InfluentParameter, Notes, Origin, with_range};
use crate::defaults::{self, Influent, Range};
use crate::facts::{Country, Facts, SectorKind, fold};
use crate::note::{Mark, Warning, WarningCode, shown};
use crate::parameter::Parameter;
use crate::sheet::{Objective, SheetReading};

/// Alkalinity where it is not given, in mg/L as CaCO₃: least, usual, most.
pub(super) const ALKALINITY: Range = (50.0, 200.0, 350.0);

/// The kind of water and the defaults of its subsector.
pub(super) fn kind_and_defaults(sheet: &SheetReading, facts: &Facts) -> (SectorKind, &'static Influent) {
    let metals =
        sheet.parameters.iter().any(|reading| Parameter::METALS.contains(&reading.parameter) && reading.value > 1.0);
    let row = defaults::influent(facts, metals);
    let utility = facts.subsector.as_deref().map(fold).as_deref() == Some("water utility");
    let supply = sheet.wastewater.given().is_none()
        && (sheet.objective == Some(Objective::Supply) || (utility && sheet.objective.is_none()));
    (if supply { SectorKind::Supply } else { row.kind }, row)
}

pub(super) fn influent(
    sheet: &SheetReading,
    kind: SectorKind,
    row: &Influent,
    country: Country,
    notes: &mut Notes,
) -> Vec<InfluentParameter> {
    let mut found: Vec<InfluentParameter> = sheet
        .parameters
        .iter()
        .map(|reading| InfluentParameter {
            parameter: reading.parameter,
            name: reading.parameter.name().to_owned(),
            value: reading.value,
            unit: reading.unit.clone(),
            origin: reading.origin.into(),
            field: Some(reading.field.clone()),
            target: None,
        })
        .collect();
    for influent in found.iter().filter(|influent| !influent.origin.is_given()) {
        let text = format!(
            "{} of {} is the template's value or a suggestion that nobody confirmed, and counts as assumed.",
            influent.name,
            with_unit(influent.value, &influent.unit)
        );
        let source = "template of the technical sheet";
        let assumption = Assumption::new(&influent.name, text, Mark::E, source);
        notes.assumptions.push(assumption.number((influent.value, influent.value, influent.value), &influent.unit));
    }
    if found.iter().all(|influent| !influent.origin.is_given()) {
        let message = "Every quality parameter of the sheet is a default; the design needs a laboratory analysis.";
        notes.warnings.push(Warning::new(WarningCode::DefaultsOnly, message).at("water-quality/bod5"));
    }
    for missing in missing(sheet, kind, row, country) {
        let Missing { parameter, range, origin, mark, source, how } = missing;
        let text =
            format!("{} is not given: {} assumed{how}.", long_name(parameter), with_range(range, parameter.unit()))
                .replace("  ", " ");
        let critical = matches!(parameter, Parameter::Bod5 | Parameter::Cod);
        let mut assumption = Assumption::new(parameter.name(), text, mark, source).number(range, parameter.unit());
        assumption.critical = critical;
        notes.assumptions.push(assumption);
        found.push(InfluentParameter {
            parameter,
            name: parameter.name().to_owned(),
            value: range.1,
            unit: parameter.unit().to_owned(),
            origin,
            field: None,
            target: None,
        });
    }
    found.sort_by_key(|influent| influent.parameter);
    if kind != SectorKind::OilMetal {
        biodegradability(&found, notes);
    }
    found
}

fn with_unit(value: f64, unit: &str) -> String {
    if unit.is_empty() { shown(value) } else { format!("{} {unit}", shown(value)) }
}

/// The name with the abbreviation spelt out where it helps.
fn long_name(parameter: Parameter) -> &'static str {
    const SPELT_OUT: [(Parameter, &str); 6] = [
        (Parameter::Bod5, "BOD (five-day biochemical oxygen demand)"),
        (Parameter::Cod, "COD (chemical oxygen demand)"),
        (Parameter::Tss, "TSS (total suspended solids)"),
        (Parameter::OilGrease, "FOG (fats, oils and grease)"),
        (Parameter::Tn, "TN (total nitrogen)"),
        (Parameter::Tp, "TP (total phosphorus)"),
    ];
    SPELT_OUT.iter().find(|(short, _)| *short == parameter).map_or(parameter.name(), |(_, name)| name)
}

struct Missing {
    parameter: Parameter,
    range: Range,
    origin: Origin,
    mark: Mark,
    source: &'static str,
    how: String,
}

fn missing(sheet: &SheetReading, kind: SectorKind, row: &Influent, country: Country) -> Vec<Missing> {
    let given = |parameter| sheet.parameters.iter().find(|reading| reading.parameter == parameter).map(|r| r.value);
    let mut found = Vec::new();
    let mut push = |parameter, range, mark, source, origin, how: String| {
        found.push(Missing { parameter, range, origin, mark, source, how });
    };
    let for_subsector = format!(" for {}", row.subsector);
    let temperature = match country {
        Country::Mexico | Country::CostaRica | Country::Andean | Country::Other => (15.0, 20.0, 28.0),
        Country::UnitedStates | Country::EuropeanUnion => (8.0, 12.0, 20.0),
    };
    if given(Parameter::Temperature).is_none() {
        let how = " for the coldest month of the region".to_owned();
        push(Parameter::Temperature, temperature, Mark::E, "engineering basis 2.1", Origin::Assumed, how);
    }
    if kind == SectorKind::Supply {
        let source = "engineering basis 2.3, river water";
        for (parameter, range) in [
            (Parameter::Ph, (6.5, 7.3, 8.5)),
            (Parameter::Turbidity, (5.0, 30.0, 500.0)),
            (Parameter::Tss, (10.0, 40.0, 300.0)),
        ] {
            if given(parameter).is_none() {
                push(parameter, range, Mark::E, source, Origin::Assumed, " for river water".to_owned());
            }
        }
        return found;
    }
    if given(Parameter::Ph).is_none() {
        push(Parameter::Ph, row.ph, row.mark, row.source, Origin::Assumed, for_subsector.clone());
    }
    // BOD and COD go together: with one of them the other follows by the usual ratio of the subsector.
    let ratio = row.bod.1 / row.cod.1;
    match (given(Parameter::Bod5), given(Parameter::Cod)) {
        (Some(_), Some(_)) => {}
        (Some(bod), None) => {
            let factor = if kind == SectorKind::Domestic { 2.1 } else { 1.0 / ratio };
            let range = (bod * 1.3, bod * factor, bod * factor * 1.5);
            let how = format!(" as {} x BOD", shown(factor));
            push(Parameter::Cod, range, row.mark, row.source, Origin::Derived, how);
        }
        (None, Some(cod)) => {
            let range = (cod * ratio * 0.6, cod * ratio, (cod * ratio * 1.4).min(cod));
            let how = format!(" as {} x COD", shown(ratio));
            push(Parameter::Bod5, range, row.mark, row.source, Origin::Derived, how);
        }
        (None, None) => {
            push(Parameter::Bod5, row.bod, row.mark, row.source, Origin::Assumed, for_subsector.clone());
            push(Parameter::Cod, row.cod, row.mark, row.source, Origin::Assumed, for_subsector.clone());
        }
    }
    // Oil is part of the organic matter: no more of it is assumed than the COD that is known can hold.
    let cod = given(Parameter::Cod).or(given(Parameter::Bod5).map(|bod| bod / ratio)).unwrap_or(row.cod.1);
    let share = (cod / row.cod.1).clamp(0.1, 1.0);
    let fog = (row.fog.0 * share, row.fog.1 * share, row.fog.2 * share);
    // Nitrogen is not assumed below what is known of its forms.
    let forms = given(Parameter::Tkn).unwrap_or_else(|| given(Parameter::AmmoniaN).unwrap_or(0.0))
        + given(Parameter::NitrateN).unwrap_or(0.0);
    let tn = if forms > 0.0 { (forms, row.tn.1.max(forms), row.tn.2.max(forms)) } else { row.tn };
    for (parameter, range) in
        [(Parameter::Tss, row.tss), (Parameter::OilGrease, fog), (Parameter::Tn, tn), (Parameter::Tp, row.tp)]
    {
        if given(parameter).is_none() {
            push(parameter, range, row.mark, row.source, Origin::Assumed, for_subsector.clone());
        }
    }
    found
}

fn biodegradability(found: &[InfluentParameter], notes: &mut Notes) {
    let value = |parameter| found.iter().find(|influent| influent.parameter == parameter).map(|i| i.value);
    if let (Some(bod), Some(cod)) = (value(Parameter::Bod5), value(Parameter::Cod))
        && cod > 0.0
    {
        let ratio = bod / cod;
        if ratio < 0.2 {
            let message = format!(
                "BOD/COD is {}: the organic matter hardly degrades biologically; a treatability test is needed.",
                shown(ratio)
            );
            notes
                .warnings
                .push(Warning::new(WarningCode::TestNeeded, message).at("water-quality/bod5").at("water-quality/cod"));
        }
    }
}
