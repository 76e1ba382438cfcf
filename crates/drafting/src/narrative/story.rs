//! The results of the finished steps, as a text tells them.

use domain::proposal::Language;
use engineering::{EfficiencyRow, UnitResult, WarningCode};

use crate::design::Design;

/// Everything that a text about the design may tell.
pub(crate) struct Story<'a> {
    pub(crate) design: &'a Design,
    pub(crate) language: Language,
}

impl<'a> Story<'a> {
    /// The units of the water's way, without sludge and control.
    pub(crate) fn train(&self) -> Vec<&'a UnitResult> {
        let units = &self.design.plant.units;
        let main: Vec<&UnitResult> = units.iter().filter(|unit| unit.stage != engineering::Stage::Auxiliary).collect();
        if main.is_empty() { units.iter().collect() } else { main }
    }

    /// The units behind the water's way.
    pub(crate) fn auxiliaries(&self) -> Vec<&'a UnitResult> {
        self.design.plant.units.iter().filter(|unit| unit.stage == engineering::Stage::Auxiliary).collect()
    }

    /// The rows that matter most: limited parameters that are removed, the critical ones first; else the largest
    /// removals.
    pub(crate) fn main_rows(&self, most: usize) -> Vec<&'a EfficiencyRow> {
        let plant = &self.design.plant;
        let rank = |row: &EfficiencyRow| plant.critical_parameters.iter().position(|name| *name == row.name);
        let mut rows: Vec<&EfficiencyRow> = plant
            .efficiency
            .iter()
            .filter(|row| row.present && !row.rises && row.influent < 1e6 && row.removal_percent > 0.0)
            .collect();
        rows.sort_by(|a, b| {
            let key = |row: &EfficiencyRow| (row.limit.is_none(), rank(row).unwrap_or(usize::MAX));
            key(a).cmp(&key(b)).then(b.removal_percent.total_cmp(&a.removal_percent))
        });
        rows.truncate(most);
        rows
    }

    /// The row of a parameter, if it is removed.
    pub(crate) fn removed_row(&self, name: &str) -> Option<&'a EfficiencyRow> {
        self.design.plant.efficiency.iter().find(|row| row.name == name && row.present && !row.rises)
    }

    /// The names of the assumptions that the design stands or falls with.
    pub(crate) fn critical_assumptions(&self, most: usize) -> Vec<String> {
        let critical = self.design.assumptions().into_iter().filter(|assumption| assumption.critical);
        critical.map(|assumption| assumption.name.clone()).take(most).collect()
    }

    /// Whether a warning asks for a laboratory test.
    pub(crate) fn tests_needed(&self) -> bool {
        self.design.warnings().iter().any(|warning| warning.code == WarningCode::TestNeeded)
    }

    /// The kinds of the equipment that costs most.
    pub(crate) fn dearest_equipment(&self, most: usize) -> Vec<String> {
        let mut equipment: Vec<_> = self.design.plant.equipment.iter().collect();
        equipment.sort_by(|a, b| b.capex.cmp(&a.capex).then(a.kind.cmp(&b.kind)));
        equipment.into_iter().take(most).map(|equipment| equipment.kind.clone()).collect()
    }

    /// Parameters whose limit is not met.
    pub(crate) fn failing(&self) -> Vec<&'a EfficiencyRow> {
        self.design.plant.efficiency.iter().filter(|row| !row.complies).collect()
    }

    /// How many parameters have a limit.
    pub(crate) fn limited(&self) -> usize {
        self.design.plant.efficiency.iter().filter(|row| row.limit.is_some()).count()
    }
}
