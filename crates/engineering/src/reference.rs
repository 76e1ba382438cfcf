//! Reference cases found in published sources, shown only where they are like the project (section 8).

use crate::basis::DesignBasis;
use crate::facts::SectorKind;
use crate::note::shown;
use crate::parameter::Parameter as P;
use serde::{Deserialize, Serialize};
use units::Ratio;

/// A reference case that is like the project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReferenceMatch {
    /// The case; unique.
    pub case_id: String,
    /// What it is.
    pub project_name: String,
    /// Kind of water.
    pub application_type: String,
    /// The train as the source gives it.
    pub treatment_train: String,
    /// The flow as the source gives it; absent if it gives none.
    pub flow: Option<String>,
    /// What the source reports.
    pub result: String,
    /// Full scale or pilot, and how much of the source was read.
    pub scale: String,
    /// The source.
    pub citation: String,
    /// How like the project it is, 0.5 to 1.
    pub similarity: Ratio,
    /// Why it is relevant.
    pub why_relevant: Vec<String>,
}

struct Case {
    id: &'static str,
    name: &'static str,
    application: &'static str,
    kind: SectorKind,
    subsectors: &'static [&'static str],
    /// Least and most, in m³/d, as the source prints them; the most may be open.
    flow: Option<(f64, f64)>,
    influent: &'static [(P, f64)],
    train: &'static str,
    result: &'static str,
    scale: &'static str,
    citation: &'static str,
}

const TABLE: &[Case] = &[
    Case {
        id: "ref-01",
        name: "Campus sewage, Lima (Peru)",
        application: "Sewage",
        kind: SectorKind::Domestic,
        subsectors: &[],
        flow: None,
        influent: &[(P::Cod, 710.0), (P::Bod5, 368.0), (P::Tss, 690.0), (P::Tp, 4.7), (P::FecalColiforms, 3.3e7)],
        train: "French vertical wetland + vertical wetland",
        result: "COD 48, BOD 4.9, TSS 1.9 mg/L",
        scale: "pilot; full tables read",
        citation: "Hoffmann et al. 2025, doi 10.21704/rea.v24i2.2383",
    },
    Case {
        id: "ref-03",
        name: "Dairy (Italy)",
        application: "Dairy processing",
        kind: SectorKind::Food,
        subsectors: &["food processing", "dairy"],
        flow: Some((45.0, 45.0)),
        influent: &[],
        train: "Three aerobic reactors in cascade",
        result: "COD and NH4-N removal above 85 %",
        scale: "full scale; abstract read",
        citation: "Tocchi et al., Process Biochem. 48 (2013) 941",
    },
    Case {
        id: "ref-04",
        name: "Textile mill (Spain), as built",
        application: "Textile",
        kind: SectorKind::Chemical,
        subsectors: &["textile manufacturing", "textile"],
        flow: None,
        influent: &[],
        train: "Conventional activated sludge, HRT 2 d",
        result: "COD 83 %, TSS 66 %",
        scale: "full scale; abstract read",
        citation: "Yang et al., Water 12 (2020) 1306",
    },
    Case {
        id: "ref-07",
        name: "Opaque-beer brewery, Harare (Zimbabwe)",
        application: "Brewery",
        kind: SectorKind::Food,
        subsectors: &["beverage bottling", "brewery"],
        flow: Some((500.0, 500.0)),
        influent: &[],
        train: "UASB",
        result: "COD 57 %, settleable solids 90 %; N and P rise",
        scale: "full scale; abstract read",
        citation: "Parawira et al., Process Biochem. 40 (2005) 593",
    },
    Case {
        id: "ref-08",
        name: "Cotton-textile common plant (India)",
        application: "Textile",
        kind: SectorKind::Chemical,
        subsectors: &["textile manufacturing", "textile"],
        flow: None,
        influent: &[(P::Bod5, 310.0), (P::Cod, 1198.0)],
        train: "Physico-chemical + biological",
        result: "BOD 32-34, COD 254-622 mg/L, color partly",
        scale: "full scale; abstract read",
        citation: "Performance evaluation of a full scale CETP, cotton textile",
    },
    Case {
        id: "ref-11",
        name: "Pharmaceutical low-TDS stream (India)",
        application: "Pharmaceutical",
        kind: SectorKind::Chemical,
        subsectors: &["pharmaceutical manufacturing"],
        flow: None,
        influent: &[],
        train: "SBR + RO",
        result: "SBR COD 80.7-87.3 %; RO TDS 91-96.5 %",
        scale: "pilot; abstract read",
        citation: "SCIRP paper 98176",
    },
    Case {
        id: "ref-13",
        name: "Hotel greywater (Spain)",
        application: "Hotel",
        kind: SectorKind::Domestic,
        subsectors: &["hotel"],
        flow: Some((10.5, 20.0)),
        influent: &[],
        train: "Vertical-ecosystem wetland",
        result: "COD and TSS above 84 %, BOD above 95 %",
        scale: "pilot; abstract read",
        citation: "Estelrich et al., J. Environ. Manage. 294 (2021) 112968",
    },
    Case {
        id: "ref-15",
        name: "Rural sewage, north-east Brazil",
        application: "Sewage",
        kind: SectorKind::Domestic,
        subsectors: &["municipal", "water utility"],
        flow: None,
        influent: &[],
        train: "Screens + grit + UASB + horizontal wetland",
        result: "BOD 92.9 %, COD 79.2 %, TSS 94 %, FC 98.8 %",
        scale: "full scale; abstract read",
        citation: "Raboni et al., Sustainability 6 (2014) 6998",
    },
    Case {
        id: "ref-17",
        name: "Seven plants, north India",
        application: "Sewage",
        kind: SectorKind::Domestic,
        subsectors: &["municipal", "water utility"],
        flow: None,
        influent: &[],
        train: "SBR; MBBR; UASB + trickling sponge; UASB + pond",
        result: "SBR and MBBR: NH4 above 85 %, PO4 above 60 %; UASB + pond not compliant",
        scale: "full scale; abstract read",
        citation: "Hasan et al., Environ. Technol. Innov. 15 (2019) 100396",
    },
    Case {
        id: "ref-24",
        name: "Melbourne Eastern Treatment Plant (Australia)",
        application: "Sewage",
        kind: SectorKind::Domestic,
        subsectors: &["municipal", "water utility"],
        flow: Some((389_000.0, 389_000.0)),
        influent: &[(P::Bod5, 382.0), (P::Cod, 846.0), (P::Tn, 62.7)],
        train: "Activated sludge + tertiary",
        result: "0.71 kWh/m³ (275 MWh/d)",
        scale: "full scale; data file read",
        citation: "Eastern Treatment Plant public data, 1,382 days",
    },
    Case {
        id: "ref-25",
        name: "The Solaire tower, New York (USA)",
        application: "Building reuse",
        kind: SectorKind::Domestic,
        subsectors: &["multi family", "hotel", "residential complex"],
        flow: Some((94.6, 94.6)),
        influent: &[(P::Bod5, 257.0)],
        train: "Storage + MBR + ozone + UV",
        result: "Reuse in the building",
        scale: "full scale; data file read",
        citation: "NAWI baseline, WaterTAP3 data",
    },
    Case {
        id: "ref-26",
        name: "Beef plant, Illinois (USA)",
        application: "Meat processing",
        kind: SectorKind::Food,
        subsectors: &["food processing"],
        flow: Some((21_865.0, 21_865.0)),
        influent: &[(P::Bod5, 1288.0), (P::Tss, 3870.0), (P::OilGrease, 187.5), (P::Tds, 1570.0)],
        train: "Screen + DAF + anaerobic digestion",
        result: "Discharge; effluent not in the data file",
        scale: "full scale; data file read",
        citation: "NAWI baseline, WaterTAP3 data",
    },
    Case {
        id: "ref-28",
        name: "Steel rolling, oily water (USA)",
        application: "Metal industry",
        kind: SectorKind::OilMetal,
        subsectors: &["metal finishing", "metal"],
        flow: Some((2270.0, 2270.0)),
        influent: &[(P::OilGrease, 50.0), (P::Tss, 30.0), (P::Tds, 1500.0), (P::Lead, 0.1), (P::Zinc, 0.02)],
        train: "Oil separator + coagulation + pH + DAF",
        result: "Discharge; effluent not in the data file",
        scale: "full scale; data file read",
        citation: "NAWI baseline, WaterTAP3 data",
    },
    Case {
        id: "ref-32",
        name: "Monterey One (USA)",
        application: "Reuse for crops",
        kind: SectorKind::Domestic,
        subsectors: &["municipal", "water utility"],
        flow: Some((145_740.0, 145_740.0)),
        influent: &[(P::Tds, 846.0)],
        train: "Coagulation-flocculation + dual-media filtration + chlorination",
        result: "Crop irrigation; effluent not in the data file",
        scale: "full scale; data file read",
        citation: "NAWI baseline, WaterTAP3 data",
    },
    Case {
        id: "ref-39",
        name: "EPA arsenic demonstration, round 1 (USA)",
        application: "Supply",
        kind: SectorKind::Supply,
        subsectors: &[],
        flow: Some((200.0, 3490.0)),
        influent: &[],
        train: "Adsorptive media; ion exchange; coagulation + filtration",
        result: "Goal 10 µg/L; CAPEX 90,757-305,000 USD of 2004",
        scale: "full scale, 12 systems of 200-3,490 m³/d; abstract read",
        citation: "EPA 600-R-04-201",
    },
    Case {
        id: "ref-41",
        name: "Fourteen MBR plants (Spain)",
        application: "Sewage for reuse",
        kind: SectorKind::Domestic,
        subsectors: &["municipal", "water utility", "hotel"],
        flow: Some((400.0, f64::INFINITY)),
        influent: &[],
        train: "Immersed MBR",
        result: "0.6-1.2 kWh/m³; 700-960 EUR per m³/d at 8,000-15,000 m³/d",
        scale: "full scale; abstract read",
        citation: "Iglesias et al. 2017, doi 10.2166/wst.2017.132",
    },
];

fn printed((least, most): (f64, f64)) -> String {
    if least == most {
        format!("{} m³/d", shown(least))
    } else if most.is_infinite() {
        format!("from {} m³/d", shown(least))
    } else {
        format!("{} to {} m³/d", shown(least), shown(most))
    }
}

/// The cases like the project, best first: 0.35 sector + 0.25 exp(-|ln(Q/Qc)|/1.5) + 0.40 mean exp(-|ln(C/Cc)|).
pub(crate) fn matches(basis: &DesignBasis, subsector: Option<&str>) -> Vec<ReferenceMatch> {
    let subsector = subsector.map(crate::facts::fold).unwrap_or_default();
    let mut found: Vec<ReferenceMatch> = TABLE
        .iter()
        .filter_map(|case| {
            let mut why = Vec::new();
            let sector = if case.subsectors.contains(&subsector.as_str()) {
                why.push("same subsector".to_owned());
                1.0
            } else if case.kind == basis.kind {
                why.push("same kind of water".to_owned());
                0.6
            } else {
                0.0
            };
            let flow = case.flow.map_or(0.0, |(least, most)| {
                let here = basis.flow_m3_per_day.m3_per_day();
                // Within the range of the source it is the same.
                let like = (-(here / here.clamp(least, most)).ln().abs() / 1.5).exp();
                if like > 0.5 {
                    why.push("similar flow".to_owned());
                }
                like
            });
            let shared: Vec<(P, f64)> = case
                .influent
                .iter()
                .filter_map(|&(parameter, there)| {
                    let here = basis.value(parameter).filter(|here| *here > 0.0)?;
                    Some((parameter, (-(here / there).ln().abs()).exp()))
                })
                .collect();
            let quality = if shared.is_empty() {
                0.0
            } else {
                shared.iter().map(|(_, like)| like).sum::<f64>() / shared.len() as f64
            };
            why.extend(shared.iter().filter(|(_, like)| *like > 0.6).map(|(p, _)| format!("similar {}", p.name())));
            let similarity = 0.35 * sector + 0.25 * flow + 0.40 * quality;
            (similarity >= 0.5).then(|| ReferenceMatch {
                case_id: case.id.to_owned(),
                project_name: case.name.to_owned(),
                application_type: case.application.to_owned(),
                treatment_train: case.train.to_owned(),
                flow: case.flow.map(printed),
                result: case.result.to_owned(),
                scale: case.scale.to_owned(),
                citation: case.citation.to_owned(),
                similarity: Ratio::clamped(crate::note::significant(similarity, 3)),
                why_relevant: why,
            })
        })
        .collect();
    found.sort_by(|a, b| b.similarity.value().total_cmp(&a.similarity.value()).then(a.case_id.cmp(&b.case_id)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_shown_as_its_source_prints_it() {
        assert_eq!(printed((45.0, 45.0)), "45 m³/d");
        assert_eq!(printed((200.0, 3490.0)), "200 to 3,490 m³/d");
        assert_eq!(printed((400.0, f64::INFINITY)), "from 400 m³/d");
        for case in TABLE {
            assert!(case.flow.is_none_or(|(least, most)| 0.0 < least && least <= most), "{}", case.id);
        }
    }
}
