//! The catalogue of unit processes, all of one shape: section 4 of the engineering basis.
//!
//! A new unit process is one file under `process/` with a type that implements [`UnitProcess`], its `mod` line, and one
//! line in the `catalogue!` below.

pub(crate) mod activated_sludge;
mod aerobic;
pub(crate) mod chlorination;
pub(crate) mod coagulation;
pub(crate) mod cooling;
pub(crate) mod daf;
mod design;
pub(crate) mod dewatering;
pub(crate) mod equalisation;
pub(crate) mod extended_aeration;
pub(crate) mod gac;
pub(crate) mod grit;
pub(crate) mod lamella;
pub(crate) mod metals_precipitation;
pub(crate) mod ozone;
pub(crate) mod ph_adjustment;
pub(crate) mod phosphorus_precipitation;
pub(crate) mod primary_clarifier;
pub(crate) mod reverse_osmosis;
pub(crate) mod sand_filter;
pub(crate) mod sbr;
pub(crate) mod screening;
pub(crate) mod secondary_clarifier;
pub(crate) mod thickener;
pub(crate) mod uasb;
pub(crate) mod ultrafiltration;
pub(crate) mod uv;

pub(crate) use design::{Design, Dose, Inlet, Item, Reject, Removal, Solids, Spec, Spread, Within};

use crate::note::Mark;
use crate::parameter::Parameter;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Where in the plant a unit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Screens, equalisation, separation, chemical pre-treatment.
    Primary,
    /// Biology and its clarifiers.
    Secondary,
    /// Polishing, salts, disinfection.
    Tertiary,
    /// Sludge, control.
    Auxiliary,
}

impl Stage {
    /// The stage as clients see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::Tertiary => "tertiary",
            Self::Auxiliary => "auxiliary",
        }
    }
}

/// By what a unit separates or converts; a second unit of one mechanism removes half as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mechanism {
    Straining,
    Storage,
    Neutralisation,
    Flotation,
    Settling,
    Coagulation,
    Precipitation,
    Anaerobic,
    Aerobic,
    Filtration,
    Membrane,
    Osmosis,
    Grit,
    Adsorption,
    Disinfection,
    Oxidation,
    Ozonation,
    Cooling,
    Sludge,
}

/// A unit process. All methods are pure.
pub(crate) trait UnitProcess: Sync {
    /// What is fixed: names, table of removals, ranges, order.
    fn spec(&self) -> &'static Spec;

    /// What is removed of what enters; by default the table.
    fn removals(&self, _inlet: &Inlet<'_>) -> Vec<(Parameter, Removal)> {
        self.spec().removals.to_vec()
    }

    /// Sizes, equipment, chemicals, power and sludge for what enters and what leaves.
    fn size(&self, inlet: &Inlet<'_>, outlet: &crate::water::Water) -> Design;
}

/// A name that is no unit process of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a unit process of the catalogue")]
pub struct UnknownProcess;

macro_rules! catalogue {
    ($($module:ident $name:ident $code:literal $id:literal $shown:literal;)*) => {
        /// A unit process of the catalogue, in the order of a train.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum ProcessId {
            $(#[doc = $shown] #[serde(rename = $id)] $name,)*
        }

        impl ProcessId {
            /// All of them, in the order of a train.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code of the engineering basis, for example `P07`.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The id in events and for a model, for example `daf`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// The name people read; unique.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $shown,)* }
            }

            pub(crate) const fn process(self) -> &'static dyn UnitProcess {
                match self { $(Self::$name => &$module::$name,)* }
            }
        }
    };
}

// In the order of a train (5.1 step 3): module, type, code of the basis, id, name.
catalogue! {
    screening Screening "P01" "screening" "Screening";
    grit Grit "P02" "grit" "Grit removal";
    equalisation Equalisation "P03" "equalisation" "Equalization";
    cooling Cooling "X01" "cooling" "Cooling";
    metals_precipitation MetalsPrecipitation "P10" "metals-precipitation" "Chemical precipitation of metals";
    coagulation Coagulation "P08" "coagulation" "Coagulation-flocculation";
    daf Daf "P07" "daf" "Dissolved air flotation (DAF)";
    primary_clarifier PrimaryClarifier "P09" "primary-clarifier" "Primary clarifier";
    lamella Lamella "P13" "lamella" "Lamella settler";
    ph_adjustment PhAdjustment "P04" "ph-adjustment" "pH adjustment";
    uasb Uasb "A01" "uasb" "UASB reactor";
    phosphorus_precipitation PhosphorusPrecipitation "P11" "phosphorus-precipitation" "Phosphorus precipitation";
    activated_sludge ActivatedSludge "S01" "activated-sludge" "Conventional activated sludge";
    extended_aeration ExtendedAeration "S02" "extended-aeration" "Extended aeration";
    sbr Sbr "S03" "sbr" "Sequencing batch reactor (SBR)";
    secondary_clarifier SecondaryClarifier "P12" "secondary-clarifier" "Secondary clarifier";
    sand_filter SandFilter "T01" "sand-filter" "Multimedia filtration";
    ozone Ozone "T07" "ozone" "Ozonation";
    gac Gac "T02" "gac" "Granular activated carbon (GAC)";
    ultrafiltration Ultrafiltration "T04" "ultrafiltration" "Ultrafiltration (UF)";
    reverse_osmosis ReverseOsmosis "T06" "reverse-osmosis" "Reverse osmosis (RO)";
    uv Uv "T09" "uv" "UV disinfection";
    chlorination Chlorination "T08" "chlorination" "Chlorination";
    thickener Thickener "L01" "thickener" "Sludge thickening";
    dewatering Dewatering "L02" "dewatering" "Sludge dewatering";
}

impl ProcessId {
    /// Where in the plant it stands.
    #[must_use]
    pub fn stage(self) -> Stage {
        self.process().spec().stage
    }

    /// Why it is used, in a sentence.
    #[must_use]
    pub fn purpose(self) -> &'static str {
        self.process().spec().purpose
    }
}

impl FromStr for ProcessId {
    type Err = UnknownProcess;

    /// Reads an id (`sbr`), a code (`S03`) or a name, without case.
    fn from_str(text: &str) -> Result<Self, UnknownProcess> {
        let text = text.trim();
        Self::ALL
            .iter()
            .copied()
            .find(|id| [id.as_str(), id.code(), id.name()].iter().any(|name| name.eq_ignore_ascii_case(text)))
            .ok_or(UnknownProcess)
    }
}

/// A share removed, in per cent: low, typical, high.
pub(crate) const fn share(low: f64, typical: f64, high: f64) -> Removal {
    Removal::Share { low: low / 100.0, typical: typical / 100.0, high: high / 100.0 }
}

/// Orders of magnitude of organisms removed: low, typical, high.
pub(crate) const fn logs(low: f64, typical: f64, high: f64) -> Removal {
    Removal::Logs { low, typical, high }
}

/// What is left, in the canonical unit: at worst, typically, at best.
pub(crate) const fn residual(worst: f64, typical: f64, best: f64) -> Removal {
    Removal::Residual { worst, typical, best }
}

/// A range of applicability that is advisable.
pub(crate) const fn within(parameter: Parameter, least: f64, most: f64) -> Within {
    Within { parameter, least, most, hard: false }
}

/// A range of applicability outside which the unit does not work.
pub(crate) const fn only_within(parameter: Parameter, least: f64, most: f64) -> Within {
    Within { parameter, least, most, hard: true }
}

/// Straight lines between points of rising `x`; the end values beyond them.
pub(crate) fn interpolate(points: &[(f64, f64)], x: f64) -> f64 {
    let mut last: Option<(f64, f64)> = None;
    for &(px, py) in points {
        if x <= px {
            return last.map_or(py, |(lx, ly)| ly + (py - ly) * (x - lx) / (px - lx));
        }
        last = Some((px, py));
    }
    last.map_or(0.0, |(_, y)| y)
}

/// Polymer on site in USD per kg of active product: an estimate of Latin American retail prices, 3-5 USD/kg.
pub(crate) const POLYMER_USD: f64 = 4.0;

/// The source of package-scale costs.
pub(crate) const PACKAGE_COST: (Mark, &str) =
    (Mark::E, "internal estimate; package-scale curve, USD 2023, delivered Mexico/Central America, +-50 %");

#[cfg(test)]
mod tests;
