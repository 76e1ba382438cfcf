//! Costs and ranks the candidates (5.3) and says why the others were rejected.

use super::sensitivity;
use super::synthesis::Plan;
use super::{Candidate, RejectedAlternative, RejectionCode, Train, TrainComparison, Weights};
use crate::basis::DesignBasis;
use crate::cost::{self, CostEstimate};
use crate::facts::Facts;
use crate::note::{Figure, Mark, TraceEntry, Unusable, Warning, WarningCode, shown, significant};
use crate::parameter::Parameter;
use crate::process::{ProcessId, Stage};
use crate::reference;
use crate::sheet::Constraint;
use crate::sizing::{Destination, Plant};
use units::Ratio;

/// Present value of one dollar a year for 20 years at 9 %.
const ANNUITY: f64 = 9.128_546;
/// Scores closer than this are equal: fewer units win.
const TIE: f64 = 0.02;

/// The weights of the basis, moved by what the site is short of; they always add up to one.
fn weights(basis: &DesignBasis) -> Weights {
    let (mut capex, mut opex, mut footprint, mut operability) = (0.25, 0.20, 0.10, 0.15);
    if basis.constraints.contains(&Constraint::LimitedSpace) {
        (capex, opex, footprint) = (capex - 0.05, opex - 0.05, footprint + 0.10);
    }
    if basis.constraints.contains(&Constraint::FewOperators) {
        (capex, opex, operability) = (capex - 0.05, opex - 0.05, operability + 0.10);
    }
    if basis.constraints.contains(&Constraint::LimitedEnergy) {
        (capex, opex) = (capex - 0.05, opex + 0.05);
    }
    if basis.constraints.contains(&Constraint::LimitedBudget) {
        (capex, operability) = (capex + 0.05, operability - 0.05);
    }
    let ratio = |weight: f64| Ratio::clamped(significant(weight, 6));
    Weights {
        margin: ratio(0.30),
        capex: ratio(capex),
        opex: ratio(opex),
        footprint: ratio(footprint),
        operability: ratio(operability),
    }
}

/// How well a candidate keeps the limits; lower is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Robust,
    Typical,
    /// Its concentrate has nowhere to go.
    Routeless,
    Failing,
}

struct Evaluated {
    candidate: Candidate,
    standing: Standing,
    /// What enters a unit that does not work with it: unit, parameter, value, the limit it breaks.
    broken: Option<(ProcessId, Parameter, f64, f64)>,
    /// The tightest parameter's effluent and limit, with their unit.
    tightest: Option<(f64, f64, &'static str)>,
}

pub(super) fn choose(basis: &DesignBasis, facts: &Facts, plan: Plan) -> Result<TrainComparison, Unusable> {
    let Plan { candidates, gates, ruled_out, mut warnings } = plan;
    let mut evaluated: Vec<Evaluated> = candidates
        .into_iter()
        .map(|(train, plant)| {
            let estimate = cost::estimate(basis, facts, &plant);
            evaluate(train, &plant, &estimate)
        })
        .collect();
    if evaluated.is_empty() {
        let finding = Warning::new(WarningCode::ParametersMissing, "No treatment train can be built for this water.");
        return Err(Unusable { findings: vec![finding] });
    }
    let weights = weights(basis);
    score(&mut evaluated, &weights);
    let best = evaluated.iter().map(|e| e.standing).min().unwrap_or(Standing::Failing);
    let top = evaluated.iter().filter(|e| e.standing == best).map(|e| e.candidate.score.value()).fold(0.0, f64::max);
    // Among equals the one with fewer units; the order of building decides the rest.
    evaluated.sort_by(|a, b| {
        let leads = |e: &Evaluated| !(e.standing == best && top - e.candidate.score.value() < TIE);
        a.standing
            .cmp(&b.standing)
            .then(leads(a).cmp(&leads(b)))
            .then(if leads(a) || leads(b) {
                b.candidate.score.value().total_cmp(&a.candidate.score.value())
            } else {
                a.candidate.train.units.len().cmp(&b.candidate.train.units.len())
            })
            .then(b.candidate.score.value().total_cmp(&a.candidate.score.value()))
    });
    let trace = evaluated.iter().map(|e| traced(e, &weights)).collect();
    let chosen = &evaluated[0];
    match chosen.standing {
        Standing::Robust => {}
        Standing::Typical => warnings.push(Warning::new(
            WarningCode::MarginThin,
            "The chosen train meets the limits with typical removals but not if every unit works at the low end of its \
             range; pilot data or more margin are advisable.",
        )),
        Standing::Routeless => warnings.push(Warning::new(
            WarningCode::SideStream,
            "Every train that meets the limits makes a concentrate that has no destination yet.",
        )),
        Standing::Failing => warnings.push(Warning::new(
            WarningCode::LimitNotMet,
            "No candidate train meets every limit with typical removals within the range of its units; the one closest to \
             it is shown.",
        )),
    }
    let mut rejected: Vec<RejectedAlternative> = evaluated[1..].iter().map(|other| rejection(chosen, other)).collect();
    for other in ruled_out {
        if !rejected.iter().any(|known| known.technology == other.technology) {
            rejected.push(other);
        }
    }
    let reason = reason(chosen, &evaluated);
    let sensitivities = sensitivity::of(basis, facts, &chosen.candidate.train);
    let reference_cases = reference::matches(basis, facts.subsector.as_deref());
    let mut figures = Vec::new();
    for e in &evaluated {
        let name = &e.candidate.train.name;
        figures.push(Figure::new(format!("{name}: CAPEX"), e.candidate.capex.usd(), "USD"));
        figures.push(Figure::new(format!("{name}: OPEX"), e.candidate.opex_per_year.usd(), "USD/year"));
        figures.push(Figure::new(format!("{name}: present value"), e.candidate.present_value.usd(), "USD"));
        figures.push(Figure::new(format!("{name}: score"), e.candidate.score.value(), "-"));
        figures.push(Figure::new(format!("{name}: area"), e.candidate.area_m2.m2(), "m²"));
    }
    for other in &rejected {
        figures.push(Figure::new(format!("{}: rejected at", other.technology), other.number, &other.unit));
        figures.push(Figure::new(format!("{}: threshold", other.technology), other.threshold, &other.unit));
    }
    Ok(TrainComparison {
        chosen: chosen.candidate.train.clone(),
        reason,
        candidates: evaluated.into_iter().map(|e| e.candidate).collect(),
        rejected,
        gates,
        weights,
        reference_cases,
        sensitivities,
        figures,
        trace,
        warnings,
    })
}

fn evaluate(train: Train, plant: &Plant, estimate: &CostEstimate) -> Evaluated {
    let limited = || plant.efficiency.iter().filter_map(|row| Some((row, row.limit?)));
    let margin_of = |value: f64, limit: f64| (limit - value) / limit.max(1e-12);
    let tightest = limited()
        .filter(|(row, _)| row.present)
        .min_by(|a, b| margin_of(a.0.effluent, a.1).total_cmp(&margin_of(b.0.effluent, b.1)));
    let margin = tightest.map_or(1.0, |(row, limit)| margin_of(row.effluent, limit));
    let worst = limited().map(|(row, limit)| margin_of(row.effluent_at_worst, limit)).fold(1.0, f64::min);
    let broken = plant.units.iter().find_map(|unit| {
        unit.process.process().spec().applicable.iter().filter(|within| within.hard).find_map(|within| {
            let value = unit.removals.iter().find(|removal| removal.parameter == within.parameter)?.entering;
            let limit = if value < within.least { within.least } else { within.most };
            let fits = (within.least..=within.most).contains(&value);
            (!fits).then_some((unit.process, within.parameter, value, limit))
        })
    });
    let standing = if margin < 0.0 || broken.is_some() {
        Standing::Failing
    } else if plant.side_streams.iter().any(|stream| stream.destination == Destination::Unknown) {
        Standing::Routeless
    } else if worst < -0.1 {
        Standing::Typical
    } else {
        Standing::Robust
    };
    let spent: f64 = plant.units.iter().map(|unit| unit.capex.usd()).sum();
    let operability: f64 =
        plant.units.iter().map(|unit| unit.capex.usd() * unit.process.process().spec().operability).sum();
    let present_value = estimate.capex.total.plus(estimate.opex.total.times(ANNUITY));
    Evaluated {
        candidate: Candidate {
            train,
            score: Ratio::ZERO,
            margin: significant(margin, 6),
            margin_at_worst: significant(worst, 6),
            tightest: tightest.map(|(row, _)| row.name.clone()),
            complies: margin >= 0.0,
            capex: estimate.capex.total,
            opex_per_year: estimate.opex.total,
            present_value,
            area_m2: plant.area_m2,
            operability: Ratio::clamped(significant(if spent > 0.0 { operability / spent } else { 0.0 }, 6)),
        },
        standing,
        broken,
        tightest: tightest.map(|(row, limit)| (row.effluent, limit, row.parameter.unit())),
    }
}

fn score(evaluated: &mut [Evaluated], weights: &Weights) {
    let least = |of: fn(&Candidate) -> f64| {
        evaluated.iter().map(|e| of(&e.candidate)).filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min)
    };
    let (capex, opex, area) = (least(|c| c.capex.usd()), least(|c| c.opex_per_year.usd()), least(|c| c.area_m2.m2()));
    let share = |best: f64, value: f64| if value > 0.0 && best.is_finite() { (best / value).min(1.0) } else { 1.0 };
    for e in evaluated {
        let c = &e.candidate;
        let sum = weights.margin.value() * c.margin.clamp(0.0, 1.0)
            + weights.capex.value() * share(capex, c.capex.usd())
            + weights.opex.value() * share(opex, c.opex_per_year.usd())
            + weights.footprint.value() * share(area, c.area_m2.m2())
            + weights.operability.value() * c.operability.value();
        e.candidate.score = Ratio::clamped(significant(sum, 6));
    }
}

fn traced(e: &Evaluated, weights: &Weights) -> TraceEntry {
    let c = &e.candidate;
    TraceEntry::new(
        "train.score",
        "Σ weight x (margin, CAPEX_min/CAPEX, OPEX_min/OPEX, A_min/A, operability); margin = min (L - C)/L",
        Mark::E,
        "engineering basis 5.3",
    )
    .word("train", &c.train.name)
    .word("units", &c.train.units.iter().map(|unit| unit.code()).collect::<Vec<_>>().join(" "))
    .input("weight_margin", weights.margin.value())
    .input("weight_capex", weights.capex.value())
    .input("weight_opex", weights.opex.value())
    .input("weight_footprint", weights.footprint.value())
    .input("weight_operability", weights.operability.value())
    .input("margin", c.margin)
    .input("capex_usd", c.capex.usd())
    .input("opex_usd_per_year", c.opex_per_year.usd())
    .input("area_m2", c.area_m2.m2())
    .input("operability", c.operability.value())
    .output("margin_at_worst", c.margin_at_worst)
    .output("present_value_usd", c.present_value.usd())
    .output("score", c.score.value())
}

fn reason(chosen: &Evaluated, all: &[Evaluated]) -> String {
    let c = &chosen.candidate;
    let kept = match chosen.standing {
        Standing::Robust => "it meets every limit even with removals at the low end of their ranges",
        Standing::Typical => "it meets every limit with typical removals",
        Standing::Routeless => "it meets every limit once its concentrate has a destination",
        Standing::Failing => "it comes closest to the limits",
    };
    let (peers, count) = (|e: &&Evaluated| e.standing == chosen.standing, all.len());
    let top = all.iter().filter(peers).map(|e| e.candidate.score.value()).fold(0.0, f64::max);
    let place = if c.score.value() >= top && all.iter().all(|e| peers(&e)) {
        format!("has the best score ({:.2}) of {count} candidates", c.score.value())
    } else if c.score.value() >= top {
        format!("has the best score ({:.2}) of those of {count} candidates that keep the limits best", c.score.value())
    } else {
        format!(
            "scores {:.2}, equal within {TIE} to the best of {count} candidates, with the fewest units",
            c.score.value()
        )
    };
    format!(
        "{} {place}: {kept}, at a CAPEX of {} USD and an OPEX of {} USD per year.",
        c.train.name,
        shown(c.capex.usd()),
        shown(c.opex_per_year.usd())
    )
}

fn rejection(chosen: &Evaluated, other: &Evaluated) -> RejectedAlternative {
    let c = &other.candidate;
    let stage = c
        .train
        .units
        .iter()
        .map(|unit| unit.stage())
        .find(|stage| *stage == Stage::Secondary)
        .unwrap_or(Stage::Primary);
    let base = |code, number: f64, threshold: f64, unit: &str, reason: String| RejectedAlternative {
        technology: c.train.name.clone(),
        stage,
        code,
        number: significant(number, 4),
        threshold: significant(threshold, 4),
        unit: unit.to_owned(),
        reason,
    };
    if let Some((unit, parameter, value, limit)) = other.broken {
        let reason = format!(
            "{} does not work here: {} is {} {}, {} {}.",
            unit.name(),
            parameter.name(),
            shown(value),
            parameter.unit(),
            if value < limit { "below" } else { "above" },
            shown(limit)
        );
        return base(RejectionCode::OutOfRange, value, limit, parameter.unit(), reason);
    }
    let name = c.tightest.as_deref().unwrap_or("a limited parameter");
    if other.standing > chosen.standing
        && let Some((value, limit, unit)) = other.tightest
    {
        if other.standing == Standing::Failing {
            let reason =
                format!("{name} would be {} {unit}, above the limit of {} {unit}.", shown(value), shown(limit));
            return base(RejectionCode::NotCompliant, value, limit, unit, reason);
        }
        if other.standing == Standing::Routeless {
            let reason = "Its concentrate has no destination: there is no sewer to take it.".to_owned();
            return base(RejectionCode::NoConcentrateRoute, 0.0, 1.0, "destinations", reason);
        }
        let (worst, least) = (c.margin_at_worst * 100.0, -10.0);
        let reason = format!(
            "With removals at the low end of their ranges its effluent would exceed a limit by {} %, more than the 10 % tolerated.",
            shown(-worst)
        );
        return base(RejectionCode::NotCompliant, worst, least, "%", reason);
    }
    // `+ 0.0` keeps a rounded difference of nothing from showing a minus.
    let more = |this: f64, that: f64| ((this / that - 1.0) * 100.0).round() + 0.0;
    let value = more(c.present_value.usd(), chosen.candidate.present_value.usd());
    let area = more(c.area_m2.m2(), chosen.candidate.area_m2.m2());
    let (ours, theirs) = (chosen.candidate.train.units.len(), c.train.units.len());
    if ours < theirs && chosen.candidate.score.value() - c.score.value() < TIE {
        let reason = format!(
            "Its score of {:.2} is equal to the {:.2} of the chosen train within {TIE}, but it needs {theirs} units \
             instead of {ours}.",
            c.score.value(),
            chosen.candidate.score.value()
        );
        return base(RejectionCode::Dominated, theirs as f64, ours as f64, "units", reason);
    }
    let reason = format!(
        "Score {:.2} against {:.2}: present value {:+.0} %, area {:+.0} %, operability {:.2} against {:.2}.",
        c.score.value(),
        chosen.candidate.score.value(),
        value,
        area,
        c.operability.value(),
        chosen.candidate.operability.value()
    );
    base(RejectionCode::Dominated, c.score.value(), chosen.candidate.score.value(), "-", reason)
}
