//! An MQTT broker, and Home Assistant behind it.
//!
//! | topic | what | kept by the broker |
//! |---|---|---|
//! | `TOPIC/event` | each alert, the event as JSON | no |
//! | `TOPIC/alert` | `ON` while one waits to be acknowledged | yes |
//! | `TOPIC/health` | `ON` on a fault | yes |
//! | `TOPIC/state` | counters and faults, as JSON | yes |
//! | `TOPIC/available` | `online`, `offline` | yes |

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rumqttc::{
    Client, Connection, Event, LastWill, MqttOptions, Outgoing, Packet, QoS, TlsConfiguration,
    Transport,
};
use serde_json::{Value, json};

use crate::config::{Carrier, Login, Server};
use crate::daemon::status::Status;
use crate::outbound::{Message, SendError, Sink, host_name, secrets, tls};

/// Publishes alerts, and how the tap is.
pub(super) struct Mqtt {
    server: Server,
    login: Option<Login>,
    topic: String,
    discovery: Option<String>,
    ca: Option<PathBuf>,
    host: String,
    link: Option<Link>,
    /// What was last said of the daemon.
    told: Option<(bool, bool, Value)>,
}

/// A connection and who writes to it.
struct Link {
    client: Client,
    connection: Connection,
}

impl Mqtt {
    pub(super) fn new(
        server: Server,
        login: Option<Login>,
        topic: String,
        discovery: Option<String>,
        ca: Option<PathBuf>,
    ) -> Self {
        Self {
            server,
            login,
            topic,
            discovery,
            ca,
            host: host_name(),
            link: None,
            told: None,
        }
    }

    fn topic(&self, name: &str) -> String {
        format!("{}/{name}", self.topic)
    }

    fn options(&self) -> Result<MqttOptions, SendError> {
        let id = format!("canarytap-{}-{}", self.host, std::process::id());
        let mut options = MqttOptions::new(id, &self.server.host, self.server.port);
        options.set_keep_alive(KEEP_ALIVE);
        options.set_max_packet_size(PACKET_MAX, PACKET_MAX);
        let offline = LastWill::new(self.topic("available"), "offline", QoS::AtLeastOnce, true);
        options.set_last_will(offline);
        if let Some(login) = &self.login {
            options.set_credentials(&login.user, secrets::read(&login.password)?);
        }
        if self.server.carrier == Carrier::Tls {
            let client = tls::client(self.ca.as_ref())?;
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(client)));
        }
        Ok(options)
    }

    /// The connection; a new one says first who we are.
    fn connect(&mut self) -> Result<(), SendError> {
        if self.link.is_some() {
            return Ok(());
        }
        let (client, connection) = Client::new(self.options()?, CHANNEL);
        self.link = Some(Link { client, connection });
        self.told = None;
        for (topic, config) in self.discovered() {
            self.publish(&topic, config.to_string(), true)?;
        }
        self.publish(&self.topic("available"), "online".into(), true)
    }

    /// Publishes, and returns when the broker has it.
    fn publish(&mut self, topic: &str, payload: String, retain: bool) -> Result<(), SendError> {
        let Some(link) = &mut self.link else {
            return Err(SendError::Later("there is no connection".into()));
        };
        let published = link.publish(topic, payload, retain);
        if published.is_err() {
            self.link = None;
        }
        published
    }

    fn tell(&mut self, status: &Status) -> Result<(), SendError> {
        let alert = status.unacknowledged > 0;
        let state = state_of(status);
        let new = (alert, status.healthy, state);
        if self.told.as_ref() == Some(&new) {
            return Ok(());
        }
        self.publish(&self.topic("alert"), on_off(alert), true)?;
        self.publish(&self.topic("health"), on_off(!status.healthy), true)?;
        self.publish(&self.topic("state"), new.2.to_string(), true)?;
        self.told = Some(new);
        Ok(())
    }

    /// What Home Assistant finds (its "MQTT discovery"): topic and configuration of each entity.
    fn discovered(&self) -> Vec<(String, Value)> {
        let Some(prefix) = &self.discovery else {
            return Vec::new();
        };
        let node: String = self.host.replace('.', "-");
        let device = json!({
            "identifiers": [format!("canarytap-{node}")],
            "name": format!("canarytap {node}"),
            "model": "canarytap",
            "sw_version": env!("CARGO_PKG_VERSION"),
        });
        let entity = |component: &str, name: &str, title: &str, more: Value| {
            let mut config = json!({
                "name": title,
                "unique_id": format!("canarytap-{node}-{name}"),
                "availability_topic": self.topic("available"),
                "device": device,
            });
            if let (Value::Object(config), Value::Object(more)) = (&mut config, more) {
                config.extend(more);
            }
            (
                format!("{prefix}/{component}/canarytap-{node}/{name}/config"),
                config,
            )
        };
        let count = |name: &str, title: &str, class: &str| {
            entity(
                "sensor",
                name,
                title,
                json!({
                    "state_topic": self.topic("state"),
                    "value_template": format!("{{{{ value_json.{name} }}}}"),
                    "state_class": class,
                }),
            )
        };
        vec![
            entity(
                "binary_sensor",
                "alert",
                "Canary opened",
                json!({
                    "state_topic": self.topic("alert"),
                    "json_attributes_topic": self.topic("event"),
                    "icon": "mdi:bird",
                }),
            ),
            entity(
                "binary_sensor",
                "health",
                "Tap is blind",
                json!({
                    "state_topic": self.topic("health"),
                    "json_attributes_topic": self.topic("state"),
                    "device_class": "problem",
                }),
            ),
            count("unacknowledged", "Alerts not acknowledged", "measurement"),
            count("last_seq", "Newest number in the log", "total_increasing"),
            count("dropped", "Packets dropped", "total_increasing"),
        ]
    }
}

impl Link {
    fn publish(&mut self, topic: &str, payload: String, retain: bool) -> Result<(), SendError> {
        self.client
            .try_publish(topic, QoS::AtLeastOnce, retain, payload)
            .map_err(SendError::later)?;
        let until = Instant::now() + PATIENCE;
        let mut number = None;
        loop {
            match self.next(until.saturating_duration_since(Instant::now()))? {
                None => {
                    let seconds = PATIENCE.as_secs();
                    return Err(SendError::Later(format!(
                        "the broker did not answer for {seconds} s"
                    )));
                }
                Some(Event::Outgoing(Outgoing::Publish(sent))) => number = Some(sent),
                Some(Event::Incoming(Packet::PubAck(ack))) if Some(ack.pkid) == number => {
                    return Ok(());
                }
                Some(_) => {}
            }
        }
    }

    /// What happens next; None: nothing did for so long.
    fn next(&mut self, wait: Duration) -> Result<Option<Event>, SendError> {
        match self.connection.recv_timeout(wait) {
            Ok(Ok(event)) => Ok(Some(event)),
            Ok(Err(error)) => Err(SendError::later(error)),
            Err(rumqttc::RecvTimeoutError::Timeout) => Ok(None),
            Err(error) => Err(SendError::Later(format!("{error:?}"))),
        }
    }
}

impl Sink for Mqtt {
    fn send(&mut self, message: &Message) -> Result<(), SendError> {
        self.connect()?;
        let topic = match message.test {
            false => self.topic("event"),
            true => self.topic("test"),
        };
        self.publish(&topic, message.json.clone(), false)
    }

    fn idle(&mut self, status: Option<&Status>) -> Result<(), SendError> {
        self.connect()?;
        if let Some(status) = status {
            self.tell(status)?;
        }
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        // Pings go out while somebody waits for what comes in.
        let until = Instant::now() + LISTEN;
        loop {
            match link.next(until.saturating_duration_since(Instant::now())) {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.link = None;
                    return Err(error);
                }
            }
        }
    }
}

fn on_off(on: bool) -> String {
    if on { "ON".into() } else { "OFF".into() }
}

fn state_of(status: &Status) -> Value {
    let names = |remarks: &[crate::daemon::status::Remark]| -> Vec<String> {
        remarks.iter().map(|remark| remark.name.clone()).collect()
    };
    json!({
        "unacknowledged": status.unacknowledged,
        "last_seq": status.store.last_seq,
        "dropped": status.capture.dropped_kernel + status.capture.dropped_interface,
        "faults": names(&status.faults),
        "warnings": names(&status.warnings),
    })
}

const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// For an answer to one message.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long is listened while there is nothing to tell.
const LISTEN: Duration = Duration::from_millis(20);
/// Alerts are far smaller.
const PACKET_MAX: usize = 64 * 1024;
/// Messages on their way to the connection: one, whose answer is waited for.
const CHANNEL: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_assistant_is_told_of_two_binary_sensors_and_counters() {
        let server = Server {
            url: "mqtt://b.example".into(),
            carrier: Carrier::Tcp,
            host: "b.example".into(),
            port: 1883,
        };
        let mqtt = Mqtt::new(
            server,
            None,
            "home/tap".into(),
            Some("homeassistant".into()),
            None,
        );
        let found = mqtt.discovered();
        assert_eq!(found.len(), 5);
        let (topic, alert) = &found[0];
        assert!(
            topic.starts_with("homeassistant/binary_sensor/canarytap-"),
            "{topic}"
        );
        assert!(topic.ends_with("/alert/config"), "{topic}");
        assert_eq!(alert["state_topic"], "home/tap/alert");
        assert_eq!(alert["availability_topic"], "home/tap/available");
        assert_eq!(found[1].1["device_class"], "problem");
        assert_eq!(
            found[2].1["value_template"],
            "{{ value_json.unacknowledged }}"
        );
        let ids: std::collections::BTreeSet<String> = found
            .iter()
            .map(|(_, one)| one["unique_id"].to_string())
            .collect();
        assert_eq!(ids.len(), 5);
    }
}
