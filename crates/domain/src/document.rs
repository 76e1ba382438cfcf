//! The proposal as people read it: the document that the event holds and the API shows.
//!
//! A member without a value is absent, never null, and lists are always there: the web client crashes on anything else.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::proposal::Usage;

/// The version of [`ProposalDocument`]'s shape. A change that old readers cannot read is a new number.
pub const SCHEMA: u32 = 1;

/// Something a person should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What kind of thing, such as `UNIT_UNKNOWN`.
    pub code: String,
    /// What it is, in words.
    pub message: String,
    /// Fields of the sheet, as `section/field`.
    pub fields: Vec<String>,
}

/// A finished proposal, but for what changes later: status, title and version live in the project.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProposalDocument {
    /// [`SCHEMA`] of the release that wrote it.
    pub schema: u32,
    /// Capital cost in US dollars.
    pub capex: f64,
    /// Yearly cost of operation in US dollars.
    pub opex: f64,
    /// One paragraph of plain text, at most 1,200 characters.
    pub executive_summary: String,
    /// Markdown.
    pub technical_approach: String,
    /// The design, and how it came about.
    pub ai_metadata: AiMetadata,
}

/// The design, and how it came about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AiMetadata {
    /// The design.
    pub proposal: Design,
    /// How it came about.
    pub transparency: Transparency,
}

/// How far a design can be trusted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum ConfidenceLevel {
    High,
    Medium,
    #[default]
    Low,
}

/// The design.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Design {
    /// Every number of the design.
    pub technical_data: TechnicalData,
    /// How far it can be trusted.
    pub confidence_level: ConfidenceLevel,
    /// The whole text, Markdown.
    pub markdown_content: String,
    /// What to do next.
    pub recommendations: Vec<String>,
}

/// Every number of the design.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TechnicalData {
    /// Flow to be treated, before the peak factor, in m³/d.
    pub design_flow_m3_day: f64,
    /// Months from order to operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implementation_months: Option<f64>,
    /// Years until savings have paid the plant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payback_years: Option<f64>,
    /// Yearly net saving as per cent of the capital cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roi_percent: Option<f64>,
    /// Yearly net saving in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annual_savings_usd: Option<f64>,
    /// Capital cost: the sum of its lines.
    pub capex_usd: f64,
    /// Yearly cost of operation: the sum of its lines.
    pub annual_opex_usd: f64,
    /// What is bought.
    pub main_equipment: Vec<Equipment>,
    /// What the design rests on.
    pub design_parameters: DesignParameters,
    /// What operation needs.
    pub operational_data: OperationalData,
    /// Capital cost by line.
    pub capex_breakdown: CapexBreakdown,
    /// Yearly cost of operation by line.
    pub opex_breakdown: OpexBreakdown,
    /// What the plant removes.
    pub treatment_efficiency: TreatmentEfficiency,
    /// Why these technologies.
    pub technology_selection: TechnologySelection,
    /// What was assumed, each once.
    pub assumptions: Vec<String>,
    /// What was asked for.
    pub project_requirements: ProjectRequirements,
}

/// How much hangs on a piece of equipment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum Criticality {
    High,
    Medium,
    Low,
}

/// Where in the plant a piece of equipment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum TreatmentStage {
    Primary,
    Secondary,
    Tertiary,
    Auxiliary,
}

/// One piece of equipment; type, stage and capacity together are unique.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Equipment {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it stands.
    pub stage: TreatmentStage,
    /// How much hangs on it.
    pub criticality: Criticality,
    /// What it must do.
    pub specifications: String,
    /// How large it is.
    pub dimensions: String,
    /// Why it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub justification: Option<String>,
    /// Capacity in m³/d.
    pub capacity_m3_day: f64,
    /// Installed power in kW.
    pub power_consumption_kw: f64,
    /// Price in US dollars.
    pub capex_usd: f64,
    /// Risk from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_factor: Option<f64>,
}

/// What the design rests on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DesignParameters {
    /// Peak flow to average flow.
    pub peak_factor: f64,
    /// Factor on sizes.
    pub safety_factor: f64,
    /// Hours of operation a day.
    pub operating_hours: f64,
    /// Years the plant is to last.
    pub design_life_years: f64,
    /// Distance kept from the limits in per cent.
    pub regulatory_margin_percent: f64,
}

/// What operation needs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationalData {
    /// Area in m².
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_area_m2: Option<f64>,
    /// Sludge in kg of dry solids a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sludge_production_kg_day: Option<f64>,
    /// Energy in kWh for each m³.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_consumption_kwh_m3: Option<f64>,
}

/// Capital cost by line, in US dollars.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CapexBreakdown {
    /// The sum over the equipment.
    pub equipment_cost: f64,
    /// Tanks, foundations, buildings.
    pub civil_works: f64,
    /// Erection and pipes, electrical works and instruments included.
    pub installation_piping: f64,
    /// Engineering and supervision.
    pub engineering_supervision: f64,
    /// Contingency.
    pub contingency: f64,
}

/// Yearly cost of operation by line, in US dollars.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpexBreakdown {
    /// Electricity.
    pub electrical_energy: f64,
    /// Chemicals.
    pub chemicals: f64,
    /// Staff.
    pub personnel: f64,
    /// Maintenance and spare parts, media, membranes and sludge disposal included.
    pub maintenance_spare_parts: f64,
}

/// What the plant removes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TreatmentEfficiency {
    /// Whether every limit is kept.
    pub overall_compliance: bool,
    /// Names of the parameters that decide, each once.
    pub critical_parameters: Vec<String>,
    /// Every influent parameter that has a load, each once.
    pub parameters: Vec<ParameterEfficiency>,
}

/// What the plant does to one parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParameterEfficiency {
    /// Its name.
    pub parameter_name: String,
    /// Its unit.
    pub unit: String,
    /// What comes in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub influent_concentration: Option<f64>,
    /// What goes out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effluent_concentration: Option<f64>,
    /// Per cent removed.
    pub removal_efficiency_percent: f64,
    /// Where most of it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub treatment_stage: Option<TreatmentStage>,
}

/// Why these technologies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TechnologySelection {
    /// Those chosen, in the order of the train.
    pub selected_technologies: Vec<SelectedTechnology>,
    /// Those rejected, each once.
    pub rejected_alternatives: Vec<RejectedAlternative>,
}

/// A technology that was chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SelectedTechnology {
    /// Where it stands.
    pub stage: TreatmentStage,
    /// What it is.
    pub technology: String,
    /// Why.
    pub justification: String,
}

/// A technology that was not chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectedAlternative {
    /// What it is.
    pub technology: String,
    /// Why not, with the number.
    pub reason_rejected: String,
    /// Where it would stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<TreatmentStage>,
}

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectRequirements {
    /// The water as it comes.
    pub influent_characteristics: InfluentCharacteristics,
    /// Limits to keep.
    pub discharge_requirements: Vec<String>,
    /// What the client wants of it.
    pub business_objectives: Vec<String>,
    /// What the place forbids.
    pub site_constraints: Vec<String>,
}

/// The water as it comes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InfluentCharacteristics {
    /// Each parameter once.
    pub parameters: Vec<InfluentParameter>,
}

/// One parameter of the water as it comes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InfluentParameter {
    /// Its name.
    pub parameter: String,
    /// Its value.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// The limit to keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_value: Option<f64>,
}

/// How the proposal came about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transparency {
    /// Plants it was compared with.
    pub proven_cases: Vec<ProvenCase>,
    /// The client's sector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_sector: Option<String>,
    /// What is known of the client, without personal data.
    pub client_metadata: BTreeMap<String, Value>,
    /// When it was made.
    pub generated_at: DateTime<Utc>,
    /// From the request to the proposal, in seconds.
    pub generation_time_seconds: f64,
    /// `openai`, or `offline` if the text comes from templates.
    pub provider: String,
    /// The model, or `templates`.
    pub model: String,
    /// The version of the prompts.
    pub prompt_version: String,
    /// What calls to the model used.
    pub usage: UsageSummary,
    /// The ledger position of the last event at which the inputs were read.
    pub inputs_position: u64,
    /// The calculations, at most 200.
    pub calculation_trace: Vec<Calculation>,
    /// The checks.
    pub checks: Vec<CheckResult>,
    /// Where the design leaves a reference case, or the text was corrected.
    pub deviations: Vec<Deviation>,
    /// What to look at.
    pub warnings: Vec<Warning>,
}

/// What calls to the model used, as people read it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageSummary {
    /// The model.
    pub model: String,
    /// Number of calls.
    pub requests: u32,
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// Both together.
    pub total_tokens: u64,
    /// Estimated price in US dollars.
    pub cost_estimate_usd: f64,
    /// Seconds spent waiting for answers.
    pub seconds: f64,
}

impl From<&Usage> for UsageSummary {
    fn from(usage: &Usage) -> Self {
        Self {
            model: usage.model.clone(),
            requests: usage.requests,
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            total_tokens: usage.input_tokens + usage.output_tokens,
            cost_estimate_usd: usage.cost_estimate_usd,
            seconds: usage.seconds,
        }
    }
}

/// A plant that the design was compared with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProvenCase {
    /// Its number in the catalogue.
    pub case_id: String,
    /// Its name.
    pub project_name: String,
    /// What it treats.
    pub application_type: String,
    /// Its sector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sector: Option<String>,
    /// Its train.
    pub treatment_train: String,
    /// Its flows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_range: Option<String>,
    /// Its flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_rate: Option<String>,
    /// Its price in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capex_usd: Option<f64>,
    /// How like it is, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similarity_score: Option<f64>,
    /// Why it was looked at, with its source.
    pub why_relevant: Vec<String>,
}

/// One calculation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Calculation {
    /// What was calculated.
    pub tool: String,
    /// From what; names hold the units.
    pub inputs: BTreeMap<String, Value>,
    /// With what result; names hold the units.
    pub outputs: BTreeMap<String, Value>,
    /// By which formula.
    pub formula: String,
    /// After whom.
    pub source: String,
    /// Whether the source was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum CheckStatus {
    Passed,
    Failed,
    Warning,
    Skipped,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckResult {
    /// Its name in the catalogue.
    pub id: String,
    /// What it checks.
    pub title: String,
    /// How it came out.
    pub status: CheckStatus,
    /// What should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
    /// In words.
    pub message: String,
}

/// Where the design leaves a reference case, or the text was corrected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deviation {
    /// What it is about.
    pub topic: String,
    /// The reference case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_id: Option<String>,
    /// What the case has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_value: Option<String>,
    /// What the proposal has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal_value: Option<String>,
    /// Why.
    pub reason: String,
}
