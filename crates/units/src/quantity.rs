//! The quantities. Each is one `f64` in its canonical unit and serialises as that number.

use serde::{Deserialize, Serialize};
use std::iter::Sum;
use std::ops::{Add, Div, Mul};

/// A number that is not a quantity: negative, infinite or not a number at all.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{value} {unit} is not a quantity: it must be finite and within what nature allows")]
pub struct NotAQuantity {
    /// The number that was refused.
    pub value: f64,
    /// The unit it was given in.
    pub unit: &'static str,
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $unit:literal, $get:ident, $least:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// The canonical unit as people write it.
            pub const UNIT: &'static str = $unit;

            #[doc = concat!("Reads a value given in ", $unit, ".")]
            ///
            /// # Errors
            ///
            /// [`NotAQuantity`] if `value` is infinite, NaN or below what nature allows.
            pub fn new(value: f64) -> Result<Self, NotAQuantity> {
                // `+ 0.0` turns a negative zero into a plain one, so equal values also print alike.
                if value.is_finite() && $least <= value {
                    Ok(Self(value + 0.0))
                } else {
                    Err(NotAQuantity { value, unit: $unit })
                }
            }

            #[doc = concat!("A calculated value in ", $unit, ", held within what the type allows.")]
            ///
            /// For results of arithmetic on quantities, where an overflow must not become an infinity; NaN becomes the
            /// least value. Input from outside goes through [`Self::new`].
            #[must_use]
            pub fn clamped(value: f64) -> Self {
                Self(if value.is_nan() { $least } else { value.clamp($least, f64::MAX) } + 0.0)
            }

            #[doc = concat!("The value in ", $unit, ".")]
            #[must_use]
            pub const fn $get(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = NotAQuantity;

            fn try_from(value: f64) -> Result<Self, NotAQuantity> {
                Self::new(value)
            }
        }

        impl From<$name> for f64 {
            fn from(quantity: $name) -> Self {
                quantity.0
            }
        }
    };
}

/// What can be added up and scaled; a temperature in °C can not.
macro_rules! extensive {
    ($($name:ident),*) => {$(
        impl $name {
            /// Nothing of it.
            pub const ZERO: Self = Self(0.0);

            /// What is left after taking `other` away; nothing if `other` is more.
            #[must_use]
            pub fn less(self, other: Self) -> Self {
                Self::clamped(self.0 - other.0)
            }

            /// The larger of the two.
            #[must_use]
            pub fn max(self, other: Self) -> Self {
                Self(self.0.max(other.0))
            }

            /// The smaller of the two.
            #[must_use]
            pub fn min(self, other: Self) -> Self {
                Self(self.0.min(other.0))
            }
        }

        impl Add for $name {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                Self::clamped(self.0 + other.0)
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
                all.fold(Self::ZERO, Add::add)
            }
        }
    )*};
}

macro_rules! scalable {
    ($($name:ident),*) => {$(
        impl Mul<Ratio> for $name {
            type Output = Self;

            fn mul(self, ratio: Ratio) -> Self {
                Self::clamped(self.0 * ratio.0)
            }
        }

        impl Div for $name {
            type Output = Ratio;

            /// How many times `other` fits; the largest number there is if `other` is nothing.
            fn div(self, other: Self) -> Ratio {
                Ratio::clamped(self.0 / other.0)
            }
        }
    )*};
}

quantity!(/// A volume of water per day, in m³/d.
    Flow, "m³/d", m3_per_day, 0.0);
quantity!(/// Mass of a substance per volume of water, in mg/L.
    Concentration, "mg/L", mg_per_l, 0.0);
quantity!(/// Mass per day (a load, a dose, a production of sludge), in kg/d.
    MassRate, "kg/d", kg_per_day, 0.0);
quantity!(/// A volume, in m³.
    Volume, "m³", m3, 0.0);
quantity!(/// A surface, in m².
    Area, "m²", m2, 0.0);
quantity!(/// A length, in m.
    Length, "m", m, 0.0);
quantity!(/// A velocity or surface loading, in m/h.
    Velocity, "m/h", m_per_h, 0.0);
quantity!(/// Power, in kW.
    Power, "kW", kw, 0.0);
quantity!(/// Energy, in kWh.
    Energy, "kWh", kwh, 0.0);
quantity!(/// A span of time, in hours.
    Duration, "h", hours, 0.0);
quantity!(/// Flow through a membrane's surface, in L/(m² h).
    Flux, "L/(m²·h)", lmh, 0.0);
quantity!(/// Ultraviolet dose, in mJ/cm².
    UvDose, "mJ/cm²", mj_per_cm2, 0.0);
quantity!(/// Organisms per volume of water, in MPN/100 mL.
    Density, "MPN/100 mL", per_100_ml, 0.0);
quantity!(/// A plain number that is not negative: a factor, a share, a ratio.
    Ratio, "-", value, 0.0);
quantity!(/// A temperature, in °C, not below absolute zero.
    Temperature, "°C", celsius, -273.15);
extensive!(Flow, Concentration, MassRate, Volume, Area, Length, Velocity, Power, Energy, Duration, Ratio);
scalable!(
    Flow,
    Concentration,
    MassRate,
    Volume,
    Area,
    Length,
    Velocity,
    Power,
    Energy,
    Duration,
    Flux,
    UvDose,
    Density
);

impl Ratio {
    /// One.
    pub const ONE: Self = Self(1.0);

    /// A percentage as a ratio.
    ///
    /// # Errors
    ///
    /// [`NotAQuantity`] if `percent` is negative, infinite or NaN.
    pub fn from_percent(percent: f64) -> Result<Self, NotAQuantity> {
        Self::new(percent / 100.0)
    }

    /// The ratio in per cent.
    #[must_use]
    pub fn percent(self) -> f64 {
        self.0 * 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_finite_and_not_negative() {
        for value in [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(Flow::new(value).is_err(), "{value}");
            assert!(Concentration::new(value).is_err(), "{value}");
        }
        assert!(Temperature::new(-10.0).is_ok());
        assert!(Temperature::new(-300.0).is_err());
        assert_eq!(Flow::clamped(f64::INFINITY).m3_per_day(), f64::MAX);
        assert_eq!(Flow::clamped(f64::NAN), Flow::ZERO);
    }

    #[test]
    fn a_negative_zero_prints_as_zero() {
        assert_eq!(Flow::new(-0.0).unwrap().m3_per_day().to_string(), "0");
        assert_eq!(Flow::clamped(-0.0).m3_per_day().to_string(), "0");
    }

    #[test]
    fn more_is_not_taken_away_than_there_is() {
        assert_eq!(Flow::clamped(3.0).less(Flow::clamped(5.0)), Flow::ZERO);
    }
}
