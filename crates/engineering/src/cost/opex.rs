//! The four lines of OPEX (6.4).

use super::{Capex, Opex, YEAR};
use crate::basis::{Assumption, DesignBasis};
use crate::facts::Country;
use crate::note::{Mark, TraceEntry, shown};
use crate::process::ProcessId;
use crate::sizing::Plant;
use units::Money;

/// USD per kWh for industry, and its range.
pub(crate) fn tariff(country: Country) -> (f64, f64, f64) {
    match country {
        Country::Mexico | Country::CostaRica | Country::Andean | Country::Other => (0.12, 0.14, 0.20),
        Country::UnitedStates => (0.06, 0.08, 0.12),
        Country::EuropeanUnion => (0.12, 0.16, 0.25),
    }
}

/// Loaded salary of an operator in USD per year.
fn salary(country: Country) -> f64 {
    match country {
        Country::Mexico => 10_500.0,
        Country::CostaRica => 16_000.0,
        Country::Andean => 9_500.0,
        Country::UnitedStates => 60_000.0,
        Country::EuropeanUnion => 38_000.0,
        Country::Other => 14_000.0,
    }
}

/// Operators: 0.5 below 100 m³/d, 1 to 300, 2 to 1,000, 3.5 to 5,000, then one more per 2,500; half more for membranes.
pub(crate) fn operators(flow_m3_d: f64, membranes: bool) -> f64 {
    let base = if flow_m3_d < 100.0 {
        0.5
    } else if flow_m3_d < 300.0 {
        1.0
    } else if flow_m3_d < 1000.0 {
        2.0
    } else if flow_m3_d < 5000.0 {
        3.5
    } else {
        3.5 + (flow_m3_d - 5000.0) / 2500.0
    };
    base + if membranes { 0.5 } else { 0.0 }
}

/// Price on site over US bulk price of 2020: the cost index at least; in Latin America small lots, freight and duty make
/// it 1.5-2.5 below 500 m³/d, less above. The cost of a dose still rises with the flow.
fn delivered(country: Country, flow_m3_d: f64) -> f64 {
    /// CEPCI of 2023 over 2020.
    const INDEX: f64 = 797.9 / 596.2;
    match country {
        Country::Mexico | Country::CostaRica | Country::Andean | Country::Other => {
            (1.9 * (flow_m3_d / 200.0).powf(-0.25)).clamp(INDEX, 2.5)
        }
        Country::UnitedStates | Country::EuropeanUnion => INDEX,
    }
}

pub(super) fn lines(
    basis: &DesignBasis,
    plant: &Plant,
    capex: &Capex,
    trace: &mut Vec<TraceEntry>,
    assumptions: &mut Vec<Assumption>,
) -> Opex {
    let (low, kwh_usd, high) = tariff(basis.country);
    let energy_kwh = plant.energy_kwh_per_day.kwh();
    let electrical_energy = Money::from_usd(energy_kwh * 365.0 * kwh_usd, YEAR);
    trace.push(
        TraceEntry::new(
            "cost.electrical_energy",
            "C = kWh/d x 365 x tariff",
            Mark::E,
            "industrial tariff of the region, engineering basis 6.4",
        )
        .input("energy_kwh_per_day", energy_kwh)
        .input("tariff_usd_per_kwh", kwh_usd)
        .output("electrical_energy_usd_per_year", electrical_energy.usd()),
    );
    let text = format!("Electricity costs {} USD/kWh (range {} to {}).", shown(kwh_usd), shown(low), shown(high));
    assumptions.push(
        Assumption::new("Electricity price", text, Mark::E, "engineering basis 6.4")
            .number((low, kwh_usd, high), "USD/kWh"),
    );
    let factor = delivered(basis.country, basis.flow_m3_per_day.m3_per_day());
    let mut chemicals = Money::nothing(YEAR);
    for chemical in &plant.chemicals {
        // Estimated prices are local ones already; published ones are US bulk.
        let on_site = if chemical.mark == Mark::E { 1.0 } else { factor };
        let price = chemical.price_usd_per_kg.value() * on_site;
        let cost = Money::from_usd(chemical.use_kg_per_day.kg_per_day() * 365.0 * price, YEAR);
        chemicals = chemicals.plus(cost);
        trace.push(
            TraceEntry::new(
                "cost.chemical",
                "C = kg/d x 365 x bulk price x factor on site",
                chemical.mark,
                &chemical.source,
            )
            .word("chemical", &chemical.name)
            .word("unit", chemical.process.name())
            .input("use_kg_per_day", chemical.use_kg_per_day.kg_per_day())
            .input("price_usd_per_kg", chemical.price_usd_per_kg.value())
            .input("factor_on_site", on_site)
            .output("cost_usd_per_year", cost.usd()),
        );
    }
    let text = format!(
        "Chemicals cost {} times the US bulk price of 2020 on site (small lots, freight, duty or index).",
        shown(factor)
    );
    assumptions.push(Assumption::new("Price of chemicals", text, Mark::E, "engineering basis 6.4"));
    let membranes =
        plant.units.iter().any(|unit| matches!(unit.process, ProcessId::Ultrafiltration | ProcessId::ReverseOsmosis));
    let staff = operators(basis.flow_m3_per_day.m3_per_day(), membranes);
    let personnel = Money::from_usd(staff * salary(basis.country), YEAR);
    trace.push(
        TraceEntry::new("cost.personnel", "C = operators x loaded salary", Mark::E, "engineering basis 6.4")
            .input("operators", staff)
            .input("salary_usd_per_year", salary(basis.country))
            .output("personnel_usd_per_year", personnel.usd()),
    );
    let text = format!(
        "{} full-time {} for operation at {} USD per year each, with all charges.",
        shown(staff),
        if staff > 1.0 { "positions" } else { "position" },
        shown(salary(basis.country))
    );
    assumptions.push(Assumption::new("Personnel", text, Mark::E, "engineering basis 6.4"));
    let replaced: f64 = plant.equipment.iter().map(|item| item.capex.usd() * item.replacement_per_year.value()).sum();
    let upkeep = 0.02 * capex.civil_works.usd() + 0.04 * capex.equipment.usd() + replaced;
    let per_tonne = if plant.hazardous_sludge { 250.0 } else { 45.0 };
    let disposal = Money::from_usd(plant.wet_sludge_kg_per_day.kg_per_day() / 1000.0 * 365.0 * per_tonne, YEAR);
    let maintenance = Money::from_usd(upkeep, YEAR).plus(disposal);
    trace.push(
        TraceEntry::new(
            "cost.maintenance",
            "C = 2 % civil + 4 % equipment + replaced parts + wet sludge x price",
            Mark::E,
            "engineering basis 6.4",
        )
        .input("civil_works_usd", capex.civil_works.usd())
        .input("equipment_usd", capex.equipment.usd())
        .input("replaced_parts_usd_per_year", replaced)
        .input("wet_sludge_kg_per_day", plant.wet_sludge_kg_per_day.kg_per_day())
        .input("disposal_usd_per_tonne", per_tonne)
        .output("disposal_usd_per_year", disposal.usd())
        .output("maintenance_usd_per_year", maintenance.usd()),
    );
    let range = if plant.hazardous_sludge { (150.0, per_tonne, 400.0) } else { (25.0, per_tonne, 60.0) };
    let kind = if plant.hazardous_sludge { "hazardous" } else { "non-hazardous" };
    let text = format!(
        "Disposal of {kind} sludge costs {} USD per wet tonne (range {} to {}).",
        shown(per_tonne),
        shown(range.0),
        shown(range.2)
    );
    assumptions.push(Assumption::new("Sludge disposal", text, Mark::E, "engineering basis 6.4").number(range, "USD/t"));
    let total = electrical_energy.plus(chemicals).plus(personnel).plus(maintenance);
    Opex {
        electrical_energy,
        chemicals,
        personnel,
        maintenance_spare_parts: maintenance,
        of_which_sludge_disposal: disposal,
        total,
    }
}
