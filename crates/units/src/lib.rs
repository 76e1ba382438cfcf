//! Physical quantities and money with the unit in the type.
//!
//! A constructor holds what is true by nature: a number is finite and not negative. Only operators that make physical
//! sense exist, so a flow times a concentration is a mass rate and a flow plus an area does not compile. Conversions
//! from the units people write are in [`label`].
//!
//! ```
//! use units::{Concentration, Flow, MassRate};
//!
//! let load: MassRate = Flow::clamped(240.0) * Concentration::clamped(250.0);
//! assert_eq!(load.kg_per_day(), 60.0);
//! ```
//!
//! ```compile_fail
//! use units::{Area, Flow};
//!
//! let nonsense = Flow::clamped(1.0) + Area::clamped(1.0);
//! ```

pub mod label;
mod money;
mod operators;
mod quantity;

pub use label::{Dimension, Unit};
pub use money::Money;
pub use quantity::{
    Area, Concentration, Density, Duration, Energy, Flow, Flux, Length, MassRate, NotAQuantity, Power, Ratio,
    Temperature, UvDose, Velocity, Volume,
};
