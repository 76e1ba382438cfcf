//! Default influent by subsector: section 2.3 of the engineering basis.

use crate::facts::{Facts, SectorKind, fold};
use crate::note::Mark;

/// Low, typical, high.
pub(crate) type Range = (f64, f64, f64);

/// What the wastewater of a subsector is usually like; concentrations in mg/L.
#[derive(Debug)]
pub(crate) struct Influent {
    pub(crate) subsector: &'static str,
    pub(crate) kind: SectorKind,
    pub(crate) bod: Range,
    pub(crate) cod: Range,
    pub(crate) tss: Range,
    pub(crate) fog: Range,
    pub(crate) tn: Range,
    pub(crate) tp: Range,
    pub(crate) ph: Range,
    pub(crate) mark: Mark,
    pub(crate) source: &'static str,
    names: &'static [&'static str],
}

/// A typical value with half and twice it as range, where the basis gives no range.
const fn about(typical: f64) -> Range {
    (typical / 2.0, typical, typical * 2.0)
}

const SEWAGE: Influent = Influent {
    subsector: "domestic sewage, medium strength",
    kind: SectorKind::Domestic,
    bod: (110.0, 220.0, 400.0),
    cod: (250.0, 500.0, 1000.0),
    tss: (100.0, 220.0, 350.0),
    fog: (50.0, 80.0, 150.0),
    tn: (20.0, 40.0, 85.0),
    tp: (4.0, 8.0, 20.0),
    ph: (6.5, 7.2, 8.0),
    mark: Mark::V,
    source: "Rodríguez Miranda et al. 2015, doi 10.14483/udistrital.jour.tecnura.2015.4.a03",
    names: &[
        "single home",
        "multi family",
        "office building",
        "government building",
        "residential complex",
        "school",
        "hospital",
        "municipal",
        "residential",
        "water utility",
        "wastewater utility",
    ],
};

const TABLE: &[Influent] = &[
    SEWAGE,
    Influent {
        subsector: "hotel",
        bod: (180.0, 250.0, 400.0),
        cod: about(550.0),
        tss: (100.0, 220.0, 350.0),
        fog: (50.0, 90.0, 150.0),
        tn: (20.0, 45.0, 85.0),
        mark: Mark::E,
        source: "internal estimate around the Solaire tower data of WaterTAP3 (BOD 250 grey, 280 black)",
        names: &["hotel", "resort"],
        ..SEWAGE
    },
    Influent {
        subsector: "shopping mall",
        bod: (200.0, 300.0, 500.0),
        cod: about(650.0),
        tss: about(250.0),
        fog: about(150.0),
        tn: about(55.0),
        tp: about(9.0),
        ph: (6.5, 7.0, 8.0),
        mark: Mark::E,
        source: "internal estimate; food courts raise FOG",
        names: &["shopping mall", "mall"],
        ..SEWAGE
    },
    Influent {
        subsector: "restaurant or food service",
        kind: SectorKind::Food,
        bod: (400.0, 900.0, 1500.0),
        cod: about(1800.0),
        tss: about(500.0),
        fog: (100.0, 400.0, 1500.0),
        tn: about(40.0),
        tp: about(12.0),
        ph: (5.0, 6.0, 8.0),
        mark: Mark::K,
        source: "literature on restaurant wastewater",
        names: &["restaurant", "food service"],
    },
    Influent {
        subsector: "food processing (dairy taken as typical)",
        kind: SectorKind::Food,
        bod: (500.0, 1500.0, 4000.0),
        cod: (1150.0, 2700.0, 9200.0),
        tss: about(600.0),
        fog: about(250.0),
        tn: about(80.0),
        tp: about(40.0),
        ph: (4.0, 7.0, 11.0),
        mark: Mark::K,
        source: "IFC EHS guidelines, dairy processing; reviews",
        names: &["food processing", "dairy", "food", "agroindustry"],
    },
    Influent {
        subsector: "beverage bottling (soft drinks taken as typical)",
        kind: SectorKind::Food,
        bod: (300.0, 800.0, 2500.0),
        cod: about(1500.0),
        tss: about(150.0),
        fog: about(30.0),
        tn: about(10.0),
        tp: about(4.0),
        ph: (4.0, 7.0, 11.0),
        mark: Mark::K,
        source: "literature on soft-drink wastewater; N and P are usually short",
        names: &["beverage bottling", "beverage", "bottling"],
    },
    Influent {
        subsector: "brewery",
        kind: SectorKind::Food,
        bod: (1200.0, 2000.0, 3600.0),
        cod: (2000.0, 3500.0, 6000.0),
        tss: (200.0, 500.0, 1000.0),
        fog: about(30.0),
        tn: about(50.0),
        tp: about(20.0),
        ph: (4.5, 7.0, 12.0),
        mark: Mark::K,
        source: "Simate et al. 2011; Driessen & Vereijken 2003",
        names: &["brewery"],
    },
    Influent {
        subsector: "slaughterhouse",
        kind: SectorKind::Food,
        bod: (150.0, 1209.0, 4635.0),
        cod: (500.0, 4221.0, 15_900.0),
        tss: (270.0, 1164.0, 6400.0),
        fog: about(300.0),
        tn: about(427.0),
        tp: about(50.0),
        ph: (6.0, 6.7, 7.5),
        mark: Mark::K,
        source: "Bustillo-Lecompte & Mehrvar 2015",
        names: &["slaughterhouse", "meat", "meat processing"],
    },
    Influent {
        subsector: "textile manufacturing",
        kind: SectorKind::Chemical,
        bod: (150.0, 310.0, 800.0),
        cod: (500.0, 1200.0, 3000.0),
        tss: about(150.0),
        fog: about(20.0),
        tn: about(30.0),
        tp: about(5.0),
        ph: (9.0, 10.0, 11.0),
        mark: Mark::K,
        source: "cotton-textile common plant (reference case 8) and literature",
        names: &["textile manufacturing", "textile"],
    },
    Influent {
        subsector: "pharmaceutical manufacturing",
        kind: SectorKind::Chemical,
        bod: (500.0, 1500.0, 5000.0),
        cod: (1000.0, 4000.0, 15_000.0),
        tss: about(300.0),
        fog: about(20.0),
        tn: about(80.0),
        tp: about(10.0),
        ph: (4.0, 7.0, 9.0),
        mark: Mark::K,
        source: "literature; a treatability test is required",
        names: &["pharmaceutical manufacturing", "pharmaceutical", "pharma"],
    },
    Influent {
        subsector: "chemical processing",
        kind: SectorKind::Chemical,
        bod: (200.0, 600.0, 3000.0),
        cod: (600.0, 2000.0, 10_000.0),
        tss: about(200.0),
        fog: about(30.0),
        tn: about(50.0),
        tp: about(5.0),
        ph: (2.0, 7.0, 11.0),
        mark: Mark::K,
        source: "literature; a toxicity test is required",
        names: &["chemical processing", "chemical", "industrial"],
    },
    Influent {
        subsector: "oil and gas (refinery)",
        kind: SectorKind::OilMetal,
        bod: (100.0, 250.0, 500.0),
        cod: (300.0, 600.0, 1000.0),
        tss: about(150.0),
        fog: (100.0, 300.0, 3000.0),
        tn: about(40.0),
        tp: about(1.0),
        ph: (6.5, 8.0, 9.0),
        mark: Mark::K,
        source: "IFC EHS guidelines, petroleum refining",
        names: &["oil gas", "refinery", "oil and gas"],
    },
    METAL,
];

const METAL: Influent = Influent {
    subsector: "metal finishing",
    kind: SectorKind::OilMetal,
    bod: about(20.0),
    cod: about(200.0),
    tss: about(200.0),
    fog: about(20.0),
    tn: about(30.0),
    tp: about(10.0),
    ph: (1.7, 5.0, 8.2),
    mark: Mark::E,
    source: "internal estimate within the ranges of a published electroplating note",
    names: &["metal finishing", "electroplating", "plating", "metal", "automotive"],
};

/// The defaults of the project's subsector, else of its sector; metal finishing if metals show it.
pub(crate) fn influent(facts: &Facts, metals: bool) -> &'static Influent {
    let find = |text: &str| {
        let folded = fold(text);
        TABLE.iter().find(|row| row.names.contains(&folded.as_str()))
    };
    let by_subsector = facts.subsector.as_deref().and_then(find);
    match by_subsector.or_else(|| find(&facts.sector)) {
        Some(row) if metals && by_subsector.is_none() && row.kind != SectorKind::Domestic => &METAL,
        Some(row) => row,
        None if metals => &METAL,
        None => &SEWAGE,
    }
}
