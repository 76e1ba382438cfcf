//! Sizes a train: water and load balances with their recycles, equipment, sludge, power, area.

mod balance;
mod plant;
mod tables;

pub(crate) use plant::energy_kwh;

use crate::basis::{Assumption, DesignBasis};
use crate::note::{Figure, Mark, TraceEntry, Warning};
use crate::parameter::Parameter;
use crate::process::{ProcessId, Stage};
use crate::train::Train;
use serde::{Deserialize, Serialize};
use units::{Area, Concentration, Duration, Energy, Flow, MassRate, Money, Power, Ratio, Volume};

/// What it means if a piece of equipment fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Criticality {
    /// The limits are breached.
    High,
    /// The plant runs worse.
    Medium,
    /// It can wait.
    Low,
}

impl Criticality {
    /// As clients see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// One piece of equipment. Kind, stage and capacity together are unique.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Equipment {
    /// What it is; identical ones carry a number.
    pub kind: String,
    /// The unit process it belongs to; none for the whole plant's control system.
    pub process: Option<ProcessId>,
    /// Its main figures in words.
    pub specifications: String,
    /// Its dimensions in words.
    pub dimensions: String,
    /// Why it is there.
    pub justification: String,
    /// Where in the plant it stands.
    pub stage: Stage,
    /// The flow it is sized for.
    pub capacity_m3_per_day: Flow,
    /// Installed power.
    pub power_kw: Power,
    /// Share of the installed power drawn while running.
    pub load_factor: Ratio,
    /// Hours it runs per day.
    pub hours_per_day: Duration,
    /// Purchased cost.
    pub capex: Money,
    /// Tank volume built for it on site, priced under civil works.
    pub tank_m3: Volume,
    /// Share of its cost replaced per year beyond ordinary maintenance.
    pub replacement_per_year: Ratio,
    /// What its failure means.
    pub criticality: Criticality,
    /// How likely and bad a failure is, 0 to 1.
    pub risk_factor: Ratio,
}

/// A design criterion with its usual range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Criterion {
    /// What it is.
    pub name: String,
    /// Finite.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// Usually not below this.
    pub least: f64,
    /// Usually not above this.
    pub most: f64,
}

/// What a unit does to one parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitRemoval {
    /// Which parameter.
    pub parameter: Parameter,
    /// What enters, in the canonical unit.
    pub entering: f64,
    /// What leaves, in the canonical unit.
    pub leaving: f64,
}

/// One unit of the train with what enters and leaves it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitResult {
    /// Which unit process.
    pub process: ProcessId,
    /// Its name.
    pub name: String,
    /// Where in the plant it stands.
    pub stage: Stage,
    /// Why it is used.
    pub justification: String,
    /// What enters.
    pub flow_in_m3_per_day: Flow,
    /// What goes on to the next unit.
    pub flow_out_m3_per_day: Flow,
    /// What returns to the head of the plant or leaves as concentrate.
    pub reject_m3_per_day: Flow,
    /// Wet sludge withdrawn.
    pub sludge_m3_per_day: Flow,
    /// Dry solids withdrawn.
    pub dry_solids_kg_per_day: MassRate,
    /// Net area.
    pub area_m2: Area,
    /// Energy used per day.
    pub energy_kwh_per_day: Energy,
    /// Every known parameter, entering and leaving.
    pub removals: Vec<UnitRemoval>,
    /// Design criteria with their ranges.
    pub criteria: Vec<Criterion>,
    /// Its purchased equipment.
    pub capex: Money,
}

/// One row of the treatment-efficiency table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EfficiencyRow {
    /// Which parameter; each once.
    pub parameter: Parameter,
    /// Its name; unique.
    pub name: String,
    /// The canonical unit.
    pub unit: String,
    /// In the water to be treated, as the basis has it.
    pub influent: f64,
    /// In the treated water.
    pub effluent: f64,
    /// (influent - effluent)/influent x 100, 0 to 100; 0 where it rises or is not present.
    pub removal_percent: f64,
    /// The effluent if every unit works at the low end of its range (combined as independent deviations).
    pub effluent_at_worst: f64,
    /// The effluent if every unit works at the high end of its range.
    pub effluent_at_best: f64,
    /// Where most of it is removed; none if it is not removed.
    pub stage: Option<Stage>,
    /// The limit, if there is one.
    pub limit: Option<f64>,
    /// Whether the limit is met; true without a limit.
    pub complies: bool,
    /// Whether it is higher in the treated water than before.
    pub rises: bool,
    /// Whether it is present at all.
    pub present: bool,
}

/// A chemical with its use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChemicalUse {
    /// Which chemical.
    pub name: String,
    /// The unit that uses it.
    pub process: ProcessId,
    /// Pure chemical per litre treated; zero where it is not dosed to the flow.
    pub dose_mg_per_l: Concentration,
    /// Pure chemical per day.
    pub use_kg_per_day: MassRate,
    /// Bulk price of the pure chemical, USD of 2020.
    pub price_usd_per_kg: Ratio,
    /// Where the price is from.
    pub source: String,
    /// How far that can be trusted.
    pub mark: Mark,
}

/// What becomes of a side stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Destination {
    /// Back to the head of the plant.
    HeadOfPlant,
    /// To the sewer, with its own limits.
    Sewer,
    /// Taken away for disposal.
    Disposal,
    /// None is known.
    Unknown,
}

/// Water or sludge that leaves the main stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SideStream {
    /// What it is.
    pub name: String,
    /// The unit it comes from.
    pub process: ProcessId,
    /// How much.
    pub flow_m3_per_day: Flow,
    /// Where it goes.
    pub destination: Destination,
    /// Whether it meets the limits there, as far as known.
    pub complies: bool,
}

/// One parameter's mass balance over the plant, in kg/d.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MassBalance {
    /// Which parameter.
    pub parameter: Parameter,
    /// In the raw water.
    pub raw_kg_per_day: MassRate,
    /// Added with chemicals.
    pub added_kg_per_day: MassRate,
    /// In the treated water.
    pub effluent_kg_per_day: MassRate,
    /// In sludge taken away.
    pub sludge_kg_per_day: MassRate,
    /// In concentrate.
    pub concentrate_kg_per_day: MassRate,
}

/// A sized plant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plant {
    /// The design flow: average, before any peak.
    pub flow_m3_per_day: Flow,
    /// What leaves as treated water.
    pub product_m3_per_day: Flow,
    /// The units, in order.
    pub units: Vec<UnitResult>,
    /// The equipment, in the order of the units.
    pub equipment: Vec<Equipment>,
    /// The treatment-efficiency table: every influent parameter that has a load, once.
    pub efficiency: Vec<EfficiencyRow>,
    /// pH, temperature, turbidity, color, conductivity and residual chlorine: before and after, without a removal.
    pub properties: Vec<UnitRemoval>,
    /// Chemicals used.
    pub chemicals: Vec<ChemicalUse>,
    /// Side streams with their destinations.
    pub side_streams: Vec<SideStream>,
    /// Mass balances of what is neither made nor destroyed.
    pub balances: Vec<MassBalance>,
    /// Dry solids taken away.
    pub dry_solids_kg_per_day: MassRate,
    /// Sludge as it is taken away.
    pub wet_sludge_kg_per_day: MassRate,
    /// Whether the sludge counts as hazardous until tested.
    pub hazardous_sludge: bool,
    /// Methane from anaerobic treatment, in Nm³/d.
    pub methane_nm3_per_day: Ratio,
    /// Energy used per day.
    pub energy_kwh_per_day: Energy,
    /// Energy per m³ of raw water, in kWh/m³.
    pub specific_energy_kwh_per_m3: Ratio,
    /// Area with circulation.
    pub area_m2: Area,
    /// Whether every limited parameter is within its limit.
    pub overall_compliance: bool,
    /// Names of the limited parameters that need treatment, each once; the tightest first.
    pub critical_parameters: Vec<String>,
    /// Time to build.
    pub implementation_months: u32,
    /// Assumptions of the sizing.
    pub assumptions: Vec<Assumption>,
    /// Numbers the narrative may state.
    pub figures: Vec<Figure>,
    /// The calculations.
    pub trace: Vec<TraceEntry>,
    /// What the reader must know.
    pub warnings: Vec<Warning>,
}

/// Sizes the train for the basis.
#[must_use]
pub fn size(basis: &DesignBasis, train: &Train) -> Plant {
    plant::of(basis, &train.units)
}

/// Sizes a bare list of units.
pub(crate) fn units(basis: &DesignBasis, units: &[ProcessId]) -> Plant {
    plant::of(basis, units)
}
