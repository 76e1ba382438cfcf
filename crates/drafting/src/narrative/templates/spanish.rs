//! The templates in Spanish. Names of assumptions and equipment stay as the calculations have them.

use engineering::{Confidence, EfficiencyRow, ProcessId, Receiver, ReuseUse, SectorKind, Stage, UnitResult};

use super::super::answer::{Answer, Justification};
use super::super::story::Story;
use super::{dollars, listed, shown};
use crate::prose::known::About;
use crate::prose::quantity::Dimension;

const NOTICE: &str = "Este texto se redactó a partir de plantillas, sin un modelo de lenguaje.";

pub(super) fn write(story: &Story<'_>) -> Answer {
    let units = &story.design.plant.units;
    Answer {
        executive_summary: summary(story),
        technical_approach: approach(story),
        recommendations: recommendations(story),
        technology_justifications: units
            .iter()
            .map(|unit| Justification {
                technology: unit.name.clone(),
                justification: purpose(unit.process).to_owned(),
            })
            .collect(),
        train_wish: None,
    }
}

const fn name(process: ProcessId) -> &'static str {
    match process {
        ProcessId::Screening => "cribado",
        ProcessId::Grit => "desarenado",
        ProcessId::Cooling => "enfriamiento",
        ProcessId::Equalisation => "homogeneización",
        ProcessId::MetalsPrecipitation => "precipitación química de metales",
        ProcessId::Coagulation => "coagulación-floculación",
        ProcessId::Daf => "flotación por aire disuelto (DAF)",
        ProcessId::PrimaryClarifier => "sedimentación primaria",
        ProcessId::Lamella => "sedimentador lamelar",
        ProcessId::PhAdjustment => "ajuste de pH",
        ProcessId::Uasb => "reactor UASB",
        ProcessId::PhosphorusPrecipitation => "precipitación de fósforo",
        ProcessId::ActivatedSludge => "lodos activados convencionales",
        ProcessId::ExtendedAeration => "aireación extendida",
        ProcessId::Sbr => "reactor discontinuo secuencial (SBR)",
        ProcessId::SecondaryClarifier => "sedimentación secundaria",
        ProcessId::SandFilter => "filtración multimedia",
        ProcessId::Ozone => "ozonización",
        ProcessId::Gac => "carbón activado granular (GAC)",
        ProcessId::Ultrafiltration => "ultrafiltración (UF)",
        ProcessId::ReverseOsmosis => "ósmosis inversa (RO)",
        ProcessId::Uv => "desinfección UV",
        ProcessId::Chlorination => "cloración",
        ProcessId::Thickener => "espesamiento de lodos",
        ProcessId::Dewatering => "deshidratación de lodos",
    }
}

const fn purpose(process: ProcessId) -> &'static str {
    match process {
        ProcessId::Screening => "Retiene sólidos gruesos y protege bombas y equipos.",
        ProcessId::Grit => "Retira arenas que desgastan los equipos y se depositan en los tanques.",
        ProcessId::Cooling => "Baja la temperatura del agua a la que requieren la biología o la descarga.",
        ProcessId::Equalisation => {
            "Amortigua variaciones de caudal y carga para que el tratamiento trabaje de forma estable."
        }
        ProcessId::MetalsPrecipitation => "Precipita los metales disueltos como hidróxidos para poder separarlos.",
        ProcessId::Coagulation => "Desestabiliza y aglomera la materia coloidal para poder separarla.",
        ProcessId::Daf => "Separa grasas y sólidos en suspensión antes de las etapas siguientes.",
        ProcessId::PrimaryClarifier => "Sedimenta sólidos y reduce la carga de las etapas siguientes.",
        ProcessId::Lamella => "Sedimenta flóculos en poco espacio.",
        ProcessId::PhAdjustment => "Lleva el pH al intervalo que requieren la biología o la descarga.",
        ProcessId::Uasb => "Degrada materia orgánica concentrada con poca energía y poco lodo.",
        ProcessId::PhosphorusPrecipitation => "Precipita el fósforo para separarlo con el lodo.",
        ProcessId::ActivatedSludge => "Degrada biológicamente la materia orgánica.",
        ProcessId::ExtendedAeration => "Degrada la materia orgánica con operación sencilla y lodo estabilizado.",
        ProcessId::Sbr => "Degrada materia orgánica y nutrientes en un solo tanque con operación flexible.",
        ProcessId::SecondaryClarifier => "Separa el lodo biológico del agua tratada.",
        ProcessId::SandFilter => "Retiene los sólidos finos que quedan tras la sedimentación.",
        ProcessId::Ozone => "Oxida color y materia orgánica refractaria.",
        ProcessId::Gac => "Adsorbe color y materia orgánica refractaria.",
        ProcessId::Ultrafiltration => "Retiene sólidos finos y microorganismos y protege las membranas posteriores.",
        ProcessId::ReverseOsmosis => "Retira sales disueltas para alcanzar la calidad requerida.",
        ProcessId::Uv => "Desinfecta sin añadir productos químicos.",
        ProcessId::Chlorination => "Desinfecta y deja un residual de cloro.",
        ProcessId::Thickener => "Reduce el volumen del lodo.",
        ProcessId::Dewatering => "Deshidrata el lodo para su disposición.",
    }
}

const fn water(kind: SectorKind) -> &'static str {
    match kind {
        SectorKind::Domestic => "agua residual doméstica",
        SectorKind::Food => "agua residual de la industria de alimentos y bebidas",
        SectorKind::Chemical | SectorKind::OilMetal => "agua residual industrial",
        SectorKind::Supply => "agua cruda",
    }
}

const fn reuse(reuse: ReuseUse) -> &'static str {
    match reuse {
        ReuseUse::Irrigation => "riego",
        ReuseUse::Toilets => "descarga de sanitarios",
        ReuseUse::Cooling => "torres de enfriamiento",
        ReuseUse::Boiler => "calderas",
        ReuseUse::Cleaning => "limpieza",
        ReuseUse::Fire => "protección contra incendios",
        ReuseUse::Ornamental => "uso ornamental",
        ReuseUse::Process => "procesos industriales",
        ReuseUse::Recharge => "recarga de acuíferos",
        ReuseUse::Drinking => "consumo humano",
    }
}

const fn receiver(receiver: Receiver) -> &'static str {
    match receiver {
        Receiver::Sewer => "descarga al alcantarillado municipal",
        Receiver::River => "descarga a un río, arroyo o canal",
        Receiver::Lake => "descarga a un lago o embalse",
        Receiver::Sea => "descarga al mar",
        Receiver::Soil => "infiltración en el suelo",
        Receiver::Irrigation => "riego de áreas verdes",
        Receiver::NoDischarge => "uso sin descarga",
    }
}

const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Primary => "etapa primaria",
        Stage::Secondary => "etapa secundaria",
        Stage::Tertiary => "etapa terciaria",
        Stage::Auxiliary => "sistemas auxiliares",
    }
}

fn destination(story: &Story<'_>) -> String {
    let basis = &story.design.basis;
    if basis.kind == SectorKind::Supply {
        return "abastecimiento".to_owned();
    }
    let uses: Vec<String> = basis.reuse.iter().map(|one| reuse(*one).to_owned()).collect();
    let to = receiver(basis.receiver);
    if uses.is_empty() { to.to_owned() } else { format!("{to} y reúso ({})", listed(&uses, "y")) }
}

fn names(units: &[&UnitResult]) -> String {
    listed(&units.iter().map(|unit| name(unit.process).to_owned()).collect::<Vec<_>>(), "y")
}

/// What a parameter is usually called in Spanish; symbols and the rest stay as they are.
fn parameter(name: &str) -> &str {
    const NAMES: &[(&str, &str)] = &[
        ("BOD", "DBO"),
        ("COD", "DQO"),
        ("TSS", "SST"),
        ("FOG", "GyA"),
        ("TN", "NT"),
        ("TP", "PT"),
        ("TDS", "SDT"),
        ("TOC", "COT"),
        ("Alkalinity", "Alcalinidad"),
        ("Hardness", "Dureza"),
        ("Chloride", "Cloruro"),
        ("Sulfate", "Sulfato"),
        ("Sulfide", "Sulfuro"),
        ("Fluoride", "Fluoruro"),
        ("Silica", "Sílice"),
        ("Boron", "Boro"),
        ("Iron", "Hierro"),
        ("Manganese", "Manganeso"),
        ("Aluminium", "Aluminio"),
        ("Arsenic", "Arsénico"),
        ("Cadmium", "Cadmio"),
        ("Chromium", "Cromo"),
        ("Chromium VI", "Cromo VI"),
        ("Copper", "Cobre"),
        ("Lead", "Plomo"),
        ("Mercury", "Mercurio"),
        ("Nickel", "Níquel"),
        ("Zinc", "Zinc"),
        ("Cyanide", "Cianuro"),
        ("Phenols", "Fenoles"),
        ("Surfactants", "Tensoactivos"),
        ("Settleable solids", "Sólidos sedimentables"),
        ("Total coliforms", "Coliformes totales"),
        ("Fecal coliforms", "Coliformes fecales"),
        ("Helminth eggs", "Huevos de helminto"),
    ];
    NAMES.iter().find(|(english, _)| *english == name).map_or(name, |(_, spanish)| spanish)
}

/// A name at the beginning of a line.
fn leading(name: &str) -> String {
    let mut characters = name.chars();
    let first = characters.next().filter(|_| !name.starts_with("pH"));
    first.map_or_else(|| name.to_owned(), |first| first.to_uppercase().chain(characters).collect())
}

fn removal(row: &EfficiencyRow) -> String {
    let (influent, effluent, removed) = (shown(row.influent), shown(row.effluent), shown(row.removal_percent));
    format!("{} baja de {influent} a {effluent} {} (remoción de {removed} %)", parameter(&row.name), row.unit)
}

fn compliance(story: &Story<'_>) -> String {
    let failing: Vec<String> = story.failing().iter().map(|row| parameter(&row.name).to_owned()).collect();
    match (story.limited(), failing.as_slice()) {
        (0, _) => "Ningún límite numérico aplica a los parámetros tratados.".to_owned(),
        (1, []) => "El único límite aplicable se cumple según el cálculo.".to_owned(),
        (limits, []) => format!("Los {limits} límites aplicables se cumplen según el cálculo."),
        (_, failing) => {
            let failing = listed(failing, "y");
            format!("Con este diseño no se cumple el límite de {failing}; debe resolverse antes de construir.")
        }
    }
}

const fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::High => "alta",
        Confidence::Medium => "media",
        Confidence::Low => "baja",
    }
}

fn assumptions(count: usize) -> String {
    if count == 1 { "1 supuesto".to_owned() } else { format!("{count} supuestos") }
}

fn summary(story: &Story<'_>) -> String {
    let (basis, costs) = (&story.design.basis, &story.design.costs);
    let flow = shown(basis.flow_m3_per_day.into());
    let mut sentences = vec![
        format!("La planta trata {flow} m³/d de {} para {}.", water(basis.kind), destination(story)),
        format!("El tren de tratamiento consta de {}.", names(&story.train())),
    ];
    let rows: Vec<String> = story.main_rows(2).into_iter().map(removal).collect();
    if !rows.is_empty() {
        sentences.push(format!("{}.", listed(&rows, "y")));
    }
    sentences.push(compliance(story));
    sentences.push(format!(
        "La inversión se estima en USD {} (-{} % a +{} %) y el costo de operación en USD {} al año.",
        dollars(costs.capex.total.usd()),
        shown(costs.accuracy.low_percent.into()),
        shown(costs.accuracy.high_percent.into()),
        dollars(costs.opex.total.usd())
    ));
    let assumed = assumptions(story.design.assumptions().len());
    sentences.push(format!("La confianza en los datos es {}; se listan {assumed}.", confidence(basis.confidence)));
    sentences.push(NOTICE.to_owned());
    sentences.join(" ")
}

fn approach(story: &Story<'_>) -> String {
    let blocks = [
        concept(story),
        train(story),
        quality(story),
        sludge_energy_space(story),
        costs(story),
        alternatives(story),
        open_points(story),
    ];
    blocks.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn concept(story: &Story<'_>) -> Vec<String> {
    let basis = &story.design.basis;
    let evenly = if basis.equalised {
        "Un tanque de homogeneización amortigua caudal y carga, de modo que las unidades siguientes trabajan de forma estable."
    } else {
        "Las unidades se dimensionan para el caudal pico, pues no se prevé homogeneización."
    };
    vec![
        "## Concepto de tratamiento".to_owned(),
        format!(
            "El caudal de diseño es de {} m³/d de {}, que llega durante {} horas al día con un factor pico de {}. {evenly}",
            shown(basis.flow_m3_per_day.into()),
            water(basis.kind),
            shown(basis.operating_hours_per_day.into()),
            shown(basis.peak_factor.into()),
        ),
        format!("Destino del agua tratada: {}. {}", destination(story), regulations(story)),
    ]
}

fn regulations(story: &Story<'_>) -> String {
    let basis = &story.design.basis;
    let names: Vec<String> = basis.regulations.iter().map(|regulation| regulation.name().to_owned()).collect();
    if names.is_empty() {
        return "No se indicó ni pudo suponerse una regulación con límites numéricos.".to_owned();
    }
    let (names, margin) = (listed(&names, "y"), shown(basis.regulatory_margin_percent.into()));
    format!("Los límites siguen {names}; el diseño mantiene un margen de {margin} % por debajo de ellos.")
}

fn train(story: &Story<'_>) -> Vec<String> {
    let units: Vec<String> = story
        .train()
        .iter()
        .map(|unit| format!("- **{}** ({}): {}", leading(name(unit.process)), stage(unit.stage), purpose(unit.process)))
        .collect();
    let mut text = vec!["## Tren de tratamiento".to_owned(), units.join("\n")];
    let auxiliaries = story.auxiliaries();
    if !auxiliaries.is_empty() {
        text.push(format!("Lodos y sistemas auxiliares: {}.", names(&auxiliaries)));
    }
    text
}

fn quality(story: &Story<'_>) -> Vec<String> {
    let mut table = vec![
        "| Parámetro | Unidad | Entrada | Salida | Remoción, % | Límite |".to_owned(),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    for row in story.design.plant.efficiency.iter().filter(|row| row.present) {
        let limit = row.limit.map_or_else(|| "-".to_owned(), shown);
        let (influent, effluent, removed) = (shown(row.influent), shown(row.effluent), shown(row.removal_percent));
        table.push(format!(
            "| {} | {} | {influent} | {effluent} | {removed} | {limit} |",
            parameter(&row.name),
            row.unit
        ));
    }
    vec!["## Calidad de agua esperada".to_owned(), table.join("\n"), compliance(story)]
}

fn sludge_energy_space(story: &Story<'_>) -> Vec<String> {
    let plant = &story.design.plant;
    let mut text = vec![
        "## Lodos, energía y espacio".to_owned(),
        format!(
            "Se retiran unos {} kg de sólidos secos por día. La planta consume {} kWh/m³ de agua cruda y ocupa unos {} m² \
             con circulación.",
            shown(plant.dry_solids_kg_per_day.into()),
            shown(plant.specific_energy_kwh_per_m3.into()),
            shown(plant.area_m2.into())
        ),
    ];
    if plant.hazardous_sludge {
        text.push("El lodo se considera peligroso mientras un análisis no demuestre lo contrario.".to_owned());
    }
    text
}

fn costs(story: &Story<'_>) -> Vec<String> {
    let (capex, opex, accuracy) = (&story.design.costs.capex, &story.design.costs.opex, &story.design.costs.accuracy);
    let mut text = vec![
        "## Costos".to_owned(),
        format!(
            "La inversión se estima en USD {}: equipos USD {}, obra civil USD {}, instalación y tuberías USD {}, ingeniería \
             y supervisión USD {}, contingencia USD {}. Su exactitud es de -{} % a +{} %.",
            dollars(capex.total.usd()),
            dollars(capex.equipment.usd()),
            dollars(capex.civil_works.usd()),
            dollars(capex.installation_piping.usd()),
            dollars(capex.engineering_supervision.usd()),
            dollars(capex.contingency.usd()),
            shown(accuracy.low_percent.into()),
            shown(accuracy.high_percent.into())
        ),
        format!(
            "El costo de operación se estima en USD {} al año: energía eléctrica USD {}, productos químicos USD {}, \
             personal USD {}, mantenimiento y repuestos USD {}.",
            dollars(opex.total.usd()),
            dollars(opex.electrical_energy.usd()),
            dollars(opex.chemicals.usd()),
            dollars(opex.personnel.usd()),
            dollars(opex.maintenance_spare_parts.usd())
        ),
    ];
    if let Some(years) = story.design.costs.payback_years {
        text.push(format!("El ahorro de agua recupera la inversión en unos {} años.", shown(years.into())));
    }
    text.push(months(story));
    text
}

fn months(story: &Story<'_>) -> String {
    format!("La construcción y puesta en marcha toman unos {} meses.", story.design.plant.implementation_months)
}

fn alternatives(story: &Story<'_>) -> Vec<String> {
    let technologies: Vec<String> =
        story.design.comparison.rejected.iter().take(6).map(|one| one.technology.clone()).collect();
    if technologies.is_empty() {
        return vec![];
    }
    let technologies = listed(&technologies, "y");
    vec![
        "## Alternativas consideradas".to_owned(),
        format!(
            "Se compararon y descartaron {technologies}; las razones, con sus cifras, figuran en la selección de tecnologías."
        ),
    ]
}

fn open_points(story: &Story<'_>) -> Vec<String> {
    let assumed = assumptions(story.design.assumptions().len());
    vec![
        "## Supuestos y puntos abiertos".to_owned(),
        format!(
            "La confianza en los datos es {}. El diseño se apoya en {assumed}, listados con esta propuesta; lo más \
             importante debe confirmarse antes de la ingeniería de detalle.",
            confidence(story.design.basis.confidence)
        ),
        NOTICE.to_owned(),
    ]
}

fn recommendations(story: &Story<'_>) -> Vec<String> {
    let mut advice = Vec::new();
    let critical = story.critical_assumptions(5);
    if !critical.is_empty() {
        advice.push(format!(
            "Confirmar mediante medición lo que el diseño tuvo que suponer: {}.",
            listed(&critical, "y")
        ));
    }
    advice.push(
        "Tomar muestras compuestas proporcionales al caudal durante al menos una semana de operación normal para confirmar \
         cargas y picos."
            .to_owned(),
    );
    if !story.failing().is_empty() {
        advice.push(
            "Resolver los límites que no se cumplen, con tratamiento adicional o por acuerdo con la autoridad, antes de \
             cualquier pedido."
                .to_owned(),
        );
    }
    if story.tests_needed() {
        advice.push(
            "Realizar las pruebas de laboratorio indicadas en las advertencias antes de pedir equipos.".to_owned(),
        );
    }
    advice
        .push("Obtener de la autoridad la confirmación por escrito de los límites y del punto de descarga.".to_owned());
    let dearest = story.dearest_equipment(2);
    if !dearest.is_empty() {
        let dearest = listed(&dearest, "y");
        advice.push(format!("Obtener cotizaciones de los equipos principales ({dearest}) para afinar la estimación."));
    }
    if f64::from(story.design.plant.dry_solids_kg_per_day) > 0.0 {
        advice.push("Acordar una ruta de disposición para el lodo y caracterizarlo.".to_owned());
    }
    advice
}

pub(super) fn statement(story: &Story<'_>, dimension: Dimension, about: &About) -> Option<String> {
    let (basis, plant, costs) = (&story.design.basis, &story.design.plant, &story.design.costs);
    match (dimension, about) {
        (Dimension::Flow, _) => {
            Some(format!("El caudal de diseño es de {} m³/d.", shown(basis.flow_m3_per_day.into())))
        }
        (Dimension::Money, About::Opex) => {
            Some(format!("El costo de operación se estima en USD {} al año.", dollars(costs.opex.total.usd())))
        }
        (Dimension::Money | Dimension::MoneyPerFlow, _) => {
            Some(format!("La inversión se estima en USD {}.", dollars(costs.capex.total.usd())))
        }
        (Dimension::Percent | Dimension::Concentration, About::Parameter(name)) => {
            story.removed_row(name).map(|row| format!("{}.", removal(row)))
        }
        (Dimension::Area, _) => {
            Some(format!("La planta ocupa unos {} m² con circulación.", shown(plant.area_m2.into())))
        }
        (Dimension::Power | Dimension::EnergyPerVolume | Dimension::EnergyPerTime, _) => {
            Some(format!("La planta consume {} kWh/m³ de agua cruda.", shown(plant.specific_energy_kwh_per_m3.into())))
        }
        (Dimension::MassRate, _) => {
            let solids = shown(plant.dry_solids_kg_per_day.into());
            Some(format!("Se retiran unos {solids} kg de sólidos secos por día."))
        }
        (Dimension::Months, _) => Some(months(story)),
        (Dimension::Years, _) => Some(format!("La planta se diseña para {} años.", basis.design_life_years)),
        (
            Dimension::Percent
            | Dimension::Concentration
            | Dimension::Volume
            | Dimension::MoneyPerVolume
            | Dimension::MoneyPerEnergy,
            _,
        ) => None,
    }
}
