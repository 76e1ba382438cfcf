//! A proposal to save.

use serde_json::{Value, json};

/// A small proposal, complete by the contract's part 12.1.
pub fn document() -> Value {
    json!({
        "schema": 1,
        "capex": 210_000.0,
        "opex": 99_000.5,
        "executiveSummary": "The plant treats 230 m³ of dairy wastewater per day. It keeps all limits.",
        "technicalApproach": "# Treatment concept\n\nFat first, biology after.",
        "aiMetadata": {
            "proposal": {
                "confidenceLevel": "Medium",
                "markdownContent": "# Treatment concept",
                "recommendations": ["Confirm the FOG peak with a composite sample"],
                "technicalData": {
                    "designFlowM3Day": 230.0,
                    "implementationMonths": 8.0,
                    "capexUsd": 210_000.0,
                    "annualOpexUsd": 99_000.5,
                    "mainEquipment": [{
                        "type": "Dissolved air flotation", "stage": "primary", "criticality": "high",
                        "specifications": "12 m³/h, recycle 30 %", "dimensions": "4.2 x 1.9 x 2.1 m",
                        "capacityM3Day": 280.0, "powerConsumptionKw": 7.5, "capexUsd": 95_000.0,
                    }],
                    "designParameters": {
                        "peakFactor": 1.6, "safetyFactor": 1.2, "operatingHours": 24.0, "designLifeYears": 20.0,
                        "regulatoryMarginPercent": 20.0,
                    },
                    "operationalData": {"requiredAreaM2": 180.0},
                    "capexBreakdown": {
                        "equipmentCost": 95_000.0, "civilWorks": 40_000.0, "installationPiping": 30_000.0,
                        "engineeringSupervision": 15_000.0, "contingency": 30_000.0,
                    },
                    "opexBreakdown": {
                        "electricalEnergy": 16_000.5, "chemicals": 30_000.0, "personnel": 45_000.0,
                        "maintenanceSpareParts": 8_000.0,
                    },
                    "treatmentEfficiency": {
                        "overallCompliance": true,
                        "criticalParameters": ["FOG"],
                        "parameters": [{
                            "parameterName": "FOG", "unit": "mg/L", "influentConcentration": 400.0,
                            "effluentConcentration": 20.0, "removalEfficiencyPercent": 95.0, "treatmentStage": "primary",
                        }],
                    },
                    "technologySelection": {
                        "selectedTechnologies": [
                            {"stage": "primary", "technology": "DAF", "justification": "Fat first, biology after"},
                        ],
                        "rejectedAlternatives": [
                            {"technology": "UASB", "reasonRejected": "Load too small for gas use"},
                        ],
                    },
                    "assumptions": ["Electricity at 0.12 USD/kWh"],
                    "projectRequirements": {
                        "influentCharacteristics": {"parameters": [
                            {"parameter": "FOG", "value": 400.0, "unit": "mg/L", "targetValue": 25.0},
                        ]},
                        "dischargeRequirements": ["FOG below 25 mg/L"],
                        "businessObjectives": ["Compliance"],
                        "siteConstraints": [],
                    },
                },
            },
            "transparency": {
                "provenCases": [{
                    "caseId": "dairy-07", "projectName": "Dairy, 250 m³/d", "applicationType": "Dairy processing",
                    "treatmentTrain": "Screening + DAF + SBR + UV", "flowRange": "100-600 m³/d",
                    "similarityScore": 0.86, "whyRelevant": ["same subsector"],
                }],
                "userSector": "industrial",
                "clientMetadata": {},
                "generatedAt": "2026-01-20T09:44:30.700Z",
                "generationTimeSeconds": 71.4,
                "provider": "offline",
                "model": "templates",
                "promptVersion": "5.0",
                "usage": {
                    "model": "templates", "requests": 0, "inputTokens": 0, "outputTokens": 0, "totalTokens": 0,
                    "costEstimateUsd": 0.0, "seconds": 0.0,
                },
                "inputsPosition": 4,
                "calculationTrace": [{
                    "tool": "daf_area", "inputs": {"flow_m3_h": 12.0}, "outputs": {"area_m2": 2.4},
                    "formula": "A = Q / v", "source": "Metcalf & Eddy",
                }],
                "checks": [{"id": "capex-sum", "title": "CAPEX lines add up", "status": "passed", "message": "Exact"}],
                "deviations": [{
                    "topic": "hydraulic retention time", "caseId": "dairy-07", "caseValue": "18 h",
                    "proposalValue": "24 h", "reason": "The peak is higher.",
                }],
                "warnings": [],
            },
        },
    })
}
