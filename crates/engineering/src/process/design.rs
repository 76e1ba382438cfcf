//! The shape all unit processes share: what goes in, what is fixed, what comes out.

use super::{Mechanism, PACKAGE_COST, ProcessId, Stage};
use crate::basis::DesignBasis;
use crate::note::{Mark, TraceEntry, Warning, WarningCode, shown};
use crate::parameter::Parameter;
use crate::sizing::{Criterion, Criticality};
use crate::water::Water;
use units::{Area, Flow, Length, Volume};

/// How much of a parameter a unit removes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Removal {
    /// A share of what enters, 0 to 1.
    Share { low: f64, typical: f64, high: f64 },
    /// Down to what is left, in the canonical unit.
    Residual { worst: f64, typical: f64, best: f64 },
    /// Orders of magnitude.
    Logs { low: f64, typical: f64, high: f64 },
    /// Set to a value (pH).
    Set(f64),
    /// Raised by so much (salts of dosed chemicals), only where the parameter is known and present.
    Adds(f64),
}

impl Removal {
    /// What is left of `entering`, typically.
    pub(crate) fn left(self, entering: f64) -> f64 {
        match self {
            Self::Share { typical, .. } => entering * (1.0 - typical.clamp(0.0, 1.0)),
            Self::Residual { typical, .. } => entering.min(typical),
            Self::Logs { typical, .. } => entering * 10f64.powf(-typical),
            Self::Set(value) => value,
            Self::Adds(more) if entering > 0.0 => entering + more,
            Self::Adds(_) => entering,
        }
    }

    /// How far the effluent of a unit may be from the typical one.
    pub(crate) fn spread(self) -> Spread {
        let ratio = |one: f64, other: f64| (one.max(1e-4) / other.max(1e-4)).ln();
        match self {
            Self::Share { low, typical, high } => {
                Spread::Factor { worst: ratio(1.0 - low, 1.0 - typical), best: ratio(1.0 - high, 1.0 - typical) }
            }
            Self::Residual { worst, best, .. } => Spread::Residual { worst, best },
            Self::Logs { low, typical, high } => Spread::Factor {
                worst: (typical - low) * std::f64::consts::LN_10,
                best: (typical - high) * std::f64::consts::LN_10,
            },
            Self::Set(_) | Self::Adds(_) => Spread::Factor { worst: 0.0, best: 0.0 },
        }
    }

    /// The same with half the effect, for a second unit of the same mechanism.
    pub(crate) fn halved(self) -> Self {
        match self {
            Self::Share { low, typical, high } => {
                Self::Share { low: low / 2.0, typical: typical / 2.0, high: high / 2.0 }
            }
            Self::Logs { low, typical, high } => {
                Self::Logs { low: low / 2.0, typical: typical / 2.0, high: high / 2.0 }
            }
            Self::Residual { .. } | Self::Set(_) | Self::Adds(_) => self,
        }
    }
}

/// How far the effluent of a unit may be from the typical one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Spread {
    /// Logarithms of worst and best over typical; they add to what enters uncertain.
    Factor { worst: f64, best: f64 },
    /// What is left at worst and at best, however uncertain what enters is.
    Residual { worst: f64, best: f64 },
}

/// A range of what may enter a unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Within {
    pub(crate) parameter: Parameter,
    pub(crate) least: f64,
    pub(crate) most: f64,
    /// Outside it the unit does not work; else it is only outside its design data.
    pub(crate) hard: bool,
}

/// What is fixed about a unit process.
pub(crate) struct Spec {
    pub(crate) stage: Stage,
    pub(crate) mechanism: Mechanism,
    /// Why it is used, as a sentence.
    pub(crate) purpose: &'static str,
    pub(crate) removals: &'static [(Parameter, Removal)],
    /// What the unit can not go below, in the canonical unit.
    pub(crate) floors: &'static [(Parameter, f64)],
    pub(crate) applicable: &'static [Within],
    /// Of each group at least one must come before it.
    pub(crate) before: &'static [&'static [ProcessId]],
    /// Of each group at least one must follow it.
    pub(crate) after: &'static [&'static [ProcessId]],
    /// Net area in m² per m³/d, at 100 to 1,000 m³/d.
    pub(crate) area: f64,
    /// How easily it is operated, 0 to 1.
    pub(crate) operability: f64,
    pub(crate) mark: Mark,
    pub(crate) source: &'static str,
}

/// What a unit gets.
pub(crate) struct Inlet<'a> {
    pub(crate) id: ProcessId,
    pub(crate) flow: Flow,
    /// The highest hourly flow, as a daily one.
    pub(crate) peak: Flow,
    pub(crate) water: &'a Water,
    pub(crate) basis: &'a DesignBasis,
    pub(crate) before: &'a [ProcessId],
    pub(crate) after: &'a [ProcessId],
    /// Solids produced upstream, for the sludge units.
    pub(crate) dry_solids_kg_d: f64,
    pub(crate) hazardous: bool,
}

impl Inlet<'_> {
    /// Average flow, in m³/d.
    pub(crate) fn q(&self) -> f64 {
        self.flow.m3_per_day()
    }

    /// Peak flow, in m³/h.
    pub(crate) fn peak_m3_h(&self) -> f64 {
        self.peak.m3_per_day() / 24.0
    }

    /// A load, in kg/d.
    pub(crate) fn load(&self, parameter: Parameter) -> f64 {
        self.q() * self.water.of(parameter) / 1000.0
    }

    /// How many units work side by side: two where the flow is large, one below 100 m³/d.
    pub(crate) fn lines(&self) -> u32 {
        if self.q() < 100.0 { 1 } else { 2 }
    }

    /// What an ideal unit would have to leave to meet the design value, if the parameter is limited.
    pub(crate) fn aim(&self, parameter: Parameter) -> Option<f64> {
        self.basis.design(parameter)
    }

    pub(crate) fn trace(&self, what: &str, formula: &str, mark: Mark, source: &str) -> TraceEntry {
        TraceEntry::new(&format!("{}.{what}", self.id.as_str()), formula, mark, source)
            .input("flow_m3_per_day", self.q())
    }
}

/// A kind of equipment, of which `count` identical ones are bought.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) kind: &'static str,
    pub(crate) specifications: String,
    pub(crate) dimensions: String,
    pub(crate) count: u32,
    /// Installed power of all, in kW.
    pub(crate) kw: f64,
    /// Share of the installed power that is drawn while running.
    pub(crate) load_factor: f64,
    pub(crate) hours: f64,
    /// Purchased cost of all, USD 2023.
    pub(crate) usd: f64,
    /// Tank volume built on site, in m³; its concrete is civil works.
    pub(crate) tank_m3: f64,
    pub(crate) criticality: Criticality,
    pub(crate) risk: f64,
    /// Share of the cost replaced every year, beyond ordinary maintenance.
    pub(crate) replacement: f64,
}

impl Item {
    pub(crate) fn new(kind: &'static str, specifications: String, dimensions: String) -> Self {
        Self {
            kind,
            specifications,
            dimensions,
            count: 1,
            kw: 0.0,
            load_factor: 0.7,
            hours: 24.0,
            usd: 0.0,
            tank_m3: 0.0,
            criticality: Criticality::Medium,
            risk: 0.3,
            replacement: 0.0,
        }
    }

    pub(crate) fn count(mut self, count: u32) -> Self {
        self.count = count.max(1);
        self
    }

    /// Installed power chosen so that the draw is `kw` on average over 24 hours.
    pub(crate) fn drawing(mut self, kw: f64, load_factor: f64) -> Self {
        self.kw = kw / load_factor;
        self.load_factor = load_factor;
        self
    }

    pub(crate) fn hours(mut self, hours: f64) -> Self {
        self.hours = hours;
        self
    }

    pub(crate) fn usd(mut self, usd: f64) -> Self {
        self.usd = usd;
        self
    }

    pub(crate) fn tank(mut self, m3: f64) -> Self {
        self.tank_m3 = m3;
        self
    }

    pub(crate) fn critical(mut self, risk: f64) -> Self {
        self.criticality = Criticality::High;
        self.risk = risk;
        self
    }

    pub(crate) fn minor(mut self) -> Self {
        self.criticality = Criticality::Low;
        self.risk = 0.15;
        self
    }

    pub(crate) fn replacing(mut self, share: f64) -> Self {
        self.replacement = share;
        self
    }
}

/// A chemical that is dosed.
#[derive(Debug, Clone)]
pub(crate) struct Dose {
    pub(crate) name: &'static str,
    /// In mg of pure chemical per litre treated; zero where it is not dosed to the flow.
    pub(crate) mg_per_l: f64,
    pub(crate) kg_d: f64,
    /// Pure basis, US bulk 2020.
    pub(crate) usd_per_kg: f64,
    pub(crate) mark: Mark,
    pub(crate) source: &'static str,
}

impl Dose {
    /// A dose to the whole flow, at the bulk price of the basis.
    pub(crate) fn of(name: &'static str, mg_per_l: f64, inlet: &Inlet<'_>, usd_per_kg: f64) -> Self {
        let source = "WaterTAP chemical prices (2020)";
        Self { name, mg_per_l, kg_d: mg_per_l * inlet.q() / 1000.0, usd_per_kg, mark: Mark::V, source }
    }

    /// The same with a price nobody has published.
    pub(crate) fn estimated(mut self) -> Self {
        (self.mark, self.source) = (Mark::E, "internal estimate");
        self
    }
}

/// Solids a unit sends to sludge treatment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Solids {
    pub(crate) kg_d: f64,
    /// Dry share of the withdrawn sludge.
    pub(crate) dry: f64,
    pub(crate) hazardous: bool,
}

/// Where the water goes that a unit does not pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Reject {
    #[default]
    Nothing,
    /// Back to the head of the plant.
    Returns,
    /// Out of the plant, with what was removed.
    Concentrate,
}

/// What sizing a unit gives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Design {
    pub(crate) items: Vec<Item>,
    pub(crate) doses: Vec<Dose>,
    pub(crate) solids: Solids,
    /// Share of the flow that goes on; the rest is `reject`.
    pub(crate) recovery: Option<f64>,
    pub(crate) reject: Reject,
    pub(crate) criteria: Vec<Criterion>,
    pub(crate) trace: Vec<TraceEntry>,
    pub(crate) warnings: Vec<Warning>,
    /// What was priced beyond the sizes its cost curve was made for.
    pub(crate) beyond_curve: Vec<String>,
    /// Biogas burnt or used, in Nm³ CH₄/d.
    pub(crate) methane_nm3_d: f64,
    /// Area in m² where it is calculated; else flow times the specific area.
    pub(crate) area_m2: Option<f64>,
}

impl Design {
    /// Adds what is bought as a package: `usd_at_240` dollars at 240 m³/d, scaled by `exponent`.
    pub(crate) fn buy(&mut self, item: Item, inlet: &Inlet<'_>, usd_at_240: f64, exponent: f64) {
        let usd = self.curve(inlet, item.kind, inlet.q(), usd_at_240, exponent);
        self.items.push(item.usd(usd));
    }

    /// The package-scale cost curve, traced; `size_m3_d` is the flow it depends on.
    pub(crate) fn curve(
        &mut self,
        inlet: &Inlet<'_>,
        what: &str,
        size_m3_d: f64,
        usd_at_240: f64,
        exponent: f64,
    ) -> f64 {
        const REFERENCE: f64 = 240.0;
        let usd = usd_at_240 * (size_m3_d / REFERENCE).powf(exponent);
        let (mark, source) = PACKAGE_COST;
        self.trace.push(
            inlet
                .trace("cost", "C = C_ref (Q/Q_ref)^n", mark, source)
                .word("item", what)
                .input("size_m3_per_day", size_m3_d)
                .input("reference_cost_usd_2023", usd_at_240)
                .input("reference_flow_m3_per_day", REFERENCE)
                .input("exponent", exponent)
                .output("purchased_cost_usd_2023", usd),
        );
        if !(REFERENCE / 5.0..=REFERENCE * 5.0).contains(&size_m3_d) {
            self.beyond_curve.push(what.to_owned());
        }
        usd
    }

    /// Notes a design criterion with its usual range; a value outside is a warning.
    pub(crate) fn criterion(&mut self, inlet: &Inlet<'_>, name: &str, value: f64, unit: &str, least: f64, most: f64) {
        if !(least * 0.999..=most * 1.001).contains(&value) {
            let message = format!(
                "{}: {name} is {} {unit}, outside the usual {} to {}.",
                inlet.id.name(),
                shown(value),
                shown(least),
                shown(most)
            );
            self.warnings.push(Warning::new(WarningCode::UnitOutOfRange, message));
        }
        let unit = unit.to_owned();
        let value = crate::note::significant(value, 9);
        self.criteria.push(Criterion { name: name.to_owned(), value, unit, least, most });
    }

    pub(crate) fn test(&mut self, message: impl Into<String>) {
        self.warnings.push(Warning::new(WarningCode::TestNeeded, message));
    }
}

/// `3.2 x 1.6 x 2.5 m` from a surface with a length three times its width, and a depth.
pub(crate) fn rectangle(area: Area, length_to_width: f64, depth_m: f64) -> String {
    let width = (area.m2() / length_to_width).sqrt();
    format!("{} x {} x {} m", metres(width * length_to_width), metres(width), metres(depth_m))
}

/// `D 4.5 x 3.5 m` from a surface and a depth.
pub(crate) fn circle(area: Area, depth_m: f64) -> String {
    format!("D {} x {} m", metres(area.diameter().m()), metres(depth_m))
}

fn metres(value: f64) -> String {
    format!("{:.2}", Length::clamped(value).m())
}

/// `2 basins of 220 m³`.
pub(crate) fn side_by_side(count: u32, what: &str, each_m3: f64) -> String {
    if count == 1 { format!("1 {what} of {each_m3:.0} m³") } else { format!("{count} {what}s of {each_m3:.0} m³") }
}

/// A volume over a depth.
pub(crate) fn surface(volume_m3: f64, depth_m: f64) -> Area {
    Volume::clamped(volume_m3) / Length::clamped(depth_m)
}

/// Pump power in kW for a flow in m³/h and a head in m: Q H/(367 η), η 0.55.
pub(crate) fn pump_kw(flow_m3_h: f64, head_m: f64) -> f64 {
    flow_m3_h * head_m / (367.0 * 0.55)
}

/// Power in kW for a velocity gradient: P = G² µ V, µ at 20 °C.
pub(crate) fn mixing_kw(gradient_per_s: f64, volume_m3: f64) -> f64 {
    gradient_per_s.powi(2) * 1.002e-3 * volume_m3 / 1000.0
}
