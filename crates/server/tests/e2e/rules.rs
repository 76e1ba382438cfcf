//! What every proposal must be like, whatever it is about: part 12.1 of the contract, rule by rule.

use std::collections::BTreeSet;

use chrono::DateTime;
use serde_json::Value;

/// Each rule that the proposal breaks, in words.
pub fn broken(proposal: &Value) -> Vec<String> {
    let mut look = Look { found: vec![] };
    look.nulls(proposal, "");
    look.whole(proposal);
    look.design(&proposal["aiMetadata"]["proposal"]);
    let data = &proposal["aiMetadata"]["proposal"]["technicalData"];
    look.technical_data(data, proposal);
    look.equipment(&data["mainEquipment"]);
    look.efficiency(&data["treatmentEfficiency"]);
    look.technologies(&data["technologySelection"]);
    look.requirements(&data["projectRequirements"]);
    look.transparency(&proposal["aiMetadata"]["transparency"]);
    look.found
}

/// An amount of money in whole cents; `None` if it is no number or has more than two decimals.
pub fn cents(value: &Value) -> Option<i64> {
    let hundredfold = value.as_f64()? * 100.0;
    let whole = hundredfold.round();
    #[expect(clippy::cast_possible_truncation, reason = "no plant costs 10^17 dollars")]
    ((hundredfold - whole).abs() < 1e-3).then_some(whole as i64)
}

struct Look {
    found: Vec<String>,
}

impl Look {
    fn expect(&mut self, holds: bool, rule: impl Into<String>) {
        if !holds {
            self.found.push(rule.into());
        }
    }

    /// A key without value is absent, never null.
    fn nulls(&mut self, value: &Value, at: &str) {
        match value {
            Value::Null => self.found.push(format!("{at} is null")),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(n, item)| self.nulls(item, &format!("{at}/{n}")));
            }
            Value::Object(members) => {
                members.iter().for_each(|(key, member)| self.nulls(member, &format!("{at}/{key}")));
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
        }
    }

    fn text(&mut self, owner: &Value, keys: &[&str]) {
        for key in keys {
            let text = owner[*key].as_str();
            self.expect(text.is_some_and(|text| !text.trim().is_empty()), format!("{key} is no text: {}", owner[*key]));
        }
    }

    fn numbers(&mut self, owner: &Value, keys: &[&str]) {
        for key in keys {
            let number = owner[*key].as_f64();
            self.expect(number.is_some_and(|number| number >= 0.0), format!("{key} is no number ≥ 0: {}", owner[*key]));
        }
    }

    fn absent_or_positive(&mut self, owner: &Value, keys: &[&str]) {
        for key in keys {
            let Some(value) = owner.get(*key) else { continue };
            self.expect(
                value.as_f64().is_some_and(|number| number > 0.0),
                format!("{key} is there without value: {value}"),
            );
        }
    }

    fn one_of(&mut self, owner: &Value, key: &str, words: &[&str]) {
        let word = owner[key].as_str();
        self.expect(word.is_some_and(|word| words.contains(&word)), format!("{key} is {}", owner[key]));
    }

    fn list<'a>(&mut self, owner: &'a Value, key: &str) -> &'a [Value] {
        self.expect(owner[key].is_array(), format!("{key} is no list: {}", owner[key]));
        owner[key].as_array().map_or(&[], Vec::as_slice)
    }

    fn texts(&mut self, owner: &Value, key: &str) {
        for item in self.list(owner, key) {
            self.expect(item.as_str().is_some_and(|text| !text.trim().is_empty()), format!("{key} holds {item}"));
        }
    }

    fn unique<'a>(&mut self, what: &str, keys: impl Iterator<Item = &'a Value>) {
        let mut seen = BTreeSet::new();
        for key in keys {
            self.expect(seen.insert(key.to_string()), format!("{what} {key} is there twice"));
        }
    }

    fn time(&mut self, owner: &Value, key: &str) {
        let text = owner[key].as_str().unwrap_or_default();
        let sound = text.ends_with('Z') && DateTime::parse_from_rfc3339(text).is_ok();
        self.expect(sound, format!("{key} is no time in UTC: {}", owner[key]));
    }

    fn money(&mut self, owner: &Value, keys: &[&str]) {
        for key in keys {
            let amount = cents(&owner[*key]);
            self.expect(
                amount.is_some_and(|amount| amount >= 0),
                format!("{key} is no amount of money: {}", owner[*key]),
            );
        }
    }

    fn sum(&mut self, what: &str, total: &Value, parts: impl Iterator<Item = Option<i64>>) {
        let sum: Option<i64> = parts.sum();
        self.expect(
            sum.is_some() && sum == cents(total),
            format!("{what} is {total}, its parts add up to {sum:?} cents"),
        );
    }

    fn whole(&mut self, proposal: &Value) {
        self.text(proposal, &["id", "projectId", "jobId", "version", "title", "technicalApproach", "executiveSummary"]);
        self.one_of(proposal, "proposalType", &["Conceptual", "Technical", "Detailed"]);
        self.expect(proposal["type"] == proposal["proposalType"], "type is not proposalType");
        self.one_of(proposal, "status", &["Draft", "Current", "Archived"]);
        self.expect(proposal["author"] == "H2O Allegiant AI", "author");
        self.time(proposal, "createdAt");
        self.time(proposal, "updatedAt");
        self.money(proposal, &["capex", "opex"]);
        let id = proposal["id"].as_str().unwrap_or_default().replace('-', "");
        self.expect(proposal["jobId"] == format!("job_{id}"), "the job's id does not hold the proposal's");
        let version = proposal["version"].as_str().and_then(|version| version.strip_prefix("v1."));
        self.expect(version.is_some_and(|minor| minor.parse::<u32>().is_ok()), "version");
        let kind = proposal["proposalType"].as_str().unwrap_or_default();
        let title = proposal["title"].as_str().unwrap_or_default();
        self.expect(title.starts_with(&format!("{kind} Proposal - ")), format!("title: {title}"));
        self.expect(proposal.get("pdfPath").is_none(), "pdfPath is there before a PDF is");
        let summary = proposal["executiveSummary"].as_str().unwrap_or_default();
        self.expect(summary.chars().count() <= 1_200, "executiveSummary is longer than 1,200 characters");
        let markup = ["**", "__", "# ", "`", "\n", "<", "]("];
        self.expect(
            !markup.iter().any(|sign| summary.contains(sign)),
            format!("executiveSummary has markup: {summary}"),
        );
    }

    fn design(&mut self, design: &Value) {
        self.one_of(design, "confidenceLevel", &["High", "Medium", "Low"]);
        self.text(design, &["markdownContent"]);
        self.texts(design, "recommendations");
    }

    fn technical_data(&mut self, data: &Value, proposal: &Value) {
        self.absent_or_positive(data, &["implementationMonths", "paybackYears", "roiPercent", "annualSavingsUsd"]);
        self.expect(data["designFlowM3Day"].as_f64().is_some_and(|flow| flow > 0.0), "designFlowM3Day is not positive");
        let parameters = &data["designParameters"];
        let keys = ["peakFactor", "safetyFactor", "operatingHours", "designLifeYears", "regulatoryMarginPercent"];
        self.numbers(parameters, &keys);
        self.expect(data["operationalData"].is_object(), "operationalData is no object");
        for key in ["requiredAreaM2", "sludgeProductionKgDay", "energyConsumptionKwhM3"] {
            if data["operationalData"].get(key).is_some() {
                self.numbers(&data["operationalData"], &[key]);
            }
        }
        let capex = ["equipmentCost", "civilWorks", "installationPiping", "engineeringSupervision", "contingency"];
        let opex = ["electricalEnergy", "chemicals", "personnel", "maintenanceSpareParts"];
        for (breakdown, lines, total, of_proposal) in
            [("capexBreakdown", &capex[..], "capexUsd", "capex"), ("opexBreakdown", &opex[..], "annualOpexUsd", "opex")]
        {
            self.money(&data[breakdown], lines);
            self.sum(total, &data[total], lines.iter().map(|line| cents(&data[breakdown][*line])));
            self.expect(cents(&data[total]) == cents(&proposal[of_proposal]), format!("{total} is not {of_proposal}"));
            self.expect(cents(&data[total]).is_some_and(|total| total > 0), format!("{total} is nothing"));
        }
        let prices = data["mainEquipment"].as_array().into_iter().flatten().map(|item| cents(&item["capexUsd"]));
        self.sum("equipmentCost", &data["capexBreakdown"]["equipmentCost"], prices);
        let assumptions = self.list(data, "assumptions");
        self.expect(!assumptions.is_empty(), "nothing is said to be assumed");
        self.texts(data, "assumptions");
        self.unique("assumption", assumptions.iter());
    }

    fn equipment(&mut self, equipment: &Value) {
        let items = equipment.as_array().map_or(&[][..], Vec::as_slice);
        self.expect(!items.is_empty(), "there is no equipment");
        let mut seen = BTreeSet::new();
        for item in items {
            self.text(item, &["type", "specifications", "dimensions"]);
            self.numbers(item, &["capacityM3Day", "powerConsumptionKw"]);
            self.money(item, &["capexUsd"]);
            self.one_of(item, "criticality", &["high", "medium", "low"]);
            self.one_of(item, "stage", &["primary", "secondary", "tertiary", "auxiliary"]);
            if item.get("riskFactor").is_some() {
                self.expect(item["riskFactor"].as_f64().is_some_and(|risk| (0.0..=1.0).contains(&risk)), "riskFactor");
            }
            let key = format!("{} {} {}", item["type"], item["stage"], item["capacityM3Day"]);
            self.expect(seen.insert(key.clone()), format!("equipment {key} is there twice"));
        }
    }

    fn efficiency(&mut self, efficiency: &Value) {
        self.expect(efficiency["overallCompliance"].is_boolean(), "overallCompliance");
        self.texts(efficiency, "criticalParameters");
        let critical = self.list(efficiency, "criticalParameters");
        self.unique("critical parameter", critical.iter());
        let parameters = self.list(efficiency, "parameters");
        self.expect(!parameters.is_empty(), "no parameter is treated");
        self.unique("parameterName", parameters.iter().map(|parameter| &parameter["parameterName"]));
        for parameter in parameters {
            self.text(parameter, &["parameterName", "unit"]);
            let removal = parameter["removalEfficiencyPercent"].as_f64().unwrap_or(f64::NAN);
            let name = &parameter["parameterName"];
            self.expect((0.0..=100.0).contains(&removal), format!("removal of {name}: {removal}"));
            if parameter.get("treatmentStage").is_some() {
                self.one_of(parameter, "treatmentStage", &["primary", "secondary", "tertiary", "auxiliary"]);
            }
            let concentration = |key: &str| parameter[key].as_f64().filter(|value| *value >= 0.0);
            let (influent, effluent) = (concentration("influentConcentration"), concentration("effluentConcentration"));
            if let (Some(influent), Some(effluent)) = (influent, effluent)
                && influent > 0.0
            {
                let computed = ((influent - effluent) / influent * 100.0).max(0.0);
                let holds = (removal - computed).abs() <= 0.5;
                self.expect(holds, format!("{name}: {influent} → {effluent} is {computed} %, not {removal} %"));
            }
        }
    }

    fn technologies(&mut self, selection: &Value) {
        let selected = self.list(selection, "selectedTechnologies");
        self.expect(!selected.is_empty(), "no technology was selected");
        for one in selected {
            self.text(one, &["technology", "justification"]);
            self.one_of(one, "stage", &["primary", "secondary", "tertiary", "auxiliary"]);
        }
        let rejected = self.list(selection, "rejectedAlternatives");
        self.unique("rejected technology", rejected.iter().map(|one| &one["technology"]));
        for one in rejected {
            self.text(one, &["technology", "reasonRejected"]);
        }
    }

    fn requirements(&mut self, requirements: &Value) {
        for list in ["dischargeRequirements", "businessObjectives", "siteConstraints"] {
            self.texts(requirements, list);
        }
        for parameter in self.list(&requirements["influentCharacteristics"], "parameters") {
            self.text(parameter, &["parameter"]);
            self.expect(parameter["value"].is_number() && parameter["unit"].is_string(), format!("{parameter}"));
        }
    }

    fn transparency(&mut self, transparency: &Value) {
        self.text(transparency, &["provider", "model", "promptVersion"]);
        self.time(transparency, "generatedAt");
        self.numbers(transparency, &["generationTimeSeconds", "inputsPosition"]);
        self.expect(transparency["clientMetadata"].is_object(), "clientMetadata is no object");
        let cases = self.list(transparency, "provenCases");
        self.unique("case", cases.iter().map(|case| &case["caseId"]));
        for case in cases {
            self.text(case, &["caseId", "projectName", "applicationType", "treatmentTrain"]);
            self.texts(case, "whyRelevant");
            self.absent_or_positive(case, &["capexUsd", "similarityScore"]);
            self.expect(case["similarityScore"].as_f64().is_none_or(|score| score <= 1.0), "similarityScore");
        }
        let usage = &transparency["usage"];
        let counts = ["requests", "inputTokens", "outputTokens", "totalTokens", "costEstimateUsd", "seconds"];
        self.numbers(usage, &counts);
        if transparency["provider"] == "offline" {
            self.expect(
                transparency["model"] == "templates" && usage["model"] == "templates",
                "an offline text has a model",
            );
            self.expect(
                counts.iter().all(|key| usage[*key].as_f64() == Some(0.0)),
                format!("an offline text used {usage}"),
            );
        }
        let total = |key: &str| usage[key].as_u64().unwrap_or_default();
        self.expect(total("totalTokens") == total("inputTokens") + total("outputTokens"), "tokens do not add up");
        let trace = self.list(transparency, "calculationTrace");
        let bytes = transparency["calculationTrace"].to_string().len();
        self.expect(!trace.is_empty() && trace.len() <= 200 && bytes <= 64 * 1024, format!("trace: {bytes} bytes"));
        for calculation in trace {
            self.text(calculation, &["tool", "formula", "source"]);
            let shown = calculation["inputs"].is_object() && calculation["outputs"].is_object();
            self.expect(shown, format!("a calculation without inputs or outputs: {calculation}"));
        }
        let checks = self.list(transparency, "checks");
        self.expect(!checks.is_empty(), "nothing was checked");
        self.unique("check", checks.iter().map(|check| &check["id"]));
        for check in checks {
            self.text(check, &["id", "title", "message"]);
            self.one_of(check, "status", &["passed", "failed", "warning", "skipped"]);
        }
        for deviation in self.list(transparency, "deviations") {
            self.text(deviation, &["topic", "reason"]);
        }
        for warning in self.list(transparency, "warnings") {
            self.text(warning, &["code", "message"]);
            self.texts(warning, "fields");
        }
    }
}
