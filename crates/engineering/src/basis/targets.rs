//! The limits the effluent must meet: which regulations apply and the strictest of them (section 3).

use super::{Assumption, InfluentParameter, Notes, Origin, flow, with_range};
use crate::facts::{Country, SectorKind};
use crate::limits::{self, Limit, Receiver, Regulation, ReuseUse};
use crate::note::{Mark, TraceEntry, Warning, WarningCode, shown};
use crate::parameter::Parameter;
use crate::sheet::{Objective, SheetReading};
use std::collections::BTreeMap;

/// What the effluent must meet.
pub(super) struct Aims {
    pub(super) limits: Vec<Limit>,
    pub(super) regulations: Vec<Regulation>,
    pub(super) receiver: Receiver,
    pub(super) objective: Objective,
    /// Whether the regulation was taken from the country, not from the sheet.
    pub(super) assumed: bool,
    /// Whether not even the country's regulation is known.
    pub(super) guessed: bool,
}

const REGULATIONS: &str = "project-constraints/regulatory-requirements";
const DISCHARGE: &str = "project-context/discharge-point";

pub(super) fn set(
    sheet: &SheetReading,
    kind: SectorKind,
    country: Country,
    people_equivalents: f64,
    influent: &mut Vec<InfluentParameter>,
    notes: &mut Notes,
) -> Aims {
    let objective = if kind == SectorKind::Supply { Objective::Supply } else { flow::objective(sheet) };
    let receiver = sheet.discharge.unwrap_or_else(|| {
        let receiver = if objective == Objective::Supply || !sheet.reuse.is_empty() {
            Receiver::NoDischarge
        } else {
            Receiver::River
        };
        if receiver == Receiver::River {
            let text = "The discharge point is not given: a river or stream assumed.".to_owned();
            notes.assumptions.push(Assumption::new("Discharge point", text, Mark::E, "engineering basis 3").critical());
        }
        receiver
    });
    let mut regulations = sheet.regulations.clone();
    mismatches(&regulations, receiver, country, kind, notes);
    let (mut assumed, mut guessed) = (false, false);
    let covers_discharge = regulations.iter().any(|&regulation| {
        regulation.country().is_none_or(|home| home == country || country == Country::Other)
            && governs(regulation, receiver)
    });
    if objective == Objective::Supply {
        if regulations.is_empty() {
            let regulation = match country {
                Country::Mexico => Regulation::Nom127,
                Country::CostaRica => Regulation::CrDrinking,
                Country::UnitedStates => Regulation::EpaDrinking,
                Country::Andean | Country::EuropeanUnion | Country::Other => Regulation::WhoDrinking,
            };
            regulations.push(regulation);
            assumed = true;
        }
    } else if !covers_discharge && let Some(regulation) = limits::of_country(country, receiver) {
        // Water that is all used again has its limits from its uses; any rest must still meet the receiver's rules.
        regulations.push(regulation);
        assumed = sheet.regulations.is_empty();
        guessed = assumed && matches!(country, Country::Other | Country::Andean);
        let text =
            format!("No named regulation governs this discharge ({}): {} applied.", receiver.name(), regulation.name());
        notes.assumptions.push(
            Assumption::new(
                "Discharge regulation",
                text.clone(),
                regulation.mark(people_equivalents),
                regulation.name(),
            )
            .critical(),
        );
        notes.warnings.push(Warning::new(WarningCode::RegulationAssumed, text).at(REGULATIONS).at(DISCHARGE));
    }
    let direct = reuse_classes(sheet, country, people_equivalents, &mut regulations, notes);
    if regulations.contains(&Regulation::Nom002) {
        let text = "Limits of 200 mg/L for BOD and TSS in the sewer are assumed under NOM-002; the local utility sets \
                    the real ones."
            .to_owned();
        notes.assumptions.push(Assumption::new("Sewer limits for BOD and TSS", text, Mark::E, "engineering basis 3.1"));
    }
    let mut strictest: BTreeMap<Parameter, (Option<f64>, f64, Regulation)> = BTreeMap::new();
    for &regulation in &regulations {
        for (parameter, least, most) in limits::rows(regulation, receiver, direct, people_equivalents) {
            let entry = strictest.entry(parameter).or_insert((least, most, regulation));
            if most < entry.1 {
                (entry.1, entry.2) = (most, regulation);
            }
            entry.0 = match (entry.0, least) {
                (Some(one), Some(other)) => Some(one.max(other)),
                (one, other) => one.or(other),
            };
        }
    }
    if regulations.contains(&Regulation::Nom001) && influent.iter().any(|i| i.parameter == Parameter::Color) {
        let message = "NOM-001 limits true color as absorption at 436, 525 and 620 nm (7, 5 and 3 1/m); color in Pt-Co \
                       cannot be compared with it, so the absorption must be measured.";
        notes.warnings.push(Warning::new(WarningCode::TestNeeded, message).at("water-quality/color"));
    }
    like_with_like(&mut strictest, sheet, kind, influent, notes);
    let limits = strictest
        .into_iter()
        .map(|(parameter, (least, most, regulation))| Limit {
            parameter,
            least,
            most,
            design: most,
            unit: parameter.unit().to_owned(),
            regulation,
            source: regulation.name().to_owned(),
            mark: regulation.mark(people_equivalents),
        })
        .collect::<Vec<_>>();
    not_given(&limits, influent, notes);
    Aims { limits, regulations, receiver, objective, assumed, guessed }
}

/// Sets what the design aims at: the limit less the margin, a share of it; at least 30 % for toxic metals (2.1).
pub(super) fn apply_margin(aims: &mut Aims, margin: f64, notes: &mut Notes) {
    const TOXIC: f64 = 0.30;
    for limit in &mut aims.limits {
        let toxic = Parameter::METALS.contains(&limit.parameter) || limit.parameter == Parameter::Cyanide;
        // The band of pH and the temperature are kept as they are.
        let share = if matches!(limit.parameter, Parameter::Ph | Parameter::Temperature) {
            0.0
        } else if toxic {
            margin.max(TOXIC)
        } else {
            margin
        };
        limit.design = limit.most * (1.0 - share);
        notes.trace.push(
            TraceEntry::new(
                "basis.limit",
                "strictest of the applied regulations; design = limit x (1 - margin)",
                limit.mark,
                &limit.source,
            )
            .word("parameter", limit.parameter.name())
            .word("receiver", aims.receiver.name())
            .input("margin", share)
            .output(&format!("limit_{}", limit.unit), limit.most)
            .output(&format!("design_{}", limit.unit), limit.design),
        );
    }
}

/// Names the limited parameters nobody has measured: the design takes them to be within their limits.
fn not_given(limits: &[Limit], influent: &[InfluentParameter], notes: &mut Notes) {
    use Parameter as P;
    let has = |parameter| influent.iter().any(|influent| influent.parameter == parameter);
    let missing: Vec<&str> = limits
        .iter()
        .map(|limit| limit.parameter)
        .filter(|&parameter| !has(parameter))
        .filter(|&parameter| match parameter {
            // Another parameter stands for it, or an assumption of its own says what is done.
            P::EColi | P::FecalColiforms | P::TotalColiforms => false,
            P::ChromiumVi => !has(P::Chromium),
            _ => true,
        })
        .map(Parameter::name)
        .collect();
    if !missing.is_empty() {
        let text = format!(
            "Limited parameters that are not given are taken to be within their limits and must be measured: {}.",
            missing.join(", ")
        );
        let name = "Limited parameters that are not given";
        notes.assumptions.push(Assumption::new(name, text, Mark::E, "engineering basis 3"));
    }
}

/// Whether a regulation is one that governs discharge to the receiver.
fn governs(regulation: Regulation, receiver: Receiver) -> bool {
    match regulation {
        Regulation::Nom001 => receiver != Receiver::Sewer,
        Regulation::Nom002 => receiver == Receiver::Sewer,
        Regulation::Cr33601 => true,
        Regulation::EpaDischarge | Regulation::EuUwwtd => receiver != Receiver::NoDischarge,
        Regulation::Nom003
        | Regulation::Nom127
        | Regulation::CrDrinking
        | Regulation::EpaReuse
        | Regulation::EpaDrinking
        | Regulation::EuReuse
        | Regulation::WhoDrinking
        | Regulation::CoolingWater
        | Regulation::BoilerFeed => false,
    }
}

fn mismatches(named: &[Regulation], receiver: Receiver, country: Country, kind: SectorKind, notes: &mut Notes) {
    let mut warn = |message: String| {
        notes.warnings.push(Warning::new(WarningCode::RegulationMismatch, message).at(REGULATIONS).at(DISCHARGE));
    };
    for &regulation in named {
        match regulation {
            Regulation::Nom001 if receiver == Receiver::Sewer => warn(
                "NOM-001 governs discharge to national waters, but the discharge point is a municipal sewer, which \
                 NOM-002 governs; the strictest value of both is used."
                    .to_owned(),
            ),
            Regulation::Nom002 if receiver == Receiver::Sewer => warn(
                "NOM-002 governs discharge to sewers, as the discharge point says; a label that names rivers for it \
                 is wrong."
                    .to_owned(),
            ),
            Regulation::Nom002 => warn(format!(
                "NOM-002 governs discharge to sewers, but the discharge point is: {}; the strictest value of all \
                 applied regulations is used.",
                receiver.name()
            )),
            Regulation::EpaDischarge if !matches!(kind, SectorKind::Domestic | SectorKind::Supply) => warn(
                "The EPA limits for secondary treatment (40 CFR 133) are for municipal plants; an industrial discharge \
                 has the limits of its category (40 CFR 405-471). They are used as a reference."
                    .to_owned(),
            ),
            Regulation::Nom001
            | Regulation::Nom003
            | Regulation::Nom127
            | Regulation::Cr33601
            | Regulation::CrDrinking
            | Regulation::EpaDischarge
            | Regulation::EpaReuse
            | Regulation::EpaDrinking
            | Regulation::EuUwwtd
            | Regulation::EuReuse
            | Regulation::WhoDrinking
            | Regulation::CoolingWater
            | Regulation::BoilerFeed => {}
        }
        if regulation.country().is_some_and(|home| home != country && country != Country::Other) {
            warn(format!("{} is not a regulation of the country of the site.", regulation.name()));
        }
    }
}

/// Adds the classes of the reuse goals; says whether people touch the water.
fn reuse_classes(
    sheet: &SheetReading,
    country: Country,
    people_equivalents: f64,
    regulations: &mut Vec<Regulation>,
    notes: &mut Notes,
) -> bool {
    let direct = sheet.reuse.iter().any(|reuse| match reuse {
        ReuseUse::Irrigation
        | ReuseUse::Toilets
        | ReuseUse::Cleaning
        | ReuseUse::Fire
        | ReuseUse::Ornamental
        | ReuseUse::Recharge
        | ReuseUse::Drinking => true,
        ReuseUse::Cooling | ReuseUse::Boiler | ReuseUse::Process => false,
    });
    let add = |regulation: Regulation, regulations: &mut Vec<Regulation>| {
        if !regulations.contains(&regulation) {
            regulations.push(regulation);
        }
    };
    if !sheet.reuse.is_empty() {
        let named = regulations
            .iter()
            .any(|regulation| matches!(regulation, Regulation::Nom003 | Regulation::EpaReuse | Regulation::EuReuse));
        if !named {
            let class = match country {
                Country::Mexico => Regulation::Nom003,
                Country::EuropeanUnion => Regulation::EuReuse,
                Country::CostaRica | Country::Andean | Country::UnitedStates | Country::Other => Regulation::EpaReuse,
            };
            let text = format!("No reuse class is named: {} applied to the reuse goals.", class.name());
            notes
                .assumptions
                .push(Assumption::new("Reuse class", text, class.mark(people_equivalents), class.name()).critical());
            add(class, regulations);
        }
        if direct {
            let text = "People may touch the reused water, so the class for direct contact is used.".to_owned();
            notes.assumptions.push(Assumption::new(
                "Contact with reused water",
                text,
                Mark::E,
                "engineering basis 3.5",
            ));
        }
    }
    if sheet.reuse.contains(&ReuseUse::Cooling) {
        add(Regulation::CoolingWater, regulations);
    }
    if sheet.reuse.contains(&ReuseUse::Boiler) {
        add(Regulation::BoilerFeed, regulations);
    }
    if sheet.reuse.contains(&ReuseUse::Drinking) {
        add(Regulation::WhoDrinking, regulations);
    }
    direct
}

/// Moves limits to the parameter that was measured where one stands for the other, and assumes organisms where they
/// are limited and sewage or reuse makes them certain.
fn like_with_like(
    strictest: &mut BTreeMap<Parameter, (Option<f64>, f64, Regulation)>,
    sheet: &SheetReading,
    kind: SectorKind,
    influent: &mut Vec<InfluentParameter>,
    notes: &mut Notes,
) {
    let has = |influent: &[InfluentParameter], parameter| influent.iter().any(|i| i.parameter == parameter);
    // Hexavalent chromium is limited, total chromium is given: all of it may be hexavalent.
    if let Some(&limit) = strictest.get(&Parameter::ChromiumVi)
        && has(influent, Parameter::Chromium)
        && !has(influent, Parameter::ChromiumVi)
    {
        let entry = strictest.entry(Parameter::Chromium).or_insert(limit);
        if limit.1 < entry.1 {
            *entry = limit;
        }
        let text =
            "Hexavalent chromium is not given: all chromium is taken as hexavalent for reduction and for its limit."
                .to_owned();
        notes.assumptions.push(Assumption::new("Hexavalent chromium", text, Mark::E, "engineering basis 4.1 P10"));
    }
    let organisms = [Parameter::EColi, Parameter::FecalColiforms, Parameter::TotalColiforms];
    let limited: Vec<Parameter> = organisms.into_iter().filter(|parameter| strictest.contains_key(parameter)).collect();
    if limited.is_empty() {
        return;
    }
    let sewage = matches!(kind, SectorKind::Domestic | SectorKind::Supply);
    if !organisms.into_iter().any(|parameter| has(influent, parameter)) {
        if !sewage && sheet.reuse.is_empty() {
            let text = "Organisms are not given and no sewage is expected in the process water; the limit on them is \
                        not designed for. If toilets join the flow, disinfection must be added."
                .to_owned();
            notes.assumptions.push(Assumption::new("Fecal coliforms", text, Mark::E, "engineering basis 3.1"));
            return;
        }
        let (range, mark, source) = match kind {
            SectorKind::Domestic => {
                ((1e6, 1e7, 1e8), Mark::V, "Rodríguez Miranda et al. 2015 (sewage of medium strength)")
            }
            SectorKind::Supply => ((1e2, 1e3, 1e5), Mark::E, "engineering basis 2.3, river water"),
            SectorKind::Food | SectorKind::Chemical | SectorKind::OilMetal => {
                ((1e3, 1e5, 1e7), Mark::E, "engineering basis 2.3, industry with some sanitary water")
            }
        };
        let parameter = Parameter::FecalColiforms;
        let text = format!("Fecal coliforms are not given: {} assumed.", with_range(range, parameter.unit()));
        notes.assumptions.push(Assumption::new(parameter.name(), text, mark, source).number(range, parameter.unit()));
        influent.push(InfluentParameter {
            parameter,
            name: parameter.name().to_owned(),
            value: range.1,
            unit: parameter.unit().to_owned(),
            origin: Origin::Assumed,
            field: None,
            target: None,
        });
        influent.sort_by_key(|influent| influent.parameter);
    }
    for parameter in limited {
        if has(influent, parameter) {
            continue;
        }
        let Some(stand_in) = organisms.into_iter().find(|&other| has(influent, other)) else { continue };
        let limit = strictest[&parameter];
        let entry = strictest.entry(stand_in).or_insert(limit);
        if limit.1 < entry.1 {
            *entry = limit;
        }
        let text = format!(
            "{} is limited to {} {} but {} is known; the limit is applied to it.",
            parameter.name(),
            shown(limit.1),
            parameter.unit(),
            stand_in.name()
        );
        notes.assumptions.push(Assumption::new(
            &format!("Limit of {}", parameter.name()),
            text,
            Mark::E,
            "engineering basis 3",
        ));
    }
}
