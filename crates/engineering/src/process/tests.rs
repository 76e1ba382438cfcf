//! The worked examples of the engineering basis, one per unit process.

use super::*;
use crate::sizing::Criticality;

fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected} +- {tolerance}");
}

#[test]
fn screening_example() {
    let area = screening::clear_area(0.020);
    near(area, 0.0222, 1e-4);
    near(screening::head_loss(0.9, 0.45), 0.044, 1e-3);
}

#[test]
fn grit_example() {
    near(grit::volume(0.020), 3.6, 1e-9);
}

#[test]
fn equalisation_example() {
    near(equalisation::volume(240.0, 16.0), 96.0, 1e-9);
    near(design::pump_kw(10.0, 8.0), 0.40, 0.005);
}

#[test]
fn ph_example() {
    near(ph_adjustment::caustic(3.0), 120.0, 1e-9);
    near(ph_adjustment::caustic(3.0) * 240.0 / 1000.0, 28.8, 1e-9);
    // From pH 3 to neutral at least one milliequivalent of base is needed.
    near(ph_adjustment::least_meq(3.0, 7.0), 1.0, 1e-3);
    near(ph_adjustment::least_meq(7.0, 3.0), 1.0, 1e-3);
}

#[test]
fn flotation_example() {
    let r = daf::recycle(800.0, 0.02, 20.0, 0.8, 5.0);
    near(r, 0.219, 0.001);
    near(daf::area(10.0, r, 5.0), 2.44, 0.01);
    near(8.0 / daf::area(10.0, r, 5.0), 3.3, 0.05);
}

#[test]
fn coagulation_example() {
    near(design::mixing_kw(700.0, 0.167), 0.082, 0.001);
    near(design::mixing_kw(50.0, 3.33), 0.0083, 0.0001);
}

#[test]
fn primary_clarifier_example() {
    near(primary_clarifier::removal_percent(2.0, 0.018, 0.020), 34.5, 0.05);
    near(primary_clarifier::removal_percent(2.0, 0.0075, 0.014), 56.3, 0.05);
}

#[test]
fn metals_example() {
    let (soda, hydroxide) = metals_precipitation::per_gram(2.0, 58.693);
    near(soda, 1.363, 0.001);
    near(hydroxide, 1.579, 0.001);
    near(20.0 * soda * 0.24, 6.5, 0.05);
    near(20.0 * hydroxide * 0.24, 7.6, 0.05);
}

#[test]
fn phosphorus_example() {
    let (chloride, sludge) = phosphorus_precipitation::per_mg_p();
    near(6.0 * chloride, 62.8, 0.1);
    near(6.0 * chloride * 0.24, 15.1, 0.05);
    near(6.0 * sludge, 49.9, 0.1);
}

#[test]
fn secondary_clarifier_example() {
    near(secondary_clarifier::solids_loading(240.0, 0.75, 3.0, 12.0), 4.4, 0.03);
}

#[test]
fn uasb_example() {
    near(uasb::loading(25.0), 6.0, 1e-9);
    near(uasb::loading(22.5), 5.0, 1e-9);
    let v = uasb::volume(720.0, 6.0, 240.0, 4.0);
    near(v, 120.0, 1e-9);
    near(design::surface(v, 5.0).diameter().m(), 5.53, 0.01);
    near(240.0 / 24.0 / design::surface(v, 5.0).m2(), 0.42, 0.005);
    near(uasb::methane(540.0), 167.5, 0.1);
}

#[test]
fn activated_sludge_example() {
    let mode = aerobic::Mode { srt: 8.0, mlss: 3.0, nitrifies: false, denitrifies: false };
    let growth = aerobic::growth(240.0, 250.0, 10.0, 40.0, &mode, 20.0);
    near(growth.px_vss, 19.5, 0.05);
    near(growth.px_tss, 32.5, 0.05);
    near(growth.volume, 86.6, 0.1);
    let oxygen = aerobic::oxygen(57.6, growth.px_vss, 0.0, 0.0);
    near(oxygen, 57.0, 0.1);
    let sotr = aerobic::standard_transfer(oxygen, 25.0);
    near(sotr, 7.3, 0.1);
    let air = aerobic::air(sotr, 0.25);
    near(air, 106.0, 2.0);
    near(aerobic::blower_kw(air, 4.5), 2.2, 0.1);
}

#[test]
fn extended_aeration_example() {
    let mode = aerobic::Mode { srt: 25.0, mlss: 3.5, nitrifies: true, denitrifies: false };
    let growth = aerobic::growth(240.0, 250.0, 10.0, 80.0, &mode, 20.0);
    near(growth.px_vss, 11.5, 0.05);
    near(growth.px_tss, 32.8, 0.1);
    near(growth.volume, 234.0, 1.0);
}

#[test]
fn sbr_example() {
    near(sbr::settled(3500.0, 150.0), 0.63, 1e-9);
    near(sbr::tank(240.0, 2, 4, 0.30), 100.0, 1e-9);
}

#[test]
fn nitrification_example() {
    near(aerobic::nutrients::anoxic_volume(6.0, 1.8), 27.8, 0.05);
    near(aerobic::nutrients::alkalinity_used(35.0, 25.0), 161.0, 0.5);
    let growth = aerobic::nitrifier_growth(20.0);
    near(growth, 0.254, 0.001);
    near(1.0 / growth, 3.9, 0.05);
}

#[test]
fn reverse_osmosis_example() {
    near(reverse_osmosis::specific_energy(12.0, 0.75, 0.75), 0.59, 0.005);
    // Nothing passes: everything is in a quarter of the water.
    near(reverse_osmosis::concentrate(1000.0, 0.75, 1.0), 4000.0, 1e-9);
}

#[test]
fn chlorination_example() {
    near(chlorination::ct_giardia(0.5, 15.0, 7.5, 1.0), 16.4, 0.1);
    near(chlorination::logs_by_ct(chlorination::ct_for(4.0)), 4.0, 1e-9);
}

#[test]
fn dewatering_example() {
    near(dewatering::cake(32.8, 0.20), 0.156, 0.001);
}

#[test]
fn ozone_example() {
    near(ozone::ozone_kg_h(10.0, 10.0), 0.10, 1e-9);
}

#[test]
fn cooling_example() {
    near(cooling::heat_kw(86.4, 10.0), 41.9, 1e-9);
}

#[test]
fn every_unit_process_has_a_name_a_code_and_sane_data() {
    let mut names = std::collections::BTreeSet::new();
    for &id in ProcessId::ALL {
        assert!(names.insert(id.name()) && names.insert(id.code()) && names.insert(id.as_str()), "{id:?}");
        assert_eq!(id.as_str().parse(), Ok(id));
        assert_eq!(id.code().to_lowercase().parse(), Ok(id));
        let spec = id.process().spec();
        assert!((0.0..=1.0).contains(&spec.operability) && spec.area > 0.0 && !spec.source.is_empty(), "{id:?}");
        for (parameter, removal) in spec.removals {
            if let Removal::Share { low, typical, high } = removal {
                assert!(0.0 <= *low && low <= typical && typical <= high && *high <= 1.0, "{id:?} {parameter:?}");
            }
        }
        for within in spec.applicable {
            assert!(within.least < within.most, "{id:?}");
        }
    }
    assert_eq!("mystery".parse::<ProcessId>(), Err(UnknownProcess));
}

#[test]
fn prerequisites_can_be_kept_in_the_order_of_the_catalogue() {
    for &id in ProcessId::ALL {
        let spec = id.process().spec();
        for group in spec.before {
            assert!(group.iter().any(|other| *other < id), "{id:?} has nothing it could come after");
        }
        for group in spec.after {
            assert!(group.iter().any(|other| id < *other), "{id:?} has nothing it could come before");
        }
    }
}

#[test]
fn half_the_effect_is_left_for_a_second_unit_of_a_mechanism() {
    assert_eq!(share(20.0, 40.0, 60.0).halved().left(100.0), 80.0);
    assert_eq!(logs(1.0, 2.0, 3.0).halved().left(100.0), 10.0);
    assert_eq!(residual(3.0, 2.0, 1.0).left(100.0), 2.0);
    assert_eq!(residual(3.0, 2.0, 1.0).left(1.0), 1.0);
    assert_eq!(Removal::Adds(5.0).left(0.0), 0.0);
}

#[test]
fn criticality_has_its_words() {
    assert_eq!(Criticality::High.as_str(), "high");
    assert_eq!(Stage::Auxiliary.as_str(), "auxiliary");
}
