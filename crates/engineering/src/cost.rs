//! CAPEX and OPEX of a plant (section 6 of the engineering basis), in whole cents of 2023.

mod capex;
mod opex;

use crate::basis::{Assumption, DesignBasis};
use crate::facts::{Country, Facts};
use crate::note::{Figure, TraceEntry, Warning};
use crate::sizing::Plant;
use serde::{Deserialize, Serialize};
use units::{Money, Ratio};

/// The year whose prices are used: the latest verified cost index.
pub(crate) const YEAR: u16 = 2023;

/// CAPEX by line. The sum of the five is `total`, to the cent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capex {
    /// Exactly the sum of the equipment list.
    pub equipment: Money,
    /// Tanks, foundations, buildings.
    pub civil_works: Money,
    /// Installation, piping, electrical work and instrumentation.
    pub installation_piping: Money,
    /// Engineering and supervision.
    pub engineering_supervision: Money,
    /// Contingency.
    pub contingency: Money,
    /// The sum.
    pub total: Money,
}

/// OPEX per year by line. The sum of the four is `total`, to the cent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opex {
    /// Electrical energy.
    pub electrical_energy: Money,
    /// Chemicals, activated carbon included.
    pub chemicals: Money,
    /// Personnel.
    pub personnel: Money,
    /// Maintenance, spare parts, membranes, lamps, and disposal of sludge.
    pub maintenance_spare_parts: Money,
    /// The part of the line above that is disposal of sludge.
    pub of_which_sludge_disposal: Money,
    /// The sum.
    pub total: Money,
}

/// How exact the CAPEX is (AACE 18R-97).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// 3, 4 or 5.
    pub aace_class: u8,
    /// Per cent below the estimate, for example 25.
    pub low_percent: Ratio,
    /// Per cent above the estimate, for example 40.
    pub high_percent: Ratio,
    /// Contingency in per cent.
    pub contingency_percent: Ratio,
    /// CAPEX at the low end.
    pub low: Money,
    /// CAPEX at the high end.
    pub high: Money,
    /// Which data would give a better class.
    pub to_improve: String,
}

/// The estimate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostEstimate {
    /// CAPEX.
    pub capex: Capex,
    /// OPEX per year.
    pub opex: Opex,
    /// How exact the CAPEX is.
    pub accuracy: Accuracy,
    /// Cost of one kWh in USD.
    pub tariff_usd_per_kwh: Ratio,
    /// OPEX per m³ treated in USD.
    pub opex_usd_per_m3: Ratio,
    /// CAPEX per m³/d of design flow in USD.
    pub capex_usd_per_m3_per_day: Ratio,
    /// Net saving per year by reuse, after OPEX; absent unless above zero.
    pub annual_savings: Option<Money>,
    /// CAPEX over the net saving; absent unless there is one.
    pub payback_years: Option<Ratio>,
    /// Net saving over CAPEX in per cent; absent unless there is one.
    pub roi_percent: Option<Ratio>,
    /// Assumptions of the estimate.
    pub assumptions: Vec<Assumption>,
    /// Numbers the narrative may state.
    pub figures: Vec<Figure>,
    /// The calculations.
    pub trace: Vec<TraceEntry>,
    /// What the reader must know.
    pub warnings: Vec<Warning>,
}

/// Estimates the plant.
#[must_use]
pub fn estimate(basis: &DesignBasis, facts: &Facts, plant: &Plant) -> CostEstimate {
    let (mut trace, mut assumptions) = (Vec::new(), Vec::new());
    let (capex, accuracy) = capex::lines(basis, facts, plant, &mut trace);
    let opex = opex::lines(basis, plant, &capex, &mut trace, &mut assumptions);
    assumptions.push(Assumption::new(
        "Cost basis",
        format!(
            "Costs are in US dollars of {YEAR} by package-scale curves (an internal estimate, +-50 %) with a contingency \
             of {} %; land, taxes and financing are not included.",
            crate::note::shown(accuracy.contingency_percent.value())
        ),
        crate::note::Mark::E,
        "engineering basis 6",
    ));
    assumptions.push(Assumption::new(
        "Local prices of construction",
        format!(
            "Local work (civil works, installation) costs {} of what it costs at the Gulf coast of the United States, and \
             concrete tanks 250 to 500 USD per m³ of volume in Latin America, small ones more.",
            crate::note::shown(capex::local_factor(basis.country))
        ),
        crate::note::Mark::E,
        "engineering basis 6.3",
    ));
    if basis.country == Country::Other {
        let text = "The country of the site is not known; prices of Mexico are used.".to_owned();
        assumptions.push(Assumption::new("Country of the site", text, crate::note::Mark::E, "engineering basis 6.3"));
    }
    let flow = basis.flow_m3_per_day.m3_per_day();
    let returns = returns(basis, plant, &capex, &opex, &mut trace, &mut assumptions);
    let ratio = |value: f64| Ratio::clamped(crate::note::significant(value, 9));
    let mut estimate = CostEstimate {
        tariff_usd_per_kwh: ratio(opex::tariff(basis.country).1),
        opex_usd_per_m3: ratio(opex.total.usd() / (flow * 365.0)),
        capex_usd_per_m3_per_day: ratio(capex.total.usd() / flow),
        annual_savings: returns.map(|returns| returns.0),
        payback_years: returns.map(|returns| ratio(returns.1)),
        roi_percent: returns.map(|returns| ratio(returns.2)),
        capex,
        opex,
        accuracy,
        assumptions,
        figures: vec![],
        trace,
        warnings: vec![],
    };
    estimate.figures = figures(&estimate);
    estimate
}

/// Net saving per year, payback in years, return in per cent; only where reuse saves more than operation costs.
fn returns(
    basis: &DesignBasis,
    plant: &Plant,
    capex: &Capex,
    opex: &Opex,
    trace: &mut Vec<TraceEntry>,
    assumptions: &mut Vec<Assumption>,
) -> Option<(Money, f64, f64)> {
    if basis.reuse.is_empty() {
        return None;
    }
    let price = basis.water_price_usd_per_m3?.value();
    let product = plant.product_m3_per_day.m3_per_day();
    let saved = basis.reusable_flow_m3_per_day.map_or(product, |used| used.m3_per_day().min(product));
    let net = saved * 365.0 * price - opex.total.usd();
    let usd = Money::from_usd(net, YEAR);
    trace.push(
        TraceEntry::new(
            "cost.payback",
            "net = min(product, use) x 365 x price - OPEX; payback = CAPEX/net",
            crate::note::Mark::D,
            "unit algebra",
        )
        .input("saved_water_m3_per_day", saved)
        .input("water_price_usd_per_m3", price)
        .input("opex_usd_per_year", opex.total.usd())
        .output("net_saving_usd_per_year", net),
    );
    if usd.cents <= 0 || capex.total.cents <= 0 {
        return None;
    }
    let text = "All treated water replaces bought water at today's price, which is the saving counted.".to_owned();
    assumptions.push(Assumption::new("Saved water", text, crate::note::Mark::E, "engineering basis 6.4"));
    Some((usd, capex.total.usd() / usd.usd(), usd.usd() / capex.total.usd() * 100.0))
}

fn figures(estimate: &CostEstimate) -> Vec<Figure> {
    let usd = |name: &str, money: Money| Figure::new(name, money.usd(), "USD");
    let yearly = |name: &str, money: Money| Figure::new(name, money.usd(), "USD/year");
    let (capex, opex, accuracy) = (&estimate.capex, &estimate.opex, &estimate.accuracy);
    let share = |part: Money, whole: Money| if whole.cents > 0 { part.usd() / whole.usd() * 100.0 } else { 0.0 };
    let mut found = vec![
        usd("CAPEX", capex.total),
        usd("Equipment cost", capex.equipment),
        usd("Civil works", capex.civil_works),
        usd("Installation and piping", capex.installation_piping),
        usd("Engineering and supervision", capex.engineering_supervision),
        usd("Contingency", capex.contingency),
        usd("CAPEX, low end", accuracy.low),
        usd("CAPEX, high end", accuracy.high),
        Figure::new("Contingency", accuracy.contingency_percent.value(), "%"),
        Figure::new("Accuracy, low", accuracy.low_percent.value(), "%"),
        Figure::new("Accuracy, high", accuracy.high_percent.value(), "%"),
        yearly("OPEX", opex.total),
        yearly("Electrical energy", opex.electrical_energy),
        yearly("Chemicals", opex.chemicals),
        yearly("Personnel", opex.personnel),
        yearly("Maintenance and spare parts", opex.maintenance_spare_parts),
        yearly("Sludge disposal", opex.of_which_sludge_disposal),
        Figure::new("OPEX per m³", estimate.opex_usd_per_m3.value(), "USD/m³"),
        Figure::new("CAPEX per m³/d", estimate.capex_usd_per_m3_per_day.value(), "USD per m³/d"),
        Figure::new("Electricity price", estimate.tariff_usd_per_kwh.value(), "USD/kWh"),
        Figure::new("Equipment share of CAPEX", share(capex.equipment, capex.total), "%"),
        Figure::new("Energy share of OPEX", share(opex.electrical_energy, opex.total), "%"),
    ];
    found.extend(estimate.annual_savings.map(|money| yearly("Net saving", money)));
    found.extend(estimate.payback_years.map(|years| Figure::new("Payback", years.value(), "years")));
    found.extend(estimate.roi_percent.map(|percent| Figure::new("Return on investment", percent.value(), "%")));
    found
}
