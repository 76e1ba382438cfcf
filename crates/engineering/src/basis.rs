//! The design basis: flows, loads, limits, and every assumption about missing data (section 2 of the basis document).

mod flow;
mod quality;
mod score;
mod targets;

use crate::facts::{Country, Facts, ProposalType, SectorKind};
use crate::limits::{Limit, Receiver, Regulation, ReuseUse};
use crate::note::{Figure, Mark, TraceEntry, Unusable, Warning, WarningCode, shown};
use crate::parameter::Parameter;
use crate::sheet::{Constraint, Objective, ReadingOrigin, SheetReading};
use crate::water::Water;
use serde::{Deserialize, Serialize};
use units::{Duration, Flow, Ratio, Temperature};

/// Where a value of the design basis comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// From a laboratory report.
    Measured,
    /// Typed by the user.
    Typed,
    /// The template's value, which nobody touched: an assumption.
    TemplateDefault,
    /// A literature default or estimate for the subsector: an assumption.
    Assumed,
    /// Calculated from another value of the sheet by a usual ratio: an assumption.
    Derived,
}

impl Origin {
    /// How much the value is worth in the data score.
    pub(crate) const fn quality(self) -> f64 {
        match self {
            Self::Measured => 1.0,
            Self::Typed => 0.8,
            Self::TemplateDefault | Self::Assumed | Self::Derived => 0.4,
        }
    }

    /// Whether somebody stands for the value.
    #[must_use]
    pub const fn is_given(self) -> bool {
        match self {
            Self::Measured | Self::Typed => true,
            Self::TemplateDefault | Self::Assumed | Self::Derived => false,
        }
    }
}

impl From<ReadingOrigin> for Origin {
    fn from(origin: ReadingOrigin) -> Self {
        match origin {
            ReadingOrigin::Measured => Self::Measured,
            ReadingOrigin::Typed => Self::Typed,
            ReadingOrigin::TemplateDefault => Self::TemplateDefault,
            ReadingOrigin::Suggested => Self::Assumed,
        }
    }
}

/// What the treated flow was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowSource {
    /// The design flow the user set.
    DesignFlow,
    /// The wastewater generated, as given.
    Wastewater,
    /// Water consumption times a return factor.
    ReturnedConsumption,
    /// Water demand over recovery, for supply.
    Demand,
    /// People served times a usual volume per person.
    People,
}

/// How far the data carry the design.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Confidence {
    /// Mostly defaults.
    Low,
    /// Usable data with gaps.
    Medium,
    /// Good data.
    High,
}

/// A parameter of the water to be treated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InfluentParameter {
    /// Which parameter.
    pub parameter: Parameter,
    /// Its name; unique.
    pub name: String,
    /// In `unit`; finite, not negative (temperature apart).
    pub value: f64,
    /// The canonical unit.
    pub unit: String,
    /// Where the value comes from.
    pub origin: Origin,
    /// The field of the sheet, as `section-id/field-id`.
    pub field: Option<String>,
    /// The strictest limit of the effluent, if there is one.
    pub target: Option<f64>,
}

/// An assumption about something nobody has said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assumption {
    /// What is assumed, for example `Wastewater flow`; unique.
    pub name: String,
    /// The whole assumption as a sentence; unique.
    pub text: String,
    /// The value, where it is a number.
    pub value: Option<f64>,
    /// The least it may be.
    pub least: Option<f64>,
    /// The most it may be.
    pub most: Option<f64>,
    /// The unit of the three.
    pub unit: String,
    /// On whose authority.
    pub source: String,
    /// How far the source can be trusted.
    pub mark: Mark,
    /// Whether the design stands or falls with it.
    pub critical: bool,
}

impl Assumption {
    pub(crate) fn new(name: &str, text: String, mark: Mark, source: &str) -> Self {
        Self {
            name: name.to_owned(),
            text,
            value: None,
            least: None,
            most: None,
            unit: String::new(),
            source: source.to_owned(),
            mark,
            critical: false,
        }
    }

    pub(crate) fn number(mut self, (least, value, most): (f64, f64, f64), unit: &str) -> Self {
        (self.least, self.value, self.most, self.unit) = (Some(least), Some(value), Some(most), unit.to_owned());
        self
    }

    pub(crate) fn critical(mut self) -> Self {
        self.critical = true;
        self
    }
}

/// What the plant is designed for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DesignBasis {
    /// The average flow to be treated: the design flow of the proposal.
    pub flow_m3_per_day: Flow,
    /// What it was taken from.
    pub flow_source: FlowSource,
    /// Peak over average flow of the raw water.
    pub peak_factor: Ratio,
    /// Whether the flow is equalised, so that treatment runs evenly.
    pub equalised: bool,
    /// Peak over average flow behind equalisation.
    pub treated_peak_factor: Ratio,
    /// Hours a day in which water arrives.
    pub operating_hours_per_day: Duration,
    /// Maximum-month over average load, for biological units.
    pub max_month_factor: Ratio,
    /// Temperature of the water in biological units.
    pub temperature: Temperature,
    /// Safety factor on media and membrane areas.
    pub safety_factor: Ratio,
    /// Regulatory margin in per cent of the limit.
    pub regulatory_margin_percent: Ratio,
    /// Design life in years.
    pub design_life_years: u32,
    /// The kind of water.
    pub kind: SectorKind,
    /// The subsector whose defaults are used.
    pub subsector: String,
    /// The country of the site.
    pub country: Country,
    /// The water to be treated, in the order of the library, each parameter once.
    pub influent: Vec<InfluentParameter>,
    /// The strictest limit per parameter.
    pub limits: Vec<Limit>,
    /// The regulations and reuse classes applied.
    pub regulations: Vec<Regulation>,
    /// Where treated water goes.
    pub receiver: Receiver,
    /// What it is used for again.
    pub reuse: Vec<ReuseUse>,
    /// The objective of the project.
    pub objective: Objective,
    /// Constraints of the site.
    pub constraints: Vec<Constraint>,
    /// What water costs now, in USD/m³, if given.
    pub water_price_usd_per_m3: Option<Ratio>,
    /// Water that reuse could replace, if known.
    pub reusable_flow_m3_per_day: Option<Flow>,
    /// Data score, 0 to 1.
    pub data_score: Ratio,
    /// What the score means.
    pub confidence: Confidence,
    /// Every assumption; at least one, each name and text once.
    pub assumptions: Vec<Assumption>,
    /// Numbers the narrative may state.
    pub figures: Vec<Figure>,
    /// The calculations.
    pub trace: Vec<TraceEntry>,
    /// What the reader must know.
    pub warnings: Vec<Warning>,
}

impl DesignBasis {
    /// The value of an influent parameter, if it is known.
    #[must_use]
    pub fn value(&self, parameter: Parameter) -> Option<f64> {
        self.influent.iter().find(|influent| influent.parameter == parameter).map(|influent| influent.value)
    }

    /// The limit of a parameter, if there is one.
    #[must_use]
    pub fn limit(&self, parameter: Parameter) -> Option<&Limit> {
        self.limits.iter().find(|limit| limit.parameter == parameter)
    }

    /// What the design aims at: the limit less the margin.
    pub(crate) fn design(&self, parameter: Parameter) -> Option<f64> {
        self.limit(parameter).map(|limit| limit.design)
    }

    pub(crate) fn water(&self) -> Water {
        self.influent.iter().map(|influent| (influent.parameter, influent.value)).collect()
    }

    /// Alkalinity in mg/L as CaCO₃, given or assumed.
    pub(crate) fn alkalinity(&self) -> f64 {
        self.value(Parameter::Alkalinity).unwrap_or(quality::ALKALINITY.1)
    }
}

/// The assumption about alkalinity, for a train that uses it.
pub(crate) fn assumed_alkalinity() -> Assumption {
    let range = quality::ALKALINITY;
    let text = format!(
        "Alkalinity is not given: {} assumed for nitrification and chemical doses.",
        with_range(range, "mg/L CaCO₃")
    );
    Assumption::new("Alkalinity", text, Mark::K, "Metcalf & Eddy 5th ed.").number(range, "mg/L CaCO₃")
}

/// The basis while it is being set: what each part adds to.
#[derive(Default)]
struct Notes {
    assumptions: Vec<Assumption>,
    trace: Vec<TraceEntry>,
    warnings: Vec<Warning>,
}

/// Sets the design basis.
///
/// # Errors
///
/// [`Unusable`] if the sheet is empty, has no usable flow (absent and not derivable, zero, negative) or no usable
/// quality parameter at all. Anything less becomes assumptions and warnings.
pub fn derive(sheet: &SheetReading, facts: &Facts) -> Result<DesignBasis, Unusable> {
    let mut notes = Notes { warnings: sheet.warnings.clone(), trace: sheet.trace.clone(), ..Notes::default() };
    let unusable = |notes: &Notes, finding: Warning| {
        let mut findings = vec![finding];
        findings.extend(notes.warnings.iter().cloned());
        Unusable { findings }
    };
    if sheet.fields_filled == 0 {
        let finding = Warning::new(WarningCode::SheetEmpty, "The technical sheet is empty.")
            .at("economics-scale/wastewater-generated")
            .at("water-quality/bod5")
            .at("water-quality/cod")
            .at("water-quality/tss");
        return Err(unusable(&notes, finding));
    }
    let (kind, defaults) = quality::kind_and_defaults(sheet, facts);
    let treated =
        flow::treated(sheet, kind, defaults.subsector, &mut notes).map_err(|finding| unusable(&notes, finding))?;
    if sheet.parameters.is_empty() {
        let message = "No water-quality parameter could be used; give at least BOD, COD and TSS.";
        let finding = Warning::new(WarningCode::ParametersMissing, message)
            .at("water-quality/bod5")
            .at("water-quality/cod")
            .at("water-quality/tss");
        return Err(unusable(&notes, finding));
    }
    let country = facts.country();
    let mut influent = quality::influent(sheet, kind, defaults, country, &mut notes);
    let peaks = flow::peaks(sheet, kind, treated.flow, &mut notes);
    let people_equivalents = influent
        .iter()
        .find(|influent| influent.parameter == Parameter::Bod5)
        .map_or(0.0, |bod| treated.flow.m3_per_day() * bod.value / 60.0);
    let mut aims = targets::set(sheet, kind, country, people_equivalents, &mut influent, &mut notes);
    for parameter in &mut influent {
        parameter.target =
            aims.limits.iter().find(|limit| limit.parameter == parameter.parameter).map(|limit| limit.most);
    }
    let (data_score, confidence) = score::of(sheet, kind, &treated, &aims, &influent, &mut notes);
    // An estimate of class 5 keeps more distance.
    let class_5 = facts.proposal_type == ProposalType::Conceptual && confidence != Confidence::High;
    let margin_percent = if class_5 { 30.0 } else { 20.0 };
    targets::apply_margin(&mut aims, margin_percent / 100.0, &mut notes);
    let temperature = influent.iter().find(|influent| influent.parameter == Parameter::Temperature);
    let temperature = Temperature::clamped(temperature.map_or(20.0, |influent| influent.value));
    let flow = treated.flow;
    let reuse_price =
        sheet.water_price_usd_per_m3.as_ref().map(|price| price.value).filter(|price| price.value() > 0.0);
    notes.assumptions.push(Assumption::new(
        "Design factors",
        format!(
            "Biological units are sized for a maximum-month load of 1.2 x the average, filters and membranes with a \
             safety factor of 1.2; the plant is designed for 20 years and for at most {} of each limit.",
            if class_5 { "70 %" } else { "80 % (toxic metals 70 %)" }
        ),
        Mark::E,
        "engineering basis 2.1",
    ));
    let mut figures = vec![
        Figure::new("Design flow", flow.m3_per_day(), "m³/d"),
        Figure::new("Average hourly flow", flow.m3_per_day() / 24.0, "m³/h"),
        Figure::new("Peak flow", flow.m3_per_day() / 24.0 * peaks.raw, "m³/h"),
        Figure::new("Peak factor", peaks.raw, "-"),
        Figure::new("Operating hours", peaks.hours, "h/d"),
        Figure::new("Regulatory margin", margin_percent, "%"),
        Figure::new("Safety factor", 1.2, "-"),
        Figure::new("Maximum-month factor", 1.2, "-"),
        Figure::new("Design life", 20.0, "years"),
        Figure::new("Data score", data_score, "-"),
    ];
    for influent in &influent {
        figures.push(Figure::new(format!("Influent {}", influent.name), influent.value, &influent.unit));
        if influent.unit == "mg/L" {
            let load = flow.m3_per_day() * influent.value / 1000.0;
            figures.push(Figure::new(format!("{} load", influent.name), load, "kg/d"));
        }
        if let Some(target) = influent.target {
            figures.push(Figure::new(format!("{} limit", influent.name), target, &influent.unit));
        }
    }
    dedupe(&mut notes.assumptions);
    Ok(DesignBasis {
        flow_m3_per_day: flow,
        flow_source: treated.source,
        peak_factor: Ratio::clamped(peaks.raw),
        equalised: peaks.equalised,
        treated_peak_factor: Ratio::clamped(if peaks.equalised { 1.1 } else { peaks.raw }),
        operating_hours_per_day: Duration::clamped(peaks.hours),
        max_month_factor: Ratio::clamped(1.2),
        temperature,
        safety_factor: Ratio::clamped(1.2),
        regulatory_margin_percent: Ratio::clamped(margin_percent),
        design_life_years: 20,
        kind,
        subsector: defaults.subsector.to_owned(),
        country,
        influent,
        limits: aims.limits,
        regulations: aims.regulations,
        receiver: aims.receiver,
        reuse: sheet.reuse.clone(),
        objective: aims.objective,
        constraints: sheet.constraints.clone(),
        water_price_usd_per_m3: reuse_price,
        reusable_flow_m3_per_day: sheet.consumption.given().map(|reading| reading.flow_m3_per_day),
        data_score: Ratio::clamped(data_score),
        confidence,
        assumptions: notes.assumptions,
        figures,
        trace: notes.trace,
        warnings: notes.warnings,
    })
}

/// Keeps the first of assumptions with the same name or text.
pub(crate) fn dedupe(assumptions: &mut Vec<Assumption>) {
    let mut kept: Vec<Assumption> = Vec::with_capacity(assumptions.len());
    for assumption in assumptions.drain(..) {
        if !kept.iter().any(|other| other.name == assumption.name || other.text == assumption.text) {
            kept.push(assumption);
        }
    }
    *assumptions = kept;
}

/// `220 (range 110 to 400)`.
fn with_range((least, typical, most): (f64, f64, f64), unit: &str) -> String {
    format!("{} {unit} (range {} to {})", shown(typical), shown(least), shown(most))
}
