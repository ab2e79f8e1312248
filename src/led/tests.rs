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
