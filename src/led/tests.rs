use super::*;
use crate::config::LightConfig;

fn config(driver: LedDriver, roles: &[LightRole]) -> LedConfig {
    let lights = roles.iter().zip(17..).map(|(role, pin)| LightConfig {
        role: *role,
        pin,
        active_low: false,
    });
    LedConfig {
        driver,
        lights: lights.collect(),
        button: None,
    }
}

fn around(record: Option<PathBuf>) -> Surroundings {
    Surroundings {
        terminal: false,
        colours: false,
        record,
    }
}

#[test]
fn lights_that_nobody_sees_are_recorded_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lights");
    let config = config(LedDriver::None, &[LightRole::Alert]);
    let mut lights = open_in(&config, &around(Some(path.clone()))).unwrap();
    lights.set(LightRole::Alert, true).unwrap();
    drop(lights);
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(
        text.lines()
            .filter(|line| line.ends_with("alert on"))
            .count(),
        1
    );
    assert_eq!(
        text.lines()
            .filter(|line| line.ends_with("alert off"))
            .count(),
        1
    );
}

#[test]
fn where_no_pins_are_needed_all_roles_are_shown_unless_some_are_named() {
    assert_eq!(shown_roles(&config(LedDriver::Terminal, &[])), ROLES);
    assert_eq!(
        shown_roles(&config(LedDriver::Terminal, &[LightRole::Armed])),
        [LightRole::Armed]
    );
}

#[test]
fn a_recording_that_cannot_be_made_opens_no_lights() {
    let config = config(LedDriver::None, &[]);
    let error = open_in(&config, &around(Some("/nonexistent/lights".into()))).unwrap_err();
    assert!(matches!(error, LedError::Record { .. }));
}

const ABSENT: GpioDriver = ("absent", |_| {
    Err(LedError::NoGpio {
        driver: "absent",
        reason: "it is not there".into(),
    })
});
const FORBIDDEN: GpioDriver = ("forbidden", |_| {
    Err(LedError::Forbidden {
        what: "/dev/gpiomem".into(),
    })
});
const TAKEN: GpioDriver = ("taken", |_| {
    Err(LedError::InUse {
        pin: 17,
        holder: "\"lircd\"".into(),
    })
});
const THERE: GpioDriver = ("there", |_| Ok(Vec::new()));

#[test]
fn auto_takes_the_first_driver_that_is_there() {
    let config = config(LedDriver::Auto, &[LightRole::Alert]);
    let lights = open_first(&config, &around(None), &[ABSENT, THERE, TAKEN]).unwrap();
    assert_eq!(lights.driver(), "there");
    assert!(lights.remarks().is_empty());
}

#[test]
fn auto_passes_over_a_driver_that_may_not_be_used_and_says_so() {
    let config = config(LedDriver::Auto, &[LightRole::Alert]);
    let lights = open_first(&config, &around(None), &[FORBIDDEN, THERE]).unwrap();
    assert_eq!(lights.driver(), "there");
    assert!(lights.remarks()[0].contains("/dev/gpiomem"));
}

#[test]
fn auto_does_not_hide_that_a_pin_is_taken() {
    let config = config(LedDriver::Auto, &[LightRole::Alert]);
    let error = open_first(&config, &around(None), &[TAKEN, THERE]).unwrap_err();
    assert!(error.to_string().contains("lircd"), "{error}");
}

#[test]
fn auto_without_gpio_and_terminal_has_no_lights_and_says_so() {
    let config = config(LedDriver::Auto, &[LightRole::Alert]);
    let lights = open_first(&config, &around(None), &[ABSENT]).unwrap();
    assert_eq!(lights.driver(), "none");
    assert_eq!(lights.remarks().len(), 1);
}

#[test]
fn auto_leaves_gpio_alone_when_no_light_has_a_pin() {
    let lights = open_first(&config(LedDriver::Auto, &[]), &around(None), &[TAKEN]).unwrap();
    assert_eq!(lights.driver(), "none");
}
