//! Water on its way through a train: concentrations by parameter.

use crate::parameter::Parameter;
use std::collections::BTreeMap;

/// Concentrations in canonical units; a parameter that is not there is not known, which is not zero.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Water(BTreeMap<Parameter, f64>);

impl Water {
    pub(crate) fn get(&self, parameter: Parameter) -> Option<f64> {
        self.0.get(&parameter).copied()
    }

    /// The concentration, or nothing where it is not known.
    pub(crate) fn of(&self, parameter: Parameter) -> f64 {
        self.get(parameter).unwrap_or(0.0)
    }

    pub(crate) fn set(&mut self, parameter: Parameter, value: f64) {
        // Values come from finite input and factors in 0..=1, but a recycle could overflow.
        let value = if value.is_finite() { value.max(0.0) } else { parameter.most() };
        self.0.insert(parameter, value);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Parameter, f64)> + '_ {
        self.0.iter().map(|(&parameter, &value)| (parameter, value))
    }
}

impl FromIterator<(Parameter, f64)> for Water {
    fn from_iter<I: IntoIterator<Item = (Parameter, f64)>>(all: I) -> Self {
        let mut water = Self::default();
        for (parameter, value) in all {
            water.set(parameter, value);
        }
        water
    }
}
