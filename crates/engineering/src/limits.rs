//! Effluent limits by regulation, receiver and reuse: section 3 of the engineering basis.

use crate::facts::Country;
use crate::note::Mark;
use crate::parameter::Parameter;
use serde::{Deserialize, Serialize};

/// Where treated water goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Receiver {
    /// A municipal sewer.
    Sewer,
    /// A river, stream, canal or drain.
    River,
    /// A lake or reservoir.
    Lake,
    /// The sea.
    Sea,
    /// Infiltration into the soil.
    Soil,
    /// Irrigation of green areas.
    Irrigation,
    /// Nowhere: everything is used again.
    NoDischarge,
}

impl Receiver {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sewer => "municipal sewer",
            Self::River => "river, stream or drain",
            Self::Lake => "lake or reservoir",
            Self::Sea => "sea",
            Self::Soil => "infiltration into the soil",
            Self::Irrigation => "irrigation of green areas",
            Self::NoDischarge => "no discharge",
        }
    }
}

/// What treated water is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReuseUse {
    /// Irrigation.
    Irrigation,
    /// Flushing toilets.
    Toilets,
    /// Make-up of cooling towers.
    Cooling,
    /// Feed of boilers.
    Boiler,
    /// Washing of floors and vehicles.
    Cleaning,
    /// Fire fighting.
    Fire,
    /// Fountains and ornamental water.
    Ornamental,
    /// Industrial processes.
    Process,
    /// Recharge of groundwater.
    Recharge,
    /// Drinking.
    Drinking,
}

impl ReuseUse {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Irrigation => "irrigation",
            Self::Toilets => "toilet flushing",
            Self::Cooling => "cooling towers",
            Self::Boiler => "boiler feed",
            Self::Cleaning => "cleaning",
            Self::Fire => "fire fighting",
            Self::Ornamental => "ornamental water",
            Self::Process => "industrial processes",
            Self::Recharge => "groundwater recharge",
            Self::Drinking => "drinking",
        }
    }
}

/// A regulation or reuse class with numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Regulation {
    /// NOM-001-SEMARNAT-2021: discharge to national waters, Mexico.
    Nom001,
    /// NOM-002-SEMARNAT-1996: discharge to sewers, Mexico.
    Nom002,
    /// NOM-003-SEMARNAT-1997: reuse in public services, Mexico.
    Nom003,
    /// NOM-127-SSA1-2021: drinking water, Mexico.
    Nom127,
    /// Decree 33601-S-MINAE: discharge and reuse, Costa Rica.
    Cr33601,
    /// Decree 38924-S: drinking water, Costa Rica.
    CrDrinking,
    /// 40 CFR 133.102: secondary treatment, United States.
    EpaDischarge,
    /// EPA 2012 Guidelines for Water Reuse.
    EpaReuse,
    /// National primary drinking water regulations, United States.
    EpaDrinking,
    /// 91/271/EEC: urban wastewater, European Union.
    EuUwwtd,
    /// Regulation (EU) 2020/741: agricultural reuse.
    EuReuse,
    /// WHO guideline values for drinking water.
    WhoDrinking,
    /// Requirements of cooling-tower make-up (EPA 2012).
    CoolingWater,
    /// Requirements of boiler feed at low pressure.
    BoilerFeed,
}

impl Regulation {
    /// The name people know it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nom001 => "NOM-001-SEMARNAT-2021",
            Self::Nom002 => "NOM-002-SEMARNAT-1996",
            Self::Nom003 => "NOM-003-SEMARNAT-1997",
            Self::Nom127 => "NOM-127-SSA1-2021",
            Self::Cr33601 => "Reglamento de Vertido y Reúso 33601-S-MINAE",
            Self::CrDrinking => "Decree 38924-S (Costa Rica, drinking water)",
            Self::EpaDischarge => "40 CFR 133.102 (EPA, secondary treatment)",
            Self::EpaReuse => "EPA 2012 Guidelines for Water Reuse",
            Self::EpaDrinking => "EPA national primary drinking water regulations",
            Self::EuUwwtd => "91/271/EEC",
            Self::EuReuse => "Regulation (EU) 2020/741",
            Self::WhoDrinking => "WHO drinking-water guideline values",
            Self::CoolingWater => "Cooling-tower make-up (EPA 2012)",
            Self::BoilerFeed => "Boiler feed, low pressure (EPA 2012)",
        }
    }

    /// The country whose law it is, if it is one's.
    pub(crate) const fn country(self) -> Option<Country> {
        match self {
            Self::Nom001 | Self::Nom002 | Self::Nom003 | Self::Nom127 => Some(Country::Mexico),
            Self::Cr33601 | Self::CrDrinking => Some(Country::CostaRica),
            Self::EpaDischarge | Self::EpaDrinking => Some(Country::UnitedStates),
            Self::EuUwwtd | Self::EuReuse => Some(Country::EuropeanUnion),
            Self::EpaReuse | Self::WhoDrinking | Self::CoolingWater | Self::BoilerFeed => None,
        }
    }

    /// How far its numbers can be trusted; those of 91/271/EEC for small places were not read.
    pub(crate) fn mark(self, people_equivalents: f64) -> Mark {
        match self {
            Self::EuUwwtd if people_equivalents > 10_000.0 => Mark::V,
            Self::EuUwwtd
            | Self::Nom001
            | Self::Nom002
            | Self::Nom003
            | Self::Nom127
            | Self::Cr33601
            | Self::CrDrinking
            | Self::EpaDischarge
            | Self::EpaReuse
            | Self::EpaDrinking
            | Self::EuReuse
            | Self::WhoDrinking
            | Self::CoolingWater
            | Self::BoilerFeed => Mark::K,
        }
    }
}

/// A limit the effluent is designed for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Which parameter.
    pub parameter: Parameter,
    /// Not below this (pH).
    pub least: Option<f64>,
    /// Not above this, as a monthly average.
    pub most: f64,
    /// What the design aims at: the limit less the regulatory margin (20 %; 30 % for toxic metals and class 5 estimates).
    pub design: f64,
    /// The canonical unit of the parameter.
    pub unit: String,
    /// Where the limit is from.
    pub regulation: Regulation,
    /// How it is cited.
    pub source: String,
    /// How far the numbers can be trusted.
    pub mark: Mark,
}

/// One row of a regulation: parameter, least, most.
pub(crate) type Row = (Parameter, Option<f64>, f64);

/// The rows of a regulation for a receiver; `direct` is reuse with direct human contact.
pub(crate) fn rows(regulation: Regulation, receiver: Receiver, direct: bool, people_equivalents: f64) -> Vec<Row> {
    use Parameter as P;
    let most = |rows: &[(P, f64)]| rows.iter().map(|&(parameter, most)| (parameter, None, most)).collect::<Vec<_>>();
    let with_ph = |least: f64, high: f64, mut rows: Vec<Row>| {
        rows.push((P::Ph, Some(least), high));
        rows
    };
    match regulation {
        Regulation::Nom001 => {
            // FOG, TSS, COD, TN, TP, E. coli, eggs by receiver; a parameter without a limit there is absent.
            type Cells = (f64, f64, Option<f64>, Option<f64>, f64, Option<f64>);
            let (tss, cod, tn, tp, ecoli, eggs): Cells = match receiver {
                Receiver::River | Receiver::Sewer | Receiver::NoDischarge => {
                    (60.0, 150.0, Some(25.0), Some(15.0), 250.0, None)
                }
                Receiver::Lake => (20.0, 100.0, Some(15.0), Some(5.0), 250.0, None),
                Receiver::Sea => (20.0, 85.0, Some(25.0), Some(15.0), 250.0, None),
                Receiver::Irrigation => (30.0, 60.0, None, None, 250.0, Some(1.0)),
                Receiver::Soil => (100.0, 150.0, None, None, 250.0, Some(1.0)),
            };
            let lake = receiver == Receiver::Lake;
            let metal = |river: f64, in_lake: f64| if lake { in_lake } else { river };
            let mut found = most(&[
                (P::OilGrease, 15.0),
                (P::Tss, tss),
                (P::Cod, cod),
                (P::EColi, ecoli),
                (P::Temperature, 35.0),
                (P::Arsenic, metal(0.2, 0.1)),
                (P::Cadmium, metal(0.2, 0.1)),
                (P::Cyanide, 1.0),
                (P::Copper, 4.0),
                (P::Chromium, metal(1.0, 0.5)),
                (P::Mercury, metal(0.01, 0.005)),
                (P::Nickel, 2.0),
                (P::Lead, 0.2),
                (P::Zinc, 10.0),
            ]);
            for (parameter, cell) in [(P::Tn, tn), (P::Tp, tp), (P::HelminthEggs, eggs)] {
                found.extend(cell.map(|most| (parameter, None, most)));
            }
            with_ph(6.0, 9.0, found)
        }
        Regulation::Nom002 => with_ph(
            5.5,
            10.0,
            most(&[
                (P::OilGrease, 50.0),
                (P::SettleableSolids, 5.0),
                (P::Arsenic, 0.5),
                (P::Cadmium, 0.5),
                (P::Cyanide, 1.0),
                (P::Copper, 10.0),
                (P::ChromiumVi, 0.5),
                (P::Mercury, 0.01),
                (P::Nickel, 4.0),
                (P::Lead, 1.0),
                (P::Zinc, 6.0),
                (P::Temperature, 40.0),
                // The local utility sets these two; the basis assumes 200/200.
                (P::Bod5, 200.0),
                (P::Tss, 200.0),
            ]),
        ),
        Regulation::Nom003 => {
            let (fecal, eggs, solids) = if direct { (240.0, 1.0, 20.0) } else { (1000.0, 5.0, 30.0) };
            most(&[
                (P::FecalColiforms, fecal),
                (P::HelminthEggs, eggs),
                (P::OilGrease, 15.0),
                (P::Bod5, solids),
                (P::Tss, solids),
            ])
        }
        Regulation::Nom127 => with_ph(
            6.5,
            8.5,
            most(&[
                (P::Turbidity, 4.0),
                (P::Color, 15.0),
                (P::Tds, 1000.0),
                (P::Hardness, 500.0),
                (P::Iron, 0.3),
                (P::Manganese, 0.15),
                (P::Arsenic, 0.025),
                (P::Fluoride, 1.5),
                (P::NitrateN, 11.0),
                (P::Lead, 0.01),
                (P::Cadmium, 0.005),
                (P::Chromium, 0.05),
                (P::Mercury, 0.006),
                (P::Aluminium, 0.2),
                (P::Sulfates, 400.0),
                (P::Chlorides, 250.0),
                (P::EColi, 1.0),
            ]),
        ),
        Regulation::Cr33601 => {
            let metals = [
                (P::Arsenic, 0.1),
                (P::Cadmium, 0.1),
                (P::Chromium, 1.5),
                (P::Copper, 0.5),
                (P::Nickel, 1.0),
                (P::Lead, 0.5),
                (P::Mercury, 0.01),
                (P::Zinc, 5.0),
            ];
            let (common, low, high) = if receiver == Receiver::Sewer {
                ([(P::Bod5, 300.0), (P::Cod, 750.0), (P::Tss, 300.0), (P::OilGrease, 50.0)], 6.0, 9.0)
            } else {
                ([(P::Bod5, 50.0), (P::Cod, 150.0), (P::Tss, 50.0), (P::OilGrease, 30.0)], 5.0, 9.0)
            };
            let settleable = if receiver == Receiver::Sewer { 5.0 } else { 1.0 };
            let mut found = most(&common);
            found.extend(most(&metals));
            found.extend(most(&[(P::SettleableSolids, settleable), (P::Surfactants, 5.0), (P::Temperature, 40.0)]));
            with_ph(low, high, found)
        }
        Regulation::CrDrinking | Regulation::WhoDrinking => most(&[
            (P::Arsenic, 0.01),
            (P::Lead, 0.01),
            (P::Cadmium, 0.003),
            (P::Chromium, 0.05),
            (P::Nickel, 0.07),
            (P::Copper, 2.0),
            (P::NitrateN, 11.3),
            (P::Fluoride, 1.5),
            (P::Mercury, 0.006),
            (P::Turbidity, 5.0),
            (P::EColi, 1.0),
        ]),
        Regulation::EpaDischarge => with_ph(6.0, 9.0, most(&[(P::Bod5, 30.0), (P::Tss, 30.0)])),
        Regulation::EpaReuse => {
            if direct {
                with_ph(6.0, 9.0, most(&[(P::Bod5, 10.0), (P::Turbidity, 2.0), (P::FecalColiforms, 1.0)]))
            } else {
                with_ph(6.0, 9.0, most(&[(P::Bod5, 30.0), (P::Tss, 30.0), (P::FecalColiforms, 200.0)]))
            }
        }
        Regulation::EpaDrinking => {
            most(&[(P::Arsenic, 0.01), (P::NitrateN, 10.0), (P::Lead, 0.015), (P::Turbidity, 0.3), (P::EColi, 1.0)])
        }
        Regulation::EuUwwtd => {
            let solids = if people_equivalents > 10_000.0 { 35.0 } else { 60.0 };
            most(&[(P::Bod5, 25.0), (P::Cod, 125.0), (P::Tss, solids)])
        }
        Regulation::EuReuse => {
            if direct {
                most(&[(P::Bod5, 10.0), (P::Tss, 10.0), (P::Turbidity, 5.0), (P::EColi, 10.0)])
            } else {
                most(&[(P::Bod5, 25.0), (P::Tss, 35.0), (P::EColi, 100.0)])
            }
        }
        Regulation::CoolingWater => most(&[
            (P::Bod5, 10.0),
            (P::Tss, 5.0),
            (P::Turbidity, 2.0),
            (P::FecalColiforms, 200.0),
            (P::Tds, 500.0),
            (P::Hardness, 650.0),
            (P::Silica, 50.0),
            (P::AmmoniaN, 1.0),
        ]),
        Regulation::BoilerFeed => {
            most(&[(P::Bod5, 1.0), (P::Tss, 1.0), (P::Turbidity, 1.0), (P::Tds, 200.0), (P::Hardness, 1.0)])
        }
    }
}

/// The regulation of a country for a receiver, when the sheet names none; `None` where there is nothing to discharge.
pub(crate) fn of_country(country: Country, receiver: Receiver) -> Option<Regulation> {
    if receiver == Receiver::NoDischarge {
        return None;
    }
    Some(match country {
        Country::Mexico if receiver == Receiver::Sewer => Regulation::Nom002,
        Country::Mexico => Regulation::Nom001,
        Country::CostaRica => Regulation::Cr33601,
        Country::UnitedStates => Regulation::EpaDischarge,
        Country::EuropeanUnion | Country::Andean | Country::Other => Regulation::EuUwwtd,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most(regulation: Regulation, receiver: Receiver, parameter: Parameter) -> Option<f64> {
        rows(regulation, receiver, true, 1e4).into_iter().find(|row| row.0 == parameter).map(|row| row.2)
    }

    #[test]
    fn limits_depend_on_the_receiver() {
        assert_eq!(most(Regulation::Nom001, Receiver::River, Parameter::Cod), Some(150.0));
        assert_eq!(most(Regulation::Nom001, Receiver::Lake, Parameter::Tp), Some(5.0));
        assert_eq!(most(Regulation::Nom001, Receiver::Irrigation, Parameter::Tn), None);
        assert_eq!(most(Regulation::Cr33601, Receiver::Sewer, Parameter::Bod5), Some(300.0));
        assert_eq!(most(Regulation::Cr33601, Receiver::River, Parameter::Bod5), Some(50.0));
    }

    #[test]
    fn no_regulation_limits_a_parameter_twice_for_one_receiver() {
        for receiver in [Receiver::Sewer, Receiver::River, Receiver::Lake, Receiver::Soil] {
            for regulation in [Regulation::Nom001, Regulation::Nom002, Regulation::Cr33601, Regulation::CoolingWater] {
                let mut parameters: Vec<_> =
                    rows(regulation, receiver, true, 1e4).into_iter().map(|row| row.0).collect();
                let count = parameters.len();
                parameters.sort_unstable();
                parameters.dedup();
                assert_eq!(parameters.len(), count, "{regulation:?} {receiver:?}");
            }
        }
    }
}
