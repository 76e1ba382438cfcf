//! The products and quotients of different quantities that mean something.

use crate::{Area, Concentration, Duration, Energy, Flow, Flux, Length, MassRate, Power, Velocity, Volume};
use std::ops::{Div, Mul};

/// `a * b = product` with its factor between canonical units, and both ways back.
///
/// A division by nothing gives the largest number there is, never an infinity.
macro_rules! law {
    ($($a:ident * $b:ident = $product:ident, $factor:expr;)*) => {$(
        impl Mul<$b> for $a {
            type Output = $product;

            fn mul(self, other: $b) -> $product {
                $product::clamped(f64::from(self) * f64::from(other) * $factor)
            }
        }

        impl Mul<$a> for $b {
            type Output = $product;

            fn mul(self, other: $a) -> $product {
                other * self
            }
        }

        impl Div<$b> for $product {
            type Output = $a;

            fn div(self, other: $b) -> $a {
                $a::clamped(f64::from(self) / f64::from(other) / $factor)
            }
        }

        impl Div<$a> for $product {
            type Output = $b;

            fn div(self, other: $a) -> $b {
                $b::clamped(f64::from(self) / f64::from(other) / $factor)
            }
        }
    )*};
}

law! {
    Flow * Concentration = MassRate, 1e-3; // m³/d · g/m³ = g/d
    Flow * Duration = Volume, 1.0 / 24.0;
    Velocity * Area = Flow, 24.0;
    Area * Length = Volume, 1.0;
    Power * Duration = Energy, 1.0;
    Velocity * Duration = Length, 1.0;
}

impl Mul for Length {
    type Output = Area;

    fn mul(self, other: Self) -> Area {
        Area::clamped(self.m() * other.m())
    }
}

impl Flux {
    /// The same thing as a velocity: 1 L/(m²·h) = 0.001 m/h, so a flow over it is a membrane area.
    #[must_use]
    pub fn velocity(self) -> Velocity {
        Velocity::clamped(self.lmh() / 1000.0)
    }
}

impl Area {
    /// The diameter of the circle with this surface, D = √(4A/π).
    #[must_use]
    pub fn diameter(self) -> Length {
        Length::clamped((4.0 * self.m2() / std::f64::consts::PI).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_times_a_concentration_is_a_load() {
        let load = Flow::clamped(240.0) * Concentration::clamped(250.0);
        assert_eq!(load, MassRate::clamped(60.0));
        assert!(((load / Flow::clamped(240.0)).mg_per_l() - 250.0).abs() < 1e-9);
    }

    #[test]
    fn a_flow_over_a_surface_loading_is_an_area() {
        let area = Flow::clamped(240.0) / Velocity::clamped(40.0 / 24.0);
        assert!((area.m2() - 6.0).abs() < 1e-9);
        let membrane = Flow::clamped(240.0) / Flux::clamped(18.0).velocity();
        assert!((membrane.m2() - 555.6).abs() < 0.1);
        assert!((Area::clamped(24.0).diameter().m() - 5.53).abs() < 0.01);
    }

    #[test]
    fn a_division_by_nothing_stays_finite() {
        assert!((Flow::clamped(1.0) / Velocity::clamped(0.0)).m2().is_finite());
        assert!((Flow::ZERO / Velocity::clamped(0.0)).m2().is_finite());
    }
}
