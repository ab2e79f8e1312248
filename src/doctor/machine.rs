//! The machine around the tap: lights, clock, disk.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{StatVfs, StatVfsMountFlags, statvfs};

use crate::config::units::bytes_text;
use crate::config::{LedConfig, LedDriver, StoreConfig};
use crate::daemon::synchrony;
use crate::doctor::point::Point;
use crate::engine::frame::Timestamp;
use crate::led::{self, FoundLights, FoundPin, Holder, LedError};
use crate::store::DATABASE;

/// The lights' point. `driven` is the driver that a running daemon says it has.
pub(super) fn lights(config: &LedConfig, driven: Option<&str>) -> Point {
    judge_lights(config, &led::look(config), driven)
}

fn judge_lights(
    config: &LedConfig,
    found: &Result<FoundLights, LedError>,
    driven: Option<&str>,
) -> Point {
    let error = match found {
        Ok(found) => return judge_pins(config, found),
        Err(error) => error,
    };
    let text = error.to_string();
    match (error, driven) {
        (LedError::Forbidden { .. }, Some(driver @ ("rppal" | "gpiochip"))) => Point::ok(
            LIGHTS,
            format!("the daemon drives them by {driver}; this user may not look at the pins"),
        ),
        (LedError::Forbidden { .. }, _) => Point::not_looked_at(
            LIGHTS,
            text,
            "sudo adduser $USER gpio, then log in again; or sudo canarytap doctor",
        ),
        (_, _) if config.driver == LedDriver::Auto => Point::warning(
            LIGHTS,
            format!(
                "no pin can be reached, so that lights show on a terminal or not at all: {text}"
            ),
            "on a machine without GPIO set led.driver to \"none\" or \"terminal\"",
        ),
        _ => Point::failed(
            LIGHTS,
            text,
            "set led.driver to one that this machine has: \"auto\" takes it",
        ),
    }
}

fn judge_pins(config: &LedConfig, found: &FoundLights) -> Point {
    let driver = found.driver;
    if found.pins.is_empty() {
        let what = match driver {
            "none" => "led.driver is none: nothing is to be lit",
            "terminal" => "they show on the daemon's terminal",
            _ => "none is configured: they show on the daemon's terminal, if it has one",
        };
        return Point::ok(LIGHTS, what);
    }
    let wrong: Vec<String> = found.pins.iter().filter_map(trouble).collect();
    if !wrong.is_empty() {
        return Point::failed(
            LIGHTS,
            wrong.join("; "),
            "stop who has the pin, or give the light another one (BCM numbering) under [led]",
        );
    }
    let texts: Vec<String> = found.pins.iter().map(pin_text).collect();
    let low = config
        .lights
        .iter()
        .filter(|light| light.active_low)
        .count();
    let low = match low {
        0 => String::new(),
        some => format!("; {some} lit by a low level"),
    };
    Point::ok(LIGHTS, format!("{driver}: {}{low}", texts.join(", ")))
}

fn trouble(found: &FoundPin) -> Option<String> {
    let FoundPin { pin, what, holder } = found;
    match holder {
        Holder::Nobody | Holder::Canarytap => None,
        Holder::Other(name) if name.is_empty() => Some(format!(
            "pin {pin} ({what}) is in use by the kernel or a program without a name"
        )),
        Holder::Other(name) => Some(format!("pin {pin} ({what}) is in use by \"{name}\"")),
        Holder::NoSuchPin => Some(format!("there is no pin {pin} ({what})")),
    }
}

fn pin_text(found: &FoundPin) -> String {
    let held = match found.holder {
        Holder::Canarytap => ", held by canarytap",
        _ => "",
    };
    format!("{} on pin {}{held}", found.what, found.pin)
}

/// Who says how the clock is, and whether it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Keeper {
    name: &'static str,
    set: bool,
}

/// The clock's point.
pub(super) fn clock_point(now: Timestamp) -> Point {
    let said_by = |name| move |set| Keeper { name, set };
    let keeper = synchrony::by_kernel().map(said_by("the kernel"));
    let keeper = keeper.or_else(|| synchrony::by_timesyncd().map(said_by("systemd-timesyncd")));
    judge_clock(keeper.or_else(chrony), now)
}

/// What chrony says, where it runs.
fn chrony() -> Option<Keeper> {
    if !Path::new("/run/chrony").is_dir() {
        return None;
    }
    let asked = Command::new("chronyc")
        .args(["-n", "-c", "tracking"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    chrony_is_set(&String::from_utf8_lossy(&asked.stdout)).map(|set| Keeper {
        name: "chrony",
        set,
    })
}

/// `chronyc -c tracking` prints one line of values; the last is the leap status.
fn chrony_is_set(line: &str) -> Option<bool> {
    let (_, leap) = line.trim().rsplit_once(',')?;
    match leap {
        "Normal" | "Insert second" | "Delete second" => Some(true),
        "Not synchronised" => Some(false),
        _ => None,
    }
}

fn judge_clock(keeper: Option<Keeper>, now: Timestamp) -> Point {
    if now < BUILT {
        return Point::warning(
            CLOCK,
            format!("it says {now}, which is past: times in the log are wrong"),
            "let the tap reach a time server: sudo timedatectl set-ntp true",
        );
    }
    match keeper {
        Some(Keeper { name, set: true }) => {
            Point::ok(CLOCK, format!("{name} says that it is synchronised"))
        }
        Some(Keeper { name, set: false }) => Point::warning(
            CLOCK,
            format!("{name} says that it is not synchronised: times in the log may be wrong"),
            "let the tap reach a time server (timedatectl shows which)",
        ),
        None => Point::not_looked_at(
            CLOCK,
            "neither systemd-timedated nor a time service is there to say whether it is synchronised",
            "timedatectl says it; sudo apt install systemd-timesyncd keeps it so",
        ),
    }
}

/// Room on the disk of the data directory.
pub(super) fn disk(config: &StoreConfig) -> Point {
    let directory = existing(&config.directory);
    let used = fs::metadata(config.directory.join(DATABASE)).map_or(0, |file| file.len());
    let to_come = (config.requests_max_bytes + config.visits_max_bytes).saturating_sub(used);
    judge_disk(
        &directory.display().to_string(),
        statvfs(directory),
        to_come,
    )
}

/// The directory, or what is there of the way to it.
fn existing(directory: &Path) -> &Path {
    let mut parents = directory.ancestors();
    let found = parents.find(|path| path.exists() && !path.as_os_str().is_empty());
    found.unwrap_or(Path::new("."))
}

fn judge_disk(directory: &str, found: Result<StatVfs, rustix::io::Errno>, to_come: u64) -> Point {
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            return Point::not_looked_at(
                DISK,
                format!(
                    "cannot look at the disk of {directory}: {}",
                    io::Error::from(error)
                ),
                "sudo canarytap doctor",
            );
        }
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let text = format!("{} free in {directory}", rounded(free));
    if found.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Point::failed(
            DISK,
            format!("the disk of {directory} is mounted for reading only"),
            "sudo mount -o remount,rw, or name another [store] directory; dmesg tells of a bad card",
        );
    }
    if found.f_files > 0 && found.f_favail == 0 {
        return Point::failed(
            DISK,
            format!("no more files can be made in {directory}"),
            "remove files that nobody needs",
        );
    }
    if free < FREE_MIN {
        return Point::failed(DISK, text, ROOM);
    }
    if free < to_come.saturating_add(FREE_MIN) {
        return Point::warning(
            DISK,
            format!("{text}: the store may still grow by {}", rounded(to_come)),
            "make room, or lower store.requests_max and store.visits_max",
        );
    }
    Point::ok(DISK, text)
}

/// To three digits or so: the rest is gone in a moment.
fn rounded(bytes: u64) -> String {
    match bytes >> 20 {
        0..10_240 => bytes_text(bytes >> 20 << 20),
        _ => bytes_text(bytes >> 30 << 30),
    }
}

const LIGHTS: &str = "lights";
const CLOCK: &str = "clock";
const DISK: &str = "disk";
const ROOM: &str = "make room: sudo journalctl --vacuum-size=50M, sudo apt clean";
/// SQLite's log alone grows to 8 MiB.
const FREE_MIN: u64 = 16 << 20;
/// When this was written: a clock before it was never set (2026-01-01T00:00:00Z).
const BUILT: Timestamp = Timestamp::from_secs_nanos(1_767_225_600, 0);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LightConfig, LightRole};
    use crate::doctor::point::State;

    fn config(driver: LedDriver) -> LedConfig {
        LedConfig {
            driver,
            lights: vec![LightConfig {
                role: LightRole::Alert,
                pin: 17,
                active_low: false,
            }],
            button: None,
        }
    }

    fn pins(holder: Holder) -> Result<FoundLights, LedError> {
        Ok(FoundLights {
            driver: "gpiochip",
            pins: vec![FoundPin {
                pin: 17,
                what: "alert",
                holder,
            }],
        })
    }

    fn lights_with(holder: Holder) -> Point {
        judge_lights(&config(LedDriver::Gpiochip), &pins(holder), None)
    }

    #[test]
    fn a_pin_that_is_free_or_our_own_is_well() {
        assert_eq!(
            lights_with(Holder::Nobody).found,
            "gpiochip: alert on pin 17"
        );
        let held = lights_with(Holder::Canarytap);
        assert_eq!(held.state, State::Ok);
        assert!(held.found.contains("held by canarytap"));
    }

    #[test]
    fn a_pin_that_somebody_else_has_or_nobody_can_have_is_a_failure() {
        let held = lights_with(Holder::Other("lircd".into()));
        assert_eq!(held.state, State::Failed);
        assert!(held.found.contains("pin 17 (alert) is in use by \"lircd\""));
        assert_eq!(lights_with(Holder::NoSuchPin).state, State::Failed);
        assert_eq!(
            lights_with(Holder::Other(String::new())).state,
            State::Failed
        );
    }

    #[test]
    fn a_missing_gpio_fails_where_it_was_named_and_warns_under_auto() {
        let missing = || {
            Err(LedError::NoGpio {
                driver: "gpiochip",
                reason: "there is no /dev/gpiochip*".into(),
            })
        };
        let judged = |driver| judge_lights(&config(driver), &missing(), None).state;
        assert_eq!(judged(LedDriver::Gpiochip), State::Failed);
        assert_eq!(judged(LedDriver::Auto), State::Warning);
    }

    #[test]
    fn who_may_not_look_at_pins_is_told_how_unless_the_daemon_knows() {
        let forbidden = Err(LedError::Forbidden {
            what: "/dev/gpiochip0".into(),
        });
        let config = config(LedDriver::Rppal);
        let alone = judge_lights(&config, &forbidden, None);
        assert_eq!(alone.state, State::NotLookedAt);
        assert!(alone.cure.unwrap().contains("adduser"));
        let driven = judge_lights(&config, &forbidden, Some("rppal"));
        assert_eq!(driven.state, State::Ok);
    }

    const NOW: Timestamp = Timestamp::from_secs_nanos(1_800_000_000, 0);

    #[test]
    fn a_clock_that_nobody_has_set_is_a_warning() {
        let point = |set| {
            let keeper = Keeper {
                name: "chrony",
                set,
            };
            judge_clock(Some(keeper), NOW).state
        };
        assert_eq!((point(true), point(false)), (State::Ok, State::Warning));
        assert_eq!(judge_clock(None, NOW).state, State::NotLookedAt);
    }

    #[test]
    fn a_clock_that_stands_in_the_past_is_a_warning_whoever_keeps_it() {
        let keeper = Keeper {
            name: "systemd-timesyncd",
            set: true,
        };
        let point = judge_clock(Some(keeper), Timestamp::from_secs_nanos(0, 0));
        assert_eq!(point.state, State::Warning);
        assert!(point.found.contains("1970"));
    }

    #[test]
    fn chrony_tells_by_the_last_of_its_values() {
        let line = |leap| {
            format!(
                "C0000201,192.0.2.1,3,1367342912.1,0.0,0.0,0.0,-3.1,0.0,0.1,0.02,0.0,64.2,{leap}\n"
            )
        };
        assert_eq!(chrony_is_set(&line("Normal")), Some(true));
        assert_eq!(chrony_is_set(&line("Not synchronised")), Some(false));
        assert_eq!(chrony_is_set("506 Cannot talk to daemon"), None);
        assert_eq!(chrony_is_set(""), None);
    }

    fn room(free_mib: u64) -> StatVfs {
        let mut found = statvfs("/").unwrap();
        found.f_frsize = 1 << 20;
        found.f_bavail = free_mib;
        found.f_files = 0;
        found.f_flag = StatVfsMountFlags::empty();
        found
    }

    #[test]
    fn room_is_judged_by_what_may_still_come() {
        let judged = |free| judge_disk("/data", Ok(room(free)), 600 << 20).state;
        assert_eq!(judged(15), State::Failed);
        assert_eq!(judged(16), State::Warning);
        assert_eq!(judged(615), State::Warning);
        assert_eq!(judged(616), State::Ok);
    }

    #[test]
    fn a_disk_that_takes_no_writes_or_no_files_is_a_failure() {
        let mut read_only = room(10_000);
        read_only.f_flag = StatVfsMountFlags::RDONLY;
        assert_eq!(judge_disk("/data", Ok(read_only), 0).state, State::Failed);
        let mut no_files = room(10_000);
        (no_files.f_files, no_files.f_favail) = (100, 0);
        assert_eq!(judge_disk("/data", Ok(no_files), 0).state, State::Failed);
    }

    #[test]
    fn of_a_directory_that_is_not_there_the_disk_is_looked_at_all_the_same() {
        assert_eq!(existing(Path::new("/nowhere/at/all")), Path::new("/"));
        assert_eq!(existing(Path::new("nowhere")), Path::new("."));
    }
}
