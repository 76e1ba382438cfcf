//! What the ends of each assumed range would mean: the same train, sized and costed again (2.2).

use super::{Sensitivity, Train};
use crate::basis::{Assumption, DesignBasis};
use crate::cost;
use crate::facts::Facts;
use crate::note::significant;
use crate::sizing;
use units::{Flow, Money, Temperature};

/// One row per assumed flow or influent parameter whose range changes cost or margin.
pub(super) fn of(basis: &DesignBasis, facts: &Facts, train: &Train) -> Vec<Sensitivity> {
    basis
        .assumptions
        .iter()
        .filter_map(|assumption| {
            let (least, most) = (assumption.least?, assumption.most?);
            let at = |value: f64| Some(evaluated(&with(basis, assumption, value)?, facts, train));
            if least >= most {
                return None;
            }
            let ((capex_at_least, margin_at_least), (capex_at_most, margin_at_most)) = (at(least)?, at(most)?);
            if capex_at_least == capex_at_most && margin_at_least == margin_at_most {
                return None;
            }
            Some(Sensitivity {
                assumption: assumption.name.clone(),
                least: significant(least, 6),
                most: significant(most, 6),
                unit: assumption.unit.clone(),
                capex_at_least,
                capex_at_most,
                margin_at_least,
                margin_at_most,
            })
        })
        .collect()
}

/// The basis with another value for what is assumed; `None` if the assumption is not about flow or influent.
fn with(basis: &DesignBasis, assumption: &Assumption, value: f64) -> Option<DesignBasis> {
    let mut other = basis.clone();
    if assumption.name == "Wastewater flow" {
        other.flow_m3_per_day = Flow::clamped(value);
        return Some(other);
    }
    let influent = other.influent.iter_mut().find(|influent| influent.name == assumption.name)?;
    influent.value = value;
    if influent.parameter == crate::parameter::Parameter::Temperature {
        other.temperature = Temperature::clamped(value);
    }
    Some(other)
}

fn evaluated(basis: &DesignBasis, facts: &Facts, train: &Train) -> (Money, f64) {
    let plant = sizing::size(basis, train);
    let margin = plant
        .efficiency
        .iter()
        .filter(|row| row.present)
        .filter_map(|row| Some((row.limit? - row.effluent) / row.limit?.max(1e-12)))
        .fold(1.0, f64::min);
    (cost::estimate(basis, facts, &plant).capex.total, significant(margin, 6))
}
