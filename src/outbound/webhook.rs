//! A web server that alerts are posted to.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{Response, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use crate::config::{Secret, WebhookBody};
use crate::outbound::{Message, SendError, Sink, secrets, tls};

/// Posts each alert as JSON.
pub(super) struct Webhook {
    url: String,
    body: WebhookBody,
    headers: Vec<(String, String)>,
    token: Option<Secret>,
    ca: Option<PathBuf>,
    agent: Option<Agent>,
}

impl Webhook {
    pub(super) fn new(
        url: String,
        body: WebhookBody,
        headers: Vec<(String, String)>,
        token: Option<Secret>,
        ca: Option<PathBuf>,
    ) -> Self {
        Self {
            url,
            body,
            headers,
            token,
            ca,
            agent: None,
        }
    }

    fn agent(&mut self) -> Result<Agent, SendError> {
        if let Some(agent) = &self.agent {
            return Ok(agent.clone());
        }
        let mut config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            // Where it leads is not where the owner sends alerts.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("canarytap/", env!("CARGO_PKG_VERSION")));
        if self.url.starts_with("https:") {
            config = config.tls_config(self.tls()?);
        }
        let agent = Agent::from(config.build());
        Ok(self.agent.insert(agent).clone())
    }

    fn tls(&self) -> Result<TlsConfig, SendError> {
        let roots = tls::roots(self.ca.as_ref())?;
        let roots: Vec<Certificate<'static>> = roots
            .iter()
            .map(|root| Certificate::from_der(root.as_ref()).to_owned())
            .collect();
        Ok(TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(std::sync::Arc::new(
                rustls::crypto::ring::default_provider(),
            ))
            .build())
    }

    /// Where it is posted, and what.
    fn post(&self, message: &Message) -> (String, String) {
        let body = match self.body {
            WebhookBody::Event => return (self.url.clone(), message.json.clone()),
            WebhookBody::Ntfy => return self.post_ntfy(message),
            WebhookBody::Gotify => json!({
                "title": message.title, "message": message.text, "priority": 8,
                "extras": {"canarytap::event": event_of(message)},
            }),
            WebhookBody::Slack => json!({
                // Nothing that a visitor wrote may call a channel or become a link.
                "text": escape_slack(&format!("{}\n{}", message.title, message.text)),
            }),
        };
        (self.url.clone(), body.to_string())
    }

    /// ntfy takes JSON at its root only, with the topic inside.
    fn post_ntfy(&self, message: &Message) -> (String, String) {
        let url = self.url.trim_end_matches('/');
        let (root, topic) = url.rsplit_once('/').unwrap_or((url, ""));
        let body = json!({
            "topic": topic, "title": message.title, "message": message.text,
            "priority": 4, "tags": ["rotating_light"],
        });
        (format!("{root}/"), body.to_string())
    }
}

fn event_of(message: &Message) -> Value {
    serde_json::from_str(&message.json).unwrap_or_default()
}

fn escape_slack(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

impl Sink for Webhook {
    fn send(&mut self, message: &Message) -> Result<(), SendError> {
        let agent = self.agent()?;
        let (url, body) = self.post(message);
        let mut request = agent
            .post(&url)
            .header("Content-Type", "application/json")
            .header("X-Canarytap-Seq", message.seq.to_string());
        if let Some(token) = &self.token {
            let token = secrets::read(token)?;
            request = match self.body {
                WebhookBody::Gotify => request.header("X-Gotify-Key", token),
                _ => request.header("Authorization", format!("Bearer {token}")),
            };
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = request.send(&body).map_err(SendError::later)?;
        judge(answer)
    }
}

fn judge(mut answer: Response<ureq::Body>) -> Result<(), SendError> {
    let status = answer.status();
    if status.is_success() {
        // Read to its end, the connection serves again.
        let _rest = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_MAX)
            .read_to_vec();
        return Ok(());
    }
    let why = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "check token_file",
        StatusCode::NOT_FOUND => "check url",
        _ if status.is_redirection() => "check url: redirections are not followed",
        _ => "",
    };
    let why = format!("the server says {status} {why}")
        .trim_end()
        .to_owned();
    match status {
        // What it says of this very body.
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNPROCESSABLE_ENTITY => Err(SendError::Refused(why)),
        _ => Err(SendError::Later(why)),
    }
}

const PATIENCE: Duration = Duration::from_secs(20);
const ANSWER_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::message::tests::event;

    fn posted(body: WebhookBody, url: &str) -> (String, Value) {
        let webhook = Webhook::new(url.into(), body, Vec::new(), None, None);
        let mut event = event(41);
        event.target = Some("/<!channel>".into());
        let (url, body) = webhook.post(&Message::of(&event));
        (url, serde_json::from_str(&body).unwrap())
    }

    #[test]
    fn each_service_gets_its_form() {
        let (url, body) = posted(WebhookBody::Event, "https://hook.example/a");
        assert_eq!(
            (url.as_str(), &body["seq"]),
            ("https://hook.example/a", &41.into())
        );
        let (url, body) = posted(WebhookBody::Ntfy, "https://ntfy.example/home");
        assert_eq!(
            (url.as_str(), &body["topic"]),
            ("https://ntfy.example/", &"home".into())
        );
        let (_, body) = posted(WebhookBody::Gotify, "https://gotify.example/message");
        assert_eq!(body["extras"]["canarytap::event"]["seq"], 41);
        let (_, body) = posted(WebhookBody::Slack, "https://hooks.example/x");
        assert!(
            body["text"].as_str().unwrap().contains("/&lt;!channel&gt;"),
            "{body}"
        );
    }
}
